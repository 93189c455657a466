"""The examples of README and docs run, and print what the pages say."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from mehler import cli
from mehler.derive.gallery import ENTRIES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# Times differ from run to run; a page writes "… s" in their place.
SECONDS = re.compile(r"\d+\.\d+ s\b( from the cache)?")


def console_examples(page: Path) -> list[tuple[str, str]]:
    """(command, expected output) of every console block; a command without output is run for its exit code."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [
        (command, expected)
        for block in blocks
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_examples(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those in Python first: they may write files that the commands read."""
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8").replace("```", "")
    examples = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
    failed = doctest.DocTestRunner(optionflags=flags).run(examples).failed
    assert failed == 0, capsys.readouterr().out
    capsys.readouterr()
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


def _anchors(page: Path) -> set[str]:
    """The targets of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.is_file(), target
        assert not anchor or anchor in _anchors(linked), target


def test_the_gallery_page_has_every_entry() -> None:
    text = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(.*?)\]\(#.*\| (.*?) \|$", text, re.MULTILINE)
    assert [(name.replace("\\", ""), peer) for name, peer in rows] == [(e.name, e.neural_tangents) for e in ENTRIES]
