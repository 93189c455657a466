"""From a proved dual to the recursion of a network's NNGP kernel and NTK, in symbols.

    Σ⁰ = σ_w² x·x'/d + σ_b²,     Σˡ = σ_w² K(Σˡ⁻¹) + σ_b²
    Θ⁰ = Σ⁰,                     Θˡ = Σˡ + σ_w² K̇(Σˡ⁻¹) Θˡ⁻¹

Jacot, Gabriel and Hongler, NeurIPS 2018; Lee et al., ICLR 2018. NTK parameterisation, biases trained.
"""

import math
from dataclasses import dataclass

import sympy as sp

from mehler.derive.dual import ProvedDual, shown
from mehler.derive.errors import ComposeError
from mehler.derive.symbols import c, q, q1, q2


@dataclass(frozen=True)
class Layer:
    """Σ and Θ of one pair after a layer: the two variances, the covariance and the tangent kernel."""

    sigma11: sp.Expr
    sigma22: sp.Expr
    sigma12: sp.Expr
    theta12: sp.Expr


@dataclass(frozen=True)
class Recursion:
    """The kernels of a fully connected network with `depth` hidden layers, layer by layer."""

    dual: ProvedDual
    depth: int
    sigma_w: sp.Expr
    sigma_b: sp.Expr

    def start(self) -> Layer:
        """Layer 0 in symbols: variances q1, q2 and covariance c of the input kernel Σ⁰."""
        return Layer(q1, q2, c, c)

    def step(self, layer: Layer) -> Layer:
        """One hidden layer and its dense layer."""
        w2, b2 = self.sigma_w**2, self.sigma_b**2
        at = {q1: layer.sigma11, q2: layer.sigma22, c: layer.sigma12}
        sigma12 = w2 * self.dual.kernel.subs(at, simultaneous=True) + b2
        slope = self.dual.kernel_dot.subs(at, simultaneous=True)
        return Layer(
            w2 * self.dual.kernel_diag.subs(q, layer.sigma11) + b2,
            w2 * self.dual.kernel_diag.subs(q, layer.sigma22) + b2,
            sigma12,
            sigma12 + w2 * slope * layer.theta12,
        )

    def layers(self) -> tuple[Layer, ...]:
        """Σˡ and Θˡ for l = 0 … depth as expressions in q1, q2, c of layer 0. They grow fast with l."""
        result = [self.start()]
        for _ in range(self.depth):
            result.append(self.step(result[-1]))
        return tuple(result)

    def latex(self) -> str:
        """The recursion with K and K̇ written out."""
        w2, b2 = sp.latex(self.sigma_w**2), sp.latex(self.sigma_b**2)
        return (
            "\\begin{aligned}\n"
            + " \\\\\n".join(
                [
                    rf"\Sigma^0(x, x') &= {w2}\, x\cdot x'/d + {b2}, \qquad \Theta^0 = \Sigma^0",
                    rf"\Sigma^l &= {w2}\, K(\Sigma^{{l-1}}) + {b2}",
                    rf"\Theta^l &= \Sigma^l + {w2}\, \dot K(\Sigma^{{l-1}})\, \Theta^{{l-1}}, "
                    rf"\qquad l = 1, \dots, {self.depth}",
                    rf"K &= {sp.latex(shown(self.dual.kernel))}",
                    rf"\dot K &= {sp.latex(shown(self.dual.kernel_dot))}",
                ]
            )
            + "\n\\end{aligned}"
        )

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        w2, b2 = self.sigma_w**2, self.sigma_b**2
        return (
            f"Sigma_0 = {w2}*x.x'/d + {b2},  Theta_0 = Sigma_0\n"
            f"Sigma_l = {w2}*K(Sigma_l-1) + {b2}\n"
            f"Theta_l = Sigma_l + {w2}*K'(Sigma_l-1)*Theta_l-1,  l = 1, ..., {self.depth}\n"
            f"K  = {shown(self.dual.kernel)}\n"
            f"K' = {shown(self.dual.kernel_dot)}"
        )


def compose(
    dual: ProvedDual,
    depth: int,
    sigma_w: float | sp.Expr | None = None,
    sigma_b: float | sp.Expr | None = None,
) -> Recursion:
    """The recursion of `depth` hidden layers; σ_w and σ_b stay symbols unless given. Raises ComposeError."""
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 0:
        raise ComposeError(f"depth={depth!r} must be an integer >= 0, the number of hidden layers")
    return Recursion(dual, depth, _scale("sigma_w", sigma_w), _scale("sigma_b", sigma_b))


def _scale(name: str, value: float | sp.Expr | None) -> sp.Expr:
    if value is None:
        return sp.Symbol(name, nonnegative=True)
    if isinstance(value, sp.Expr):
        return value
    if not math.isfinite(value) or value < 0:
        raise ComposeError(f"{name}={value!r} must be a finite number >= 0")
    return sp.Rational(repr(float(value)))
