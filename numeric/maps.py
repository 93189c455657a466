"""Arrays that lie in memory maps of files."""

import errno
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

CHUNK = 2**20
UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def pages_of(array: Array) -> mmap.mmap | None:
    """The map that an array lies in."""
    base = list(_bases(array))[-1]
    return base if isinstance(base, mmap.mmap) else None


def same_file(*arrays: Array) -> bool:
    """Whether two arrays lie in maps of one file: they share it, though their addresses differ."""
    one, other = (None if whole is None else whole.filename for whole in map(_mapped, arrays))
    try:
        return one is not None and other is not None and Path(one).samefile(other)
    except OSError:  # one of them is gone from its folder
        return False


def give_back(pages: mmap.mmap) -> None:
    """Drop a map's pages from this process: what was written stays in the system's cache on its way to the file."""
    if hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


def allocate(array: Array) -> None:
    """Reserve disk space for an array that is mapped to a file. Raises OSError, which names the file.

    A write through a map has no way to fail: on a full disk the system kills the process (SIGBUS).
    """
    whole = _mapped(array)
    if whole is None or whole.filename is None or whole.mode == "c":
        return
    path, (low, high) = Path(whole.filename), byte_bounds(array)
    start, size = whole.offset + low - byte_bounds(whole)[0], high - low
    try:
        with path.open("r+b", buffering=0) as file:
            if os.fstat(file.fileno()).st_size >= start + size:  # otherwise another file has that name now
                _reserve(file, start, size)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _reserve(file: Any, start: int, size: int) -> None:
    try:
        os.posix_fallocate(file.fileno(), start, size)
        return
    except AttributeError:  # not on macOS and Windows
        pass
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    for place in range(start, start + size, CHUNK):  # a view's neighbours keep their values
        file.seek(place)
        chunk = file.read(min(CHUNK, start + size - place))
        file.seek(place)
        file.write(chunk)


def _mapped(array: Array) -> Any:
    """The array that numpy.memmap made, of which an array is a view."""
    return next((base for base in reversed(list(_bases(array))) if isinstance(base, np.memmap)), None)


def _bases(array: Array) -> Iterator[Any]:
    """An array, the array that it is a view of, and so on, down to what owns the memory."""
    base: Any = array
    while isinstance(base, np.ndarray):
        yield base
        base = base.base
    yield base
