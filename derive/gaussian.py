"""A Gaussian pair (u, v) and the two operations under which the theorem's class is closed.

The covariance is carried with its determinant as a fourth number. Tilting and conditioning then map
(var1, var2, cov, det) to itself by rational functions without cancellation, and both stay valid when
det = 0 (u and v proportional), which is how diagonals come out of the same rule.
"""

from dataclasses import dataclass, replace

import sympy as sp


@dataclass(frozen=True)
class HalfSpace:
    """{s·x + t + n·Z > 0} on one coordinate x of the pair; Z is a standard Gaussian of its own.

    n = 0 is a knot of a piecewise activation, n = 1 a factor Φ(s·x + t).
    """

    slope: sp.Expr
    offset: sp.Expr
    noise: int


@dataclass(frozen=True)
class Gaussian:
    """N(mean, Σ) on the plane, Σ = [[var1, cov], [cov, var2]], det = det Σ."""

    mean: tuple[sp.Expr, sp.Expr]
    var: tuple[sp.Expr, sp.Expr]
    cov: sp.Expr
    det: sp.Expr

    def covariance(self, i: int, j: int) -> sp.Expr:
        return self.var[i] if i == j else self.cov

    def tilt(self, alpha: tuple[sp.Expr, sp.Expr]) -> tuple[sp.Expr, "Gaussian"]:
        """D and the Gaussian of the density exp(α₁u² + α₂v²)·N(0, Σ), whose total mass is D^(−1/2).

        Σ'⁻¹ = Σ⁻¹ − 2 diag(α) and D = det(I − 2 diag(α) Σ). The mean must be 0.
        """
        a1, a2 = alpha
        D = 1 - 2 * a1 * self.var[0] - 2 * a2 * self.var[1] + 4 * a1 * a2 * self.det
        tilted = replace(
            self,
            var=(
                sp.cancel((self.var[0] - 2 * a2 * self.det) / D),
                sp.cancel((self.var[1] - 2 * a1 * self.det) / D),
            ),
            cov=self.cov / D,
            det=self.det / D,
        )
        return D, tilted

    def shift(self, beta: tuple[sp.Expr, sp.Expr]) -> tuple[sp.Expr, "Gaussian"]:
        """½βᵀΣβ and the Gaussian of the density exp(β·(u, v))·N(0, Σ), whose total mass is its exp."""
        b1, b2 = beta
        mean = (self.var[0] * b1 + self.cov * b2, self.cov * b1 + self.var[1] * b2)
        return (b1 * mean[0] + b2 * mean[1]) / 2, replace(self, mean=mean)

    def form(self, axis: int, space: HalfSpace) -> tuple[sp.Expr, sp.Expr]:
        """Mean and variance of s·x + t + n·Z, the form that bounds a half-space."""
        mean = space.slope * self.mean[axis] + space.offset
        return mean, sp.together(space.slope**2 * self.var[axis] + space.noise**2)

    def condition(self, axis: int, space: HalfSpace) -> "Gaussian":
        """The law of (u, v) given that the form s·x + t + n·Z is 0."""
        s, n2, other = space.slope, space.noise**2, 1 - axis
        mean_form, var_form = self.form(axis, space)
        gain = s * mean_form / var_form
        var = [sp.S.Zero, sp.S.Zero]
        var[axis] = n2 * self.var[axis] / var_form
        var[other] = sp.cancel((n2 * self.var[other] + s**2 * self.det) / var_form)
        return Gaussian(
            mean=(
                self.mean[0] - gain * self.covariance(axis, 0),
                self.mean[1] - gain * self.covariance(axis, 1),
            ),
            var=(var[0], var[1]),
            cov=n2 * self.cov / var_form,
            det=n2 * self.det / var_form,
        )
