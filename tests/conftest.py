"""One folder of derivations for all workers of a run, made for the run: none is left from an earlier one."""

import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the workers inherit the environment
        os.environ["MEHLER_CACHE"] = tempfile.mkdtemp(prefix="mehler-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop("MEHLER_CACHE"), ignore_errors=True)


@pytest.fixture
def tile_size(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """tile_size(n, *names) sets the rows and columns of a tile of committed modules, on each target."""
    from mehler.numeric.evaluator import load_named

    def set_size(size: int, *names: str) -> None:
        for name in names:
            for target in ("numpy", "numba"):
                module = load_named(name, target)
                if module is not None:
                    monkeypatch.setattr(module, "TILE", (size, size))

    return set_size


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--tighten", action="store_true", help="list the budgets that modules keep with less than half of them"
    )


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.getoption("--tighten"):
        reports = terminalreporter.getreports("passed")
        lines = [text for report in reports for key, text in report.user_properties if key == "tighten"]
        terminalreporter.section("budgets that could be halved")
        terminalreporter.write_line("\n".join(sorted(lines)) or "none")
