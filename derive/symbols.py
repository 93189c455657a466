"""The symbols of the field, made once. design.md's table of conventions, as SymPy objects."""

import sympy as sp

x = sp.Symbol("x", real=True)

q = sp.Symbol("q", positive=True)
q1 = sp.Symbol("q1", positive=True)
q2 = sp.Symbol("q2", positive=True)
c = sp.Symbol("c", real=True)

# det Σ = q1 q2 − c². It is a symbol of its own because every covariance the theorem meets is a rational
# function of (q1, q2, c, Δ) without subtraction: whoever knows Δ to full accuracy loses nothing.
Delta = sp.Symbol("Delta", nonnegative=True)

# What a pair carries through a network: its variances and the point (cos θ, sin θ) of its angle.
rho = sp.Symbol("rho", real=True)
sin_theta = sp.Symbol("sin_theta", nonnegative=True)
theta = sp.Symbol("theta", nonnegative=True)

# Variables of explicit integrals: a covariance from 0 to c, and the path parameter from 0 to 1.
t = sp.Symbol("t", real=True)
path = sp.Symbol("lambda", positive=True)

# The Gaussian pair itself, its expectation, variances and covariance: the language of a derivation's steps.
u, v, k1, k2 = sp.symbols("u v k1 k2", real=True)  # k1, k2: their frequencies
E, Var, Cov = (sp.Function(name, real=True) for name in ("E", "Var", "Cov"))

# The standard deviations of weights and biases: a weight is N(0, σ_w²/fan-in), a bias N(0, σ_b²).
sigma_w = sp.Symbol("sigma_w", nonnegative=True)
sigma_b = sp.Symbol("sigma_b", nonnegative=True)
