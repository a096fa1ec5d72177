"""How long consumers are at work on messages: as written, as drawn, and as waited."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.load.processing_time import MOST_NS, ProcessingTime
from ombdriver.bench.worker.consumer import SimulatedProcessing


@pytest.mark.parametrize(
    ("text", "mean_ns", "spread", "told"),
    [
        ("1ms", 1_000_000, "constant", "1ms"),
        ("250us", 250_000, "constant", "250us"),
        ("1.5 ms exponential", 1_500_000, "exponential", "1.5ms exponential"),
        ("2s constant", 2 * 10**9, "constant", "2s"),
    ],
)
def test_a_time_per_message_is_read_and_told(text: str, mean_ns: int, spread: str, told: str) -> None:
    """With a unit, and how it is distributed."""
    work = ProcessingTime.parse(text)

    assert (work.mean_ns, work.spread, str(work)) == (mean_ns, spread, told)


@given(st.integers(1_000, MOST_NS), st.sampled_from(["constant", "exponential"]))
def test_what_is_told_can_be_read_again(mean_ns: int, spread: str) -> None:
    """To six digits."""
    again = ProcessingTime.parse(str(ProcessingTime(mean_ns, spread)))  # type: ignore[arg-type]

    assert again.spread == spread
    assert again.mean_ns == pytest.approx(mean_ns, rel=1e-5)


@pytest.mark.parametrize("text", ["1", "ms", "-1ms", "1ms poisson", "0us", "61s", 5, None, "1e3ms"])
def test_what_is_no_time_per_message_is_refused(text: object) -> None:
    """With an example, or the range."""
    with pytest.raises(ValueError, match="write"):
        ProcessingTime.parse(text)


def test_exponential_times_have_their_mean_and_come_again_with_their_seed() -> None:
    """Consumers with other seeds have others."""
    work = ProcessingTime.parse("1ms exponential")
    first, again, other = (SimulatedProcessing(work, seed) for seed in ((1, 0), (1, 0), (1, 1)))
    times = [first.time_of(10) for _ in range(2000)]

    assert times == [again.time_of(10) for _ in range(2000)]
    assert times[0] != other.time_of(10)
    assert sum(times) / 20_000 == pytest.approx(1_000_000, rel=0.03)


async def test_what_a_wait_takes_too_long_is_taken_off_later_ones() -> None:
    """So that a consumer handles 1 / mean messages per second, however coarse the timers are."""
    now_ns = 0
    slept: list[float] = []

    class Loop:
        """Each wait takes 3 ms longer than asked for."""

        async def sleep(self, seconds: float) -> None:
            nonlocal now_ns
            slept.append(seconds)
            now_ns += round(seconds * 1e9) + 3_000_000

    processing = SimulatedProcessing(ProcessingTime.parse("1ms"), (0,), lambda: now_ns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "sleep", Loop().sleep)
        for _ in range(100):
            await processing.process(10, lambda: False)

    assert now_ns == pytest.approx(1_000_000_000, rel=0.02)


async def test_little_work_is_put_together_until_it_is_worth_a_wait() -> None:
    """Timers are no finer than a millisecond."""
    processing = SimulatedProcessing(ProcessingTime.parse("100us"), (0,))
    began = time.monotonic()
    for _ in range(9):
        await processing.process(1, lambda: False)

    assert processing._left_ns == 900_000
    assert time.monotonic() - began < 5


async def test_a_consumer_that_is_to_stop_ends_its_wait() -> None:
    """Within a slice of it."""
    processing = SimulatedProcessing(ProcessingTime.parse("60s"), (0,))
    looks = iter([False, True])

    await processing.process(500, lambda: next(looks))

    assert processing._left_ns > 10**12
