"""The folders in which mehler keeps derivations and compiled code, and how files are read and written there.

What lies there is believed, and compiled code is run. So a folder or a file counts only if it belongs to the user
or to root, and nobody else may write to it. Files are opened within a folder that is open, and never through a
symbolic link: nobody can exchange either between the look and the use.
"""

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import platformdirs

_WITHIN = os.open in os.supports_dir_fd  # not on Windows, where the user's folders are the user's alone
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class Refused(OSError):
    """A folder or a file that others may have written."""


def derivations() -> Path | None:
    """The folder $MEHLER_CACHE, or one in the user's cache; None when that is "off", or the user has no home."""
    return _chosen() or _default("derivations")


def compiled() -> Path | None:
    """The folder compiled/ beside, or in $MEHLER_CACHE."""
    chosen = _chosen()
    return chosen / "compiled" if chosen else _default("compiled")


def is_off() -> bool:
    return _setting().lower() == "off"


def _setting() -> str:
    return os.environ.get("MEHLER_CACHE", "").strip()


def _chosen() -> Path | None:
    return Path(_setting()) if _setting() and not is_off() else None


def _default(name: str) -> Path | None:
    folder = Path(platformdirs.user_cache_dir("mehler", appauthor=False)) / name
    return folder if folder.is_absolute() and not is_off() else None


def read(folder: Path, name: str, limit: int) -> bytes:
    """What is in a file. Raises OSError where there is none, or it is larger, or not the user's own."""
    with _entered(folder) as (at, options):
        handle = os.open(at(name), _READ, **options)
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
                raise OSError(f"{name} is no file of at most {limit} bytes")
            _require(found, folder / name)
            return file.read(limit)


def write(folder: Path, name: str, data: bytes) -> None:
    """Make a file at once: a reader finds the old one or the new one. Makes the folder too. Raises OSError."""
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    temporary = f".{Path(name).stem}.{secrets.token_hex(8)}.part"
    with _entered(folder) as (at, options):
        both = {"src_dir_fd": options["dir_fd"], "dst_dir_fd": options["dir_fd"]} if options else {}
        try:
            with os.fdopen(os.open(at(temporary), _WRITE, 0o600, **options), "wb") as file:
                file.write(data)
            os.replace(at(temporary), at(name), **both)  # noqa: PTH105 (Path has no folder that is open)
        finally:
            with suppress(OSError):
                os.unlink(at(temporary), **options)


@contextmanager
def _entered(folder: Path) -> Iterator[tuple[Callable[[str], str], dict[str, Any]]]:
    """How a file of `folder` is called, and with which further arguments. Raises OSError."""
    if not _WITHIN:
        yield lambda name: str(folder / name), {}
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _require(os.fstat(handle), folder)
        yield lambda name: name, {"dir_fd": handle}
    finally:
        os.close(handle)


def fault(folder: Path) -> str | None:
    """Why a folder that is there is not used, if it is not."""
    try:
        with suppress(FileNotFoundError), _entered(folder):
            pass
    except OSError as reason:
        return str(reason) if isinstance(reason, Refused) else f"{folder}: {reason.strerror}"
    return None


def require_own(folder: Path) -> None:
    """Raise OSError unless nobody else can change what a path to or in `folder` leads to, or what is in it.

    For those who open files by their paths, as Numba does.
    """
    folder = folder.resolve(strict=True)
    _require(os.lstat(folder), folder)
    for parent in folder.parents:
        found = os.lstat(parent)
        if not found.st_mode & stat.S_ISVTX:  # with it each may only rename what is theirs
            _require(found, parent)


def require_own_files(folder: Path, prefix: str) -> None:
    """The same of a folder within such a one, if it is there, and of its files whose names begin with `prefix`."""
    with suppress(FileNotFoundError):
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode):
            raise Refused(f"{folder} is no folder")
        _require(found, folder)
        for path in folder.iterdir():
            if path.name.startswith(prefix):
                found = os.lstat(path)
                if not stat.S_ISREG(found.st_mode):
                    raise Refused(f"{path} is no file")
                _require(found, path)


def _require(found: os.stat_result, path: Path) -> None:
    if hasattr(os, "geteuid"):
        if found.st_uid not in (0, os.geteuid()):
            raise Refused(f"{path} belongs to another user")
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise Refused(f"others may write to {path}")
