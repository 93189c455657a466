"""mehler on one case, by a target; or the lower bound, a matrix product and a pass with nothing but the formula."""

import math

import numpy as np
from case import SIGMA_B, SIGMA_W, arguments, measure

import mehler


def network(args, target):
    scales = {"depth": args.depth, "sigma_w": SIGMA_W, "sigma_b": SIGMA_B}
    versions = {"mehler": mehler.__version__}
    if target == "numba":
        import numba

        versions["Numba"] = numba.__version__
        if args.imported:  # most of Numba, and SciPy, is imported at the first call of any function
            numba.njit(lambda: 0)()

    def prepare(X):
        ours = mehler.network(args.activation, **scales, target=target)
        return lambda: ours.ntk(X)

    measure(args, prepare, versions)


def bound(args):
    """The textbook recursion for ReLU, in one pass over the half of X X' above the diagonal.

    The arc cosine is Abramowitz and Stegun's 4.4.46, which errs by 2e-8: no stable form, no refinement, no check.
    """
    import numba

    if args.activation != "relu":
        raise SystemExit("the lower bound is that of relu")
    depth, w2, b2, block = args.depth, SIGMA_W**2, SIGMA_B**2, 128

    @numba.njit(fastmath=True, parallel=True)
    def recursion(K, variances):
        n = len(K)
        for i in numba.prange(n):
            theta, norm = np.empty(block), np.empty(block)
            for start in range(i, n, block):
                m = min(block, n - start)
                sigma = K[i, start : start + m]
                for j in range(m):
                    sigma[j] = w2 * sigma[j] + b2
                    theta[j] = sigma[j]
                for layer in range(depth):
                    for j in range(m):
                        norm[j] = math.sqrt(variances[layer, i] * variances[layer, start + j])
                        cos = min(max(sigma[j] / norm[j], -1.0), 1.0)
                        x = abs(cos)
                        arc = -0.0012624911 * x + 0.0066700901
                        for term in (-0.0170881256, 0.0308918810, -0.0501743046, 0.0889789874, -0.2145988016):
                            arc = arc * x + term
                        arc = (arc * x + 1.5707963050) * math.sqrt(1 - x)
                        slope = (math.pi - arc if cos > 0 else arc) / (2 * math.pi)
                        k = norm[j] * (math.sqrt(1 - x * x) / (2 * math.pi) + slope * cos)
                        sigma[j] = w2 * k + b2
                        theta[j] = sigma[j] + w2 * slope * theta[j]
                for j in range(m):
                    K[i, start + j] = theta[j]
                    K[start + j, i] = theta[j]

    def prepare(X):
        def compute():
            K = X @ X.T / X.shape[1]
            variances = np.empty((depth, len(X)))
            variances[0] = w2 * np.diag(K) + b2
            for layer in range(1, depth):
                variances[layer] = w2 * variances[layer - 1] / 2 + b2
            recursion(K, variances)
            return K

        return compute

    measure(args, prepare, {"Numba": numba.__version__})


PROGRAMS = {
    "numpy": lambda args: network(args, "numpy"),
    "numba": lambda args: network(args, "numba"),
    "bound": bound,
}

if __name__ == "__main__":
    args = arguments(PROGRAMS)
    PROGRAMS[args.program](args)
