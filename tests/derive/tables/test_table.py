"""What decides whether there is a table: how many terms a series needs."""

from typing import Any

import numpy as np
import pytest

from mehler.derive.errors import EmitError
from mehler.derive.tables.table import NotSmooth, build, coefficients, layers, nodes, plan


def bump(u: Any) -> Any:
    """The derivative of tanh(50u)/50."""
    grown = np.exp(-100 * np.abs(u))
    return 4 * grown / (1 + grown) ** 2


def test_a_steep_activation_asks_for_narrow_layers() -> None:
    wide, *_, narrow = layers(30.0)
    with pytest.raises(NotSmooth, match="in the angle"):
        plan(bump, 1, 1e-4, 30.0, wide, operations=7)
    assert build(plan(bump, 1, 1e-4, 30.0, narrow, operations=7)).rank > 1


def test_what_turns_too_fast_in_the_variances() -> None:
    with pytest.raises(EmitError, match="in the variances|too wild"):
        plan(lambda u: np.sin(8 * u), -1, 1e-4, 1e3, layers(1e3)[0], operations=2)


def test_a_table_that_no_module_may_hold_is_not_begun() -> None:
    """Its size is told from two angles; all angles would take 20 seconds."""
    with pytest.raises(EmitError, match="varies too much"):
        plan(lambda u: (1 - 4 * u**4) * np.exp(-(u**4)), 1, 1e-4, 1e3, layers(1e3)[0], operations=7)


def test_the_work_is_limited_by_what_the_function_takes() -> None:
    quick = plan(np.tanh, -1, 1e-4, 10.0, layers(10.0)[0], operations=1)
    assert 0 < quick.count < 128
    with pytest.raises(EmitError, match="varies too much"):
        plan(np.tanh, -1, 1e-4, 10.0, layers(10.0)[0], operations=10**4)


def test_coefficients_are_those_of_the_function() -> None:
    found = coefficients(4 * nodes(9) ** 3 - 3 * nodes(9))
    assert np.abs(found - np.eye(9)[3]).max() < 1e-15
