"""`InFlightBatches`: replies take batches out of their flow in order, whole or in parts."""

from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.recorder import Metrics, Recorder
from ombdriver.bench.worker.in_flight import FLUSH_AT, MOST_ERRORS, Flow, InFlightBatches, SentBatch
from ombdriver.errors import OutcomeUnknown

SECOND = 10**9
START = 10 * SECOND


def opened() -> Recorder:
    """A book with a phase of ten seconds."""
    recorder = Recorder(SECOND)
    recorder.begin_phase(Phase(0, "measure", START, 10 * SECOND, 1000))
    return recorder


def flow_of(*batches: tuple[list[int], int, int]) -> Flow:
    """A flow with (intended, sent, blocked) batches; all times from the start of the phase."""
    flow = Flow()
    for intended, sent, blocked in batches:
        waits = (blocked, blocked) if blocked else None
        flow.batches.append(SentBatch([START + each for each in intended], START + sent, waits))
    return flow


def one(figures: Metrics, family: str, interval: int = 0) -> Histogram:
    """The histogram of a family in an interval."""
    return figures.histograms[0, family, None, interval]


def test_a_reply_in_parts_gives_each_message_its_own_time() -> None:
    """Half of a batch answered now and half later: two arrival times, one sent time, every intended time its own."""
    recorder = opened()
    replies, flow = InFlightBatches(recorder), flow_of(([0, 10, 20, 30], 100, 50))

    replies.on_replies(flow, 1, None, START + 1_100)
    replies.on_replies(flow, 3, None, START + 5_100)
    replies.flush()

    figures = recorder.take()
    publish, response = one(figures, "publish"), one(figures, "publishResponse")
    assert (publish.count, publish.min_ns, publish.max_ns) == (4, 1_000, 5_000)
    assert response.sum_ns == 1_100 + 5_090 + 5_080 + 5_070
    assert one(figures, "publishDelay").sum_ns == 100 + 90 + 80 + 70
    assert one(figures, "scheduleLag").sum_ns == 50 + 40 + 30 + 20
    assert one(figures, "blocked").sum_ns == 4 * 50
    assert not flow.batches


def test_a_gap_begins_with_the_first_message_that_failed_in_it() -> None:
    """What is due after a failover is answered in time, so what failed in it has to tell of the gap."""
    replies, flow = InFlightBatches(opened()), flow_of(*(([at * SECOND], 0, 0) for at in range(5)))
    replies.begin_phase(START)
    replies.on_replies(flow, 1, None, START + 1_000)

    replies.on_replies(flow, 2, OutcomeUnknown("lost"), START + 4 * SECOND)
    replies.on_replies(flow, 1, None, START + 3 * SECOND + 1_000)
    replies.on_replies(flow, 1, None, START + 4 * SECOND + 1_000)

    assert replies.longest_ack_gap_ns == 2 * SECOND + 1_000


def test_one_reply_may_cover_several_batches() -> None:
    """All of them share the time of the reply; what had no room all the time has no lag."""
    recorder = opened()
    replies, flow = InFlightBatches(recorder), flow_of(([0, 1], 10, 5), ([20], 30, 10), ([40, 50], 60, 0))

    replies.on_replies(flow, 4, None, START + 100)
    replies.flush()

    figures = recorder.take()
    assert one(figures, "publish").sum_ns == 90 + 90 + 70 + 40
    assert one(figures, "scheduleLag").sum_ns == 5 + 4 + 0 + 20
    assert one(figures, "blocked").sum_ns == 5 + 5 + 10 + 0
    assert [batch.count - batch.replied for batch in flow.batches] == [1]


def test_counts_go_by_the_time_of_the_reply_and_latencies_by_the_intended_one() -> None:
    """A reply in the next second counts there."""
    recorder = opened()
    replies, flow = InFlightBatches(recorder), flow_of(([0, 1], 10, 5))

    replies.on_replies(flow, 2, None, START + SECOND)
    replies.flush()

    figures = recorder.take()
    assert figures.counts == {(0, "published", None, 1): 2}
    assert one(figures, "publish").count == 2


def test_errors_in_between_leave_the_others_as_they_are() -> None:
    """Messages with an error are booked as failed, with their count and text, and take no part in any latency."""
    recorder = opened()
    replies, flow = InFlightBatches(recorder), flow_of(([0, 1, 2, 3], 10, 5))

    replies.on_replies(flow, 1, None, START + 20)
    replies.on_replies(flow, 2, OSError("gone"), START + 30)
    replies.on_replies(flow, 1, None, START + 40)
    replies.flush()

    figures = recorder.take()
    assert (one(figures, "publish").count, one(figures, "failed").count) == (2, 2)
    assert one(figures, "publish").sum_ns == 10 + 30
    assert figures.counts == {(0, "published", None, 0): 2, (0, "failed", None, 0): 2}
    assert (replies.replied, replies.failed, replies.errors) == (4, 2, {"OSError: gone": 2})


def test_very_many_kinds_of_errors_are_counted_but_not_all_told() -> None:
    """A server that answers each message differently must not fill the memory."""
    recorder = opened()
    replies = InFlightBatches(recorder)
    for number in range(50):
        replies.on_replies(flow_of(([0], 1, 1)), 1, OSError(str(number)), START + 2)

    assert replies.failed == 50
    assert len(replies.errors) == MOST_ERRORS


def test_thousands_of_replies_are_folded_without_being_asked() -> None:
    """What is gathered stays small."""
    recorder = opened()
    replies = InFlightBatches(recorder)

    replies.on_replies(flow_of((list(range(FLUSH_AT)), FLUSH_AT, 0)), FLUSH_AT, None, START + SECOND // 2)

    assert one(recorder.take(), "publish").count == FLUSH_AT


def test_a_flush_of_nothing_records_nothing() -> None:
    """A poll may come at any time."""
    recorder = opened()
    InFlightBatches(recorder).flush()

    assert recorder.take() == Metrics()


def test_a_reply_that_nobody_waits_for_is_a_fault() -> None:
    """More replies than messages: the driver is wrong, and the worker must not go on as if nothing were."""
    with pytest.raises(IndexError):
        InFlightBatches(opened()).on_replies(flow_of(([0], 1, 1)), 2, None, START + 2)


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.data())
def test_however_replies_are_cut_every_message_is_booked_with_its_own_times(
    sizes: list[int], data: st.DataObject
) -> None:
    """Compared with booking one by one."""
    recorder, flow = opened(), Flow()
    messages: list[tuple[int, int]] = []
    for number, size in enumerate(sizes):
        intended = array("q", range(START + 100 * number, START + 100 * number + size))
        flow.batches.append(SentBatch(intended, START + 1_000 * number + 500))
        messages += [(each, START + 1_000 * number + 500) for each in intended]
    replies, replied_ns, expected, at = InFlightBatches(recorder), START + 100_000, [], 0
    while at < len(messages):
        count = data.draw(st.integers(1, len(messages) - at))
        failing = data.draw(st.booleans())
        replied_ns += 1_000
        replies.on_replies(flow, count, OSError("x") if failing else None, replied_ns)
        if not failing:
            expected += [(replied_ns - sent, replied_ns - due) for due, sent in messages[at : at + count]]
        at += count
    replies.flush()

    figures = recorder.take()
    for place, family in enumerate(("publish", "publishResponse")):
        values = np.array([each[place] for each in expected], np.int64)
        found = figures.histograms.get((0, family, None, 0), Histogram.zero())
        assert (found.count, found.sum_ns) == (len(values), int(values.sum()))
    assert replies.failed == len(messages) - len(expected)
    assert not flow.batches


def test_what_has_no_reply_at_the_end_is_told_and_later_replies_are_not_counted() -> None:
    """The rest of a batch that was answered in part, and whole batches, as (now - intended)."""
    recorder = opened()
    replies, flow = InFlightBatches(recorder), flow_of(([0, 10, 20], 100, 50), ([30], 100, 50))
    replies.on_replies(flow, 1, None, START + 1_000)

    replies.finish([flow], START + SECOND // 2)
    replies.on_replies(flow, 3, None, START + SECOND)

    figures = recorder.take()
    unanswered = one(figures, "unanswered")
    assert (unanswered.count, unanswered.sum_ns) == (3, 3 * SECOND // 2 - 60)
    assert one(figures, "publish").count == 1
    assert replies.replied == 1


def test_the_ledger_is_told_what_became_of_every_sequence() -> None:
    """Counts of what was sent and replied to, runs of what was not acknowledged, by kind; probes are left out."""
    replies, flow = InFlightBatches(opened()), Flow(3)
    flow.batches.append(SentBatch([0], START, is_probe=True))
    flow.batches.append(SentBatch([START] * 20, START))
    flow.sequence = 20

    replies.on_replies(flow, 1, None, START + 1, b"1-0")
    replies.on_replies(flow, 5, None, START + 1, b"2-4")
    replies.on_replies(flow, 1, ValueError("refused"), START + 2)
    replies.on_replies(flow, 2, ValueError("refused"), START + 2)
    replies.on_replies(flow, 4, OutcomeUnknown("lost"), START + 3)
    replies.on_replies(flow, 3, None, START + 4, b"9-2")

    told = replies.take_report([flow])
    assert told.flows.tolist() == [[3, 20, 15]]
    assert told.failed.tolist() == [[3, 5, 3]]
    assert told.indeterminate.tolist() == [[3, 8, 4]]
    assert told.checkpoints == [(3, 4, b"2-4")]
    again = replies.take_report([flow])
    assert (len(again.failed), len(again.indeterminate), again.checkpoints) == (0, 0, [])


def test_one_send_in_a_thousand_is_a_checkpoint() -> None:
    """Its answer is kept with its sequence, whatever the size of the reads that brought the replies."""
    replies, flow = InFlightBatches(opened()), Flow()
    flow.batches.append(SentBatch([START] * 5000, START))

    for end in range(300, 5001, 300):
        replies.on_replies(flow, 300, None, START + 1, b"%d-0" % (end - 1))

    assert [sequence for _, sequence, _ in replies.take_report([flow]).checkpoints] == [299, 1499, 2699, 3899]
