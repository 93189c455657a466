"""φ in extended precision, that tables are measured by."""

import numpy as np
import pytest
import sympy as sp

from mehler.derive.activation import activation
from mehler.derive.symbols import x
from mehler.derive.tables.certificate import extended


@pytest.mark.parametrize("text", ["tanh(x)*exp(x/8)", "erf(x)*tanh(x)", "x*Phi(x)*sech(x)", "erfc(x)*atan(x)"])
def test_every_function_has_code(text: str) -> None:
    pieces = activation(text).pieces
    at = np.array([-3.0, -1e-9, 0.7, 12.0], np.longdouble)
    for f in (pieces, pieces.derivative()):
        values = extended(f)(at)
        assert values.dtype == np.longdouble
        for u, value in zip(at, values, strict=True):
            exact = sp.N(f.pieces[0].subs(x, sp.Float(str(u), 40)), 30)
            assert abs(sp.Float(str(value), 30) - exact) < 2e-16 * max(1, abs(exact))
