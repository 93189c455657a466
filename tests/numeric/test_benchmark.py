"""The benchmark runs: what it finds is for a quiet machine, and no test."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "gram"


@pytest.mark.slow
def test_a_quick_run_writes_its_page(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--quick", "--out", str(tmp_path)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        "benchmarks.md", "benchmarks-time.png", "benchmarks-memory.png",
    }  # fmt: skip
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "| relu | float64 | 2 |" in page
    assert "seed 0" in page
    assert "NumPy " in page
