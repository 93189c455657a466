import pytest
import sympy as sp

from mehler.derive.activation import activation
from mehler.derive.atoms import Atom, expand
from mehler.derive.gaussian import HalfSpace
from mehler.derive.pieces import Pieces
from mehler.derive.special import Phi
from mehler.derive.symbols import x

R = sp.Rational
HERE = {x: R(3, 7)}


def value(atom: Atom) -> sp.Expr:
    """The atom as a function: a half-space with a Gaussian of its own is a factor Φ."""
    total = atom.coefficient * x**atom.power * atom.growth()
    for space in atom.spaces:
        form = space.slope * x + space.offset
        total *= Phi(form) if space.noise else sp.Heaviside(form)
    return total


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
    total = sp.Add(*(value(atom) for atom in expand(activation(f"{text} + 0.5*x").pieces)))
    assert abs(sp.N((total - expr).subs(HERE), 30)) < 1e-25


def test_like_terms_merge_and_cancel() -> None:
    found = expand(activation("(x + 1)**2 - x**2 - x + Phi(x) - Phi(x)").pieces)
    assert set(found) == {Atom(sp.S.One, 0), Atom(sp.S.One, 1)}


def test_a_ray_keeps_its_own_direction() -> None:
    """eˣ·1[x < 0] is small; eˣ − eˣ·1[x > 0] would be the difference of two large terms."""
    left, right = expand(Pieces((sp.S.Zero,), (sp.exp(x), x)))
    assert left.spaces == (HalfSpace(-sp.S.One, sp.S.Zero, 0),)
    assert right.spaces == (HalfSpace(sp.S.One, sp.S.Zero, 0),)


def test_text_of_an_atom() -> None:
    (atom,) = expand(activation("x*Phi(2*x)").pieces)
    assert str(atom) == "(x)*Phi(2*x)"
    assert str(Atom(R(2), dirac=R(1, 3))) == "(2)*delta(x - 1/3)"
