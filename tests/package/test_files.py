"""Files that are whole or absent: their places, permissions and names, and what killed runs left of them."""

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mehler import api, certify, demo, files
from mehler.derive import gallery, pipeline, published
from mehler.derive.emit import library

Command = Callable[..., Any]
GOOD = np.random.default_rng(0).standard_normal((4, 3))

# `mehler` with its arguments, whose first tile lasts a minute.
SLOW = """
import time
from mehler import cli
from mehler.numeric import gram

def wait(*_):
    print("begun", flush=True)
    time.sleep(60)

gram._check_finite = wait
cli.main()
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", GOOD)
    return tmp_path


def _names(folder: Path) -> set[str]:
    return {place.name for place in folder.iterdir()}


@contextmanager
def _begun(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A run of `mehler gram` that is computing."""
    command = [sys.executable, "-c", SLOW, "gram", "relu", "X.npy", "--out", "K.npy", "--target", "numpy"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_hears_hangups
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            yield process
        finally:
            process.kill()


def _hears_hangups() -> None:
    """As a process does that was not started under nohup, whatever started the tests."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM"])
def test_a_signal_leaves_nothing(data: Path, name: str) -> None:
    with _begun(data) as process:
        process.send_signal(getattr(signal, name))
        assert process.wait(20) == 128 + getattr(signal, name)
    assert _names(data) == {"X.npy"}


def test_what_a_killed_run_left_is_removed_and_what_a_run_needs_is_not(mehler_command: Command, data: Path) -> None:
    with _begun(data) as process:
        (part,) = _names(data) - {"X.npy"}
        beside = mehler_command("gram", "relu", "X.npy", "--out", "K.npy")
        assert (beside.code, beside.err) == (0, "")
        assert _names(data) == {"X.npy", "K.npy", part}
        process.kill()
        process.wait(20)
    after = mehler_command("gram", "relu", "X.npy", "--out", "K.npy")
    assert (after.code, after.out) == (0, "K.npy  4 x 4 float64\n")
    assert after.err.startswith("mehler: removed ")
    assert f"{part}, 256 bytes left by a run that was killed" in after.err
    assert _names(data) == {"X.npy", "K.npy"}
    assert mehler_command("gram", "relu", "X.npy", "--out", "K.npy").err == ""


@pytest.mark.parametrize(
    "name",
    [".K.npy.part", ".K.npy.0123456789.part", ".L.npy.01234567.part", "K.npy.01234567.part", ".K.npy.01234567"],
)
def test_files_of_other_names_stay(data: Path, name: str) -> None:
    Path(name).touch()
    with files.text_file(Path("K.npy")) as write:
        write("new")
    assert _names(data) == {"X.npy", "K.npy", name}


def test_what_is_no_file_of_a_killed_run_stays(data: Path) -> None:
    Path(".K.npy.00000001.part").mkdir()
    os.mkfifo(".K.npy.00000002.part")
    Path(".K.npy.00000003.part").symlink_to("X.npy")
    before = _names(data)
    with files.text_file(Path("K.npy")) as write:
        write("new")
    assert _names(data) == before | {"K.npy"}


@pytest.mark.parametrize("permissions", [0o600, 0o640, 0o664, 0o755])
def test_permissions_of_a_file_that_was_there(data: Path, permissions: int) -> None:
    path = Path("K.npy")
    path.touch()
    path.chmod(permissions)
    with files.whole_file(path) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600  # nobody reads it who could not read the file
        temporary.write_text("new", encoding="utf-8")
    assert (path.read_text(encoding="utf-8"), stat.S_IMODE(path.stat().st_mode)) == ("new", permissions)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_of_a_new_file_are_the_usual_ones(data: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with files.text_file(Path("K.npy")) as write:
            write("new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path("K.npy").stat().st_mode) == 0o666 & ~umask


def test_a_link_stays_a_link(data: Path) -> None:
    Path("folder").mkdir()
    Path("K.npy").symlink_to("folder/other.npy")
    for text in ("first", "second"):  # the link leads nowhere at first
        with files.text_file(Path("K.npy")) as write:
            write(text)
        assert Path("K.npy").is_symlink()
        assert Path("folder/other.npy").read_text(encoding="utf-8") == text
    assert _names(data / "folder") == {"other.npy"}


def _missing() -> str:
    return "new/file"


def _in_a_file() -> str:
    return "X.npy/file"


def _directory() -> str:
    return "."


def _pipe() -> str:
    os.mkfifo("pipe")
    return "pipe"


def _circle() -> str:
    Path("circle").symlink_to("circle")
    return "circle"


def _link_to_no_folder() -> str:
    Path("link").symlink_to("new/file")
    return "link"


def _long() -> str:
    return "x" * 300


PLACES = {
    _missing: "the folder new does not exist; create it first",
    _in_a_file: "the folder X.npy does not exist; create it first",
    _directory: ". is not an ordinary file; name another",
    _pipe: "pipe is not an ordinary file; name another",
    _circle: "circle is not an ordinary file; name another",
    _link_to_no_folder: "/new does not exist; create it first",
    _long: "File name too long",
    lambda: "/dev/null": "/dev/null is not an ordinary file; name another",
}


@pytest.mark.parametrize("place", PLACES)
def test_places_where_no_file_can_be(mehler_command: Command, data: Path, place: Callable[[], str]) -> None:
    out = place()
    before = _names(data)
    assert PLACES[place] in mehler_command("gram", "relu", "X.npy", "--out", out).refused()
    assert _names(data) == before


def test_a_name_as_long_as_a_name_may_be(data: Path) -> None:
    path = Path("é" * 127)
    with files.text_file(path) as write:
        write("new")
    assert _names(data) == {"X.npy", path.name}


OUTPUTS = {
    "derive": ("derive", "relu", "--report", "new.md"),
    "generate": ("generate", "relu", "--name", "new"),
    "generate into a new folder": ("generate", "relu", "--name", "new", "--out", "a/b"),
    "generate --all": ("generate", "--all", "--out", "a/b"),
    "check": ("check", "relu", "--plot", "new.png"),
    "gram": ("gram", "x*Phi(x)", "X.npy", "--out", "new.npy"),
    "verify": ("verify", "--out", "new.md"),
    "gallery": ("gallery", "--only", "relu", "--out", "new.md"),
    "demo --json": ("demo", "--json", "new.json"),
    "demo --out": ("demo", "--out", "a/b"),
}


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def begun(*_: object, **__: object) -> None:
        raise AssertionError("the work has begun")

    for module, name in (
        (pipeline, "derivation"), (pipeline, "generate"), (certify, "subject"), (published, "verify_all"),
        (gallery, "outcome"), (demo, "derive_dual"), (library, "library"), (api, "network"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, begun)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("what", OUTPUTS)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    mehler_command: Command, data: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files, "_reserve", refuse)
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    line = mehler_command(*OUTPUTS[what]).refused()
    assert line.startswith("mehler: cannot write ")
    assert line.endswith(": Read-only file system\n")
    assert _names(data) == {"X.npy"}


@pytest.mark.usefixtures("no_work")
def test_a_read_only_file_is_not_replaced(
    mehler_command: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("new.json").write_text("before", encoding="utf-8")
    monkeypatch.setattr(os, "access", lambda _, how: how != os.W_OK)  # root may write everywhere
    assert "new.json is read-only; name another" in mehler_command("demo", "--json", "new.json").refused()
    assert Path("new.json").read_text(encoding="utf-8") == "before"


def test_an_error_while_a_file_is_written_names_it(
    mehler_command: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", refuse)
    monkeypatch.setattr(published, "verify_all", list)
    for command, name in (
        (("derive", "x", "--report", "new.md"), "new.md"),
        (("generate", "x", "--name", "new", "--out", "a/b"), "a/b/new.py"),
        (("verify", "--out", "new.md"), "new.md"),
    ):
        assert mehler_command(*command).refused() == f"mehler: cannot write {name}: No space left on device\n"
        assert _names(data) == {"X.npy"}


def test_a_disk_without_space_for_a_gram_matrix(
    mehler_command: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    Path("K.npy").write_text("before", encoding="utf-8")
    line = mehler_command("gram", "relu", "X.npy", "--out", "K.npy").refused()
    assert line == "mehler: cannot write K.npy: No space left on device\n"
    assert _names(data) == {"X.npy", "K.npy"}
    assert Path("K.npy").read_text(encoding="utf-8") == "before"


def test_errors_about_other_files_keep_their_names(data: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised, files.whole_file(Path("K.npy")):
        Path("absent").read_text(encoding="utf-8")
    assert raised.value.filename == "absent"
    assert _names(data) == {"X.npy"}


def _stop(place: Path, name: str) -> None:
    """Begin to work in a folder, perhaps write a file there, and be interrupted."""
    with files.folder(place) as folder:
        if name:
            (folder / name).touch()
        raise KeyboardInterrupt


def test_folders_that_were_made_for_nothing_are_removed(data: Path) -> None:
    Path("there").mkdir()
    with pytest.raises(KeyboardInterrupt):
        _stop(Path("there/a/b"), "")
    assert _names(data / "there") == set()
    with pytest.raises(KeyboardInterrupt):
        _stop(Path("there/a/b"), "result")
    assert _names(data / "there/a/b") == {"result"}


def test_several_reports_are_all_written_or_none(
    mehler_command: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--report", "one.md", "--report", "two.tex", "--report", "three.html")
    assert mehler_command("derive", "x*y", *options).code == 2
    assert _names(data) == {"X.npy"}
    assert mehler_command("derive", "x", *options).code == 0
    assert _names(data) == {"X.npy", "one.md", "two.tex", "three.html"}
