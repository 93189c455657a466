"""Pairs that are apart: the code by arcs is the formula, and keeps its digits as far as it is used."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mpmath
import pytest
import sympy as sp

from mehler.derive.canonical import canonical
from mehler.derive.dual import ProvedDual
from mehler.derive.emit.program import lower
from mehler.derive.stabilise import apart
from mehler.derive.stabilise.expansion import Series, psi
from mehler.derive.stabilise.stage import Stable, stabilise
from mehler.derive.symbols import Delta, q1, q2, rho, sin_theta

MP = mpmath.mp.clone()
MP.dps = 50
DOUBLE = mpmath.mp.clone()
DOUBLE.prec = 53

ARCS = {  # how many arcs each has, that of θ itself not counted
    "relu": 0, "step": 0, "cubic": 0, "sin": 0, "cos": 0, "rff": 0, "exp": 0, "relu2": 0,
    "erf": 1, "gelu": 1, "gaussian": 1, "x*erf(x)": 1, "erf(a*x)": 1, "erf(-3*x)": 1, "x*exp(-x**2)": 1,
    "erf(x) + x*exp(-x**2)": 1, "erf(x)*exp(-x**2)": 4,
}  # fmt: skip
HEAVY = {"erf(-3*x)", "erf(x) + x*exp(-x**2)", "erf(x)*exp(-x**2)", "erf(a*x)"}  # to derive, and like others
VARIANCES = [("2", "0.5"), ("0.01", "30"), ("1e8", "1e8"), ("1e-9", "1e3")]
COSINES = ["0", "0.4", "-0.4", "0.9", "-0.9", "0.99", "-0.7071067811865476"]


def state(v1: str, v2: str, cosine: str) -> dict[str, Any]:
    one, two, rho = MP.mpf(v1), MP.mpf(v2), MP.mpf(cosine)
    c = MP.sqrt(one * two) * rho
    sine = MP.sqrt(1 - rho * rho)
    return {"q1": one, "q2": two, "c": c, "rho": rho, "sin_theta": sine, "a": MP.mpf("-0.3"), "weight": MP.mpf(4)}


def given(stable: Stable, values: dict[str, Any]) -> dict[str, Any]:
    """What the code may read."""
    assert stable.apart is not None
    return {symbol.name: values[symbol.name] for symbol in stable.apart.inputs}


@pytest.fixture
def stable(request: pytest.FixtureRequest, derive: Callable[..., ProvedDual]) -> Stable:
    return stabilise(derive(request.param))


def names(stable: Stable) -> list[str]:
    assert stable.apart is not None
    return [symbol.name for symbol, _ in stable.apart.assignments]


@pytest.mark.parametrize(
    ("stable", "count"),
    [pytest.param(*each, marks=[pytest.mark.slow] * (each[0] in HEAVY)) for each in ARCS.items()],
    indirect=["stable"],
    ids=list(ARCS),
)
def test_the_code_is_the_formula(stable: Stable, count: int, run: Callable[..., list[Any]]) -> None:
    assert stable.apart is not None
    assert sum(name.startswith("sine") and name[4:].isdigit() for name in names(stable)) == count
    code, whole = lower(stable.apart), lower(stable.pair)
    for v1, v2 in VARIANCES:
        for cosine in COSINES:
            values = state(v1, v2, cosine)
            for got, expected in zip(run(code, given(stable, values), MP), run(whole, values, MP), strict=True):
                close = MP.mpf("1e-30") * (MP.mpf("1e-20") + abs(expected))
                assert abs(got / 4 - expected) <= close, (v1, v2, cosine)


@pytest.mark.parametrize("stable", ["relu", "erf", "gelu", "gaussian", "x*erf(x)", "x*exp(-x**2)"], indirect=True)
def test_digits_are_kept(stable: Stable, run: Callable[..., list[Any]]) -> None:
    """In 53 bits from what a network knows of a pair, its covariance: to a few units of the kernel's scale."""
    assert stable.apart is not None
    code, diagonal = lower(stable.apart), lower(stable.diagonal)
    for v1, v2 in [("2", "0.5"), ("3", "3.0000003"), ("1e-3", "1e5")]:
        scales = [run(diagonal, {"q": MP.mpf(v)}, MP) for v in (v1, v2)]
        for cosine in ("0", "1e-9", "0.3", "0.7071", "0.9", "-0.5", "-0.9"):
            rounded = {key: DOUBLE.mpf(v) for key, v in state(v1, v2, cosine).items()}
            exact = {key: MP.mpf(v) for key, v in rounded.items()}
            exact["rho"] = exact["c"] / MP.sqrt(exact["q1"] * exact["q2"])
            exact["sin_theta"] = MP.sqrt(1 - exact["rho"] ** 2)
            right = run(lower(stable.pair), exact, MP)
            for got, value, one, two in zip(run(code, given(stable, rounded), DOUBLE), right, *scales, strict=True):
                assert abs(MP.mpf(got) / 4 - value) <= 24 * MP.ldexp(1, -53) * MP.sqrt(one * two), (v1, v2, cosine)


def test_a_wrong_arc_is_caught(derive: Callable[..., ProvedDual], run: Callable[..., list[Any]]) -> None:
    formulas = derive("gelu").dual.formulas
    kernels = [canonical(f, with_delta=True) for f in (formulas.kernel, formulas.kernel_dot)]
    (arc,) = apart._arcs(kernels)
    values = state("2", "0.5", "0.4")
    right = run(lower(stabilise(derive("gelu")).pair), values, MP)

    def errors(**changed: Any) -> list[Any]:
        code = apart._code(kernels, (), [replace(arc, **changed)])
        return [abs(got / 4 - value) for got, value in zip(run(lower(code), values, MP), right, strict=True)]

    assert max(errors()) < 1e-40
    for changed in ({"scale": sp.Rational(2)}, {"factor": sp.Rational(2)}, {"roots": (q1 + 2, q2 + 1)}):
        assert min(errors(**changed)) > 1e-4


@pytest.mark.parametrize(
    "radicand",
    [
        Delta,  # the angle itself
        1 + q1 + q2 + 2 * Delta,  # does not factor
        1 + q1 + q2 + Delta**2,
        (1 + q1) ** 2 + Delta,
        Delta - q1 - q2 + 1,  # the sine could exceed the cosine of the angle
        q1 + Delta,  # 1/sqrt(q1) is not finite at 0
    ],
    ids=str,
)
def test_what_is_no_arc(radicand: sp.Expr) -> None:
    assert apart._arcs([1 / sp.sqrt(radicand)]) == []


def test_arcs_that_differ_by_a_factor_are_one() -> None:
    radicand = 1 + 2 * q1 + 2 * q2 + 4 * Delta
    assert len(apart._arcs([sp.sqrt(radicand), 1 / sp.sqrt(sp.expand(3 * radicand))])) == 1


def test_cosines_end_where_a_series_would_begin() -> None:
    near = Series(psi, sp.S.One, sp.Rational(1, 2), sp.S.One, sp.S.One)
    other = Series(sp.atan2(sin_theta, rho, evaluate=False), sp.S.One, sp.Rational(1, 4), sp.S.One, sp.S.One)
    assert apart.cosines([sp.S.One, q1]) == (-1, 1)
    assert apart.cosines([q1 * near]) == (-0.877, 1)
    assert apart.cosines([q1 * near, other]) == (-0.877, 0.968)
