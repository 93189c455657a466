"""Work on the threads of a process, with the threads of BLAS held back meanwhile."""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from mehler.numeric.errors import NumericError
from mehler.numeric.inputs import shown

Item = TypeVar("Item")


MOST = 1024  # threads that may be asked for: a system refuses to start some ten thousand


def count(threads: Any) -> int:
    """1 ≤ `threads` ≤ MOST, or for None the number of cores that this process may use. Raises NumericError."""
    if threads is None:
        affinity = getattr(os, "sched_getaffinity", None)  # only on Linux
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    if isinstance(threads, bool) or not isinstance(threads, int | np.integer) or threads < 1:
        raise NumericError(f"threads={shown(threads)} must be an integer >= 1; leave it out to use every core")
    if threads > MOST:
        raise NumericError(f"threads={shown(threads)} is more than {MOST}; leave it out to use every core")
    return int(threads)


def for_each(
    work: Callable[[Item], None], items: Sequence[Item], threads: int, after: Callable[[int], None]
) -> None:
    """work(item) of every item on `threads` threads, and after(items done) in this one, in the order of the items.

    The error raised is that of the first item that fails. Then, or when `after` raises or the user interrupts,
    work that has not begun is dropped and work under way is waited for: nothing runs on when this returns.
    """
    _keep_freed_memory()
    with _one_thread_for_blas():
        if threads == 1:
            for done, item in enumerate(items, 1):
                work(item)
                after(done)
            return
        executor = ThreadPoolExecutor(threads, thread_name_prefix="mehler", initializer=_hold_blas)
        try:
            for done, _ in enumerate(executor.map(work, items), 1):
                after(done)
        finally:
            executor.shutdown(cancel_futures=True)


_turn = threading.RLock()
_limit: Any = None  # that is in force


@contextmanager
def _one_thread_for_blas() -> Iterator[None]:
    """The limit is one of the process, so callers in several threads take turns."""
    global _limit
    with _turn, _controller().limit(limits=1, user_api="blas") as limit:
        before, _limit = _limit, limit
        try:
            yield
        finally:
            _limit = before


def _after_fork() -> None:
    """Of a process that was forked while another thread computed: nobody is left to end that turn."""
    global _turn, _limit
    _turn = threading.RLock()
    if _limit is not None:
        _limit.restore_original_limits()
        _limit = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _hold_blas() -> None:
    """An OpenBLAS on OpenMP has a limit for each thread that calls it; elsewhere that of the process stands."""
    _controller().limit(limits=1, user_api="blas")


def _controller() -> ThreadpoolController:
    """Of every BLAS in the process: one comes with a module, SciPy's for instance."""
    return _controller_of(len(sys.modules))


@lru_cache(maxsize=1)
def _controller_of(modules: int) -> ThreadpoolController:
    """It searches the libraries of the process, which takes milliseconds."""
    return ThreadpoolController()


@cache
def _keep_freed_memory() -> None:
    """Let the allocator keep up to 64 MB that NumPy's temporaries free, where it would give them back at once.

    glibc raises its threshold to twice the largest block that was freed, up to 32 MB. Without it the pages of
    every temporary are mapped and cleared anew, a third of the time of a tile. Elsewhere it does nothing.
    """
    np.empty(31 * 2**20, np.uint8)
