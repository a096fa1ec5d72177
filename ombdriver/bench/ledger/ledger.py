"""The delivery ledger: every message that was sent is accounted for, for every subscription. Pure, on numpy.

Unites what all workers report: `sent` knows what was sent and acknowledged, one `received` per subscription what
arrived. What is missing is told apart by what the system still holds, which `audit` finds out. For each subscription
acknowledged + recovered = received + lost + trimmed + undelivered, by construction: each is the size of a set.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ombdriver.bench.ledger.received import ReceivedLedger
from ombdriver.bench.ledger.sent import SentLedger
from ombdriver.bench.ledger.spans import Spans, below, between, join_flows, split_flows
from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.metrics.report import ReceivedReport, SentReport
from ombdriver.bench.metrics.summary import BacklogDelivery, WindowDelivery

LogStarts = Mapping[int, int]
"""By flow: the lowest sequence number that was not trimmed (Kafka's log start offset)."""


@dataclass(frozen=True, slots=True)
class LedgerMark:
    """How far a run was at one time.

    Attributes:
        at_ns: when, on the monotonic clock.
        sent: shape (flows,), messages sent by then.
        repetitions: by subscription: messages redelivered, duplicated, out of order and corrupt by then.
    """

    at_ns: int
    sent: Int64s
    repetitions: Mapping[str, tuple[int, int, int, int]]


@dataclass(frozen=True, slots=True)
class SpanAccount:
    """What became of the messages that were sent between two marks.

    Attributes:
        failed: refused, or never sent.
        indeterminate: nobody knows.
        groups: by subscription.
    """

    failed: int
    indeterminate: int
    groups: Mapping[str, WindowDelivery]


@dataclass(frozen=True, slots=True)
class AuditFindings:
    """What the system still holds of what is missing, when nothing was waited for any longer.

    Attributes:
        undelivered: by subscription and flow, the missing messages that are still to be delivered.
        log_starts: by flow; a flow without one was not trimmed at all.
    """

    undelivered: Mapping[tuple[str, int], Spans] = field(default_factory=dict)
    log_starts: LogStarts = field(default_factory=dict)


class Ledger:
    """The deliveries of one run.

    Args:
        flows: how many flows the run has.
        subscriptions: those that somebody reads.
        exclusive: whether each partition is read by one consumer alone per subscription.
        checksums: whether messages carry one.

    Attributes:
        sent: the sending half.
        received: the receiving half, by subscription.
    """

    def __init__(self, flows: int, subscriptions: Sequence[str], *, exclusive: bool, checksums: bool = False) -> None:
        self.sent = SentLedger(flows)
        self.received = {name: ReceivedLedger(flows) for name in subscriptions}
        self._exclusive, self._checksums = exclusive, checksums
        self._window_starts = np.zeros(flows, np.int64)
        self._backlog_starts: Int64s | None = None
        self._wiped = Spans()
        self._repetitions_before: dict[str, tuple[int, int, int, int]] = dict.fromkeys(subscriptions, (0, 0, 0, 0))

    def __repr__(self) -> str:
        return f"<Ledger {int(self.sent.sent.sum())} sent, backlog {self.backlog()}>"

    def add(self, sent: Iterable[SentReport], received: Iterable[tuple[str, ReceivedReport]]) -> None:
        """Adds what all producers and consumers (with their subscription) report at one time."""
        for each in sent:
            self.sent.add(each)
        by_name: dict[str, list[ReceivedReport]] = {name: [] for name in self.received}
        for name, report in received:
            by_name[name].append(report)
        for name, reports in by_name.items():
            self.received[name].add(reports)
        if self.received:
            self.sent.drop_checkpoints(np.minimum.reduce([each.first_missing() for each in self.received.values()]))

    def begin_backlog(self) -> None:
        """What is sent from here on, until the window begins, is a backlog that is built."""
        self._backlog_starts = self.sent.sent.copy()

    def begin_window(self) -> None:
        """What is sent and comes again from here on belongs to the window; call it when everything sent is known."""
        self._window_starts = self.sent.sent.copy()
        self._repetitions_before = {name: _repetitions(each) for name, each in self.received.items()}

    def sent_before_window(self, flow: int) -> int:
        """How many messages of a flow had been sent when the window began."""
        return int(self._window_starts[flow])

    # -- what is missing -------------------------------------------------------------------------------------------

    def backlog(self) -> dict[str, int]:
        """Messages, of those acknowledged in all phases, that each subscription has not received."""
        acknowledged = self.sent.acknowledged()
        return {name: len(acknowledged - received.spans) for name, received in self.received.items()}

    def lag(self) -> dict[str, int]:
        """Messages that are still before each subscription: beyond the last one of their flow that has arrived.

        Unlike in the backlog, what was overtaken is not among them, so that a loss does not stay in it; messages that
        were refused are, until one that was sent later arrives.
        """
        return {
            name: int(np.maximum(self.sent.replied - received.ends, 0).sum())
            for name, received in self.received.items()
        }

    def missing(self, name: str) -> dict[int, Spans]:
        """By flow, what was acknowledged in all phases and has not reached subscription `name`."""
        return split_flows(self.sent.acknowledged() - self.received[name].spans)

    def new_gaps(self) -> dict[int, Spans]:
        """By flow, acknowledged messages that were overtaken in some subscription and have not come since last asked.

        `note_log_starts` is to follow, before this is asked again.
        """
        acknowledged = self.sent.acknowledged()
        found = Spans()
        for received in self.received.values():
            found |= received.new_gaps(acknowledged)
        return split_flows(found)

    def note_log_starts(self, log_starts: LogStarts) -> None:
        """Notes the log starts at the time at which the last gaps were found."""
        for received in self.received.values():
            received.note_log_starts(self._as_array(log_starts))

    # -- faults ----------------------------------------------------------------------------------------------------

    def mark(self, at_ns: int) -> LedgerMark:
        """How far the run is now."""
        repetitions = {name: _repetitions(each) for name, each in self.received.items()}
        return LedgerMark(at_ns, self.sent.sent.copy(), repetitions)

    def note_wiped(self) -> None:
        """A server has come back without data: what was sent until now and is gone was not trimmed, but lost."""
        self._wiped = below(self.sent.sent)

    def account(self, first: LedgerMark, last: LedgerMark, findings: AuditFindings) -> SpanAccount:
        """What became of the messages of the window that were sent from one mark to another."""
        span = between(np.maximum(first.sent, self._window_starts), last.sent)
        return SpanAccount(
            failed=len(self.sent.failed & span),
            indeterminate=len(self.sent.indeterminate & span),
            groups={
                name: self._delivered(name, span, first.repetitions[name], last.repetitions[name], findings)
                for name in self.received
            },
        )

    # -- deliveries ------------------------------------------------------------------------------------------------

    def indeterminate(self) -> int:
        """Messages of the window whose connection was lost before the reply."""
        return len(self.sent.indeterminate & self._window())

    def deliveries(self, findings: AuditFindings) -> list[WindowDelivery]:
        """What became of the messages of the window, one for each subscription."""
        return [self._delivery(name, findings) for name in self.received]

    def warm_up_losses(self, findings: AuditFindings) -> dict[str, tuple[int, int]]:
        """Messages of the warm-up that each subscription has (lost, that were trimmed); those without are left out."""
        losses = {}
        acknowledged = self.sent.acknowledged() - self._window() - self._backlog()
        for name, received in self.received.items():
            lost, trimmed = self._losses(name, acknowledged - received.spans, findings)
            if lost or trimmed:
                losses[name] = (len(lost), len(trimmed))
        return losses

    def backlog_deliveries(self, findings: AuditFindings) -> list[BacklogDelivery]:
        """What became of the backlog that was built, one for each subscription; none without one."""
        if self._backlog_starts is None:
            return []
        acknowledged = self.sent.acknowledged() & self._backlog()
        found = []
        for name, received in self.received.items():
            arrived = received.spans & self._backlog()
            missing = acknowledged - arrived
            lost, trimmed = self._losses(name, missing, findings)
            delivery = BacklogDelivery(
                subscription=name,
                acknowledged=len(acknowledged),
                received=len(arrived),
                lost=len(lost),
                trimmed=len(trimmed),
                undelivered=len(missing) - len(lost) - len(trimmed),
                recovered=len(arrived - acknowledged),
            )
            found.append(delivery)
        return found

    def _delivery(self, name: str, findings: AuditFindings) -> WindowDelivery:
        now, before = _repetitions(self.received[name]), self._repetitions_before[name]
        return self._delivered(name, self._window(), before, now, findings)

    def _delivered(
        self,
        name: str,
        span: Spans,
        before: tuple[int, int, int, int],
        now: tuple[int, int, int, int],
        findings: AuditFindings,
    ) -> WindowDelivery:
        """What became of the messages in `span`, and what came again between two times."""
        redelivered, duplicated, out_of_order, corrupt = (at - was for at, was in zip(now, before, strict=True))
        acknowledged = self.sent.acknowledged() & span
        arrived = self.received[name].spans & span
        missing = acknowledged - arrived
        lost, trimmed = self._losses(name, missing, findings)
        return WindowDelivery(
            subscription=name,
            acknowledged=len(acknowledged),
            received=len(arrived),
            lost=len(lost),
            trimmed=len(trimmed),
            undelivered=len(missing) - len(lost) - len(trimmed),
            redelivered=redelivered if self._exclusive else 0,
            duplicated=duplicated if self._exclusive else 0,
            repeated=0 if self._exclusive else redelivered + duplicated,
            reordered=max(0, out_of_order - redelivered - duplicated),
            order_exact=self._exclusive,
            recovered=len(arrived - acknowledged),
            corrupt=corrupt if self._checksums else None,
        )

    def _losses(self, name: str, missing: Spans, findings: AuditFindings) -> tuple[Spans, Spans]:
        """Of what is missing: what is lost, and what was trimmed."""
        undelivered = {flow: spans for (whose, flow), spans in findings.undelivered.items() if whose == name}
        gone = missing - join_flows(undelivered)
        trimmed = self.received[name].trimmed(gone, self._as_array(findings.log_starts)) - self._wiped
        return gone - trimmed, trimmed

    def _window(self) -> Spans:
        return between(self._window_starts, self.sent.sent)

    def _backlog(self) -> Spans:
        return Spans() if self._backlog_starts is None else between(self._backlog_starts, self._window_starts)

    def _as_array(self, log_starts: LogStarts) -> Int64s:
        found = np.zeros(len(self._window_starts), np.int64)
        for flow, start in log_starts.items():
            found[flow] = start
        return found


def _repetitions(received: ReceivedLedger) -> tuple[int, int, int, int]:
    return received.redelivered, received.duplicated, received.out_of_order, received.corrupt
