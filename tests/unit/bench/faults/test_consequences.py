"""What an injection did, from series and moments: tables of made-up windows with known answers."""

import numpy as np
import pytest

from ombdriver.bench.faults.consequences import Consequence, Observed, caught_up, consequences
from ombdriver.bench.faults.durability import Durability
from ombdriver.bench.faults.spec import FaultRecord, read_faults
from ombdriver.bench.units import MS, SECOND

SPEC = read_faults([{"at": "10s", "kill": "primary"}])[0][0]
LENGTH = 30
"""Seconds of the window, in intervals of one second."""


def moments(*silences: tuple[float, float], until: float = LENGTH + 0.1) -> np.ndarray:
    """Something happens every 10 ms, but in these times, in seconds."""
    every = np.arange(-100, round(until * 100))
    for begin, end in silences:
        every = every[(every < round(begin * 100)) | (every >= round(end * 100))]
    return every


def window(
    published: np.ndarray | None = None,
    slow: tuple[int, int] = (0, 0),
    failed: np.ndarray | None = None,
    delivered: np.ndarray | None = None,
    backlog: dict[int, int] | None = None,
) -> Observed:
    """A window of 1,000 messages a second, with a p99 of 2 ms, and 500 ms in the intervals `slow`."""
    at = range(LENGTH)
    failures = [0] * LENGTH
    for moment in () if failed is None else failed.tolist():
        failures[moment // 100] += 1
    return Observed(
        length_ns=LENGTH * SECOND,
        interval_ns=SECOND,
        spacing_ns=MS,
        responses={"publishResponse": [500 * MS if slow[0] <= each < slow[1] else (2 + each % 2) * MS for each in at]},
        failures=failures,
        backlogs={"group-1": [(backlog or {}).get(each, 3) for each in at]},
        moments={
            ("published", None): moments() if published is None else published,
            ("failed", None): np.zeros(0, np.int64) if failed is None else failed,
            ("received", "group-1"): moments() if delivered is None else delivered,
        },
    )


def injected(at_s: float, healed_s: float | None = None) -> FaultRecord:
    """One injection."""
    at_ns = round(at_s * SECOND)
    return FaultRecord(SPEC, ("primary-1",), at_ns, at_ns, None if healed_s is None else round(healed_s * SECOND))


def one(observed: Observed, at_s: float = 10.0, healed_s: float | None = None) -> Consequence:
    """What a single injection did."""
    (found,) = consequences(observed, [injected(at_s, healed_s)])
    return found


def test_a_fault_that_nobody_felt_had_no_effect() -> None:
    """All zeros, and no time until it was detected."""
    found = one(window())

    assert (found.had_effect, found.detect_ns, found.outage_ns, found.recover_ns) == (False, None, 0, 0)
    assert found.delivery_outages_ns == {"group-1": 0}


@pytest.mark.parametrize("length_s", [0.1, 0.5, 2.0, 7.31])
@pytest.mark.parametrize("after_s", [0.0, 0.05, 1.4])
def test_an_outage_is_told_to_two_moments(length_s: float, after_s: float) -> None:
    """Whatever the sample interval, and whether it begins with the injection or later."""
    begin = 10 + after_s
    silent = moments((begin, begin + length_s))

    found = one(window(published=silent, delivered=silent))

    assert found.outage_ns == pytest.approx(length_s * SECOND, abs=20 * MS)
    assert found.delivery_outages_ns["group-1"] == found.outage_ns
    assert found.detect_ns == pytest.approx(after_s * SECOND, abs=20 * MS)
    assert found.had_effect


def test_a_silence_that_had_begun_counts_from_the_injection() -> None:
    """At a low rate the last acknowledgement is long before it."""
    sparse = np.arange(0, LENGTH * 100, 20)
    sparse = sparse[(sparse < 1000) | (sparse >= 1300)]

    found = one(window(published=sparse), at_s=10.07)

    assert found.outage_ns == pytest.approx(2.93 * SECOND, abs=30 * MS)


def test_a_silence_that_is_usual_is_no_outage() -> None:
    """One as long was there before the fault."""
    assert one(window(published=moments((3, 3.2), (10.1, 10.3)))).outage_ns == 0
    assert one(window(published=moments((3, 3.1), (10.1, 10.3)))).outage_ns > 0


def test_an_outage_that_nothing_ends_lasts_until_the_window_ends() -> None:
    """It did not recover either, where all intervals are slow."""
    found = one(window(published=moments(until=10.0), slow=(10, 30)))

    assert found.outage_ns == pytest.approx(20 * SECOND, abs=20 * MS)
    assert found.recover_ns is None
    assert found.end_ns == LENGTH * SECOND


@pytest.mark.parametrize(
    ("slow", "healed_s", "seconds"),
    [((10, 13), None, 3), ((10, 11), None, 1), ((11, 14), 13.0, 4), ((10, 27), None, 17), ((10, 30), None, None)],
)
def test_it_has_recovered_when_three_intervals_are_as_before(
    slow: tuple[int, int], healed_s: float | None, seconds: int | None
) -> None:
    """Counted from the injection; three at the end of the window may be fewer."""
    found = one(window(slow=slow), healed_s=healed_s)

    assert found.recover_ns == (None if seconds is None else seconds * SECOND)
    assert found.had_effect


@pytest.mark.parametrize(("slow", "told_s"), [((0, 0), 3.5), ((10, 12), 3.5), ((10, 15), 5.0)])
@pytest.mark.parametrize("which", ["published", "delivered"])
def test_nothing_has_recovered_before_it_is_heard_again(slow: tuple[int, int], told_s: float, which: str) -> None:
    """Whatever the intervals say in which nothing came."""
    silent = moments((10, 13.5))
    observed = window(published=silent, slow=slow) if which == "published" else window(delivered=silent, slow=slow)

    assert one(observed).recover_ns == pytest.approx(told_s * SECOND, abs=20 * MS)


def test_a_silence_until_the_end_is_no_recovery() -> None:
    """As of a server that nobody starts again, when what was sent fails only later; one long after it is another's."""
    assert one(window(published=moments(until=10.0))).recover_ns is None
    assert one(window(published=moments((20, 21)), slow=(10, 12))).recover_ns == 2 * SECOND


def test_what_is_slow_long_after_the_heal_is_of_something_else() -> None:
    """A fault is not blamed for it."""
    assert one(window(slow=(20, 22)), healed_s=12.0).recover_ns == 0


def test_it_is_detected_by_the_first_error() -> None:
    """Which comes before a reply is missing."""
    found = one(window(failed=np.array([1004, 1005]), published=moments((10.2, 11)), slow=(10, 11)))

    assert found.detect_ns == 40 * MS
    assert found.recover_ns == pytest.approx(1 * SECOND, abs=20 * MS)


def test_each_injection_has_its_own_time() -> None:
    """An outage of the second is not told of the first, and their times do not overlap."""
    silent = moments((5.0, 5.5), (20.0, 23.0))
    first, second = consequences(window(published=silent, slow=(20, 24)), [injected(5), injected(20)])

    assert first.outage_ns == pytest.approx(0.5 * SECOND, abs=20 * MS)
    assert second.outage_ns == pytest.approx(3 * SECOND, abs=20 * MS)
    assert first.end_ns <= second.begin_ns
    assert first.recover_ns == pytest.approx(0.5 * SECOND, abs=20 * MS)
    assert second.recover_ns == 4 * SECOND


@pytest.mark.parametrize(
    ("backlog", "gone", "seconds"),
    [({}, 0, 0), ({10: 500, 11: 700, 12: 90}, 0, 3), (dict.fromkeys(range(11, 30), 60), 50, 0), ({29: 999}, 0, None)],
)
def test_a_group_has_caught_up_when_its_backlog_is_what_it_was(
    backlog: dict[int, int], gone: int, seconds: int | None
) -> None:
    """What will never come stays in the backlog, and does not count."""
    observed = window(backlog=backlog, slow=(10, 30))
    found = one(observed)

    catch_up = caught_up(observed, "group-1", found, 10 * SECOND, gone)

    assert catch_up == (None if seconds is None else seconds * SECOND)


@pytest.mark.parametrize(
    ("config", "replicas", "aof", "kind", "survives"),
    [
        ({"appendonly": "no", "appendfsync": "everysec"}, 0, "none", "memory", ()),
        ({"appendonly": "yes", "appendfsync": "everysec"}, 0, "none", "everysec", ()),
        ({"appendonly": "yes", "appendfsync": "always"}, 0, "none", "fsync", ("memory",)),
        ({"appendonly": "no"}, 1, "none", "memory", ("failover",)),
        ({}, 0, "none", "unknown", ()),
        ({"appendonly": "yes", "appendfsync": "everysec"}, 0, "primary", "fsync", ("memory",)),
        ({}, 1, "all", "fsync", ("memory", "failover")),
    ],
)
def test_what_an_acknowledgement_promises(
    config: dict[str, str], replicas: int, aof: str, kind: str, survives: tuple[str, ...]
) -> None:
    """By the server's options, WAIT and WAITAOF; what ends nothing is survived by all, an empty disk by none."""
    found = Durability.of(config, replicas, aof)

    kept = [each for each in ("memory", "failover") if found.survives(each, data_lost=False)]  # type: ignore[arg-type]
    assert (found.kind, tuple(kept)) == (kind, survives)
    assert found.survives("nothing", data_lost=True)
    assert not any(found.survives(each, data_lost=True) for each in ("memory", "failover", "unknown"))  # type: ignore[arg-type]
    assert str(found)


def test_what_a_later_fault_may_lose_is_of_its_time() -> None:
    """Messages that were sent while consumers stood still go with the server that dies then."""
    records = [injected(10), injected(11)]

    pause, kill = consequences(window(), records, [True, False])
    assert (pause.begin_ns, pause.end_ns, kill.begin_ns) == (10 * SECOND, 10 * SECOND, 10 * SECOND)

    first, second = consequences(window(), records, [True, True])
    assert (first.begin_ns, second.begin_ns) == (10 * SECOND, 11 * SECOND)


def test_a_fault_in_the_time_of_another_is_compared_with_what_was_before_both() -> None:
    """And the first one has recovered only when all is as before."""
    records = [injected(10, 14), injected(12, 12.5)]

    first, second = consequences(window(slow=(10, 16)), records)

    assert (first.recover_ns, second.recover_ns) == (6 * SECOND, 4 * SECOND)
    assert first.calm == second.calm
