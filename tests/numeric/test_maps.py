"""Results that lie in files: their place on the disk is taken before the work."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mehler
from mehler.numeric import maps, workers

X = np.random.default_rng(0).standard_normal((300, 4))


def _sparse(path: Path, rows: int = 300) -> Any:
    return np.lib.format.open_memmap(path, mode="w+", dtype=X.dtype, shape=(rows, 300))


def _on_disk(path: Path) -> int:
    return path.stat().st_blocks * 512


def _emulated(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "without the call":
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    if how == "where it is not supported":
        _fail(monkeypatch, errno.EOPNOTSUPP)


def _fail(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)


@pytest.mark.parametrize("how", ["by the system", "without the call", "where it is not supported"])
def test_the_disk_is_asked_before_the_first_tile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    _emulated(monkeypatch, how)
    path = tmp_path / "K.npy"
    out = _sparse(path)
    before, seen = _on_disk(path), []
    monkeypatch.setattr(workers, "for_each", lambda *_: seen.append(_on_disk(path)))
    mehler.network("relu").gram("ntk", X, out=out)
    assert before < out.nbytes <= seen[0]


@pytest.mark.parametrize("how", ["by the system", "without the call", "where it is not supported"])
def test_only_the_part_that_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Whoever fills a matrix in parts needs no disk for the whole, and neighbours of a part keep their values."""
    _emulated(monkeypatch, how)
    path = tmp_path / "K.npy"
    whole = _sparse(path, 300_000)
    whole[299] = whole[600] = 7
    whole.flush()
    maps.allocate(whole[300:600])
    assert 300 * 300 * 8 <= _on_disk(path) < 2 * 300 * 300 * 8
    assert (whole[299] == 7).all()
    assert (whole[300:600] == 0).all()
    assert (whole[600] == 7).all()


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail(monkeypatch, errno.ENOSPC)
    out = _sparse(tmp_path / "K.npy")
    with pytest.raises(OSError, match="No space left on device") as raised:
        mehler.network("relu").gram("ntk", X, out=out)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(tmp_path / "K.npy"))


def _plain(tmp_path: Path) -> Any:
    return np.empty((300, 300))


def _copied_on_write(tmp_path: Path) -> Any:
    _sparse(tmp_path / "K.npy").flush()
    return np.load(tmp_path / "K.npy", mmap_mode="c")


def _removed(tmp_path: Path) -> Any:
    out = _sparse(tmp_path / "K.npy")
    (tmp_path / "K.npy").unlink()
    return out


def _replaced(tmp_path: Path) -> Any:
    out = _removed(tmp_path)
    (tmp_path / "K.npy").write_text("another", encoding="utf-8")
    return out


@pytest.mark.parametrize("make", [_plain, _copied_on_write, _removed, _replaced])
def test_results_for_which_there_is_nothing_to_reserve(
    make: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail(monkeypatch, errno.ENOSPC)
    assert np.array_equal(mehler.network("relu").gram("ntk", X, out=make(tmp_path)), mehler.network("relu").ntk(X))
    if make is _replaced:
        assert (tmp_path / "K.npy").read_text(encoding="utf-8") == "another"
