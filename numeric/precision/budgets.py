"""The error that a generated module promises not to exceed."""

from typing import Any

import numpy as np

from mehler.numeric.errors import NumericError
from mehler.numeric.evaluator import Generated


def budget(module: Generated, dtype: Any, function: str) -> float:
    """The largest scaled ULP error of one function of a module in one dtype, as its header states it."""
    try:
        return float(module.BUDGETS[str(np.dtype(dtype))][function])
    except (KeyError, TypeError, ValueError):
        raise NumericError(
            f"{module.NAME} states no budget of {function} in {dtype}; regenerate it with 'mehler generate'"
        ) from None
