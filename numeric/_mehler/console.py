"""What commands show: results on stdout, progress and notes on stderr."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from rich.console import Console
from rich.errors import LiveError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

WIDE = 100_000  # columns: a file has no edge

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def printable(text: str) -> str:
    """A text with escapes in place of characters that a terminal would obey, as a file name may have them."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def say(text: str) -> None:
    """Print a result, also beside a bar, which takes what print() is given to stderr."""
    out.print(printable(text), markup=False)


def note(text: str) -> None:
    """Print a line on stderr, whatever lines the text has."""
    print(f"mehler: {' '.join(printable(text).split())}", file=sys.stderr)


def table(*headers: str) -> Table:
    return Table(*(Column(header, overflow="fold") for header in headers), box=None, pad_edge=False)


def show(rows: Table) -> None:
    """Print a table. What does not fit into a terminal is folded; nothing is cut."""
    console = out if out.is_terminal else Console(width=WIDE, highlight=False, emoji=False)
    console.print(rows)


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
