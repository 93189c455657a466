"""Gram matrices against those of Google's neural-tangents, stored by golden/make_neural_tangents.py."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mehler

GOLDEN = Path(__file__).parents[1] / "golden" / "neural_tangents.json"
TOLERANCE = 1e-10  # of the largest entry

DATA: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
X, Y = (np.array(DATA[name]) for name in ("X", "Y"))


@cache
def _derived(expr: str) -> mehler.Network:
    return mehler.network(expr)


def _network(case: dict[str, Any]) -> mehler.Network:
    return replace(_derived(case["expr"]), **{key: case[key] for key in ("depth", "sigma_w", "sigma_b")})


def _name(case: dict[str, Any]) -> str:
    return f"{case['peer']}-depth {case['depth']}-{case['sigma_w']},{case['sigma_b']}"


@pytest.mark.parametrize("kernel", ["nngp", "ntk"])
@pytest.mark.parametrize("case", DATA["cases"], ids=_name)
def test_neural_tangents_agrees(case: dict[str, Any], kernel: str) -> None:
    expected = np.array(case[kernel])
    computed = getattr(_network(case), kernel)(X, Y)
    assert np.abs(computed - expected).max() <= TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("case", DATA["left_out"], ids=_name)
def test_left_out_only_where_the_peer_overflows(case: dict[str, Any]) -> None:
    """exp at depth 3 exceeds float64 in the peer, so it has nothing to compare with. mehler says so, or is finite."""
    assert case["reason"] == "the peer's nngp and ntk is not finite"
    for kernel in ("nngp", "ntk"):
        try:
            assert np.isfinite(getattr(_network(case), kernel)(X, Y)).all()
        except mehler.NumericError as error:
            assert "is not finite in float64 at depth 3" in str(error)  # noqa: PT017


def test_every_activation_of_the_peer_is_compared() -> None:
    kept, left_out = ([_name(case) for case in DATA[key]] for key in ("cases", "left_out"))
    assert len(set(kept + left_out)) == len(kept) + len(left_out) == 30 * 2 * 2
    assert {case["expr"] for case in DATA["left_out"]} == {"exp(x)", "0.5*exp(0.6*x)"}
    assert len({case["expr"] for case in DATA["cases"]}) == 30
