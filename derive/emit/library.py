"""The modules committed under generated/: every named activation that NumPy alone can evaluate."""

from mehler.derive.activation import NAMED, activation
from mehler.derive.emit.module import emit_numpy
from mehler.derive.errors import OutsideClass
from mehler.derive.integrate import integrate
from mehler.derive.prove import prove
from mehler.derive.special import Phi, Phi2


def library() -> dict[str, str]:
    """{module name: source}: named activations with a closed form free of the normal distribution function."""
    sources = {}
    for name in NAMED:
        try:
            dual = integrate(activation(name), "almost-everywhere")
        except OutsideClass:
            continue
        formulas = (dual.kernel, dual.kernel_dot, dual.kernel_diag, dual.kernel_dot_diag)
        if not any(formula.has(Phi, Phi2) for formula in formulas):  # before the proof, which takes the time
            sources[name] = emit_numpy(prove(dual), name)
    return sources
