"""Parts of a range, as a module interpolates them, against the functions that the series are of."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mehler.derive.emit.by_angle import LAYERED
from mehler.derive.emit.tables import TEXT
from mehler.derive.tables.coding import coded
from mehler.derive.tables.table import Table, Tables, coefficients, nodes
from mehler.derive.tables.windows import strips

Function = Callable[[Any], Any]

SCOPE: dict[str, Any] = {"np": np}
exec(LAYERED[LAYERED.index("def polynomials(") : LAYERED.index("def clenshaw(")], SCOPE)
exec(TEXT[TEXT.index("def nearby(") : TEXT.index("def decoded(")], SCOPE)
COUNT = 90
SHAPES: dict[str, Function] = {
    "entire": lambda x: np.cos(40 * x),
    "a pole beside the range": lambda x: 0.3 / ((x - 0.3) ** 2 + 0.6**2),
    "a pole beyond an end": lambda x: 0.1 / (1.1 - x),
}


def table_of(f: Function, g: Function) -> Table:
    """A table of rank 1: f of the logarithm of either variance, g of the angle."""
    one, turn = (coefficients(h(nodes(COUNT))) for h in (f, g))
    return Table(1, coded(np.ones(1)), coded(one), coded(turn))


def error(f: Function, strip: Any) -> float:
    """The largest of an interpolated f on random parts of its range."""
    rng, series, worst = np.random.default_rng(0), coefficients(f(nodes(COUNT))), 0.0
    for _ in range(300):
        reach = np.exp(rng.uniform(-5, 0))
        middle = rng.choice([-1, 1, rng.uniform(-1, 1)]) * (1 - reach)
        centre, half, matrix = SCOPE["nearby"](middle - reach, middle + reach, strip, COUNT)
        x = rng.uniform(middle - reach, middle + reach, 20)
        values = SCOPE["polynomials"]((x - centre) / half, len(matrix)) @ (matrix @ series)
        worst = max(worst, np.abs(values - f(x)).max())
    return worst


@pytest.mark.parametrize("angle", SHAPES)
@pytest.mark.parametrize("variance", SHAPES)
def test_no_part_has_too_few_terms(variance: str, angle: str) -> None:
    f, g = SHAPES[variance], SHAPES[angle]
    table, small = table_of(f, g), table_of(lambda x: 0 * x + 1e-3, lambda x: 0 * x)
    of_variance, of_angle = strips(Tables(1e-4, 1e3, 0.02, table, small))
    # The noise of rounding in 90 terms, and what a part leaves out.
    assert error(f, of_variance) < 3e-14
    assert error(g, of_angle) < 3e-14


@pytest.mark.parametrize("shape", ["entire", "a pole beside the range", "a pole beyond an end"])
def test_a_strip_too_wide_is_seen(shape: str) -> None:
    assert error(SHAPES[shape], (1.0, 1.5)) > 1e-11
