"""`mehler fit`: from two files to a score and predictions with error bars."""

import csv
import io
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mehler.arguments import Kernel, Target, ThreadsOption

Task = Literal["auto", "regression", "classification"]


def fit(
    train: Annotated[Path, typer.Argument(help="A .csv, .npz or .parquet file with a target column.")],
    test: Annotated[Path, typer.Argument(help="One with the same columns; scored if it has the target.")],
    activation: Annotated[str, typer.Option(help="A name or a function of x.")] = "relu",
    depth: Annotated[int, typer.Option(help="Hidden layers, >= 0.")] = 3,
    sigma_w: Annotated[float, typer.Option(help="Scale of the weights, > 0.")] = math.sqrt(2),
    sigma_b: Annotated[float, typer.Option(help="Scale of the biases, >= 0.")] = 0.0,
    kernel: Annotated[Kernel, typer.Option(help="ntk or nngp.")] = "ntk",
    target: Annotated[str | None, typer.Option(help="The column to predict; 'target' or 'y' unless given.")] = None,
    task: Annotated[Task, typer.Option(help="auto: regression where the target has decimals.")] = "auto",
    ridge: Annotated[float | None, typer.Option(help="Relative ridge; by leave-one-out unless given.")] = None,
    standardise: Annotated[
        bool, typer.Option(help="Shift and scale columns so that the training rows have mean 0 and deviation 1.")
    ] = True,
    out: Annotated[Path | None, typer.Option(help="Write predictions with error bars to this .csv file.")] = None,
    evaluator: Annotated[
        Target, typer.Option(help="What evaluates: numba, numpy, or the first installed.")
    ] = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Fit a network of infinite width to TRAIN, score it on TEST, and write predictions with error bars."""
    from mehler.console import say
    from mehler.files import text_file
    from mehler.numeric.errors import NumericError

    if out is not None and out.suffix != ".csv":
        raise NumericError(f"--out {out} is not a .csv file; name one, e.g. --out predictions.csv")
    network = {
        "activation": activation, "depth": depth, "sigma_w": sigma_w, "sigma_b": sigma_b, "kernel": kernel,
        "target": evaluator, "threads": threads,
    }  # fmt: skip
    data = _read(train, test, target, task)
    with nullcontext() if out is None else text_file(out) as write:
        report, rows = _fitted(data, network, ridge, standardise)
        if write is not None:
            write(_text(rows))
    for line in report:
        say(line)
    if out is not None:
        say(f"wrote   {out}, {len(rows) - 1} rows")


@dataclass(frozen=True)
class _Data:
    """Training and test rows, their targets (of the test file if it has them), and whether they are classes."""

    X: Any
    y: Any
    X_test: Any
    y_test: Any
    classes: bool


def _read(train: Path, test: Path, target: str | None, task: Task) -> _Data:
    from mehler.columns import matrix, numbers, read_columns, split

    columns, others = read_columns(train), read_columns(test)
    features, name = split(columns, target, train)
    classes = task == "classification" or (task == "auto" and columns[name].dtype.kind != "f")

    def targets(of: dict[str, Any], path: Path) -> Any:
        if name not in of:
            return None
        checked = numbers(of[name], name, path) if not classes or of[name].dtype.kind == "f" else of[name]
        return of[name].astype(str) if classes else checked

    X, X_test = matrix(features, list(features), train), matrix(others, list(features), test)
    return _Data(X, targets(columns, train), X_test.astype(X.dtype), targets(others, test), classes)


def _fitted(
    data: _Data, network: dict[str, Any], ridge: float | None, standardise: bool
) -> tuple[list[str], list[list[Any]]]:
    """The lines of the report, and the rows of the file of predictions, the first being its header."""
    from sklearn.preprocessing import StandardScaler

    from mehler.console import progress_bar
    from mehler.estimators import NTKClassifier, NTKRegressor

    X, X_test = data.X, data.X_test
    if standardise:
        scaler = StandardScaler().fit(X)
        X, X_test = scaler.transform(X), scaler.transform(X_test)
    model = (NTKClassifier if data.classes else NTKRegressor)(**network)
    centre, scale = (0.0, 1.0) if data.classes else _moments(data.y, standardise)
    y = data.y if data.classes else (data.y - centre) / scale
    report = [f"task    {'classification' if data.classes else 'regression'}, {X.shape[0]} rows to fit, "
              f"{len(X_test)} to test, {X.shape[1]} columns"]  # fmt: skip
    with progress_bar() as bar:

        def stage(name: str, work: Callable[[], Any]) -> Any:
            task = bar.add_task(name, total=1)
            result = work()
            bar.update(task, completed=1)
            return result

        if ridge is None:
            found = stage("ridge by leave-one-out", lambda: _leave_one_out(model, X, y))
            ridge, how = found.ridge, f"leave-one-out error {found.errors.min():.4g}"
            report.append(f"ridge   {ridge:.3g} of the mean diagonal, {how}")
        model.set_params(ridge=ridge)
        stage("fit", lambda: model.fit(X, y))
        outputs = stage("predictions", lambda: model.outputs(X_test))
        deviations = stage("error bars", lambda: model.deviations(X_test))
    if data.classes:
        return _of_classes(report, data, model.classes_, outputs, deviations)
    return _of_numbers(report, data, centre + scale * outputs, scale * deviations)


def _moments(y: Any, standardise: bool) -> tuple[float, float]:
    return (float(y.mean()), float(y.std()) or 1.0) if standardise else (0.0, 1.0)


def _leave_one_out(model: Any, X: Any, y: Any) -> Any:
    import numpy as np

    from mehler.numeric.estimators.leave_one_out import leave_one_out
    from mehler.numeric.estimators.machine import class_targets

    if hasattr(model, "decision_function"):
        classes, labels = np.unique(y, return_inverse=True)
        y = class_targets(labels, len(classes))
    return leave_one_out(model.make_kernel()(X), y)


def _of_numbers(report: list[str], data: _Data, found: Any, deviations: Any) -> tuple[list[str], list[list[Any]]]:
    from sklearn.metrics import r2_score, root_mean_squared_error

    pairs = zip(found.tolist(), deviations.tolist(), strict=True)
    rows: list[list[Any]] = [["prediction", "deviation"], *map(list, pairs)]
    if data.y_test is None:
        return report, rows
    error = root_mean_squared_error(data.y_test, found)
    r2 = f"R2 {r2_score(data.y_test, found):.4f}, " if len(found) > 1 else ""
    return [*report, f"score   {r2}root mean square error {error:.4g}"], rows


def _of_classes(
    report: list[str], data: _Data, classes: Any, scores: Any, deviations: Any
) -> tuple[list[str], list[list[Any]]]:
    import numpy as np

    if scores.ndim == 1:  # the two classes' scores are one number and its negative
        scores, deviations = np.column_stack([-scores, scores]), np.column_stack([deviations, deviations])
    best = scores.argmax(axis=1)
    every = np.arange(len(best))
    columns = classes[best].tolist(), scores[every, best].tolist(), deviations[every, best].tolist()
    rows: list[list[Any]] = [["prediction", "score", "deviation"], *map(list, zip(*columns, strict=True))]
    if data.y_test is not None:
        report = [*report, f"score   accuracy {np.mean(classes[best] == data.y_test):.4f}"]
    return report, rows


def _text(rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
