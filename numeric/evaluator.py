"""Generated modules as the numeric layer knows them: an ABI, whatever file or text they come from."""

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol, cast, get_args

import numpy as np
from numpy.typing import NDArray

from mehler.numeric import compiled
from mehler.numeric.errors import NumericError

Target = Literal["auto", "numpy", "numba", "cupy"]

Array = NDArray[np.floating[Any]]

ABI = (
    "NAME", "EXPRESSION", "PARAMETERS", "JUMPS", "TARGET", "ENGINE", "BUDGETS",
    "kernel", "kernel_dot", "kernel_diag", "kernel_dot_diag", "nngp", "ntk", "rows_of", "tile_of",
)  # fmt: skip


class Generated(Protocol):
    """What every generated module offers."""

    NAME: str
    EXPRESSION: str
    PARAMETERS: Mapping[str, float | None]
    JUMPS: str
    TARGET: str
    ENGINE: str
    BUDGETS: Mapping[str, Mapping[str, float]]
    TILE: tuple[int, int]

    def kernel(self, q1: Any, q2: Any, c: Any, **params: float) -> Array: ...
    def kernel_dot(self, q1: Any, q2: Any, c: Any, **params: float) -> Array: ...
    def kernel_diag(self, q: Any, **params: float) -> Array: ...
    def kernel_dot_diag(self, q: Any, **params: float) -> Array: ...
    def nngp(self, X: Array, Y: Array | None = None, **network: float) -> Array: ...
    def ntk(self, X: Array, Y: Array | None = None, **network: float) -> Array: ...
    def rows_of(self, X: Array, tangent: bool, **network: float) -> Any: ...
    def tiles_of(self, n: int, m: int, within: bool) -> Iterator[tuple[slice, slice]]: ...
    def tile_of(self, one: Any, part: slice, other: Any, parts: slice, within: bool) -> Array: ...


# Of mehler.generated, by target.
FOLDERS = {"numpy": ("", "tables."), "numba": ("fast.", "tables.fast."), "cupy": ("gpu.", "tables.gpu.")}
# What a target needs, by the name that it is installed under in mehler's extras.
NEEDS = {"numba": ("Numba", "fast"), "cupy": ("CuPy", "gpu")}


@dataclass(frozen=True)
class Evaluator:
    """A generated module with values for its parameters; `source` is its text, if it was generated for this."""

    module: Generated
    params: Mapping[str, float]
    source: str | None = None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.params) - set(self.module.PARAMETERS))
        if unknown:
            remedy = f"write {unknown[0]}_" if f"{unknown[0]}_" in self.module.PARAMETERS else "leave it out"
            raise NumericError(f"{self.module.NAME} has no parameter {unknown[0]!r}; {remedy}")
        missing = [p for p, v in self.module.PARAMETERS.items() if v is None and p not in self.params]
        if missing:
            raise NumericError(f"the parameter {missing[0]} has no value; give one, e.g. {missing[0]}=0.1")

    @property
    def values(self) -> dict[str, float]:
        """The value of every parameter, defaults included."""
        defaults = {p: v for p, v in self.module.PARAMETERS.items() if v is not None}
        return defaults | dict(self.params)


def chosen(target: str) -> str:
    """The target for arrays of NumPy: "auto" is numba where it is installed, else numpy. Raises NumericError."""
    if target not in get_args(Target):
        raise NumericError(f"target {target!r} is not known; use {', '.join(get_args(Target))}")
    if target == "auto":
        return "numba" if _installed("numba") else "numpy"
    if target in NEEDS and not _installed(target):
        what, extra = NEEDS[target]
        raise NumericError(f"target {target!r} needs {what}; install it with: pip install 'mehler[{extra}]'")
    return target


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def load_named(name: str, target: str = "numpy") -> Generated | None:
    """The committed module `name` for a target, or None when there is none."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        return None
    for folder in FOLDERS[target]:
        path = f"mehler.generated.{folder}{name}"
        found = importlib.util.find_spec(path)
        if found is not None and found.submodule_search_locations is None:  # a module, not a folder of them
            module = importlib.import_module(path)
            if target == "numba":
                compiled.prepare(module)
            return _checked(module, name)
    return None


def load_file(path: Path) -> Generated:
    """The generated module in a file. The file is executed, as any import is. Raises NumericError."""
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NumericError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None
    return load_source(source, str(path))


def load_source(source: str, origin: str) -> Generated:
    """The generated module in `source`. Raises NumericError when it is not one."""
    path, module = origin, ModuleType("mehler_generated")
    target = re.search(r'^TARGET = "(\w+)"$', source, re.MULTILINE)
    if target is not None and target[1] in NEEDS:
        chosen(target[1])
    if target is not None and target[1] == "numba":
        # Numba finds what it compiled earlier by its file, and believes it to be of a module of the same name: so
        # not the user's own file, which may be imported by another.
        module = ModuleType(f"mehler_generated_{hashlib.sha256(source.encode()).hexdigest()[:16]}")
        sys.modules[module.__name__] = module
        path = compiled.written(source, module.__name__) or f"<{module.__name__}>"
    try:
        exec(compile(source, path, "exec"), module.__dict__)
    except Exception as error:
        raise NumericError(
            f"{origin} does not load ({type(error).__name__}: {error}); regenerate it with 'mehler generate'"
        ) from None
    if target is not None and target[1] == "numba":
        compiled.prepare(module)
    return _checked(module, origin)


def _checked(module: ModuleType, origin: str) -> Generated:
    missing = [name for name in ABI if not hasattr(module, name)]
    if missing:
        raise NumericError(
            f"{origin} is not a generated module: it has no {missing[0]}; make one with 'mehler generate'"
        )
    texts = (module.NAME, module.EXPRESSION, module.JUMPS, module.TARGET, module.ENGINE)
    if not (
        all(isinstance(text, str) for text in texts)
        and isinstance(module.PARAMETERS, dict)
        and isinstance(module.BUDGETS, dict)
        and all(isinstance(b, int | float) for row in module.BUDGETS.values() for b in row.values())
    ):
        raise NumericError(f"{origin} is a damaged generated module; regenerate it with 'mehler generate'")
    return cast(Generated, module)
