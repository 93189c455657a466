"""Gram matrices by mehler and by its peers in turn, on the same rows in one run; writes docs/benchmarks.md.

    python -m venv PEER && PEER/bin/pip install -r tests/benchmarks/gram/peer_requirements.txt
    python tests/benchmarks/gram --peer PEER/bin/python --out docs --check   # everything, some 20 minutes
    python tests/benchmarks/gram --peer PEER/bin/python --check           # the stated ratios; exit code 1 below one
    python tests/benchmarks/gram --quick --out FOLDER                     # does it run?

Every case is a process of its own. Times are medians of its calls after the first; results are compared entry by
entry off the diagonal.
"""

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import report
from case import SEED, SIGMA_B, SIGMA_W

import mehler
from mehler.console import err, progress_bar

HERE = Path(__file__).parent
ACTIVATIONS = ("relu", "erf", "gelu")
PEERS = ("neural-tangents", "scikit-ntk")
# The peers' own error on these rows, relative: single precision and a cosine rounded near 1.
TOLERANCE = {"float64": 1e-9, "float32": 2e-3}


@dataclass(frozen=True)
class Case:
    activation: str = "relu"
    depth: int = 10
    n: int = 4096
    d: int = 784
    dtype: str = "float64"


@dataclass
class Runner:
    """Runs each program on each case once, and keeps what it found."""

    peer: str | None
    repeat: int
    advance: object = lambda: None
    found: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)

    def __call__(self, program: str, case: Case, *flags: str, repeat: int | None = None, **environment: str):
        """What a program measured, as a dict; None when it cannot run the case."""
        if not self.runs(program, case):
            return None
        key = program, case, *flags, *environment
        if key not in self.found:
            self.found[key] = self._run(
                program, case, flags, self.repeat if repeat is None else repeat, environment
            )
            self.advance()
        return self.found[key]

    def runs(self, program: str, case: Case) -> bool:
        relu = case.activation == "relu" and case.dtype == "float64"
        return {
            "numpy": True,
            "numba": _has_numba(),
            "bound": relu and _has_numba(),
            "neural-tangents": self.peer is not None and case.activation in ("relu", "erf", "gelu"),
            "scikit-ntk": self.peer is not None and relu,
        }[program]

    def _run(self, program: str, case: Case, flags: tuple, repeat: int, environment: dict) -> dict:
        python, script = (self.peer, "peers.py") if program in PEERS else (sys.executable, "ours.py")
        with tempfile.TemporaryDirectory() as folder:
            corner = Path(folder) / "corner.npy"
            command = [python, HERE / script, program, "--repeat", repeat, "--corner", corner, *flags]
            for name in ("activation", "depth", "n", "d", "dtype"):
                command += [f"--{name}", getattr(case, name)]
            done = subprocess.run(
                list(map(str, command)), capture_output=True, text=True, env=os.environ | environment
            )
            if done.returncode:
                sys.exit(f"{program} failed on {case}:\n{done.stderr}")
            result = json.loads(done.stdout.splitlines()[-1])
            self._compare(program, case, np.load(corner))
        self.versions |= {k: v for k, v in result["versions"].items() if k not in ("Python", "NumPy")}
        return result

    def _compare(self, program: str, case: Case, corner: np.ndarray) -> None:
        """Every program against the NumPy module, which is called here on the same rows."""
        rows = np.random.default_rng(SEED).standard_normal((len(corner), case.d)).astype(case.dtype)
        bias = 0.0 if program == "scikit-ntk" else SIGMA_B
        scales = {"depth": case.depth, "sigma_w": SIGMA_W, "sigma_b": bias}
        ours = mehler.network(case.activation, **scales, target="numpy").ntk(rows)
        if program == "neural-tangents":  # its readout has sigma_w = 1 and sigma_b = 0
            corner = SIGMA_W**2 * corner + SIGMA_B**2
        if program == "scikit-ntk":  # ReLU is homogeneous: it leaves out 2/d, and divides by depth + 1
            corner = corner * (SIGMA_W**2 / case.d * (case.depth + 1))
        off = ~np.eye(len(ours), dtype=bool)
        error = (np.abs(corner - ours) / np.abs(ours).max())[off].max()
        tolerance = 1e-7 if program == "bound" else TOLERANCE[case.dtype]
        if not error <= tolerance:
            sys.exit(f"{program} differs from ours by {error:.1e} on {case}")


def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


def measure(run: Runner, quick: bool) -> dict:
    """All that the page shows."""
    base = Case(n=64, d=8, depth=2) if quick else Case()
    middle = base if quick else replace(base, n=2048, depth=3)
    programs = ("numpy", "numba", *PEERS, "bound")
    cases = [base] if quick else [replace(base, activation=a, depth=L) for a in ACTIVATIONS for L in (1, 3, 10)]
    cases += [] if quick else [replace(base, dtype="float32", depth=L) for L in (1, 3, 10)]
    large = base if quick else replace(base, n=8192)
    sweeps = {
        "depth": (2, 4) if quick else (1, 3, 5, 10, 20, 40),
        "n": (64,) if quick else (256, 512, 1024, 2048, 4096),
        "d": (8,) if quick else (16, 64, 256, 784, 1568, 4096),
    }

    def every(case: Case, wanted: tuple = programs, *flags: str, **options: object) -> dict:
        return {program: run(program, case, *flags, **options) for program in wanted}

    return {
        "table": [(case, every(case)) for case in cases],
        "sweeps": {
            name: [(value, every(replace(middle, **{name: value}), programs[:-1])) for value in values]
            for name, values in sweeps.items()
        },
        "memory": (large, every(large, programs[:-1], "--imported", repeat=0)),
        "first": first_calls(run, base),
        "phi2": [(case, every(case, programs[:2])) for case in ([] if quick else PHI2)],
    }


def first_calls(run: Runner, case: Case) -> dict:
    """Seconds of the first call in a process: without and with what Numba keeps on disk."""
    with tempfile.TemporaryDirectory() as folder:
        cold = run("numba", case, repeat=0, NUMBA_CACHE_DIR=folder)
        run.found.pop(("numba", case, "NUMBA_CACHE_DIR"), None)
        kept = run("numba", case, repeat=0, NUMBA_CACHE_DIR=folder)
    return {
        "numpy": run("numpy", case), "numba, nothing on disk": cold, "numba, from disk": kept,
        "neural-tangents": run("neural-tangents", case),
    }  # fmt: skip


# (program, slower program, case, how many times as fast at least)
FLOORS = [
    *(("numba", "neural-tangents", Case(a), floor) for a, floor in (("relu", 12), ("erf", 10), ("gelu", 10))),
    ("numba", "neural-tangents", Case(dtype="float32"), 12),
    ("numba", "neural-tangents", Case(depth=1), 2.5),
    ("numba", "scikit-ntk", Case(), 25),
    ("numpy", "neural-tangents", Case(), 5),
    ("numba", "bound", Case(), 0.625),
]  # fmt: skip
MEMORY = 1.25  # of the result, at most
FIRST = {"numba, nothing on disk": 5, "numba, from disk": 0.5}  # seconds at most, of a case whose Gram is small
PHI2 = tuple(Case(activation, 1, 1024) for activation in ("elu", "hard_swish"))
ENTRIES = 5  # millions of them a second in Φ₂, at least


def checked(run: Runner) -> list[report.Verdict]:
    """Every stated ratio, and whether it is reached."""
    found = []
    for program, slower, case, floor in FLOORS:
        ours = run(program, case)
        theirs = None if ours is None else run(slower, case)
        what = f"{case.activation}, depth {case.depth}, {case.dtype}: {program} as fast as {slower}, times"
        ratio = math.nan if ours is None or theirs is None else theirs["seconds"] / ours["seconds"]
        found.append(report.Verdict(what, ratio, floor, ratio >= floor))
    large = Case(n=8192)
    for program in ("numpy", "numba"):
        if (ours := run(program, large, "--imported", repeat=0)) is not None:
            ratio = ours["memory"] / (8 * large.n**2)
            found.append(report.Verdict(f"peak memory of {program}, n = {large.n}", ratio, MEMORY, ratio <= MEMORY))
    small = Case(n=256)
    for name, result in first_calls(run, small).items():
        if name in FIRST and result is not None:
            what = f"first call of {name}, n = {small.n}, seconds"
            found.append(report.Verdict(what, result["first"], FIRST[name], result["first"] <= FIRST[name]))
    for case in PHI2:
        if (ours := run("numba", case)) is not None:
            rate = case.n**2 / ours["seconds"] / 1e6
            what = f"{case.activation}, depth {case.depth}: numba, millions of entries a second"
            found.append(report.Verdict(what, rate, ENTRIES, rate >= ENTRIES))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="Python of the peers' environment; without it only ours run")
    parser.add_argument("--out", type=Path, help="folder for benchmarks.md and its pictures")
    parser.add_argument("--check", action="store_true", help="compare ratios with the stated floors")
    parser.add_argument("--quick", action="store_true", help="few and small cases, to see that it runs")
    args = parser.parse_args()
    if not args.check and not args.out:
        parser.error("give --out FOLDER, or --check, or both")
    with progress_bar() as bar:
        task = bar.add_task("cases", total=None)
        run = Runner(args.peer, 1 if args.quick else 5, lambda: bar.advance(task))
        found = measure(run, args.quick) if args.out else {}
        verdicts = checked(run) if args.check else []
    if args.out:
        report.write(args.out, found | {"verdicts": verdicts}, run.versions)
        err.print(f"{args.out / 'benchmarks.md'}: {len(run.found)} cases", markup=False)
    for each in verdicts:
        print(each)
    sys.exit(0 if all(each.reached for each in verdicts) else 1)


if __name__ == "__main__":
    main()
