"""How a command ends when its output cannot be written or shown, or memory is short."""

import io
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mehler import api, faults
from mehler.derive import cache

Command = Callable[..., Any]
SCRIPT = Path(sys.executable).with_name("mehler")


def _run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 100, "check": False} | options
    return subprocess.run([SCRIPT, *map(str, arguments)], **given)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_output_in_an_encoding_without_the_characters(
    mehler_command: Command, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("MEHLER_CACHE", "Ω漢φ")
    assert mehler_command("cache").code == 0
    assert mehler_command("list").code == 0
    assert mehler_command("check", "Ω漢φ.py").code == 2
    err.flush()
    assert b"\n0 files of 0 bytes\nname " in out.buffer.getvalue()
    assert out.buffer.getvalue().startswith(b"\\u03a9\\u6f22\\u03c6")
    assert err.buffer.getvalue().endswith(b"cannot read \\u03a9\\u6f22\\u03c6.py: No such file or directory\n")


def test_output_that_finds_no_space() -> None:
    with Path("/dev/full").open("wb") as full:
        result = _run("--help", stdout=full)
    assert (result.returncode, result.stderr) == (2, b"mehler: the output: No space left on device\n")


def test_output_that_is_closed() -> None:
    result = subprocess.run([f"{SCRIPT} --help >&-"], shell=True, stderr=subprocess.PIPE, timeout=100, check=False)
    assert (result.returncode, result.stderr) == (0, b"")


def test_output_that_nobody_reads_on() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        result = _run("--help", stdout=write)
    finally:
        os.close(write)
    assert (result.returncode, result.stderr) == (1, b"")


NAMES = {
    "an escape code": ("\x1b[31mred", "\\x1b[31mred"),
    "a bell and a backspace": ("a\a\b", "a\\x07\\x08"),
    "a title of the terminal": ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
    "eight bits": ("\x9b31m", "\\x9b31m"),
    "text from right to left": ("abc\u202egpj", "abc\\u202egpj"),
    "bytes that are not UTF-8": ("\udcff\udc80", "\\udcff\\udc80"),
    "a return": ("good\rbad", "good\\rbad"),
}


@pytest.mark.parametrize("what", NAMES)
def test_file_names_do_not_command_the_terminal(
    mehler_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    name, shown = NAMES[what]
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", np.ones((2, 2)))
    os.rename("X.npy", name)  # noqa: PTH104
    assert mehler_command("gram", "step", name, "--out", name).out == f"{shown}  2 x 2 float64\n"
    assert mehler_command("generate", "x", "--name", "y", "--out", f"new{name}").out.startswith(
        f"new{shown}/y.py\n"
    )
    assert shown in mehler_command("gram", "step", f"absent{name}", "--out", "K.npy").refused()
    assert shown in mehler_command("check", f"{name}.py").refused()
    monkeypatch.setattr(cache, "folder", lambda: Path(name))
    assert mehler_command("cache").out.startswith(f"{shown}\n")


def test_a_name_of_two_lines_is_one_line_of_an_error(mehler_command: Command) -> None:
    assert "two lines.py" in mehler_command("check", "two\nlines.py").refused()


def test_too_little_memory_is_one_line(
    mehler_command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MemoryError

    np.save(tmp_path / "X.npy", np.ones((2, 2)))
    monkeypatch.setattr(api, "network", refuse)
    line = mehler_command("gram", "relu", tmp_path / "X.npy", "--out", tmp_path / "K.npy").refused()
    assert "there is not enough memory" in line
    assert [place.name for place in tmp_path.iterdir()] == ["X.npy"]


def test_a_warning_is_one_line(mehler_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def warn() -> list[Path]:
        warnings.simplefilter("always")
        warnings.warn("beware\nof this", RuntimeWarning, stacklevel=2)
        return []

    monkeypatch.setattr(cache, "files", warn)
    assert mehler_command("cache").err == "mehler: warning: beware of this\n"


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with faults.one_line_failures():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
