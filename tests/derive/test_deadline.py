"""The time limit: what it stops, and that nothing of it is left afterwards."""

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import mpmath
import pytest
import sympy as sp
from sympy.core.parameters import global_parameters

from mehler.derive import pipeline
from mehler.derive.deadline import within
from mehler.derive.errors import DerivationTimeout, DeriveError
from mehler.derive.pipeline import derivation, derive_dual, generate

x, y = sp.symbols("x y")


@pytest.fixture
def eager() -> Iterator[None]:
    """Threads take turns after every few steps, so that an alarm arrives where it may, not where it suits."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def _spin(seconds: float) -> str:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return "done"


def _endless() -> None:
    while True:
        pass


def _factor() -> Any:
    return sp.factor(sp.expand((x**5 + 3 * y**4 + x * y + 1) ** 14 * (x - y**7 + 2) ** 9))


def _no_alarm_is_left() -> bool:
    for _ in range(200):
        if not any(thread.name == "mehler-deadline" for thread in threading.enumerate()):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("work", [_endless, _factor], ids=["pure Python", "SymPy"])
def test_long_work_is_stopped(work: Any) -> None:
    started = time.perf_counter()
    with pytest.raises(DerivationTimeout, match=r"longer than 0\.3 s; simplify the activation, .* raise timeout$"):
        within(0.3, work)
    assert 0.3 <= time.perf_counter() - started < 5
    assert _no_alarm_is_left()


def test_a_limit_of_the_processor_does_not_count_what_others_take() -> None:
    def idle_then_busy() -> None:
        time.sleep(0.4)  # counts on a system without the clock of a thread, and the rest is the same
        _endless()

    started = time.thread_time()
    with pytest.raises(DerivationTimeout):
        within(0.3, idle_then_busy, processor=True)
    least = 0.3 if hasattr(time, "pthread_getcpuclockid") else 0
    assert least <= time.thread_time() - started < 1
    assert _no_alarm_is_left()


def test_work_within_the_limit_is_not_touched() -> None:
    assert within(60, lambda: 7) == 7
    assert within(None, lambda: 7) == 7
    assert within(float("inf"), lambda: 7) == 7
    with pytest.raises(KeyError, match="mine"):
        within(60, lambda: {}["mine"])
    assert _no_alarm_is_left()


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "3", True])
def test_a_limit_is_a_positive_number(seconds: Any) -> None:
    with pytest.raises(DeriveError, match="use a number of seconds > 0"):
        within(seconds, lambda: 7)


def test_in_another_thread_only_that_one_is_stopped() -> None:
    outcome: list[object] = []

    def run() -> None:
        try:
            within(0.2, _endless)
        except DerivationTimeout as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert _spin(0.6) == "done"
    thread.join(10)
    assert isinstance(outcome[0], DerivationTimeout)


def test_the_inner_limit_is_not_the_outer() -> None:
    def outer() -> str:
        with pytest.raises(DerivationTimeout, match=r"0\.1 s"):
            within(0.1, _endless)
        return _spin(0.2)

    assert within(60, outer) == "done"
    with pytest.raises(DerivationTimeout, match=r"0\.2 s"):
        within(0.2, lambda: within(60, _endless))
    assert _no_alarm_is_left()


def test_swallowing_the_interruption_does_not_help() -> None:
    def stubborn() -> str:
        for _ in range(2):
            with suppress(BaseException):
                _endless()
        return "done"

    with pytest.raises(DerivationTimeout):
        within(0.1, stubborn)


# Limits of 0.2 ms meet the alarm most often; a machine under load may start its thread too late for every one of
# them, and the longer ones see each outcome there too.
SCALES = [1] * 500 + [10] * 50 + [100] * 20


@pytest.mark.usefixtures("eager")
def test_no_late_interruption() -> None:
    """Bodies that end at about the moment of the alarm: a result or a timeout, and then nothing more."""
    luck = random.Random(0)
    outcomes = set()
    for scale in SCALES:
        try:
            outcomes.add(within(scale * 2e-4, lambda scale=scale: _spin(scale * luck.random() * 4e-4)))
        except DerivationTimeout:
            outcomes.add("timeout")
    assert outcomes == {"done", "timeout"}
    assert _spin(0.05) == "done"
    assert _no_alarm_is_left()


@pytest.mark.usefixtures("eager")
def test_no_late_interruption_of_nested_limits() -> None:
    luck = random.Random(0)

    def inner(scale: int) -> str:
        try:
            limit = scale * (1e-4 + 2e-4 * luck.random())
            return within(limit, lambda: _spin(scale * luck.random() * 6e-4))
        except DerivationTimeout:
            return "inner"

    outcomes = set()
    for scale in SCALES:
        try:
            outcomes.add(within(scale * 3e-4, lambda scale=scale: inner(scale)))
        except DerivationTimeout:
            outcomes.add("outer")
    assert outcomes == {"done", "inner", "outer"}
    assert _spin(0.05) == "done"
    assert _no_alarm_is_left()


def test_what_the_work_changed_for_a_while_is_put_back() -> None:
    def change() -> None:
        mpmath.mp.prec += 100
        global_parameters.evaluate = False
        _endless()

    precision = mpmath.mp.prec
    with pytest.raises(DerivationTimeout):
        within(0.1, change)
    assert mpmath.mp.prec == precision
    assert global_parameters.evaluate is True


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEHLER_CACHE", "off")


def test_an_interrupted_derivation_does_not_spoil_the_next() -> None:
    expected = str(derive_dual("relu"))
    for seconds in (0.01, 0.03, 0.06):
        with pytest.raises(DerivationTimeout):
            derivation("relu", {}, timeout=seconds, fallback=False)
    assert str(derive_dual("relu")) == expected


def test_the_driver_takes_a_limit() -> None:
    with pytest.raises(DerivationTimeout, match="the derivation took longer than 0"):
        derivation("elu", {}, timeout=0.1, fallback=False)
    assert derive_dual("x", timeout=None).status == "closed-form"
    with pytest.raises(DeriveError, match="timeout=0 "):
        derive_dual("x", timeout=0)


def test_tables_take_the_time_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine, or for a φ that needs many nodes, that may be minutes, and none of them in vain."""
    limited = []

    def within(_: float | None, work: Callable[[], Any]) -> Any:
        limited.append(True)
        try:
            return work()
        finally:
            limited.pop()

    def tabulated(*_: Any) -> None:
        assert not limited

    monkeypatch.setattr(pipeline, "within", within)
    monkeypatch.setattr(pipeline, "tabulated", tabulated)
    assert "double_sum" in generate("tanh", name="mine")
