"""Numbers that users write, read exactly: "1/2", "0.1" and 0.1 (one tenth), 2, Fraction(1, 3)."""

import re
from fractions import Fraction
from numbers import Rational, Real
from typing import TypeAlias

import sympy as sp

Number: TypeAlias = int | float | str | Fraction | sp.Expr

# A longer text or a larger exponent would only exhaust memory: 1e99999999 is short to write.
_TEXT = re.compile(r"\s*[+-]?[\d_]{0,400}(\.[\d_]{0,400})?([eE][+-]?\d{1,3})?(/[\d_]{1,400})?\s*")


def exact(value: Number, name: str, error: type[ValueError]) -> sp.Rational:
    """`value` as a rational number; a float stands for its shortest decimal. Raises `error`, in one line."""
    try:
        if isinstance(value, sp.Expr):
            return sp.Rational(value)
        if isinstance(value, str) and not _TEXT.fullmatch(value):
            raise ValueError
        if isinstance(value, Real) and not isinstance(value, Rational):
            value = repr(float(value))
        number = Fraction(value)
        return sp.Rational(number.numerator, number.denominator)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        raise error(
            f"{name}={quoted(value)!r} is not a number; write e.g. {name}=2, {name}=1/2 or {name}=0.1"
        ) from None


def quoted(value: object) -> str:
    """At most 30 characters of a value, for an error."""
    try:
        text = str(value)
    except ValueError:  # Python writes no integer of more than 4300 digits
        text = "an integer too long to write"
    return text if len(text) <= 30 else text[:29] + "…"
