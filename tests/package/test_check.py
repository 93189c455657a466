"""`mehler check`: networks, targets, the search and the picture."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import mehler.generated
from mehler.certify import certify, subject
from mehler.numeric.precision.network import BUDGET

Command = Callable[..., "Result"]  # noqa: F821

ERF = Path(mehler.generated.__file__).parent / "erf.py"


def test_networks_are_measured(mehler_command: Command) -> None:
    found = json.loads(mehler_command("check", "erf", "--points", 1, "--json").out)
    assert {(row["kernel"], row["region"]) for row in found["networks"]} == {
        (kernel, region)
        for kernel in ("nngp", "ntk")
        for region in ("near 0", "near pi", "duplicates", "antipodes")
    }
    assert found["network_budget"] == BUDGET
    assert 0 < found["max_network"] == max(row["units"] for row in found["networks"]) <= BUDGET
    assert set(found["budgets"]) == {"kernel", "kernel_dot", "kernel_diag", "kernel_dot_diag"}
    assert {row["region"] for row in found["rows"]} >= {"bulk", "q = 0", "tiny q", "q1 q2 - c^2 minimal"}
    assert found["passed"] is True


@pytest.mark.slow
def test_every_stage_is_tracked() -> None:
    seen: dict[str, int] = {}

    def track(items: Sequence[Any], stage: str) -> Iterator[Any]:
        for item in items:
            seen[stage] = seen.get(stage, 0) + 1
            yield item

    what = subject("step", {})
    tracked = certify(what, points=1, deep=True, track=track)
    assert tracked == certify(what, points=1, deep=True)
    assert set(seen) == {"regions", "networks", "search"}
    assert all(count > 1 for count in seen.values())


@pytest.mark.parametrize(
    "code",
    [
        "def recursion(*a, **k):\n    (s, g), (t, h) = _recursion(*a, **k)\n    return (s, g), (t - 1e-9 * s, h)",
        "def recursion(sigma, *a, **k):\n    return _recursion(sigma * (1 + 1e-9), *a, **k)",
        "def _gram(which, *a, **k):\n    return __gram(which, *a, **k) * (1 + 1e-9 * which)",
    ],
)
def test_a_damaged_recursion_is_caught(mehler_command: Command, tmp_path: Path, code: str) -> None:
    name = code.split("(")[0].removeprefix("def ")
    path = tmp_path / "damaged.py"
    source = ERF.read_text(encoding="utf-8")
    assert f"\ndef {name}(" in source
    path.write_text(f"{source}\n\n_{name} = {name}\n\n\n{code}\n", encoding="utf-8")
    result = mehler_command("check", path, "--points", 1)
    assert (result.code, result.err) == (1, "")
    assert "OVER BUDGET" in result.out


@pytest.mark.slow
def test_the_search_adds_its_rows(mehler_command: Command) -> None:
    found = json.loads(mehler_command("check", "sin", "--points", 1, "--search", "--json").out)
    regions = [row["region"] for row in found["rows"]]
    searched = [row for row in found["rows"] if row["region"].startswith("search from ")]
    assert 4 <= len(searched) <= 8
    for row in searched:
        start = row["region"].removeprefix("search from ")
        before = next(r for r in found["rows"] if (r["region"], r["function"]) == (start, row["function"]))
        assert row["worst"] >= before["worst"]
    assert regions.index(searched[0]["region"]) == len(regions) - len(searched)


def test_the_picture(mehler_command: Command, tmp_path: Path) -> None:
    path = tmp_path / "ulp.png"
    result = mehler_command("check", "cos", "--points", 1, "--plot", path)
    assert result.err == ""
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [p.name for p in tmp_path.iterdir()] == ["ulp.png"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--target", "cupy"], "--target cupy is not known; use numpy or numba"),
        (["--plot", "ulp.pdf"], "--plot ulp.pdf is not a .png file"),
        (["--plot", "nowhere/ulp.png"], "the folder nowhere does not exist"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    mehler_command: Command, arguments: list[str], fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fault in mehler_command("check", "erf", *arguments).refused()


def test_a_picture_without_matplotlib_is_one_line(
    mehler_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    line = mehler_command("check", "erf", "--plot", tmp_path / "ulp.png").refused()
    assert "pip install 'mehler[plot]'" in line


def test_a_module_for_another_target_is_one_line(mehler_command: Command, tmp_path: Path) -> None:
    path = tmp_path / "other.py"
    text = ERF.read_text(encoding="utf-8").replace('TARGET = "numpy"', 'TARGET = "metal"')
    path.write_text(text, encoding="utf-8")
    assert "is a module for metal, not for numpy" in mehler_command("check", path).refused()
