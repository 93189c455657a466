"""A normal form for the formulas of the theorem, and with it an exact test for zero.

A dual kernel is a sum of monomials in square roots of polynomials that are positive on the domain and in
transcendental terms (asin, exp, Φ, …), with rational functions of (q1, q2, c) as coefficients. Roots and
terms become generators; even powers of a root are its radicand; coefficients live in a field of
rational functions, where equality is decided. An expression is zero when every coefficient is. That is
a proof as long as roots split as √(AB) = √A √B, which the sign of each factor on the domain decides;
a "no" only says that no proof was found, since terms may satisfy relations that are not used here.
"""

from collections.abc import Iterable
from functools import cache
from itertools import product
from typing import Any

import sympy as sp
from sympy.polys.fields import field

from mehler.derive.special import Phi, Phi2
from mehler.derive.symbols import Delta, c, path, q, q1, q2, t

DET = q1 * q2 - c**2

# Distinct subexpressions beyond which the normal form takes minutes: such formulas are shown as the theorem
# left them, and proved at points.
MAX_SIZE = 700

# Values of a parameter at which the sign of a factor is looked at: small and large, of both signs.
PARAMETER_SAMPLES = tuple(sp.Rational(*v) for v in ((1, 97), (5, 7), (3, 2), (29, 1), (-1, 97), (-5, 7), (-29, 1)))

# A product of generators: (generator, exponent) in the order of the generators.
Monomial = tuple[tuple[sp.Symbol, sp.Rational], ...]
# Σ coefficient × monomial, coefficients in the field of rational functions.
Form = dict[Monomial, Any]


def is_zero(expr: sp.Expr) -> bool:
    """Whether `expr` vanishes identically, decided by the normal form (True is a proof).

    Integrals over the same interval vanish together when their integrands do.
    """
    expr = merge_integrals(expr.xreplace({Delta: DET}))
    integrals = expr.atoms(sp.Integral)
    if integrals and size(expr) <= 2 * MAX_SIZE:
        expr = expr.xreplace({i: sp.S.Zero for i in integrals if is_zero(i.function)})
    if size(expr) > MAX_SIZE:
        return False
    return not Algebra(expr, reduce=True).lower(expr)


def merge_integrals(expr: sp.Expr) -> sp.Expr:
    """Σ a_i ∫ f_i = ∫ Σ a_i f_i over the same interval, in an expression linear in its integrals; ∫₀⁻ᶜ f(t) dt is
    −∫₀ᶜ f(−t) dt."""
    if not expr.has(sp.Integral):
        return expr
    integrals = sorted(expr.atoms(sp.Integral), key=sp.default_sort_key)
    names = {integral: sp.Dummy() for integral in integrals}
    linear = expr.xreplace(names)
    inside: dict[sp.Tuple, sp.Expr] = {}
    for integral, name in names.items():
        ((variable, start, end),), f = integral.limits, integral.function
        if start == 0 and end.could_extract_minus_sign():
            end, f = -end, -f.xreplace({variable: -variable})
        limits = sp.Tuple(variable, start, end)
        inside[limits] = inside.get(limits, sp.S.Zero) + sp.diff(linear, name) * f
    rest = linear.xreplace(dict.fromkeys(names.values(), sp.S.Zero))
    return rest + sp.Add(*(sp.Integral(f, limits) for limits, f in inside.items() if f != 0))


def size(expr: sp.Expr) -> int:
    """The number of distinct subexpressions."""
    seen: set[sp.Basic] = set()
    waiting = [expr]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting.extend(node.args)
    return len(seen)


def groups(expr: sp.Expr, *, reduce: bool = False) -> dict[sp.Expr, sp.Expr]:
    """`expr` = Σ monomial × coefficient: monomials in roots and transcendental terms, rational coefficients."""
    expr = expr.xreplace({Delta: DET})
    algebra = Algebra(expr, reduce=reduce)
    total: dict[sp.Expr, Any] = {}
    for monomial, coefficient in algebra.lower(expr).items():
        # Different monomials may restore to one expression: exp(c)·exp(q1) and exp(c + q1).
        _accumulate(total, {algebra.restore_monomial(monomial): coefficient})
    return {monomial: algebra.restore_coefficient(coefficient) for monomial, coefficient in total.items()}


def collect(expr: sp.Expr) -> sp.Expr:
    """`expr` with like terms merged and roots split into roots of irreducible factors."""
    return sp.Add(*(coefficient * monomial for monomial, coefficient in groups(expr).items()))


class Algebra:
    """The field of coefficients and the generators of one expression.

    `reduce` also uses the reflections of Φ and Φ₂, and partial fractions in exponents. A test for zero needs
    them; a formula to be evaluated must not have them, since they turn a small probability or exponent into a
    difference of large ones.
    """

    def __init__(self, expr: sp.Expr, *, reduce: bool = False) -> None:
        self.reduce = reduce
        self.constants = {
            value: sp.Symbol(f"constant_{value}", positive=True)
            for value in sorted(expr.atoms(sp.NumberSymbol) | {sp.pi}, key=str)
        }
        symbols = sorted(expr.free_symbols, key=lambda s: s.name) + list(self.constants.values())
        self.field = field(symbols, sp.QQ)[0]
        self.radicands: dict[sp.Symbol, Any] = {}
        self.terms: dict[sp.Symbol, sp.Expr] = {}
        self.known: dict[sp.Expr, Form] = {}

    def lower(self, expr: sp.Expr) -> Form:
        """The normal form of `expr`."""
        if expr not in self.known:
            self.known[expr] = self._lower(expr)
        return self.known[expr]

    def _lower(self, expr: sp.Expr) -> Form:
        if expr.is_Rational:
            return self._coefficient(self.field(sp.QQ(int(expr.p), int(expr.q))))
        if isinstance(expr, sp.Integral | sp.hyper):
            return self._term(expr)
        if expr.is_Symbol or expr in self.constants:
            return self._coefficient(self.field.from_expr(self.constants.get(expr, expr)))
        if expr is sp.I:
            return self._root_generator(self.field(-1))
        if expr.is_Add:
            total: Form = {}
            for argument in expr.args:
                _accumulate(total, self.lower(argument))
            return total
        if expr.is_Mul:
            product = self._coefficient(self.field(1))
            for argument in expr.args:
                product = self._times(product, self.lower(argument))
            return product
        if isinstance(expr, sp.exp):
            return self._exponential(expr.exp)
        if expr.is_Pow and (2 * expr.exp).is_Integer:
            base = self.lower(expr.base)
            return self._power(base if expr.exp.is_Integer else self._root(base), expr.exp)
        if isinstance(expr, sp.sinh | sp.cosh | sp.sin | sp.cos):
            return self.lower(expr.rewrite(sp.exp))
        return self._function(expr)

    def restore(self, form: Form) -> sp.Expr:
        return sp.Add(*(self.restore_coefficient(k) * self.restore_monomial(m) for m, k in form.items()))

    def restore_coefficient(self, coefficient: Any) -> sp.Expr:
        back = {symbol: value for value, symbol in self.constants.items()}
        above, numerator = self._factored(coefficient.numer)
        below, denominator = self._factored(coefficient.denom)
        # Scales go together and last: SymPy would multiply −1 into a sum and undo the choice of signs.
        return ((above / below) * (sp.Mul(*numerator) / sp.Mul(*denominator))).xreplace(back)

    def _factored(self, poly: Any) -> tuple[sp.Rational, list[sp.Expr]]:
        """Irreducible factors, each with the sign that makes it positive on the domain."""
        content, factors = poly.factor_list()
        scale = sp.Rational(int(content.numerator), int(content.denominator))
        positive = []
        for factor, n in factors:
            sign = sign_on_domain(factor.as_expr()) or 1
            scale *= sign**n
            positive.append(sp.expand(sign * factor.as_expr()) ** n)
        return scale, positive

    def restore_monomial(self, monomial: Monomial) -> sp.Expr:
        exponent, rest = sp.S.Zero, sp.S.One
        for generator, n in monomial:
            if generator in self.radicands:
                rest *= sp.sqrt(sp.expand(self.restore_coefficient(self.radicands[generator])))
            elif isinstance(self.terms[generator], sp.exp):
                exponent += n * self.terms[generator].exp
            else:
                rest *= self.terms[generator] ** n
        return rest * sp.exp(sp.expand(exponent))

    def _coefficient(self, value: Any) -> Form:
        return {(): value} if value else {}

    def _term(self, expr: sp.Expr, exponent: sp.Rational = sp.S.One) -> Form:
        return {((_generator(self.terms, expr, "t"), exponent),): self.field(1)}

    def _root_generator(self, radicand: Any) -> Form:
        return {((_generator(self.radicands, radicand, "g"), sp.S.One),): self.field(1)}

    def _times(self, left: Form, right: Form) -> Form:
        result: Form = {}
        for m, a in left.items():
            for n, b in right.items():
                powers = dict(m)
                coefficient = a * b
                for generator, exponent in n:
                    powers[generator] = powers.get(generator, sp.S.Zero) + exponent
                    if generator in self.radicands and powers[generator] == 2:
                        coefficient *= self.radicands[generator]
                        powers[generator] = sp.S.Zero
                monomial = tuple(sorted(((g, e) for g, e in powers.items() if e), key=lambda p: p[0].name))
                _accumulate(result, {monomial: coefficient})
        return result

    def _power(self, base: Form, exponent: sp.Rational) -> Form:
        """baseⁿ for integer n, or (√base)^(2n) when the base is already a root."""
        n = int(exponent if exponent.is_Integer else 2 * exponent)
        if n < 0:
            base = self._inverse(base)
        result = self._coefficient(self.field(1))
        for _ in range(abs(n)):
            result = self._times(result, base)
        return result

    def _inverse(self, form: Form) -> Form:
        if len(form) != 1:
            return self._term(1 / self.restore(form))
        ((monomial, coefficient),) = form.items()
        roots = [g for g, _ in monomial if g in self.radicands]
        inverse = 1 / coefficient
        for generator in roots:
            inverse /= self.radicands[generator]
        return {tuple((g, e if g in self.radicands else -e) for g, e in monomial): inverse}

    def _exponential(self, exponent: sp.Expr) -> Form:
        result = self._coefficient(self.field(1))
        restored = self.restore(self.lower(exponent))
        for part in sp.Add.make_args(sp.expand(_partial_fractions(restored) if self.reduce else restored)):
            number, rest = part.as_coeff_Mul()
            if not number.is_Rational or rest == 1:
                number, rest = sp.S.One, part
            result = self._times(result, self._term(sp.exp(rest), number))
        return result

    def _root(self, base: Form) -> Form:
        if set(base) - {()}:
            return self._term(sp.sqrt(self.restore(base)))
        if not base:
            return {}
        value = base[()]
        return self._times(self._split_root(value.numer), self._inverse(self._split_root(value.denom)))

    def _split_root(self, poly: Any) -> Form:
        """√poly as a product of roots of factors; factors of unknown sign stay under one root together."""
        content, factors = poly.factor_list()
        content = sp.Rational(int(content.numerator), int(content.denominator))
        result, unknown = self._coefficient(self.field(1)), self.field(1)
        for factor, multiplicity in factors:
            value, half = self.field(factor), multiplicity // 2
            sign = sign_on_domain(self.restore_coefficient(value))
            if sign < 0:
                value, content = -value, content * (-1) ** multiplicity
            if sign == 0 and half % 2:
                result = self._times(result, self._term(sp.Abs(self.restore_coefficient(value))))
                half -= 1
            result = self._times(result, self._coefficient(value**half))
            if multiplicity % 2 and sign:
                result = self._times(result, self._root_generator(value))
            elif multiplicity % 2:
                unknown *= value
        for prime, multiplicity in sp.factorrat(content).items():
            multiplicity = int(multiplicity)  # of a large square it is a number of gmpy2
            if prime == -1 and unknown != 1:
                unknown = -unknown
            elif prime != 1:
                root = (
                    self._root_generator(self.field(int(prime)))
                    if multiplicity % 2
                    else self._coefficient(self.field(1))
                )
                result = self._times(
                    self._times(result, root), self._coefficient(self.field(int(prime)) ** (multiplicity // 2))
                )
        return result if unknown == 1 else self._times(result, self._root_generator(unknown))

    def _function(self, expr: sp.Expr) -> Form:
        normal = expr.func(*(self.restore(self.lower(a)) for a in expr.args)) if expr.args else expr
        if isinstance(normal, Phi | Phi2):
            return self._normal_probability(_orient(normal) if self.reduce else normal)
        if normal.func == expr.func or normal.is_Atom:
            return self._term(normal) if not normal.is_Number else self.lower(normal)
        return self.lower(normal)

    def _normal_probability(self, expr: sp.Expr) -> Form:
        """A polynomial in Φ and Φ₂ whose arguments are normal already."""
        total: Form = {}
        for term in sp.Add.make_args(sp.expand(expr)):
            product = self._coefficient(self.field(1))
            for factor in sp.Mul.make_args(term):
                form = self._term(factor) if isinstance(factor, Phi | Phi2) else self.lower(factor)
                product = self._times(product, form)
            _accumulate(total, product)
        return total


@cache
def _partial_fractions(expr: sp.Expr) -> sp.Expr:
    """Partial fractions in c, their coefficients in q1, and those in q2: a unique form of a rational function."""
    for variable in (c, q1, q2, q):
        terms = sp.Add.make_args(expr)
        if not all(term.is_rational_function(variable) for term in terms):
            return expr
        fractional = [term for term in terms if not term.is_polynomial(variable)]
        if fractional:
            rest = sp.Add(*(term for term in terms if term.is_polynomial(variable)))
            expr = sp.expand(rest + sp.apart(sp.together(sp.Add(*fractional)), variable))
    return expr


def _accumulate(total: Form, form: Form) -> None:
    for monomial, coefficient in form.items():
        value = total[monomial] + coefficient if monomial in total else coefficient
        if value:
            total[monomial] = value
        else:
            total.pop(monomial, None)


def _generator(table: dict[sp.Symbol, Any], value: Any, prefix: str) -> sp.Symbol:
    for symbol, known in table.items():
        if known == value:
            return symbol
    symbol = sp.Symbol(f"{prefix}{len(table):04}")
    table[symbol] = value
    return symbol


def _orient(expr: sp.Expr) -> sp.Expr:
    """Φ(−h) = 1 − Φ(h) and Φ₂(−h, k; r) = Φ(k) − Φ₂(h, k; −r), with Φ₂ symmetric in h and k."""
    if isinstance(expr, Phi):
        (h,) = expr.args
        return 1 - Phi(-h) if h.could_extract_minus_sign() else expr
    if isinstance(expr, Phi2):
        h, k, r = expr.args
        if h.could_extract_minus_sign():
            return _orient(Phi(k)) - _orient(Phi2(-h, k, -r))
        if k.could_extract_minus_sign():
            return _orient(Phi(h)) - _orient(Phi2(h, -k, -r))
        h, k = sorted((h, k), key=sp.default_sort_key)
        return Phi2(h, k, r)
    return expr.replace(lambda e: isinstance(e, Phi | Phi2), _orient)


def sample_points(symbols: Iterable[sp.Symbol]) -> list[dict[sp.Symbol, sp.Expr]]:
    """Three generic points of the domain: |c| < √(q1 q2), and parameters within their assumptions."""
    R = sp.Rational
    covariances = [(R(2), R(1, 2), R(-2, 5)), (R(3, 7), R(11, 5), R(5, 7)), (R(9, 4), R(13, 8), R(-17, 10))]
    parameters = _parameters(set(symbols))
    points = []
    for n, (a, b, ab) in enumerate(covariances):
        point = {q1: a, q2: b, c: ab, q: a, Delta: a * b - ab**2, t: 2 * ab / 3, path: R(3, 5)}
        for k, s in enumerate(parameters):
            value = R(3 + 4 * k + 2 * n, 4)
            point[s] = -value if s.is_negative or (s.is_positive is None and (n + k) % 2) else value
        points.append(point)
    return points


def _parameters(symbols: set[sp.Symbol]) -> list[sp.Symbol]:
    return sorted(symbols - {q1, q2, c, q, Delta, t, path}, key=lambda s: s.name)


@cache
def sign_on_domain(factor: sp.Expr) -> int:
    """The sign of an irreducible factor, by its assumptions or at sample points; 0 where it varies."""
    if factor.is_positive:
        return 1
    if factor.is_negative:
        return -1
    symbols = factor.free_symbols
    parameters = _parameters(symbols)
    signs = set()
    for point in sample_points(symbols):
        for values in product(PARAMETER_SAMPLES, repeat=len(parameters[:3])):
            bound = dict(zip(parameters, values, strict=False))
            allowed = {
                s: abs(v) if s.is_nonnegative else -abs(v) if s.is_nonpositive else v for s, v in bound.items()
            }
            signs.add(sp.sign(factor.subs(point | allowed)))
    return int(signs.pop()) if len(signs) == 1 else 0
