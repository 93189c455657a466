"""The main job on real data, from an activation to the classification of digits."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mehler import demo
from mehler.numeric.evaluator import load_file

KEYS = {"activation", "accuracy_ntk", "accuracy_nngp", "accuracy_rbf", "max_ulp", "seconds"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("demo") / "new"
    return demo.run("relu", {}, folder), folder


def test_results(finished: tuple[dict[str, Any], Path]) -> None:
    results, _ = finished
    assert results.keys() >= KEYS
    assert (results["activation"], results["status"], results["proof_passed"]) == ("relu", "closed-form", True)
    assert results["accuracy_ntk"] >= 0.98
    assert results["accuracy_nngp"] >= 0.98
    assert results["accuracy_rbf"] > 0.9
    assert 0 < results["max_ulp"] <= results["budget"]
    json.dumps(results, allow_nan=False)


def test_the_evaluator_it_leaves_behind_runs(finished: tuple[dict[str, Any], Path]) -> None:
    _, folder = finished
    module = load_file(folder / "evaluator.py")
    assert float(module.kernel_diag(np.array([2.0]))[0]) == 1.0


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="pictures need matplotlib")
def test_pictures(finished: tuple[dict[str, Any], Path]) -> None:
    results, folder = finished
    assert {Path(picture).name for picture in results["pictures"]} == {"dual.png", "gram.png"}
    for picture in results["pictures"]:
        assert Path(picture).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert {path.name for path in folder.iterdir()} == {"dual.png", "gram.png", "evaluator.py"}


def test_the_command_passes_its_options_on_and_writes_the_results(
    mehler_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = []

    def run(*arguments: object) -> dict[str, Any]:
        calls.append(arguments)
        return {"activation": "a*x", "accuracy_ntk": 0.5}

    monkeypatch.setattr(demo, "run", run)
    results, folder = tmp_path / "demo.json", tmp_path / "demo"
    options = ("--param", "a=2", "--threads", 3, "--json", results, "--out", folder)
    finished = mehler_command("demo", "--activation", "a*x", *options)
    assert (finished.code, finished.err) == (0, "")
    assert calls == [("a*x", {"a": "2"}, folder, 3)]
    assert json.loads(results.read_text(encoding="utf-8")) == {"activation": "a*x", "accuracy_ntk": 0.5}
    assert {path.name for path in tmp_path.iterdir()} == {"demo.json"}
