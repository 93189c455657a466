"""Bad data and networks: each is refused in one line that names the fault and the remedy."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import mehler

GOOD = np.random.default_rng(0).standard_normal((4, 3))


def _with(row: int, column: int, value: float) -> np.ndarray:
    X = GOOD.copy()
    X[row, column] = value
    return X


def _with_zero_row() -> np.ndarray:
    X = GOOD.copy()
    X[2] = 0
    return X


BAD_ROWS = {
    "a list": (GOOD.tolist(), "must be a NumPy array, not list; use numpy.asarray"),
    "None": (None, "must be a NumPy array, not NoneType"),
    "int64": (np.ones((4, 3), np.int64), "has dtype int64; convert it"),
    "bool": (np.ones((4, 3), bool), "has dtype bool; convert it"),
    "float16": (GOOD.astype(np.float16), "has dtype float16; convert it"),
    "longdouble": (GOOD.astype(np.longdouble), "has dtype float128; convert it"),
    "complex": (GOOD + 0j, "has dtype complex128; convert it"),
    "object": (GOOD.astype(object), "has dtype object; convert it"),
    "big-endian": (GOOD.astype(">f8"), "has dtype >f8; convert it"),
    "text": (np.array([["1"]]), "has dtype <U1; convert it"),
    "times": (np.array([[1]], "m8[s]"), "has dtype timedelta64[s]; convert it"),
    "fields": (np.zeros((4, 3), [("a", "f8")]), "has dtype [('a', '<f8')]; convert it"),
    "many fields": (np.zeros((4, 3), [(f"field{i}", "f8") for i in range(99)]), "; convert it"),
    "masked": (np.ma.array(GOOD, mask=np.arange(12).reshape(4, 3) > 7), "has masked entries; remove it, or fill"),
    "masked NaN": (np.ma.masked_invalid(_with(2, 1, math.nan)), "has masked entries; remove it, or fill"),
    "a row masked": (np.ma.array(GOOD, mask=[[0] * 3, [0] * 3, [1] * 3, [0] * 3]), "has masked entries"),
    "rank 0": (np.array(1.0), r"must have shape (n, d), not ()"),
    "rank 1": (GOOD[0], r"must have shape (n, d), not (3,); put one input in each row"),
    "rank 3": (GOOD[None], r"must have shape (n, d), not (1, 4, 3)"),
    "no rows": (GOOD[:0], r"is empty, of shape (0, 3); give at least one row and one column"),
    "no columns": (GOOD[:, :0], r"is empty, of shape (4, 0)"),
    "NaN": (_with(2, 1, math.nan), "contains NaN or infinity; remove or repair it"),
    "infinity": (_with(2, 1, -math.inf), "contains NaN or infinity; remove or repair it"),
    "zero row": (_with_zero_row(), "is zero and has no direction; remove it or set sigma_b > 0"),
}


def _one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    assert len(text) < 200
    return text


@pytest.mark.parametrize("kernel", ["nngp", "ntk"])
@pytest.mark.parametrize("what", BAD_ROWS)
def test_bad_rows_in_X(what: str, kernel: str) -> None:
    if what == "longdouble" and np.dtype(np.longdouble).itemsize != 16:
        pytest.skip("long double is double here")
    X, message = BAD_ROWS[what]
    with pytest.raises(mehler.NumericError) as raised:
        getattr(mehler.network("relu"), kernel)(X)
    text = _one_line(raised.value)
    assert message in text
    assert "X" in text
    if what in ("NaN", "infinity", "zero row") or "masked" in what:
        assert text.startswith("row 2 of X")


@pytest.mark.parametrize("what", [what for what in BAD_ROWS if what not in ("None", "longdouble")])
def test_bad_rows_in_Y(what: str) -> None:
    Y, message = BAD_ROWS[what]
    with pytest.raises(mehler.NumericError) as raised:
        mehler.network("relu").ntk(GOOD, Y)
    text = _one_line(raised.value)
    assert message in text
    assert "Y" in text


def test_columns_must_match() -> None:
    with pytest.raises(mehler.NumericError, match="X has 3 columns and Y has 2; they must be equal"):
        mehler.network("relu").ntk(GOOD, GOOD[:, :2])


def test_dtypes_must_match() -> None:
    with pytest.raises(mehler.NumericError, match="X is float64 and Y is float32; convert one"):
        mehler.network("relu").ntk(GOOD, GOOD.astype(np.float32))


def test_a_zero_row_is_welcome_with_a_bias() -> None:
    assert np.isfinite(mehler.network("relu", depth=2, sigma_b=0.1).ntk(_with_zero_row())).all()


@pytest.mark.parametrize("depth", [-1, 1.0, 1.5, math.nan, "2", True, None, np.float64(2)])
def test_bad_depth(depth: Any) -> None:
    with pytest.raises(mehler.NumericError, match="must be an integer >= 0, the number of hidden layers") as raised:
        mehler.network("relu", depth=depth)
    assert _one_line(raised.value).startswith(f"depth={depth!r}")


@pytest.mark.parametrize(
    "depth", [100_001, 2**31, 2**64, np.uint64(2**63), 10**400, pytest.param(10**5000, id="a long integer")]
)
def test_a_depth_without_end(depth: Any) -> None:
    with pytest.raises(mehler.NumericError, match="is too deep; use at most 100000 hidden layers") as raised:
        mehler.network("relu", depth=depth)
    _one_line(raised.value)


@pytest.mark.parametrize(
    "value", [10**400, pytest.param(10**5000, id="a long integer"), Fraction(10**400, 3), -(10**400)]
)
@pytest.mark.parametrize("name", ["sigma_w", "sigma_b"])
def test_scales_beyond_the_floats(name: str, value: Any) -> None:
    fault = "must be a finite number" if value < 0 else "has a square outside the range of floats"
    with pytest.raises(mehler.NumericError, match=fault) as raised:
        mehler.network("relu", **{name: value})
    assert _one_line(raised.value).startswith(f"{name}=")


class _Refusing:
    """A number of another library that cannot be a float, nor be shown."""

    def __float__(self) -> float:
        raise RuntimeError("on another device")

    __repr__ = __float__  # type: ignore[assignment]


@pytest.mark.parametrize("value", [_Refusing(), np.ones((30, 30)), "w" * 1000, {}])
def test_scales_that_are_no_numbers(value: Any) -> None:
    with pytest.raises(mehler.NumericError, match="must be a finite number") as raised:
        mehler.network("relu", sigma_w=value)
    _one_line(raised.value)


@pytest.mark.parametrize(
    "value",
    [
        10**400,
        pytest.param(10**5000, id="a long integer"),
        pytest.param(Fraction(10**5000, 3), id="long"),
        _Refusing,
    ],
)
def test_parameters_beyond_the_floats(value: Any) -> None:
    with pytest.raises(mehler.NumericError, match="is not a finite number; write e.g. a=0.1") as raised:
        mehler.network("leaky_relu", a=value)
    _one_line(raised.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, "wide", None, 1j, [1.0, 2.0]])
@pytest.mark.parametrize("name", ["sigma_w", "sigma_b"])
def test_bad_scales(name: str, value: Any) -> None:
    with pytest.raises(mehler.NumericError, match="must be a finite number") as raised:
        mehler.network("relu", **{name: value})
    assert _one_line(raised.value).startswith(f"{name}={value!r}")


@pytest.mark.parametrize("value", [1e200, 1e-200])
@pytest.mark.parametrize("name", ["sigma_w", "sigma_b"])
def test_scales_whose_square_is_no_float(name: str, value: float) -> None:
    with pytest.raises(mehler.NumericError, match="has a square outside the range of floats") as raised:
        mehler.network("relu", **{name: value})
    assert _one_line(raised.value).startswith(f"{name}={value!r}")


@pytest.mark.parametrize(("scale", "size"), [(1e200, "large"), (1e-160, "small")])
@pytest.mark.parametrize("name", ["X", "Y"])
def test_rows_whose_variance_is_no_normal_float(name: str, scale: float, size: str) -> None:
    """Below the normal floats digits are lost silently, above the finite ones all is."""
    bad = GOOD.copy()
    bad[1] *= scale
    rows = (bad,) if name == "X" else (GOOD, bad)
    with pytest.raises(mehler.NumericError, match=f"row 1 of {name} is too {size} for float64") as raised:
        mehler.network("relu").ntk(*rows)
    _one_line(raised.value)


def test_sigma_w_is_positive_and_sigma_b_may_be_0() -> None:
    with pytest.raises(mehler.NumericError, match=r"sigma_w=0 must be a finite number > 0"):
        mehler.network("relu", sigma_w=0)
    assert mehler.network("relu", sigma_b=0).sigma_b == 0


def test_numpy_integers_and_scalars_are_accepted() -> None:
    net = mehler.network("relu", depth=np.int64(2), sigma_w=np.float32(1.5), sigma_b=np.float64(0.5))
    assert (net.depth, net.sigma_w, net.sigma_b) == (2, 1.5, 0.5)


@pytest.mark.parametrize("activation", [None, 3, b"relu", ["relu"]])
def test_an_activation_is_text(activation: Any) -> None:
    with pytest.raises(mehler.DeriveError, match="an activation is text such as"):
        mehler.network(activation)


@pytest.mark.parametrize(
    "same",
    [
        np.ma.array(GOOD),
        np.ma.array(GOOD, mask=False),
        GOOD.view(np.matrix),
        GOOD.view(np.recarray),
        GOOD[::-1, ::-1].copy()[::-1, ::-1],
        np.repeat(GOOD, 3, axis=0)[::3],
    ],
    ids=["no mask", "nothing masked", "matrix", "recarray", "negative strides", "strides"],
)
def test_arrays_of_other_classes_and_strides_count_as_their_numbers(same: np.ndarray) -> None:
    K = mehler.network("relu", depth=2).ntk(same)
    assert type(K) is np.ndarray
    assert np.array_equal(K, mehler.network("relu", depth=2).ntk(GOOD))


def test_rows_that_share_memory_are_rows() -> None:
    window = np.lib.stride_tricks.sliding_window_view(GOOD.ravel(), 3)
    assert np.array_equal(mehler.network("relu").ntk(window), mehler.network("relu").ntk(window.copy()))


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus"])
@pytest.mark.parametrize("where", ["X", "Y"])
def test_a_variance_beyond_what_can_be_summed(name: str, where: str) -> None:
    bad = GOOD.copy()
    bad[2] *= 1e150
    bad[1] *= 1e151
    rows = (bad,) if where == "X" else (GOOD, bad)
    with pytest.raises(
        mehler.NumericError, match="for sums at variances over .*; scale|: scale the inputs"
    ) as raised:
        mehler.network(name).ntk(*rows)
    assert str(raised.value).endswith(f"(row 1 of {where} is the longest)")


@pytest.mark.parametrize("options", [{"sigma_w": 1e80}, {"sigma_b": 1e80}, {"sigma_w": 1e76, "depth": 3}])
def test_a_network_whose_variances_are_beyond_what_can_be_summed(options: dict[str, Any]) -> None:
    with pytest.raises(
        mehler.NumericError, match="for sums at variances over .* scale the inputs, sigma_w or sigma_b"
    ):
        mehler.network("tanh", **options).nngp(GOOD)
