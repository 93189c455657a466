"""Generated modules as the numeric layer knows them: an ABI, whatever file or text they come from."""

import importlib
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from mehler.numeric.errors import NumericError

Array = NDArray[np.floating[Any]]

ABI = (
    "NAME", "EXPRESSION", "PARAMETERS", "JUMPS", "TARGET", "ENGINE", "BUDGETS",
    "kernel", "kernel_dot", "kernel_diag", "kernel_dot_diag", "nngp", "ntk",
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

    def kernel(self, q1: Any, q2: Any, c: Any, **params: float) -> Array: ...
    def kernel_dot(self, q1: Any, q2: Any, c: Any, **params: float) -> Array: ...
    def kernel_diag(self, q: Any, **params: float) -> Array: ...
    def kernel_dot_diag(self, q: Any, **params: float) -> Array: ...
    def nngp(self, X: Array, Y: Array | None = None, **network: float) -> Array: ...
    def ntk(self, X: Array, Y: Array | None = None, **network: float) -> Array: ...


@dataclass(frozen=True)
class Evaluator:
    """A generated module with values for its parameters."""

    module: Generated
    params: Mapping[str, float]

    def __post_init__(self) -> None:
        unknown = sorted(set(self.params) - set(self.module.PARAMETERS))
        if unknown:
            raise NumericError(f"{self.module.NAME} has no parameter {unknown[0]!r}; leave it out")
        missing = [p for p, v in self.module.PARAMETERS.items() if v is None and p not in self.params]
        if missing:
            raise NumericError(f"the parameter {missing[0]} has no value; give one, e.g. {missing[0]}=0.1")

    @property
    def values(self) -> dict[str, float]:
        """The value of every parameter, defaults included."""
        defaults = {p: v for p, v in self.module.PARAMETERS.items() if v is not None}
        return defaults | dict(self.params)


def load_named(name: str) -> Generated | None:
    """The committed module `name` of `mehler.generated`, or None when there is none."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        return None
    if importlib.util.find_spec(f"mehler.generated.{name}") is None:
        return None
    return _checked(importlib.import_module(f"mehler.generated.{name}"), name)


def load_file(path: Path) -> Generated:
    """The generated module in a file. The file is executed, as any import is. Raises NumericError."""
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NumericError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None
    return load_source(source, str(path))


def load_source(source: str, origin: str) -> Generated:
    """The generated module in `source`. Raises NumericError when it is not one."""
    module = ModuleType("mehler_generated")
    try:
        exec(compile(source, origin, "exec"), module.__dict__)
    except Exception as error:
        raise NumericError(
            f"{origin} does not load ({type(error).__name__}: {error}); regenerate it with 'mehler generate'"
        ) from None
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
