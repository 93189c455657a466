"""Arrays as text."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mehler.derive.tables.coding import coded

NUMBERS = st.lists(st.floats(-1e6, 1e6), max_size=50)


@given(NUMBERS)
def test_every_number_comes_back_to_its_last_bit(numbers: list[float]) -> None:
    text = coded(np.array(numbers))
    error = np.abs(text.values - numbers)
    assert np.all(error <= np.maximum(2.0 ** -(text.bits + 1), np.spacing(np.abs(numbers))))


@given(st.lists(st.floats(-1, 1), max_size=20))
def test_small_numbers_have_57_bits(numbers: list[float]) -> None:
    assert coded(np.array(numbers)).bits == 57


def test_text_that_a_module_can_hold() -> None:
    text = coded(np.random.default_rng(0).standard_normal(1000)).text
    assert text.isascii()
    assert not set(text) & set("\"'\\\n ")
