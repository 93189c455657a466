"""Where displays draw (matplotlib, extra `plot`)."""

from typing import Any

from mehler.numeric.errors import NumericError


def axes(ax: Any) -> Any:
    """`ax`, or new axes of a figure of their own if it is None. Raises NumericError without matplotlib."""
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError:
        raise NumericError("pictures need matplotlib; install it with: pip install 'mehler[plot]'") from None
    return pyplot.subplots(figsize=(5.5, 4), constrained_layout=True)[1]
