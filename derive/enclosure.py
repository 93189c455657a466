"""Interval arithmetic: bounds of an expression in x over an interval.

Bounds are rigorous: every operation rounds outwards (mpmath's interval context), and a monotone function is bounded
by its values at the ends, widened beyond mpmath's error. Ends may be infinite. x^k e^{p(x)} with a polynomial p is
bounded as one function where k + x p'(x) keeps its sign, so that the decay of an exponential beats a power, and so
is a logarithm with either.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import mpmath
import sympy as sp
from mpmath.ctx_iv import MPIntervalContext
from mpmath.libmp import finf, fninf, fone, fzero, mpf_add, mpf_gt, mpf_lt, mpf_mul, mpf_neg, mpf_shift, mpf_sign

from mehler.derive.errors import OutsideClass
from mehler.derive.special import Phi
from mehler.derive.symbols import x

Bounds = tuple[Any, Any]  # two raw numbers of mpmath

BITS = 64
GUARD = 40  # bits beyond the precision, in which functions are evaluated before their values are widened

WHOLE = (fninf, finf)

# Beyond ±2^FAR the argument of a function counts as infinite: the exponential of a number has as many digits.
FAR = 64
POSITIVE, NEGATIVE = mpf_shift(fone, FAR), mpf_neg(mpf_shift(fone, FAR))

Operation = Callable[..., Any]


class Scaled(sp.Function):  # type: ignore[misc]
    """exp(x²) erfc(x), which falls: what bounds far out are made of."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return 2 * self.args[0] * self - 2 / sp.sqrt(sp.pi)


class Precision:
    """Interval arithmetic with so many bits, and the context in which monotone functions are evaluated."""

    def __init__(self, bits: int) -> None:
        self.intervals = MPIntervalContext()
        self.intervals.prec = bits
        self.points = mpmath.mp.clone()
        self.points.prec = bits + GUARD
        self.bits = bits

    def make(self, bounds: Bounds) -> Any:
        return self.intervals.make_mpf(bounds)

    def monotone(self, function: Callable[[Any], Any], value: Any, rising: bool = True) -> Any:
        """Bounds of a monotone function."""
        ends = [function(self.points.make_mpf(end)) for end in value._mpi_]
        low, high = (end._mpf_ for end in (ends if rising else ends[::-1]))
        return self.make((self._widened(low, -1), self._widened(high, 1)))

    def within_reach(self, value: Any) -> Any:
        """An interval around `value`, whose ends are infinite or no further than 2^FAR from 0."""
        low, high = value._mpi_
        if mpf_gt(high, POSITIVE):
            low, high = low if mpf_lt(low, POSITIVE) else POSITIVE, finf
        if mpf_lt(low, NEGATIVE):
            low, high = fninf, high if mpf_gt(high, NEGATIVE) else NEGATIVE
        return self.make((low, high))

    def _widened(self, end: Any, side: int) -> Any:
        if end in (finf, fninf, fzero):
            return end
        margin = mpf_shift(end, -self.bits)
        return mpf_add(end, margin if mpf_sign(margin) == side else mpf_neg(margin))


@cache
def arithmetic(bits: int) -> Precision:
    return Precision(bits)


def _even(p: Precision, function: Callable[[Any], Any], value: Any, rising: bool) -> Any:
    """Bounds of an even function that is monotone on either side of 0."""
    return p.monotone(function, abs(value), rising)


def _scaled(p: Precision, t: Any) -> Any:
    return p.points.zero if t == p.points.inf else p.points.exp(t * t) * p.points.erfc(t)


FUNCTIONS: Mapping[Any, Callable[[Precision, Any], Any]] = {
    sp.exp: lambda p, v: p.intervals.exp(v),
    sp.log: lambda p, v: p.intervals.log(v),
    sp.sin: lambda p, v: p.intervals.sin(v),
    sp.cos: lambda p, v: p.intervals.cos(v),
    sp.tan: lambda p, v: p.intervals.sin(v) / p.intervals.cos(v),
    sp.sinh: lambda p, v: p.monotone(p.points.sinh, v),
    sp.asinh: lambda p, v: p.monotone(p.points.asinh, v),
    sp.tanh: lambda p, v: p.monotone(p.points.tanh, v),
    sp.atan: lambda p, v: p.monotone(p.points.atan, v),
    sp.erf: lambda p, v: p.monotone(p.points.erf, v),
    sp.erfc: lambda p, v: p.monotone(p.points.erfc, v, rising=False),
    Phi: lambda p, v: p.monotone(lambda t: p.points.erfc(-t / p.points.sqrt(2)) / 2, v),
    Scaled: lambda p, v: p.monotone(lambda t: _scaled(p, t), v, rising=False),
    sp.cosh: lambda p, v: _even(p, p.points.cosh, v, rising=True),
    sp.sech: lambda p, v: _even(p, lambda t: 1 / p.points.cosh(t), v, rising=False),
}


class Enclosure:
    """Bounds of an expression in x, without other symbols, and of its derivatives. Raises OutsideClass."""

    def __init__(self, expr: sp.Expr) -> None:
        self._derivatives = [expr]
        self._programs: dict[tuple[int, int], Callable[[Any], Any]] = {}

    def __call__(self, low: Any, high: Any, order: int = 0, bits: int = BITS) -> Bounds:
        """Bounds of a derivative over [low, high], whose ends are raw numbers."""
        precision = arithmetic(bits)
        if (order, bits) not in self._programs:
            self._programs[order, bits] = _compiled(self.derivative(order), precision)
        try:
            bounds: Bounds = self._programs[order, bits](precision.make((low, high)))._mpi_
        except (ValueError, ZeroDivisionError, OverflowError, mpmath.libmp.ComplexResult):
            return WHOLE
        return bounds if not any(end == mpmath.libmp.fnan for end in bounds) else WHOLE

    def derivative(self, order: int) -> sp.Expr:
        while len(self._derivatives) <= order:
            self._derivatives.append(sp.diff(self._derivatives[-1], x))
        return self._derivatives[order]

    def sign(self, low: Any, high: Any, order: int = 0, bits: int = BITS) -> int:
        """The sign of a derivative on all of [low, high]; 0 where the bounds do not tell."""
        return sign_of(self(low, high, order, bits))


def sign_of(bounds: Bounds) -> int:
    low, high = bounds
    return 1 if mpf_gt(low, fzero) else -1 if mpf_lt(high, fzero) else 0


def _compiled(expr: sp.Expr, p: Precision) -> Callable[[Any], Any]:
    known: dict[sp.Basic, Callable[[Any], Any]] = {}

    def place(e: sp.Expr) -> Callable[[Any], Any]:
        if e not in known:
            known[e] = made(e)
        return known[e]

    def made(e: sp.Expr) -> Callable[[Any], Any]:
        if e == x:
            return lambda box: box
        if e.is_number and (e.is_Rational or e.is_NumberSymbol):
            constant = _constant(e, p)
            return lambda box: constant
        if e.is_Add:
            terms = [place(a) for a in e.args]
            return lambda box: sum((t(box) for t in terms), p.intervals.zero)
        if e.is_Mul:
            return _product(e, place, p)
        if e.is_Pow and e.base != sp.E:
            return _power(e, place, p)
        function = FUNCTIONS.get(e.func)
        if function is None:
            raise OutsideClass(f"cannot bound {e.func.__name__}, which a switch in the activation needs")
        inner = place(e.args[0])
        return lambda box: function(p, p.within_reach(inner(box)))

    return place(expr)


def _constant(e: sp.Expr, p: Precision) -> Any:
    if e.is_Rational:
        return p.intervals.mpf(int(e.p)) / int(e.q)
    value = p.points.mpf(e._to_mpmath(p.bits + GUARD))._mpf_
    return p.make((p._widened(value, -1), p._widened(value, 1)))


def _power(e: sp.Expr, place: Callable[[sp.Expr], Any], p: Precision) -> Callable[[Any], Any]:
    base = place(e.base)
    if e.exp.is_Integer:
        n = int(e.exp)
        return lambda box: base(box) ** n
    if not e.exp.is_Rational:
        exponent = place(e.exp)
        return lambda box: p.intervals.exp(p.within_reach(exponent(box) * p.intervals.log(base(box))))
    above, below = int(e.exp.p), int(e.exp.q)

    def value(box: Any) -> Any:
        v = base(box)
        low, high = v._mpi_
        if mpf_lt(high, fzero):
            raise ValueError("a root of a negative number")
        v = p.make((low if mpf_gt(low, fzero) else fzero, high))
        root = p.intervals.sqrt(v) if below == 2 else p.monotone(lambda t: p.points.root(t, below), v)
        return root**above

    return value


def _product(e: sp.Expr, place: Callable[[sp.Expr], Any], p: Precision) -> Callable[[Any], Any]:
    """x^k e^{p(x)} log(x) as one function, times the rest; the logarithm may be absent."""
    degree, exponent, logs, rest = sp.S.Zero, sp.S.Zero, sp.S.One, []
    for factor in e.args:
        base, power = factor.as_base_exp()
        if base == x and power.is_Rational:
            degree += power
        elif isinstance(factor, sp.exp) and factor.exp.is_polynomial(x):
            exponent += factor.exp
        elif factor == sp.log(x):
            logs = factor
        else:
            rest.append(place(factor))
    if (degree != 0) + (exponent != 0) + (logs != 1) < 2:
        factors = [place(a) for a in e.args]
        return lambda box: _multiplied(p, [f(box) for f in factors])
    pair = [place(x**degree), place(sp.exp(exponent)), place(logs)]
    slope = place(degree + sp.expand(x * sp.diff(exponent, x)) + x * sp.diff(logs, x) / logs)
    positive, least = place(x), fzero if logs == 1 else fone  # below which it may not be positive

    def value(box: Any) -> Any:
        plain = _multiplied(p, [f(box) for f in pair])
        low, high = box._mpi_
        turn = sign_of(slope(box)._mpi_) if mpf_gt(positive(box)._mpi_[0], least) else 0
        if turn:
            ends = [p.make((end, end)) for end in (low, high) if end != finf]
            values = [_multiplied(p, [f(end) for f in pair])._mpi_ for end in ends]
            if turn > 0:
                plain = p.make((values[0][0], values[1][1] if high != finf else finf))
            else:
                plain = p.make((values[1][0] if high != finf else fzero, values[0][1]))
        return _multiplied(p, [plain, *(f(box) for f in rest)])

    return value


def _multiplied(p: Precision, values: list[Any]) -> Any:
    total = p.intervals.one
    for value in values:
        total = total * value
    return total


def middle(low: Any, high: Any, share: Any, bits: int = BITS) -> Any:
    """low + share·(high − low), rounded."""
    return mpf_add(low, mpf_mul(share, mpf_add(high, mpf_neg(low)), bits), bits)
