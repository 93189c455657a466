"""What may be built: every part of an activation is measured before SymPy evaluates it, and looked at after.

A short text can ask for a number of a billion digits or for a polynomial of a billion terms, where it is written,
where shorthands nest, and where a switch puts a constant into an exponent. So parser and pieces build through
`built` alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sympy as sp

from mehler.derive.errors import ParseError
from mehler.derive.symbols import x

MAX_NODES = 4000
MAX_SPREAD = 20_000
MAX_EXPONENT = 32
MAX_DEGREE = 64
MAX_TERMS = 2000

# Of a rational number, numerator or denominator.
MAX_BITS = 512

# Of a coefficient, once all powers are expanded.
MAX_EXPANDED_BITS = 8192

# Of what SymPy computes on the way to the root of a rational number.
MAX_ROOT_BITS = 10**6

# Of the binary logarithm of any other constant, either way: about the range of float64.
MAX_MAGNITUDE = 1000

SWITCHES = (sp.Abs, sp.Max, sp.Min, sp.sign, sp.Heaviside, sp.Piecewise)
STEEP = (sp.exp, sp.sinh, sp.cosh)
INFINITE = (sp.nan, sp.zoo, sp.oo, -sp.oo)

TOO_LARGE = "is too large a number; use smaller numbers"


class Refused(ParseError):
    """A part that is not built; `reason` follows the text of the part."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"a piece of the activation {reason}")


class Undefined(Refused):
    """A part that has no finite value."""


@dataclass(frozen=True)
class Size:
    """Bounds: the nodes of an expression as a tree; its degree, terms, bits of numbers and nodes once expanded."""

    nodes: int
    degree: float
    terms: int
    bits: float
    spread: float


def built(function: Callable[..., Any], *args: Any, **options: bool) -> Any:
    """function(*args, **options) in SymPy. Raises Refused where that is too large, or not real and finite."""
    _foresee(function, args)
    try:
        value = function(*args, **options)
    except Exception as error:  # whatever SymPy raises: there is no list of it
        raise Refused(f"cannot be evaluated ({type(error).__name__}); simplify it") from None
    return inspected(value) if isinstance(value, sp.Expr) else value


def inspected(value: sp.Expr) -> sp.Expr:
    """The value. Raises Refused unless its numbers are finite, real, and of a size that can be computed with."""
    if value.has(*INFINITE):
        raise Undefined("is not a finite number")
    if any(_bits(number) > MAX_BITS for number in value.atoms(sp.Rational)):
        raise Refused("has too large a number; use smaller numbers")
    if value.is_number:
        _value(value)
    else:
        _admit(size(value))
    return value


def at(expr: sp.Expr, point: sp.Expr) -> sp.Expr:
    """`expr` at x = point. Raises Refused."""
    if expr == x:
        return point
    return built(expr.func, *(at(arg, point) for arg in expr.args)) if expr.has(x) else expr


@lru_cache(maxsize=4096)
def size(expr: sp.Basic) -> Size:
    if expr.is_Rational:
        return Size(1, 0, 1, _bits(expr), 1)
    if not expr.args:
        return Size(1, 1, 1, 1, 1)
    return _size_of(expr.func, expr.args)


def _size_of(function: Any, args: tuple[sp.Basic, ...]) -> Size:
    """The size that function(*args) will have."""
    parts = [size(arg) for arg in args]
    nodes, spread = (1 + sum(counts) for counts in zip(*((part.nodes, part.spread) for part in parts), strict=True))
    degree, terms, bits = (
        max(bounds) for bounds in zip(*((part.degree, part.terms, part.bits) for part in parts), strict=True)
    )
    if function is sp.Add:
        return Size(nodes, degree, sum(part.terms for part in parts), bits + len(parts).bit_length(), spread)
    if function is sp.Mul:
        product = math.prod(part.terms for part in parts)
        # A term of the product has one of each factor.
        spread = product * (1 + sum(part.spread / part.terms for part in parts))
        return Size(
            nodes, sum(part.degree for part in parts), product, sum(part.bits for part in parts), spread
        )  # fmt: skip
    if function is sp.Pow and args[1].is_Rational:
        base, power = parts[0], abs(args[1].p / args[1].q)
        whole = math.ceil(power)
        count = math.comb(base.terms + whole - 1, whole) if power <= MAX_EXPONENT and base.terms > 1 else 1
        each = 1 + min(whole, base.terms) * base.spread / base.terms
        return Size(nodes, base.degree * power, count, power * (base.bits + base.terms.bit_length()), count * each)
    if function in SWITCHES or not issubclass(function, sp.Expr):
        return Size(nodes, degree, terms, bits, spread)
    return Size(nodes, 1, 1, bits, spread)


def _foresee(function: Any, args: tuple[Any, ...]) -> None:
    """Raise Refused where the arguments say what SymPy would come to."""
    if function in STEEP and args[0].is_number and abs(_value(args[0])) > MAX_MAGNITUDE * math.log(2):
        raise Refused(TOO_LARGE)
    if function is sp.Pow:
        _foresee_power(*args)
    if isinstance(function, type):
        _admit(_size_of(function, args))


def _foresee_power(base: sp.Expr, exponent: sp.Expr) -> None:
    if exponent.is_Rational and not exponent.is_positive and base.is_number and base.is_zero:
        raise Undefined("divides by zero")
    if base is sp.E:
        _foresee(sp.exp, (exponent,))
        return
    if exponent.is_number and not (exponent.is_Rational and abs(exponent) <= MAX_EXPONENT):
        raise Refused(f"has an exponent that is no fraction of size at most {MAX_EXPONENT}; use a smaller one")
    numbers = sum(_bits(n) for n in base.atoms(sp.Rational) if abs(n) != 1)
    if exponent.is_Rational and numbers * abs(exponent.p) > MAX_ROOT_BITS:
        raise Refused("has an exponent of too many digits; use a fraction such as 3/2")
    if base.is_number:
        # An exponent with x is a number at a knot, and its own numbers say how large.
        largest = max((abs(n) for n in exponent.atoms(sp.Rational)), default=0)
        if numbers * largest > MAX_BITS:
            raise Refused(TOO_LARGE)


def _admit(found: Size) -> None:
    if found.degree > MAX_DEGREE:
        raise Refused(f"has the degree {_shown(found.degree)}; at most {MAX_DEGREE} is accepted")
    if found.terms > MAX_TERMS:
        raise Refused(f"has {_shown(found.terms)} terms or more once expanded; at most {MAX_TERMS} are accepted")
    if found.bits > MAX_EXPANDED_BITS:
        raise Refused("has numbers of too many digits once expanded; use shorter numbers or smaller powers")
    if found.nodes > MAX_NODES:
        raise Refused(f"has {_shown(found.nodes)} parts once written out; at most {MAX_NODES} are accepted")
    if found.spread > MAX_SPREAD:
        raise Refused(f"has {_shown(found.spread)} parts or more once expanded; at most {MAX_SPREAD} are accepted")


def _shown(number: float) -> str:
    return f"{number:.3g}" if number > 10**6 else str(round(number))


@lru_cache(maxsize=4096)
def _value(number: sp.Expr) -> float:
    """The value of a constant. Raises Refused where it is not real or out of the range of float64."""
    if number.is_Rational:
        return float(number) if _bits(number) <= MAX_BITS else math.inf
    try:
        value = number.evalf(15)
    except Exception as error:
        raise Refused(f"cannot be evaluated ({type(error).__name__}); simplify it") from None
    if not value.is_Float and value != 0:
        raise Refused("is not a real number")
    if value != 0 and abs(value._mpf_[2] + value._mpf_[3]) > MAX_MAGNITUDE:
        raise Refused(TOO_LARGE)
    return float(value)


def _bits(number: sp.Rational) -> int:
    return int(max(abs(number.p).bit_length(), number.q.bit_length()))
