"""The committed evaluators are what the engine writes, byte for byte, and run with NumPy alone."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import mehler.generated
from mehler.derive.emit.library import library

FOLDER = Path(mehler.generated.__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.name != "__init__.py")

# Runs in a fresh process: nothing but NumPy and the standard library may be imported. argv: file, name.
ALONE = """
import importlib.abc, importlib.util, sys

class Forbidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"sympy", "scipy", "mpmath", "sklearn", "numba", "mehler"}:
            raise ImportError(f"a generated module must not import {name}")

sys.meta_path.insert(0, Forbidden())
path, name = sys.argv[1:]
spec = importlib.util.spec_from_file_location(name, path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

import numpy as np
assert module.NAME == name
k, k_dot = module.kernel(1, 1, 0.5), module.kernel_dot(1, 1, 0.5)
assert k.dtype == k_dot.dtype == np.float64
assert np.isfinite([k, k_dot]).all() and abs(k) <= module.kernel_diag(1) and abs(k_dot) <= module.kernel_dot_diag(1)

rng = np.random.default_rng(0)
for dtype in (np.float64, np.float32):
    X, Y = (rng.standard_normal((n, 3)).astype(dtype) for n in (5, 4))
    for function in (module.nngp, module.ntk):
        for network in ({"depth": 1}, {"depth": 2, "sigma_w": 0.9, "sigma_b": 0.1}):
            for matrix, shape in ((function(X, **network), (5, 5)), (function(X, Y, **network), (5, 4))):
                assert matrix.shape == shape and matrix.dtype == dtype and np.isfinite(matrix).all()
    q = np.array([0.5, 1, 2], dtype)
    for function in (module.kernel_diag, module.kernel_dot_diag):
        assert function(q).dtype == dtype
    for function in (module.kernel, module.kernel_dot):
        assert function(q, q[:, None], 0.1 * q).dtype == dtype and function(q, q[:, None], 0.1 * q).shape == (3, 3)
print("ran")
"""


@pytest.mark.slow
def test_regenerated_byte_for_byte() -> None:
    """The one test that derives them all, so that it is done once however the tests are spread over processes."""
    sources = {f"{name}.py": source.encode() for name, source in library().items()}
    sources |= {"__init__.py": b"", "fast/__init__.py": b"", "gpu/__init__.py": b""}
    paths = [path for path in FOLDER.rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    found = {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in paths if FOLDER / "tables" not in path.parents}
    assert sorted(sources) == sorted(found)
    assert [name for name in sources if sources[name] != found[name]] == []


@pytest.mark.parametrize(("name", "seed"), [("leaky_relu", "1"), ("gelu", "2"), ("erf", "3")])
def test_generated_alone_byte_for_byte(name: str, seed: str) -> None:
    """Neither the order of sets nor what SymPy has cached before may show in the text."""
    code = f"import mehler, sys; sys.stdout.buffer.write(mehler.generate({name!r}, name={name!r}).encode())"
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        env=os.environ | {"PYTHONHASHSEED": seed},
        timeout=100,
        check=False,
    )
    assert process.stderr == b""
    assert process.stdout == (FOLDER / f"{name}.py").read_bytes()


def test_the_named_activations_of_numpy_alone_are_there() -> None:
    """Those with a closed form free of Φ₂; polynomials stand for themselves by identity and cubic."""
    assert set(NAMES) >= {
        "identity", "step", "sign", "relu", "leaky_relu", "abs", "relu2", "erf", "gelu", "sin", "cos", "exp",
        "gaussian", "cubic",
    }  # fmt: skip


@pytest.mark.parametrize("name", [*NAMES, "tables/tanh", "tables/softsign"])
def test_runs_in_a_fresh_process_with_numpy_alone(name: str, tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE, str(FOLDER / f"{name}.py"), Path(name).name],
        capture_output=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
        text=True,
    )
    assert process.stderr == ""
    assert process.stdout == "ran\n"


def test_the_fresh_process_would_notice_an_import(tmp_path: Path) -> None:
    path = tmp_path / "relu.py"
    path.write_text((FOLDER / "relu.py").read_text(encoding="utf-8") + "\nimport mpmath\n", encoding="utf-8")
    process = subprocess.run(
        [sys.executable, "-c", ALONE, str(path), "relu"], capture_output=True, timeout=60, check=False, text=True
    )
    assert "must not import mpmath" in process.stderr
    assert process.returncode == 1


@pytest.mark.parametrize("name", NAMES)
def test_states_its_provenance(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    module = import_module(f"mehler.generated.{name}")
    assert module.ENGINE in text.split('"""')[1]
    assert f"NAME = {name!r}".replace("'", '"') in text
    assert len(module.SOURCE) == 16
    assert int(module.SOURCE, 16) >= 0
    assert "FAILED" not in module.__doc__
    assert max(len(line) for line in text.splitlines()) <= 116
    functions = {"kernel", "kernel_dot", "kernel_diag", "kernel_dot_diag"}
    assert {dtype: set(row) for dtype, row in module.BUDGETS.items()} == {"float64": functions, "float32": functions}
    assert all(0 < budget <= 4 for row in module.BUDGETS.values() for budget in row.values())
