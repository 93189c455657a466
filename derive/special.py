"""Functions of the normal distribution that SymPy lacks.

A. Genz, "Numerical computation of rectangular bivariate and trivariate normal and t probabilities",
Statistics and Computing 14 (2004) 251-260.
"""

from typing import Any

import mpmath
import sympy as sp


class Phi(sp.Function):  # type: ignore[misc]
    """Φ(h) = ∫₋∞ʰ exp(−t²/2) dt / √(2π), the distribution function of the standard normal."""

    nargs = 1

    @classmethod
    def eval(cls, h: sp.Expr) -> sp.Expr | None:
        if h.is_zero:
            return sp.Rational(1, 2)
        if h is sp.oo:
            return sp.S.One
        if h is -sp.oo:
            return sp.S.Zero
        return None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        (h,) = self.args
        return sp.exp(-(h**2) / 2) / sp.sqrt(2 * sp.pi)

    def _eval_is_real(self) -> bool | None:
        return True if self.args[0].is_extended_real else None

    def _eval_is_finite(self) -> bool | None:
        return True if self.args[0].is_extended_real else None

    def _eval_rewrite_as_erfc(self, h: sp.Expr, **_: Any) -> sp.Expr:
        return sp.erfc(-h / sp.sqrt(2)) / 2

    def _eval_evalf(self, prec: int) -> sp.Expr:
        return self.rewrite(sp.erfc)._eval_evalf(prec)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        power = "" if exp is None else f"^{{{exp}}}"
        return rf"\Phi{power}\left({printer._print(self.args[0])}\right)"


class Phi2(sp.Function):  # type: ignore[misc]
    """Φ₂(h, k; r) = P(X ≤ h, Y ≤ k) for standard normal X, Y of correlation r.

    Centred, Φ₂(0, 0; r) = 1/4 + asin(r)/(2π) (Sheppard 1899); at r = 0 it factors.
    """

    nargs = 3

    @classmethod
    def eval(cls, h: sp.Expr, k: sp.Expr, r: sp.Expr) -> sp.Expr | None:
        if h.is_zero and k.is_zero:
            return sp.Rational(1, 4) + sp.asin(r) / (2 * sp.pi)
        if r.is_zero:
            return Phi(h) * Phi(k)
        if r == 1 and (h - k).is_nonnegative is not None:
            return Phi(k) if (h - k).is_nonnegative else Phi(h)
        if r == -1 and (h + k).is_nonnegative is not None:
            return Phi(h) + Phi(k) - 1 if (h + k).is_nonnegative else sp.S.Zero
        return None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        h, k, r = self.args
        root = sp.sqrt(1 - r**2)
        if argindex == 1:
            return sp.exp(-(h**2) / 2) / sp.sqrt(2 * sp.pi) * Phi((k - r * h) / root)
        if argindex == 2:
            return sp.exp(-(k**2) / 2) / sp.sqrt(2 * sp.pi) * Phi((h - r * k) / root)
        return sp.exp(-(h**2 - 2 * r * h * k + k**2) / (2 * root**2)) / (2 * sp.pi * root)

    def _eval_evalf(self, prec: int) -> sp.Expr:
        ctx = mpmath.mp.clone()
        ctx.prec = prec
        h, k, r = (ctx.mpf(a._to_mpmath(prec + 20)) for a in self.args)
        return sp.Float._new(phi2_value(ctx, h, k, r)._mpf_, prec)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        h, k, r = (printer._print(a) for a in self.args)
        power = "" if exp is None else f"^{{{exp}}}"
        return rf"\Phi_2{power}\left({h}, {k}; {r}\right)"


def phi2_value(ctx: Any, h: Any, k: Any, r: Any) -> Any:
    """Φ₂(h, k; r) at the precision of the mpmath context, by Plackett's integral over the correlation.

    Φ₂(h, k; r) = Φ₂(h, k; r₀) + ∫ φ₂(h, k; sin a) cos a da from asin r₀, with r₀ the nearest of −1, 0, 1.
    R. L. Plackett, Biometrika 41 (1954) 351.
    """
    with ctx.workprec(ctx.prec + 30):
        r = min(ctx.one, max(-ctx.one, r))

        def density(a: Any) -> Any:
            s, cos2 = ctx.sin(a), ctx.cos(a) ** 2
            return ctx.exp(-(h * h - 2 * s * h * k + k * k) / (2 * cos2)) / (2 * ctx.pi) if cos2 else ctx.zero

        if abs(r) <= ctx.mpf("0.9"):
            return ctx.ncdf(h) * ctx.ncdf(k) + ctx.quad(density, [0, ctx.asin(r)])
        pole = ctx.pi / 2
        if r > 0:
            return ctx.ncdf(min(h, k)) - ctx.quad(density, ctx.linspace(ctx.asin(r), pole, 4))
        rest = ctx.quad(density, ctx.linspace(-pole, ctx.asin(r), 4))
        return max(ctx.zero, ctx.ncdf(h) - ctx.ncdf(-k)) + rest
