"""Compiled code is kept where nobody else may write, and what cannot be read or kept is compiled anew."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mehler import folders
from mehler.derive import cache
from mehler.derive.pipeline import generate
from mehler.numeric import compiled
from mehler.numeric.evaluator import load_source

NAME = "mehler_generated_0123456789abcdef"
posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of POSIX")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEHLER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "compiled"


def test_a_source_is_written_once(folder: Path) -> None:
    path = folder / f"{NAME}.py"
    assert compiled.written("x = 1\n", NAME) == str(path)
    assert path.read_text(encoding="utf-8") == "x = 1\n"
    before = path.stat().st_ino
    assert compiled.written("x = 1\n", NAME) == str(path)
    assert path.stat().st_ino == before
    path.write_text("x =", encoding="utf-8")  # cut off
    assert compiled.written("x = 1\n", NAME) == str(path)
    assert path.read_text(encoding="utf-8") == "x = 1\n"


@pytest.mark.parametrize("off", ["off", "OFF", " Off "])
def test_off(folder: Path, off: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEHLER_CACHE", off)
    assert compiled.written("x = 1\n", NAME) is None
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o722])
def test_a_folder_of_others_is_not_used(folder: Path, mode: int) -> None:
    folder.mkdir(parents=True)
    for each in (folder, folder.parent):  # whoever may write to that may put another in its place
        each.chmod(mode)
        assert compiled.written("x = 1\n", NAME) is None
        each.chmod(0o755)
    assert compiled.written("x = 1\n", NAME) is not None


@posix
def test_pickles_of_others_are_not_used(folder: Path, tmp_path: Path) -> None:
    assert compiled.written("x = 1\n", NAME)
    kept = folder / "__pycache__"
    kept.mkdir()
    index = kept / f"{NAME}._fused-1.py311.nbi"
    index.write_bytes(b"")
    assert compiled.written("x = 1\n", NAME)
    index.chmod(0o666)
    assert compiled.written("x = 1\n", NAME) is None
    index.unlink()
    index.symlink_to(tmp_path / "elsewhere")
    assert compiled.written("x = 1\n", NAME) is None
    index.unlink()
    kept.rmdir()
    kept.symlink_to(tmp_path)
    assert compiled.written("x = 1\n", NAME) is None


@posix
def test_a_link_is_replaced_and_its_target_kept(folder: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine", encoding="utf-8")
    folder.mkdir(parents=True)
    (folder / f"{NAME}.py").symlink_to(precious)
    assert compiled.written("x = 1\n", NAME) == str(folder / f"{NAME}.py")
    assert precious.read_text(encoding="utf-8") == "mine"
    assert not (folder / f"{NAME}.py").is_symlink()


def test_clearing_removes_compiled_code_and_nothing_else(folder: Path) -> None:
    compiled.written("x = 1\n", NAME)
    (folder / "__pycache__").mkdir()
    for name in (f"{NAME}._fused-1.py311.nbi", f"{NAME}._fused-1.py311.1.nbc", f"{NAME}.a-1.nbc.tmp.0a1b"):
        (folder / "__pycache__" / name).write_bytes(b"123")
    mine = folder / "notes.py"
    mine.write_text("mine", encoding="utf-8")
    assert len(cache.files()) == 4
    assert cache.clear() == (4, 6 + 9)
    assert list(folder.iterdir()) == [mine]
    mine.unlink()
    assert cache.clear() == (0, 0)
    assert not folder.exists()
    assert folders.compiled() == folder


ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import small
assert small._cached() is (sys.argv[2] == "kept")
assert small._pairs.stats.cache_path if sys.argv[2] == "kept" else not hasattr(small._pairs._cache, "_cache_file")
print(float(small.kernel(1.0, 1.0, 0.5)))
"""


@pytest.mark.parametrize("place", ["kept", "nowhere"])
def test_a_module_where_nothing_can_be_written(place: str, tmp_path: Path) -> None:
    """To root nothing is read-only: a file stands where the folder of compiled code would be made."""
    library, home = tmp_path / "library", tmp_path / "home"
    library.mkdir()
    (library / "small.py").write_text(generate("x", name="small", target="numba"), encoding="utf-8")
    (library / "__pycache__").write_text("", encoding="utf-8")
    if place == "nowhere":
        home.write_text("", encoding="utf-8")
    environment = os.environ | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "NUMBA_CACHE_DIR": ""}
    command = [sys.executable, "-B", "-W", "error", "-c", ALONE, str(library), place]
    found = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, env=environment)
    assert (found.stdout, found.stderr) == ("0.5\n", "")


SMALL = """
import numpy as np
from numba import njit

NAME, EXPRESSION, JUMPS, ENGINE, SOURCE = "x", "x", "almost-everywhere", "mehler", "0"
TARGET = "numba"
PARAMETERS, BUDGETS = {}, {}
kernel_dot = kernel_diag = kernel_dot_diag = nngp = ntk = rows_of = tile_of = None


@njit(cache=True)
def kernel(q1, q2, c):
    return 2.0 * c
"""


@pytest.mark.parametrize("damage", [b"", b"\x80", b"no pickle", None])
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_damaged_code_is_compiled_anew_once(folder: Path, kind: str, damage: bytes | None) -> None:
    """None: cut in half."""
    first = load_source(SMALL, "here")
    assert first.kernel(1.0, 1.0, 0.5) == 1.0
    (path,) = (folder / "__pycache__").glob(f"*.{kind}")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    for hits in (0, 1):
        again = load_source(SMALL, "here")
        assert again.kernel(1.0, 1.0, 0.5) == 1.0
        assert sum(again.kernel.stats.cache_hits.values()) == hits  # type: ignore[attr-defined]


def test_code_that_cannot_be_kept_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_source(SMALL, "here")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numba.core.caching.os.replace", fail)
    assert module.kernel(1.0, 1.0, 0.5) == 1.0
