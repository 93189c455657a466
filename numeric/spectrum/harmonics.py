"""Functions of ρ = x·x' on the sphere S^{d−1}, in the polynomials P_k of the spherical harmonics, P_k(1) = 1.

    κ(ρ) = Σ λ_k N(d, k) P_k(ρ),   λ_k = |S^{d−2}|/|S^{d−1}| ∫₀^π κ(cos θ) P_k(cos θ) sin^{d−2}θ dθ

N(d, k) harmonics of degree k share the eigenvalue λ_k of κ under the uniform probability measure (Funk-Hecke).
P_k are cosines (d = 2), Legendre polynomials (d = 3) and Gegenbauer polynomials divided by their value at 1.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammaln

from mehler.numeric.errors import NumericError

Array = NDArray[np.float64]

LARGEST_DEGREE = 2000
# Nodes of the coarser rule, and how many more a degree asks for.
NODES, NODES_A_DEGREE = 400, 4
# Where nodes end: the weights beyond are below eps.
END = 3.4


def multiplicities(dimension: int, degree: int) -> NDArray[Any]:
    """N(d, 0) … N(d, degree): int64 where they fit, Python's integers otherwise. Raises NumericError.

    N(d, k) = C(k+d−1, d−1) − C(k+d−3, d−1), and they add up to dim of the polynomials of that degree on the sphere.
    """
    dimension, degree = checked(dimension, degree)
    counts = [
        math.comb(k + dimension - 1, dimension - 1) - (math.comb(k + dimension - 3, dimension - 1) if k > 1 else 0)
        for k in range(degree + 1)
    ]
    return np.array(counts, dtype=np.int64 if max(counts) < 2**63 else object)


def polynomials(rho: Array, dimension: int, degree: int) -> Iterator[Array]:
    """P_0(ρ), …, P_degree(ρ), each of the shape of ρ ∈ [−1, 1].

    (k + d − 2) P_{k+1} = (2k + d − 2) ρ P_k − k P_{k−1}.
    """
    before, now = np.zeros_like(rho), np.ones_like(rho)
    for k in range(degree + 1):
        yield now
        if k == 0:
            before, now = now, rho
        else:
            before, now = now, ((2 * k + dimension - 2) * rho * now - k * before) / (k + dimension - 2)


def projection(kernel: Callable[[Array], Array], dimension: int, degree: int) -> tuple[Array, float]:
    """(λ_0 … λ_degree, error) of κ, given as a function of the angles θ (n,) in (0, π). Raises NumericError.

    The trapezoidal rule in t of θ = π/(1 + exp(−π sinh t)), which bears singularities at both ends. The error,
    absolute and the same for each λ_k, is the larger of the change from a rule of half as many nodes and of
    8 eps max |κ|, which floats lose. A kernel with a jump inside (0, π), which no network has, may err by more.
    """
    dimension, degree = checked(dimension, degree)
    fine, coarse = (_rule(kernel, dimension, degree, n * (NODES + NODES_A_DEGREE * degree)) for n in (2, 1))
    error = max(float(np.abs(fine[0] - coarse[0]).max()), 8 * float(np.finfo(float).eps) * fine[1])
    return fine[0], error


def _rule(kernel: Callable[[Array], Array], dimension: int, degree: int, nodes: int) -> tuple[Array, float]:
    """λ_0 … λ_degree, and the largest |κ| at the nodes."""
    t, step = np.linspace(-END, END, nodes, retstep=True)
    u = np.pi * np.sinh(t)
    theta, slope = np.pi * expit(u), np.pi**2 * np.cosh(t) * expit(u) * expit(-u)
    values = np.asarray(kernel(theta), dtype=float)
    if not np.isfinite(values).all():
        raise NumericError("the kernel is not finite at every angle; choose other scales of weights and biases")
    mass = 0.5 * math.log(math.pi) + gammaln((dimension - 1) / 2) - gammaln(dimension / 2)
    terms = step * slope * np.sin(theta) ** (dimension - 2) * math.exp(-mass) * values
    result = np.array([p @ terms for p in polynomials(np.cos(theta), dimension, degree)])
    return result, float(np.abs(values).max())


def checked(dimension: Any, degree: Any) -> tuple[int, int]:
    """The two as integers. Raises NumericError."""
    for name, value, least, most in (("dimension", dimension, 2, 10**6), ("degree", degree, 0, LARGEST_DEGREE)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
            raise NumericError(f"{name}={value!r} is not an integer from {least} to {most}")
    return int(dimension), int(degree)
