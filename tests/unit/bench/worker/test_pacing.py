"""When the publisher wakes: for each message while the core has room, less often as its load rises."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.worker.pacing import (
    LESS_LOAD,
    LOOK_NS,
    MOST_APART_NS,
    MOST_LOAD,
    STEP_NS,
    AdaptivePacing,
    EachPacing,
)

SECOND = 10**9
TIMER_NS = 35_000
"""A wake-up comes so late."""
MESSAGE_NS = 4_000
"""What a message takes besides its wake-up."""


@dataclass
class Worker:
    """A worker that sends evenly, in simulated time: what it takes, and how late it is."""

    wake_up_ns: int
    now_ns: int = 5 * SECOND
    busy_ns: int = 0
    wake_ups: int = 0
    messages: int = 0
    late_ns: int = 0
    load: float = 0.0

    def __post_init__(self) -> None:
        self.pacing = AdaptivePacing(lambda: self.busy_ns)

    def send(self, rate: int, seconds: float) -> "Worker":
        """At `rate` from now on; the figures are those of the second half."""
        start_ns, sent = self.now_ns, 0
        at_ns, half_ns, busy_ns = start_ns, start_ns + round(seconds * SECOND / 2), 0
        while self.now_ns < start_ns + seconds * SECOND:
            if self.now_ns >= half_ns and not busy_ns:
                self.wake_ups = self.messages = self.late_ns = 0
                half_ns, busy_ns = self.now_ns, self.busy_ns
            self.now_ns = max(self.now_ns, at_ns + TIMER_NS)
            due = (self.now_ns - start_ns) * rate // SECOND + 1
            self.late_ns += sum(self.now_ns - start_ns - n * SECOND // rate for n in range(sent, due))
            self.wake_ups, self.messages = self.wake_ups + 1, self.messages + due - sent
            took_ns = self.wake_up_ns + MESSAGE_NS * (due - sent)
            at_ns = self.pacing.wake_at(start_ns + due * SECOND // rate, self.now_ns, due - sent)
            self.now_ns, self.busy_ns, sent = self.now_ns + took_ns, self.busy_ns + took_ns, due
        self.load = (self.busy_ns - busy_ns) / (self.now_ns - half_ns)
        return self


@pytest.mark.parametrize("rate", [10, 2_000, 10_000])
def test_each_message_is_woken_for_while_the_core_has_room(rate: int) -> None:
    """None is later than the timer is."""
    worker = Worker(wake_up_ns=30_000).send(rate, 4)

    assert worker.wake_ups == worker.messages
    assert worker.late_ns / worker.messages <= TIMER_NS + 1


def test_messages_closer_than_a_timer_is_late_are_bunched() -> None:
    """At 50,000 a second a wake-up for each would take the whole core, and none would be less late."""
    worker = Worker(wake_up_ns=25_000).send(50_000, 4)

    assert worker.messages / worker.wake_ups == pytest.approx(MOST_APART_NS * 50_000 / SECOND, rel=0.1)
    assert worker.load < MOST_LOAD


@pytest.mark.parametrize(("rate", "wake_up_ns"), [(10_000, 60_000), (15_000, 40_000), (20_000, 30_000)])
def test_a_core_that_gets_full_has_messages_bunched(rate: int, wake_up_ns: int) -> None:
    """Until the load is where it may be, and no further than that."""
    worker = Worker(wake_up_ns).send(rate, 10)

    assert worker.messages > worker.wake_ups
    assert LESS_LOAD - 0.05 < worker.load < MOST_LOAD + 0.05


def test_wake_ups_move_together_again_when_the_load_falls() -> None:
    """A burst is over, and each message is woken for as before it."""
    worker = Worker(wake_up_ns=60_000).send(15_000, 4)
    assert worker.pacing.apart_ns > 0

    worker.send(2_000, 4)

    assert worker.pacing.apart_ns == 0
    assert worker.wake_ups == worker.messages


def test_a_core_without_room_has_wake_ups_as_far_apart_as_they_may_be() -> None:
    """And no further, whatever the load."""
    worker = Worker(wake_up_ns=200_000).send(10_000, 4)

    assert worker.pacing.apart_ns == MOST_APART_NS
    assert repr(worker.pacing) == "<AdaptivePacing, 275 µs apart>"


def test_a_pause_says_nothing_of_the_load() -> None:
    """Between two phases nothing is sent, and a time that is long past has its load forgotten."""
    busy_ns = 0
    pacing = AdaptivePacing(lambda: busy_ns)
    pacing.wake_at(SECOND, SECOND, 1)
    busy_ns = 10 * SECOND

    pacing.wake_at(11 * SECOND, 11 * SECOND, 1)
    assert pacing.apart_ns == 0
    busy_ns += LOOK_NS

    pacing.wake_at(11 * SECOND + LOOK_NS, 11 * SECOND + LOOK_NS, 1)
    assert pacing.apart_ns == STEP_NS


def test_a_wake_up_that_comes_before_it_was_planned_waits_for_no_plan() -> None:
    """A new phase, or room for another producer: what was planned for a second later holds nobody up."""
    pacing = AdaptivePacing(lambda: 0)
    pacing.wake_at(6 * SECOND, 5 * SECOND, 1)

    assert pacing.wake_at(5 * SECOND + 1_000_000, 5 * SECOND + 10, 1) == 5 * SECOND + 1_000_000


@given(st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**9), st.integers(0, 10**8), st.integers(0, 4096))))
def test_nobody_is_woken_early_or_held_for_longer_than_may_be(steps: list[tuple[int, int, int, int]]) -> None:
    """Whatever the load and whoever wakes: not before a message is due, and at most so long after now."""
    now_ns, busy_ns = SECOND, 0
    pacing = AdaptivePacing(lambda: busy_ns)
    for elapsed, ahead, took, sent in steps:
        now_ns, busy_ns = now_ns + elapsed, busy_ns + took
        at_ns = pacing.wake_at(now_ns + ahead, now_ns, sent)
        assert now_ns + ahead <= at_ns <= max(now_ns + ahead, now_ns + MOST_APART_NS)
    assert EachPacing().wake_at(5, 3, 1) == 5
