"""Gram matrices in tiles: beside the result, only a tile and its temporaries are held in memory."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mehler.numeric import inputs
from mehler.numeric.errors import NumericError
from mehler.numeric.evaluator import Evaluator

Array = NDArray[np.floating[Any]]
Kernel = Literal["nngp", "ntk"]

TILE = 256


def gram(
    evaluator: Evaluator,
    X: Any,
    Y: Any = None,
    *,
    kernel: Kernel = "ntk",
    depth: int = 1,
    sigma_w: float = 1.0,
    sigma_b: float = 0.0,
    out: Array | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """Σᴸ ("nngp") or Θᴸ ("ntk") of rows of X (n, d) and Y (m, d; X when None), as an (n, m) array.

    float32 or float64 throughout, as X. With Y = None only tiles on and above the diagonal are computed and
    the result is exactly symmetric. `out` receives the result, a memory map for instance. `progress` is
    called with (tiles done, tiles in all). Raises NumericError for bad input and when a value overflows.
    """
    if kernel not in ("nngp", "ntk"):
        raise NumericError(f"kernel={kernel!r} is not known; use 'nngp' or 'ntk'")
    depth, sigma_w, sigma_b = inputs.network(depth, sigma_w, sigma_b)
    X, Y = inputs.pair_of_rows(X, Y, sigma_b)
    for name, rows in (("X", X), ("Y", Y)):
        if rows is not None:
            inputs.variances(rows, name, sigma_w, sigma_b)
    shape = (len(X), len(X if Y is None else Y))
    if out is None:
        out = np.empty(shape, X.dtype)
    elif out.shape != shape or out.dtype != X.dtype:
        raise NumericError(f"out must have shape {shape} and dtype {X.dtype}, not {out.shape} and {out.dtype}")
    function = getattr(evaluator.module, kernel)
    tiles = list(_tiles(*shape, symmetric=Y is None))
    for done, (across, columns) in enumerate(tiles):
        within = Y is None and across == columns
        other = None if within else (X if Y is None else Y)[columns]
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            tile = function(X[across], other, depth=depth, sigma_w=sigma_w, sigma_b=sigma_b, **evaluator.values)
        _check_finite(tile, across, columns, depth)
        out[across, columns] = tile
        if Y is None and not within:
            out[columns, across] = tile.T
        if progress is not None:
            progress(done + 1, len(tiles))
    return out


def _tiles(n: int, m: int, symmetric: bool) -> Iterator[tuple[slice, slice]]:
    for i in range(0, n, TILE):
        for j in range(i if symmetric else 0, m, TILE):
            yield slice(i, min(i + TILE, n)), slice(j, min(j + TILE, m))


def _check_finite(tile: Array, rows: slice, columns: slice, depth: int) -> None:
    finite = np.isfinite(tile)
    if not finite.all():
        i, j = np.unravel_index(int(np.argmin(finite)), tile.shape)
        raise NumericError(
            f"the kernel of row {rows.start + i} with row {columns.start + j} is not finite in {tile.dtype} "
            f"at depth {depth}; scale the rows down, or use a smaller sigma_w or depth"
        )
