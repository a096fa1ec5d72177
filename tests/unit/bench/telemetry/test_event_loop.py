"""What holds an event loop up is counted."""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import uvloop

from ombdriver.bench.telemetry import event_loop as event_loop
from ombdriver.bench.telemetry.event_loop import LEAST_STALL_NS, GcPauses, LoopLateness, LoopStalls
from ombdriver.bench.worker.pacer import make_pacer


@pytest.fixture
def pauses() -> Iterator[GcPauses]:
    """A watcher that is taken away again, and the garbage collector as it was."""
    before = gc.get_threshold()
    watching = GcPauses()
    yield watching
    watching.close()
    gc.unfreeze()
    gc.set_threshold(*before)


def hold_up(seconds: float) -> None:
    """What a long callback does to its loop."""
    time.sleep(seconds)


MAKERS: list[Callable[[], LoopStalls | LoopLateness]] = [
    lambda: LoopStalls(0.006),
    lambda: LoopLateness(make_pacer),
]


@pytest.mark.parametrize("make", MAKERS, ids=["LoopStalls", "LoopLateness"])
def test_a_stall_is_counted_on_either_loop(make: Callable[[], LoopStalls | LoopLateness]) -> None:
    """With nearly all of its length, and never with more; by either kind of heartbeat."""

    async def main() -> LoopStalls | LoopLateness:
        stalls = make()
        began_ns = time.monotonic_ns()
        hold_up(0.1)
        while not stalls.count:  # noqa: ASYNC110 - the watcher tells nobody
            await asyncio.sleep(0)
        assert stalls.longest_ns <= stalls.total_ns <= time.monotonic_ns() - began_ns
        stalls.close()
        return stalls

    for run in (asyncio.run, uvloop.run):
        stalls = run(main())
        assert stalls.count == 1
        assert stalls.longest_ns >= 100_000_000 - 6_000_000 - LEAST_STALL_NS
        assert repr(stalls).startswith(f"<{type(stalls).__name__} 1, the longest ")


class ScriptedTimer:
    """Fires when the test says so."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.fire, self.at_ns, self.closed = callback, 0, False

    def arm(self, at_ns: int) -> None:
        """For then."""
        self.at_ns = at_ns

    def close(self) -> None:
        """No more."""
        self.closed = True


def test_the_share_of_late_heartbeats_is_the_share_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop held up for 35 ms in every 100 is late by 10 ms or more for a quarter of the time, by 35 at most."""
    now_ns = 0
    monkeypatch.setattr(event_loop, "time", SimpleNamespace(monotonic_ns=lambda: now_ns))
    timers: list[ScriptedTimer] = []

    def make_timer(callback: Callable[[], None]) -> ScriptedTimer:
        timers.append(ScriptedTimer(callback))
        return timers[-1]

    lateness = LoopLateness(make_timer)
    (timer,) = timers
    while now_ns < 20 * 10**9:
        into = timer.at_ns % 100_000_000
        now_ns = timer.at_ns + max(0, 35_000_000 - into)
        timer.fire()

    histogram = lateness.histogram()
    share = 1 - histogram.upto([10_000_000])[0] / histogram.count
    assert share == pytest.approx(0.25, abs=0.03)
    assert 33_000_000 < histogram.max_ns <= 35_000_000
    assert histogram.percentiles([50.0]) == [0]
    assert (lateness.count, lateness.longest_ns) == (pytest.approx(200, abs=1), histogram.max_ns)
    assert 200 * 29_000_000 < lateness.total_ns <= 201 * 35_000_000
    lateness.reset()
    assert lateness.histogram().count == lateness.count == lateness.longest_ns == lateness.total_ns == 0
    lateness.close()
    assert timer.closed


async def test_a_reset_forgets_stalls_and_the_one_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A phase begins with a collection of garbage, which is no stall of the phase."""
    now_ns = 0
    monkeypatch.setattr(event_loop, "time", SimpleNamespace(monotonic_ns=lambda: now_ns))
    stalls = LoopStalls(0.001)
    now_ns = 50_000_000

    stalls.reset()
    first = stalls._handle
    while stalls._handle is first:  # noqa: ASYNC110 - the watcher tells nobody
        await asyncio.sleep(0)

    assert (stalls.count, stalls.longest_ns, stalls.total_ns) == (0, 0, 0)
    stalls.close()


async def test_a_closed_watcher_watches_no_more() -> None:
    """Nothing of it stays in the loop."""
    stalls = LoopStalls(0.001)

    stalls.close()

    assert stalls._handle.cancelled()


def test_collections_are_counted_with_their_time(pauses: GcPauses) -> None:
    """Each of them, until the count begins anew."""
    gc.collect()
    gc.collect()

    assert pauses.count == 2
    assert 0 < pauses.longest_ns <= pauses.total_ns <= 2 * pauses.longest_ns
    assert repr(pauses).startswith("<GcPauses 2, the longest ")
    pauses.freeze()
    assert (pauses.count, pauses.longest_ns, pauses.total_ns) == (0, 0, 0)
