"""One folder of derivations for all workers of a run, made for the run: none is left from an earlier one."""

import os
import shutil
import tempfile
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the workers inherit the environment
        os.environ["MEHLER_CACHE"] = tempfile.mkdtemp(prefix="mehler-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop("MEHLER_CACHE"), ignore_errors=True)


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
