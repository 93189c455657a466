"""mehler.spectrum and `mehler spectrum`: floats beside exact digits, activations without a formula, bad input."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mehler
from mehler.derive.errors import DeriveError
from mehler.numeric.errors import NumericError

Command = Callable[..., Any]


@pytest.mark.parametrize(("name", "kernel"), [("relu", "ntk"), ("gelu", "nngp")])
@pytest.mark.parametrize("dimension", [2, 10])
def test_floats_are_within_their_error(name: str, kernel: Any, dimension: int) -> None:
    network = mehler.network(name, depth=2, sigma_w=1.3, sigma_b=0.2)
    rough = mehler.spectrum(network, dimension=dimension, degree=15, kernel=kernel)
    fine = mehler.spectrum(network, dimension=dimension, degree=15, kernel=kernel, digits=20)
    assert np.abs(rough.eigenvalues - fine.eigenvalues.astype(float)).max() <= rough.error < 1e-12
    assert rough.trace == pytest.approx(float(fine.trace), rel=1e-14)
    assert rough.decay_exponent == fine.decay_exponent


def test_tanh_has_no_formula() -> None:
    """Beside a product rule for E[tanh(u)tanh(v)], and Gauss-Legendre in ρ."""
    found = mehler.spectrum(mehler.network("tanh"), dimension=3, degree=7, kernel="nngp")
    z, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()
    rho, measure = np.polynomial.legendre.leggauss(60)
    v = rho[:, None, None] * z[:, None] + np.sqrt(1 - rho**2)[:, None, None] * z
    kernel = np.einsum("i,j,i,rij->r", weights, weights, np.tanh(z), np.tanh(v))
    for k in range(8):
        polynomial = np.polynomial.legendre.Legendre.basis(k)(rho)
        assert found.eigenvalues[k] == pytest.approx(measure @ (kernel * polynomial) / 2, abs=1e-10)
    assert found.decay_exponent == -math.inf
    with pytest.raises(DeriveError, match="closed form"):
        mehler.spectrum(mehler.network("tanh"), dimension=3, degree=7, digits=20)


def test_parameters_of_the_activation() -> None:
    """Leaky ReLU (1−a) relu(x) + a x: K = (1−a)² K_relu + … is the same beyond degree 1, where only relu is."""
    leaky = mehler.spectrum(mehler.network("leaky_relu", a=0.5), dimension=3, degree=8, kernel="nngp", digits=18)
    relu = mehler.spectrum(mehler.network("relu"), dimension=3, degree=8, kernel="nngp", digits=18)
    assert np.allclose(leaky.eigenvalues[2:].astype(float), relu.eigenvalues[2:].astype(float) / 4, atol=1e-18)
    assert leaky.prefactor == pytest.approx([p / 4 for p in relu.prefactor], rel=1e-14)


@pytest.mark.slow
def test_where_the_law_is_not_known() -> None:
    found = mehler.spectrum(mehler.network("abs(x)**(3/2)", target="numpy"), dimension=3, degree=4, kernel="nngp")
    assert math.isnan(found.decay_exponent)
    assert found.eigenvalues[0] > found.eigenvalues[2] > 0


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"dimension": 1}, "dimension=1 is not an integer from 2"),
        ({"degree": 10**9}, "degree=1000000000 is not"),
        ({"kernel": "rbf"}, "kernel='rbf' is not known"),
        ({"digits": 0}, "digits=0 is not an integer from 1 to 200"),
        ({"digits": 2.5}, "digits=2.5 is not"),
    ],
)
def test_bad_input(change: dict[str, Any], fault: str) -> None:
    given: dict[str, Any] = {"dimension": 3, "degree": 4}
    with pytest.raises(NumericError, match=fault):
        mehler.spectrum(mehler.network("relu"), **{**given, **change})


def test_the_command_prints_a_table(mehler_command: Command) -> None:
    result = mehler_command("spectrum", "relu", "--dimension", 3, "--degree", 4, "--sigma-w", 2**0.5)
    assert result.code == 0
    rows = [line.split() for line in result.out.splitlines()]
    assert rows[1][:4] == ["decay", "0.63662", "*", "k^-3"]  # 2/π
    assert rows[-3][:4] == ["2", "5", "1.5625000000e-01", "19.531%"]
    assert rows[-2][:2] == ["3", "7"]
    assert "<" in rows[-2]


def test_the_command_writes_json_and_a_picture(mehler_command: Command, tmp_path: Path) -> None:
    place = tmp_path / "spectrum.png"
    result = mehler_command(
        "spectrum", "gelu", "--dimension", 4, "--degree", 3, "--depth", 2, "--kernel", "nngp", "--digits", 20,
        "--json", "--plot", place,
    )  # fmt: skip
    found = json.loads(result.out)
    assert (found["activation"], found["depth"], found["kernel"]) == ("gelu", 2, "nngp")
    assert found["decay_exponent"] == "-inf"
    assert len(found["eigenvalues"]) == 4
    assert place.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("relu", "--dimension", 1), "dimension=1 is not"),
        (("relu", "--dimension", 3, "--degree", -1), "degree=-1 is not"),
        (("relu", "--dimension", 3, "--depth", -1), "depth"),
        (("relu", "--dimension", 3, "--digits", 999), "digits=999 is not"),
        (("relu", "--dimension", 3, "--kernel", "rbf"), "rbf"),
        (("relu",), "--dimension"),
        (("nothing(x)", "--dimension", 3), "is not a known function"),
        (("tanh", "--dimension", 3, "--digits", 9), "choose an activation with a closed form"),
        (
            ("relu", "--dimension", 3, "--plot", "spectrum.jpg"),
            "is not a .png file; name one, e.g. --plot spectrum.png",
        ),
    ],
)
def test_the_command_refuses(
    mehler_command: Command, arguments: tuple[Any, ...], fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plot = () if "--plot" in arguments else ("--plot", "here.png")
    assert fault in mehler_command("spectrum", *arguments, *plot).refused()
    assert not list(tmp_path.iterdir())
