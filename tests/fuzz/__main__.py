"""Random text through the parser, and random activations through a derivation; exit code 1 when one fails.

    python tests/fuzz [--strings 100000] [--derivations 300] [--timeout 5] [--seed 0]

A string fails when it ends in anything but an activation or a DeriveError, or takes over 2 seconds of processor
time. A derivation fails when it ends in anything but a result or a DeriveError, or outlasts its time limit by over
a second. The process fails when the strings take over 1 GB. 100,000 strings take a quarter of an hour, and 300
derivations about as long.
"""

import argparse
import faulthandler
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from rich.progress import track
from texts import texts

from mehler.derive.activation import activation
from mehler.derive.errors import DeriveError
from mehler.derive.pipeline import derive_dual

SECONDS, LATE, GIGABYTES = 2.0, 1.0, 1.0

# A string that ends in nothing is shown by where it is after this many seconds, and ends the run.
HOPELESS = 300


def outcome(work: Callable[[], Any], clock: Callable[[], float], limit: float) -> tuple[str, str | None]:
    """What `work` ended in, and what is wrong with that."""
    start = clock()
    try:
        work()
        kind, fault = "accepted", None
    except DeriveError as error:
        kind = type(error).__name__
        fault = "more than one line" if "\n" in str(error) else None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        kind, fault = type(error).__name__, f"{type(error).__name__}: {error}"
    seconds = clock() - start
    return kind, fault or (f"took {seconds:.1f} s" if seconds > limit else None)


def parsed(text: str) -> tuple[str, str | None]:
    return outcome(lambda: activation(text), time.thread_time, SECONDS)


def derived(text: str, timeout: float) -> tuple[str, str | None]:
    return outcome(lambda: derive_dual(text, timeout=timeout), time.perf_counter, timeout + LATE)


def strings(count: int, seed: int) -> Iterator[tuple[str, str, str | None]]:
    for text in islice(texts(seed), count):
        yield text, *parsed(text)


def derivations(count: int, seed: int, timeout: float) -> Iterator[tuple[str, str, str | None]]:
    """Of random texts that are activations."""
    for text in islice((text for text in texts(seed) if parsed(text)[0] == "accepted"), count):
        yield text, *derived(text, timeout)


def failures(name: str, results: Iterator[tuple[str, str, str | None]], count: int) -> int:
    kinds: Counter[str] = Counter()
    failed = 0
    for text, kind, fault in track(results, name, count, disable=not sys.stderr.isatty()):
        faulthandler.dump_traceback_later(HOPELESS, exit=True)
        kinds[kind] += 1
        if fault is not None:
            failed += 1
            print(f"{fault.splitlines()[0]}: {text!r}", flush=True)
    faulthandler.cancel_dump_traceback_later()
    print(f"{name}: {failed} of {count} failed; {', '.join(f'{n} {kind}' for kind, n in kinds.most_common())}")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strings", type=int, default=100_000)
    parser.add_argument("--derivations", type=int, default=300)
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds of a derivation")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["MEHLER_CACHE"] = "off"
    failed = failures("strings", strings(options.strings, options.seed), options.strings)
    # Bytes on macOS, and kilobytes elsewhere.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
    print(f"peak memory after the strings: {peak:.2f} GB")
    found = derivations(options.derivations, options.seed + 1, options.timeout)
    failed += failures("derivations", found, options.derivations)
    return int(failed > 0 or peak > GIGABYTES)


if __name__ == "__main__":
    sys.exit(main())
