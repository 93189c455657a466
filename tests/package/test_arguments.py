"""Files that a user names: any file is an array or one line that says what is wrong with it."""

import random
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mehler
from mehler.arguments import read_array
from mehler.numeric import inputs

Command = Callable[..., Any]
GOOD = np.random.default_rng(0).standard_normal((4, 3))


def _bytes(array: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    with Path.open(Path(f"{version}.npy"), "wb") as file:
        np.lib.format.write_array(file, array, version)
    return Path(file.name).read_bytes()


def _mutated(data: bytes, chance: random.Random) -> bytes:
    """Some bytes of the header changed, left out, doubled or exchanged for those of a Python expression."""
    text, end = bytearray(data), data.index(b"\n")
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(end)
        kind = chance.randrange(5)
        if kind == 0:
            text[at] = chance.randrange(256)
        elif kind == 1:
            text[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del text[at : at + chance.randint(1, 9)]
        elif kind == 3:
            text[at:at] = text[at : at + chance.randint(1, 9)]
        else:
            piece = chance.choice(PIECES)
            text[at : at + len(piece)] = piece
    return bytes(text)


PIECES = (
    b"(", b")", b"[", b"{", b"'", b"\\", b"L", b"-1", b"1e9", b"True", b"None", b"9" * 30, b"0x", b"'''", b"\0",
    b"\xff", b"<f4", b"<i8", b"|O", b"|V0", b"<U9", b"<M8[s]", b"(2,)", b"(4, 3)", b"(0, 3)", b"(-4, -3)",
    b"x" * 99, b"\n", b"f(1)",
    b"[('a', '<f8')]", b"('<f8', (2,))", b"lambda: 0", b"(" * 90,
)  # fmt: skip


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_damaged_headers(version: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    chance, refused, path = random.Random(0), 0, Path("damaged.npy")
    data = _bytes(GOOD, version)
    for _ in range(800):
        path.write_bytes(_mutated(data, chance))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                X = read_array(path)
                assert isinstance(X, np.ndarray)
                inputs.rows(X, "X", 0.0)
            except mehler.NumericError as error:
                refused += 1
                assert "\n" not in str(error)
                assert len(str(error)) < 200
            else:
                assert X.dtype in (np.float32, np.float64)
    assert 400 < refused < 800  # what only pads a header does no harm


HEADERS = {
    "a shape beyond the integers": "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "9" * 30 + ", 3)}",
    "a shape of 5,000 digits": "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "9" * 5000 + ", 3)}",
    "a negative shape": "{'descr': '<f8', 'fortran_order': False, 'shape': (-4, -3)}",
    "a shape beyond the file": "{'descr': '<f8', 'fortran_order': False, 'shape': (40, 3)}",
    "a shape that is no tuple": "{'descr': '<f8', 'fortran_order': False, 'shape': 12}",
    "a shape of floats": "{'descr': '<f8', 'fortran_order': False, 'shape': (4.0, 3.0)}",
    "no shape": "{'descr': '<f8', 'fortran_order': False}",
    "more keys": "{'descr': '<f8', 'fortran_order': False, 'shape': (4, 3), 'more': 1}",
    "no type": "{'descr': None, 'fortran_order': False, 'shape': (4, 3)}",
    "a list of no type": "{'descr': [()], 'fortran_order': False, 'shape': (4, 3)}",
    "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (4, 3)}",
    "an open bracket": "{'descr': '<f8', 'fortran_order': False, 'shape': (4, 3",
    "an open text": "{'descr': '<f8', 'fortran_order': False, 'shape': '''(4, 3)}",
    "a call": "__import__('os').getpid()",
    "nesting": "(" * 5000 + ")" * 5000,
    "signs": "-" * 9000 + "1",
    "an escape": "{'descr': '\\d', 'fortran_order': False, 'shape': (4, 3)}",
    "nothing": "",
}


@pytest.mark.parametrize("what", HEADERS)
def test_headers_that_are_none(mehler_command: Command, tmp_path: Path, what: str) -> None:
    header = HEADERS[what].encode() + b"\n"
    path = tmp_path / "X.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + GOOD.tobytes())
    line = mehler_command("gram", "relu", path, "--out", tmp_path / "K.npy").refused()
    assert line == f"mehler: {path} is not a .npy file of numbers; write one with numpy.save\n"
    assert [place.name for place in tmp_path.iterdir()] == ["X.npy"]


def test_a_header_of_python_2_is_read(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (4L, 3L), }\n"
    path = tmp_path / "X.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + GOOD.tobytes())
    assert np.array_equal(read_array(path), GOOD)


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.zeros((4, 3), [("\x1b[31mred", "f8")]), "X has dtype [('\\x1b[31mred', '<f8')]; convert it"),
        (np.zeros((4, 3), [(f"field{i}", "f8") for i in range(99)]), "; convert it"),
        (np.zeros((4, 3), ("f8", (2,))), "X must have shape (n, d), not (4, 3, 2)"),
        (GOOD.astype(np.longdouble), "convert it, e.g. X.astype(numpy.float64)"),
        (GOOD.astype(">f8"), "X has dtype >f8; convert it"),
        (np.zeros((4, 3), "m8[s]"), "X has dtype timedelta64[s]; convert it"),
        (np.asfortranarray(GOOD)[:, :0], "X is empty"),
    ],
)
def test_arrays_of_other_types(mehler_command: Command, tmp_path: Path, array: np.ndarray, fault: str) -> None:
    np.save(tmp_path / "X.npy", array)
    line = mehler_command("gram", "relu", tmp_path / "X.npy", "--out", tmp_path / "K.npy").refused()
    assert fault in line.replace("\\\\", "\\")
    assert len(line) < 200


def test_columns_in_fortran_order(mehler_command: Command, tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", np.asfortranarray(GOOD))
    assert mehler_command("gram", "relu", tmp_path / "X.npy", "--out", tmp_path / "K.npy").code == 0
    assert np.array_equal(np.load(tmp_path / "K.npy"), mehler.network("relu").ntk(GOOD))


def test_a_file_that_may_not_be_read(
    mehler_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "X.npy").write_bytes(b"")
    monkeypatch.setattr(np.lib.format, "open_memmap", refuse)
    line = mehler_command("gram", "relu", tmp_path / "X.npy", "--out", tmp_path / "K.npy").refused()
    assert line == f"mehler: cannot read {tmp_path / 'X.npy'}: Permission denied\n"
