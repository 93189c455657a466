import pytest
import sympy as sp

from mehler.derive.activation import activation
from mehler.derive.atoms import Atom, diracs, expand, merge
from mehler.derive.errors import OutsideClass
from mehler.derive.gaussian import HalfSpace
from mehler.derive.pieces import Pieces
from mehler.derive.special import Phi
from mehler.derive.symbols import u, v, x

R = sp.Rational
HERE = {x: R(3, 7)}


@pytest.mark.parametrize(
    "text",
    [
        "3",
        "(x - 1/2)**5",
        "x*(x + exp(x))**2",
        "2**x + e**(1 - x**2)",
        "erf(2*x - 1) + erfc(x)",
        "gelu(x) * (1 - x)",
        "sin(x)*cos(3*x + 1)",
        "sinh(x)**2 + cosh(x/2)",
        "max(0, x)**2 - min(1/2, x)",
        "where(x > 1/4 and x < 1/2, x**2*exp(x), exp(-x))",
        "clip(x, -1, 1/5)*Phi(x)",
        "pi*sqrt(2)*x",
    ],
)
def test_the_atoms_add_up_to_the_function(text: str) -> None:
    expr = activation(f"{text} + 0.5*x").expr
    total = sp.Add(*(atom.function(x) for atom in expand(activation(f"{text} + 0.5*x").pieces)))
    assert abs(sp.N((total - expr).subs(HERE), 30)) < 1e-25


def test_like_terms_merge_and_cancel() -> None:
    found = expand(activation("(x + 1)**2 - x**2 - x + Phi(x) - Phi(x)").pieces)
    assert set(found) == {Atom(sp.S.One, 0), Atom(sp.S.One, 1)}


def test_a_ray_keeps_its_own_direction() -> None:
    """eˣ·1[x < 0] is small; eˣ − eˣ·1[x > 0] would be the difference of two large terms."""
    left, right = expand(Pieces((sp.S.Zero,), (sp.exp(x), x)))
    assert left.spaces == (HalfSpace(-sp.S.One, sp.S.Zero, 0),)
    assert right.spaces == (HalfSpace(sp.S.One, sp.S.Zero, 0),)


def test_an_atom_is_written_as_a_reader_would() -> None:
    (atom,) = expand(activation("x*Phi(2*x)").pieces)
    assert atom.function(u) == u * Phi(2 * u)
    knot = Atom(R(3), 2, R(-1), R(1, 2), (HalfSpace(sp.S.One, -R(1, 3), 0),))
    assert knot.function(v) == 3 * v**2 * sp.exp(-(v**2) + v / 2) * sp.Heaviside(v - R(1, 3), evaluate=False)
    (impulse,) = diracs([(R(1, 3), R(2))])
    assert impulse.function(u) == 2 * sp.DiracDelta(u - R(1, 3))


def test_like_atoms_merge_and_opposite_ones_vanish() -> None:
    ray = (HalfSpace(sp.S.One, sp.S.Zero, 0),)
    atoms = [Atom(R(2), 1), Atom(R(3), 1), Atom(R(1), 1, spaces=ray), Atom(R(1), 0), Atom(R(-1), 0)]
    assert set(merge(atoms)) == {Atom(R(5), 1), Atom(R(1), 1, spaces=ray)}


def test_too_many_atoms_are_refused_before_they_are_integrated() -> None:
    with pytest.raises(OutsideClass, match="too many to integrate") as caught:
        expand(activation("(x + exp(x) + Phi(x))**30").pieces)
    assert "\n" not in str(caught.value)
