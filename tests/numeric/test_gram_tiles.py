"""What threads, tiles and files may not change in a Gram matrix."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import mehler
from mehler.generated import relu
from mehler.numeric import gram as tiles
from mehler.numeric import workers
from mehler.numeric.evaluator import Evaluator, load_named
from mehler.numeric.gram import gram

SCALES = {"depth": 2, "sigma_w": 1.4, "sigma_b": 0.1}


def _evaluator(name: str = "relu") -> Evaluator:
    module = load_named(name)
    assert module is not None
    return Evaluator(module, {})


def _rows(n: int, d: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def _blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.fixture
def small(tile_size: Callable[..., None]) -> int:
    tile_size(16, "relu", "exp")
    return 16


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("extra", [-15, -1, 0, 1, 19], ids=["1", "TILE-1", "TILE", "TILE+1", "2*TILE+3"])
def test_the_same_bits_by_any_number_of_threads(extra: int, dtype: Any, small: int) -> None:
    X, Y = _rows(small + extra, 30).astype(dtype), _rows(37, 30, seed=1).astype(dtype)
    X[-1] = Y[-1] = X[0]
    X[len(X) // 2] = X[0] * dtype(1 + 1e-6)  # close, and refined from the rows
    for other in (None, Y):
        alone = gram(_evaluator(), X, other, threads=1, **SCALES)
        assert alone.dtype == dtype
        assert np.array_equal(alone, alone.T) or other is not None
        for threads in (2, 3, None):
            assert np.array_equal(gram(_evaluator(), X, other, threads=threads, **SCALES), alone)


def test_the_same_bits_in_tiles_of_the_real_size() -> None:
    X = _rows(2 * _evaluator().module.TILE[0] + 3, 40)
    alone, together = (gram(_evaluator("gelu"), X, threads=threads, **SCALES) for threads in (1, 3))
    assert np.array_equal(alone, together)


def test_rows_that_are_appended_change_no_whole_tile() -> None:
    n = 2 * _evaluator().module.TILE[0]
    X = _rows(n + 30, 100)
    assert np.array_equal(gram(_evaluator(), X, **SCALES)[:n, :n], gram(_evaluator(), X[:n], **SCALES))


def test_the_same_bits_in_any_memory_order(small: int) -> None:
    X, Y = _rows(small + 3, 30), _rows(small + 5, 30, seed=1)
    expected = gram(_evaluator(), X, Y, **SCALES)
    wide = np.repeat(X, 2, axis=1)[:, ::2]
    for same in (np.asfortranarray(X), wide, X[::-1].copy()[::-1]):
        assert not same.flags.c_contiguous
        assert np.array_equal(gram(_evaluator(), same, np.asfortranarray(Y), **SCALES), expected)


@pytest.mark.parametrize("name", ["relu", "gelu"])
def test_copies_of_rows_have_one_kernel_across_tiles(name: str, small: int) -> None:
    X = _rows(3 * small + 5, 30)
    copies = [3, small + 1, 3 * small + 4]
    X[copies] = X[3]
    X[5, 0], X[-2] = 0.0, X[5]
    X[-2, 0] = -0.0  # equal to 0.0
    K = gram(_evaluator(name), X, **SCALES)
    for i in copies:
        assert np.array_equal(K[i], K[3])
        assert np.array_equal(K[:, i], K[:, 3])
    assert np.array_equal(K[5], K[-2])
    own = [gram(_evaluator(name), x[None], **SCALES)[0, 0] for x in X]
    assert np.array_equal(np.diag(K), own)
    assert np.array_equal(gram(_evaluator(name), X, X, **SCALES)[3, copies], np.full(3, own[3]))


def test_the_first_overflow_is_named_whichever_thread_meets_it_first(small: int) -> None:
    X = _rows(4 * small)
    X[small + 2] *= 1e3
    X[3 * small + 1] *= 1e3
    for threads in (1, 2, 3):
        with pytest.raises(
            mehler.NumericError, match="row 0 with row 18 is not finite in float64 from layer 1 of 1"
        ):
            gram(_evaluator("exp"), X, threads=threads)


def test_progress_is_told_in_order_and_by_the_caller(small: int) -> None:
    calls = []
    gram(
        _evaluator(), _rows(3 * small), threads=3,
        progress=lambda done, total: calls.append((done, total, threading.current_thread())),
    )  # fmt: skip
    assert calls == [(i, 6, threading.current_thread()) for i in range(1, 7)]


def test_a_memory_map_is_written_through_and_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr(tiles, "RESIDENT", 2 * small**2 * 8)
    X = _rows(3 * small + 1)
    expected = gram(_evaluator(), X, **SCALES)
    out = np.lib.format.open_memmap(tmp_path / "K.npy", mode="w+", dtype=X.dtype, shape=expected.shape)
    part = np.lib.format.open_memmap(tmp_path / "L.npy", mode="w+", dtype=X.dtype, shape=(100, 100))
    for target in (out, part[: len(X), 7 : 7 + len(X)]):
        assert gram(_evaluator(), X, out=target, threads=2, **SCALES) is target
    assert np.array_equal(np.load(tmp_path / "K.npy"), expected)
    assert np.array_equal(np.load(tmp_path / "L.npy")[: len(X), 7 : 7 + len(X)], expected)


def _slow(finished: list[float]) -> Evaluator:
    """A module whose tiles take 20 ms."""

    def tile_of(one: Any, part: slice, other: Any, parts: slice, within: bool) -> np.ndarray:
        time.sleep(0.02)
        finished.append(time.monotonic())
        return np.ones((part.stop - part.start, parts.stop - parts.start))

    module: Any = SimpleNamespace(rows_of=lambda *_, **__: None, PARAMETERS={}, NAME="slow")
    module.tile_of, module.tiles_of, module.TILE = tile_of, relu.tiles_of, relu.TILE
    return Evaluator(module, {})


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_caller_who_stops_stops_the_threads(threads: int, small: int) -> None:
    finished: list[float] = []

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    before = _blas_threads()
    with pytest.raises(KeyboardInterrupt):
        gram(_slow(finished), _rows(20 * small), threads=threads, progress=stop)
    assert len(finished) <= 3 + 2 * threads
    assert not [t for t in threading.enumerate() if t.name.startswith("mehler")]
    assert _blas_threads() == before


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for one process there")
@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread"
)
def test_an_interrupt_ends_it_within_a_tile(small: int) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a process that runs in the background
    finished: list[float] = []
    timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
    started = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        gram(_slow(finished), _rows(20 * small), threads=2)
    assert time.monotonic() - started < 2  # of 210 tiles in 2.1 s, had they run on
    assert len(finished) < 100


@pytest.mark.parametrize("threads", [1, 2])
def test_blas_has_one_thread_meanwhile_also_for_callers_in_several_threads(threads: int) -> None:
    before, seen = _blas_threads(), []

    def work(_: int) -> None:
        time.sleep(0.005)
        seen.append(_blas_threads())

    callers = [
        threading.Thread(target=workers.for_each, args=(work, range(4), threads, lambda done: None))
        for _ in range(3)
    ]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert seen == [[1] * len(before)] * 12
    assert _blas_threads() == before


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_a_number_of_threads_that_is_none(threads: Any) -> None:
    with pytest.raises(mehler.NumericError, match=r"threads=.* must be an integer >= 1"):
        gram(_evaluator(), _rows(3), threads=threads)


@pytest.mark.parametrize("threads", [1025, 10**5, 10**400])
def test_more_threads_than_a_system_starts(threads: int) -> None:
    with pytest.raises(mehler.NumericError, match=r"threads=.* is more than 1024"):
        gram(_evaluator(), _rows(3), threads=threads)


def test_every_core_of_the_process_by_default() -> None:
    assert 1 <= workers.count(None) <= (os.cpu_count() or 1)
    assert workers.count(3) == 3
