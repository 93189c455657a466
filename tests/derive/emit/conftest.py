"""Generated modules, compiled once, and their errors in scaled units."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

from mehler.derive.dual import ProvedDual
from mehler.derive.emit.measure import BUDGETS
from mehler.derive.emit.module import closed_of, numpy_source

Point = tuple[float, float, float]


@pytest.fixture(scope="session")
def module(derive: Callable[..., ProvedDual]) -> Callable[[str], Any]:
    """The generated module of an activation; a new namespace in every call."""
    made: dict[str, Any] = {}

    def load(name: str) -> Any:
        if name not in made:
            source = numpy_source(derive(name), "module", closed_of(derive(name)), BUDGETS[1])
            made[name] = compile(source, "generated", "exec")
        names: dict[str, Any] = {"__name__": "generated"}
        exec(made[name], names)
        return SimpleNamespace(**names, namespace=names)

    return load


@pytest.fixture(scope="session")
def scaled_ulp(derive: Callable[..., ProvedDual]) -> Callable[..., float]:
    """|value − exact| / ulp(√(K11 K22)) of K (n = 0) or K̇ (n = 1)."""

    def exact(name: str, *point: float) -> tuple[Any, Any]:
        return derive(name).evaluate(*(sp.Rational(v) for v in point), digits=40)

    def error(name: str, point: Point, n: int, value: float) -> float:
        scale = mpmath.sqrt(exact(name, *point[:1] * 3)[n] * exact(name, *point[1:2] * 3)[n])
        return float(abs(mpmath.mpf(value) - exact(name, *point)[n]) / float(np.spacing(float(scale))))

    return error
