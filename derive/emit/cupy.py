"""Assemble a standalone CuPy module: CUDA C++ translated from scalars of the Numba module, arrays around it."""

import ast
import textwrap
from string import Template

import numpy as np

from mehler.derive.dual import NumericDual, ProvedDual
from mehler.derive.emit import powers, remainder, rescue, tables_device
from mehler.derive.emit.compiled import helpers
from mehler.derive.emit.cuda import translated
from mehler.derive.emit.device import COMPILED, DEVICE, ENTRIES, KERNELS
from mehler.derive.emit.fused import PRICE
from mehler.derive.emit.header import hashed, parameters, quoted
from mehler.derive.emit.module import RESULTS, Lowered, check, lowered, measured_source, tables_source
from mehler.derive.emit.numba import (
    IMPORTS,
    assembled,
    closeness,
    indented,
    lines_of,
    numba_source,
    places,
    present,
)
from mehler.derive.emit.pair_scalars import CONSTANTS, SCALARS
from mehler.derive.emit.tables import listed
from mehler.derive.emit.templates import NAMED
from mehler.derive.errors import NoCode
from mehler.derive.pieces import split
from mehler.derive.tables.table import Tables

# What the kernels use.
ENDS = ("PARTS", "VARIANCE", "THETA", "s_diagonal", "s_values", "s_row", "s_entry")

# By their places in the texts of device.py, what closed forms have.
CLOSED = {
    "tile": "4096",
    "evaluated": "    _run(name, count, *given, result, count, order$floats)\n",
    **dict.fromkeys(("value_tables", "entry_tables", "declared_tables", "value_views", "entry_views"), ""),
    **dict.fromkeys(("sides", "known", "mine", "theirs", "read", "also"), ""),
}

# Where terms that cancel lose digits, what is computed is NaN. The bounds of what terms may be are those of
# fused.py, but one limit serves all variances, the strictest of them.
SOUND = {"value_bounds": "", "entry_bounds": "", "entry_result": "value"}
GIVEN_UP = {
    "value_bounds": """\
    k1, d1 = s_diagonal(q1$parameters)
    k2, d2 = s_diagonal(q2$parameters)
    bound, bound_dot, limit = sqrt(k1) * sqrt(k2), sqrt(d1) * sqrt(d2), $loss_small
    bound, bound_dot = s_choose(bound == bound, bound, -1.0), s_choose(bound_dot == bound_dot, bound_dot, -1.0)
""",
    "entry_bounds": """\
        bound = rows[layer, ROOT_DIAGONAL, i] * columns[layer, ROOT_DIAGONAL, j]
        bound_dot = rows[layer, ROOT_SLOPE, i] * columns[layer, ROOT_SLOPE, j]
        limit = $loss_small
""",
    "entry_result": "s_choose(theta == theta, value, theta)",
}


def emit_cupy(proved: ProvedDual, name: str) -> str:
    """The source of a CuPy module for a proved dual. Raises NoCode for Mehler's series and sums that cancel."""
    check(proved, name)
    powers.refuse(proved)
    if remainder.applies(proved):
        raise NoCode("no CUDA code for Mehler's series yet; use the target numba")
    code = lowered(proved)
    if code.summed:
        raise NoCode("no repair of sums that cancel in CUDA yet; use the target numba")
    return cupy_source(proved, code, measured_source(proved, name, code))


def cupy_source(proved: ProvedDual, code: Lowered, plain: str) -> str:
    """The source of a CuPy module, `plain` being that of the NumPy module before it has its hash."""
    docstring = ast.get_docstring(ast.parse(plain), clean=False)
    header = plain[plain.index("\nNAME = ") : plain.index("\nSOURCE = ")].replace('"numpy"', '"cupy"')
    filled = _filled(proved, code)
    body = Template(DEVICE).substitute(filled, code=device_code(proved, code, plain))
    imports = f"\nimport functools\n\nimport numpy as np\n{IMPORTS['cupy']}\n"
    named = NAMED if parameters(proved) else ""
    text = f'"""{quoted(docstring or "")}{COMPILED}"""\n{imports}{header[1:]}\nSOURCE = "SOURCE-HASH"\n'
    source = f"{text}{named}\n{body.strip()}\n"
    return hashed(source)


def device_code(proved: ProvedDual, code: Lowered, plain: str) -> str:
    """The CUDA C++ of a module."""
    return translated(scalars(proved, code, plain), ENDS) + Template(KERNELS).substitute(_filled(proved, code))


def scalars(proved: ProvedDual, code: Lowered, plain: str) -> tuple[str, ...]:
    """The restricted Python that is translated: what each has goes before what the next has."""
    entries = Template(ENTRIES).substitute(_filled(proved, code))
    return entries, numba_source(proved, code, plain), helpers()


def _filled(proved: ProvedDual, code: Lowered) -> dict[str, str]:
    """What stands for each $place of the templates."""
    filled = places(proved, code)
    spoiled = filled | {"spoiled": "slope = s_choose(fall == fall, slope, np.nan)"}
    given = CLOSED | (GIVEN_UP if code.summed else SOUND)
    return filled | _near(code.parity, code.parallel, code.falls is not None, spoiled) | {
        **{place: Template(text).substitute(filled) for place, text in given.items()},
        "diagonal": _diagonal(code),
        "declared": "".join(f", double {p}" for p in parameters(proved)),
        "passed": "".join(f", {p}" for p in parameters(proved)),
    }  # fmt: skip


def _near(parity: int, parallel: bool, closed: bool, filled: dict[str, str]) -> dict[str, str]:
    """What stands for the places of close pairs, as `closeness` has it for a block of them."""
    close = closeness(parity, parallel, closed, filled)
    return {
        "near": close["near"],
        "close_rho": close["close_rho"],
        "differences": textwrap.indent(textwrap.dedent(close["differences"]), " " * 16),
    }


def _diagonal(code: Lowered) -> str:
    lines = lines_of(code.diagonal, RESULTS[: len(code.diagonal.outputs)])
    if not code.summed:
        return indented(lines, "return k, k_dot")
    sound = f"sound = (size <= {rescue.LOSS_DIAGONAL} * k) & (size_dot <= {rescue.LOSS_DIAGONAL} * k_dot)"
    return indented(lines, sound, "return s_choose(sound, k, np.nan), s_choose(sound, k_dot, np.nan)")


def emit_cupy_tables(dual: ProvedDual | NumericDual, name: str, tables: Tables | None) -> str:
    """The source of a CuPy module of the tables of K and K̇. Raises EmitError."""
    tables = present(dual, tables)
    plain = tables_source(dual, name, tables, "cupy")
    empty = dict.fromkeys(("public", "signature", "keywords", "parameters", "floats", "declared", "passed"), "")
    filled = empty | tables_device.LOOKED_UP
    filled |= _near(split(dual.activation.expr).parity(), True, False, filled | {"spoiled": ""})
    scaled = Template(tables_device.SCALED).substitute(
        logs=_logarithms(tables), falls=Template(PRICE).substitute(arguments=tables_device.ARGUMENTS)
    )
    texts = scaled, Template(ENTRIES).substitute(filled), CONSTANTS + SCALARS, plain, helpers()
    code = translated(texts, ENDS) + Template(KERNELS).substitute(filled)
    device = Template(DEVICE).substitute(filled, code=code)
    sampled = Template(tables_device.SAMPLED).substitute(
        low=tables.low, high=tables.high, tables=listed(tables, logs=False)
    )
    return assembled(device + sampled, plain, COMPILED, "cupy")


def _logarithms(tables: Tables) -> str:
    """Rows of the coefficients of log K(q, q) and log K̇(q, q), those of the highest degree first."""
    both = [each.logs.values for each in (tables.kernel, tables.kernel_dot)]
    degree = max(map(len, both))
    rows = np.stack([np.pad(values, (0, degree - len(values))) for values in both], axis=1)[::-1]
    return "".join(f"    ({one!r}, {two!r}),\n" for one, two in rows.tolist())
