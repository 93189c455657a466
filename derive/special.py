"""Functions of the normal distribution that SymPy lacks.

Reflections such as Φ(−h) = 1 − Φ(h) are not applied: a small probability would become a difference of large
ones. The normal form of formulas applies them where it is asked to.

A. Genz, "Numerical computation of rectangular bivariate and trivariate normal and t probabilities",
Statistics and Computing 14 (2004) 251-260.
D. B. Owen, "Tables for computing bivariate normal probabilities", Annals of Mathematical Statistics 27 (1956)
1075-1090.
"""

from collections.abc import Callable
from typing import Any

import mpmath
import sympy as sp

from mehler.derive.normal import owens_t_value, phi2_value, phi_value

INFINITIES = frozenset({sp.S.Infinity, sp.S.NegativeInfinity})


class Phi(sp.Function):  # type: ignore[misc]
    """Φ(h) = ∫₋∞ʰ exp(−t²/2) dt / √(2π), the distribution function of the standard normal; entire in h."""

    nargs = 1

    @classmethod
    def eval(cls, h: sp.Expr) -> sp.Expr | None:
        if _is_zero(h):
            return sp.S.Half
        if h in INFINITIES:
            return sp.S.One if h is sp.oo else sp.S.Zero
        return sp.nan if h is sp.nan else None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        (h,) = self.args
        return _density(h)

    def _eval_is_real(self) -> bool | None:
        return True if self.args[0].is_extended_real else None

    def _eval_is_finite(self) -> bool | None:
        h = self.args[0]
        return True if h.is_extended_real or h.is_finite else None

    def _eval_is_positive(self) -> bool | None:
        return True if self.args[0].is_real else None

    def _eval_is_nonnegative(self) -> bool | None:
        return True if self.args[0].is_extended_real else None

    def _eval_conjugate(self) -> sp.Expr:
        return Phi(self.args[0].conjugate())

    def _eval_rewrite_as_erf(self, h: sp.Expr, **_: Any) -> sp.Expr:
        return (1 + sp.erf(h / sp.sqrt(2))) / 2

    def _eval_rewrite_as_erfc(self, h: sp.Expr, **_: Any) -> sp.Expr:
        return sp.erfc(-h / sp.sqrt(2)) / 2

    def _eval_rewrite_as_tractable(self, h: sp.Expr, limitvar: Any = None, **_: Any) -> sp.Expr | None:
        """What SymPy takes limits of, where h does not stay finite."""
        if limitvar is not None and sp.limit(h, limitvar, sp.oo) not in INFINITIES:
            return None
        return self.rewrite(sp.erf).rewrite("tractable", deep=True, limitvar=limitvar)

    def _eval_evalf(self, prec: int) -> sp.Expr | None:
        return _evalf(phi_value, self.args, prec)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        return _named(r"\Phi", printer._print(self.args[0]), exp)


class Phi2(sp.Function):  # type: ignore[misc]
    """Φ₂(h, k; r) = P(X ≤ h, Y ≤ k) for standard normal X, Y of correlation r; entire in h and k for |r| < 1.

    Centred, Φ₂(0, 0; r) = 1/4 + asin(r)/(2π) (Sheppard 1899); at r = 0 it factors.
    """

    nargs = 3

    @classmethod
    def eval(cls, h: sp.Expr, k: sp.Expr, r: sp.Expr) -> sp.Expr | None:
        if h in INFINITIES:
            return Phi(k) if h is sp.oo else sp.S.Zero
        if k in INFINITIES:
            return Phi(h) if k is sp.oo else sp.S.Zero
        if _is_zero(r):
            return Phi(h) * Phi(k)
        if _is_zero(h) and _is_zero(k):
            return sp.Rational(1, 4) + sp.asin(r) / (2 * sp.pi)
        if r is sp.S.One:
            gap = h - k
            return Phi(k) if gap.is_nonnegative else Phi(h) if gap.is_nonpositive else None
        if r is sp.S.NegativeOne:
            total = h + k
            return sp.S.Zero if total.is_nonpositive else Phi(h) + Phi(k) - 1 if total.is_nonnegative else None
        return sp.nan if sp.nan in (h, k, r) else None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        h, k, r = self.args
        root = sp.sqrt(1 - r**2)
        if argindex == 1:
            return _density(h) * Phi((k - r * h) / root)
        if argindex == 2:
            return _density(k) * Phi((h - r * k) / root)
        return sp.exp(-(h**2 - 2 * r * h * k + k**2) / (2 * root**2)) / (2 * sp.pi * root)

    def _eval_is_real(self) -> bool | None:
        return True if all(a.is_extended_real for a in self.args) else None

    def _eval_is_finite(self) -> bool | None:
        return self._eval_is_real()

    def _eval_is_positive(self) -> bool | None:
        h, k, r = self.args
        return True if h.is_real and k.is_real and r.is_real and (1 - r**2).is_positive else None

    def _eval_is_nonnegative(self) -> bool | None:
        return self._eval_is_real()

    def _eval_conjugate(self) -> sp.Expr | None:
        h, k, r = self.args
        return Phi2(h.conjugate(), k.conjugate(), r) if r.is_extended_real else None

    def _eval_rewrite_as_owens_t(self, h: sp.Expr, k: sp.Expr, r: sp.Expr, **_: Any) -> sp.Expr:
        """½Φ(h) + ½Φ(k) − T(h, (k − rh)/(h√(1 − r²))) − T(k, …) − (½ where hk < 0), for real h, k ≠ 0."""
        root = sp.sqrt(1 - r**2)
        return (
            (Phi(h) + Phi(k)) / 2
            - owens_t(h, (k - r * h) / (h * root))
            - owens_t(k, (h - r * k) / (k * root))
            - (1 - sp.sign(h * k)) / 4
        )

    def _eval_evalf(self, prec: int) -> sp.Expr | None:
        return _evalf(phi2_value, self.args, prec)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        h, k, r = (printer._print(a) for a in self.args)
        return _named(r"\Phi_2", f"{h}, {k}; {r}", exp)


class owens_t(sp.Function):  # type: ignore[misc]
    """T(h, a) = (1/2π) ∫₀ᵃ exp(−h²(1 + x²)/2) / (1 + x²) dx, for real a; even and entire in h, odd in a.

    It is P(X > h, 0 < Y < aX) for independent standard normal X, Y where h and a are positive.
    """

    nargs = 2

    @classmethod
    def eval(cls, h: sp.Expr, a: sp.Expr) -> sp.Expr | None:
        if sp.nan in (h, a):
            return sp.nan
        if _is_zero(a) or h in INFINITIES:
            return sp.S.Zero
        if _is_zero(h):
            return sp.atan(a) / (2 * sp.pi)
        if a.could_extract_minus_sign():
            return -cls(h, -a)
        if a is sp.oo:
            return Phi(-sp.Abs(h)) / 2 if h.is_extended_real else None
        if a is sp.S.One:
            return Phi(h) * Phi(-h) / 2
        return cls(-h, a) if h.could_extract_minus_sign() else None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        h, a = self.args
        if argindex == 1:
            return -_density(h) * (Phi(a * h) - sp.S.Half)
        return sp.exp(-(h**2) * (1 + a**2) / 2) / (2 * sp.pi * (1 + a**2))

    def _eval_is_real(self) -> bool | None:
        return True if all(x.is_extended_real for x in self.args) else None

    def _eval_is_finite(self) -> bool | None:
        return self._eval_is_real()

    def _eval_is_positive(self) -> bool | None:
        h, a = self.args
        return a.is_extended_positive if h.is_real and a.is_extended_real else None

    def _eval_conjugate(self) -> sp.Expr | None:
        h, a = self.args
        return owens_t(h.conjugate(), a) if a.is_extended_real else None

    def _eval_evalf(self, prec: int) -> sp.Expr | None:
        return _evalf(owens_t_value, self.args, prec)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        h, a = (printer._print(x) for x in self.args)
        return _named("T", f"{h}, {a}", exp)


def _is_zero(e: sp.Expr) -> bool:
    """Whether e is the number 0: unlike is_zero, this asks no assumptions of a large expression."""
    return bool(e.is_Number and not e)


def _density(h: sp.Expr) -> sp.Expr:
    return sp.exp(-(h**2) / 2) / sp.sqrt(2 * sp.pi)


def _evalf(value: Callable[..., Any], args: tuple[sp.Expr, ...], prec: int) -> sp.Expr | None:
    """The value to `prec` bits; None where an argument is no number."""
    if not all(a.is_number for a in args):
        return None
    ctx = mpmath.mp.clone()
    # Twice the bits, since a correlation close to ±1 or an argument far out may lose half of them.
    ctx.prec = 2 * prec + 20
    numbers = [ctx.convert(a._to_mpmath(ctx.prec)) for a in args]
    ctx.prec = prec + 10
    return sp.Expr._from_mpmath(value(ctx, *numbers), prec)


def _named(name: str, arguments: str, exp: str | None) -> str:
    power = "" if exp is None else f"^{{{exp}}}"
    return rf"{name}{power}\left({arguments}\right)"
