"""A slice of what `python tests/fuzz` runs."""

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    folder = Path(__file__).parent
    monkeypatch.syspath_prepend(folder)
    spec = importlib.util.spec_from_file_location("mehler_fuzz", folder / "__main__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delitem(sys.modules, "texts")
    return module


def test_random_text_ends_in_an_activation_or_a_derive_error(fuzz: ModuleType) -> None:
    # On a busy machine a second may be lost in any place, so `python tests/fuzz` measures times, and this does not.
    results = list(fuzz.strings(120, seed=7))
    assert [(text, fault) for text, _, fault in results if fault is not None and not fault.startswith("took")] == []
    assert {"accepted", "ParseError", "OutsideClass"} <= {kind for _, kind, _ in results}


def test_the_same_seed_gives_the_same_texts(fuzz: ModuleType) -> None:
    first, again, other = ([text for text, _, _ in fuzz.strings(40, seed)] for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize(
    ("work", "fault"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: sum(range(10**7)), "took"),
        (lambda: (_ for _ in ()).throw(SystemExit(3)), "SystemExit"),
    ],
)
def test_a_failure_is_seen(fuzz: ModuleType, work: object, fault: str) -> None:
    assert fault in (fuzz.outcome(work, time.thread_time, 0.01)[1] or "")


def test_random_derivations_end_in_time(fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEHLER_CACHE", "off")
    results = list(fuzz.derivations(3, seed=11, timeout=1.0))
    assert [(text, fault) for text, _, fault in results if fault is not None and not fault.startswith("took")] == []
