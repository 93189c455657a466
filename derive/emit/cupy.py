"""Assemble a standalone CuPy module: CUDA C++ translated from scalars of the Numba module, arrays around it."""

import ast
import textwrap
from string import Template

from mehler.derive.dual import ProvedDual
from mehler.derive.emit import remainder, rescue
from mehler.derive.emit.compiled import helpers
from mehler.derive.emit.cuda import translated
from mehler.derive.emit.device import COMPILED, DEVICE, ENTRIES, GIVEN_UP, KERNELS, SOUND
from mehler.derive.emit.module import (
    RESULTS,
    Lowered,
    check,
    check_parameters,
    hashed,
    lowered,
    numpy_source,
    parameters,
)
from mehler.derive.emit.numba import closeness, indented, lines_of, numba_source, places
from mehler.derive.errors import EmitError

# What the kernels use.
ENDS = ("PARTS", "VARIANCE", "THETA", "s_diagonal", "s_values", "s_row", "s_entry")

IMPORTS = """
import functools

import numpy as np

try:
    import cupy
except ImportError:
    raise ImportError("this module needs CuPy; install it with: pip install cupy-cuda13x") from None

"""


def emit_cupy(proved: ProvedDual, name: str) -> str:
    """The source of a CuPy module for a proved dual. Raises EmitError."""
    check(proved, name)
    if remainder.applies(proved):
        raise EmitError(
            f"the kernels of {proved.activation.text!r} are by Mehler's series, for which there is no CUDA code "
            "yet; use the target numba"
        )
    code = lowered(proved)
    if code.summed:
        raise EmitError(
            f"the kernels of {proved.activation.text!r} are sums that cancel, for which a CuPy module has no "
            "repair yet; use the target numba"
        )
    return cupy_source(proved, code, numpy_source(proved, name, code))


def cupy_source(proved: ProvedDual, code: Lowered, plain: str) -> str:
    """The source of a CuPy module, `plain` being that of the NumPy module before it has its hash."""
    docstring = ast.get_docstring(ast.parse(plain), clean=False)
    header = plain[plain.index("\nNAME = ") : plain.index("\nSOURCE = ")].replace('"numpy"', '"cupy"')
    filled = _filled(proved, code)
    body = Template(DEVICE).substitute(filled, code=device_code(proved, code, plain))
    source = f'"""{docstring}{COMPILED}"""\n{IMPORTS}{header[1:]}\nSOURCE = "SOURCE-HASH"\n\n{body.strip()}\n'
    check_parameters(source, list(parameters(proved)))
    return hashed(source)


def device_code(proved: ProvedDual, code: Lowered, plain: str) -> str:
    """The CUDA C++ of a module."""
    return translated(scalars(proved, code, plain), ENDS) + Template(KERNELS).substitute(_filled(proved, code))


def scalars(proved: ProvedDual, code: Lowered, plain: str) -> tuple[str, ...]:
    """The restricted Python that is translated: what each has goes before what the next has."""
    entries = Template(ENTRIES).substitute(_filled(proved, code))
    check_parameters(entries, list(parameters(proved)))
    return entries, numba_source(proved, code, plain), helpers()


def _filled(proved: ProvedDual, code: Lowered) -> dict[str, str]:
    """What stands for each $place of the templates."""
    filled = places(proved, code)
    close = closeness(code, filled | {"spoiled": "slope = s_choose(fall == fall, slope, np.nan)"})
    return filled | {
        "near": close["near"],
        "close_rho": close["close_rho"],
        "differences": textwrap.indent(textwrap.dedent(close["differences"]), " " * 16),
        **{
            place: Template(text).substitute(filled) for place, text in (GIVEN_UP if code.summed else SOUND).items()
        },
        "diagonal": _diagonal(code),
        # Apart from whatever else a kernel has a name for.
        "declared": "".join(f", double p_{p}" for p in parameters(proved)),
        "passed": "".join(f", p_{p}" for p in parameters(proved)),
    }


def _diagonal(code: Lowered) -> str:
    lines = lines_of(code.diagonal, RESULTS[: len(code.diagonal.outputs)])
    if not code.summed:
        return indented(lines, "return k, k_dot")
    sound = f"sound = (size <= {rescue.LOSS_DIAGONAL} * k) & (size_dot <= {rescue.LOSS_DIAGONAL} * k_dot)"
    return indented(lines, sound, "return s_choose(sound, k, np.nan), s_choose(sound, k_dot, np.nan)")
