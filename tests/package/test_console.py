"""What commands print: nothing is cut, wherever it goes."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from mehler import certify, console
from mehler.certify import Certificate
from mehler.derive.activation import NAMED
from mehler.numeric.precision.network import Case
from mehler.numeric.precision.ulp import Row

Command = Callable[..., Any]


def test_tables_are_whole_in_a_file(mehler_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = mehler_command("list").out.splitlines()
    for name, text in NAMED.items():
        (line,) = (line for line in lines if line.startswith(f"{name} "))
        assert f" {text} " in line


def test_a_certificate_is_whole_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    row = Row("kernel", "region" * 30, 10**30, 1.0, (0.1, 0.2, 0.3))
    case = Case("ntk", "0", 1e-5, 1e-3, 10**60, (1.0, 0.1), 1.0, 1.0, 1e-16, 1.0)
    certify.show(Certificate("name", "x", "float64", {"kernel": 4.0}, (row,), 0.0, (case,)))
    shown = capsys.readouterr().out
    for text in ("region" * 30, str(10**30), "0.1, 0.2, 0.3", f"L={10**60} w=1 b=0.1 angle=1e-05 |y|/|x|=0.001"):
        assert text in shown


def test_results_stay_on_stdout_beside_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "err", Console(file=io.StringIO(), force_terminal=True, width=80))
    with console.progress_bar() as bar:
        bar.add_task("working", total=2)
        console.say("K.npy [x] :smile:")
    assert capsys.readouterr().out == "K.npy [x] :smile:\n"


@pytest.mark.parametrize("width", [20, 40, 79])
def test_tables_are_folded_in_a_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(console, "out", Console(file=stream, force_terminal=True, width=width, color_system=None))
    rows = console.table("name", "expression")
    rows.add_row("long", "0123456789" * 10)
    rows.add_row("[bold]brackets[/bold]", "")
    console.show(rows)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "".join(lines).count("0") == 10
    assert "".join(lines).count("9") == 10


def test_text_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("Σ φ(x) = [x]\n  two lines, é 漢 \u00a0")
    assert capsys.readouterr().out == "Σ φ(x) = [x]\n  two lines, é 漢 \\xa0\n"
