"""A time limit on work that does not know it has one: SymPy and mpmath, which may run for hours."""

import ctypes
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeVar

import mpmath
from sympy.core.cache import clear_cache
from sympy.core.parameters import global_parameters

from mehler.derive.errors import DerivationTimeout, DeriveError

Result = TypeVar("Result")

# Between two attempts to interrupt: a bare `except:` of mpmath or a finaliser may swallow the first.
AGAIN = 0.2

# No alarm fires while a thread starts: CPython gives that for a moment the identity of its starter, and the
# interruption would hit it instead.
_STARTING = threading.RLock()

_set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc


def within(seconds: float | None, work: Callable[[], Result], *, processor: bool = False) -> Result:
    """work(), or DerivationTimeout after `seconds`, of the processor if `processor`; None sets no limit.

    For any thread, and nested. The work stops between two steps of Python, so that one long call into C ends
    first. After a limit that was exceeded work has no result, whatever it did with the interruption.
    """
    # Not a context manager: an interruption may arrive between the end of a with-block and the first line of
    # __exit__, where nothing can catch it. Here every step from the start of the alarm to its end is in a try.
    if seconds is None:
        return work()
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise DeriveError(f"timeout={seconds!r} is not a time limit; use a number of seconds > 0")
    alarm = _Alarm(min(float(seconds), threading.TIMEOUT_MAX), processor)
    # What an interruption in the wrong place would leave changed for good.
    precision, evaluates, distributes = mpmath.mp.prec, global_parameters.evaluate, global_parameters.distribute
    try:
        try:
            alarm.start()
            result = work()
        finally:
            alarm.silence()
    except BaseException as error:
        alarm.silence()  # again: the first time may have been interrupted, by this alarm or by one around it
        if not alarm.fired or isinstance(error, KeyboardInterrupt | SystemExit):
            raise
    else:
        if not alarm.fired:
            return result
    mpmath.mp.prec = precision
    global_parameters.evaluate, global_parameters.distribute = evaluates, distributes
    # SymPy keeps what it knows of an expression in the expression, fact by fact, and its cache keeps expressions.
    clear_cache()
    raise DerivationTimeout(
        f"the derivation took longer than {seconds:g} s; "
        "simplify the activation, give its parameters values, or raise timeout"
    )


def _processor_clock() -> Callable[[], float]:
    """The processor time of the calling thread, to be read in any; where the system has no such clock, all time."""
    if hasattr(time, "pthread_getcpuclockid"):
        return partial(time.clock_gettime, time.pthread_getcpuclockid(threading.get_ident()))
    return time.perf_counter


class _Interruption(BaseException):
    """Stops the work. Not an Exception, which SymPy catches in places; it never leaves this module."""


class _Alarm:
    """A thread that interrupts the one that made it, by the exception that CPython sets from outside.

    Not a signal: that is for the main thread of POSIX alone, and interrupts between the same two steps.
    """

    def __init__(self, seconds: float, processor: bool) -> None:
        self.fired = False
        self._seconds = seconds
        self._clock = _processor_clock() if processor else time.perf_counter
        self._start = self._clock()
        self._target = ctypes.c_ulong(threading.get_ident())
        # Who holds the permit decides. The target takes it for good, and an RLock can be taken again where it
        # is not known whether the last attempt was interrupted before or after it succeeded.
        self._permit = threading.RLock()
        # Not an Event: its lock is Python, and an interruption inside would keep it locked.
        self._end: SimpleQueue[None] = SimpleQueue()

    def start(self) -> None:
        with _STARTING:
            threading.Thread(target=self._watch, name="mehler-deadline", daemon=True).start()

    def silence(self) -> None:
        """From here on the alarm interrupts nothing. May be called again, and interrupted."""
        while True:
            try:
                self._permit.acquire()
                if self.fired:
                    _set_exception(self._target, None)  # set, and not yet raised
                self._end.put(None)
                return
            except _Interruption:  # this alarm's, or that of an alarm around it, which will repeat
                continue

    def _watch(self) -> None:
        wait = self._seconds
        while True:
            try:
                self._end.get(timeout=wait)
                return
            except Empty:
                wait = self._start + self._seconds - self._clock()
                if wait > 0:  # the processor was with others
                    continue
                wait = AGAIN
            with _STARTING:
                if not self._permit.acquire(blocking=False):
                    return
                self.fired = True
                _set_exception(self._target, ctypes.py_object(_Interruption))
                self._permit.release()
