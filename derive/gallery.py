"""The gallery: what mehler derives for each activation of a list, as one Markdown page.

Each activation is derived and proved anew, without the cache, so that the page says what the engine of today does
and how long it takes. One that runs out of time or fails is shown as such.
"""

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import sympy as sp
from sympy.core.cache import clear_cache

from mehler.derive.activation import NAMED
from mehler.derive.deadline import within
from mehler.derive.dual import NumericDual, Proof, ProvedDual, shown
from mehler.derive.errors import DerivationTimeout, DeriveError
from mehler.derive.latex import latex
from mehler.derive.parser import shorten
from mehler.derive.pipeline import TIMEOUT, derivation
from mehler.derive.report.displays import equations
from mehler.derive.report.document import Block, Code, Heading, Paragraph, Text, inline, plain
from mehler.derive.report.markdown import block as rendered
from mehler.derive.report.markdown import cell

# Characters of LaTeX, beyond which a formula is for a machine to read.
LONG = 1500

STATUSES = ("closed-form", "integral", "numeric", "timeout", "failed")

# The constructors of neural_tangents.stax 0.6.5, by its source and by running it.
NEURAL_TANGENTS = "neural-tangents 0.6.5"
NO = "no"
QUADRATURE = "by quadrature alone"
RECTIFIED = "yes; NaN on the diagonal"
POLYNOMIAL = "yes; NaN at x = 0"


@dataclass(frozen=True)
class Entry:
    """An activation of the gallery: its name there, its text, and how neural-tangents has it."""

    name: str
    text: str
    neural_tangents: str
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of an entry. `failure` is the message of the error, if it came to that."""

    entry: Entry
    status: str
    seconds: float
    proof: Proof = field(default_factory=lambda: Proof(()))
    blocks: tuple[Block, ...] = ()
    failure: str | None = None


def _named(name: str, neural_tangents: str) -> Entry:
    return Entry(name, name, neural_tangents)


ENTRIES: Sequence[Entry] = (
    _named("identity", "yes"),
    _named("step", RECTIFIED),
    _named("sign", "yes; K' = 0"),
    _named("relu", "yes"),
    _named("leaky_relu", "yes"),
    _named("abs", "yes"),
    Entry("shifted relu", "max(-1, x)", NO),
    _named("relu2", RECTIFIED),
    Entry("relu3", "max(0, x)**3", RECTIFIED),
    Entry("relu power", "max(0, x)**p", NO, {"p": "positive"}),
    Entry("abs power", "abs(x)**(3/2)", NO),
    _named("erf", "yes"),
    _named("probit", "yes, as Erf"),
    Entry("shifted erf", "erf(2*x + 1)", NO),
    Entry("squared erf", "erf(x)**2", NO),
    _named("gelu", "yes"),
    _named("gelu_tanh", "no; uses the kernel of gelu"),
    _named("quick_gelu", QUADRATURE),
    _named("sin", "yes"),
    _named("cos", "yes"),
    _named("rff", "yes"),
    _named("snake", NO),
    Entry("sin relu", "sin(x)*max(0, x)", NO),
    _named("exp", "yes"),
    _named("gaussian", "yes"),
    _named("gabor", "yes"),
    Entry("ricker", "x*exp(-x**2/2)", NO),
    _named("mexican_hat", NO),
    Entry("hermite 2", "x**2 - 1", "at q = 1 alone"),
    Entry("square", "x**2", POLYNOMIAL),
    _named("cubic", POLYNOMIAL),
    Entry("quintic", "x**5", POLYNOMIAL),
    _named("elu", NO),
    _named("selu", NO),
    _named("celu", NO),
    _named("hard_tanh", NO),
    _named("hard_sigmoid", NO),
    _named("relu6", NO),
    _named("hard_swish", NO),
    _named("softshrink", NO),
    _named("hardshrink", NO),
    _named("sinc", NO),
    _named("lorentzian", NO),
    _named("arctan", NO),
    _named("softsign", NO),
    _named("tanh", QUADRATURE),
    _named("sigmoid", "by quadrature, or an erf fit"),
    _named("softplus", QUADRATURE),
    _named("logcosh", QUADRATURE),
    _named("sech", QUADRATURE),
    _named("isru", QUADRATURE),
    _named("silu", QUADRATURE),
    _named("mish", QUADRATURE),
    _named("tanhshrink", QUADRATURE),
    _named("log_sigmoid", QUADRATURE),
    Entry("bump", "where(abs(x) < 1, exp(-1/(1 - x**2)), 0)", QUADRATURE),
)


def outcome(entry: Entry, timeout: float = TIMEOUT) -> Outcome:
    """Derive, prove and show one activation; no DeriveError leaves it."""
    clear_cache()  # or the first of two like activations would pay for the second
    started = time.perf_counter()
    took: list[float] = []

    def work() -> Outcome:
        result, _ = derivation(entry.text, entry.params, timeout=None, cached=False, fallback=False)
        took.append(time.perf_counter() - started)
        return Outcome(entry, result.status, took[0], result.proof, _shown(entry, result))

    try:
        return within(timeout, work)
    except DeriveError as error:
        status = "timeout" if isinstance(error, DerivationTimeout) else "failed"
        return Outcome(entry, status, time.perf_counter() - started, failure=str(error))


def chosen(names: Sequence[str]) -> tuple[Entry, ...]:
    """The entries of these names, all for none, in the order of the gallery. Raises DeriveError."""
    unknown = sorted(set(names) - {entry.name for entry in ENTRIES})
    if unknown:
        known = ", ".join(entry.name for entry in ENTRIES)
        raise DeriveError(f"{shorten(unknown[0])!r} is not in the gallery; choose from: {known}")
    return tuple(entry for entry in ENTRIES if not names or entry.name in names)


def page(outcomes: Sequence[Outcome]) -> str:
    """The gallery as Markdown: the same outcomes give the same text."""
    lines = [
        "# Gallery",
        "",
        "Made by `mehler gallery --out docs/gallery.md`: each activation derived and proved anew. The symbols are",
        "those of [conventions](conventions.md); [derivation](derivation.md) says what a status and a check mean.",
        "",
        *_totals(outcomes),
        "",
        "| activation | φ(x) | status | exact checks | numeric checks | seconds | in neural-tangents |",
        "|---|---|---|---|---|---|---|",
        *(_row(o) for o in outcomes),
        "",
        "*Exact* checks are decided in a normal form; *numeric* ones hold to the digits given. *Seconds* are those",
        "of derivation and proof on the machine that made the page, and the only part of it that another run",
        f"changes. The last column is {NEURAL_TANGENTS}, from reading and running it: whether it has K and K̇ of",
        "φ by formula. Its ElementwiseNumerical takes any φ by Gauss-Hermite quadrature.",
    ]
    return "\n\n".join(["\n".join(lines), *(_section(o) for o in outcomes)]) + "\n"


def _totals(outcomes: Sequence[Outcome]) -> list[str]:
    count = Counter(o.status for o in outcomes)
    kinds = [f"{count[status]} {status}" for status in STATUSES if count[status]]
    lines = [f"{len(outcomes)} activations: {', '.join(kinds)}."]
    derived = [o for o in outcomes if o.proof.checks]
    if derived:
        slowest = max(derived, key=lambda o: o.seconds)
        middle = median(o.seconds for o in derived)
        lines.append(
            f"Seconds of those with a formula: median {middle:.1f}, maximum {slowest.seconds:.1f} "
            f"({slowest.entry.name})."
        )
    return lines


def _row(o: Outcome) -> str:
    exact = [check for check in o.proof.checks if check.kind == "symbolic"]
    numeric = len(o.proof.checks) - len(exact)
    cells = (
        f"[{cell(plain(o.entry.name))}](#{_anchor(o.entry.name)})",
        cell((Code(_typed(o.entry)),)),
        o.status,
        str(len(exact)) if o.proof.checks else "",
        f"{numeric}: {_digits(o.proof)}" if numeric else "",
        f"{o.seconds:.1f}",
        cell(plain(o.entry.neural_tangents)),
    )
    return f"| {' | '.join(cells)} |"


def _anchor(name: str) -> str:
    """The target that Markdown gives the heading of a section."""
    return re.sub(r"[^\w-]", "", name.lower().replace(" ", "-"))


def _typed(entry: Entry) -> str:
    return NAMED.get(entry.text, entry.text)


def _digits(proof: Proof) -> str:
    """ "25 digits", or the range where the checks differ."""
    found = sorted({int(n) for check in proof.checks for n in re.findall(r"^(\d+) digits", check.detail)})
    if not found:
        return ""
    return f"{found[0]} digits" if len(found) == 1 else f"{found[0]} to {found[-1]} digits"


def _section(o: Outcome) -> str:
    blocks: list[Block] = [Heading(1, plain(o.entry.name))]
    if o.failure is not None:
        blocks.append(Paragraph((Code(_typed(o.entry)), Text(f": {o.status}. {o.failure}."))))
    return "\n\n".join(rendered(block) for block in (*blocks, *o.blocks))


def _shown(entry: Entry, result: ProvedDual | NumericDual) -> tuple[Block, ...]:
    phi = equations((r"\phi(x)", result.activation.expr))
    if isinstance(result, NumericDual):
        return phi, Paragraph(plain(f"Values by quadrature: {result.reason}."))
    blocks: list[Block] = [phi]
    pairs = [
        ("K", shown(result.kernel)),
        (r"\dot K", shown(result.kernel_dot)),
        ("K(q, q, q)", result.kernel_diag),
        (r"\dot K(q, q, q)", result.kernel_dot_diag),
    ]
    short = [pair for pair in pairs if len(latex(pair[1])) <= LONG]
    blocks += [equations(*short)] if short else []
    blocks += [_long(name, formula, entry) for name, formula in pairs if (name, formula) not in short]
    if result.dual.impulses != 0:
        blocks.append(
            Paragraph(
                inline(r"$\phi$ jumps. $\dot K$ is taken almost everywhere; in $\partial K / \partial c$ add")
            )
        )
        blocks.append(equations((r"\dot K_\delta", result.dual.impulses_shown)))
    return tuple(blocks)


def _long(name: str, formula: sp.Expr, entry: Entry) -> Block:
    params = "".join(f" --param {key}={value}" for key, value in entry.params.items())
    return Paragraph(
        (
            *inline(f"${name}$ takes {len(latex(formula)):,} characters of LaTeX and is left out here; see "),
            Code(f'mehler derive "{entry.text}"{params} --report FILE.md'),
            Text("."),
        )
    )
