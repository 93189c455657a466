"""The straight-line code is the formula, and keeps its digits where the angle is near 0 or π."""

from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import sympy as sp

from mehler.derive.dual import Dual, ProvedDual
from mehler.derive.emit.program import lower
from mehler.derive.stabilise import rules
from mehler.derive.stabilise.code import StraightLine
from mehler.derive.stabilise.stage import stabilise
from mehler.derive.symbols import Delta, c, q, q1, q2, rho, sin_theta

R = sp.Rational
MP = mpmath.mp.clone()
MP.dps = 60
DOUBLE = mpmath.mp.clone()
DOUBLE.prec = 53

NAMES = [
    *("step", "sign", "relu", "leaky_relu", "abs", "relu2", "erf", "gelu", "sin", "cos", "rff", "exp", "gaussian"),
    *("x**2 - x/2 + 1", "probit", "sin(x)**2", "step(x - 1)"),
]
# Variances, and the distance of the angle from 0 or from π.
VARIANCES = [("2", "0.5"), ("0.01", "30"), ("1", "1")]
ANGLES = ["1", "2.5", "1e-3", "1e-12", "-1e-3", "-1e-12"]


def number(text: str) -> Any:
    return MP.mpf(text)


def angle_of(text: str) -> Any:
    return MP.pi + number(text) if text.startswith("-") else number(text)


def state(v1: str, v2: str, angle: str, ctx: Any) -> dict[str, Any]:
    """(q1, q2, ρ, sin θ) and the parameter, each right to the context's last digit."""
    theta = angle_of(angle)
    values = {
        "q1": number(v1),
        "q2": number(v2),
        "c": MP.sqrt(number(v1) * number(v2)) * MP.cos(theta),
        "rho": MP.cos(theta),
        "sin_theta": MP.sin(theta),
        "a": number("-0.3"),
    }
    return {name: +ctx.mpf(value) for name, value in values.items()}


def direct(formula: sp.Expr, values: dict[str, Any]) -> Any:
    """The formula of the theorem at the state, in many digits."""
    v = {name: sp.Float(str(value), 70) for name, value in values.items()}
    norm = sp.sqrt(v["q1"] * v["q2"])
    point = {q1: v["q1"], q2: v["q2"], c: norm * v["rho"], Delta: (norm * v["sin_theta"]) ** 2, q: v["q1"]}
    return MP.mpf(str(sp.N(formula.subs({**point, sp.Symbol("a", real=True): v["a"]}), 50)))


@pytest.mark.parametrize("name", NAMES)
def test_the_code_is_the_formula(
    name: str, derive: Callable[..., ProvedDual], run: Callable[..., list[Any]]
) -> None:
    result = derive(name)
    stable = stabilise(result)
    formulas = result.dual.formulas
    pair, diagonal = lower(stable.pair), lower(stable.diagonal)
    for v1, v2 in VARIANCES:
        for angle in ANGLES:
            values = state(v1, v2, angle, MP)
            for got, formula in zip(run(pair, values, MP)[:2], (formulas.kernel, formulas.kernel_dot), strict=True):
                expected = direct(formula, values)
                assert abs(got - expected) <= number("1e-28") * (1 + abs(expected)), (v1, v2, angle)
        values = {"q": number(v1), "a": number("-0.3")}
        for got, formula in zip(
            run(diagonal, values, MP)[:2], (formulas.kernel_diag, formulas.kernel_dot_diag), strict=True
        ):
            expected = direct(
                formula,
                {"q1": values["q"], "q2": values["q"], "rho": MP.one, "sin_theta": MP.zero, "a": values["a"]},
            )
            assert abs(got - expected) <= number("1e-30") * (1 + abs(expected))


@pytest.mark.parametrize("name", ["relu", "step", "abs", "relu2", "erf", "gelu", "sin", "cos", "gaussian"])
def test_digits_are_kept_near_the_poles(
    name: str, derive: Callable[..., ProvedDual], run: Callable[..., list[Any]]
) -> None:
    """In 53 bits, at every distance from θ = 0 and π: K and K̇ to a few units of √(K11 K22)."""
    result = derive(name)
    pair, diagonal = lower(stabilise(result).pair), lower(stabilise(result).diagonal)
    for v1, v2 in [("2", "0.5"), ("3", "3.0000003")]:
        scales = [run(diagonal, {"q": number(v)}, MP) for v in (v1, v2)]
        for angle in ["1e-10", "1e-7", "1e-4", "1e-2", "1", "2", "3", "-1e-4", "-1e-7", "-1e-10"]:
            values = state(v1, v2, angle, DOUBLE)
            exact = run(pair, {key: MP.mpf(v) for key, v in values.items()}, MP)
            for got, right, one, two in zip(run(pair, values, DOUBLE), exact, *scales, strict=True):
                assert abs(MP.mpf(got) - right) <= 16 * MP.ldexp(1, -53) * MP.sqrt(one * two), (v1, v2, angle)


@pytest.mark.parametrize("name", ["relu", "abs"])
def test_relu_is_relatively_accurate_near_pi(
    name: str, derive: Callable[..., ProvedDual], run: Callable[..., list[Any]]
) -> None:
    """K̇ of ReLU is ψ/(2π) with ψ = π − θ: it is small, and has all its digits."""
    pair = lower(stabilise(derive("relu")).pair)
    for angle in ["-1e-3", "-1e-6", "-1e-9", "-1e-12"]:
        values = state("2", "0.5", angle, DOUBLE)
        _, dot = run(pair, values, DOUBLE)
        exact = MP.atan2(MP.mpf(values["sin_theta"]), -MP.mpf(values["rho"])) / (2 * MP.pi)
        assert abs(MP.mpf(dot) / exact - 1) < 4 * MP.ldexp(1, -53)


def value_at(expr: sp.Expr, point: dict[sp.Symbol, sp.Expr], run: Callable[..., list[Any]]) -> Any:
    inputs = tuple(sorted(expr.free_symbols, key=str))
    numbers = {s.name: MP.mpf(int(point[s].p)) / int(point[s].q) for s in inputs}
    return run(lower(StraightLine(inputs, (), (expr,))), numbers, MP)[0]


RULES: list[tuple[str, sp.Expr]] = [
    ("small_exponents", sp.exp(-q1) - 1),
    ("small_exponents", 3 * sp.exp(c) + 2 * sp.exp(-q1) - 5),
    ("small_exponents", q1 * (R(1, 2) - sp.exp(-2 * q1) / 2) + q2),
    ("small_exponents", sp.exp(c) + 1),
    ("growth", sp.exp(-q1) * sp.sinh(c)),
    ("growth", sp.exp(-q1 / 2 - q2 / 2) * sp.cosh(2 * c) * sp.sqrt(q1) + sp.sinh(c)),
    ("growth", sp.cosh(c) / (1 + sp.sinh(c) ** 2)),
    ("growth", sp.exp(c) * sp.sinh(-c) * sp.cosh(c / 3)),
    ("growth", q1 * sp.exp(sp.exp(-q1) * sp.sinh(q2))),
    ("exponents", sp.exp(-q1 / 2 - q2 / 2 + c)),
    ("exponents", 3 * sp.exp(-2 * q1 - q2 / 2 + c - 1) + q1),
    ("exponents", sp.exp(-q1 - q2 + sp.Abs(c))),
    ("exponents", sp.exp(-q1 - q2 - c)),
    ("exponents", sp.exp(c * q1)),
    ("angles", sp.asin(c / (sp.sqrt(q1) * sp.sqrt(q2)))),
    ("angles", sp.asin(2 * c / sp.sqrt((1 + 2 * q1) * (1 + 2 * q2))) + R(1, 3)),
    ("angles", c * sp.asin(-c / (sp.sqrt(q1) * sp.sqrt(q2))) + sp.pi / 2 * c),
]


@pytest.mark.parametrize(("rule", "expr"), RULES, ids=[f"{rule}: {expr}" for rule, expr in RULES])
def test_every_rule_keeps_the_value(
    rule: str, expr: sp.Expr, points: list[Any], run: Callable[..., list[Any]]
) -> None:
    rewritten = getattr(rules, rule)(expr)
    for point in points:
        theta = sp.acos(point[c] / sp.sqrt(point[q1] * point[q2]))
        norm = sp.sqrt(point[q1] * point[q2])
        values = {rho: sp.cos(theta), sin_theta: sp.sin(theta), rules.norm: norm}
        exact = {**point, **{s: sp.Rational(str(sp.N(v, 50))) for s, v in values.items()}}
        before = MP.mpf(str(sp.N(expr.subs(point), 50)))
        assert abs(value_at(rewritten, exact, run) - before) < number("1e-37") * (1 + abs(before))


def test_the_rules_take_effect() -> None:
    assert str(rules.small_exponents(sp.exp(-q1) - 1)) == "expm1(-q1)"
    assert not rules.growth(sp.exp(-q1) * sp.sinh(c)).has(sp.sinh)
    assert rules.exponents(sp.exp(-q1 / 2 - q2 / 2 + c)).has(rules.ExpGap)
    assert not rules.angles(sp.asin(c / (sp.sqrt(q1) * sp.sqrt(q2)))).has(sp.asin)


def test_no_formula_subtracts_c_squared(integrated: Callable[..., Dual], derive: Callable[..., ProvedDual]) -> None:
    """q1q2 − c² is an input of its own, the square of sin θ: nothing near the poles is formed by subtraction."""
    for name in ("relu", "erf", "gelu", "gaussian"):
        code = stabilise(derive(name)).pair
        values = [value for _, value in code.assignments] + list(code.outputs)
        assert any(value.has(sin_theta) for value in values)
        assert not any(value.has(-(c**2)) for value in values)


def test_what_is_used_twice_is_computed_once(derive: Callable[..., ProvedDual]) -> None:
    code = stabilise(derive("relu")).pair
    values = [value for _, value in code.assignments] + list(code.outputs)
    assert sum(len(value.atoms(sp.atan2)) for value in values) == 1
    assert [s.name for s in code.inputs] == ["q1", "q2", "c", "rho", "sin_theta"]
