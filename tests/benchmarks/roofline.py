"""A bound for the time of the CUDA kernel on paper: python tests/benchmarks/roofline.py

The scalars that the kernel is translated from are run as Python on numbers that count what is done with them, for
random pairs of rows at two depths: the difference is what a layer costs. Nothing here ran on a GPU.
"""

import ast
import math
from collections import Counter
from typing import Any, ClassVar

import numpy as np

from mehler.derive.emit.cupy import scalars
from mehler.derive.emit.module import lowered, measured_source
from mehler.derive.pipeline import closed_form, derive_dual
from mehler.generated import erf, gelu, relu

N, D, DEPTH = 4096, 256, 10
# Instructions of double precision in what the compiler makes of each operation; a division and a square root are
# Newton's steps from an approximation, and their number here is an estimate.
COST = {"add": 1, "multiply": 1, "divide": 9, "sqrt": 9}
# Doubles per second that may be added or multiplied, without a fused multiply-add; bytes per second from memory.
DEVICES = {"A100 (SXM, 80 GB)": (9.7e12 / 2, 2.0e12), "H100 (SXM)": (33.5e12 / 2, 3.35e12)}


class Number(float):
    """A float that counts."""

    counts: ClassVar[Counter[str]] = Counter()

    def view(self, kind: Any) -> Any:
        return np.float64(self).view(kind)


def _operation(name: str, what: str) -> None:
    def method(self: Number, *others: Any) -> Number:
        Number.counts[what] += 1
        return Number(getattr(float, name)(float(self), *map(float, others)))

    setattr(Number, name, method)


for names, what in (
    (("__add__", "__radd__", "__sub__", "__rsub__"), "add"),
    (("__mul__", "__rmul__"), "multiply"),
    (("__truediv__", "__rtruediv__"), "divide"),
):
    for name in names:
        _operation(name, what)


def _sqrt(x: Any) -> Number:
    Number.counts["sqrt"] += 1
    return Number(math.sqrt(x))


class Table:
    """A table of numbers that count."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.values = np.zeros(shape)

    def __getitem__(self, at: Any) -> Number:
        Number.counts["read"] += 1
        return Number(self.values[at])

    def __setitem__(self, at: Any, value: float) -> None:
        self.values[at] = value


def functions(module: Any) -> dict[str, Any]:
    """The scalars of a module, as Python."""
    proved = closed_form(derive_dual(module.EXPRESSION))
    code = lowered(proved)
    names: dict[str, Any] = {"np": np, "njit": lambda **_: lambda function: function, "sqrt": _sqrt}
    names |= {"fabs": lambda x: Number(math.fabs(x)), "copysign": lambda x, y: Number(math.copysign(x, y))}
    for source in reversed(scalars(proved, code, measured_source(proved, "activation", code))):
        body = [node for node in ast.parse(source).body if isinstance(node, ast.Assign | ast.FunctionDef)]
        exec(compile(ast.Module(body, []), "scalars", "exec"), names)  # type: ignore[arg-type]
    return names


def counted(module: Any, depth: int, pairs: int = 40) -> Counter[str]:
    """What a pair costs at a depth, on average."""
    rng, total = np.random.default_rng(0), Counter[str]()
    names = functions(module)
    for _ in range(pairs):
        X, rows = Table((2, D)), Table((depth + 1, names["PARTS"], 2))
        X.values = rng.standard_normal((2, D))
        for row in (0, 1):
            names["s_row"](
                Number((X.values[row] ** 2).sum()), rows, row, depth, Number(D), Number(1.5), Number(0.1)
            )
        Number.counts.clear()
        product = Number(X.values[0] @ X.values[1])
        names["s_entry"](product, X, rows, 0, X, rows, 1, D, depth, True)
        total += Number.counts
    return Counter({what: count / pairs for what, count in total.items()})  # type: ignore[misc]


def main() -> None:
    entries, bytes_each = N * (N - 1) / 2, 8 + 8 + 8  # the product read, and the kernel written on both sides
    print(f"n = {N}, d = {D}, depth {DEPTH}: {entries:.3g} pairs, {bytes_each} bytes each")
    for module in (relu, erf, gelu):
        ten, eleven = counted(module, DEPTH), counted(module, DEPTH + 1)
        layer = {what: eleven[what] - ten[what] for what in (*COST, "read")}
        issued = sum(cost * ten[what] for what, cost in COST.items())
        flops = sum(ten[what] for what in COST)
        print(f"{module.NAME}: a layer " + ", ".join(f"{count:.1f} {what}" for what, count in layer.items()))
        print(f"    a pair {flops:.0f} operations, {issued:.0f} instructions, {flops / bytes_each:.0f} a byte")
        for device, (rate, memory) in DEVICES.items():
            compute, traffic = 1e3 * entries * issued / rate, 1e3 * entries * bytes_each / memory
            matrix = 1e3 * 2 * N * N * D / (4 * rate)  # by tensor cores, twice the rate of fused multiply-adds
            print(f"    {device}: {compute:.2f} ms of arithmetic, {traffic:.2f} of memory, {matrix:.2f} for X X'")


if __name__ == "__main__":
    main()
