"""Code of scalars: what each operation is printed as means the same number as in the NumPy module."""

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import special

from mehler.derive.emit import numpy as arrays
from mehler.derive.emit import scalar
from mehler.derive.emit.compiled import helpers
from mehler.derive.emit.normal import HELPERS as NORMAL
from mehler.derive.emit.program import OPERATIONS, Apply, Assignment, Constant, Name, Node, Program
from mehler.derive.emit.templates import HELPERS
from mehler.generated import relu

A, B, C = Name("a"), Name("b"), Name("c")
SCALARS: dict[str, Any] = {"np": np, "njit": lambda **_: lambda function: function}
SCALARS |= {name: getattr(np, name) for name in ("copysign", "cos", "cosh", "fabs", "log", "sin", "sinh", "sqrt")}
SCALARS |= {"tan": np.tan, "tanh": np.tanh, "erfc": special.erfc}
exec(helpers(), SCALARS)
ARRAYS: dict[str, Any] = {"np": np, "erf": special.erf, "erfcx": special.erfcx, "ndtr": special.ndtr}
for texts in (*HELPERS.values(), *NORMAL.values()):
    exec("".join(texts), ARRAYS)
ARRAYS["_product_error"] = relu._product_error
MP = mpmath.mp.clone()
MP.dps = 40


def apply(operation: str, *operands: Node) -> Apply:
    return Apply(operation, operands)


def number(value: float) -> Node:
    return Constant(repr(value), repr(value)) if value >= 0 else apply("neg", number(-value))


def both(node: Node, **values: float) -> tuple[float, float]:
    """The value as scalars and as arrays."""
    program = Program(tuple(values), (), (node,))
    given = {name: np.float64(value) for name, value in values.items()}
    lines = "\n".join(f"{name} = {text}" for name, text in scalar.assignments(program))
    with np.errstate(all="ignore"):
        names = SCALARS | given
        exec(lines, names)
        one = eval(scalar.results(program)[0], names)
        lists = {name: np.atleast_1d(value) for name, value in given.items()}
        other = np.ravel(eval(arrays.expression(node), ARRAYS | lists))[0]
    return float(one), float(other)


def units(value: Any, exact: Any) -> float:
    return float(abs(MP.mpf(float(value)) - exact) / MP.mpf(math.ulp(float(exact))))


def test_every_operation_is_printed() -> None:
    more = {"arccos_by_gap", "arcsin_by_gap", "versine", "sector", "quadrant"}
    assert set(scalar.TABLE) == OPERATIONS | more
    for operation, (_, _, needed) in scalar.TABLE.items():
        operands: list[Node] = [A, B, C] * 4
        if operation == "series":
            operands = [A, B, *map(number, (1.25, 3.0, 2.0, 0.5, -0.25))]
        text = arrays.expression(apply(operation, *operands[: len(needed) or 7]), scalar.TABLE)
        compile(text, operation, "eval")
        assert not any(word in text for word in ("np.", "**", " if "))  # C has none of them


SAMPLES = [k / 7 for k in range(-40, 41)] + [1e-12, -1e-300, 1e-300, 30.0, -30.0]


@pytest.mark.parametrize(
    ("name", "exact", "points"),
    [
        ("s_exp", MP.exp, [*SAMPLES, 700.0, -700.0, 0.34657359, -0.3465736]),
        ("s_expm1", MP.expm1, [*SAMPLES, 1e-17, 0.34657359, -0.3465736, 0.35, 700.0]),
        ("s_erfcx", lambda x: MP.exp(x * x) * MP.erfc(x), [abs(v) for v in SAMPLES]),
        ("s_erf", MP.erf, [v for v in SAMPLES if abs(v) < 0.7]),
    ],
)
def test_functions_of_one_argument(name: str, exact: Callable[[Any], Any], points: list[float]) -> None:
    limit = 4 if name == "s_erfcx" else 1.5
    for x in points:
        assert units(SCALARS[name](np.float64(x)), exact(MP.mpf(x))) <= limit, x


def test_the_angle_of_every_octant() -> None:
    for y in (0.0, 1e-300, 1e-9, 0.3, 0.41, 0.42, 0.9, 1.0, 1.1, 2.4, 2.5, 1e9, 1e300):
        for x in (-1.0, 1.0, -3.5, 0.25):
            for sign in (1, -1):
                if y:
                    assert (
                        units(SCALARS["s_atan2"](np.float64(sign * y), np.float64(x)), MP.atan2(sign * y, x)) <= 1.5
                    )
    assert SCALARS["s_atan2"](np.float64(0.0), np.float64(0.0)) == 0
    assert SCALARS["s_atan2"](np.float64(0.0), np.float64(-1.0)) == math.pi


def test_the_angle_of_a_cosine_and_of_a_sine() -> None:
    """Near its ends by what 1 - |cos| says, however close to 1 the cosine is."""
    for gap in (1e-300, 1e-17, 1e-9, 1e-3, 0.3, 0.499, 0.5, 0.501, 0.9, 1 - 1e-9, 1.0):
        for sign in (1, -1):
            near, cos = np.float64(gap), np.float64(sign * (1 - gap))
            exact = 2 * MP.asin(MP.sqrt(MP.mpf(gap) / 2))
            angle = exact if sign > 0 else MP.pi - exact
            assert units(SCALARS["s_arccos"](cos, near), angle) <= 1.5
            if gap <= 0.5:
                assert units(SCALARS["s_arcsin"](cos, near), sign * (MP.pi / 2 - exact)) <= 1.5
    for x in (1e-300, 1e-9, 0.1, -0.3, 0.4999):
        assert units(SCALARS["s_arcsin"](np.float64(x), np.float64(1 - abs(x))), MP.asin(MP.mpf(x))) <= 1.5


def test_the_angle_of_a_point_of_the_circle() -> None:
    """As far as pairs that are apart go: right as the angle of a point whose coordinates are rounded."""
    for x in (k / 1000 for k in range(-923, 924)):
        sine, cosine = np.float64(x), np.sqrt((1 - np.float64(x)) * (1 + np.float64(x)))
        exact = MP.asin(MP.mpf(x))
        assert abs(SCALARS["s_unit_arcsin"](sine, cosine) - exact) <= 2.5 * 2.0**-53, x
        assert abs(SCALARS["s_unit_arccos"](sine, cosine) - (MP.pi / 2 - exact)) <= 4 * 2.0**-53, x
        if 0 < abs(x) < 0.38:
            assert units(SCALARS["s_unit_arcsin"](sine, cosine), exact) <= 1.5, x
    assert SCALARS["s_unit_arcsin"](np.float64(1e-300), np.float64(1.0)) == 1e-300
    assert SCALARS["s_unit_arcsin"](np.float64(0.0), np.float64(1.0)) == 0


@pytest.mark.parametrize("name", ["s_exp", "s_expm1", "s_erfcx", "s_sign", "s_step"])
def test_what_is_not_a_number_stays_so(name: str) -> None:
    with np.errstate(all="ignore"):
        assert math.isnan(SCALARS[name](np.float64("nan")))
        assert math.isnan(SCALARS["s_atan2"](np.float64("nan"), np.float64(1)))
        assert math.isnan(SCALARS["s_atan2"](np.float64(1), np.float64("nan")))


def test_the_ends_of_exp() -> None:
    with np.errstate(all="ignore"):
        for x, value in ((710.0, math.inf), (1e300, math.inf), (-746.0, 0.0), (-1e300, 0.0), (-745.0, 5e-324)):
            assert SCALARS["s_exp"](np.float64(x)) == value
        assert SCALARS["s_exp"](np.float64(709.7)) == pytest.approx(math.exp(709.7), rel=1e-15)
        assert SCALARS["s_expm1"](np.float64(-1e300)) == -1
        assert SCALARS["s_expm1"](np.float64(1e300)) == math.inf


TERMS = (apply("factors", A, B, B), apply("factors", apply("neg", number(0.5)), C), apply("factors", C, A))
SERIES = tuple(map(number, (1.25, 3.0, 2.0, 0.3333333333333333, -0.03333333333333333)))


@pytest.mark.parametrize(
    "node",
    [
        apply("exp_sum", *TERMS),
        apply("exp_gap", apply("sub", A, B), *TERMS),
        apply("exp_gap", number(-5.0), *TERMS),
        apply("series", A, B, *SERIES),
        apply("series", apply("add", A, number(3.0)), B, *SERIES),
        apply("one_minus_cos", A, B),
        apply("one_minus_cos", apply("neg", A), B),
        apply("gap", A, C, number(0.7), number(0.7141428428542850)),
        apply("gap", A, C, number(-0.7), number(0.7141428428542850)),
        apply("atan", apply("neg", C)),
        apply("sign", apply("neg", B)),
        apply("step", B),
        apply("Phi", B),
        apply("scaled_phi", A, apply("sub", A, apply("div", apply("mul", B, B), number(2.0))), B),
    ],
)
def test_the_operations_mean_what_they_mean_of_arrays(node: Node) -> None:
    one, other = both(node, a=0.7310585786300049, b=1.3e-1, c=3.3333333333333335)
    assert one == pytest.approx(other, rel=1e-15)


@pytest.mark.parametrize("apart", [0.0, 1e-3, 3.5])
@pytest.mark.parametrize("name", ["exp_sum", "exp_gap"])
def test_an_exponent_whose_products_cancel(name: str, apart: float) -> None:
    """At 1e12 a product is rounded by 1e-5, which is not small beside what is left of the sum."""
    a, b, c = 1e12, 1e12 + apart, 0.1
    terms = apply("factors", A, C), apply("factors", apply("neg", B), C)
    near = (number(-5.0),) if name == "exp_gap" else ()
    with MP.workdps(60):
        exact = MP.exp(MP.mpf(a) * MP.mpf(c) - MP.mpf(b) * MP.mpf(c))
    for value in both(apply(name, *near, *terms), a=a, b=b, c=c):
        assert value == pytest.approx(float(exact), rel=4e-16)


@pytest.mark.parametrize("h", [-40.0, -3.0, -0.2, 0.0, 0.4, 2.0, 6.0])
@pytest.mark.parametrize("r", [-0.999, -0.5, 0.0, 0.7, 1 - 1e-6])
def test_quadrants(h: float, r: float) -> None:
    for k in (-5.0, -0.6, 0.0, 0.3, 1.7):
        s = math.sqrt(1 - r * r)
        p, across = (k - r * h) / s, (h - r * k) / s
        e = min(h * h, k * k) / 2
        operands = (
            e,
            h,
            p,
            e - h * h / 2,
            e - (h * h + p * p) / 2,
            k,
            across,
            e - k * k / 2,
            e - (h * h + p * p) / 2,
        )
        one, other = both(
            apply("scaled_phi2", *map(Name, "abcdefghi")), **dict(zip("abcdefghi", operands, strict=True))
        )
        scale = max(1.0, math.exp(e)) if max(h, k) > 0 else other
        assert abs(one - other) <= 4e-15 * abs(scale)
        parts = apply("parts_phi2", *map(Name, "abcdefghij"))
        one, other = both(parts, **dict(zip("abcdefghij", (other, *operands), strict=True)))
        assert one == pytest.approx(other, rel=1e-14)


def test_what_is_known_is_an_input() -> None:
    rho, sine = Name("rho"), Name("sin_theta")
    body = (Assignment("norm", apply("mul", apply("sqrt", Name("q1")), apply("sqrt", Name("k2")))),)
    outputs = tuple(apply("one_minus_cos", cos, sine) for cos in (rho, apply("abs", rho), apply("neg", rho)))
    program = scalar.with_known(Program(("q1", "rho", "sin_theta", "k2"), body, (apply("sqrt", A), *outputs)))
    assert program.inputs == ("q1", "root_q1", "rho", "sin_theta", "gap", "k2", "root_k2")
    assert scalar.assignments(program) == [("norm", "root_q1 * root_k2")]
    assert scalar.results(program) == ["sqrt(a)", "s_versine(rho, gap)", "gap", "s_one_minus_cos(-rho, sin_theta)"]
    assert SCALARS["s_versine"](0.75, 0.25) == 0.25
    assert SCALARS["s_versine"](-0.75, 0.25) == 1.75


def test_equal_sectors_are_one() -> None:
    one = tuple(map(Name, ("h", "p", "rest_h", "rest")))
    other = tuple(map(Name, ("k", "p_k", "rest_k", "rest")))
    opposite = (Name("minus"), *other[1:])
    body = (Assignment("minus", apply("neg", Name("k"))),)
    outputs = tuple(apply("scaled_phi2", A, *one, *edge) for edge in (other, opposite))
    program = scalar.with_sectors(Program(("h", "k"), body, outputs))
    assert scalar.assignments(program) == [
        ("minus", "-k"),
        ("sector1", "s_sector(fabs(h), -p, rest_h, rest)"),
        ("sector2", "s_sector(fabs(k), -p_k, rest_k, rest)"),
    ]
    assert scalar.results(program) == [f"s_quadrant(a, h, {k}, sector1, sector2)" for k in ("k", "minus")]
