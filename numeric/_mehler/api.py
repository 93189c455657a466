"""Networks: where a derived activation meets data."""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from mehler.numeric import device, inputs
from mehler.numeric.errors import NumericError
from mehler.numeric.evaluator import Array, Evaluator, Generated, Target, chosen, load_named, load_source
from mehler.numeric.gram import Kernel, gram

if TYPE_CHECKING:
    from mehler.derive.compose import Recursion

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Network:
    """A fully connected network of infinite width: dense, φ, dense, φ, …, dense.

    Weights N(0, σ_w²/fan-in) and biases N(0, σ_b²), in NTK parameterisation with biases trained; `depth`
    hidden layers. Networks are equal when activation, depth, σ_w, σ_b, parameters and target are. A network that is
    pickled is its definition and the source of its evaluator, if that was generated for it.
    """

    activation: str
    depth: int
    sigma_w: float
    sigma_b: float
    evaluator: Evaluator
    params: Mapping[str, Any] = field(default_factory=dict)  # of φ, as they were given
    target: Target = "auto"

    @property
    def _definition(self) -> tuple[Any, ...]:
        params = sorted((name, number(name, value)) for name, value in self.params.items())
        return self.activation, self.depth, self.sigma_w, self.sigma_b, tuple(params), self.target

    def __eq__(self, other: object) -> bool:
        return self._definition == other._definition if isinstance(other, Network) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._definition)

    def __copy__(self) -> "Network":
        return self  # it never changes

    def __deepcopy__(self, memo: dict[int, Any]) -> "Network":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        network = self.activation, self.depth, self.sigma_w, self.sigma_b, dict(self.params), self.target
        return _again, (*network, self.evaluator.source)

    def nngp(self, X: Array, Y: Array | None = None) -> Array:
        """Σᴸ on rows of X (n, d) and Y (m, d; X when None), float32 or float64. Raises NumericError."""
        return self.gram("nngp", X, Y)

    def ntk(self, X: Array, Y: Array | None = None) -> Array:
        """Θᴸ on rows of X (n, d) and Y (m, d; X when None), float32 or float64. Raises NumericError."""
        return self.gram("ntk", X, Y)

    def gram(
        self,
        kernel: Kernel,
        X: Array,
        Y: Array | None = None,
        *,
        out: Array | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Array:
        """Either kernel, into `out` if given, reporting `progress`(tiles done, tiles in all).

        `threads` compute it, all cores when None; the result does not depend on their number (mehler.numeric.gram).
        CuPy arrays are computed where they are, by CuPy, and the result is one (mehler.numeric.device).
        """
        if self.target == "cupy" or device.holds(X):
            if self.target not in ("auto", "cupy") or out is not None:
                raise NumericError("X is a CuPy array: leave out target and out, or give X.get(), which is NumPy's")
            K: Array = device.gram(
                self._on_device, X, Y, kernel=kernel, depth=self.depth, sigma_w=self.sigma_w, sigma_b=self.sigma_b
            )
            return K
        return gram(
            self.evaluator, X, Y, kernel=kernel, depth=self.depth, sigma_w=self.sigma_w, sigma_b=self.sigma_b,
            out=out, threads=threads, progress=progress,
        )  # fmt: skip

    @cached_property
    def _on_device(self) -> Evaluator:
        if self.evaluator.module.TARGET == "cupy":
            return self.evaluator
        return evaluator(self.activation, dict(self.params), "cupy")

    @cached_property
    def recursion(self) -> "Recursion":
        """The network's recursion in symbols, with K and K̇ derived and proved."""
        from mehler.derive.compose import compose
        from mehler.derive.pipeline import closed_form, derive_dual

        values: dict[str, Any] = self.evaluator.values | dict(self.params)
        dual = closed_form(derive_dual(self.activation, **values))
        return compose(dual, self.depth, self.sigma_w, self.sigma_b)


def network(
    activation: str,
    *,
    depth: int = 1,
    sigma_w: float = 1.0,
    sigma_b: float = 0.0,
    target: Target = "auto",
    **params: float,
) -> Network:
    """The network of `depth` hidden layers with an activation: a name ("relu") or an expression in x.

    A named activation with a committed evaluator needs no derivation; any other is derived, proved and
    generated here. Keywords give parameters of φ their values. A discontinuous φ has its almost-everywhere
    derivative, as training has. `target` is what evaluates: "numba", "numpy", or the first of them that is
    installed ("auto"), and "cupy" for CuPy arrays, which "auto" takes too. Raises NumericError for a network that
    does not exist and DeriveError for an activation that has no kernels or no code. Without a closed form tables
    are made, half a minute or so, with a bar where stderr is a terminal, and cached.
    """
    depth, sigma_w, sigma_b = inputs.network(depth, sigma_w, sigma_b)
    return Network(activation, depth, sigma_w, sigma_b, evaluator(activation, params, target), params, target)


def _again(
    activation: str,
    depth: int,
    sigma_w: float,
    sigma_b: float,
    params: dict[str, Any],
    target: Target,
    source: str | None,
) -> Network:
    """A network from its definition, and the source of its evaluator if one was generated for it.

    The source is executed; so is whatever a pickle names. Where its target is not installed, another is generated.
    """
    found = None
    if source is not None:
        with suppress(NumericError):
            found = _evaluator_of(source)
    return Network(
        activation, depth, sigma_w, sigma_b, found or evaluator(activation, params, target), params, target
    )


@lru_cache(maxsize=32)
def _evaluator_of(source: str) -> Evaluator:
    """Of one source the same: a worker gets a network with each of its tasks."""
    return Evaluator(load_source(source, "the generated module"), {}, source)


def evaluator(activation: str, params: dict[str, Any], target: str = "numpy") -> Evaluator:
    """The evaluator of an activation for a target: the committed one, or one generated now."""
    module = _committed(activation, target) if isinstance(activation, str) else None
    if module is None:
        return _evaluator_of(_generated(activation, target, params))
    return Evaluator(module, {name: number(name, value) for name, value in params.items()})


def _committed(name: str, target: str) -> Generated | None:
    """The committed module of a name, also as frameworks spell it, if there is one."""
    module = load_named(name, chosen(target))
    if module is None and target == "auto":
        module = load_named(name)
    if module is None and name.isidentifier():
        from mehler.derive.activation import NAMED
        from mehler.derive.parser import spelled

        known = spelled(name, NAMED)
        return None if known == name else _committed(known, target)
    return module


def _generated(activation: str, target: str, params: dict[str, Any]) -> str:
    """A module's source; "auto" is NumPy for formulas of which only that has code."""
    from mehler.console import reports
    from mehler.derive.errors import EmitError
    from mehler.derive.pipeline import generate

    with reports("tables") as report:
        try:
            return generate(activation, name="activation", target=chosen(target), progress=report, **params)
        except EmitError:
            if target != "auto":
                raise
            return generate(activation, name="activation", target="numpy", progress=report, **params)


def number(name: str, value: Any) -> float:
    """The finite float of a number or of a text such as "0.1" or "1/10". Raises NumericError."""
    try:
        # Not Fraction(value): 1e999999999 is short to write and long to expand.
        above, _, below = value.partition("/") if isinstance(value, str) else (value, "", "")
        result = float(above) / float(below or 1)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        result = math.nan
    if not math.isfinite(result):
        raise NumericError(f"{name}={inputs.shown(value)} is not a finite number; write e.g. {name}=0.1")
    return result
