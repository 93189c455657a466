"""The heart: what is right is proved, and what is wrong is caught."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import mpmath
import pytest
import sympy as sp

from mehler.derive import fourier, powers, theorem
from mehler.derive import integrate as ladder
from mehler.derive import prove as judge
from mehler.derive.activation import activation
from mehler.derive.algebra import is_zero
from mehler.derive.dual import Dual, ProvedDual
from mehler.derive.errors import DeriveError, ProofError
from mehler.derive.evaluate import real_values
from mehler.derive.gaussian import Gaussian, HalfSpace
from mehler.derive.integrate import integrate
from mehler.derive.prove import prove
from mehler.derive.symbols import Delta, c, q, q1, q2
from mehler.numeric.precision.oracle import Oracle

R = sp.Rational
AT = ("2", "1/2", "-2/5")


@pytest.fixture(autouse=True, scope="module")
def _remembered() -> Iterator[None]:
    """Quadratures of the same activation at the same points, once: damage is done to formulas only."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("expectation_1d", "expectations_2d", "hermite_coefficients"):
            patch.setattr(judge, name, once(getattr(judge, name)))
        yield


def once(function: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[str, tuple[Any, DeriveError | None]] = {}

    def remembered(*args: Any) -> Any:
        key = repr(args)
        if key not in known:
            try:
                known[key] = function(*args), None
            except DeriveError as error:
                known[key] = None, error
        value, error = known[key]
        if error is not None:
            raise error
        return value

    return remembered


# Activation, values of its parameters for the oracle.
PROMISED: list[tuple[str, dict[str, str]]] = [
    ("step", {}),
    ("sign", {}),
    ("relu", {}),
    ("leaky_relu", {"a": "-1/3"}),
    ("abs", {}),
    ("relu2", {}),
    ("erf", {}),
    ("gelu", {}),
    ("sin", {}),
    ("cos", {}),
    ("exp", {"a": "3/5"}),
    ("gaussian", {}),
    ("identity", {}),
    ("cubic", {}),
    ("x**2 - x/2 + 1/3", {}),
    ("(1 - 2*x)**3", {}),
    ("exp(2*x)", {}),
]
IDS = [name for name, _ in PROMISED]


@pytest.mark.parametrize(("name", "params"), PROMISED, ids=IDS)
def test_promised_activations_have_a_proved_closed_form(
    name: str, params: dict[str, str], derive: Callable[..., ProvedDual]
) -> None:
    result = derive(name)
    assert result.status == "closed-form"
    assert result.proof.passed
    assert len(result.proof.checks) == len(judge.CHECKS)
    assert [s.name for s in result.activation.parameters] == list(params)


@pytest.mark.parametrize(("name", "params"), PROMISED, ids=IDS)
def test_promised_values_agree_with_quadrature(
    name: str, params: dict[str, str], derive: Callable[..., ProvedDual], value: Callable[..., Any]
) -> None:
    """The formulas as shown to the user, against an oracle that shares nothing with the derivation."""
    result = derive(name)
    text = str(result.activation.text)
    oracle = Oracle({"leaky_relu": "where(x > 0, x, a*x)", "exp": "exp(a*x)"}.get(text, text), params, 25).both(*AT)
    point = {q1: R(2), q2: R(1, 2), c: R(-2, 5)}
    point |= {s: R(params[s.name]) for s in result.activation.parameters}
    shown = (value(result.kernel, point, 40), value(result.kernel_dot, point, 40))
    evaluated = result.evaluate(*AT, digits=25, **params)
    with mpmath.workdps(40):
        for exact, *others in zip(oracle, shown, evaluated, strict=True):
            for other in others:
                assert abs(other - exact) <= mpmath.mpf("1e-23") * abs(exact)


@pytest.mark.parametrize("name", IDS)
def test_price_is_proved_exactly(name: str, derive: Callable[..., ProvedDual]) -> None:
    checks = {check.name: check for check in derive(name).proof.checks}
    assert checks["dK/dc = E[phi'(u) phi'(v)]"].kind == "symbolic"
    assert checks["simplified = derived"].kind == "symbolic"


def test_variance_derivative(derive: Callable[..., ProvedDual], integrated: Callable[..., Dual]) -> None:
    """2 ∂K/∂q1 = E[φ''(u)φ(v)], which for φ = sin is −K and for exp(ax) is a²K."""
    sin, exp = derive("sin").kernel, integrated("exp").kernel
    assert is_zero(2 * sp.diff(sin, q1) + sin)
    assert is_zero(2 * sp.diff(exp, q1) - sp.Symbol("a", real=True) ** 2 * exp)


@pytest.mark.parametrize("name", ["step", "sign"])
def test_distributional_derivative_is_price_exactly(name: str, derive: Callable[..., ProvedDual]) -> None:
    result = derive(name, "distribution")
    assert is_zero(sp.diff(result.kernel, c) - result.kernel_dot)
    assert is_zero(result.kernel_dot - result.kernel_dot.subs(c, -c))
    assert result.kernel_dot_diag is sp.oo
    assert result.jumps == "distribution"


@pytest.mark.parametrize("name", ["step", "sign"])
def test_almost_everywhere_derivative_is_zero_and_says_so(name: str, derive: Callable[..., ProvedDual]) -> None:
    result = derive(name)
    assert (result.kernel_dot, result.kernel_dot_diag) == (0, 0)
    assert result.jumps == "almost-everywhere"
    assert is_zero(result.dual.impulses - derive(name, "distribution").kernel_dot)


def test_continuous_activations_have_one_derivative(derive: Callable[..., ProvedDual]) -> None:
    assert derive("relu", "distribution").kernel_dot == derive("relu").kernel_dot
    assert derive("relu", "distribution").kernel_dot_diag == R(1, 2)


def test_the_proof_does_not_know_the_theorem() -> None:
    rules = ["integrate", "theorem", "orthant", "fourier", "powers"]
    code = f"import sys, mehler.derive.prove; sys.exit(any('mehler.derive.' + r in sys.modules for r in {rules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


# Damage. Each takes a right dual and returns a wrong one.

Damage = Callable[[Dual], Dual]


def changed(dual: Dual, name: str, change: Callable[[sp.Expr], sp.Expr]) -> Dual:
    """One formula changed consistently: as derived and as shown."""
    formulas = replace(dual.formulas, **{name: change(getattr(dual.formulas, name))})
    return replace(dual, formulas=formulas, **{name: change(getattr(dual, name))})


def everywhere(change: Callable[[sp.Expr], sp.Expr]) -> Damage:
    def damage(dual: Dual) -> Dual:
        for name in ("kernel", "kernel_dot", "kernel_diag", "kernel_dot_diag"):
            dual = changed(dual, name, change)
        return dual

    return damage


def one_term_less(dual: Dual, name: str, index: int) -> Dual:
    left = [t for i, t in enumerate(sp.Add.make_args(sp.expand(getattr(dual, name)))) if i != index]
    return changed(dual, name, lambda _: sp.Add(*left))


def swapped_once(expr: sp.Expr) -> sp.Expr:
    """q1 and q2 exchanged in the argument of the first asin."""
    angle = sorted(expr.atoms(sp.asin), key=sp.default_sort_key)[0]
    return expr.xreplace({angle: angle.subs({2 * q2 + 1: 2 * q1 + 1, q2 + 1: q1 + 1})})


DAMAGE: list[tuple[str, str, Damage]] = [
    ("sign of K", "relu", lambda d: changed(d, "kernel", lambda k: -k)),
    ("sign of K, odd", "sin", lambda d: changed(d, "kernel", lambda k: -k)),
    ("K + constant", "abs", lambda d: changed(d, "kernel", lambda k: k + R(1, 100))),
    ("K + f(q1, q2)", "sin", lambda d: changed(d, "kernel", lambda k: k + q1 * q2 / 10**9)),
    ("K off by 1e-15", "relu2", lambda d: changed(d, "kernel", lambda k: k * (1 + R(1, 10**15)))),
    ("K' doubled", "relu", lambda d: changed(d, "kernel_dot", lambda k: 2 * k)),
    ("K' doubled, exp", "exp", lambda d: changed(d, "kernel_dot", lambda k: 2 * k)),
    ("K' of K", "relu", lambda d: changed(d, "kernel_dot", lambda _: d.kernel)),
    ("everything doubled", "relu", everywhere(lambda k: 2 * k)),
    ("everything off by 1e-15", "erf", everywhere(lambda k: k * (1 + R(1, 10**15)))),
    ("q1, q2 mixed up, erf", "erf", lambda d: changed(d, "kernel", swapped_once)),
    ("c for |c|", "sin", lambda d: changed(d, "kernel", lambda k: k.subs(c, sp.Abs(c)))),
    ("diagonal of K", "relu", lambda d: changed(d, "kernel_diag", lambda k: 2 * k)),
    ("diagonal of K, slightly", "relu2", lambda d: changed(d, "kernel_diag", lambda k: k + q / 10**12)),
    ("diagonal of K'", "relu", lambda d: changed(d, "kernel_dot_diag", lambda _: R(1, 4))),
    ("diagonal of K', steps", "sign", lambda d: changed(d, "kernel_dot_diag", lambda _: q)),
    ("shown K", "relu", lambda d: replace(d, kernel=d.kernel + c / 10**9)),
    ("shown K'", "sin", lambda d: replace(d, kernel_dot=-d.kernel_dot)),
    ("shown diagonal", "cos", lambda d: replace(d, kernel_diag=d.kernel_diag + 1)),
    ("shown diagonal of K'", "relu", lambda d: replace(d, kernel_dot_diag=d.kernel_diag)),
    ("impulses lost", "sign", lambda d: replace(d, impulses=sp.S.Zero)),
    ("impulses doubled", "step", lambda d: replace(d, impulses=2 * d.impulses)),
    ("Delta lost", "relu", lambda d: changed(d, "kernel", lambda k: k.subs(Delta, q1 * q2))),
    ("parameter", "leaky_relu", lambda d: everywhere(lambda k: k.subs(sp.Symbol("a", real=True), 0))(d)),
    *(
        (f"{name} of {text} without term {i}", text, lambda d, n=name, i=i: one_term_less(d, n, i))
        for text, name, terms in [("relu", "kernel", 3), ("relu", "kernel_dot", 2)]
        for i in range(terms)
    ),
]


@pytest.mark.parametrize(("text", "damage"), [item[1:] for item in DAMAGE], ids=[item[0] for item in DAMAGE])
def test_a_damaged_dual_is_refused(text: str, damage: Damage, integrated: Callable[..., Dual]) -> None:
    with pytest.raises(ProofError, match="failed its proof") as caught:
        prove(damage(integrated(text)))
    assert "\n" not in str(caught.value)


def test_a_damaged_distributional_derivative_is_refused(integrated: Callable[..., Dual]) -> None:
    with pytest.raises(ProofError, match="dK/dc"):
        prove(changed(integrated("sign", "distribution"), "kernel_dot", lambda k: 2 * k))


def test_the_message_names_what_failed(integrated: Callable[..., Dual]) -> None:
    with pytest.raises(ProofError, match=r"'relu' failed its proof \(diagonal") as caught:
        prove(changed(integrated("relu"), "kernel_diag", lambda k: k + 1))
    assert "dK/dc" not in str(caught.value)


# One check, one fault that it alone catches. All are faults of E[cos(u)cos(v)], even in c and symmetric.

NAMES = {
    "price": "dK/dc = E[phi'(u) phi'(v)]",
    "curvature": "2 dK/dq1 = E[phi''(u) phi(v)]",
    "shown": "simplified = derived",
    "parity": "even in c, as phi is even",
    "diagonal": "diagonal is the limit",
    "independence": "K at c = 0 is E[phi(u)] E[phi(v)]",
    "hermite": "Mehler's series in Hermite coefficients",
    "diagonal quadrature": "diagonal by quadrature",
    "quadrature": "K and K' by quadrature, also |rho| > 0.99, q2/q1 = 1e4",
}
# What 28 digits see and 25 do not.
SLIGHT = R(1, 10**26)
DET = q1 * q2 - c**2


def added(g: sp.Expr, dual: Dual, *, diagonal: sp.Expr = sp.S.Zero) -> Dual:
    """K + g, with the derivatives in c and q1, and the diagonal of K, that belong to it."""
    dual = changed(dual, "kernel", lambda k: k + g)
    dual = changed(dual, "kernel_dot", lambda k: k + sp.diff(g, c))
    dual = changed(dual, "kernel_diag", lambda k: k + diagonal)
    curvature = dual.formulas.curvature + 2 * sp.diff(g, q1)
    return replace(dual, formulas=replace(dual.formulas, curvature=curvature))


ALONE: list[tuple[str, Damage]] = [
    ("price", lambda d: changed(d, "kernel_dot", lambda k: k + SLIGHT * c)),
    ("curvature", lambda d: replace(d, formulas=replace(d.formulas, curvature=d.formulas.curvature * (1 + SLIGHT)))),  # noqa: E501
    ("shown", lambda d: replace(d, kernel=d.kernel + SLIGHT * q1 * q2)),
    # One check, by the name of what it asks of an even φ.
    ("parity", lambda d: added(SLIGHT * q1 / q2, d)),
    ("parity", lambda d: added(SLIGHT * c / 50, d)),
    # Large next to Δ = 0, and nowhere else.
    ("diagonal", lambda d: added(sp.exp(-5000 * DET / (q1 * q2)), d)),
    ("diagonal quadrature", lambda d: added(sp.exp(-((600 * DET / (q1 * q2)) ** 4)), d, diagonal=sp.S.One)),
    # Large next to c = 0, and at |ρ| = 1/50.
    ("independence", lambda d: added(sp.exp(-(10**6) * c**2 / (q1 * q2)), d)),
    ("hermite", lambda d: added(sp.exp(-(10**12) * (c**2 / (q1 * q2) - R(1, 2500)) ** 2), d)),
    # Small next to all of these.
    ("quadrature", lambda d: added((c**2 / (q1 * q2)) ** 12 * (DET / (q1 * q2)) ** 20, d)),
]  # fmt: skip


def failing(dual: Dual) -> set[str]:
    checks = [
        check(dual)
        for check in judge.CHECKS
        if dual.formulas.curvature is not None or check is not judge._curvature
    ]
    return {check.name for check in checks if not check.passed}


@pytest.mark.parametrize(("check", "damage"), ALONE, ids=[f"{n}-{name}" for n, (name, _) in enumerate(ALONE)])
def test_each_check_catches_what_no_other_does(check: str, damage: Damage, integrated: Callable[..., Dual]) -> None:
    assert failing(damage(integrated("cos"))) == {NAMES[check]}


def test_no_check_is_without_a_fault_of_its_own(integrated: Callable[..., Dual]) -> None:
    assert {name for name, _ in ALONE} == set(NAMES)
    assert len(NAMES) == len(judge.CHECKS)
    assert failing(integrated("cos")) == set()


def test_a_limit_that_is_wrong_only_next_to_the_diagonal_is_caught(integrated: Callable[..., Dual]) -> None:
    assert failing(added(sp.exp(-(10**6) * DET / (q1 * q2)), integrated("cos"))) == {NAMES["diagonal"]}


def test_the_points_are_hard_and_the_same_in_every_run() -> None:
    phi = activation("x*Phi(x)")
    points = judge.random_points(phi)
    assert points == judge.random_points(activation("x*Phi(x)"))
    assert points != judge.random_points(activation("Phi(x)*x"))
    squares = [point[c] ** 2 / (point[q1] * point[q2]) for point in points]
    assert all(square < 1 for square in squares)
    assert any(square > R(99, 100) ** 2 for square in squares)
    assert any(point[q2] / point[q1] >= 10**4 for point in points)
    assert all(point[Delta] == point[q1] * point[q2] - point[c] ** 2 for point in points)


# Wrong rules: the theorem itself is damaged, and derives consistently wrong formulas.


def refused(text: str) -> None:
    """A proof fails as soon as one check does. Quick ones first: a wrong formula may be slow to settle nowhere."""
    dual = integrate(activation(text), "almost-everywhere")
    quick = (judge._independence, judge._hermite, judge._diagonal_quadrature, judge._price)
    assert not all(check(dual).passed for check in sorted(judge.CHECKS, key=lambda check: check not in quick))


def _tilt_without_mass(self: Gaussian, alpha: Any, right: Any = Gaussian.tilt) -> Any:
    return sp.S.One, right(self, alpha)[1]


def _tilt_by_alpha(self: Gaussian, alpha: Any, right: Any = Gaussian.tilt) -> Any:
    return right(self, (alpha[0] / 2, alpha[1] / 2))


def _tilt_one_side(self: Gaussian, alpha: Any, right: Any = Gaussian.tilt) -> Any:
    D, tilted = right(self, alpha)
    return D, replace(tilted, var=(tilted.var[0], self.var[1]))


def _shift_without_half(self: Gaussian, beta: Any, right: Any = Gaussian.shift) -> Any:
    exponent, shifted = right(self, beta)
    return 2 * exponent, shifted


def _shift_without_cov(self: Gaussian, beta: Any, right: Any = Gaussian.shift) -> Any:
    return right(self, beta)[0], replace(self, mean=(self.var[0] * beta[0], self.var[1] * beta[1]))


def _condition_keeps_variance(self: Gaussian, axis: int, space: HalfSpace, right: Any = Gaussian.condition) -> Any:
    return replace(right(self, axis, space), var=self.var)


def _condition_keeps_mean(self: Gaussian, axis: int, space: HalfSpace, right: Any = Gaussian.condition) -> Any:
    return replace(right(self, axis, space), mean=self.mean)


def _condition_wrong_axis(self: Gaussian, axis: int, space: HalfSpace, right: Any = Gaussian.condition) -> Any:
    conditioned = right(self, axis, space)
    return replace(conditioned, var=conditioned.var[::-1])


def _form_without_noise(self: Gaussian, axis: int, space: HalfSpace, right: Any = Gaussian.form) -> Any:
    mean, variance = right(self, axis, space)
    return mean, sp.together(variance + space.noise**2)


GAUSSIAN_RULES: list[tuple[str, str, Callable[..., Any]]] = [
    ("tilt", "gaussian", _tilt_without_mass),
    ("tilt", "gaussian", _tilt_by_alpha),
    ("tilt", "x*exp(-x**2)", _tilt_one_side),
    ("shift", "exp(x)", _shift_without_half),
    ("shift", "cos(x)", _shift_without_half),
    ("shift", "x*exp(x)", _shift_without_cov),
    ("condition", "relu", _condition_keeps_variance),
    ("condition", "gelu", _condition_keeps_variance),
    ("condition", "max(0, x)**2", _condition_wrong_axis),
    ("condition", "x*Phi(x) + Phi(x + 1)", _condition_keeps_mean),
    ("form", "erf", _form_without_noise),
]


@pytest.mark.parametrize(
    ("method", "text", "wrong"), GAUSSIAN_RULES, ids=[f"{w.__name__}-{t}" for _, t, w in GAUSSIAN_RULES]
)
def test_a_wrong_rule_is_caught(
    method: str, text: str, wrong: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gaussian, method, wrong)
    refused(text)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [R(1, 2), -1, sp.sqrt(2)])
@pytest.mark.parametrize("rule", ["_density_at_zero", "orthant"])
def test_a_wrong_constant_in_the_theorem_is_caught(
    rule: str, factor: sp.Expr, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among them Stein's boundary term with its sign flipped."""
    right = getattr(theorem, rule)
    monkeypatch.setattr(theorem, rule, lambda *args: factor * right(*args))
    refused("max(0, x) + 1")


@pytest.mark.parametrize("text", ["max(0, x)", "x*Phi(x)", "erf(x)", "exp(x)*step(x)"])
def test_a_correlation_of_the_wrong_sign_is_caught(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = theorem.orthant

    def wrong(mean: Any, cov: Any) -> sp.Expr:
        return right(mean, {(i, j): v if i == j else -v for (i, j), v in cov.items()})

    monkeypatch.setattr(theorem, "orthant", wrong)
    refused(text)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["1/(1 + x**2)", "sin(x)/x"])
def test_a_wrong_mass_of_the_frequencies_is_caught(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """φ = (1/2π) ∫ …, left out on both sides."""
    monkeypatch.setattr(fourier, "PAIR_MASS", 2 * sp.pi * fourier.PAIR_MASS)
    monkeypatch.setattr(fourier, "SINGLE_MASS", sp.sqrt(2 * sp.pi) * fourier.SINGLE_MASS)
    refused(text)


@pytest.mark.slow
def test_a_transform_of_the_wrong_side_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frequencies of covariance Σ⁻¹ with c for −c: that of φ(u)φ(−v)."""
    monkeypatch.setattr(fourier, "PAIR", replace(fourier.PAIR, cov=-fourier.PAIR.cov))
    refused("x/(1 + x**2)")


class _WrongGamma:
    """SymPy with Γ(z + ½) for Γ(z)."""

    gamma = staticmethod(lambda z: sp.gamma(z + R(1, 2)))

    def __getattr__(self, name: str) -> Any:
        return getattr(sp, name)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["abs(x)**(3/2)", "sqrt(abs(x))*sign(x)"])
def test_a_wrong_gamma_function_is_caught(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(powers, "sp", _WrongGamma())
    refused(text)


@pytest.mark.slow
def test_a_wrong_hypergeometric_function_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = powers._hypergeometric
    monkeypatch.setattr(powers, "_hypergeometric", lambda a, b, d: right(a, b, d + 1))
    refused("abs(x)**(3/2)")


@pytest.mark.slow
@pytest.mark.parametrize("text", ["erf(x)**2", pytest.param("x**2/(1 + x**2)", marks=pytest.mark.slow)])
def test_price_without_the_mean_is_caught(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = ladder._price
    monkeypatch.setattr(ladder, "_price", lambda mean, dot: right(sp.S.Zero, dot))
    dual = integrate(activation(text), "almost-everywhere")
    assert {NAMES["independence"], NAMES["diagonal quadrature"]} <= failing(dual)


@pytest.mark.parametrize("text", ["max(0, x)", "abs(x - 1)", "x*sign(x - 1/2)"])
def test_a_kink_missing_in_the_curvature_is_caught_by_its_check(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its Dirac at a kink φ'' is only what holds almost everywhere, and every other formula is right."""
    right, calls = ladder.diracs, []

    def once_forgotten(jumps: Any) -> Any:
        calls.append(jumps)
        return right(jumps) if len(calls) > 1 else ()

    monkeypatch.setattr(ladder, "diracs", once_forgotten)
    assert failing(integrate(activation(text), "almost-everywhere")) == {NAMES["curvature"]}


def test_a_jump_missing_in_the_impulses_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "diracs", lambda jumps: ())
    refused("sign(x)")


def test_the_dual_of_another_activation_is_refused(integrated: Callable[..., Dual]) -> None:
    with pytest.raises(ProofError, match="quadrature"):
        prove(replace(integrated("relu"), activation=activation("relu2")))


def test_what_is_too_hard_is_compared_at_smaller_variances() -> None:
    """And a wrong formula is caught there all the same."""
    asked = []

    def compare(point: Any, off: float = 0) -> tuple[list[Any], list[Any]]:
        asked.append(point[q1])
        assert point[Delta] == point[q1] * point[q2] - point[c] ** 2
        if point[q1] > sp.Rational(1, 1000):
            raise DeriveError("too hard")
        return [1 + point[q1] + off], [1 + point[q1]]

    points = judge.random_points(activation("x"))
    check = judge._compare("some check", compare, points)
    assert check.passed
    first = points[0][q1]
    assert asked[:3] == [first, first / 64, first / 64**2]
    assert len(asked) == len(points) + 2  # each later point at the scale that was found
    assert not judge._compare("some check", lambda at: compare(at, 1e-9), points).passed
    refused = judge._compare("some check", lambda at: expectation_refused(), points)
    assert not refused.passed
    assert (refused.kind, refused.detail) == ("undone", "never")


def test_values_that_cancel_are_compared_by_what_they_can_be() -> None:
    """E[sin(30u) sin(30v)] at ρ = 0.9 is 1e-20 of its integral of absolute values."""
    points = judge.random_points(activation("x"))
    assert judge._compare("some check", lambda _: ([1e-30], [3e-30], [1.0]), points).passed
    assert not judge._compare("some check", lambda _: ([1e-10], [3e-10], [1.0]), points).passed
    assert not judge._compare("some check", lambda _: ([1e-30], [3e-20], [1e-30]), points).passed


def test_the_diagonal_of_a_steep_kernel_is_its_limit(
    integrated: Callable[..., Dual], monkeypatch: pytest.MonkeyPatch
) -> None:
    """1/(1 + 10⁸ Δ/q1²) is far from its limit 1 at 1 − ρ = 1e-10."""
    dual, steep = integrated("relu"), 1 / (1 + 10**8 * Delta / q1**2)
    assert judge._approach("limit", steep, sp.S.One, dual).passed
    assert not judge._approach("limit", steep, sp.Rational(9, 10), dual).passed

    def far_only(formulas: Any, point: Any, digits: int) -> Any:
        if 0 < point[Delta] < point[q1] ** 2 / 10**8:
            raise DeriveError("does not settle")
        return real_values(formulas, point, digits)

    monkeypatch.setattr(judge, "real_values", far_only)
    gentle = 1 / (1 + Delta / q1**2)
    check = judge._approach("limit", gentle, sp.S.One, dual)
    assert (check.passed, check.detail) == (True, "3 digits at 2 points")
    assert not judge._approach("limit", gentle, sp.Rational(9, 10), dual).passed


def expectation_refused() -> tuple[list[Any], list[Any]]:
    raise DeriveError("never")
