"""The main job, end to end: from an activation to a kernel machine on real data."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mehler import files
from mehler.api import Network
from mehler.certify import Certificate, certify, subject_of
from mehler.console import out, progress_bar, say
from mehler.derive.dual import NumericDual, ProvedDual
from mehler.derive.pipeline import derive_dual, source_of
from mehler.numeric import workers
from mehler.numeric.estimators.machine import class_targets
from mehler.numeric.evaluator import Evaluator, load_source
from mehler.numeric.gram import Kernel
from mehler.numeric.inference.solve import solve

TRAIN = 1000
DEPTH = 3
RIDGE = 1e-4
SEED = 0

Array = Any


def run(activation: str, params: Mapping[str, Any], folder: Path, threads: int | None = None) -> dict[str, Any]:
    """Derive, prove, generate, check and classify by `threads`; print each stage, and return the figures.

    Raises DeriveError and NumericError.
    """
    workers.count(threads)
    with files.folder(folder):
        return _run(activation, params, folder, threads)


def _run(activation: str, params: Mapping[str, Any], folder: Path, threads: int | None) -> dict[str, Any]:
    started = time.perf_counter()
    _heading("1. Derive and prove")
    dual = derive_dual(activation, **params)
    say(f"{dual}\n\n{dual.proof}".rstrip())

    _heading("2. Generate a standalone evaluator")
    with progress_bar() as bar:
        task = bar.add_task("tables", total=None, visible=False)
        source = source_of(
            dual, "evaluator", progress=lambda n, m: bar.update(task, completed=n, total=m, visible=True)
        )
    with files.text_file(folder / "evaluator.py") as write:
        write(source)
    imports = "NumPy and SciPy" if "\nfrom scipy" in source else "NumPy alone"
    say(f"{folder / 'evaluator.py'}: {len(source.splitlines())} lines that import {imports}")

    _heading("3. Check it against mpmath")
    evaluator = Evaluator(load_source(source, "evaluator.py"), {})
    certificate = certify(subject_of(evaluator, np.dtype(np.float64)), points=4)
    say(
        f"worst error {certificate.max_ulp:.2f} scaled ulp at {sum(r.points for r in certificate.rows)} values, "
        f"budget {certificate.budget:g}; formula against quadrature: {certificate.formula_error:.0e}"
    )

    _heading("4. Classify handwritten digits (scikit-learn, 8 x 8 pixels)")
    scores, ntk = _classify(activation, evaluator, threads)
    pictures = _pictures(dual, evaluator, ntk, folder)
    seconds = time.perf_counter() - started
    for picture in pictures:
        say(f"picture: {picture}")
    if not pictures:
        say("no pictures: matplotlib is not installed (pip install 'mehler[plot]')")
    say(f"\n{seconds:.1f} s in all")
    return _results(activation, dual, certificate, scores, pictures, seconds)


def _classify(activation: str, evaluator: Evaluator, threads: int | None) -> tuple[dict[str, float], Array]:
    from sklearn.datasets import load_digits
    from sklearn.metrics.pairwise import rbf_kernel

    digits = load_digits()
    order = np.random.default_rng(SEED).permutation(len(digits.target))
    images, labels = digits.data[order], digits.target[order]
    sigma_w = _unit_gain(evaluator)
    # Rows of one norm, with the input kernel's variance at 1, where σ_w keeps it through the layers.
    X = images * (np.sqrt(images.shape[1]) / sigma_w / np.linalg.norm(images, axis=1, keepdims=True))
    train, test = X[:TRAIN], X[TRAIN:]
    y = class_targets(labels[:TRAIN], 10)

    network = Network(activation, DEPTH, sigma_w, 0.0, evaluator)
    scores: dict[str, float] = {}
    grams = {}
    with progress_bar() as bar:
        kernels: tuple[Kernel, ...] = ("ntk", "nngp")
        for kernel in kernels:
            task = bar.add_task(kernel, total=None)

            def report(done: int, total: int, task: Any = task) -> None:
                bar.update(task, completed=done, total=total)

            fit = network.gram(kernel, train, threads=threads, progress=report)
            cross = network.gram(kernel, test, train, threads=threads, progress=report)
            scores[kernel] = _accuracy(cross @ solve(fit, y, ridge=RIDGE), labels[TRAIN:])
            grams[kernel] = fit
    gamma = 1 / np.median(((train[:200, None] - train[None, :200]) ** 2).sum(axis=2))
    rbf = solve(rbf_kernel(train, gamma=gamma), y, ridge=RIDGE)
    scores["rbf"] = _accuracy(rbf_kernel(test, train, gamma=gamma) @ rbf, labels[TRAIN:])
    say(
        f"{TRAIN} images to fit, {len(test)} to test; depth {DEPTH}, sigma_w {sigma_w:.4f}, sigma_b 0, "
        f"relative ridge {RIDGE:g}\n\n"
        + "\n".join(f"    {name.upper():5} test accuracy {score:.4f}" for name, score in scores.items())
    )
    by_label = np.argsort(labels[:TRAIN], kind="stable")
    return scores, grams["ntk"][np.ix_(by_label, by_label)]


def _accuracy(outputs: Array, labels: Array) -> float:
    """Share of rows whose largest output is at the label."""
    return float(np.mean(outputs.argmax(axis=1) == labels))


def _unit_gain(evaluator: Evaluator) -> float:
    """σ_w with σ_w² K(1, 1, 1) = 1: the variance 1 passes through every layer unchanged."""
    one = np.asarray([1.0])
    return 1 / math.sqrt(float(evaluator.module.kernel_diag(one, **evaluator.values)[0]))


def _pictures(dual: ProvedDual | NumericDual, evaluator: Evaluator, ntk: Array, folder: Path) -> list[str]:
    try:
        import matplotlib
    except ImportError:
        return []
    matplotlib.use("Agg")
    from mehler.pictures import dual_curves, gram_heat_map

    curves, heat_map = folder / "dual.png", folder / "gram.png"
    with files.whole_file(curves) as temporary:
        dual_curves(evaluator, str(dual.activation.expr), temporary)
    with files.whole_file(heat_map) as temporary:
        gram_heat_map(ntk, temporary)
    return [str(curves), str(heat_map)]


def _results(
    activation: str,
    dual: ProvedDual | NumericDual,
    certificate: Certificate,
    scores: dict[str, float],
    pictures: list[str],
    seconds: float,
) -> dict[str, Any]:
    return {
        "activation": activation,
        "status": dual.status,
        "kernel": None if dual.kernel is None else str(dual.kernel),
        "kernel_dot": None if dual.kernel_dot is None else str(dual.kernel_dot),
        "proof_passed": dual.proof.passed,
        "accuracy_ntk": scores["ntk"],
        "accuracy_nngp": scores["nngp"],
        "accuracy_rbf": scores["rbf"],
        "max_ulp": certificate.max_ulp,
        "budget": certificate.budget,
        "pictures": pictures,
        "seconds": round(seconds, 2),
    }


def _heading(text: str) -> None:
    out.print(f"\n[bold]{text}[/bold]")
