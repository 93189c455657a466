"""Files that are whole or absent. Their places are taken before the work whose results they receive."""

import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from mehler.console import note
from mehler.numeric.errors import NumericError

KEPT = 40  # characters of a name in that of its temporary file, which must not be too long


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and is gone otherwise.

    A file that is there keeps its permissions. What a killed run left there is removed.
    Raises NumericError where nothing can be written, before the block or after it.
    """
    try:
        target = _target(path)
        permissions = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
        _remove_leftovers(target)
        handle, temporary = _reserve(target, 0o666 if permissions is None else 0o600)
    except OSError as error:
        raise NumericError(f"cannot write {path}: {error.strerror}") from None
    with os.fdopen(handle) as lock:
        try:
            yield temporary
            if permissions is not None:
                temporary.chmod(permissions)
            if os.name == "nt":  # an open file cannot be renamed there
                lock.close()
            temporary.replace(target)
        except OSError as error:
            if error.filename not in (None, str(temporary)):
                raise
            raise NumericError(f"cannot write {path}: {error.strerror}") from None
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def text_file(path: Path | None) -> Iterator[Callable[[str], object]]:
    """A function that writes the text of `path`, or prints it where there is none."""
    if path is None:
        yield partial(print, end="")
    else:
        with whole_file(path) as temporary:
            yield partial(temporary.write_text, encoding="utf-8")


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """A folder that can be written in. It is made, with those above it, and removed again if the block fails."""
    made = [place for place in (path, *path.parents) if not place.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        _try_to_write(path)
        yield path
    except BaseException:
        for place in made:
            with suppress(OSError):
                place.rmdir()
        raise


def _try_to_write(place: Path) -> None:
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        raise NumericError(f"cannot write in {place}: {error.strerror}") from None


def _target(path: Path) -> Path:
    """The place of the file itself, if `path` is a link to it. Raises NumericError where no file may be put."""
    try:
        target = path.resolve()
    except RuntimeError:  # links in a circle
        raise NumericError(f"{path} is not an ordinary file; name another") from None
    for folder in (path.parent, target.parent):
        if not folder.is_dir():
            raise NumericError(f"the folder {folder} does not exist; create it first")
    if target.exists() and not target.is_file():
        raise NumericError(f"{path} is not an ordinary file; name another")
    if target.exists() and not os.access(target, os.W_OK):
        raise NumericError(f"{path} is read-only; name another, or make it writable")
    return target


def _reserve(target: Path, permissions: int) -> tuple[int, Path]:
    """A new hidden file beside `target`, locked as long as its handle is open."""
    while True:
        temporary = target.with_name(f".{target.name[:KEPT]}.{secrets.token_hex(4)}.part")
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, permissions)
        _lock(handle, wait=True)
        if temporary.exists():
            return handle, temporary
        os.close(handle)  # another run took it for a leftover before it was locked


def _remove_leftovers(target: Path) -> None:
    """Remove the temporary files of `target` that no process holds."""
    name = re.compile(rf"\.{re.escape(target.name[:KEPT])}\.[a-z0-9_]{{8}}\.part")
    with suppress(OSError):
        for place in target.parent.iterdir():
            if name.fullmatch(place.name):
                _remove_leftover(place)


def _remove_leftover(place: Path) -> None:
    no_link = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # nor wait for one that is a pipe
    with suppress(OSError), os.fdopen(os.open(place, os.O_RDWR | no_link), "rb") as file:
        found = os.fstat(file.fileno())
        if stat.S_ISREG(found.st_mode) and _lock(file.fileno(), wait=False):
            place.unlink()
            note(f"removed {place}, {found.st_size} bytes left by a run that was killed")


def _lock(handle: int, wait: bool) -> bool:
    """Whether the file now belongs to this process until it is closed: never on a system without such locks."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (ImportError, OSError):
        return False
    return True
