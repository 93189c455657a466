"""`mehler fit`: what it prints and writes, against the estimators; what it refuses, with nothing written."""

import csv
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.preprocessing import StandardScaler

import mehler
from mehler import cli


def write_csv(path: Path, X: np.ndarray, y: Any, name: str = "target") -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"c{i}" for i in range(X.shape[1])), name])
        writer.writerows([*row, t] for row, t in zip(X.tolist(), y, strict=True))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)

    def command(text: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["mehler", "fit", *shlex.split(text)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return command


@pytest.fixture
def diabetes(tmp_path: Path) -> tuple[np.ndarray, ...]:
    X, y = load_diabetes(return_X_y=True)
    y = y + 0.5  # with decimals, so that it is a regression
    write_csv(tmp_path / "train.csv", X[:150], y[:150].tolist())
    write_csv(tmp_path / "test.csv", X[150:200], y[150:200].tolist())
    np.savez(tmp_path / "train.npz", c=X[:150], target=y[:150])
    np.savez(tmp_path / "test.npz", c=X[150:200])
    return X[:150], y[:150], X[150:200], y[150:200]


def test_a_regression_is_that_of_the_estimator(run: Any, diabetes: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    X, y, Z, z = diabetes
    code, out, err = run("train.csv test.csv --ridge 0.1 --depth 2 --sigma-b 0.1 --out p.csv")
    assert (code, err) == (0, "")
    scaler, centre, scale = StandardScaler().fit(X), y.mean(), y.std()
    model = mehler.NTKRegressor(depth=2, sigma_b=0.1, ridge=0.1).fit(scaler.transform(X), (y - centre) / scale)
    mean, deviation = model.predict(scaler.transform(Z), return_std=True)
    written = np.genfromtxt(tmp_path / "p.csv", delimiter=",", names=True)
    np.testing.assert_allclose(written["prediction"], centre + scale * mean, rtol=1e-9)
    np.testing.assert_allclose(written["deviation"], scale * deviation, rtol=1e-6)
    r2 = 1 - np.sum((z - written["prediction"]) ** 2) / np.sum((z - z.mean()) ** 2)
    assert f"score   R2 {r2:.4f}, root mean square error" in out
    assert "task    regression, 150 rows to fit, 50 to test, 10 columns" in out


def test_the_error_bars_cover_what_they_should(run: Any, diabetes: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    *_, z = diabetes
    assert run("train.csv test.csv --out p.csv")[0] == 0
    written = np.genfromtxt(tmp_path / "p.csv", delimiter=",", names=True)
    share = np.mean(np.abs(z - written["prediction"]) < 2 * written["deviation"])
    assert 0.85 <= share <= 1.0
    assert (written["deviation"] < 2 * z.std()).all()


def test_other_formats_say_the_same_and_a_test_file_needs_no_target(
    run: Any, diabetes: tuple[np.ndarray, ...], tmp_path: Path
) -> None:
    assert run("train.csv test.csv --ridge 0.1 --out a.csv")[0] == 0
    code, out, _ = run("train.npz test.npz --ridge 0.1 --out b.csv")
    assert code == 0
    assert "score" not in out
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


def test_parquet(run: Any, diabetes: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    X, y, Z, _ = diabetes
    for name, rows, extra in (("train", X, {"target": y}), ("test", Z, {})):
        parquet.write_table(
            pyarrow.table({f"c{i}": c for i, c in enumerate(rows.T)} | extra), tmp_path / f"{name}.parquet"
        )
    assert run("train.csv test.csv --ridge 0.1 --out a.csv")[0] == 0
    assert run("train.parquet test.parquet --ridge 0.1 --out b.csv")[0] == 0
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


@pytest.mark.parametrize("kinds", [2, 3])
def test_texts_are_classes(run: Any, tmp_path: Path, kinds: int) -> None:
    X, labels = load_iris(return_X_y=True)
    kept = labels < kinds
    X, names = X[kept], np.array(["setosa", "versicolor", "virginica"])[labels[kept]]
    write_csv(tmp_path / "train.csv", X[::2], names[::2], "kind")
    write_csv(tmp_path / "test.csv", X[1::2], names[1::2], "kind")
    code, out, _ = run("train.csv test.csv --target kind --activation erf --out p.csv")
    assert code == 0
    with (tmp_path / "p.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    right = np.mean([row["prediction"] == name for row, name in zip(rows, names[1::2], strict=True)])
    assert right > 0.85
    assert f"score   accuracy {right:.4f}" in out
    assert all(float(row["score"]) > 0 or kinds > 2 for row in rows)
    assert all(float(row["deviation"]) >= 0 for row in rows)


@pytest.mark.parametrize(
    ("train", "test", "options", "fault"),
    [
        ("a,target\n1,2\n2,3", "b,target\n1,2", "", "test.csv has no column 'a', which the training file has"),
        ("a,target\n1,2\n2,3", "a\n1", "--target c", "train.csv has no column 'c'; name one of ['a', 'target']"),
        ("a,b\n1,2\n2,3", "a\n1", "", "neither a column 'target' nor 'y'; name one of ['a', 'b'] by --target"),
        ("target\n1\n2", "target\n1", "", "no column beside 'target'"),
        ("", "a\n1", "", "train.csv has no rows"),
        ("a,target\n", "a\n1", "", "train.csv has no rows"),
        ("a,target\n1,2\n2,3", "a\n", "", "test.csv has no rows"),
        ("a,target\n1,2.5\nnan,3", "a\n1", "", "row 1 of column 'a' in train.csv is NaN"),
        ("a,target\n1,2.5\n,3", "a\n1", "", "row 1 of column 'a' in train.csv is NaN, empty"),
        ("a,target\n1,2.5\n1,nan", "a\n1", "", "row 1 of column 'target' in train.csv is NaN"),
        ("a,target\n1,2.5\n1,3", "a\ninf", "", "row 0 of column 'a' in test.csv is NaN, empty or infinite"),
        ("a,target\n1,2.5\nx,3", "a\n1", "", "column 'a' of train.csv has no numbers but"),
        ("a,target\n1,2.5\n1", "a\n1", "", "row 1 of train.csv has 1 cells and its header 2"),
        ("a,a\n1,2", "a\n1", "", "two columns of one name, 'a'"),
        ("a,target\n1,2\n2,2", "a\n1", "", "y has one class"),
        ("a,target\n1,2.5\n2,3", "a\n1", "--ridge -1", "ridge=-1.0 must be a finite number >= 0"),
        ("a,target\n1,2.5\n2,3", "a\n1", "--depth -1", "depth=-1 must be an integer"),
        ("a,target\n1,x\n2,y", "a\n1", "--task regression", "column 'target' of train.csv has no numbers"),
    ],
)
def test_what_cannot_be_fitted_is_one_line(
    run: Any, tmp_path: Path, train: str, test: str, options: str, fault: str
) -> None:
    (tmp_path / "train.csv").write_text(train)
    (tmp_path / "test.csv").write_text(test)
    before = sorted(tmp_path.iterdir())
    code, out, err = run(f"train.csv test.csv {options} --out p.csv")
    assert (code, out) == (2, "")
    assert fault in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_bad_files(run: Any, tmp_path: Path) -> None:
    for name in ("bad.npz", "bad.parquet", "bad.csv"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00nothing")
        code, _, err = run(f"{name} {name}")
        assert (code, err.count("\n")) == (2, 1), err
    for text, fault in (
        ("none.csv none.csv", "none.csv does not exist"),
        ("a.txt a.txt", "a.txt is not a .csv, .npz or .parquet file"),
        ("bad.csv bad.csv --out p.txt", "--out p.txt is not a .csv file"),
    ):
        code, _, err = run(text)
        assert code == 2
        assert fault in err
