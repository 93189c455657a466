"""What decides whether there is a table: how many terms a series needs."""

from typing import Any

import numpy as np
import pytest

from mehler.derive.errors import EmitError
from mehler.derive.tables.table import NotSmooth, build, coefficients, layers, nodes


def bump(u: Any) -> Any:
    """The derivative of tanh(50u)/50."""
    grown = np.exp(-100 * np.abs(u))
    return 4 * grown / (1 + grown) ** 2


def test_a_steep_activation_asks_for_narrow_layers() -> None:
    wide, *_, narrow = layers(30.0)
    with pytest.raises(NotSmooth, match="in the angle"):
        build(bump, 1, 1e-4, 30.0, wide)
    assert build(bump, 1, 1e-4, 30.0, narrow).rank > 1


def test_what_turns_too_fast_in_the_variances() -> None:
    with pytest.raises(EmitError, match="in the variances|too wild"):
        build(lambda u: np.sin(8 * u), -1, 1e-4, 1e3, layers(1e3)[0])


def test_a_table_that_no_module_may_hold_is_not_begun() -> None:
    """Its size is told from two angles; all angles would take 20 seconds."""
    seen: list[int] = []
    with pytest.raises(EmitError, match="varies too much"):
        build(
            lambda u: (1 - 4 * u**4) * np.exp(-(u**4)), 1, 1e-4, 1e3, layers(1e3)[0], lambda n, of: seen.append(n)
        )
    assert not seen


def test_coefficients_are_those_of_the_function() -> None:
    found = coefficients(4 * nodes(9) ** 3 - 3 * nodes(9))
    assert np.abs(found - np.eye(9)[3]).max() < 1e-15
