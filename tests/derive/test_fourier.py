"""φ̂ against φ: the inverse transform by quadrature gives φ back, and kernels agree with the oracle."""

from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import pytest
import sympy as sp

from mehler.derive import fourier
from mehler.derive.activation import activation
from mehler.derive.atoms import Atom
from mehler.derive.dual import Dual
from mehler.derive.errors import DivergentExpectation, OutsideClass
from mehler.derive.evaluate import real_values
from mehler.derive.symbols import Delta, c, k1, q, q1, q2
from mehler.numeric.precision.oracle import Oracle

R = sp.Rational

CLASS = [
    "sin(x)/x",
    "sin(x)**2/x**2",
    "(1 - cos(x))/x**2",
    "1/(1 + x**2)",
    "x/(1 + x**2)",
    "x/(1 + x**2)**2",
    "1/(1 + x**4)",
    "1/(1 + (x - 1)**2)",
    "cos(x)/(1 + x**2)",
    "x*sin(2*x + 1)/(4 + x**2)",
    "sin(x)*cos(x)/x",
    "(x - sin(x))/x**3",
    "(2*x + 1)/(x**2 + x + 1)",
]


def transform(text: str) -> tuple[Atom, ...]:
    return fourier.transform(activation(text).pieces)


def edges(atoms: tuple[Atom, ...]) -> list[Any]:
    """Where φ̂ has a knot."""
    knots = {-s.offset / s.slope for atom in atoms for s in atom.spaces} | {sp.S.Zero}
    return [mpmath.mpmathify(sp.N(k, 40)) for k in sorted(knots)]


def inverse(atoms: tuple[Atom, ...], at: Any) -> Any:
    """(1/2π) ∫ φ̂(k) e^{ikx} dk, piece by piece, with what does not decay cut where it cancels to 0."""
    total = sum(atom.function(k1) for atom in atoms).evalf(30)
    f = sp.lambdify(k1, total, [{"Heaviside": _step}, "mpmath"])
    ends = edges(atoms)
    far = [mpmath.mpf(n) for n in (1, 3, 8, 20, 50, 120)]
    grid = [ends[0] - d for d in reversed(far)] + ends + [ends[-1] + d for d in far]
    return mpmath.quad(lambda k: f(k) * mpmath.expj(k * at), grid) / (2 * mpmath.pi)


def _step(k: Any, at_zero: Any = None) -> Any:
    return (1 + mpmath.sign(k)) / 2


@pytest.mark.parametrize("text", CLASS)
def test_the_inverse_transform_gives_the_function_back(text: str) -> None:
    atoms = transform(text)
    phi = activation(text).expr
    with mpmath.workdps(25):
        for at in (R(-17, 10), R(3, 7), R(29, 10)):
            value = inverse(atoms, mpmath.mpf(int(at.p)) / int(at.q))
            exact = mpmath.mpmathify(sp.N(phi.subs(sp.Symbol("x", real=True), at), 25))
            assert abs(value - exact) < 1e-15, (at, value, exact)


@pytest.mark.parametrize("text", CLASS)
def test_the_transform_is_a_finite_sum_of_bounded_atoms(text: str) -> None:
    """Rays point to where they decay, so that no term is larger than φ̂."""
    for atom in transform(text):
        rate = sp.re(atom.beta)
        assert atom.alpha == 0
        assert all(not s.noise for s in atom.spaces)
        assert rate == 0 or (all(sp.sign(rate * s.slope) < 0 for s in atom.spaces) and atom.spaces)


KERNELS = [
    "1/(1 + x**2)",
    "x/(1 + x**2)",
    pytest.param("1/(1 + (x - 1)**2)", marks=pytest.mark.slow),
    pytest.param("cos(x)/(1 + x**2)", marks=pytest.mark.slow),
    pytest.param("1/(1 + x**4)", marks=pytest.mark.slow),
]
AT = {q1: R(3, 2), q2: R(2, 3), c: R(-3, 5), Delta: R(16, 25), q: R(3, 2)}


def assert_values(dual: Dual, exact: Sequence[Any], diagonal: Sequence[Any] = ()) -> None:
    assert dual.status == "closed-form"
    assert any("Fourier" in step.rule for step in dual.steps)
    derived = (dual.formulas.kernel, dual.formulas.kernel_dot)
    for formulas in (derived, (dual.kernel, dual.kernel_dot)):
        for value, right in zip(real_values(list(formulas), AT, 20), exact, strict=True):
            assert abs(value - right) <= 1e-18 * (1 + abs(right))
    if diagonal:
        shown = real_values([dual.kernel_diag, dual.kernel_dot_diag], AT, 20)
        assert all(abs(value - right) <= 1e-18 for value, right in zip(shown, diagonal, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("text", KERNELS)
def test_kernels_agree_with_the_oracle(text: str, integrated: Callable[..., Dual]) -> None:
    oracle = Oracle(text, {}, 20)
    assert_values(integrated(text), oracle.both("3/2", "2/3", "-3/5"), oracle.diagonal("3/2"))


WINDOWS = [
    ("sin(x)/x", lambda k: 1),
    pytest.param("(1 - cos(x))/x**2", lambda k: 1 - k, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("text", "window"), WINDOWS, ids=["sinc", "1 - cos"])
def test_kernels_of_windows(text: str, window: Callable[[Any], Any], integrated: Callable[..., Dual]) -> None:
    """φ = ∫₀¹ w(k) cos(kx) dk, and E cos(ku) cos(lv) = exp(−½(k²q1 + l²q2)) cosh(klc)."""
    with mpmath.workdps(25):
        a, b, ab = mpmath.mpf(3) / 2, mpmath.mpf(2) / 3, mpmath.mpf(-3) / 5

        def kernel(k: Any, m: Any) -> Any:
            return window(k) * window(m) * mpmath.exp(-(k**2 * a + m**2 * b) / 2) * mpmath.cosh(k * m * ab)

        def kernel_dot(k: Any, m: Any) -> Any:
            wave = k * m * mpmath.exp(-(k**2 * a + m**2 * b) / 2) * mpmath.sinh(k * m * ab)
            return window(k) * window(m) * wave

        exact = [mpmath.quad(f, [0, 1], [0, 1], method="gauss-legendre") for f in (kernel, kernel_dot)]
    assert_values(integrated(text), exact)


@pytest.mark.parametrize("text", ["1/x", "1/x**2", "1/(x - 1)", "cos(x)/x", "sin(x)/x**2", "x/(x**2 - 2)"])
def test_a_pole_on_the_line_diverges(text: str) -> None:
    with pytest.raises(DivergentExpectation, match="infinite at x = ") as caught:
        transform(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["x**3/(1 + x**2)", "x + 1/(1 + x**2)", "x**3*sin(x)/(1 + x**2)", "x"])
def test_what_is_not_bounded_at_infinity_is_outside(text: str) -> None:
    with pytest.raises(OutsideClass) as caught:
        transform(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "rest", "waves"),
    [
        ("x**2/(1 + x**2)", "-1/(1 + x**2)", {0: 1}),
        ("1 - 1/(1 + x**2)", "-1/(1 + x**2)", {0: 1}),
        ("(2*x**2 + x)/(4 + x**2)", "(x - 8)/(4 + x**2)", {0: 2}),
        ("3*cos(2*x) + 1/(1 + x**2)", "1/(1 + x**2)", {2: R(3, 2), -2: R(3, 2)}),
        ("x**2*sin(x)/(1 + x**2)", "-sin(x)/(1 + x**2)", {1: -sp.I / 2, -1: sp.I / 2}),
    ],
)
def test_what_is_left_at_infinity_is_an_impulse(text: str, rest: str, waves: dict[int, sp.Expr]) -> None:
    atoms = transform(text)
    impulses = {atom.dirac: atom.coefficient for atom in atoms if atom.dirac is not None}
    assert impulses == {k: 2 * sp.pi * weight for k, weight in waves.items()}
    assert {atom for atom in atoms if atom.dirac is None} == set(transform(rest))


@pytest.mark.parametrize("text", ["max(0, x)/(1 + x**2)", "1/(1 + abs(x))", "where(x > 1, 1/x, 0)"])
def test_knots_are_outside(text: str) -> None:
    with pytest.raises(OutsideClass, match="changes at the knot"):
        transform(text)


@pytest.mark.parametrize(
    "text", ["exp(x)/(1 + x**2)", "1/cosh(x)", "exp(-x**2)/(1 + x**2)", "sin(x**2)/x", "tanh(x)/x"]
)
def test_what_is_no_rational_times_waves_is_outside(text: str) -> None:
    with pytest.raises(OutsideClass):
        transform(text)


def test_a_parameter_in_a_pole() -> None:
    """1/(a² + x²) → (π/a) e^{−a|k|}."""
    a = sp.Symbol("a", positive=True)
    atoms = fourier.transform(activation("1/(a**2 + x**2)", {"a": "positive"}).pieces)
    total = sum(atom.function(k1) for atom in atoms)
    for k, exact in ((R(2), sp.pi / a * sp.exp(-2 * a)), (R(-3), sp.pi / a * sp.exp(-3 * a))):
        assert sp.simplify(total.subs(k1, k) - exact) == 0


def test_parseval() -> None:
    """∫ |φ̂|² dk = 2π ∫ φ² dx, for φ = sin(x)/x on both sides π."""
    atoms = transform("sin(x)/x")
    total = sp.lambdify(k1, sum(atom.function(k1) for atom in atoms), [{"Heaviside": _step}, "mpmath"])
    with mpmath.workdps(20):
        energy = mpmath.quad(lambda k: abs(total(k)) ** 2, [-4, -1, 1, 4])
        assert abs(energy - 2 * mpmath.pi**2) < 1e-16
