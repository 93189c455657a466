"""The package as installed: light to import, complete, and under one name."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mehler

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HEAVY = {"sympy", "mpmath", "numpy", "scipy", "sklearn", "numba", "typer", "rich", "matplotlib"}
PUBLIC = {
    "DeriveError",
    "GradientFlow",
    "LearningCurve",
    "LearningCurveDisplay",
    "LearningDisplay",
    "LocalityDisplay",
    "LossDisplay",
    "Modes",
    "NTKClassifier",
    "NTKRegressor",
    "NearSingularWarning",
    "Network",
    "NetworkKernel",
    "NumericError",
    "PosteriorDisplay",
    "Spectrum",
    "SpectrumDisplay",
    "derive_dual",
    "ensemble",
    "generate",
    "learning_curve",
    "leave_one_out",
    "log_marginal_likelihood",
    "loss_flow",
    "mean_field",
    "modes",
    "network",
    "solve",
    "spectrum",
    "symbols",
}


def _fresh(code: str, cwd: Path) -> str:
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        cwd=cwd,
        timeout=60,
        check=False,
        text=True,
    )
    assert process.stderr == ""
    return process.stdout


def test_import_is_light(tmp_path: Path) -> None:
    loaded = set(_fresh("import sys, mehler; print(*sys.modules)", tmp_path).split())
    assert "mehler" in loaded
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert not any(name.startswith("mehler.") for name in loaded)


def test_import_takes_less_than_150_ms(tmp_path: Path) -> None:
    """The least of five, which is what the package is answerable for on a busy machine."""
    code = "from time import perf_counter as t; start = t(); import mehler; print(t() - start)"
    assert min(float(_fresh(code, tmp_path)) for _ in range(5)) < 0.15


def test_the_package_is_not_importable_twice(tmp_path: Path) -> None:
    """From the repository's root, its folders could pass for packages of their own."""
    code = "import sys, mehler.derive.pipeline, mehler.api, mehler.generated.relu; print(*sys.modules)"
    for folder in (tmp_path, ROOT):
        loaded = set(_fresh(code, folder).split())
        assert "mehler.derive.pipeline" in loaded
        assert loaded & {"derive", "numeric", "generated", "_mehler"} == set()


def test_each_public_name_resolves() -> None:
    assert set(mehler.__all__) == PUBLIC
    for name in mehler.__all__:
        assert getattr(mehler, name) is getattr(mehler, name)
    assert mehler.__version__ == PYPROJECT["project"]["version"]
    assert issubclass(mehler.DeriveError, ValueError)
    assert issubclass(mehler.NumericError, ValueError)
    assert mehler.network("relu", depth=2).__class__ is mehler.Network


def test_dir_lists_what_can_be_had() -> None:
    assert set(dir(mehler)) == PUBLIC | {"__version__"}
    assert all(hasattr(mehler, name) for name in dir(mehler))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'mehler' has no attribute 'ntk'"):
        mehler.ntk  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'ntk'"):
        from mehler import ntk  # noqa: F401


def _packages() -> set[str]:
    """Every folder with Python files, by the name it is imported by."""
    found = set()
    for top in ("derive", "numeric", "generated"):
        for path in (ROOT / top).rglob("*.py"):
            folder = path.parent.relative_to(ROOT)
            parts = folder.parts[2:] if folder.parts[:2] == ("numeric", "_mehler") else folder.parts
            found.add(".".join(("mehler", *parts)))
    return found


def test_every_folder_is_in_the_wheel() -> None:
    """An editable install works without an entry here; the wheel would lack the folder."""
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == _packages()
    assert len(PYPROJECT["tool"]["setuptools"]["packages"]) == len(_packages())
    for name in _packages() - {"mehler"}:
        assert (ROOT / Path(*name.split(".")[1:]) / "__init__.py").is_file()


def test_package_data_exists() -> None:
    for name in PYPROJECT["tool"]["setuptools"]["package-data"]["mehler"]:
        assert (ROOT / "numeric" / "_mehler" / name).is_file()
