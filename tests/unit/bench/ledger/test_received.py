"""What a consumer was given, as runs and a count of what came late."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.ledger.received import DeliveryRecorder

FLOWS = 3
MESSAGES = st.lists(st.tuples(st.integers(0, FLOWS - 1), st.integers(0, 12), st.booleans()), max_size=40)
CUTS = st.lists(st.integers(0, 40), max_size=4)


def booked(messages: list[tuple[int, int, bool]], cuts: list[int]) -> DeliveryRecorder:
    """A recorder that was given `messages` (flow, sequence, not new) in several parts."""
    deliveries = DeliveryRecorder(FLOWS)
    edges = sorted({0, *cuts, len(messages)})
    for first, end in pairwise(edges):
        part = messages[first:end]
        if part:
            flows, sequences, again = (np.array(column) for column in zip(*part, strict=True))
            deliveries.add(flows, sequences, again if again.any() else None)
    return deliveries


def told(runs: np.typing.NDArray[np.int64]) -> list[tuple[int, int]]:
    """(flow, sequence) of every message that `runs` stand for, in order."""
    return [(flow, at) for flow, first, count in runs.tolist() for at in range(first, first + count)]


@given(MESSAGES, CUTS)
def test_runs_stand_for_every_message_once(messages: list[tuple[int, int, bool]], cuts: list[int]) -> None:
    """Nothing is left out or added, each flow keeps its order, and what was not new is kept apart."""
    report = booked(messages, cuts).take()
    for runs, wanted in ((report.ranges, False), (report.redelivered, True)):
        expected = [(flow, sequence) for flow, sequence, again in messages if again is wanted]
        assert sorted(expected, key=lambda each: each[0]) == told(runs)  # sorted is stable


@given(MESSAGES, CUTS)
def test_out_of_order_is_below_the_next_expected_sequence(
    messages: list[tuple[int, int, bool]], cuts: list[int]
) -> None:
    """The count agrees with RFC 4737's rule applied message by message, however the messages are cut into parts."""
    expected, late = [0] * FLOWS, 0
    for flow, sequence, _ in messages:
        late += sequence < expected[flow]
        expected[flow] = max(expected[flow], sequence + 1)
    assert booked(messages, cuts).take().out_of_order == late


def test_what_goes_on_is_one_run_however_often_it_was_booked() -> None:
    """A consumer that misses nothing tells one run per flow, whatever came between two reports."""
    deliveries = DeliveryRecorder(1)
    for first in range(0, 4000, 500):
        deliveries.add(np.zeros(500, np.int64), np.arange(first, first + 500), None)
    assert deliveries.take().ranges.tolist() == [[0, 0, 4000]]


def test_the_next_report_begins_anew_but_remembers_what_is_expected() -> None:
    """After a report only what is new is told; a message that was overtaken before it still is late."""
    deliveries = DeliveryRecorder(1)
    deliveries.add(np.array([0, 0]), np.array([0, 5]), None)
    assert deliveries.take().out_of_order == 0
    deliveries.add(np.array([0]), np.array([3]), None)
    deliveries.add_corrupt(2)
    report = deliveries.take()
    assert (report.ranges.tolist(), report.out_of_order, report.corrupt) == ([[0, 3, 1]], 1, 2)
