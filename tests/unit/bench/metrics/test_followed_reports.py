"""Reports of processes that took over from one another are told as if they were of one; what is new is told once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.metrics.recorder import Metrics
from ombdriver.bench.metrics.report import ProcessUsage, ReceivedReport, Report, SentReport, followed, standing

COUNTS = st.integers(0, 1_000)


def report_of(counts: list[int], first: int) -> Report:
    """A report of one process: sent, acknowledged, received; its flow has come to `first` with it."""
    sent, acknowledged, received = counts
    return Report(
        metrics=Metrics(
            {(0, "publish", None, 0): Histogram.of(np.full(sent + 1, 5, np.int64))}, {(0, "failed", None, 0): sent}
        ),
        sent=sent,
        acknowledged=acknowledged,
        failed=1,
        unsent=sent,
        received={"g": received},
        probed=frozenset({("g", sent, 0)}),
        foreign=2,
        errors={"refused": 1},
        driver={"reconnects": received},
        sent_report=SentReport(np.array([[0, first, first]]), np.array([[0, first, 1]])),
        received_reports=[("g", ReceivedReport(np.array([[0, first, 1]])))],
        process=ProcessUsage(cpu_ns=sent, peak_rss_bytes=received, gc_pauses=1),
        longest_ack_gap_ns=acknowledged,
    )


@given(st.lists(st.lists(COUNTS, min_size=3, max_size=3), min_size=1, max_size=5))
def test_the_report_of_several_lives_is_that_of_all_of_them(lives: list[list[int]]) -> None:
    """Totals are sums; what is left to send, and how far flows are, is told by the last one."""
    reports = [report_of(counts, at) for at, counts in enumerate(lives)]

    all_of_them = reports[0]
    for each in reports[1:]:
        all_of_them = followed(all_of_them, each)

    sent, acknowledged, received = (sum(each) for each in zip(*lives, strict=True))
    count = len(lives)
    assert (all_of_them.sent, all_of_them.acknowledged, all_of_them.failed) == (sent, acknowledged, count)
    assert (all_of_them.received, all_of_them.foreign, all_of_them.errors) == (
        {"g": received},
        2 * count,
        {"refused": count},
    )
    assert all_of_them.unsent == lives[-1][0]
    assert all_of_them.process.cpu_ns == sent
    assert all_of_them.process.peak_rss_bytes == max(each[2] for each in lives)
    assert all_of_them.longest_ack_gap_ns == max(each[1] for each in lives)
    assert all_of_them.metrics.counts == {(0, "failed", None, 0): sent}
    assert all_of_them.metrics.histograms[0, "publish", None, 0].count == sent + count
    assert all_of_them.sent_report.flows.tolist() == [[0, count - 1, count - 1]]
    assert all_of_them.sent_report.failed.tolist() == [[0, at, 1] for at in range(count)]
    assert len(all_of_them.received_reports) == count


@given(st.lists(COUNTS, min_size=3, max_size=3), st.lists(COUNTS, min_size=3, max_size=3))
def test_what_was_told_of_a_process_that_is_gone_is_not_told_again(one: list[int], other: list[int]) -> None:
    """Its totals stay."""
    before, now = report_of(one, 7), report_of(other, 9)

    later = followed(standing(before), now)

    assert later.sent == one[0] + other[0]
    assert later.metrics == now.metrics
    assert (later.probed, later.received_reports) == (now.probed, tuple(now.received_reports))
    assert later.sent_report.failed.tolist() == [[0, 9, 1]]
    assert standing(standing(before)) == standing(before)
