"""Roots of smooth functions: their number, their places by mpmath's findroot, and what is refused."""

import pickle
from collections.abc import Sequence

import mpmath
import pytest
import sympy as sp

from mehler.derive.errors import OutsideClass
from mehler.derive.evaluate import compile_function, context
from mehler.derive.roots import is_zero, locate
from mehler.derive.special import Phi
from mehler.derive.symbols import x

R = sp.Rational
SIGMOID = 1 / (1 + sp.exp(-x))


@pytest.mark.parametrize(
    ("g", "starts"),
    [
        (x * SIGMOID - 6, [6]),
        (x * SIGMOID + R(1, 10), [-3.5, -0.2]),
        (sp.log(1 + sp.exp(x)) - 1, [0.5]),
        (x**5 - x - 1, [1.2]),
        (x**3 - 2 * x + R(1, 3), [-1.5, 0.17, 1.3]),
        (sp.exp(x) - x**3, [1.9, 4.5]),
        (x * (1 - sp.tanh(x)) - sp.exp(-(x**2)), [1.3]),
        (x * Phi(x) + R(1, 10), [-1.5, -0.25]),
        (sp.exp(-(x**2)) - R(1, 10**30), [-8.3, 8.3]),
        (sp.asinh(5 * x) - x, [-3.3, 0, 3.3]),
        (sp.cosh(x) - 3 * sp.sqrt(1 + x**2), [-2.5, 2.5]),
    ],
    ids=str,
)
def test_all_real_roots(g: sp.Expr, starts: Sequence[float]) -> None:
    found = locate(g)
    assert found.radius is sp.oo
    ctx = context(50)
    f = compile_function(g, ctx)
    right = [ctx.findroot(lambda t: f({x: t}), start) for start in starts]
    for root, known in zip(found.roots, right, strict=True):
        assert abs(ctx.mpf(root._to_mpmath(180) if root.is_Atom else str(root.n(50))) - known) < ctx.mpf(10) ** -45


@pytest.mark.parametrize(
    ("g", "roots"),
    [
        (x - sp.tanh(x), (0,)),
        (x - sp.sin(x), (0,)),
        (sp.tanh(x) - sp.erf(x), (0,)),
        (x * sp.exp(-x) - sp.exp(-1), (1,)),
        (2 ** (x + 1) - x - 2, (-1, 0)),
        (sp.sin(x) - 1 + 2 * (x - sp.pi / 2) ** 2, (sp.pi / 2,)),
        (sp.log(1 + x**2), (0,)),
        (sp.exp(x) + x**2, ()),
        (sp.cos(x) - 2, ()),
    ],
    ids=str,
)
def test_roots_that_are_simple_numbers(g: sp.Expr, roots: tuple[sp.Expr, ...]) -> None:
    """Multiple ones among them, which no sign tells."""
    found = locate(g)
    assert found.radius is sp.oo
    assert found.roots == roots


@pytest.mark.parametrize(
    ("g", "step", "first"),
    [
        (sp.sin(x), sp.pi, [sp.S.Zero]),
        (sp.cos(2 * x) - R(1, 2), sp.pi, [sp.pi / 6, -sp.pi / 6]),
        (sp.sin(x / 2) ** 3, 2 * sp.pi, [sp.S.Zero]),
    ],
    ids=str,
)
def test_roots_without_end(g: sp.Expr, step: sp.Expr, first: list[sp.Expr]) -> None:
    found = locate(g)
    every = [root + n * step for root in first for n in range(-140, 140)]
    assert float(found.radius) > 200
    assert set(found.roots) == {root for root in every if abs(float(root)) <= found.radius}
    assert list(found.roots) == sorted(found.roots, key=float)


def test_roots_that_come_near_those_of_a_periodic_function() -> None:
    """sin x = e^{−x}: one root beside each nπ, n > 0, and e^{−nπ} from it at last."""
    found = locate(sp.sin(x) - sp.exp(-x), sp.S.Zero)
    ctx = context(30)
    assert len(found.roots) == 123
    for n, root in enumerate(found.roots[1:20], 1):
        assert ctx.sign(ctx.mpf(root._to_mpmath(200)) - n * ctx.pi) == (-1 if n % 2 else 1)


def test_only_roots_between_the_ends_are_needed() -> None:
    assert locate(sp.sqrt(x) - x**2, sp.S.Zero).roots == (1,)
    assert locate(sp.sin(x), R(7, 2), sp.Integer(7)).radius is sp.oo
    assert locate(x**3 - x, sp.S.Zero, sp.S.One).roots == ()


def test_many_digits_of_a_root() -> None:
    (root,) = locate(x - 2 * sp.tanh(x), sp.S.Zero).roots
    with mpmath.workdps(320):
        exact = mpmath.findroot(lambda t: t - 2 * mpmath.tanh(t), 1.9)
        assert abs(mpmath.mpf(root._to_mpmath(1060)) - exact) < mpmath.mpf(10) ** -315


def test_a_root_is_a_number_like_pi() -> None:
    (root,) = locate(x - 2 * sp.tanh(x), sp.S.Zero).roots
    assert root.is_number
    assert not root.free_symbols
    assert not root.has(x)
    assert sp.diff(root * x, x) == root
    assert root == pickle.loads(pickle.dumps(root))
    assert root != sp.pi
    assert sp.expand((root + 1) ** 2 - root**2 - 2 * root - 1) == 0
    assert (root - 2).is_negative
    assert "tanh" in str(root)
    assert "1.91501" in str(root)


def test_a_number_that_is_zero() -> None:
    (root,) = locate(x - 2 * sp.tanh(x), sp.S.Zero).roots
    assert is_zero(root - 2 * sp.tanh(root))
    assert not is_zero(root - R("1.9150080481545374"))
    assert is_zero(sp.sqrt(2) * sp.sqrt(3) - sp.sqrt(6))


@pytest.mark.parametrize(
    ("g", "says"),
    [
        (sp.sin(1000 * x), "too often"),
        (sp.sin(x**3), "too often"),
        (sp.sin(1 / x), "cannot tell"),
        (sp.tan(x), "cannot tell"),
        ((x - sp.log(2)) ** 2 * (1 + x**2), "cannot tell"),
        (sp.gamma(x), "gamma"),
    ],
    ids=str,
)
def test_what_cannot_be_located_is_refused(g: sp.Expr, says: str) -> None:
    with pytest.raises(OutsideClass, match=says) as caught:
        locate(g)
    assert "\n" not in str(caught.value)
