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
