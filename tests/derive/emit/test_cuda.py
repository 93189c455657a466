"""The translator of scalars to CUDA C++: what it prints, and that it refuses what it does not know."""

import pytest

from mehler.derive.emit.cuda import translated
from mehler.derive.errors import EmitError

FLAGS = """
SCALAR = {"nogil": True}
CONTRACTED = {**SCALAR, "fastmath": {"contract"}}
HALF, COUNT = 0.5, 3
PAIRS = ((0.25, 0.5), (0.75, 0.5))
NODES = np.array([[0.1, 0.2, 0.3], [1.0, 2.0, 3.0]])
"""


def c_of(text: str, decorator: str = "SCALAR") -> str:
    """The C++ of the function f."""
    whole = translated((f"{FLAGS}\n@njit(**{decorator})\n{text}",), ("f",))
    return whole[whole.index("f(") :]


def test_products_and_sums_keep_their_roundings_unless_they_may_contract() -> None:
    text = "def f(a, b):\n    return a * b + 1 - a / b"
    assert "return __dsub_rn(__dadd_rn(__dmul_rn(a, b), 1.0), a / b);" in c_of(text)
    assert "return ((a * b) + 1.0) - (a / b);" in c_of(text, "CONTRACTED")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("return s_choose(a < b, 0, a)", "return (a < b) ? 0.0 : a;"),
        ("return 2.0 * (a < b)", "__dmul_rn(2.0, (a < b) ? 1.0 : 0.0)"),
        ("return a if (a > 0) & (b > 0) else -b", "return bool((a > 0.0) & (b > 0.0)) ? a : (-b);"),
        ("a, b = b, a\n    return a", "double value_2 = a;\n    a = value_1;\n    b = value_2;"),
        ("cos, new = cos_of(a)\n    return cos", "cos_ = values_1._0;\n    double new_ = values_1._1;"),
        ("return cos_of(a)[1]", "return cos_of(a)._1;"),
        ("return min(a, COUNT * HALF)", "s_min(a, __dmul_rn((double)COUNT, HALF))"),
        ("k = np.float64(a).view(np.int64)\n    return np.int64((k + 1) << 52).view(np.float64)", "<< 52"),
        ("for n in range(NODES.shape[1]):\n        a += NODES[0, n]\n    return a", "__dadd_rn(a, NODES[0][n])"),
        ("for x, w in PAIRS:\n        b = b + w * x\n    return b", "double x, w;"),
        ("if a > b:\n        c = 1.0\n    else:\n        c = b\n    return c", "double c;\n    if (a > b) {"),
    ],
)  # fmt: skip
def test_what_is_printed(text: str, expected: str) -> None:
    helper = '\n\n\n@njit(**SCALAR)\ndef cos_of(x):\n    """cos."""\n    return cos(x), 2 * x\n'
    assert expected in c_of(f"def f(a, b):\n    {text}{helper}")


def test_tables() -> None:
    head = 'def f(rows: "table", i: "index", end: "index"):\n    for n in range(1, end + 1):\n        '
    text = head + "rows[n, 2, i] = rows[n - 1, i]"
    printed = c_of(text)
    assert "for (long long n = 1; n < (end + 1); ++n) {" in printed
    assert "rows(n, 2, i) = rows((n - 1), i);" in printed


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def f(a):\n    while a < 1:\n        a = a + 1\n    return a", "a statement is"),
        ("def f(a):\n    return [a]", "not in the language"),
        ("def f(a):\n    return a ** 2", "the operator is not known"),
        ("def f(a):\n    return a // 2", "the operator is not known"),
        ("def f(a):\n    return gamma(a)", "the function is not known"),
        ("def f(a):\n    return sqrt(a, a)", "the function is not known"),
        ("def f(a):\n    sqrt = a\n    return sqrt(a)", "the function is not known"),
        ("def f(a):\n    return f(a)", "it calls itself"),
        ("def f(a):\n    if a < 1:\n        return a", "without a result"),
        ("def f(a):\n    if a < 1:\n        b = a\n    return b", "may have no value"),
        ("def f(a):\n    for n in range(2):\n        b = a\n    return b", "may have no value"),
        ("def f(a):\n    return b", "it has no value"),
        ("def f(a):\n    return 0 < a < 1", "not in the language"),
        ("def f(a):\n    return a if a else 1.0", "a condition is a comparison"),
        ("def f(a):\n    b = 1\n    b = a\n    return b", "it is long long, then double"),
        ("def f(a):\n    b, c = a\n    return b", "it is not 2 numbers"),
        ("def f(a):\n    return a[0]", "no such part"),
        ("def f(a):\n    return 1 << 52", "are one number"),
        ("def f(a):\n    return a < 1 < 2", "not in the language"),
        ("def f(a, b=1):\n    return a", "its parameters are not plain"),
        ("def f(a: int):\n    return a", "a parameter is a number"),
        ("def f(a):\n    a[0] = 1.0\n    return a", "no such part"),
        ("def f(a):\n    return NODES", "no number"),
        ("def f(a):\n    return SCALAR", "no number"),
        ("def f(a):\n    return 1e400", "number inf"),
        ("def f(a):\n    return np.log1p(a)", "the function is not known"),
        ("def f(a):\n    return max(a, key=a)", "not in the language"),
    ],
)
def test_what_it_does_not_know_it_refuses(text: str, reason: str) -> None:
    with pytest.raises(EmitError, match=reason):
        c_of(text)


def test_decorators() -> None:
    for decorator in ("@cache", "@njit", "@njit(fastmath=True)"):
        with pytest.raises(EmitError, match="its decorator is not"):
            translated((f"{FLAGS}\n{decorator}\ndef f(a):\n    return a",), ("f",))
