"""The driver: it runs the stages in order, and is the architecture.

text ─parse→ Activation ─expand→ Atoms ─integrate→ Dual ─prove→ ProvedDual
                            └─(outside the class)→ NumericDual
ProvedDual ─compose→ Recursion;  ProvedDual ─stabilise→ Program ─emit→ generated module
"""

from collections.abc import Mapping
from dataclasses import replace
from time import monotonic
from typing import Any
from warnings import warn

from mehler.derive import cache
from mehler.derive.activation import Activation, activation
from mehler.derive.approximate import approximate, require_real
from mehler.derive.deadline import within
from mehler.derive.dual import Jumps, NumericDual, ProvedDual
from mehler.derive.emit import module, numba
from mehler.derive.emit.cupy import emit_cupy, emit_cupy_tables
from mehler.derive.emit.module import emit_numpy, emit_tables, lacking
from mehler.derive.emit.numba import emit_numba, emit_numba_tables
from mehler.derive.emit.tables import built
from mehler.derive.errors import (
    DerivationTimeout,
    DeriveError,
    EmitError,
    NoCode,
    OutsideClass,
    ProofError,
    Unproved,
)
from mehler.derive.integrate import integrate
from mehler.derive.numbers import Number
from mehler.derive.prove import prove
from mehler.derive.tables.certificate import certify
from mehler.derive.tables.table import RANGE, SHORTER, Progress, Tables, silent

# Of the scale: tables that err by more are not used.
ALLOWED = 1e-13

# Seconds: no activation of those named takes half of it.
TIMEOUT = 120.0

# Seconds to look at φ itself after its derivation took too long, and the least that a limit may have left.
GRACE, LEAST = 1.0, 0.01


def derive_dual(
    expr: str, *, jumps: Jumps = "almost-everywhere", timeout: float | None = TIMEOUT, **params: Number
) -> ProvedDual | NumericDual:
    """K = E[φ(u)φ(v)] and K̇ = E[φ'(u)φ'(v)] of the activation `expr`, derived and proved.

    `expr` is a name ("relu") or an expression in x ("x*Phi(x)"). A keyword gives a parameter a value, as
    in a=0.1 or a="1/10" (decimals are exact), or an assumption, as in a="positive"; without one it stays
    a real symbol. `jumps` chooses φ' for a discontinuous φ: "almost-everywhere" is what training computes;
    "distribution" keeps the impulses, so that K̇ = ∂K/∂c, and is infinite at ρ = 1.

    `timeout` limits the seconds it may take; None sets no limit.

    Returns a ProvedDual (status "closed-form" or "integral"), or a NumericDual (status "numeric"), whose values are
    by quadrature and whose `reason` says why: a part of φ is outside the Gaussian-closed class, time was up, or the
    formula could not be proved. One that is wrong is a fault of mehler: the reason is a RuntimeWarning then.
    Raises DeriveError (ParseError, DivergentExpectation; DerivationTimeout where φ itself takes too long to read).
    """
    return derivation(expr, params, jumps=jumps, timeout=timeout)[0]


def derivation(
    expr: str,
    params: Mapping[str, Number],
    *,
    jumps: Jumps = "almost-everywhere",
    timeout: float | None = TIMEOUT,
    cached: bool = True,
    fallback: bool = True,
) -> tuple[ProvedDual | NumericDual, bool]:
    """`derive_dual`, and whether its result was read from the cache, which `cached` may forbid.

    Without `fallback`, what the rules ought to derive and do not is an error: ProofError, DerivationTimeout.
    """
    if jumps not in ("almost-everywhere", "distribution"):
        raise DeriveError(f"jumps={jumps!r} is not known; use 'almost-everywhere' or 'distribution'")
    started = monotonic()

    def read() -> tuple[Activation, str | None, str | None, object]:
        phi = activation(expr, params)
        # What took too long is known for that limit alone.
        key, late = (cache.key(phi, what) if cached else None for what in (jumps, f"{jumps}, {timeout} s"))
        return phi, key, late, cache.load(key) or (cache.load(late) if fallback else None)

    phi, key, late, known = within(timeout, read)
    if isinstance(known, ProvedDual | NumericDual) and (known.activation, known.jumps) == (phi, jumps):
        return known, True
    try:
        result = within(_left(timeout, started), lambda: _derived(phi, jumps))
    except DerivationTimeout as error:
        if not fallback:
            raise
        reason = f"no closed form was found in {timeout or 0:g} s; simplify the activation, or raise timeout"
        try:
            result, key = within(GRACE, lambda: approximate(phi, reason, jumps)), late
        except DerivationTimeout:
            raise error from None
    except Exception as error:
        # A wrong formula, or an exception of SymPy on one that nobody tried.
        if not fallback or (isinstance(error, DeriveError) and not isinstance(error, ProofError)):
            raise
        fault = (
            str(error)
            if isinstance(error, ProofError)
            else f"the derivation of {phi.text!r} ended in {type(error).__name__}; "
            "this is a fault of mehler, please report it"
        )
        result, key = approximate(phi, fault, jumps), None
        warn(f"{fault}. Its kernels are by quadrature", RuntimeWarning, stacklevel=3)
    cache.store(key, result)
    return result, False


def _left(timeout: float | None, started: float) -> float | None:
    """The seconds that are left of a limit."""
    return None if timeout is None else max(timeout - (monotonic() - started), LEAST)


def _derived(phi: Activation, jumps: Jumps) -> ProvedDual | NumericDual:
    try:
        require_real(phi)
        return prove(integrate(phi, jumps))
    except (OutsideClass, Unproved) as reason:
        return approximate(phi, str(reason), jumps)


def generate(
    expr: str,
    *,
    name: str,
    target: str = "numpy",
    jumps: Jumps = "almost-everywhere",
    timeout: float | None = TIMEOUT,
    progress: Progress = silent,
    **params: Number,
) -> str:
    """The source of a standalone module that evaluates the kernels of the activation `expr`.

    `name` names the module (lower-case letters, digits, _). `target` is "numpy", "numba" or "cupy". `timeout`
    limits the seconds that derivation and code may take. An activation without a closed form, or without one in
    that time, is evaluated from tables, which are made after that, in 5 to 60 seconds, and cached;
    `progress`(done, total) is told. Raises DeriveError.
    """
    if target not in TARGETS:
        raise EmitError(f"target {target!r} is not available; choose from: {', '.join(TARGETS)}")

    started = monotonic()
    result, _ = derivation(expr, params, jumps=jumps, timeout=timeout)
    given = result.activation.defaults
    try:
        code = within(_left(timeout, started), lambda: _code(result, name, target))
    except DerivationTimeout:
        code = None
    if code is not None:
        return code
    if given:  # of which tables need the numbers
        left = _left(timeout, started)
        result, _ = derivation(expr, {**given, **params}, jumps=jumps, timeout=left and max(left, GRACE))
    # Tables come to an end, whatever φ is, and tell how far they are.
    return _of_tables(result, name, target, progress)


def source_of(
    result: ProvedDual | NumericDual, name: str, target: str = "numpy", progress: Progress = silent
) -> str:
    """The source of a module for a derivation: of its closed form, or of tables where code cannot hold one."""
    code = _code(result, name, target)
    return _of_tables(result, name, target, progress) if code is None else code


def _of_tables(result: ProvedDual | NumericDual, name: str, target: str, progress: Progress) -> str:
    """The source of a module of tables; where there are none, of code that takes longer, if the target has any."""
    tables, failure = None, None
    try:
        tables = tabulated(result, progress)
    except EmitError as reason:
        failure = reason
    source = _code(result, name, target, slow=True) if tables is None else None
    if source is not None:
        return emit_tables(result, name, None) if target == "numpy" else source
    if failure is not None:
        raise failure
    return TABLE_TARGETS[target](result, name, tables)


def _code(result: ProvedDual | NumericDual, name: str, target: str, slow: bool = False) -> str | None:
    """The source of a module of the closed form, if there is one and the target has code for it.

    One rule for all: a module evaluates a closed form by code, or by tables where the target has no code for it, or
    code that takes longer; that is for `slow` alone.
    """
    if not isinstance(result, ProvedDual) or lacking(result) is not None:
        return None
    if not slow and target in SLOW and SLOW[target](result):
        return None
    try:
        return TARGETS[target](result, name)
    except NoCode:
        return None


def tabulated(result: ProvedDual | NumericDual, progress: Progress = silent) -> Tables | None:
    """Tables of K and K̇ with a certificate, from the cache or made now; None where knots forbid them."""
    key = cache.key(result.activation, "tables")
    known = cache.load(key)
    if isinstance(known, Tables):
        return known
    worst = ""
    for extent in (RANGE, *SHORTER):
        try:
            tables = built(result, progress, extent)
            if tables is None:
                return None
            scope: dict[str, Any] = {}
            exec(emit_tables(result, "tables", tables), scope)
            found = certify(result, scope["pair"], extent)
        except EmitError as reason:
            if result.activation.parameters or result.jumps != "almost-everywhere":
                raise
            worst = str(reason)
            continue
        error = max(found.kernel, found.kernel_dot, found.confirmed)
        if error < ALLOWED:
            tables = replace(tables, certificate=found)
            cache.store(key, tables)
            return tables
        worst = f"tables for variances in [{extent[0]:g}, {extent[1]:g}] err by {error:.0e}"
    why = f"; {result.reason}" if isinstance(result, NumericDual) else ""
    raise EmitError(f"no evaluator of {result.activation.text!r} is good enough: {worst}{why}")


def closed_form(result: ProvedDual | NumericDual) -> ProvedDual:
    """`result` if it has a closed form. Raises OutsideClass with the reason if not."""
    if isinstance(result, NumericDual):
        raise OutsideClass(result.reason + "; choose an activation with a closed form, e.g. 'erf' or 'gelu'")
    return result


TABLE_TARGETS = {"numpy": emit_tables, "numba": emit_numba_tables, "cupy": emit_cupy_tables}
SLOW = {"numpy": module.slow, "numba": numba.slow}
TARGETS = {"numpy": emit_numpy, "numba": emit_numba, "cupy": emit_cupy}
