"""LaTeX of the formulas of a derivation, in the notation of the field, and cut into lines of a page's width.

    E(f) → \\mathbb{E}[f],  Heaviside(L) → \\mathbf{1}[L > 0],  DiracDelta(L) → \\delta(L),  q1 → q_1, …

Only commands of LaTeX itself, amsmath and amssymb occur, so that a formula can be pasted anywhere.
"""

import re
from collections.abc import Sequence
from typing import Any

import sympy as sp
from sympy.printing.latex import LatexPrinter

from mehler.derive.symbols import E, sin_theta

# A page holds some ninety characters of displayed mathematics.
LINE = 88

GREEK = re.compile(
    "(alpha|beta|gamma|[dD]elta|epsilon|zeta|eta|[tT]heta|iota|kappa|[lL]ambda|mu|nu|[xX]i|[pP]i|rho|[sS]igma|tau"
    "|[uU]psilon|[pP]hi|chi|[pP]si|[oO]mega|Gamma)"
)

# Exponents up to this width stand above e; longer ones and tall fractions go into exp(…).
MAX_EXPONENT = 14


def latex(expr: sp.Basic) -> str:
    """`expr` as LaTeX on one line."""
    return str(_Printer().doprint(_presentable(expr)))


def lines(expr: sp.Basic, limit: float = LINE) -> list[str]:
    """`expr` as LaTeX in lines of about `limit` characters, cut at the terms of sums, then between factors.

    Brackets that are opened on one line and closed on another are \\Bigl and \\Bigr, which TeX need not match.
    """
    return _cut(_presentable(expr), limit)


class _Root(sp.Function):  # type: ignore[misc]
    """√ of a product, which SymPy itself would split into a product of roots."""

    nargs = 1

    def sort_key(self, order: str | None = None) -> Any:
        # Behind numbers and letters, before functions, as people write it.
        return sp.Symbol("z").sort_key(order)


class _Printer(LatexPrinter):  # type: ignore[misc]
    def __init__(self, **settings: bool) -> None:
        super().__init__(
            {"inv_trig_style": "full", "fold_frac_powers": True, "fold_func_brackets": True} | settings
        )

    def _print_Symbol(self, symbol: sp.Symbol, style: str = "plain") -> str:
        if symbol == sin_theta:
            return r"\sin\theta"
        if symbol.name.endswith("'"):
            return self._print_Symbol(sp.Symbol(symbol.name[:-1]), style) + "'"
        name, _, index = symbol.name.strip("_").partition("_")
        digits = re.fullmatch(r"([A-Za-z]+)(\d+)", name)
        if digits and not index:
            name, index = digits.groups()
        base = rf"\{name}" if GREEK.fullmatch(name) else name if len(name) == 1 else rf"\operatorname{{{name}}}"
        if not index:
            return base
        if GREEK.fullmatch(index):
            return rf"{base}_{{\{index}}}"
        index = index.replace("_", r"\_")
        return f"{base}_{index}" if len(index) == 1 else rf"{base}_{{\mathrm{{{index}}}}}"

    _print_Dummy = _print_Symbol

    def _print_Function(self, expr: sp.Function, exp: str | None = None) -> str:
        match expr.func.__name__:
            case "E" if expr.func == E:
                return _power(rf"\mathbb{{E}}\left[{self._print(expr.args[0])}\right]", exp)
            case "_Root":
                root = rf"\sqrt{{{self._print(expr.args[0])}}}"
                return _power(root if exp is None else rf"\left({root}\right)", exp)
        return re.sub(r" \{(\\?\w+)\}$", r" \1", str(super()._print_Function(expr, exp)))

    def _needs_function_brackets(self, expr: sp.Expr) -> bool:
        return not expr.is_Symbol

    def _print_Heaviside(self, expr: sp.Heaviside, exp: str | None = None) -> str:
        return _power(rf"\mathbf{{1}}\left[{self._print(expr.args[0])} > 0\right]", exp)

    def _print_DiracDelta(self, expr: sp.DiracDelta, exp: str | None = None) -> str:
        order = f"^{{({expr.args[1]})}}" if len(expr.args) > 1 else ""
        return _power(rf"\delta{order}\left({self._print(expr.args[0])}\right)", exp)

    def _print_exp(self, expr: sp.exp, exp: str | None = None) -> str:
        # 1/2a would be read as a/2, so that only a bare denominator goes behind a slash.
        if exp is None and all(sp.fraction(term)[1].is_Atom for term in sp.Add.make_args(expr.exp)):
            flat = str(_Printer(fold_short_frac=True).doprint(expr.exp))
            if r"\frac" not in flat and width(flat) <= MAX_EXPONENT:
                return f"e^{{{flat}}}"
        exponent = self._print(expr.exp)
        power = "" if exp is None else f"^{{{exp}}}"
        return rf"\exp{power}\left({exponent}\right)"

    _print_ExpBase = _print_exp

    def _print_Pow(self, expr: sp.Pow) -> str:
        if expr.base == sin_theta and expr.exp.is_Integer and expr.exp > 0:
            return rf"\sin^{{{expr.exp}}}\theta"
        return str(super()._print_Pow(expr))

    def _print_Piecewise(self, expr: sp.Piecewise) -> str:
        rows = [
            rf"{self._print(value)} & \text{{otherwise}}"
            if condition == sp.true
            else rf"{self._print(value)} & \text{{for }} {self._print(condition)}"
            for value, condition in expr.args
        ]
        return r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"

    def _print_Tuple(self, expr: sp.Tuple) -> str:
        return r", \quad ".join(self._print(e) for e in expr)


def _power(text: str, exp: str | None) -> str:
    return text if exp is None else f"{text}^{{{exp}}}"


def _presentable(expr: sp.Basic) -> sp.Basic:
    """`expr` with √A·√B as √(AB) and e^A·e^B as e^(A+B) in every product."""
    return expr.replace(lambda e: isinstance(e, sp.Mul), _merged)


def _merged(product: sp.Mul) -> sp.Expr:
    above = [f.base for f in product.args if f.is_Pow and f.exp == sp.S.Half and f.base.is_nonnegative]
    below = [f.base for f in product.args if f.is_Pow and f.exp == -sp.S.Half and f.base.is_nonnegative]
    exponents = [f.exp for f in product.args if isinstance(f, sp.exp)]
    roots = [
        r for r, n in ((above, sp.S.Half), (below, -sp.S.Half)) for r in ([b**n for b in r] if len(r) > 1 else [])
    ]
    exponentials = [sp.exp(e) for e in exponents] if len(exponents) > 1 else []
    if not roots and not exponentials:
        return product
    merged = [f for f in product.args if f not in roots and f not in exponentials]
    merged += [_Root(sp.Mul(*above))] if len(above) > 1 else []
    merged += [1 / _Root(sp.Mul(*below))] if len(below) > 1 else []
    return sp.Mul(*merged, sp.exp(sp.Add(*exponents)) if exponentials else sp.S.One)


def _cut(expr: sp.Basic, limit: float) -> list[str]:
    whole = str(_Printer().doprint(expr))
    if width(whole) <= limit:
        return [whole]
    if isinstance(expr, sp.Add):
        terms = _Printer()._as_ordered_terms(expr)
        return _filled([_signed(_cut(term, limit), first=term is terms[0]) for term in terms], limit)
    if isinstance(expr, sp.Mul):
        return _cut_product(expr, limit)
    if isinstance(expr, sp.Eq):
        left, right = _cut(expr.lhs, limit), _cut(expr.rhs, limit)
        return [*left, f"= {right[0]}", *right[1:]]
    if isinstance(expr, sp.Function) and expr.func == E:
        return _enclosed(r"\mathbb{E}\Bigl[ ", _cut(expr.args[0], limit - 6), r" \Bigr]")
    return [whole]


def _cut_product(product: sp.Mul, limit: float) -> list[str]:
    """A long factor is cut inside its brackets, behind the others; many short ones follow one another."""
    sign = "- " if product.could_extract_minus_sign() else ""
    product = -product if sign else product
    factors = product.as_ordered_factors() if product.is_Mul else [product]
    sizes = {f: width(latex(f)) for f in factors}
    longest = max((f for f in factors if f.is_Add or f.func == E), key=lambda f: sizes[f], default=None)
    if longest is not None and sizes[longest] > limit / 2:
        rest = sp.Mul(*(f for f in factors if f is not longest))
        before = "" if rest == 1 else latex(rest) + r" \, "
        head = r"\Bigl( " if longest.is_Add else ""
        inside = _cut(longest, limit - min(width(before), limit / 2) - 2)
        return _enclosed(sign + before + head, inside, r" \Bigr)" if head else "")
    numerator, denominator = sp.fraction(product)
    factors = numerator.as_ordered_factors()
    if denominator != 1:
        factors = [1 / denominator, *(f for f in factors if f != 1)]
    pieces = [[rf"\left({latex(f)}\right)" if f.is_Add else latex(f)] for f in factors]
    if len(pieces) == 1:
        return [sign + pieces[0][0]]
    return _filled([[sign + pieces[0][0]], *pieces[1:]], limit, joint=r"\cdot ")


def _signed(cut: list[str], *, first: bool) -> list[str]:
    head = cut[0] if first or cut[0].startswith("-") else f"+ {cut[0]}"
    return [head, *cut[1:]]


def _enclosed(left: str, inside: list[str], right: str) -> list[str]:
    inside = [*inside[:-1], inside[-1] + right]
    return [left + inside[0], *inside[1:]]


def _filled(pieces: Sequence[list[str]], limit: float, joint: str = "") -> list[str]:
    """Pieces one after another, a new line before one that no longer fits."""
    result: list[str] = []
    for piece in pieces:
        if result and len(piece) == 1 and width(result[-1]) + width(piece[0]) <= limit:
            result[-1] += " " + piece[0]
        else:
            result += [(joint if result else "") + piece[0], *piece[1:]]
    return result


TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[{}^_&]|\s+|.", re.DOTALL)
INVISIBLE = {
    "left",
    "right",
    "Bigl",
    "Bigr",
    "mathbb",
    "mathbf",
    "mathrm",
    "text",
    "operatorname",
    "displaystyle",
    "dot",
}
NAMED = {"sin", "cos", "sinh", "cosh", "exp", "log", "arcsin", "arccos", "arctan", "max", "min"}


def width(tex: str) -> float:
    """The printed width of a formula in characters, roughly: a fraction is as wide as its wider part."""
    tokens = [t for t in TOKEN.findall(tex) if not t.isspace()]
    total, rest = _measure(tokens)
    while rest:
        more, rest = _measure(rest[1:])
        total += more
    return total


def _measure(tokens: list[str]) -> tuple[float, list[str]]:
    """The width of tokens up to the brace that closes their group, and what follows from that brace on."""
    scale, rows = 1.0, [0.0]
    while tokens and tokens[0] != "}":
        token, tokens = tokens[0], tokens[1:]
        name = token[1:]
        if token in ("^", "_"):
            scale = 0.7
            continue
        if token == "{":
            size, tokens = _measure(tokens)
            tokens = tokens[1:]
        elif token == r"\frac":
            parts = []
            for _ in range(2):
                part, tokens = _measure(tokens[1:])
                parts.append(part)
                tokens = tokens[1:]
            size = max(parts) + 0.5
        elif token in (r"\begin", r"\end"):
            tokens = tokens[tokens.index("}") + 1 :]
            size = 1.0
        elif token == r"\\":
            rows.append(0.0)
            size = 0.0
        elif token[0] == "\\":
            size = 0.0 if name in INVISIBLE else len(name) if name in NAMED else 2.0 if name == "quad" else 1.0
        else:
            size = 2.0 if token in "+-=<>&" else 0.6 if token in ".,;" else 1.0
        rows[-1] += scale * size
        scale = 1.0
    return max(rows), tokens
