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
    network = {"depth": depth, "sigma_w": sigma_w, "sigma_b": sigma_b, **evaluator.values}
    tiles = list(_tiles(*shape, symmetric=Y is None))
    for done, (across, columns) in enumerate(tiles):
        within = Y is None and across == columns
        other = None if within else (X if Y is None else Y)[columns]
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            tile = function(X[across], other, **network)
        _check_finite(tile, across, columns, evaluator, X, network)
        out[across, columns] = tile
        if Y is None and not within:
            out[columns, across] = tile.T
        if progress is not None:
            progress(done + 1, len(tiles))
    _copy_duplicates(out, X, Y)
    return out


def _copy_duplicates(K: Array, X: Array, Y: Array | None) -> None:
    """Equal rows have equal kernels: BLAS may sum one entry of a tile in another order than the next."""
    rows = _first_copies(X)
    columns = rows if Y is None else _first_copies(Y)
    for i, first in rows:
        K[i] = K[first]
    for j, first in columns:
        K[:, j] = K[:, first]


def _first_copies(X: Array) -> list[tuple[int, int]]:
    """(i, j) for every row i that equals an earlier row, j being the first of them."""
    seen: dict[bytes, int] = {}
    firsts = ((i, seen.setdefault((row + 0.0).tobytes(), i)) for i, row in enumerate(X))  # -0.0 equals 0.0
    return [(i, j) for i, j in firsts if i != j]


def _tiles(n: int, m: int, symmetric: bool) -> Iterator[tuple[slice, slice]]:
    for i in range(0, n, TILE):
        for j in range(i if symmetric else 0, m, TILE):
            yield slice(i, min(i + TILE, n)), slice(j, min(j + TILE, m))


def _check_finite(
    tile: Array, rows: slice, columns: slice, evaluator: Evaluator, X: Array, network: dict[str, Any]
) -> None:
    finite = np.isfinite(tile)
    if finite.all():
        return
    i, j = np.unravel_index(int(np.argmin(finite)), tile.shape)
    row = rows.start + int(i)
    raise NumericError(
        f"the kernel of row {row} with row {columns.start + j} is not finite in {tile.dtype} "
        f"from layer {_first_overflow(evaluator, X[row : row + 1], network)} of {network['depth']} on; "
        "scale the rows down, or use a smaller sigma_w or depth"
    )


def _first_overflow(evaluator: Evaluator, row: Array, network: dict[str, Any]) -> int:
    """The first layer at which the tangent kernel of a row with itself is not finite, or else the last layer."""
    low, high = 0, network["depth"]
    while high - low > 1:
        middle = (low + high) // 2
        with np.errstate(all="ignore"):
            finite = np.isfinite(evaluator.module.ntk(row, **{**network, "depth": middle})).all()
        low, high = (middle, high) if finite else (low, middle)
    return int(high)
