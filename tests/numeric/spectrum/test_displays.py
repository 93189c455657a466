"""Displays draw what they are given, in the axes they are given."""

from collections.abc import Iterator

import matplotlib
import numpy as np
import pytest

import mehler
from mehler.numeric.errors import NumericError
from mehler.numeric.spectrum.sphere import Spectrum

matplotlib.use("Agg")

from matplotlib import pyplot


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    pyplot.close("all")


def spectrum(exponent: float = -3.0) -> Spectrum:
    k = np.arange(11)
    values = np.where(k % 2 == 0, 2.0, 1e-20) * np.maximum(k, 1.0) ** -3
    return Spectrum(values, 2 * k + 1, 1e-15, 9.0, exponent, (2.0, 0.0), "ntk", 3, "mine")


def test_eigenvalues_and_the_line() -> None:
    _, ax = pyplot.subplots()
    display = mehler.SpectrumDisplay.from_spectrum(spectrum(), ax=ax)
    assert display.ax_ is ax
    points, line = display.lines_
    assert points.get_xdata().tolist() == [2, 4, 6, 8, 10]  # what is below the error is not drawn
    assert np.allclose(line.get_ydata(), spectrum().predicted(np.array([2, 4, 6, 8, 10])))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["mine, ntk, d = 3", "derived, $k^{-3}$"]


def test_no_line_without_a_power() -> None:
    assert len(mehler.SpectrumDisplay.from_spectrum(spectrum(-np.inf)).lines_) == 1
    assert len(mehler.SpectrumDisplay.from_spectrum(spectrum(), spectrum(-np.inf)).lines_) == 3


def test_learning_curves_with_their_spread() -> None:
    curve = mehler.learning_curve([1.0, 0.1], [3, 30], [1, 1], [20, 5, 10], ridge=0.1)
    errors = np.array([[0.5, 0.7], [0.4, 0.4]])
    display = mehler.LearningCurveDisplay.from_curves({"theory": curve}, measured={"theory": ([5, 10], errors)})
    assert display.lines_[0].get_xdata().tolist() == [5, 10, 20]
    (bars,) = display.ax_.containers
    assert bars.lines[0].get_ydata().tolist() == pytest.approx([0.6, 0.4])
    assert [segment[:, 1].tolist() for segment in bars.lines[2][0].get_segments()] == [
        pytest.approx([0.5, 0.7]),
        [0.4, 0.4],
    ]
    with pytest.raises(NumericError, match="measured has 'other'"):
        mehler.LearningCurveDisplay.from_curves({"theory": curve}, measured={"other": ([5], errors[:1])})


def test_locality_by_depth() -> None:
    networks = {f"depth {n}": mehler.network("relu", depth=n, sigma_w=2**0.5) for n in (1, 3)}
    display = mehler.LocalityDisplay.from_networks(networks, kernel="nngp")
    shallow, deep = (line.get_ydata() for line in display.lines_)
    assert shallow[0] == deep[0] == 1
    theta = display.theta
    published = (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / np.pi  # Cho and Saul 2009
    assert np.allclose(shallow, published, atol=1e-14)
