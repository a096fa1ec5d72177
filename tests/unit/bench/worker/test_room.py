"""`RoomWaits`: of a message's delay, the time in which there was no room."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.worker.in_flight import _blocked
from ombdriver.bench.worker.room import RoomWaits


def waits(*spans: tuple[int, int, int]) -> RoomWaits:
    """Of (begin, end, time in between that this process could not run)."""
    found, held_up = RoomWaits(), 0
    for begin, end, own in spans:
        found.begin(begin, held_up)
        held_up += own
        found.end(end, held_up)
    return found


def blocked(found: RoomWaits, intended: Sequence[int]) -> list[int]:
    """Of each message, as the recording half makes it of the parts."""
    parts, at, rows = found.blocked(intended), 0, []
    for count, first_ns, last_ns in parts or []:
        rows.append((at, count, first_ns, last_ns, intended[at], intended[at + count - 1]))
        at += count
    assert parts is None or at == len(intended)
    told: list[int] = _blocked(np.array(intended, np.int64), np.array(rows, np.int64).reshape(-1, 6)).tolist()
    return told


def test_only_the_time_without_room_is_blocked() -> None:
    """What was due before waited for all of it, what was due in it for the rest, what was due after not at all."""
    found = waits((100, 200, 0))

    assert blocked(found, [50, 100, 150, 199]) == [100, 100, 50, 1]
    assert found.blocked([200, 250]) is None


def test_what_this_process_was_kept_from_running_is_its_own() -> None:
    """Of a wait of 100 in which it waited 60 for a core, 40 are told; never less than none."""
    assert blocked(waits((100, 200, 60)), [100, 150, 175, 300]) == [40, 20, 10, 0]
    assert blocked(waits((100, 200, 160)), [100]) == [0]


def test_several_waits_add_up() -> None:
    """Those that were over before a message was due do not count."""
    found = waits((100, 200, 0), (300, 310, 0), (310, 340, 0))

    assert blocked(found, [0, 150, 250, 305, 320]) == [140, 90, 40, 35, 20]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=12),
    st.lists(st.integers(0, 900), min_size=1, max_size=40),
    st.integers(1, 5),
    st.sampled_from([0, 10**18]),
)
def test_blocked_is_the_overlap_with_the_waits(
    gaps: Sequence[tuple[int, int]], due: Sequence[int], size: int, origin: int
) -> None:
    """Whatever the waits, and however the messages are cut into batches: counted one by one."""
    spans, now = [], origin
    for ahead, length in gaps:
        spans.append((now + ahead, now + ahead + length, 0))
        now += ahead + length
    found, intended = waits(*spans), sorted(origin + each for each in due)

    for at in range(0, len(intended), size):
        together = intended[at : at + size]
        found.forget(together[0])
        for batch in filter(None, (together[1::2], together[::2])):  # of two partitions
            expected = [sum(max(0, end - max(begin, each)) for begin, end, _ in spans) for each in batch]
            assert blocked(found, batch) == expected
