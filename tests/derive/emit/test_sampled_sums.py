"""Pairs without a table, had from series between a few sums, beside sums of their own and mpmath."""

import inspect
from typing import Any

import numpy as np
import pytest
import sympy as sp

from mehler.derive.dual import ProvedDual
from mehler.derive.emit.module import emit_numpy, emit_tables
from mehler.derive.pipeline import derive_dual, generate
from mehler.generated.tables import tanh

TEXT = "where(x > 1, tanh(x), 0)"


@pytest.fixture(scope="module")
def source() -> str:
    return generate(TEXT, name="sums", timeout=None)


def run(source: str, worth: int = 50, quick: bool = True) -> dict[str, Any]:
    """The module's names; `asked` counts its sums, which are `quick` and not to the last digits."""
    names: dict[str, Any] = {"__name__": "sums", "asked": 0}
    exec(compile(source, "sums", "exec"), names)
    by_sums = names.get("pair_by_quadrature")

    def counted(q1: Any, *others: Any) -> Any:
        names["asked"] += len(q1)
        return by_sums(q1, *others)

    names |= {"WORTH": worth, "SUMS": 100, "pair_by_quadrature": counted}
    if quick:
        names["SCALES"] = np.array([-2.0, 2.0])
    return names


def pairs(count: int = 60, angles: tuple[float, float] = (1.0, 1.15), q: float = 1.3) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(4)
    q1, q2 = q * rng.uniform(1, 1.2, (2, count))
    theta = rng.uniform(*angles, count)
    return q1, q2, np.sqrt(q1 * q2) * np.cos(theta), np.cos(theta), np.sin(theta)


def error(one: Any, two: Any, names: dict[str, Any], points: Any) -> float:
    scale = np.sqrt(names["diagonal"](points[0]) * names["diagonal"](points[1]))
    return float(np.max(np.abs(one - two) / scale))


def test_the_same_as_sums_and_as_mpmath(source: str) -> None:
    points, many, each = pairs(), run(source, quick=False), run(source, worth=10**9, quick=False)
    found = many["pair"](*points)
    (_, box), (_, larger) = many["KNOWN"]
    assert larger[:4] == box == (0.25, 0.5, -0.1875, -0.0625)
    assert many["asked"] > 200  # of the box
    known = many["asked"]
    assert error(found, each["pair"](*points), each, points) < 1e-13
    assert np.array_equal(many["pair"](*points), found)
    assert many["asked"] == known  # which is kept
    dual = derive_dual(TEXT)
    for n in (0, 17):
        at = [sp.Rational(float(a[n])) for a in points[:3]]
        exact = np.array([float(v) for v in dual.evaluate(*at, digits=18)])
        assert error(found[:, n], exact, each, [a[n] for a in points]) < 1e-13


def test_nearly_parallel_inputs_have_sums_of_their_own(source: str) -> None:
    points = [np.concatenate(each) for each in zip(pairs(), pairs(20, (1e-6, 0.03)), strict=True)]
    many, each = run(source), run(source, worth=10**9)
    found, expected = many["pair"](*points), each["pair"](*points)
    assert error(found, expected, each, points) < 1e-13
    np.testing.assert_allclose(found[:, 60:], expected[:, 60:], rtol=4e-16)
    assert each["asked"] == 80


@pytest.mark.parametrize("change", [{"SUMS": 1}, {"COUNTS": (4,)}])
def test_what_no_short_series_has_is_summed(change: dict[str, Any], source: str) -> None:
    points, many, each = pairs(), run(source), run(source, worth=10**9)
    many.update(change)
    assert np.array_equal(many["pair"](*points), each["pair"](*points))
    assert len(many["KNOWN"]) == 1


def test_variances_at_which_kernels_vanish(source: str) -> None:
    """K(q, q) below 1e-308 is 0 in double precision, and no series is; a mistaken one gave 1e10 for all pairs."""
    q1, q2 = np.exp(np.random.default_rng(1).uniform(np.log(1e-3), 0, (2, 60)))
    theta = np.linspace(1.0, 1.15, 60)
    points = q1, q2, np.sqrt(q1 * q2) * np.cos(theta), np.cos(theta), np.sin(theta)
    many, each = run(source), run(source, worth=10**9)
    assert np.array_equal(many["pair"](*points), each["pair"](*points))


def test_series_that_sums_contradict_are_not_taken(source: str) -> None:
    points, many, each = pairs(), run(source), run(source, worth=10**9)
    many["_terms"] = lambda *box: (3, 3)
    assert np.array_equal(many["pair"](*points), each["pair"](*points))


@pytest.mark.slow
def test_beyond_the_tables_too() -> None:
    source = inspect.getsource(tanh)
    many, each = run(source, quick=False), run(source, worth=10**9, quick=False)
    points = pairs(q=2e3)
    with pytest.warns(RuntimeWarning, match="outside"):
        worst = error(many["pair"](*points), each["pair"](*points), each, points)
    assert worst < 1e-13
    assert any(function is many["_series"] for function, _ in many["KNOWN"])


DAMAGE = {
    "the diagonal's root": ("@ own[:, k] / 2)", "@ own[:, k])"),
    "the other kernel": ("summed(series[k]", "summed(series[1 - k]"),
    "an angle of another box": ("(angle - (start + stop) / 2)", "(angle - start)"),
    "one variance for both": ("reach, n) for q in (q1, q2)", "reach, n) for q in (q1, q1)"),
    "a series too short": ("REST = 2e-14", "REST = 1e-6"),
    "not symmetric": ("values[:, i, j] = values[:, j, i] =", "values[:] = 0; values[:, i, j] ="),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_caught(what: str, source: str) -> None:
    old, new = DAMAGE[what]
    assert source.count(old) == 1
    points, many, each = pairs(), run(source.replace(old, new)), run(source, worth=10**9)
    many["CHECK"] = np.inf  # by which a module sees most of it
    with np.errstate(all="ignore"):
        assert not error(many["pair"](*points), each["pair"](*points), each, points) < 1e-13


@pytest.mark.parametrize(
    "text",
    [
        "clip(x, -1, 1)",
        *(pytest.param(t, marks=pytest.mark.slow) for t in ("min(max(0, x), 6)", "x*clip(x/6 + 1/2, 0, 1)")),
    ],
)
def test_closed_forms_that_are_slow(text: str) -> None:
    """Many pairs beside the code of the closed form, for each by itself; few are of that code, to the last bit."""
    dual = derive_dual(text, timeout=None)
    assert isinstance(dual, ProvedDual)
    closed = run(emit_numpy(dual, "closed"), quick=False)
    module = run(emit_tables(dual, "series", None), quick=False)
    points, few = pairs(200), pairs(20)
    found = module["pair"](*points)
    assert any(
        value is not None for (function, _), value in module["KNOWN"].items() if function is module["_series"]
    )
    assert error(found, closed["pair"](*points), closed, points) < 6e-14
    assert np.array_equal(module["pair"](*few), closed["pair"](*few))
    assert module["BUDGETS"]["float64"]["kernel"] == 400


def test_the_text_needs_no_tables() -> None:
    assert "pair_by_boxes" in emit_tables(derive_dual(TEXT), "sums", None)
