"""The modules committed under generated/: every named activation that NumPy alone can evaluate."""

from mehler.derive.activation import NAMED
from mehler.derive.dual import ProvedDual
from mehler.derive.emit.module import emit_numpy
from mehler.derive.pipeline import derive_dual


def library() -> dict[str, str]:
    """{module name: source}: named activations with a closed form free of the normal distribution function."""
    results = {name: derive_dual(name) for name in NAMED}
    sources = {name: emit_numpy(dual, name) for name, dual in results.items() if isinstance(dual, ProvedDual)}
    return {name: source for name, source in sources.items() if "\nfrom scipy" not in source}
