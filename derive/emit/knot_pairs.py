"""Impulses of piecewise polynomials at pairs of their knots, and their integrals over t = tan(α/2), in scalars.

With cos α = (1 − t²)/(1 + t²) and t₀ = tan(θ/2), which e^{−w} is in remainder.py, for each power p ≤ d

    ∫ (cos α − cos θ)ᵖ E_α[F₁⁽ᵈ⁺¹⁾ F₂⁽ᵈ⁺¹⁾] dα/2π  with  cos α − cos θ = 2 (t₀² − t²)/((1 + t²)(1 + t₀²))

up to a sign. Where t halves the integrand is smooth, and one rule serves. What pairs of knots share is worked out
in symbols; the names c… are products of jumps, of the derivatives k and l at the knots of a pair.
"""

from collections.abc import Iterator
from string import Template

import sympy as sp

from mehler.derive.dual import ProvedDual
from mehler.derive.emit import scalar
from mehler.derive.emit.normal import rule
from mehler.derive.emit.program import Program, lower
from mehler.derive.emit.remainder import WIDE, degree, jumps_of, level
from mehler.derive.stabilise.code import share

# (k, l, jump of φ⁽ᵏ⁾ at one knot times that of φ⁽ˡ⁾ at the other)
Factors = list[tuple[int, int, sp.Expr]]

TEXT = '''
$nodes
@njit(**SCALAR)
def s_knots($arguments):
    """The knots of phi."""
$knots


@njit(**SCALAR)
def s_jumps($arguments):
    """Products of jumps at pairs of knots: of the derivatives k and l in turn, for each pair that has any."""
$jumps


@njit(**CALLED)
def s_is_wide(q1, q2$parameters):
    """Whether a variance is so large beside all knots that impulses cancel."""
$is_wide


@njit(**CALLED)
def s_knot_pairs(q1, root1, q2, root2, sign, $tails$parameters):
    """What s_panel knows of pairs of knots, those of the second row mirrored where sign = -1."""
    $places, = s_knots($arguments)
    $products, = s_jumps($arguments)
    least = 1e-3 * min(1.0, $sizes)
    p1, p2 = max(root1, least), max(root2, least)
    apart = s_choose(min(root1, root2) > least, q2 - q1, (p2 - p1) * (p2 + p1))
    mean, apart = (1 / p1 + 1 / p2) / 2, apart / (p1 + p2) / p1 / p2 / 2
    scale1, scale2 = root1, sign * root2
$pairs
    return $state


@njit(**SUMMED)
def s_panel(low, high, t0, state):
    """Integrals over low < t < high of (cos - cos0)**p times the impulses of phi', and of the rest of phi."""
    $state = state
    away, $zeros = 2 / (1 + t0 * t0), $zero
    for n in range(HALVING.shape[1]):
        t = low + (high - low) * HALVING[0, n]
        decay = t * t
        more = 1 + decay
        inverse = 1 / more
        square = more * more / (4 * decay)
        cos, half, middle = (1 - decay) * inverse, square / 2 - 0.25, more / 2
        lag = (t - t0) * (t + t0) * away * inverse
$impulses
        weight = HALVING[1, n] * inverse
$sums
    factor = 2 * ONE_OVER_TWO_PI * (high - low)
    return $scaled


'''


def text(proved: ProvedDual, names: str) -> str:
    """The functions of TEXT for the activation of a proved dual."""
    d, pairs, totals = degree(proved), list(pairs_of(proved)), totals_of(proved)
    places = proved.activation.pieces.knots
    knots, jumps = programs(proved)
    return Template(TEXT).substitute(
        nodes=rule("HALVING", 16, "0", "Nodes and weights on [0, 1]."),
        parameters=names,
        arguments=names.removeprefix(", "),
        knots=returned(knots),
        jumps=returned(jumps),
        is_wide=_wide(proved, names),
        places=", ".join(f"t{i}" for i in range(len(places))),
        products=", ".join(f"c{p}_{k}{m}" for p, (_, _, factors) in enumerate(pairs) for k, m, _ in factors),
        sizes=", ".join(f"fabs(t{i})" for i, t in enumerate(places) if t != 0),
        pairs="\n".join(line for p, pair in enumerate(pairs) for line in _pair_lines(p, *pair)),
        state=state(proved),
        impulses="\n".join(_impulses(d, pairs)),
        tails=tails(proved),
        zeros=", ".join(totals),
        zero=", ".join(["0.0"] * len(totals)),
        sums="\n".join(_sums(d, totals)),
        scaled="(" + " ".join(f"factor * {name}," for name in totals) + ")",
    )


def programs(proved: ProvedDual) -> tuple[Program, ...]:
    """The knots, and the products of jumps."""
    products = [jump for _, _, factors in pairs_of(proved) for _, _, jump in factors]
    values, given = (proved.activation.pieces.knots, products), proved.activation.parameters
    return tuple(lower(share(given, list(each), []), parameters=given) for each in values)


def state(proved: ProvedDual) -> str:
    """The names of what s_knot_pairs returns."""
    each = enumerate(factors for _, _, factors in pairs_of(proved))
    return ", ".join(name for p, factors in each for name in _state(p, factors))


def tails(proved: ProvedDual) -> str:
    """The names of the tails of both rows."""
    return ", ".join(f"tail{n}_{i}" for i in (1, 2) for n in range(len(proved.activation.pieces.knots)))


def pairs_of(proved: ProvedDual) -> Iterator[tuple[int, int, Factors]]:
    """As remainder.combined: (i, j) with (k, l, jump of phi^(k) at i * jump of phi^(l) at j)."""
    places, steps = proved.activation.pieces.knots, jumps_of(proved)
    count = len(places)
    mirrored = all(sp.simplify(t + s) == 0 for t, s in zip(places, reversed(places), strict=True))
    for i in range(count):
        for j in range(count):
            i2, j2 = count - 1 - i, count - 1 - j
            if mirrored and (i2, j2) < (i, j):
                continue
            factors = []
            for k in range(len(steps)):
                for m in range(len(steps)):
                    jump = steps[k][i] * steps[m][j]
                    if mirrored and (i2, j2) != (i, j):
                        jump += (-1) ** (k + m) * steps[k][i2] * steps[m][j2]
                    if sp.simplify(jump) != 0:
                        factors.append((k, m, sp.simplify(jump)))
            if factors:
                yield i, j, factors


def totals_of(proved: ProvedDual) -> list[str]:
    d = degree(proved)
    apart = any(not (k and m) for _, _, factors in pairs_of(proved) for k, m, _ in factors)
    return [f"{name}{p}" for name in (("total", "rest") if apart else ("total",)) for p in range(d + 1)]


def _state(p: int, factors: Factors) -> list[str]:
    return [f"gap{p}", f"at{p}", f"to{p}", *(f"c{p}_{k}{m}" for k, m, _ in factors)]


def _pair_lines(p: int, i: int, j: int, factors: Factors) -> Iterator[str]:
    yield f"    at{p}, to{p}, tail = t{i} / p1, sign * t{j} / p2, tail{i}_1 * tail{j}_2"
    yield f"    gap{p} = (t{i} - sign * t{j}) * mean + (t{i} + sign * t{j}) * apart"
    for k, m, _ in factors:
        less = min(k, m, 1)  # phi' has them in units of its own
        powers = [f"scale{n}" for n, times in ((1, k - less), (2, m - less)) for _ in range(times)]
        yield f"    c{p}_{k}{m} = {' * '.join([f'c{p}_{k}{m}', 'tail', *powers])}"


def _impulses(d: int, pairs: list[tuple[int, int, Factors]]) -> Iterator[str]:
    sums: dict[str, list[str]] = {"one": [], "rest": []}
    for p, (_, _, factors) in enumerate(pairs):
        yield f"        density{p} = s_exp(-(gap{p} * gap{p} * half + at{p} * to{p} * (decay / 2)))"
        if any(min(k, m) < d for k, m, _ in factors):
            yield f"        a{p}, b{p} = gap{p} * square + to{p} * middle, at{p} * middle - gap{p} * square"
        for name, some in (("one", True), ("rest", False)):
            terms = [
                f"c{p}_{k}{m} * ({_derivative(d - k, d - m, p)})" for k, m, _ in factors if bool(k and m) == some
            ]
            if terms:
                sums[name].append(f"density{p} * ({' + '.join(terms)})")
    for name, terms in sums.items():
        if terms or name == "one":
            yield f"        {name} = {' + '.join(terms) or '0.0'}"


def _derivative(m: int, n: int, p: int) -> str:
    """(−1)^{m+n} times the derivatives, m in x and n in y, of exp(−Q/2), over exp(−Q/2)."""
    a, b, cos, square = sp.symbols(f"a{p} b{p} cos square")

    def value(m: int, n: int) -> sp.Expr:
        if m == 0:
            return (
                sp.S.One if n == 0 else b * value(0, n - 1) - (n - 1) * square * (value(0, n - 2) if n > 1 else 0)
            )
        last = (m - 1) * square * (value(m - 2, n) if m > 1 else 0)
        return a * value(m - 1, n) - last + (n * cos * square * value(m - 1, n - 1) if n else 0)

    return str(sp.expand(value(m, n)))


def _sums(d: int, totals: list[str]) -> Iterator[str]:
    for p in range(d + 1):
        if p:
            yield "        weight = weight * lag"
        for name in totals:
            if name.endswith(str(p)):
                yield f"        {name} += weight * {'one' if name.startswith('total') else 'rest'}"


def _wide(proved: ProvedDual, names: str) -> str:
    if not level(proved):
        return "    return False"
    count = len(proved.activation.pieces.knots)
    squares = ", ".join(f"t{i} * t{i}" for i in range(count))
    largest = f"max({squares})" if count > 1 else squares
    known = ", ".join(f"t{i}" for i in range(count))
    return f"    {known}, = s_knots({names.removeprefix(', ')})\n    return max(q1, q2) > {float(WIDE)} * {largest}"


def returned(program: Program) -> str:
    """A body that returns a tuple of numbers."""
    lines = [f"    {name} = {value}" for name, value in scalar.assignments(program)]
    return "\n".join([*lines, f"    return ({' '.join(f'1.0 * ({v}),' for v in scalar.results(program))})"])
