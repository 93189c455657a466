"""Derivations kept on disk: what was derived and proved once is read back in milliseconds.

A file is data: JSON, from which objects are made by the tables below and by nothing else. It is one line
with the SHA-256 of its key and its body, then the body: a table of nodes, in which an expression names its
arguments by earlier positions, so that shared parts are written once, and the dataclasses over it. The key
covers the sources of the engine, so that a changed engine never meets an old result. Names and texts are checked
one by one, for code is made of some. `mehler.folders` says whose files are read at all.

No fault of the cache is an error: what cannot be written is not cached, what cannot be read is derived again.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

import mpmath
import sympy as sp
from sympy.core.function import UndefinedFunction
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.functions.special.hyper import TupleArg

from mehler import folders
from mehler.derive import activation, dual, pieces, special, symbols
from mehler.derive.activation import Activation
from mehler.derive.dual import Measurement, NumericDual, ProvedDual
from mehler.derive.roots import Root
from mehler.derive.tables import coding, table
from mehler.derive.tables.table import Tables

Result: TypeAlias = ProvedDual | NumericDual | Tables | Measurement

MAX_BYTES = 20_000_000

# What mehler writes into the folder of derivations, into that of compiled code, and what Numba writes there.
_KEPT = re.compile(r"[0-9a-f]{64}\.jsonl|\.[0-9a-f]{64}\.\w+\.part")
_COMPILED = re.compile(r"\.?mehler_generated_[0-9a-f]{16}\.(py|\w+\.part)")
_OF_NUMBA = re.compile(r"mehler_generated_[0-9a-f]{16}\..+\.(nbi|nbc)(\.tmp\.\w+)?")

# Of symbols: an identifier, or the derivative of one.
_SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*'?")


def key(phi: Activation, what: str) -> str | None:
    """What a derivation from φ depends on, `what` being its convention for jumps or "tables", as 64 hexadecimal
    digits; None where it cannot be told."""
    if _ENGINE is None:
        return None
    try:
        parts = [_ENGINE, sp.__version__, mpmath.__version__, _encode(phi), what]
    except Exception:  # what has no text is not cached
        return None
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def load(key: str | None) -> Result | None:
    """The result stored under `key`, if there is one and it is whole."""
    where = folder()
    if key is None or where is None:
        return None
    try:
        digest, _, body = folders.read(where, f"{key}.jsonl", MAX_BYTES).partition(b"\n")
        if digest.decode() != _digest(key, body):
            return None
        result = _faithful(body.decode())
    except Exception:  # whatever a damaged or a foreign file does, it is no reason not to derive
        return None
    return result if _is_result(result) else None


def store(key: str | None, result: Result) -> None:
    """Keep `result` under `key`, if it is proved, small enough, and comes back as it was."""
    where = folder()
    if key is None or where is None or not _is_result(result):
        return
    try:
        text = _encode(result)
        body = text.encode()
        if len(body) > MAX_BYTES - 100:
            return
        _faithful(text)
        folders.write(where, f"{key}.jsonl", _digest(key, body).encode() + b"\n" + body)
    except Exception:  # no text, a full disk, a folder of someone else: it is not cached
        return


def folder() -> Path | None:
    """Where derivations are kept: the folder $MEHLER_CACHE, or the user's; None when that is "off"."""
    return folders.derivations()


def files() -> list[Path]:
    """The files of the cache, compiled code among them. Raises OSError where a folder cannot be read."""
    found = []
    for where, names in _places():
        if where.is_dir():
            found += [path for path in where.iterdir() if names.fullmatch(path.name) and not path.is_dir()]
    return sorted(found)


def clear() -> tuple[int, int]:
    """Remove the files of the cache, and nothing else; how many there were, and their bytes. Raises OSError."""
    count = size = 0
    for path in files():
        with suppress(FileNotFoundError):  # removed by another process
            size += path.lstat().st_size
            path.unlink()
            count += 1
    for where, _ in _places()[:0:-1]:
        with suppress(OSError):  # there are other files
            where.rmdir()
    return count, size


def _places() -> list[tuple[Path, re.Pattern[str]]]:
    """The folders of the cache, the outer before the inner ones, and what the names of its files are."""
    where, compiled = folder(), folders.compiled()
    if where is None or compiled is None:
        return []
    return [(where, _KEPT), (compiled, _COMPILED), (compiled / "__pycache__", _OF_NUMBA)]


def _digest(key: str, body: bytes) -> str:
    return hashlib.sha256(key.encode() + body).hexdigest()


def _is_result(value: Any) -> bool:
    return isinstance(value, NumericDual | Tables | Measurement) or (
        isinstance(value, ProvedDual) and value.proof.passed
    )


def _engine() -> str | None:
    """A digest of this package's sources; None where they are not files."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    try:
        sources = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.py")}
    except OSError:
        return None
    for name in sorted(sources):
        digest.update(f"{name}\0{len(sources[name])}\0".encode() + sources[name])
    return digest.hexdigest() if sources else None


# Taken when the engine is imported: its files may change while it runs.
_ENGINE = _engine()


def _named(module: Any, wanted: Callable[[Any], bool]) -> dict[str, Any]:
    """The objects of a module, without those that it imports."""
    return {n: v for n, v in vars(module).items() if wanted(v) and v.__module__ in (module.__name__, None)}


def _is_function(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, sp.Function)


_ATOMS: Mapping[str, sp.Basic] = {
    "pi": sp.pi, "Exp1": sp.E, "I": sp.I, "EulerGamma": sp.EulerGamma, "Catalan": sp.Catalan,
    "GoldenRatio": sp.GoldenRatio, "oo": sp.oo, "-oo": -sp.oo, "zoo": sp.zoo, "nan": sp.nan,
    "true": sp.true, "false": sp.false,
}  # fmt: skip

_ATOM_NAMES: Mapping[sp.Basic, str] = {atom: name for name, atom in _ATOMS.items()}

# Each is called as f(*arguments, evaluate=False).
_UNEVALUATED: Mapping[str, Any] = {
    **{
        f.__name__: f
        for f in (
            sp.Pow, sp.Eq, sp.Ne, sp.Lt, sp.Le, sp.Gt, sp.Ge, sp.And, sp.Or, sp.Not, sp.Piecewise, sp.Max, sp.Min,
            sp.Heaviside, sp.DiracDelta, sp.sign, sp.Abs, sp.re, sp.im, sp.conjugate, sp.exp, sp.log, sp.LambertW,
            sp.sin, sp.cos, sp.tan, sp.cot, sp.sec, sp.csc, sp.sinc, sp.asin, sp.acos, sp.atan, sp.acot, sp.atan2,
            sp.sinh, sp.cosh, sp.tanh, sp.coth, sp.sech, sp.csch, sp.asinh, sp.acosh, sp.atanh,
            sp.erf, sp.erfc, sp.erfi, sp.gamma, sp.loggamma, sp.lowergamma, sp.uppergamma, sp.factorial,
            sp.factorial2, sp.binomial, sp.besseli, sp.besselj, sp.besselk, sp.hyper, sp.floor, sp.ceiling,
        )
    },
    **_named(special, _is_function),
    **_named(symbols, lambda value: isinstance(value, UndefinedFunction)),
}  # fmt: skip

# Each is called as f(*arguments). Add and Mul keep the order of their arguments, and so their text, only so.
_STRUCTURES: Mapping[str, Any] = {
    "Add": lambda *terms: sp.Add._from_args(terms),
    "Mul": lambda *factors: sp.Mul._from_args(factors),
    "Tuple": sp.Tuple,
    "TupleArg": TupleArg,
    "ExprCondPair": ExprCondPair,
    "Integral": sp.Integral,
    "Root": Root,
}

_NODES: Mapping[Any, str] = {
    **{made: name for name, made in _UNEVALUATED.items()},
    sp.Add: "Add", sp.Mul: "Mul", sp.Tuple: "Tuple", TupleArg: "TupleArg", ExprCondPair: "ExprCondPair",
    sp.Integral: "Integral",
}  # fmt: skip

_DATACLASSES: Mapping[str, Any] = {
    name: made
    for module in (pieces, activation, dual, coding, table)
    for name, made in _named(module, lambda value: isinstance(value, type) and is_dataclass(value)).items()
}


class _Foreign(ValueError):
    """Not in the tables, or not what the tables would have written."""


def _encode(value: Any) -> str:
    """The text of an object that the tables know. Raises anything on another."""
    nodes: list[Any] = []
    # With the type, for SymPy's numbers equal Python's and each other's across types.
    position: dict[tuple[type, sp.Basic], int] = {}

    def place(e: sp.Basic) -> int:
        known = position.get((type(e), e))
        if known is None:
            nodes.append(node(e))
            known = position[type(e), e] = len(nodes) - 1
        return known

    def node(e: sp.Basic) -> list[Any]:
        if type(e) is sp.Symbol:
            return ["Symbol", e.name, dict(sorted(e._assumptions_orig.items()))]
        if e.is_Rational:
            return ["Rational", str(int(e.p)), str(int(e.q))]
        if e in _ATOM_NAMES:
            return [_ATOM_NAMES[e]]
        if type(e) is Root:
            return ["Root", *(place(part) for part in (e.function, e.low, e.high))]
        if e.func not in _NODES:
            raise _Foreign(f"{e.func} is not in the tables")
        return [_NODES[e.func], *(place(argument) for argument in e.args)]

    def tree(v: Any) -> Any:
        if v is None or type(v) in (bool, int, float, str):
            return v
        if isinstance(v, sp.Basic):
            return {"expr": place(v)}
        if type(v) is tuple:
            return {"tuple": [tree(item) for item in v]}
        if isinstance(v, Mapping) and all(type(name) is str for name in v):
            return {"mapping": {name: tree(item) for name, item in v.items()}}
        if _DATACLASSES.get(type(v).__name__) is type(v):
            return {"class": type(v).__name__, "fields": {f.name: tree(getattr(v, f.name)) for f in _given(v)}}
        raise _Foreign(f"{type(v)} is not in the tables")

    result = tree(value)
    return json.dumps({"nodes": nodes, "result": result}, separators=(",", ":"), allow_nan=False)


def _faithful(text: str) -> Any:
    """The object whose text this is, to the letter. Raises anything, on a text that `_encode` did not write."""
    value = _decode(text)
    if _encode(value) != text:
        raise _Foreign("the object has another text")
    return value


def _decode(text: str) -> Any:
    document = json.loads(text)
    made: list[sp.Basic] = []

    def earlier(index: Any) -> sp.Basic:
        if type(index) is not int or not 0 <= index < len(made):
            raise _Foreign(f"{index!r} is not an earlier node")
        return made[index]

    def expression(name: str, *rest: Any) -> sp.Basic:
        if name == "Symbol":
            if not _SYMBOL.fullmatch(rest[0]) or any(type(value) is not bool for value in rest[1].values()):
                raise _Foreign(f"{rest[0]!r} is no symbol")
            return sp.Symbol(rest[0], **rest[1])
        if name == "Rational":
            return sp.Rational(*(int(part) for part in rest))
        if name in _ATOMS:
            return _ATOMS[name]
        arguments = map(earlier, rest)
        if name in _STRUCTURES:
            return _STRUCTURES[name](*arguments)
        return _UNEVALUATED[name](*arguments, evaluate=False)

    def tree(v: Any) -> Any:
        match v:
            case {"expr": index, **rest} if not rest:
                return earlier(index)
            case {"tuple": list(items), **rest} if not rest:
                return tuple(map(tree, items))
            case {"mapping": dict(items), **rest} if not rest:
                return {name: tree(item) for name, item in items.items()}
            case {"class": str(name), "fields": dict(items), **rest} if not rest:
                return _instance(_DATACLASSES[name], {name: tree(item) for name, item in items.items()})
            case str() if not all(character.isprintable() or character == "\n" for character in v):
                raise _Foreign("a text that cannot be printed")
            case None | bool() | int() | float() | str():
                return v
        raise _Foreign("not a value")

    for entry in document["nodes"]:
        made.append(expression(*entry))
    return tree(document["result"])


def _given(dataclass: Any) -> Iterator[Any]:
    """The fields that the constructor takes; it sets the others itself."""
    return (f for f in fields(dataclass) if f.init)


def _instance(dataclass: Any, values: dict[str, Any]) -> Any:
    hints = get_type_hints(dataclass)
    if set(values) != {f.name for f in _given(dataclass)}:
        raise _Foreign(f"these are not the fields of {dataclass.__name__}")
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise _Foreign(f"{dataclass.__name__}.{name} is not of its type")
    return dataclass(**values)


def _fits(value: Any, hint: Any) -> bool:
    """Whether `value` is of the annotated type, as far as the dataclasses here need to tell."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = parts[:1] * len(value) if parts[1:] == (...,) else parts
        return len(kinds) == len(value) and all(map(_fits, value, kinds))
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(_fits(item, parts[1]) for item in value.values())
    return isinstance(value, hint)
