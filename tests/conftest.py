"""One folder of derivations for all workers of a run, made for the run: none is left from an earlier one."""

import os
import shutil
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the workers inherit the environment
        os.environ["MEHLER_CACHE"] = tempfile.mkdtemp(prefix="mehler-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop("MEHLER_CACHE"), ignore_errors=True)
