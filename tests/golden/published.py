"""Closed forms of (K, K̇) typed in from the literature, none taken from mehler, with as many digits as asked.

Cho and Saul, NIPS 2009 (step, ReLU and its square, |x|, leaky ReLU); Williams, NIPS 1996 (erf, Gaussian, Φ);
Rahimi and Recht, NIPS 2007 (sin, cos and their sum); Tsuchida, Pearce, van der Heide, Roosta and Gallagher,
AAAI 2021 (GELU). The Ricker wavelet (1 - x²)exp(-x²/2) = -g″ is Williams' Gaussian by Price's theorem,
E[g″(u) g″(v)] = ∂²/∂c² E[g(u) g(v)]; powers and exp are moments of a Gaussian.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
from mpmath import mpf

Pair = tuple[Any, Any]

# A variance of 0, at the angle of the covariance beside it: no float and no root of one is as small.
ZERO = Fraction(1, 10**2000)
NEGLIGIBLE = mpf(10) ** -400


def _angle(q1: Any, q2: Any, c: Any) -> tuple[Any, Any, Any]:
    """(√(q1 q2), sin θ, π - θ)."""
    norm = mpmath.sqrt(q1 * q2)
    sine = mpmath.sqrt(max(mpf(0), q1 * q2 - c * c)) / norm
    return norm, sine, mpmath.atan2(sine, -c / norm)


def _step(q1: Any, q2: Any, c: Any) -> Pair:
    return _angle(q1, q2, c)[2] / (2 * mpmath.pi), mpf(0)


def _sign(q1: Any, q2: Any, c: Any) -> Pair:
    norm, sine, _ = _angle(q1, q2, c)
    return 2 / mpmath.pi * mpmath.atan2(c / norm, sine), mpf(0)


def _relu(q1: Any, q2: Any, c: Any) -> Pair:
    norm, sine, opposite = _angle(q1, q2, c)
    return (norm * sine + c * opposite) / (2 * mpmath.pi), opposite / (2 * mpmath.pi)


def _relu2(q1: Any, q2: Any, c: Any) -> Pair:
    norm, sine, opposite = _angle(q1, q2, c)
    order_2 = 3 * norm * sine * c + opposite * (norm**2 + 2 * c * c)
    return order_2 / (2 * mpmath.pi), 4 * _relu(q1, q2, c)[0]


def _abs(q1: Any, q2: Any, c: Any) -> Pair:
    norm, sine, _ = _angle(q1, q2, c)
    asin = mpmath.atan2(c / norm, sine)
    return 2 / mpmath.pi * (norm * sine + c * asin), 2 / mpmath.pi * asin


def _leaky_relu(q1: Any, q2: Any, c: Any, a: Any) -> Pair:
    """max(x, ax) = (1+a)/2 x + (1-a)/2 |x|; the products of an odd and an even part have mean 0."""
    odd, even = ((1 + a) / 2) ** 2, ((1 - a) / 2) ** 2
    k, k_dot = _abs(q1, q2, c)
    return odd * c + even * k, odd + even * k_dot


def _erf(q1: Any, q2: Any, c: Any) -> Pair:
    p = (1 + 2 * q1) * (1 + 2 * q2)
    root = mpmath.sqrt(p - 4 * c**2)
    return 2 / mpmath.pi * mpmath.atan2(2 * c, root), 4 / mpmath.pi / root


def _probit(q1: Any, q2: Any, c: Any) -> Pair:
    root = mpmath.sqrt((1 + q1) * (1 + q2) - c * c)
    return mpf(1) / 4 + mpmath.atan2(c, root) / (2 * mpmath.pi), 1 / (2 * mpmath.pi * root)


def _gelu(q1: Any, q2: Any, c: Any) -> Pair:
    """Stein's lemma, twice, on E[u v Φ(u) Φ(v)] with P = E[Φ(u) Φ(v)], and ∂P/∂c = 1/(2π√D)."""
    D = (1 + q1) * (1 + q2) - c**2
    p, slope = _probit(q1, q2, c)
    share = 1 - q1 / (1 + q1) - q2 / (1 + q2)
    bracket = q1 * q2 + c**2 * share
    return c * p + bracket * slope, p + c * slope + 2 * c * share * slope + bracket * slope * c / D


def _gaussian(q1: Any, q2: Any, c: Any) -> Pair:
    D = (1 + 2 * q1) * (1 + 2 * q2) - 4 * c**2
    return 1 / mpmath.sqrt(D), 4 * c / (D * mpmath.sqrt(D))


def _mexican_hat(q1: Any, q2: Any, c: Any) -> Pair:
    D = (1 + q1) * (1 + q2) - c**2
    root = mpmath.sqrt(D)
    return (1 + 3 * c * c / D) / (D * root), (9 + 15 * c * c / D) * c / (D * D * root)


def _sin(q1: Any, q2: Any, c: Any) -> Pair:
    decay = mpmath.exp(-(q1 + q2) / 2)
    return decay * mpmath.sinh(c), decay * mpmath.cosh(c)


def _rff(q1: Any, q2: Any, c: Any) -> Pair:
    k = mpmath.exp(c - (q1 + q2) / 2)
    return k, k


def _exp(q1: Any, q2: Any, c: Any, a: Any) -> Pair:
    k = mpmath.exp(a * a * (q1 + q2 + 2 * c) / 2)
    return k, a * a * k


DUALS: dict[str, Callable[..., Pair]] = {
    "abs": _abs,
    "cos": lambda q1, q2, c: _sin(q1, q2, c)[::-1],
    "cubic": lambda q1, q2, c: (9 * q1 * q2 * c + 6 * c**3, 9 * (q1 * q2 + 2 * c * c)),
    "erf": _erf,
    "exp": _exp,
    "gaussian": _gaussian,
    "gelu": _gelu,
    "identity": lambda q1, q2, c: (c, mpf(1)),
    "leaky_relu": _leaky_relu,
    "mexican_hat": _mexican_hat,
    "probit": _probit,
    "relu": _relu,
    "relu2": _relu2,
    "rff": _rff,
    "sign": _sign,
    "sin": _sin,
    "step": _step,
}


def published(name: str, q1: Any, q2: Any, c: Any, params: dict[str, float], digits: int = 40) -> Pair:
    """(K, K̇) to `digits` digits of each value: the precision doubles until two passes agree."""
    point = [Fraction(q1) or ZERO, Fraction(q2) or ZERO, Fraction(c)]
    before, dps = None, digits + 20
    while dps <= 60 * (digits + 20):
        with mpmath.workdps(dps):
            arguments = [mpf(v.numerator) / v.denominator for v in point]
            try:
                after = DUALS[name](*arguments, **{p: mpf(v) for p, v in params.items()})
            except ZeroDivisionError:  # a determinant of too few digits
                after = None
            if (
                after is not None
                and before is not None
                and all(_settled(*both, digits) for both in zip(before, after, strict=True))
            ):
                return after
        before, dps = after, 2 * dps
    raise ArithmeticError(f"{name} does not settle at {q1}, {q2}, {c}")


def _settled(before: Any, after: Any, digits: int) -> bool:
    agreed = abs(before - after) <= abs(after) * mpf(10) ** -digits
    return agreed or max(abs(before), abs(after)) < NEGLIGIBLE


def dual(name: str, params: dict[str, float]) -> Callable[[Any, Any, Any], Pair]:
    """(q1, q2, c) ↦ (K, K̇) of mpf, at the precision of the mpmath context, cancellation and all."""
    return lambda q1, q2, c: DUALS[name](q1, q2, c, **{p: mpf(v) for p, v in params.items()})
