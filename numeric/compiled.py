"""Where Numba keeps the code that it compiles of generated modules, and what becomes of damaged code.

Numba finds code by the file of its source, and its index is a pickle, which is run: so both lie in a folder that is
the user's alone (mehler.folders). Where there is none, code is compiled anew in each process.
"""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from mehler import folders

MAX_BYTES = 100_000_000


def written(source: str, name: str) -> str | None:
    """The path of a file `name`.py with `source` in the folder of compiled code; None where that cannot be had."""
    folder = folders.compiled()
    if folder is None:
        return None
    data = source.encode()
    try:
        if not _holds(folder, f"{name}.py", data):
            folders.write(folder, f"{name}.py", data)
        folders.require_own(folder)
        folders.require_own_files(folder / "__pycache__", f"{name}.")
    except (OSError, ValueError):
        return None
    return str(folder.resolve() / f"{name}.py")


def _holds(folder: Path, name: str, data: bytes) -> bool:
    with suppress(OSError):
        return folders.read(folder, name, MAX_BYTES) == data
    return False


def prepare(module: ModuleType) -> None:
    """Let the functions of a module be compiled anew where code that was kept is damaged or cannot be written.

    From the first module on a fork waits for the compiler, which would be locked for ever in the new process.
    """
    from numba.core.caching import FunctionCache
    from numba.core.dispatcher import Dispatcher

    _fork_between_compilations()
    functions: list[Any] = [value for value in vars(module).values() if isinstance(value, Dispatcher)]
    for function in functions:
        if isinstance(function._cache, FunctionCache):
            function._cache = _Forgiving(function._cache)


@cache
def _fork_between_compilations() -> None:
    from numba.core.compiler_lock import global_compiler_lock as lock

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


class _Forgiving:
    """A cache of Numba's without errors: what cannot be read is not there, what cannot be written is left out."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, *arguments: Any) -> Any:
        try:
            return self._cache.load_overload(*arguments)
        except Exception:  # whatever a pickle that is cut off raises
            with suppress(OSError):
                self._cache.flush()  # else it cannot be replaced
            return None

    def save_overload(self, *arguments: Any) -> None:
        with suppress(Exception):
            self._cache.save_overload(*arguments)
