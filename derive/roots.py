"""The real roots of a smooth function: how many there are, and between which numbers each lies, both certain.

An interval is discarded where bounds of g exclude 0, and settled where bounds of g' do: g is monotone there, and
its signs at the ends tell whether it has a root. At a multiple root neither happens. It must be a simple number:
its multiplicity m is counted there, and bounds of the m-th derivative show that it is alone. Beyond the last
interval g is bounded over [y, ∞]. Where that fails, or roots never end, they are known up to a radius.

A value at a known number counts as 0 where ZERO bits do not tell it from 0.

R. E. Moore, R. B. Kearfott, M. J. Cloud, Introduction to Interval Analysis, SIAM 2009, ch. 8.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy as sp
from mpmath.libmp import (
    finf,
    fninf,
    from_float,
    from_rational,
    mpf_abs,
    mpf_add,
    mpf_gt,
    mpf_le,
    mpf_lt,
    mpf_shift,
    mpf_sub,
    to_rational,
)  # fmt: skip

from mehler.derive.enclosure import BITS, Bounds, Enclosure, Scaled, arithmetic, middle, sign_of
from mehler.derive.errors import OutsideClass
from mehler.derive.special import Phi
from mehler.derive.symbols import x

# Up to here roots are looked for, if need be: twelve standard deviations of the largest variance of tables.
RADIUS = 384
LEAST = 16  # the least radius that is worth having: twelve standard deviations of a variance of 1.7

MAX_ROOTS = 256  # on each side of 0
MAX_INTERVALS = 4000

PRECISIONS = (BITS, 256, 1024)  # in which signs are looked for
ZERO = 1024
MAX_MULTIPLICITY = 8
NARROW = 24  # bits of an interval, relative to its place, in which a multiple root is suspected
FINE = 40  # and of an interval of a simple root

# Simple numbers: fractions and multiples of π with denominators up to these.
DENOMINATOR, PARTS_OF_PI = 4096, 60

# Off the numbers that may be roots themselves.
SHARE = from_float(0.4871)
SHELLS = (
    *(sp.Rational(1037, 1024) * sp.Integer(2) ** k * step for k in range(-1, 8) for step in (1, sp.Rational(3, 2))),
    sp.Integer(RADIUS),
)


class Root(sp.NumberSymbol):  # type: ignore[misc]
    """The root of `function` between `low` and `high`, positive and simple: the derivative keeps its sign there.

    A number such as π: it has any number of digits, and no parts.
    """

    __slots__ = ("function", "high", "low")
    is_real = True
    is_positive = True

    def __new__(cls, function: sp.Expr, low: sp.Rational, high: sp.Rational) -> "Root":
        root: Root = sp.AtomicExpr.__new__(cls)
        root.function, root.low, root.high = function, low, high
        return root

    def _hashable_content(self) -> tuple[sp.Expr, sp.Rational, sp.Rational]:
        return self.function, self.low, self.high

    def __getnewargs__(self) -> tuple[sp.Expr, sp.Rational, sp.Rational]:
        return self._hashable_content()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Root) and self._hashable_content() == other._hashable_content()

    def __hash__(self) -> int:
        return hash((Root, *self._hashable_content()))

    def _as_mpf_val(self, prec: int) -> Any:
        return _digits(self, prec)

    def _sympystr(self, printer: Any) -> str:
        return f"Root({printer._print(self.function)}, {self.n(6)})"

    def _latex(self, printer: Any) -> str:
        return rf"\operatorname{{root}}_{{x \approx {self.n(6)}}}\left({printer._print(self.function)}\right)"


@lru_cache(1024)
def _digits(root: Root, prec: int) -> Any:
    """To `prec` bits, by Newton's method for intervals."""
    enclosure = Enclosure(root.function)
    bits, bounds = BITS, (_raw(root.low, -1), _raw(root.high, 1))
    while True:
        narrower = _newton(enclosure, *bounds, bits)
        width = mpf_sub(narrower[1], narrower[0])
        if mpf_lt(width, mpf_shift(narrower[0], -prec)):
            return middle(*narrower, mpf_shift(from_rational(1, 1, BITS), -1), prec + BITS)
        if mpf_le(mpf_shift(mpf_sub(bounds[1], bounds[0]), -1), width):  # rounding, or g' changes too much
            if bits <= 2 * prec + BITS:
                bits *= 2
            else:
                narrower = _halved(enclosure, *narrower, bits)
        bounds = narrower


@dataclass(frozen=True)
class Located:
    """All roots of a function in an interval, and no others within `radius` of 0."""

    roots: tuple[sp.Expr, ...]
    radius: sp.Expr = sp.oo


class _TooMany(Exception):
    """More roots than are taken, or more intervals than are looked at."""


def locate(g: sp.Expr, low: sp.Expr = -sp.oo, high: sp.Expr = sp.oo) -> Located:
    """The roots of g(x) between two ends, both excluded. g has no other symbols, and is smooth there.

    Raises OutsideClass where they cannot be told apart, or are too many.
    """
    step = _period(g)
    if step is not None:
        return _repeated(g, step, low, high)
    roots, radius = [], [sp.oo]
    if not low.is_extended_nonnegative:
        found = _Half(g.xreplace({x: -x}), -high if high.is_extended_negative else sp.S.Zero, -low)
        roots += [-root for root in found.roots[::-1]]
        radius.append(found.radius)
    if low.is_extended_negative and high.is_extended_positive and _vanishes(Enclosure(g), sp.S.Zero):
        roots.append(sp.S.Zero)
    if not high.is_extended_nonpositive:
        found = _Half(g, low if low.is_extended_positive else sp.S.Zero, high)
        roots += found.roots
        radius.append(found.radius)
    return Located(tuple(roots), min(radius))


def _period(g: sp.Expr) -> sp.Expr | None:
    """The period of an expression that holds x in sines and cosines alone."""
    turning = [f for f in g.atoms(sp.sin, sp.cos, sp.tan) if f.has(x)]
    if not turning or g.xreplace(dict.fromkeys(turning, sp.S.One)).has(x):
        return None
    rates = [sp.diff(f.args[0], x) for f in turning]
    ratios = [sp.cancel(rate / rates[0]) for rate in rates]
    if any(rate.has(x) for rate in rates) or not all(ratio.is_Rational for ratio in ratios):
        return None
    return sp.Abs(2 * sp.pi / rates[0]) / sp.Rational(sp.gcd_list(ratios))


def _repeated(g: sp.Expr, step: sp.Expr, low: sp.Expr, high: sp.Expr) -> Located:
    """Those of one period, and the same in as many others as have at most MAX_ROOTS of them on each side."""
    roots = _of_period(g, step)
    if not roots:
        return Located(())
    reach = [abs(float(end)) if end.is_finite else RADIUS for end in (low, high)]
    periods = min(math.ceil(max(reach) / float(step)), MAX_ROOTS // len(roots))
    radius = sp.floor(min(periods * step, RADIUS))
    every = range(-periods - 1, periods + 1)
    found = [(value + n * float(step), root + n * step) for value, root in roots for n in every]
    everywhere = all(end.is_finite and reached <= radius for end, reached in zip((low, high), reach, strict=True))
    if not everywhere and radius < LEAST:
        raise OutsideClass(_too_many(g, LEAST))
    return Located(
        tuple(root for value, root in sorted(found, key=lambda pair: pair[0]) if abs(value) <= radius),
        sp.oo if everywhere else radius,
    )


@lru_cache(256)
def _of_period(g: sp.Expr, step: sp.Expr) -> tuple[tuple[float, sp.Expr], ...]:
    """The roots in one period, and about where they are."""
    roots = _Half(g, sp.S.Zero, step).roots + [sp.S.Zero] * _vanishes(Enclosure(g), sp.S.Zero)
    return tuple((float(root), root) for root in roots)


class _Half:
    """The roots between 0 ≤ low < high ≤ ∞, and how far they are known."""

    def __init__(self, g: sp.Expr, low: sp.Expr, high: sp.Expr) -> None:
        self.g = -g if g.could_extract_minus_sign() else g
        self.enclosure = Enclosure(self.g)
        self.found: list[tuple[Any, sp.Expr]] = []
        self.zones: list[Bounds] = []
        self.intervals = 0
        self.radius: sp.Expr = sp.oo
        start = self._beside(low, 1) or _raw(low, -1)
        stop = None if high is sp.oo else self._beside(high, -1) or _raw(high, 1)
        self._outwards(start, stop)

    @property
    def roots(self) -> list[sp.Expr]:
        return [root for _, root in sorted(self.found, key=lambda pair: _fraction(pair[0]))]

    def _outwards(self, here: Any, stop: Any) -> None:
        """Through shells that grow, until the end or until no root can follow."""
        far = Enclosure(_for_large(self.g))
        for end in [*(_raw(shell, 1) for shell in SHELLS), stop]:
            if here == stop or (stop is None and far.sign(here, finf)):
                return
            if end is None:
                break
            end = end if stop is None else _least(end, stop)
            if mpf_le(end, here):
                continue
            known = len(self.found)
            try:
                self._walk(here, end)
            except _TooMany:
                del self.found[known:]
                break
            here = end
        if here == stop:
            return
        self.radius = sp.Rational(_fraction(here))
        if self.radius < LEAST:
            raise OutsideClass(_too_many(self.g, LEAST))

    def _walk(self, low: Any, high: Any) -> None:
        waiting = [(low, high)]
        while waiting:
            low, high = waiting.pop()
            if any(mpf_le(a, low) and mpf_le(high, b) for a, b in self.zones):
                continue
            self.intervals += 1
            if self.intervals > MAX_INTERVALS or len(self.found) > MAX_ROOTS:
                raise _TooMany
            if self._settled(low, high):
                continue
            if _narrow(low, high, NARROW) and self._multiple(low, high):
                continue
            if _narrow(low, high, BITS - 8):
                place = float(_fraction(low))
                raise OutsideClass(
                    f"cannot tell whether {self.g} has no root near {place:.6g} or several, which a switch in the "
                    "activation needs"
                )
            cut = middle(low, high, SHARE)
            waiting += [(cut, high), (low, cut)]

    def _settled(self, low: Any, high: Any) -> bool:
        """Whether the roots in an interval are known: none, or one, which is then kept."""
        for bits in PRECISIONS[: 2 if _narrow(low, high, 4) else 1]:
            bounds = self.enclosure(low, high, 0, bits)
            if sign_of(bounds):
                return True
            slope = self.enclosure(low, high, 1, bits)
            if sign_of(slope) and not {finf, fninf} & set(bounds):  # there may be a pole
                signs = [self._sign(end) for end in (low, high)]
                if all(signs):
                    if signs[0] != signs[1]:
                        self._keep(low, high)
                    return True
            # Only what is lost in rounding, g being tiny, may be seen with more digits.
            if not mpf_lt(_size(bounds), from_rational(1, 1 << 30, BITS)):
                return False
        return False

    def _sign(self, point: Any) -> int:
        return next((sign for bits in PRECISIONS if (sign := self.enclosure.sign(point, point, 0, bits))), 0)

    def _keep(self, low: Any, high: Any) -> None:
        """A simple root, as a simple number if it is one."""
        while not _narrow(low, high, FINE):
            low, high = _newton(self.enclosure, *_halved(self.enclosure, low, high, BITS * 4), BITS * 4)
        exact = next((t for t in _simple(low, high) if _vanishes(self.enclosure, t)), None)
        ends = (sp.Rational(_fraction(end)) for end in (low, high))
        self.found.append((low, Root(self.g, *ends) if exact is None else exact))

    def _multiple(self, low: Any, high: Any) -> bool:
        """Whether a simple number there is a root, and the only one; its neighbourhood is then done with."""
        for exact in _simple(low, high):
            zone = self._zone(exact)
            if zone is not None and mpf_le(zone[0], low) and mpf_le(high, zone[1]):
                self.zones.append(zone)
                self.found.append((low, exact))
                return True
        return False

    def _beside(self, end: sp.Expr, side: int) -> Any:
        """Where to go on beside an end that is a root itself; None if it is not."""
        zone = self._zone(end, side)
        return None if zone is None else zone[side > 0]

    def _zone(self, exact: sp.Expr, side: int = 0) -> Bounds | None:
        """An interval about a root (on one side of it) without another; None if that number is not a root.

        Raises OutsideClass where its multiplicity cannot be told.
        """
        if not _vanishes(self.enclosure, exact):
            return None
        order = 1
        while _vanishes(self.enclosure, exact, order):
            order += 1
            if order > MAX_MULTIPLICITY:
                raise OutsideClass(f"{self.g} is 0 to a high order at {exact}: its sign there cannot be told")
        place = _raw(exact, -1), _raw(exact, 1)
        for power in range(0, 60, 2):
            width = from_rational(1, 1 << power, BITS)
            low = place[0] if side > 0 else mpf_sub(place[0], width)
            high = place[1] if side < 0 else mpf_add(place[1], width)
            if self.enclosure.sign(low, high, order):
                return low, high
        raise OutsideClass(f"the sign of {self.g} beside {exact} cannot be told")


def _too_many(g: sp.Expr, radius: int) -> str:
    return (
        f"{g} changes sign too often: more than {MAX_ROOTS} times, or too wildly, on one side of 0 within "
        f"|x| < {radius}; scale x down"
    )


def is_zero(number: sp.Expr) -> bool:
    """Whether a number is 0, as far as ZERO bits tell. Raises OutsideClass where no bounds of it are known."""
    return _vanishes(Enclosure(number), sp.S.Zero)


def _vanishes(enclosure: Enclosure, exact: sp.Expr, order: int = 0) -> bool:
    """Whether a derivative is 0 at a number, as far as ZERO bits tell."""
    ends = _raw(exact, -1, 2 * ZERO), _raw(exact, 1, 2 * ZERO)
    low, high = enclosure(*ends, order, 2 * ZERO)
    return sign_of((low, high)) == 0 and bool(mpf_lt(_size((low, high)), from_rational(1, 1 << ZERO, BITS)))


def _newton(enclosure: Enclosure, low: Any, high: Any, bits: int) -> Bounds:
    """[low, high] ∩ (m − g(m)/g'([low, high])), which holds the root of g there."""
    centre = middle(low, high, SHARE, bits)
    context = arithmetic(bits)
    slope = enclosure(low, high, 1, bits)
    if not sign_of(slope):
        return low, high
    value = context.make((centre, centre)) - context.make(enclosure(centre, centre, 0, bits)) / context.make(slope)
    one, two = value._mpi_
    return (one if mpf_gt(one, low) else low), (two if mpf_lt(two, high) else high)


def _halved(enclosure: Enclosure, low: Any, high: Any, bits: int) -> Bounds:
    """The part of an interval that holds its root."""
    centre = middle(low, high, SHARE, bits)
    signs = [enclosure.sign(at, at, 0, bits) for at in (low, centre, high)]
    if not signs[1]:
        return low, high
    return (centre, high) if signs[1] == signs[0] or signs[1] == -signs[2] else (low, centre)


def _simple(low: Any, high: Any) -> list[sp.Expr]:
    """Simple numbers in an interval."""
    ends = [_fraction(end) for end in (low, high)]
    fraction = _simplest(*ends)
    found: list[sp.Expr] = [sp.Rational(fraction.numerator, fraction.denominator)]
    below, above = (_fraction(_raw(sp.pi, side)) for side in (-1, 1))
    part = _simplest(ends[0] / above, ends[1] / below)
    found.append(sp.Rational(part.numerator, part.denominator) * sp.pi)
    limits = (DENOMINATOR, PARTS_OF_PI)
    return [t for t, f, limit in zip(found, (fraction, part), limits, strict=True) if f.denominator <= limit]


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """The fraction of the least denominator in [low, high], 0 ≤ low (by continued fractions)."""
    whole = math.ceil(low)
    if whole <= high:
        return Fraction(whole)
    rest = _simplest(1 / (high - whole + 1), 1 / (low - whole + 1))
    return whole - 1 + 1 / rest


def _fraction(raw: Any) -> Fraction:
    return Fraction(*map(int, to_rational(raw)))


def _narrow(low: Any, high: Any, bits: int) -> bool:
    least = from_rational(1, 1 << 20, BITS)
    return bool(mpf_le(mpf_shift(mpf_sub(high, low), bits), high if mpf_gt(high, least) else least))


def _size(bounds: Bounds) -> Any:
    one, two = map(mpf_abs, bounds)
    return one if mpf_gt(one, two) else two


def _least(one: Any, two: Any) -> Any:
    return one if mpf_lt(one, two) else two


def _raw(value: sp.Expr, side: int, bits: int = BITS) -> Any:
    """A number rounded down (side −1) or up (1)."""
    return Enclosure(value)(*(from_rational(0, 1, BITS),) * 2, 0, bits)[side > 0]


def _for_large(g: sp.Expr) -> sp.Expr:
    """g in a form whose bounds are tight for large x: what tends to a limit is the limit and a small rest, sums in
    denominators and logarithms have their largest exponential in front, and so has g itself."""

    def small(f: sp.Expr) -> sp.Expr:
        u = f.args[0]
        if not u.is_polynomial(x) or not u.has(x):
            return f
        side = sp.sign(sp.LC(u, x))
        if side not in (1, -1):
            return f
        if f.func is sp.tanh:
            return side * (1 - 2 * sp.exp(-2 * side * u) / (1 + sp.exp(-2 * side * u)))
        if f.func in (sp.erf, sp.erfc, Phi):
            v = side * u / sp.sqrt(2) if f.func is Phi else side * u
            rest = sp.exp(-sp.expand(v**2)) * Scaled(v)
            if f.func is sp.erf:
                return side * (1 - rest)
            if f.func is sp.erfc:
                return rest if side > 0 else 2 - rest
            return 1 - rest / 2 if side > 0 else rest / 2
        if f.func is sp.asinh:
            return side * sp.log(side * u + sp.sqrt(u**2 + 1))
        return f.rewrite(sp.exp)

    bounded: dict[sp.Expr, sp.Expr] = {}  # parts with a limit, which must not be multiplied out

    def power(e: sp.Expr) -> sp.Expr:
        scale, rest = _in_front(e.base)
        part = sp.Dummy()
        bounded[part] = rest**e.exp
        return sp.powsimp(scale**e.exp) * part

    for wanted, form in (
        (lambda e: isinstance(e, sp.tanh | sp.erf | sp.erfc | sp.asinh | sp.sinh | sp.cosh | sp.sech | Phi), small),
        (lambda e: e.is_Pow and e.base.is_number, lambda e: sp.exp(e.exp * sp.log(e.base)) if e.has(x) else e),
        (lambda e: e.is_Pow and e.base.is_Add and not (e.exp.is_Integer and e.exp > 0), power),
        (lambda e: isinstance(e, sp.log) and e.args[0].is_Add, _in_front_of_log),
    ):
        g = g.replace(wanted, form)
        g = g.replace(sp.Abs(x), x)
    _, g = _in_front(sp.expand(g))
    while parts := g.atoms(sp.Dummy) & set(bounded):
        g = g.xreplace({part: bounded[part] for part in parts})
    return g


def _in_front_of_log(e: sp.Expr) -> sp.Expr:
    scale, rest = _in_front(e.args[0])
    powers = scale.as_powers_dict()
    if not all(base in (sp.E, x) for base in powers):
        return e
    return sp.Add(*(n * (1 if base == sp.E else sp.log(x)) for base, n in powers.items())) + sp.log(rest)


def _in_front(total: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """A sum as x^k e^{p(x)} of its largest term, and the rest."""
    scales = []
    for term in sp.Add.make_args(total):
        exponent, degree = sp.S.Zero, sp.S.Zero
        for factor in sp.Mul.make_args(term):
            base, power = factor.as_base_exp()
            if isinstance(factor, sp.exp) and factor.exp.is_polynomial(x):
                exponent += factor.exp
            elif base == x and power.is_Rational:
                degree += power
        rates = [sp.Poly(exponent, x).coeff_monomial(x**k) for k in (4, 3, 2, 1)]
        scales.append(([*map(float, rates), float(degree)], x**degree * sp.exp(exponent - exponent.subs(x, 0))))
    _, scale = max(scales, key=lambda pair: pair[0])
    if not scale.has(x):
        return sp.S.One, total
    return scale, sp.Add(*(sp.powsimp(sp.expand(term / scale)) for term in sp.Add.make_args(total)))
