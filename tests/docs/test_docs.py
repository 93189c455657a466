"""The examples of README and docs run, and print what the pages say."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from mehler import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# Times differ from run to run; a page writes "… s" in their place.
SECONDS = re.compile(r"\d+\.\d+ s\b")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_examples(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("```", "")
    examples = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
    assert doctest.DocTestRunner(optionflags=flags).run(examples).failed == 0


def console_examples(page: Path) -> list[tuple[str, str]]:
    """(command, expected output) of every console block; a command without output is run for its exit code."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [
        (command, expected)
        for block in blocks
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_console_examples(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for command, expected in console_examples(page):
        monkeypatch.setattr("sys.argv", shlex.split(command))
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        assert stop.value.code == 0, printed.err
        if expected:
            assert SECONDS.sub("… s", printed.out).strip() == expected.strip()


def test_readme_has_console_examples() -> None:
    assert console_examples(ROOT / "README.md")


def test_verification_page_is_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["mehler", "verify", "--out", str(tmp_path / "verification.md")])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    committed = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")
    assert (tmp_path / "verification.md").read_text(encoding="utf-8") == committed
