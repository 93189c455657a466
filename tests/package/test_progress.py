"""The bar that a network shows while tables are made for it: on a terminal alone."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import mehler
import mehler.generated
from mehler import console
from mehler.derive import pipeline

SOURCE = (Path(mehler.generated.__file__).parent / "relu.py").read_text(encoding="utf-8")


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> io.StringIO:
    """What a network of an activation that takes long writes to stderr."""
    stream = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=stream, force_terminal=terminal, width=100))

    def generate(*_: Any, progress: Any, **__: Any) -> str:
        for done in range(1, 5):
            progress(done, 4)
        return SOURCE

    monkeypatch.setattr(pipeline, "generate", generate)
    return stream


def test_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = shown(monkeypatch, terminal=True)
    assert mehler.network("tanh(x)**7").evaluator.module.NAME == "relu"
    assert "tables" in stream.getvalue()
    assert "4/4" in stream.getvalue()


def test_elsewhere_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = shown(monkeypatch, terminal=False)
    mehler.network("tanh(x)**7")
    assert stream.getvalue() == ""


def test_beside_a_bar_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = shown(monkeypatch, terminal=True)
    with console.progress_bar() as bar:
        bar.add_task("epochs", total=2)
        mehler.network("tanh(x)**7")
    assert "epochs" in stream.getvalue()
    assert "tables" not in stream.getvalue()


def test_what_is_quick_shows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = shown(monkeypatch, terminal=True)
    monkeypatch.setattr(pipeline, "generate", lambda *_, **__: SOURCE)
    mehler.network("tanh(x)**7")
    assert stream.getvalue() == ""
