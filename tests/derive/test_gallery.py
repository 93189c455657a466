"""The gallery: what it says of a result, of a failure, and of other people's library."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mehler.derive import cache, gallery
from mehler.derive.activation import NAMED, activation
from mehler.derive.dual import NumericDual
from mehler.derive.errors import DeriveError
from mehler.derive.gallery import ENTRIES, Entry, Outcome, chosen, outcome, page
from mehler.derive.pipeline import derive_dual

RELU, STEP, TANH = chosen(["relu", "step", "tanh"])[1], chosen(["step"])[0], chosen(["tanh"])[0]


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return [outcome(entry) for entry in (STEP, RELU, TANH)]


def _section(text: str, name: str) -> str:
    return re.split(r"^## ", text.partition(f"\n## {name}\n")[2], flags=re.MULTILINE)[0]


def test_every_entry_is_an_activation() -> None:
    for entry in ENTRIES:
        assert activation(entry.text, entry.params).expr.has(activation("x").expr)


def test_every_name_of_the_engine_is_there() -> None:
    assert set(NAMED) <= {entry.text for entry in ENTRIES}


def test_each_section_has_its_own_anchor() -> None:
    text = page([Outcome(entry, "failed", 1.0, failure="x") for entry in ENTRIES])
    anchors = re.findall(r"\]\(#([\w-]+)\)", text)
    assert len(anchors) == len(set(anchors)) == len(ENTRIES)
    headings = [h.replace("\\", "").lower().replace(" ", "-") for h in re.findall(r"^## (.*)", text, re.MULTILINE)]
    assert headings == anchors


def test_a_page(outcomes: list[Outcome]) -> None:
    text = page(outcomes)
    assert "3 activations: 2 closed-form, 1 numeric.\nSeconds of those with a formula: median " in text
    exact = sum(check.kind == "symbolic" for check in outcomes[1].proof.checks)
    numeric = len(outcomes[1].proof.checks) - exact
    assert f"| [relu](#relu) | `max(0, x)` | closed-form | {exact} | {numeric}: 25 digits | " in text
    assert re.search(
        r"\| \[tanh\]\(#tanh\) \| `tanh\(x\)` \| numeric \|  \|  \| \d+\.\d \| by quadrature alone \|", text
    )
    relu = _section(text, "relu")
    for formula in (r"\phi(x) &= \max", r"\dot K &= \frac{\pi - \theta}{2 \pi}", r"K(q, q, q) &= \frac{q}{2}"):
        assert formula in relu
    assert "jumps" not in relu
    assert r"\dot K_\delta &= \frac{1}{2 \pi \sqrt{" in _section(text, "step")
    assert "no closed form is known: tanh(x)" in _section(text, "tanh")


def test_a_long_formula_is_named_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "LONG", 30)
    section = _section(page([outcome(Entry("slope", "where(x > 0, x, a*x)", "no", {"a": "positive"}))]), "slope")
    sizes = [int(n.replace(",", "")) for n in re.findall(r"takes ([\d,]+) characters of LaTeX", section)]
    assert len(sizes) == 3
    assert all(size > 30 for size in sizes)
    assert section.count('`mehler derive "where(x > 0, x, a*x)" --param a=positive --report FILE.md`') == 3
    assert r"\dot K(q, q, q) &= " in section


def test_the_same_outcomes_give_the_same_page(outcomes: list[Outcome]) -> None:
    again = [outcome(RELU), outcome(TANH)]
    assert page([replace(o, seconds=1.0) for o in again]) == page([replace(o, seconds=1.0) for o in outcomes[1:]])


def test_the_cache_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEHLER_CACHE", str(tmp_path))
    phi = activation("tanh")
    cache.store(cache.key(phi, "almost-everywhere"), NumericDual(phi, "from the cache", "almost-everywhere"))
    assert derive_dual("tanh").reason == "from the cache"
    assert "from the cache" not in page([outcome(TANH)])
    outcome(chosen(["mish"])[0])
    assert len(list(tmp_path.iterdir())) == 1


def test_what_fails_is_shown_as_such() -> None:
    slow = outcome(Entry("slow", "elu", "no"), timeout=0.2)
    wrong = outcome(Entry("wrong", "exp(x**2)", "no"))
    assert (slow.status, wrong.status) == ("timeout", "failed")
    text = page([slow, wrong])
    assert "2 activations: 1 timeout, 1 failed." in text
    assert "| [slow](#slow) | `where(x > 0, x, a*(exp(x) - 1))` | timeout |  |  | " in text
    assert "`exp(x**2)`: failed. the expectation diverges" in _section(text, "wrong")


def test_text_from_outside_does_nothing() -> None:
    entry = Entry("a|b", "x | `<b>", "a|b <script>")
    text = page([Outcome(entry, "failed", 1.0, failure="<script>|$x$")])
    assert "<script" not in text
    row = next(line for line in text.splitlines() if line.startswith("| ["))
    assert len(re.findall(r"(?<!\\)\|", row)) == 8


def test_chosen() -> None:
    assert chosen([]) == tuple(ENTRIES)
    assert [entry.name for entry in chosen(["tanh", "relu"])] == ["relu", "tanh"]
    with pytest.raises(DeriveError, match="'nothing' is not in the gallery; choose from: identity, step, "):
        chosen(["nothing"])


def test_neural_tangents_column() -> None:
    """What the golden table of that library has, the gallery does not deny it."""
    have = {entry.text: entry.neural_tangents for entry in ENTRIES}
    for name in ("relu", "leaky_relu", "abs", "erf", "gelu", "sin", "cos", "rff", "exp", "gaussian", "gabor"):
        assert have[name] == "yes"
    assert have["x**5"].startswith("yes")
    assert {have[name] for name in ("elu", "selu", "celu", "relu6", "sinc", "lorentzian", "arctan")} == {"no"}
