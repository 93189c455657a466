"""How a command ends: an expected failure is one line on stderr and an exit code; nothing is half-written."""

import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import typer

# typer exports its errors one by one; this is the one they share.
UsageProblem: Any = typer.BadParameter.__mro__[2]


@contextmanager
def one_line_failures() -> Iterator[None]:
    """Runs a command: SystemExit 2 when it fails, 130 when it is interrupted, 128 + n after the signal n."""
    _exit_on_signals()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # of what its encoding cannot say
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: _note(f"warning: {message}")
            yield
        if sys.stdout is not None:  # the caller may have closed it
            sys.stdout.flush()
    except (typer.Abort, KeyboardInterrupt):
        _fail("interrupted; nothing was left half-written", 130)
    except UsageProblem as error:
        _fail(f"{error.format_message()} (see 'mehler --help')")
    except ValueError as error:
        from mehler.derive.errors import DeriveError
        from mehler.numeric.errors import NumericError

        if not isinstance(error, DeriveError | NumericError):
            raise
        _fail(str(error))
    except BrokenPipeError:  # the reader of the output has seen enough, as `head` does
        _close_output()
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            _close_output()
        _fail(f"{error.filename or 'the output'}: {error.strerror}")
    except RecursionError:
        _fail("the activation is too deeply nested to be derived; simplify it")
    except MemoryError:
        _fail("there is not enough memory; give fewer rows, or write to a file with 'mehler gram'")


def _exit_on_signals() -> None:
    """End by SystemExit, so that temporary files are removed. What the caller ignores (nohup) stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGTERM", "SIGHUP", "SIGXCPU"):
        number = getattr(signal, name, None)  # Windows has only the first
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda number, _: sys.exit(128 + number))


def _close_output() -> None:
    """Let nothing more be written to stdout, nor fail, when Python flushes it at its end."""
    with suppress(OSError, ValueError):  # a stream that is no file has no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int = 2) -> None:
    _note(message)
    sys.exit(code)


def _note(text: str) -> None:
    from mehler.console import note  # takes long to import

    note(text)
