"""neural-tangents or scikit-ntk on one case. Runs in the peers' own Python: see peer_requirements.txt."""

import os

from case import SIGMA_B, SIGMA_W, arguments, measure

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def neural_tangents(args):
    import jax

    jax.config.update("jax_enable_x64", args.dtype == "float64")
    from neural_tangents import __version__, stax

    activation = {"relu": stax.Relu, "erf": stax.Erf, "gelu": stax.Gelu}[args.activation]
    layers = []
    for _ in range(args.depth):
        layers += [stax.Dense(1, W_std=SIGMA_W, b_std=SIGMA_B), activation()]
    network = stax.serial(*layers, stax.Dense(1, W_std=1.0, b_std=0.0))[2]
    kernel = jax.jit(network, static_argnames="get")

    def prepare(X):
        rows = jax.numpy.asarray(X)
        return lambda: kernel(rows, None, get="ntk").block_until_ready()

    measure(args, prepare, {"neural-tangents": __version__, "JAX": jax.__version__})


def scikit_ntk(args):
    from importlib.metadata import version

    from skntk import NeuralTangentKernel

    kernel = NeuralTangentKernel(depth=args.depth, bias=0.0)
    measure(args, lambda X: lambda: kernel(X), {"scikit-ntk": version("scikit-ntk")})


PROGRAMS = {"neural-tangents": neural_tangents, "scikit-ntk": scikit_ntk}

if __name__ == "__main__":
    args = arguments(PROGRAMS)
    PROGRAMS[args.program](args)
