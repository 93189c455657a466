"""Columns of .csv, .npz and .parquet files. A fault is one line that names the file, the column and the row."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mehler.numeric.errors import NumericError
from mehler.numeric.inputs import shown

Columns = dict[str, NDArray[Any]]
TARGETS = ("target", "y")


def read_columns(path: Path) -> Columns:
    """The columns of a file by name, all of one length ≥ 1. Raises NumericError."""
    readers = {".csv": _csv, ".npz": _npz, ".parquet": _parquet}
    if path.suffix not in readers:
        raise NumericError(f"{path} is not a .csv, .npz or .parquet file; convert it to one of them")
    try:
        columns = readers[path.suffix](path)
    except FileNotFoundError:
        raise NumericError(f"{path} does not exist; name a .csv, .npz or .parquet file") from None
    except OSError as error:
        raise NumericError(f"cannot read {path}: {error.strerror or error}") from None
    if not columns or not len(next(iter(columns.values()))):
        raise NumericError(f"{path} has no rows; give a file with a header and at least one row")
    if len(lengths := {len(values) for values in columns.values()}) > 1:
        raise NumericError(f"{path} has columns of {min(lengths)} and of {max(lengths)} rows; they must be equal")
    return columns


def split(columns: Columns, target: str | None, path: Path) -> tuple[Columns, str]:
    """The columns but the target, and its name. Raises NumericError where it is not there, or alone."""
    names = [target] if target is not None else [name for name in TARGETS if name in columns]
    if not names or names[0] not in columns:
        wanted = f"no column {target!r}" if target is not None else "neither a column 'target' nor 'y'"
        raise NumericError(f"{path} has {wanted}; name one of {shown(list(columns))} by --target")
    features = {name: values for name, values in columns.items() if name != names[0]}
    if not features:
        raise NumericError(f"{path} has no column beside {names[0]!r}; give at least one to predict from")
    return features, names[0]


def matrix(columns: Columns, names: list[str], path: Path) -> NDArray[np.floating[Any]]:
    """The named columns as rows (n, d), float32 if all of them are. Raises NumericError for text, NaN and gaps."""
    parts = []
    for name in names:
        if name not in columns:
            raise NumericError(f"{path} has no column {name!r}, which the training file has; add it")
        parts.append(numbers(columns[name], name, path))
    return np.column_stack(parts)


def numbers(values: NDArray[Any], name: str, path: Path) -> NDArray[np.floating[Any]]:
    """A column as finite floats. Raises NumericError."""
    if values.dtype.kind not in "fiub":
        raise NumericError(f"column {name!r} of {path} has no numbers but {shown(values[0])}; encode or drop it")
    plain = values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)
    if not np.isfinite(plain).all():
        row = int(np.argmin(np.isfinite(plain)))
        raise NumericError(f"row {row} of column {name!r} in {path} is NaN, empty or infinite; remove or fill it")
    return plain


def _csv(path: Path) -> Columns:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
    except (UnicodeDecodeError, csv.Error):
        raise NumericError(f"{path} is not comma-separated UTF-8 text; save it anew as .csv") from None
    if len(set(header)) < len(header):
        raise NumericError(f"{path} has two columns of one name, {_twice(header)!r}; rename one")
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise NumericError(f"row {number} of {path} has {len(row)} cells and its header {len(header)}; repair")
    return {name: _parsed([row[place] for row in rows]) for place, name in enumerate(header)} if rows else {}


def _parsed(cells: list[str]) -> NDArray[Any]:
    """Whole numbers, floats (an empty cell being NaN), or texts."""
    for convert in (int, lambda cell: float(cell or "nan")):
        try:
            return np.array([convert(cell) for cell in cells])
        except (ValueError, OverflowError):
            continue
    return np.array(cells)


def _twice(names: list[str]) -> str:
    return next(name for name in names if names.count(name) > 1)


def _npz(path: Path) -> Columns:
    """An array NAME (n,) is one column. An array NAME (n, d) is d columns, NAME0, NAME1, …, numbered from 0."""
    columns: Columns = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name, array in arrays.items():
                if array.ndim not in (1, 2):
                    raise NumericError(f"{name} of {path} has shape {array.shape}; give arrays (n,) or (n, d)")
                parts = {name: array} if array.ndim == 1 else {f"{name}{i}": c for i, c in enumerate(array.T)}
                columns |= parts
    except NumericError:
        raise
    except FileNotFoundError:
        raise
    except Exception:  # a damaged archive ends in whatever zipfile, zlib or NumPy raise
        raise NumericError(f"{path} is not a .npz file of arrays; write one with numpy.savez") from None
    return columns


def _parquet(path: Path) -> Columns:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise NumericError(".parquet files need pyarrow; install it with: pip install 'mehler[parquet]'") from None
    try:
        table = parquet.read_table(path)
    except pyarrow.ArrowInvalid:
        raise NumericError(f"{path} is not a .parquet file; save it anew") from None
    return {name: table[name].to_numpy() for name in table.column_names}
