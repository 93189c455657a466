"""The page and the pictures of a benchmark."""

import math
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.ticker import NullFormatter


@dataclass(frozen=True)
class Verdict:
    """A ratio, how large or small it is to be, and whether it is."""

    what: str
    ratio: float
    bar: float
    reached: bool

    def __str__(self) -> str:
        return f"{'ok' if self.reached else 'MISSED':7}{self.ratio:7.2f} of {self.bar:5g}  {self.what}"


COLOURS = {"numpy": "C0", "numba": "C1", "neural-tangents": "C2", "scikit-ntk": "C3"}
OURS = ("numpy", "numba")

HEAD = """# Benchmarks, measured

Made by `python tests/benchmarks/gram`, which says how to run it: one run, a program after the other on the same
rows, medians of the calls after the first. Rows are standard normal, seed 0; σ_w = √2, σ_b = 0.1. *bound* is a
matrix product and one fused pass of the textbook formula that errs by 2e-8 and refines nothing: what no accurate
evaluator beats. Of float32 the products of rows are single, the recursion is double. Nothing here has run on a GPU
([a bound on paper](gpu.md)).

{machine}.
"""


def machine(versions: dict) -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [
            line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("model name")
        ]
        name = models[0].partition(":")[2].strip() if models else name
    known = {"Python": platform.python_version(), "NumPy": np.__version__, **versions}
    return f"{name}, {cores} cores; " + ", ".join(f"{k} {v}" for k, v in known.items())


def table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


def seconds(result: dict | None) -> str:
    return "" if result is None else f"{result['seconds']:.3g}"


def ratio(slow: dict | None, fast: dict | None) -> str:
    return "" if slow is None or fast is None else f"{slow['seconds'] / fast['seconds']:.1f}"


def times(rows: list) -> str:
    programs = list(rows[0][1])
    return table(
        ["activation", "dtype", "depth", *programs, "nt / numba", "nt / numpy", "scikit-ntk / numba"],
        [
            [case.activation, case.dtype, str(case.depth), *(seconds(found[p]) for p in programs)]
            + [
                ratio(found["neural-tangents"], found["numba"]),
                ratio(found["neural-tangents"], found["numpy"]),
                ratio(found["scikit-ntk"], found["numba"]),
            ]
            for case, found in rows
        ],
    )


def exponents(sweeps: dict) -> str:
    """log2 of the ratio of times when n, depth or d doubles, from the last two values that differ by two."""
    rows = []
    for name, points in sweeps.items():
        doubled = [(a, b) for a in points for b in points if b[0] == 2 * a[0]]
        for a, b in doubled[-1:]:
            powers = [
                f"{math.log2(b[1][p]['seconds'] / a[1][p]['seconds']):.2f}" if a[1][p] and b[1][p] else ""
                for p in COLOURS
            ]
            rows.append([f"{name}: {a[0]} to {b[0]}", *powers])
    return table(["doubled", *COLOURS], rows)


def memory(case, found: dict) -> str:
    result = case.n**2 * np.dtype(case.dtype).itemsize
    rows = [
        [program, f"{r['memory'] / 2**20:.0f}", f"{r['memory'] / result:.2f}"]
        for program, r in found.items()
        if r is not None
    ]
    return table(["", "MB above the imports, late ones too", "of the result"], rows)


def picture(sweeps: dict, path: Path) -> None:
    """Seconds above, and below the ratio of each of ours to neural-tangents."""
    figure, axes = pyplot.subplots(2, len(sweeps), figsize=(10, 5.2), sharex="col", squeeze=False)
    for column, (name, points) in zip(axes.T, sweeps.items(), strict=True):
        for program, colour in COLOURS.items():
            drawn = [(x, r[program]["seconds"], r["neural-tangents"]) for x, r in points if r[program] is not None]
            if not drawn:
                continue
            column[0].loglog([x for x, _, _ in drawn], [s for _, s, _ in drawn], ".-", color=colour, label=program)
            if program in OURS and all(peer is not None for _, _, peer in drawn):
                ratios = [peer["seconds"] / s for _, s, peer in drawn]
                column[1].semilogx([x for x, _, _ in drawn], ratios, ".-", color=colour)
        column[1].set_xlabel(name)
        column[1].xaxis.set_minor_formatter(NullFormatter())  # less than a decade has labels that overlap
        column[1].set_ylim(bottom=0)
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("times as fast as\nneural-tangents")
    axes[0, 0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def bars(found: dict, result: int, path: Path) -> None:
    known = {program: r["memory"] / result for program, r in found.items() if r is not None}
    figure, axes = pyplot.subplots(figsize=(5, 1 + 0.4 * len(known)))
    axes.barh(list(known), list(known.values()), color=[COLOURS[p] for p in known])
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("peak memory above the imports, in units of the result")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def write(folder: Path, found: dict, versions: dict) -> None:
    """benchmarks.md and its pictures, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    case, used = found["memory"]
    swept = found["sweeps"]
    picture(swept, folder / "benchmarks-time.png")
    bars(used, case.n**2 * np.dtype(case.dtype).itemsize, folder / "benchmarks-memory.png")
    table_case = found["table"][0][0]
    parts = [
        HEAD.format(machine=machine(versions)),
        f"## Time\n\nSeconds for the NTK of n = {table_case.n} rows of d = {table_case.d}.\n",
        times(found["table"]),
        "\n![seconds and ratios against depth, n and d](benchmarks-time.png)\n",
        "ReLU in float64; where one varies, the others are n = 2048, depth 3 and d = 784.\n",
        "## Scaling\n\nThe exponent e of time ~ size^e when one size doubles, the others as in the picture.\n",
        exponents(swept),
        f"\n## Memory\n\nPeak, with the rows, at n = {case.n}, d = {case.d} and depth {case.depth}.\n",
        memory(case, used),
        "\n![peak memory](benchmarks-memory.png)\n",
        "## First call\n\nSeconds of the first call in a process, imports not counted.\n",
        table(["", "s"], [[name, f"{r['first']:.3g}"] for name, r in found["first"].items() if r is not None]),
    ]
    if found["phi2"]:
        rows = [
            [c.activation, *("" if r is None else f"{c.n**2 / r['seconds'] / 1e6:.1f}" for r in results.values())]
            for c, results in found["phi2"]
        ]
        parts += [
            "\n## Kernels in Φ₂\n\nMillions of entries a second at depth 1, n = 1024 and d = 784.\n",
            table(["activation", *found["phi2"][0][1]], rows),
        ]
    if found["verdicts"]:
        rows = [[v.what, f"{v.ratio:.2f}", f"{v.bar:g}", "yes" if v.reached else "no"] for v in found["verdicts"]]
        parts += ["\n## What we want to reach\n", table(["", "measured", "wanted", "reached"], rows)]
    (folder / "benchmarks.md").write_text("\n".join(parts) + "\n", encoding="utf-8")
