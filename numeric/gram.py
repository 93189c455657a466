"""Gram matrices in tiles, on threads: beside the result, only the temporaries of a tile of each are in memory."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mehler.numeric import inputs, maps, workers
from mehler.numeric.errors import NumericError
from mehler.numeric.evaluator import Evaluator

Array = NDArray[np.floating[Any]]
Kernel = Literal["nngp", "ntk"]

MIRRORED = 32  # rows of a tile that are mirrored at a time
RESIDENT = 256 * 2**20  # bytes of a memory map that are written before its pages are given back


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
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """Σᴸ ("nngp") or Θᴸ ("ntk") of rows of X (n, d) and Y (m, d; X when None), as an (n, m) array.

    float32 or float64 throughout, as X. With Y = None only tiles on and above the diagonal are computed and
    the result is exactly symmetric. `out` receives the result, also where it shares memory with X or Y. If it is a
    memory map, its space on the disk is reserved before the work, only RESIDENT bytes of it stay in memory, and it
    is flushed at the end. `threads` compute tiles, by default one for each core that the process may use; BLAS is
    held to one thread meanwhile. `progress` is called in the caller's thread with (tiles done, tiles in all). An
    interruption ends the tiles under way and drops the others.

    The result is the same, bit for bit, for every number of threads and every memory order of X and Y, and equal
    rows have equal kernels. Tiles are at places that the module sets from row 0 on, and a tile depends on its own
    rows alone: rows that are appended change no tile that was whole. In a tile of another shape, as the last may
    be, BLAS may sum x·x' in another order, and its entries agree with those of a whole tile to rounding.

    Raises NumericError for bad input and, naming the rows and the layer, when a value overflows; OSError when
    the disk of a memory map is full.
    """
    inputs.kernel(kernel)
    depth, sigma_w, sigma_b = inputs.network(depth, sigma_w, sigma_b)
    X, Y = inputs.pair_of_rows(X, Y, sigma_b)
    for name, rows in (("X", X), ("Y", Y)):
        if rows is not None:
            inputs.variances(rows, name, sigma_w, sigma_b)
    shape = len(X), len(X if Y is None else Y)
    K = np.empty(shape, X.dtype) if out is None else inputs.output(out, shape, X.dtype)
    maps.allocate(K)
    X, Y = _kept(X, K), None if Y is None else _kept(Y, K)
    module, network = evaluator.module, {"depth": depth, "sigma_w": sigma_w, "sigma_b": sigma_b, **evaluator.values}
    with _computing(X, Y):
        one = module.rows_of(X, kernel == "ntk", **network)
        other = one if Y is None else module.rows_of(Y, kernel == "ntk", **network)
    tiles = list(module.tiles_of(len(K), K.shape[1], Y is None))

    def compute(place: tuple[slice, slice]) -> None:
        across, columns = place
        within = Y is None and across == columns
        with _computing(X, Y):
            tile = module.tile_of(one, across, other, columns, within).astype(K.dtype, copy=False)
        _check_finite(tile, across, columns, evaluator, X, network)
        K[across, columns] = tile
        for start in range(0, len(tile), MIRRORED) if Y is None and not within else ():
            rows = slice(start, start + MIRRORED)  # a whole column would fill a cache with lines of few entries
            K[columns, across][:, rows] = tile[rows].T

    pages = maps.pages_of(K)
    batch = max(1, RESIDENT // (math.prod(module.TILE) * K.itemsize))

    def after(done: int) -> None:
        if pages is not None and done % batch == 0:
            maps.give_back(pages)
        if progress is not None:
            progress(done, len(tiles))

    workers.for_each(compute, tiles, min(workers.count(threads), len(tiles)), after)
    _copy_duplicates(K, X, Y)
    if pages is not None:
        pages.flush()
    return K if out is None else out


def _kept(rows: Array, out: Array) -> Array:
    """The rows in C order, in memory that the result does not overwrite while they are still read."""
    if np.may_share_memory(rows, out) or maps.same_file(rows, out):
        return rows.copy(order="C")
    return np.ascontiguousarray(rows)


@contextmanager
def _computing(X: Array, Y: Array | None) -> Iterator[None]:
    """Floating-point warnings are off: results are checked. A module refuses variances by a ValueError."""
    try:
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            yield
    except ValueError as error:
        row = int(np.argmax(np.concatenate([np.einsum("ij,ij->i", Z, Z) for Z in (X, Y) if Z is not None])))
        name, row = ("X", row) if row < len(X) else ("Y", row - len(X))
        raise NumericError(f"{error} (row {row} of {name} is the longest)") from None


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
    squares, seen = np.einsum("ij,ij->i", X, X), dict[bytes, int]()
    values, counts = np.unique(squares, return_counts=True)
    alike = np.flatnonzero(np.isin(squares, values[counts > 1])).tolist()
    firsts = ((i, seen.setdefault((X[i] + 0.0).tobytes(), i)) for i in alike)  # -0.0 equals 0.0
    return [(i, j) for i, j in firsts if i != j]


def _check_finite(
    tile: Array, rows: slice, columns: slice, evaluator: Evaluator, X: Array, network: dict[str, Any]
) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(tile.sum()):  # one pass; a sum of finite numbers may still overflow
            return
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
