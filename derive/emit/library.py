"""The modules committed under generated/: named activations that NumPy alone can evaluate within its budget.

Those for NumPy are there, those for Numba in the folder fast/, those for CuPy in gpu/. Activations without a closed
form are in tables/, those for Numba and CuPy in its folders fast/ and gpu/.
"""

from collections.abc import Iterator

from mehler.derive.activation import NAMED, activation
from mehler.derive.emit.cupy import cupy_source
from mehler.derive.emit.header import hashed
from mehler.derive.emit.module import check, lowered, measured_source
from mehler.derive.emit.numba import numba_source
from mehler.derive.errors import OutsideClass
from mehler.derive.integrate import integrate
from mehler.derive.pipeline import generate
from mehler.derive.prove import prove
from mehler.derive.special import Phi, Phi2
from mehler.derive.tables.table import Progress, silent

TABLED = (
    *("tanh", "sigmoid", "silu", "softplus", "mish", "gelu_tanh"),
    *("quick_gelu", "softsign", "arctan", "logcosh", "sech", "isru"),
)

# K' of the Gabor function and of the Mexican hat are 4.7 and 5.1 scaled units off at worst, over their budget.
# snake oscillates too fast for its repair by quadrature at large variances.
LEFT_OUT = frozenset({"gabor", "mexican_hat", "snake"})


def library() -> dict[str, str]:
    """{path without .py: source}: named activations with a closed form free of the normal distribution function."""
    sources = {}
    for name in (n for n in NAMED if n not in LEFT_OUT):
        try:
            dual = integrate(activation(name), "almost-everywhere")
        except OutsideClass:
            continue
        formulas = (dual.kernel, dual.kernel_dot, dual.kernel_diag, dual.kernel_dot_diag)
        if not any(formula.has(Phi, Phi2) for formula in formulas):  # before the proof, which takes the time
            proved = prove(dual)
            check(proved, name)
            code = lowered(proved)
            plain = measured_source(proved, name, code)
            sources[name], sources[f"fast/{name}"] = hashed(plain), numba_source(proved, code, plain)
            sources[f"gpu/{name}"] = cupy_source(proved, code, plain)
    return sources


def tabled(progress: Progress = silent) -> Iterator[tuple[str, str]]:
    """(path without .py, source) of the named activations of TABLED, some 20 seconds each; `progress` is told."""
    for name in TABLED:
        for folder, target in (("tables", "numpy"), ("tables/fast", "numba"), ("tables/gpu", "cupy")):
            yield f"{folder}/{name}", generate(name, name=name, target=target, timeout=None, progress=progress)
