import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from mehler.cli import main


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    def refused(self) -> str:
        """The one line of a refusal: exit code 2, no result on stdout, no traceback."""
        assert self.code == 2, self
        # The demo has announced its first stage by then.
        assert self.out in ("", "\n1. Derive and prove\n")
        assert "Traceback" not in self.err
        assert self.err.startswith("mehler: ")
        assert self.err.count("\n") == 1
        assert self.err.endswith("\n")
        return self.err


@pytest.fixture
def mehler_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs `mehler ARGS` in this process."""

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["mehler", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return Result(exit_.value.code, captured.out, captured.err)

    return run
