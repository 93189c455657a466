import math
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import mehler
from mehler.numeric import workers
from mehler.numeric.evaluator import Evaluator, load_named
from mehler.numeric.gram import gram

SCALES = {"depth": 3, "sigma_w": 1.4, "sigma_b": 0.1}
NAMES = ["relu", "gelu", "sin"]


def _evaluator(name: str, **params: float) -> Evaluator:
    module = load_named(name)
    assert module is not None
    return Evaluator(module, params)


def _rows(n: int, d: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


@pytest.fixture
def small_tiles(tile_size: Callable[..., None]) -> None:
    tile_size(3, *NAMES, "exp")


@pytest.mark.parametrize("kernel", ["nngp", "ntk"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tile", [1, 3, 256])
def test_exactly_symmetric(name: str, kernel: Any, tile: int, tile_size: Callable[..., None]) -> None:
    tile_size(tile, name)
    K = gram(_evaluator(name), _rows(10), kernel=kernel, **SCALES)
    assert np.array_equal(K, K.T)


def test_exactly_symmetric_over_tiles_of_the_real_size() -> None:
    K = gram(_evaluator("relu"), _rows(load_named("relu").TILE[0] + 70), **SCALES)
    assert np.array_equal(K, K.T)


@pytest.mark.parametrize("other", [None, _rows(7, seed=1)], ids=["X", "X,Y"])
@pytest.mark.parametrize("tile", [1, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_independent_of_the_tile_size(
    name: str, tile: int, other: np.ndarray | None, tile_size: Callable[..., None]
) -> None:
    """Up to the rounding of X Y', which BLAS sums in an order that depends on the shape."""
    X = _rows(10)
    whole = gram(_evaluator(name), X, other, **SCALES)
    tile_size(tile, name)
    tiled = gram(_evaluator(name), X, other, **SCALES)
    assert np.abs(tiled - whole).max() <= 4e-15 * np.abs(whole).max()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("small_tiles")
def test_every_block_is_where_it_belongs(name: str) -> None:
    """Each entry by itself, from two single rows."""
    X, Y = _rows(7), _rows(5, seed=1)
    for other in (None, Y):
        K = gram(_evaluator(name), X, other, **SCALES)
        Z = X if other is None else other
        single = [[gram(_evaluator(name), x[None], z[None], **SCALES)[0, 0] for z in Z] for x in X]
        # X against itself loses half the digits on the diagonal of a kernel with a kink there.
        off = ~np.eye(7, dtype=bool) if other is None else np.full((7, 5), True)
        np.testing.assert_allclose(K[off], np.array(single)[off], rtol=1e-13)


def test_depth_0_is_the_input_kernel() -> None:
    X, Y = _rows(6), _rows(4, seed=1)
    expected = 1.4**2 * (X @ Y.T) / 5 + 0.1**2
    for kernel in ("nngp", "ntk"):
        K = gram(_evaluator("relu"), X, Y, kernel=kernel, depth=0, sigma_w=1.4, sigma_b=0.1)
        np.testing.assert_allclose(K, expected, rtol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_float32_and_close(name: str) -> None:
    X = _rows(20).astype(np.float32)
    K = gram(_evaluator(name), X, **SCALES)
    assert K.dtype == np.float32
    exact = gram(_evaluator(name), X.astype(np.float64), **SCALES)
    assert np.abs(K - exact).max() <= 5e-6 * np.abs(exact).max()


def test_memory_order_and_strides_of_the_rows_do_not_matter() -> None:
    X = _rows(8)
    wide = np.repeat(X, 2, axis=1)[:, ::2]
    for same in (np.asfortranarray(X), wide, X[::-1][::-1]):
        np.testing.assert_allclose(gram(_evaluator("gelu"), same, **SCALES), gram(_evaluator("gelu"), X, **SCALES))


def test_inputs_are_not_changed() -> None:
    X, Y = _rows(8), _rows(3, seed=1)
    X.setflags(write=False)
    Y.setflags(write=False)
    gram(_evaluator("relu"), X, Y, **SCALES)
    gram(_evaluator("relu"), X, **SCALES)


def test_a_zero_row_with_biases_has_the_kernel_of_its_biases() -> None:
    X = _rows(3)
    X[1] = 0
    K = gram(_evaluator("relu"), X, kernel="nngp", depth=1, sigma_w=1.0, sigma_b=0.5)
    assert K[1, 1] == 0.5**2 / 2 + 0.5**2
    assert np.isfinite(K).all()


def test_out_receives_the_result() -> None:
    X, Y = _rows(6), _rows(4, seed=1)
    out = np.empty((6, 4))
    assert gram(_evaluator("relu"), X, Y, out=out, **SCALES) is out
    assert np.array_equal(out, gram(_evaluator("relu"), X, Y, **SCALES))


@pytest.mark.usefixtures("small_tiles")
def test_out_may_be_a_memory_map(tmp_path: Path) -> None:
    X = _rows(7)
    out = np.lib.format.open_memmap(tmp_path / "K.npy", mode="w+", dtype=X.dtype, shape=(7, 7))
    gram(_evaluator("gelu"), X, out=out, **SCALES)
    out.flush()
    assert np.array_equal(np.load(tmp_path / "K.npy"), gram(_evaluator("gelu"), X, **SCALES))


@pytest.mark.parametrize(
    ("shape", "dtype"), [((6, 5), np.float64), ((4, 6), np.float64), ((24,), np.float64), ((6, 4), np.float32)]
)
def test_out_must_fit(shape: tuple[int, ...], dtype: Any) -> None:
    with pytest.raises(mehler.NumericError, match=r"out must have shape \(6, 4\) and dtype float64"):
        gram(_evaluator("relu"), _rows(6), _rows(4, seed=1), out=np.empty(shape, dtype))


@pytest.mark.parametrize(
    "which", ["X", "Y", "view", "transposed", "reversed", "another map", "a view of another map"]
)
@pytest.mark.usefixtures("small_tiles")
def test_out_may_share_memory_with_the_rows(which: str, tmp_path: Path) -> None:
    """Tiles are written while rows of later tiles are still read."""
    X, Y = _rows(8, 8), _rows(8, 8, seed=1)
    expected = gram(_evaluator("relu"), X, Y if which == "Y" else None, **SCALES)
    if "map" in which:
        np.save(tmp_path / "X.npy", X)
        rows, out = (np.load(tmp_path / "X.npy", mmap_mode=mode) for mode in ("r", "r+"))
        if which == "a view of another map":
            rows, out = np.asarray(rows)[:], out[:, ::-1]
    else:
        wide = np.zeros((9, 9))
        rows = wide[:8, :8]
        rows[:] = X
        out = {"view": wide[1:, 1:], "transposed": rows.T, "reversed": rows[::-1]}.get(which, rows)
    pair = (X, rows) if which == "Y" else (rows,)
    if which == "Y":
        rows[:] = Y
    assert gram(_evaluator("relu"), *pair, out=out, **SCALES) is out
    assert np.array_equal(out, expected)


@pytest.mark.parametrize(
    ("out", "fault"),
    [
        ([[0.0] * 4] * 4, "out must be a NumPy array without a mask, not list"),
        (memoryview(np.empty((4, 4))), "not memoryview"),
        (np.ma.empty((4, 4)), "not MaskedArray"),
        (np.broadcast_to(np.empty(4), (4, 4)), "out is read-only"),
        (np.frombuffer(bytes(128)).reshape(4, 4), "out is read-only"),
        (as_strided(np.empty(4), (4, 4), (8, 0)), "entries of out share memory"),
        (as_strided(np.empty(7), (4, 4), (8, 8)), "entries of out share memory"),
        (np.empty((4, 4), ">f8"), "out must have shape (4, 4) and dtype float64"),
        (np.empty((4, 4), object), "out must have shape (4, 4) and dtype float64"),
    ],
)
def test_out_is_refused_before_the_work(out: Any, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "for_each", lambda *_: pytest.fail("the work has begun"))
    with pytest.raises(mehler.NumericError, match=re.escape(fault)):
        gram(_evaluator("relu"), _rows(4), out=out)


@pytest.mark.parametrize(
    "out",
    [
        np.empty((4, 4), order="F"),
        np.empty((9, 9))[1::2, 7::-2],
        np.empty((4, 4)).view(np.matrix),
        np.empty((4, 8, 4))[:, 3],
    ],
    ids=["Fortran", "strides", "matrix", "a slice"],
)
def test_out_may_have_any_layout(out: np.ndarray) -> None:
    X = _rows(4)
    assert gram(_evaluator("relu"), X, out=out, **SCALES) is out
    assert np.array_equal(np.asarray(out), gram(_evaluator("relu"), X, **SCALES))


@pytest.mark.parametrize("kernel", ["rbf", "NTK", None, ["ntk"], np.array(["ntk", "nngp"]), _rows(99)])
def test_unknown_kernel(kernel: Any) -> None:
    with pytest.raises(mehler.NumericError, match="kernel=.* is not known; use 'nngp' or 'ntk'"):
        gram(_evaluator("relu"), _rows(3), kernel=kernel)


@pytest.mark.parametrize("threads", [1, 2])
def test_memory_beside_the_result_is_that_of_a_tile_a_thread(threads: int) -> None:
    """Some 25 temporaries of GELU in each."""
    X = _rows(1200, 8)
    network = mehler.network("gelu", **SCALES)
    network.gram("ntk", X[:3], threads=threads)
    tracemalloc.start()
    try:
        result = network.gram("ntk", X, threads=threads)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (
        result.nbytes <= peak < result.nbytes + threads * 48 * math.prod(network.evaluator.module.TILE) * X.itemsize
    )


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize(("other", "total"), [(None, 10), (_rows(4, seed=1), 8)], ids=["X", "X,Y"])
def test_progress_counts_the_tiles(other: np.ndarray | None, total: int) -> None:
    """4 x 4 tiles of which those on and above the diagonal are computed, and 4 x 2 tiles."""
    calls: list[tuple[int, int]] = []
    gram(_evaluator("relu"), _rows(10), other, progress=lambda done, tiles: calls.append((done, tiles)))
    assert calls == [(i, total) for i in range(1, total + 1)]


@pytest.mark.usefixtures("small_tiles")
def test_overflow_names_the_rows() -> None:
    """Row 4 is so long that its kernels overflow with any row; the first tile that holds it reports it."""
    X, Y = _rows(7), _rows(5, seed=1)
    X[4] *= 1e3
    message = "the kernel of row {} with row {} is not finite in float64 from layer 1 of 1 on; scale the rows down"
    with pytest.raises(mehler.NumericError, match=message.format(0, 4)):
        gram(_evaluator("exp"), X)
    with pytest.raises(mehler.NumericError, match=message.format(4, 0)):
        gram(_evaluator("exp"), X, Y)
    with pytest.raises(mehler.NumericError, match=message.format(0, 4)):
        gram(_evaluator("exp"), Y, X)


@pytest.mark.parametrize("kernel", ["nngp", "ntk"])
def test_overflow_of_float32(kernel: Any) -> None:
    X = np.full((2, 3), 1e20, np.float32)
    with pytest.raises(mehler.NumericError, match=r"row 0 .*float32.*; scale the rows"):
        gram(_evaluator("relu"), X, kernel=kernel)
    assert np.isfinite(gram(_evaluator("relu"), X.astype(np.float64), kernel=kernel)).all()
