"""What each command does when all is well. `verify` is tested where the published forms are."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

import mehler
import mehler.generated
from mehler import cli
from mehler.derive import gallery, pipeline
from mehler.derive.report import report
from mehler.numeric import gram as tiles
from mehler.numeric.evaluator import load_file

Command = Callable[..., Any]
SCRIPT = Path(sys.executable).with_name("mehler")
RELU = Path(mehler.generated.__file__).with_name("relu.py")
BUDGET = load_file(RELU).BUDGETS["float64"]["kernel"]


def _relu(q1: str, q2: str, c: str, digits: int) -> tuple[str, str]:
    """Cho and Saul's arc-cosine kernels, halved and quartered."""
    with mpmath.workdps(digits + 10):
        a, b, ab = (mpmath.fraction(*map(int, (v + "/1").split("/")[:2])) for v in (q1, q2, c))
        norm = mpmath.sqrt(a * b)
        theta = mpmath.acos(ab / norm)
        k_dot = (mpmath.pi - theta) / (2 * mpmath.pi)
        k = norm * mpmath.sin(theta) / (2 * mpmath.pi) + ab * k_dot
        return mpmath.nstr(k, digits, strip_zeros=False), mpmath.nstr(k_dot, digits, strip_zeros=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "X.npy"
    np.save(path, np.random.default_rng(0).standard_normal((10, 4)))
    return path


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_derive_shows_the_formulas_and_their_proof(mehler_command: Command) -> None:
    result = mehler_command("derive", "relu")
    assert (result.code, result.err) == (0, "")
    for text in ("phi(x)    = Max(0, x)", "K         = ", "K'        = (pi - theta)/(2*pi)", "K(q, q)   = q/2"):
        assert text in result.out
    assert result.out.count("\nok     ") >= 5
    assert "FAILED" not in result.out
    assert "status closed-form" in result.out


def test_derive_at_points(mehler_command: Command) -> None:
    result = mehler_command("derive", "max(0,x)", "--at", "q1=2,q2=1/2,c=-2/5", "--at", "q1=1,q2=1,c=1/2")
    for point in (("2", "1/2", "-2/5"), ("1", "1", "1/2")):
        k, k_dot = _relu(*point, 25)
        assert "q1={}, q2={}, c={}\n".format(*point) + f"    K  = {k}\n    K' = {k_dot}" in result.out


@pytest.mark.parametrize("digits", [25, 40, 7])
def test_derive_as_json(mehler_command: Command, digits: int) -> None:
    result = mehler_command("derive", "relu", "--json", "--at", "q1=2,q2=1/2,c=-2/5", "--digits", digits)
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    assert found.keys() >= {"activation", "status", "kernel", "kernel_dot", "proof", "values", "seconds"}
    assert found["activation"] == "relu"
    assert found["status"] == "closed-form"
    dual = mehler.derive_dual("relu")
    assert (found["kernel"], found["kernel_dot"]) == (str(dual.kernel), str(dual.kernel_dot))
    assert found["proof"]["passed"] is True
    assert len(found["proof"]["checks"]) >= 5
    for check in found["proof"]["checks"]:
        assert check.keys() >= {"name", "passed", "detail"}
        assert check["passed"] is True
        assert all(isinstance(check[key], str) for key in ("name", "detail"))
    k, k_dot = _relu("2", "1/2", "-2/5", digits)
    assert found["values"] == [{"q1": "2", "q2": "1/2", "c": "-2/5", "kernel": k, "kernel_dot": k_dot}]
    assert isinstance(found["seconds"], float)


def test_derive_with_decimals_means_exact_rationals(mehler_command: Command) -> None:
    result = mehler_command("derive", "relu", "--json", "--at", "q1=0.5,q2=2,c=0.25", "--digits", 40)
    value = json.loads(result.out)["values"][0]
    assert (value["kernel"], value["kernel_dot"]) == _relu("1/2", "2", "1/4", 40)


def test_derive_with_a_parameter(mehler_command: Command) -> None:
    """A decimal is an exact rational, so that 1/10 and 0.1 give one formula."""
    found = [
        json.loads(mehler_command("derive", "leaky_relu", "--param", f"a={a}", "--json").out)
        for a in ("0.1", "1/10")
    ]
    assert found[0]["kernel"] == found[1]["kernel"]
    assert found[0]["kernel_diag"] == "101*q/200"
    symbolic = json.loads(mehler_command("derive", "leaky_relu", "--json").out)
    assert "a" in symbolic["kernel"]


def test_derive_as_latex(mehler_command: Command) -> None:
    result = mehler_command("derive", "relu", "--latex")
    assert (result.code, result.err) == (0, "")
    assert result.out == mehler.derive_dual("relu").latex() + "\n"
    assert result.out.startswith("\\begin{aligned}\nK &= ")
    assert "\\dot K &= " in result.out


def test_derive_on_the_sphere(mehler_command: Command) -> None:
    result = mehler_command("derive", "relu", "--sphere", 3)
    assert (result.code, result.err) == (0, "")
    assert (
        "\non the sphere q1 = q2 = 1, c = rho\n"
        "    K  = (rho*(pi - acos(rho)) + sqrt(1 - rho**2))/(2*pi)\n"
        "        rho^0: 1/(2*pi)\n        rho^1: 1/4\n        rho^2: 1/(4*pi)\n"
        "    K' = (pi - acos(rho))/(2*pi)\n"
        "        rho^0: 1/4\n        rho^1: 1/(2*pi)\n        rho^2: 0\n"
    ) in result.out
    found = json.loads(mehler_command("derive", "erf", "--sphere", 2, "--json").out)["sphere"]
    assert found == {
        "kernel": "2*asin(2*rho/3)/pi",
        "kernel_dot": "4/(pi*sqrt(9 - 4*rho**2))",
        "kernel_series": ["0", "4/(3*pi)"],
        "kernel_dot_series": ["4/(3*pi)", "0"],
    }
    assert "\\dot h(\\rho) &= " in mehler_command("derive", "erf", "--sphere", 0, "--latex").out


def test_derive_refuses_a_sphere_without_a_formula(mehler_command: Command) -> None:
    assert "no closed form is known" in mehler_command("derive", "tanh", "--sphere", 3).refused()
    assert "--sphere 101 is out of range" in mehler_command("derive", "relu", "--sphere", 101).refused()


def test_derive_writes_reports(mehler_command: Command, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("relu.md", "relu.tex", "relu.HTML")]
    options = [option for path in paths for option in ("--report", path)]
    result = mehler_command("derive", "relu", *options)
    assert (result.code, result.err) == (0, "")
    assert "status closed-form" in result.out
    dual = mehler.derive_dual("relu")
    for path in paths:
        assert path.read_text(encoding="utf-8") == report(dual, path.suffix[1:].lower())
    assert _files(tmp_path) == {"relu.md", "relu.tex", "relu.HTML"}


def test_derive_reports_the_reason_when_there_is_no_formula(mehler_command: Command, tmp_path: Path) -> None:
    assert mehler_command("derive", "tanh", "--report", tmp_path / "tanh.md").code == 0
    assert "No formula is derived" in (tmp_path / "tanh.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["out.pdf", "out", "no/such/folder.md", "folder.md"])
def test_derive_refuses_to_report_there(mehler_command: Command, tmp_path: Path, name: str) -> None:
    """Before the derivation, and without any of the other reports."""
    (tmp_path / "folder.md").mkdir()
    line = mehler_command("derive", "relu", "--report", tmp_path / "good.md", "--report", tmp_path / name).refused()
    assert Path(name).name.split(".")[0] in line
    assert _files(tmp_path) == {"folder.md"}


def test_derive_says_when_no_closed_form_is_known(mehler_command: Command) -> None:
    result = mehler_command("derive", "x*tanh(x)", "--json")
    assert result.code == 0
    found = json.loads(result.out)
    assert (found["status"], found["kernel"], found["kernel_dot"]) == ("numeric", None, None)
    assert "no closed form is known" in found["reason"]


def test_derive_says_what_is_from_the_cache(
    mehler_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    monkeypatch.setenv("MEHLER_CACHE", str(folder))
    first = mehler_command("derive", "abs").out
    again = mehler_command("derive", "abs").out
    assert again.endswith(" s from the cache\n")
    assert again.rpartition(",")[0] == first.rpartition(",")[0]
    assert json.loads(mehler_command("derive", "abs", "--json").out)["cached"] is True
    assert json.loads(mehler_command("derive", "abs", "--json", "--no-cache").out)["cached"] is False
    assert "from the cache" not in mehler_command("derive", "x", "--no-cache").out
    assert len(_files(folder)) == 1


def test_cache_shows_and_clears_it(
    mehler_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    monkeypatch.setenv("MEHLER_CACHE", str(folder))
    assert mehler_command("cache").out == f"{folder}\n0 files of 0 bytes\n"
    mehler_command("derive", "x")
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert mehler_command("cache").out == f"{folder}\n1 files of {size} bytes\n"
    assert mehler_command("cache", "--clear").out == f"removed 1 files of {size} bytes from {folder}\n"
    assert mehler_command("cache", "--clear").out == f"removed 0 files of 0 bytes from {folder}\n"
    folder.chmod(0o777)
    assert "not used: others may write to" in mehler_command("cache").out
    monkeypatch.setenv("MEHLER_CACHE", "off")
    for arguments in ([], ["--clear"]):
        result = mehler_command("cache", *arguments)
        assert (result.code, result.out) == (0, "the cache is off\n")


def test_a_derivation_that_takes_too_long_has_values(
    mehler_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEHLER_CACHE", "off")
    out = mehler_command("derive", "elu", "--timeout", 1, "--at", "q1=1,q2=2,c=0", "--digits", 10).out
    assert "\nno closed form was found in 1 s; simplify the activation, or raise timeout\n" in out
    assert "    K  = 0.0" in out
    assert "\nstatus numeric, " in out


def test_the_time_limit_is_that_of_the_library() -> None:
    assert cli.TIMEOUT == pipeline.TIMEOUT


def test_generate_writes_a_module(mehler_command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    result = mehler_command("generate", "relu", "--name", "mine", "--target", "numpy", "--out", folder)
    assert (result.code, result.err) == (0, "")
    assert result.out == f"{folder / 'mine.py'}\nK and K' come from their closed form\n"
    assert _files(folder) == {"mine.py"}
    assert (folder / "mine.py").read_text(encoding="utf-8") == mehler.generate("relu", name="mine")


def test_generate_of_a_name_is_the_committed_module(mehler_command: Command, tmp_path: Path) -> None:
    mehler_command("generate", "relu", "--name", "relu", "--out", tmp_path)
    assert (tmp_path / "relu.py").read_bytes() == RELU.read_bytes()


def test_check_of_a_name(mehler_command: Command) -> None:
    result = mehler_command("check", "relu", "--points", 2)
    assert (result.code, result.err) == (0, "")
    assert "worst scaled ulp" in result.out
    for region in ("bulk", "rho near 1", "rho near -1", "small q", "large q"):
        assert region in result.out
    assert f"budget {BUDGET:g}: passed" in result.out


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_check_as_json(mehler_command: Command, dtype: str) -> None:
    found = json.loads(mehler_command("check", "relu", "--points", 2, "--dtype", dtype, "--json").out)
    assert (found["name"], found["dtype"], found["budget"], found["passed"]) == ("relu", dtype, BUDGET, True)
    assert 0 < found["max_ulp"] == max(row["worst"] for row in found["rows"]) <= BUDGET
    assert found["formula_error"] < 1e-15


def test_check_of_a_file_with_a_parameter(mehler_command: Command, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_bytes(RELU.with_name("leaky_relu.py").read_bytes())
    result = mehler_command("check", path, "--param", "a=1/10", "--points", 2)
    assert (result.code, result.err) == (0, "")
    assert "leaky_relu: phi(x) = " in result.out


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("angle1 * rho + sin_theta", "angle1 * rho - sin_theta"),
        ("0.15915494309189535", "0.15915494309199535"),
        ("k = 0.5 * q", "k = 0.5000000000001 * q"),
        ('EXPRESSION = "Max(0, x)"', 'EXPRESSION = "Max(0, x) + x/1000"'),
    ],
)
def test_check_of_a_damaged_file_fails(mehler_command: Command, tmp_path: Path, old: str, new: str) -> None:
    source = RELU.read_text(encoding="utf-8")
    assert old in source
    path = tmp_path / "damaged.py"
    path.write_text(source.replace(old, new), encoding="utf-8")
    result = mehler_command("check", path, "--points", 2)
    assert (result.code, result.err) == (1, "")
    assert "OVER BUDGET" in result.out


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_gram_writes_what_a_network_computes(
    mehler_command: Command, data: Path, tmp_path: Path, kernel: str, tile_size: Callable[..., None]
) -> None:
    out = tmp_path / "K.npy"
    tile_size(4, "relu")
    result = mehler_command(
        "gram", "relu", data, "--depth", 3, "--sigma-w", 1.4, "--sigma-b", 0.1, "--kernel", kernel, "--out", out
    )
    assert (result.code, result.err) == (0, "")
    assert result.out == f"{out}  10 x 10 float64\n"
    expected = getattr(mehler.network("relu", depth=3, sigma_w=1.4, sigma_b=0.1), kernel)(np.load(data))
    np.testing.assert_allclose(np.load(out), expected, rtol=1e-14)
    assert _files(tmp_path) == {"X.npy", "K.npy"}


def test_gram_of_two_files_in_float32(mehler_command: Command, data: Path, tmp_path: Path) -> None:
    X = np.load(data).astype(np.float32)
    np.save(data, X)
    np.save(tmp_path / "Y.npy", X[:3])
    result = mehler_command("gram", "gelu", data, "--other", tmp_path / "Y.npy", "--out", tmp_path / "K.npy")
    assert result.code == 0
    K = np.load(tmp_path / "K.npy")
    assert (K.shape, K.dtype) == ((10, 3), np.float32)
    np.testing.assert_allclose(K, mehler.network("gelu").ntk(X, X[:3]), rtol=1e-6)


def test_gram_replaces_a_file_and_may_replace_its_input(mehler_command: Command, data: Path) -> None:
    X = np.load(data)
    assert mehler_command("gram", "erf", data, "--out", data).code == 0
    np.testing.assert_allclose(np.load(data), mehler.network("erf").ntk(X), rtol=1e-14)
    assert _files(data.parent) == {"X.npy"}


def test_gram_appears_only_when_it_is_whole(
    mehler_command: Command,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tile_size: Callable[..., None],
) -> None:
    out = tmp_path / "K.npy"
    out.write_text("before", encoding="utf-8")
    seen = []

    def look(*_: object) -> None:
        seen.append(out.read_text(encoding="utf-8"))

    tile_size(4, "relu")
    monkeypatch.setattr(tiles, "_check_finite", look)
    assert mehler_command("gram", "relu", data, "--out", out).code == 0
    assert seen == ["before"] * 6
    assert np.load(out).shape == (10, 10)


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize(
    ("fault", "code"), [(OSError(28, "No space left on device"), 2), (KeyboardInterrupt(), 130)]
)
def test_gram_interrupted_leaves_nothing(
    mehler_command: Command,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: BaseException,
    code: int,
    existing: bool,
) -> None:
    out = data.with_name("K.npy")
    if existing:
        out.write_text("before", encoding="utf-8")

    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(tiles, "_check_finite", fail)
    result = mehler_command("gram", "relu", data, "--out", out)
    assert result.code == code
    assert "Traceback" not in result.err
    assert _files(data.parent) == ({"X.npy", "K.npy"} if existing else {"X.npy"})
    assert not existing or out.read_text(encoding="utf-8") == "before"


def test_gallery_prints_or_writes_its_page(mehler_command: Command, tmp_path: Path) -> None:
    out = tmp_path / "gallery.md"
    printed = mehler_command("gallery", "--only", "tanh", "--only", "identity")
    written = mehler_command("gallery", "--only", "tanh", "--only", "identity", "--out", out)
    assert (printed.code, written.code, written.out, printed.err) == (0, 0, "", "")
    assert _without_seconds(printed.out) == _without_seconds(out.read_text(encoding="utf-8"))
    assert "2 activations: 1 closed-form, 1 numeric.\n" in printed.out
    assert _files(tmp_path) == {"gallery.md"}


def _without_seconds(text: str) -> str:
    return re.sub(r"\d+\.\d \||^Seconds.*", "", text, flags=re.MULTILINE)


def test_gallery_shows_what_fails_and_says_so(mehler_command: Command, tmp_path: Path) -> None:
    out = tmp_path / "gallery.md"
    result = mehler_command("gallery", "--only", "elu", "--only", "tanh", "--timeout", "0.2", "--out", out)
    assert (result.code, result.out, result.err) == (1, "", "")
    assert "| timeout |" in out.read_text(encoding="utf-8")


def test_gallery_refuses_before_it_derives(mehler_command: Command, tmp_path: Path) -> None:
    assert "'elü' is not in the gallery" in mehler_command("gallery", "--only", "elü").refused()
    assert "does not exist" in mehler_command("gallery", "--out", tmp_path / "no" / "page.md").refused()
    assert "--timeout 0 is not a time limit" in mehler_command("gallery", "--timeout", 0).refused()


def test_gallery_interrupted_leaves_the_old_page(
    mehler_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "gallery.md"
    out.write_text("before", encoding="utf-8")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gallery, "outcome", interrupt)
    assert mehler_command("gallery", "--only", "tanh", "--out", out).code == 130
    assert out.read_text(encoding="utf-8") == "before"
    assert _files(tmp_path) == {"gallery.md"}


def test_mean_field_shows_formulas_fixed_points_and_the_edge(mehler_command: Command) -> None:
    result = mehler_command("mean-field", "relu", "--sigma-w", 1, "--sigma-b", "1/2")
    assert (result.code, result.err) == (0, "")
    for text in (
        "V(q)       = q*sigma_w**2/2 + sigma_b**2\n",
        "chi_1      = sigma_w**2/2\n",
        "q*         = 2*sigma_b**2/(2 - sigma_w**2)\n",
        "0.5  0.5    0.5    ordered  1.442695041  1   1.442695041\n",
        "q on the edge  sigma_w**2  sigma_b**2\n0.1            2           0\n",
    ):
        assert text in result.out
    assert str(mehler.mean_field("relu")) in result.out


def test_mean_field_as_json(mehler_command: Command) -> None:
    found = json.loads(mehler_command("mean-field", "step", "--sigma-w", "sqrt(2)", "--json").out)
    assert (found["activation"], found["jumps"], found["edge"], found["edge_points"]) == ("step", True, None, [])
    assert "phi jumps" in found["reason"]
    (point,) = found["fixed_points"]
    assert (point["q"], point["exact"], point["chi_1"], point["phase"]) == (1.0, "1", "inf", "chaotic")
    found = json.loads(mehler_command("mean-field", "gaussian", "--json").out)
    assert (found["fixed_points"], found["sigma_w"], found["reason"]) == (None, None, None)
    # σ_b² = q − 1 − 1/(4q)
    assert [p["sigma_b2"] for p in found["edge_points"]] == [-3.4, -0.25, 8.975]
    assert [p["exists"] for p in found["edge_points"]] == [False, False, True]


def test_mean_field_with_a_parameter(mehler_command: Command) -> None:
    free = mehler_command("mean-field", "where(x > 0, x, a*x)")
    assert free.code == 0
    assert "sigma_w**2 = 2/(a**2 + 1)\n" in free.out
    assert "no table of the edge of chaos: the parameter a has no value" in free.out
    given = mehler_command("mean-field", "where(x > 0, x, a*x)", "--param", "a=1/2", "--json")
    assert json.loads(given.out)["edge"] == {"sigma_w2": "8/5", "sigma_b2": "0"}


def test_list(mehler_command: Command) -> None:
    result = mehler_command("list")
    assert (result.code, result.err) == (0, "")
    for text in ("relu ", "x*Phi(x)", "a=0.01", "mehler.generated.gelu", "tanh", "functions: ", "Piecewise", "pi"):
        assert text in result.out


@pytest.mark.slow
def test_demo_of_an_activation_without_a_closed_form(mehler_command: Command, tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    result = mehler_command("demo", "--activation", "tanh", "--out", tmp_path / "demo", "--json", file)
    found = json.loads(file.read_text())
    assert (result.code, found["status"], found["kernel"]) == (0, "numeric", None)
    assert found["max_ulp"] <= found["budget"]
    assert found["accuracy_ntk"] > 0.95


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help(mehler_command: Command, arguments: list[str]) -> None:
    result = mehler_command(*arguments)
    assert (result.code, result.err) == (0, "")
    for command in ("derive", "generate", "check", "gram", "mean-field", "list", "verify", "demo", "cache"):
        assert command in result.out


def test_the_installed_script(data: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SCRIPT, *map(str, arguments)], capture_output=True, cwd=tmp_path, timeout=100, check=False, text=True
        )

    derived = run("derive", "abs(x)", "--json", "--at", "q1=1,q2=1,c=0")
    assert (derived.returncode, derived.stderr) == (0, "")
    # E|u||v| = 2/π
    assert json.loads(derived.stdout)["values"][0]["kernel"] == "0.6366197723675813430755351"
    gram = run("gram", "abs", "X.npy", "--out", "K.npy")
    assert (gram.returncode, gram.stdout, gram.stderr) == (0, "K.npy  10 x 10 float64\n", "")
    refused = run("gram", "abs", "X.npy", "--out", "L.npy", "--sigma-w", "nan")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "mehler: sigma_w=nan must be a finite number > 0\n"
    assert _files(tmp_path) == {"X.npy", "K.npy"}
