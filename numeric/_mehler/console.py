"""What the command line shares: output, progress, and files that are whole or absent."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.errors import LiveError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mehler.numeric.errors import NumericError

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def progress_bar() -> Progress:
    """A bar on stderr, so that it never mixes with results; silent where stderr is not a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal,
        transient=True,
    )


@contextmanager
def reports(what: str) -> Iterator[Callable[[int, int], None]]:
    """(done, total) ↦ a bar on a terminal, from its first call on; none beside a bar that someone else shows."""
    with ExitStack() as stack:
        bars: list[Progress] = []

        def report(done: int, total: int) -> None:
            if not bars:
                bars.append(progress_bar())
                bars[0].add_task(what, total=total)
                with suppress(LiveError):
                    stack.enter_context(bars[0])
            bars[0].update(bars[0].task_ids[0], completed=done, total=total)

        yield report


def writable(path: Path) -> Path:
    """`path`, if a file may be put there. Raises NumericError."""
    if not path.parent.is_dir():
        raise NumericError(f"the folder {path.parent} does not exist; create it first")
    if path.exists() and not path.is_file():
        raise NumericError(f"{path} is not an ordinary file; name another")
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and is gone otherwise."""
    path = writable(path).resolve()
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise NumericError(f"cannot write in {path.parent}: {error.strerror}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
