"""Σᴸ and Θᴸ of a pair of rows, exactly, and the error of an evaluator's Gram matrices beside them.

    Σ⁰ = Θ⁰ = σ_w² x·y/d + σ_b²,  Σˡ = σ_w² K(Σˡ⁻¹) + σ_b²,  Θˡ = Σˡ + σ_w² K̇(Σˡ⁻¹) Θˡ⁻¹

The recursion runs in mpmath on the exact values of the floats, twice, at a precision and at twice that, until
both agree: rows 1e-12 apart, duplicates (where rounding sets ρ beside 1, and √(1-ρ²) loses half of the digits)
and a thousand layers ask for more, and the comparison says when they have it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

from mehler.numeric.errors import NumericError
from mehler.numeric.evaluator import Evaluator

# (q1, q2, c) ↦ (K, K̇) as mpf, at the precision that the mpmath context has when it is called.
Dual = Callable[[Any, Any, Any], tuple[Any, Any]]
Network = tuple[float, float]  # (σ_w, σ_b)
Pair = tuple[Any, Any]  # (Σ, Θ)
Track = Callable[[list[Any]], Iterable[Any]]

BUDGET = 16.0  # the largest units of a case that pass; rounding the rows alone costs 1

KERNELS = ("nngp", "ntk")
# Without a bias; and so narrow that growing activations do not overflow at depth 3.
NETWORKS: tuple[Network, ...] = ((1.5, 0.0), (0.5, 0.05))
ANGLES = tuple(float(f"1e-{k}") for k in range(1, 13))
FACTORS = (1.0, 1 + 1e-6, 1.5, 1e6, 1e-6)  # |y|/|x|
DEPTHS = (1, 3, 10)
DIMENSION = 4
_NEGLIGIBLE = mpmath.mpf(10) ** -20
_LARGE = 1e30  # variances beyond which an exact value may be too hard
_STEP = mpmath.mpf(10) ** -12  # of σ_w, for the condition


def exact_network(
    dual: Dual, x: Any, y: Any, depth: int, sigma_w: float, sigma_b: float, digits: int = 30
) -> list[Pair]:
    """[(Σ⁰, Θ⁰), …, (Σᴸ, Θᴸ)] of rows x, y (d,), each right to `digits` of its digits.

    Every float among x, y, σ_w and σ_b stands for its exact value. The list ends early where a growing
    activation takes the variances beyond what `dual` evaluates. Raises NumericError when no precision up to
    64 times as many digits settles the values.
    """
    x, y = ([float(v) for v in row] for row in (x, y))
    dps, before = 2 * digits + 20, None
    while dps <= 64 * (2 * digits + 20):
        with mpmath.workdps(dps):
            after = _recursion(dual, x, y, depth, mpmath.mpf(sigma_w), mpmath.mpf(sigma_b))
            if before is not None and all(_agree(*pair, digits) for pair in zip(before, after, strict=False)):
                return after
        before, dps = after, 2 * dps
    raise NumericError(f"the recursion does not settle to {digits} digits at depth {depth}")


def _agree(before: Pair, after: Pair, digits: int) -> bool:
    least = mpmath.mpf(10) ** -digits
    # What two precisions agree is below any float is 0: the covariance of orthogonal rows, say.
    return all(
        abs(a - b) <= least * abs(b) or max(abs(a), abs(b)) < least * _NEGLIGIBLE
        for a, b in zip(before, after, strict=True)
    )


def _recursion(dual: Dual, x: list[float], y: list[float], depth: int, sigma_w: Any, sigma_b: Any) -> list[Pair]:
    w2, b2 = sigma_w**2, sigma_b**2
    q1, q2, c = (w2 * mpmath.fdot(a, b) / len(a) + b2 for a, b in ((x, x), (y, y), (x, y)))
    sigma, theta = c, c
    layers = [(sigma, theta)]
    same = x == y
    for _ in range(depth):
        try:
            k, k_dot = dual(q1, q2, _inside(q1, q2, sigma))
            q1, q2, sigma = w2 * dual(q1, q1, q1)[0] + b2, w2 * dual(q2, q2, q2)[0] + b2, w2 * k + b2
        except (ValueError, OverflowError):
            if max(q1, q2) < _LARGE:
                raise
            break
        if same:
            sigma = q1  # to the last bit
        theta = sigma + w2 * k_dot * theta
        layers.append((sigma, theta))
    return layers


def _inside(q1: Any, q2: Any, c: Any) -> Any:
    """c, or the next number towards 0 with c² ≤ q1 q2: rounding takes parallel rows a little beyond."""
    with mpmath.workprec(2 * mpmath.mp.prec + 8):  # products are exact
        if c * c <= q1 * q2:
            return c
        bound = q1 if q1 == q2 else mpmath.sqrt(q1 * q2) * (1 - mpmath.mpf(2) ** -(2 * mpmath.mp.prec // 3))
        return bound if c > 0 else -bound


@dataclass(frozen=True)
class Case:
    """One entry of one Gram matrix beside its exact value.

    error: |computed − exact|/max(|exact|, scale/100), scale = √(Kxx Kyy). Below a hundredth of its scale an
    entry is a difference of numbers a hundred times as large, in which each rounding shows magnified.
    condition: how many times a relative change of σ_w shows in the value.
    """

    kernel: str  # nngp or ntk
    side: str  # the angle is measured from "0" or from "pi"
    angle: float  # 0 for duplicates and antipodes
    factor: float
    depth: int
    network: Network
    computed: float
    exact: Any
    error: float
    condition: float

    @property
    def region(self) -> str:
        if not self.angle:
            return "duplicates" if self.side == "0" else "antipodes"
        return f"near {self.side}"

    def units(self, dtype: Any) -> float:
        """error/(eps (1 + condition)): what rounding of the input alone must cost is 1."""
        return self.error / (float(np.finfo(dtype).eps) * (1 + self.condition))


def pair_of_rows(angle: float, side: str, factor: float, dtype: Any, seed: int = 0) -> tuple[Any, Any]:
    """Rows x, y (DIMENSION,) at `angle` from 0 or π, |y| = factor·|x| ≈ factor·√d; exactly y = ±factor·x at 0.

    With the angle 0 and a factor that is no power of 2, x is made of few bits, so that the product is exact.
    """
    rng = np.random.default_rng(seed)
    x, z = rng.standard_normal((2, DIMENSION))
    x *= np.sqrt(DIMENSION) / np.linalg.norm(x)
    sign = 1.0 if side == "0" else -1.0
    if not angle:
        # 6 bits each: an exact multiple needs a factor of few bits too, 1e6 or 1e-6 rounded to those.
        x = np.round(x * 32) / 32
        mantissa, exponent = np.frexp(factor)
        return x.astype(dtype), (sign * np.ldexp(np.round(mantissa * 2**12) / 2**12, exponent) * x).astype(dtype)
    z -= x * (x @ z) / (x @ x)
    z *= np.linalg.norm(x) / np.linalg.norm(z)
    y = sign * factor * (np.cos(angle) * x + np.sin(angle) * z)
    return x.astype(dtype), y.astype(dtype)


@dataclass(frozen=True)
class Expected:
    """The exact values for one pair of rows in one network."""

    x: Any
    y: Any
    kind: tuple[str, float, float]  # side, angle, factor
    network: Network
    values: dict[int, list[tuple[Any, Any, float]]]  # depth: (exact, scale, condition) of nngp and of ntk


def expected_network(
    dual: Dual,
    dtype: Any = np.float64,
    *,
    angles: Sequence[float] = (0.0, *ANGLES),
    factors: Sequence[float] = FACTORS,
    depths: Sequence[int] = DEPTHS,
    networks: Sequence[Network] = NETWORKS,
    sides: Sequence[str] = ("0", "pi"),
    digits: int = 20,
    track: Track = iter,
) -> list[Expected]:
    """The exact values on pairs of rows of `dtype`. An angle below the spacing of the dtype is left out.

    `track` goes through the list of what is computed in turn, as a progress bar does.
    """
    least = float(np.finfo(dtype).eps)
    kinds = [(s, a, f) for s in sides for a in angles if a == 0 or a >= least for f in factors]
    return [
        _expected(dual, *pair_of_rows(kind[1], kind[0], kind[2], dtype), kind, network, depths, digits)
        for kind, network in track([(kind, network) for kind in kinds for network in networks])
    ]


def _expected(
    dual: Dual, x: Any, y: Any, kind: tuple[str, float, float], network: Network, depths: Sequence[int], digits: int
) -> Expected:
    w, b = network
    top = max(depths)
    values = exact_network(dual, x, y, top, w, b, digits)
    own = [exact_network(dual, z, z, top, w, b, digits) for z in (x, y)]
    with mpmath.workdps(50):
        moved = _recursion(dual, x.tolist(), y.tolist(), top, mpmath.mpf(w) * (1 + _STEP), mpmath.mpf(b))
    largest = float(np.finfo(x.dtype).max)
    known = min(map(len, (values, *own, moved)))
    table: dict[int, list[tuple[Any, Any, float]]] = {}
    for depth in depths:
        # Beyond the range of floats no answer is right.
        if depth >= known or max(v for o in own for v in o[depth]) > largest:
            continue
        table[depth] = []
        for n in range(len(KERNELS)):
            exact = values[depth][n]
            scale = max(abs(exact), mpmath.sqrt(own[0][depth][n] * own[1][depth][n]) / 100)
            condition = float(abs(moved[depth][n] - exact) / (_STEP * scale)) if scale else 0.0
            table[depth].append((exact, scale, condition))
    return Expected(x, y, kind, network, table)


def compare_network(evaluator: Evaluator, expected: Iterable[Expected]) -> list[Case]:
    """The entries of `nngp` and `ntk`, as (x, y), as (y, x), as rows of one X and among others; the worst counts.

    For duplicates the diagonal of that X is among them.
    """
    cases = []
    for pair in expected:
        for depth, values in pair.values.items():
            for kernel, (exact, scale, condition) in zip(KERNELS, values, strict=True):
                error, computed = max(
                    (_relative(value, exact, scale), float(value))
                    for value in _computed(evaluator, kernel, pair.x, pair.y, depth, pair.network)
                )
                cases.append(Case(kernel, *pair.kind, depth, pair.network, computed, exact, error, condition))
    return cases


def measure_network(evaluator: Evaluator, dual: Dual, dtype: Any = np.float64, **choice: Any) -> list[Case]:
    """`compare_network` with `expected_network(dual, dtype, **choice)`."""
    return compare_network(evaluator, expected_network(dual, dtype, **choice))


def _relative(computed: Any, exact: Any, scale: Any) -> float:
    if not np.isfinite(computed):
        return float("inf")
    difference = abs(mpmath.mpf(float(computed)) - exact)
    return float(difference / scale) if scale else float("inf") if difference else 0.0


def _computed(evaluator: Evaluator, kernel: str, x: Any, y: Any, depth: int, network: Network) -> Iterable[Any]:
    function = getattr(evaluator.module, kernel)
    options = {"depth": depth, "sigma_w": network[0], "sigma_b": network[1], **evaluator.values}
    X, Y = x[None, :], y[None, :]
    try:
        with np.errstate(all="ignore"):
            both = np.asarray(function(np.concatenate([X, Y]), **options))
            if both.shape != (2, 2):
                return [np.nan]
            values = [function(X, Y, **options)[0, 0], function(Y, X, **options)[0, 0], both[0, 1], both[1, 0]]
            # Beside other rows, close ones and opposite ones among them, a pair takes other paths than alone.
            values.append(function(np.concatenate([X, Y, X, -X]), **options)[0, 1])
            # Modules have a path of their own for the diagonal of one X.
            return [*values, both[0, 0], both[1, 1]] if np.array_equal(x, y) else values
    except Exception as error:  # whatever a damaged file does
        raise NumericError(
            f"{kernel} of {evaluator.module.NAME} fails ({type(error).__name__}: {error}); "
            "regenerate the module with 'mehler generate'"
        ) from None


def worst_by_region(cases: Iterable[Case], dtype: Any) -> dict[tuple[str, str], Case]:
    """The case of most units for each (kernel, region)."""
    worst: dict[tuple[str, str], Case] = {}
    for case in cases:
        key = (case.kernel, case.region)
        if key not in worst or not case.units(dtype) <= worst[key].units(dtype):
            worst[key] = case
    return worst
