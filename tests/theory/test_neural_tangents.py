"""Gram matrices against those of Google's neural-tangents, stored by golden/make_neural_tangents.py."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mehler

GOLDEN = Path(__file__).parents[1] / "golden" / "neural_tangents.json"
TOLERANCE = 1e-10  # of the largest entry
NETWORK = ("depth", "sigma_w", "sigma_b")

DATA: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
X, Y = (np.array(DATA[name]) for name in ("X", "Y"))


def _of(peer: str, part: str) -> list[dict[str, Any]]:
    return [case for case in DATA[part] if case["peer"] == peer]


# One of each kind in every run: linear, kinked, a jump, Φ, periodic with a phase, growing, bounded.
ALWAYS = {
    "Relu()",
    "ABRelu(-0.3, 1.7)",
    "Sign()",
    "Monomial(3)",
    "Erf()",
    "Gelu()",
    "Cos(1.2, 0.7, 0.5)",
    "Exp()",
    "Gaussian()",
}
PEERS = dict.fromkeys(case["peer"] for case in DATA["cases"])


@pytest.mark.parametrize(
    "peer", [peer if peer in ALWAYS else pytest.param(peer, marks=pytest.mark.slow) for peer in PEERS]
)
def test_neural_tangents_agrees(peer: str) -> None:
    """All networks of an activation in one test, so that it is derived once.

    Left out is what overflows: an exponential at depth 3 exceeds float64, in the peer as in mehler.
    """
    derived = mehler.network(_of(peer, "cases")[0]["expr"], target="numpy")
    for case in _of(peer, "cases"):
        network = replace(derived, **{key: case[key] for key in NETWORK})
        for kernel in ("nngp", "ntk"):
            expected = np.array(case[kernel])
            error = np.abs(getattr(network, kernel)(X, Y) - expected).max() / np.abs(expected).max()
            assert error <= TOLERANCE, (kernel, *(case[key] for key in NETWORK))
    for case in _of(peer, "left_out"):
        assert case["reason"] == "the peer's nngp and ntk is not finite"
        network = replace(derived, **{key: case[key] for key in NETWORK})
        for kernel in ("nngp", "ntk"):
            with pytest.raises(mehler.NumericError, match="not finite in float64 from layer [123] of 3 on"):
                getattr(network, kernel)(X, Y)


def test_every_activation_of_the_peer_is_compared() -> None:
    found = [(case["peer"], *(case[key] for key in NETWORK)) for case in DATA["cases"] + DATA["left_out"]]
    assert len(set(found)) == len(found) == 30 * 2 * 2
    assert len(DATA["left_out"]) == 3
    assert {case["expr"] for case in DATA["left_out"]} == {"exp(x)", "0.5*exp(0.6*x)"}
    assert len({case["expr"] for case in DATA["cases"]}) == 30
