"""Precision as a measured quantity: ULP errors, points where they are large, exact values, and assertions."""

from mehler.numeric.precision.assertion import assert_accurate
from mehler.numeric.precision.budgets import budget

__all__ = ["assert_accurate", "budget"]
