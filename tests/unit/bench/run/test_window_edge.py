"""What is judged of a system does not depend on where in the window something happens: whole runs on simulated time."""

import pytest
from simulated_system import STILL, System, simulate

RATE = 1000


def paused(begin_s: float, length_s: float, capacity: float = 10_000, slow: float = STILL) -> System:
    """A system that stands still, or is as slow as that, for a part of the window."""
    return System(capacity, changes=[(begin_s, slow), (begin_s + length_s, capacity)])


def slowed(begin_s: float, length_s: float, rate: float) -> System:
    """The same of its consumers."""
    return System(10_000, consuming=10_000, consuming_changes=[(begin_s, rate), (begin_s + length_s, 10_000)])


@pytest.mark.parametrize(
    "system",
    [
        *(paused(begin, 1.0) for begin in (0.0, 0.5, 3.3, 5.0, 8.6, 9.0, 9.5, 9.95)),
        *(paused(begin, 2.0) for begin in (0.0, 4.0, 8.0, 9.0, 9.8)),
        *(paused(begin, 1.0, capacity=1100) for begin in (0.0, 3.0, 5.0, 5.5, 6.0, 7.0, 8.0, 9.0, 9.5)),
        *(paused(begin, 1.0, slow=300) for begin in (0.0, 5.0, 9.0, 9.5)),
        *(slowed(begin, 1.0, STILL) for begin in (0.0, 5.0, 9.0, 9.5)),
        *(slowed(begin, 1.0, 300) for begin in (0.0, 5.0, 9.0, 9.5)),
        *(System(10_000, latency_s=latency) for latency in (0.02, 0.2, 1.0, 3.0)),
        *(System(10_000, latency_s=0.05, jitter_s=jitter) for jitter in (0.1, 0.5)),
    ],
)
@pytest.mark.parametrize("fields", [{}, {"sampleInterval": "10s", "arrivals": "poisson"}])
async def test_a_system_that_catches_up_is_valid(
    system: System, fields: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever in the window it paused or was slow, and however long an answer usually takes."""
    told = await simulate(monkeypatch, system, producerRate=RATE, **fields)

    assert told.verdict.status == "VALID", told.verdict.reasons


@pytest.mark.parametrize(
    "system",
    [
        *(System(RATE / over) for over in (1.06, 1.1, 2.0, 50.0)),
        *(System(10_000, consuming=RATE / over) for over in (1.06, 1.1, 2.0, 50.0)),
        *(System(10_000, changes=[(at, 0.9 * RATE)]) for at in (0.0, 3.0, 5.0, 6.5)),  # slower from then on
        *(System(10_000, consuming_changes=[(at, 0.9 * RATE)]) for at in (0.0, 3.0, 5.0, 6.5)),
        System(10_000, changes=[(at / 10, (1.2 - 0.4 * at / 100) * RATE) for at in range(100)]),  # slower all the time
        System(RATE / 1.05, latency_s=0.5),
        paused(0.0, 0.5, capacity=RATE / 1.05),
        paused(9.0, 1.0, capacity=RATE / 1.05),
        paused(4.0, 6.0),
        paused(6.0, 1000.0),  # for good
    ],
)
@pytest.mark.parametrize("fields", [{}, {"sampleInterval": "10s", "arrivals": "poisson"}])
async def test_a_system_that_falls_behind_is_overloaded(
    system: System, fields: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the beginning on, or later by more; a pause besides excuses nothing."""
    told = await simulate(monkeypatch, system, producerRate=RATE, **fields)

    assert told.verdict.status == "OVERLOADED"
    assert "achieved" in [reason.rule for reason in told.verdict.reasons]


@pytest.mark.parametrize("over", [1.012, 1.02])
async def test_little_is_enough_to_fall_behind(over: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is 1 % of the rate, for publishing as for consumers."""
    sending = await simulate(monkeypatch, System(RATE / over), producerRate=RATE)
    reading = await simulate(monkeypatch, System(10_000, consuming=RATE / over), producerRate=RATE)

    assert sending.verdict.status == reading.verdict.status == "OVERLOADED"


@pytest.mark.parametrize(("seconds", "latency_s"), [(1, 0.05), (1, 0.2), (2, 0.5), (5, 0.2), (5, 1.0)])
async def test_a_short_window_is_judged_by_what_could_be_answered_in_it(
    seconds: int, latency_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was due within one latency of the end is not missing; what a slow system leaves behind is."""
    duration = f"{seconds}s"
    steady = await simulate(monkeypatch, System(10_000, latency_s=latency_s), producerRate=500, testDuration=duration)
    slow = await simulate(monkeypatch, System(450, latency_s=latency_s), producerRate=500, testDuration=duration)

    assert steady.facts.achieved["published"] == pytest.approx(500 * (1 - latency_s / seconds), rel=0.05)
    assert steady.verdict.status == "VALID"
    assert slow.verdict.status == "OVERLOADED"
