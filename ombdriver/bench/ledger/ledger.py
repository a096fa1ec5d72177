"""The delivery ledger: every message that was sent is accounted for, for every subscription. Pure, on numpy.

Unites what all workers report: `published` knows what was sent and acknowledged, one `received` per subscription what
arrived. What is missing is told apart by what the system still holds, which `audit` finds out. For each subscription
acknowledged + recovered = received + lost + trimmed + undelivered, by construction: each is the size of a set.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ombdriver.bench.ledger import spans as flows
from ombdriver.bench.ledger.received import ReceivedLedger
from ombdriver.bench.ledger.sent import SentLedger
from ombdriver.bench.ledger.spans import Spans
from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.metrics.report import ReceivedReport, SentReport
from ombdriver.bench.metrics.summary import BacklogDelivery, Delivery

Floors = Mapping[int, int]
"""By flow: the lowest sequence that was not trimmed."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the system still holds of what is missing, when nothing was waited for any longer.

    Attributes:
        waiting: by subscription and flow, the missing messages that are still to be delivered.
        floors: by flow, the lowest sequence that was not trimmed; a flow without one was not trimmed at all.
    """

    waiting: Mapping[tuple[str, int], Spans] = field(default_factory=dict)
    floors: Floors = field(default_factory=dict)


class Ledger:
    """The account of one run.

    Args:
        count: how many flows the run has.
        subscriptions: those that somebody reads.
        exclusive: whether each partition is read by one consumer alone per subscription.
        checksums: whether messages carry one.
    """

    def __init__(self, count: int, subscriptions: Sequence[str], *, exclusive: bool, checksums: bool = False) -> None:
        self.published = SentLedger(count)
        self.received = {name: ReceivedLedger(count) for name in subscriptions}
        self._exclusive, self._checksums = exclusive, checksums
        self._begins = np.zeros(count, np.int64)
        self._built: Int64s | None = None
        self._before: dict[str, tuple[int, int, int, int]] = dict.fromkeys(subscriptions, (0, 0, 0, 0))

    def __repr__(self) -> str:
        return f"<Ledger {int(self.published.attempted.sum())} attempted, {self.outstanding()} outstanding>"

    def take(self, answered: Iterable[SentReport], arrived: Iterable[tuple[str, ReceivedReport]]) -> None:
        """Adds what all producers and consumers (subscription, what arrived) report at one time."""
        for each in answered:
            self.published.take(each)
        by_name: dict[str, list[ReceivedReport]] = {name: [] for name in self.received}
        for name, some in arrived:
            by_name[name].append(some)
        for name, parts in by_name.items():
            self.received[name].take(parts)
        if self.received:
            self.published.forget(np.minimum.reduce([each.marks() for each in self.received.values()]))

    def open_backlog(self) -> None:
        """What is sent from here on, until the window opens, is a backlog that is built."""
        self._built = self.published.attempted.copy()

    def open_window(self) -> None:
        """What is sent and comes again from here on belongs to the window; call it when everything sent is known."""
        self._begins = self.published.attempted.copy()
        self._before = {name: _repetitions(each) for name, each in self.received.items()}

    # -- what is missing -------------------------------------------------------------------------------------------

    def outstanding(self) -> dict[str, int]:
        """Messages, of those acknowledged in all phases, that each subscription has not received."""
        acknowledged = self.published.acknowledged()
        return {name: len(acknowledged - received.spans) for name, received in self.received.items()}

    def before(self) -> dict[str, int]:
        """Messages that each subscription has before it: beyond the last one of their flow that arrived."""
        return {
            name: int(np.maximum(self.published.replied - received.ends, 0).sum())
            for name, received in self.received.items()
        }

    def missing(self, name: str) -> dict[int, Spans]:
        """By flow, what was acknowledged in all phases and has not reached subscription `name`."""
        return flows.split(self.published.acknowledged() - self.received[name].spans)

    def new_gaps(self) -> dict[int, Spans]:
        """By flow, acknowledged messages that were overtaken in some subscription and have not come since last asked.

        `note_floors` is to follow, before this is asked again.
        """
        acknowledged = self.published.acknowledged()
        found = Spans()
        for received in self.received.values():
            found |= received.new_gaps(acknowledged)
        return flows.split(found)

    def note_floors(self, floors: Floors) -> None:
        """Notes the lowest sequence, by flow, that was not trimmed when the last gaps were found."""
        for received in self.received.values():
            received.judge(self._by_number(floors))

    # -- the account -----------------------------------------------------------------------------------------------

    def indeterminate(self) -> int:
        """Messages of the window whose connection was lost before the reply."""
        return len(self.published.indeterminate & self._window())

    def deliveries(self, findings: Findings) -> list[Delivery]:
        """The account of the window, one for each subscription."""
        return [self._delivery(name, findings) for name in self.received]

    def gone_before(self, findings: Findings) -> dict[str, tuple[int, int]]:
        """Messages of the warm-up that each subscription has (lost, that were trimmed); those without are left out."""
        told = {}
        acknowledged = self.published.acknowledged() - self._window() - self._backlog()
        for name, received in self.received.items():
            gone, cut = self._gone(name, acknowledged - received.spans, findings)
            if gone or cut:
                told[name] = (len(gone), len(cut))
        return told

    def backlog(self, findings: Findings) -> list[BacklogDelivery]:
        """The account of the backlog that was built before the window, one for each subscription; none without one."""
        if self._built is None:
            return []
        acknowledged = self.published.acknowledged() & self._backlog()
        found = []
        for name, received in self.received.items():
            arrived = received.spans & self._backlog()
            missing = acknowledged - arrived
            gone, cut = self._gone(name, missing, findings)
            left = len(missing) - len(gone) - len(cut)
            recovered = len(arrived - acknowledged)
            told = BacklogDelivery(name, len(acknowledged), len(arrived), len(gone), len(cut), left, recovered)
            found.append(told)
        return found

    def _delivery(self, name: str, findings: Findings) -> Delivery:
        received, window = self.received[name], self._window()
        again, anew, late, corrupt = (
            now - before for now, before in zip(_repetitions(received), self._before[name], strict=True)
        )
        acknowledged = self.published.acknowledged() & window
        arrived = received.spans & window
        missing = acknowledged - arrived
        gone, cut = self._gone(name, missing, findings)
        return Delivery(
            subscription=name,
            acknowledged=len(acknowledged),
            received=len(arrived),
            lost=len(gone),
            trimmed=len(cut),
            undelivered=len(missing) - len(gone) - len(cut),
            redelivered=again if self._exclusive else 0,
            duplicated=anew if self._exclusive else 0,
            repeated=0 if self._exclusive else again + anew,
            reordered=max(0, late - again - anew),
            order_exact=self._exclusive,
            recovered=len(arrived - acknowledged),
            corrupt=corrupt if self._checksums else None,
        )

    def _gone(self, name: str, missing: Spans, findings: Findings) -> tuple[Spans, Spans]:
        """Of what is missing: what is lost, and what was trimmed."""
        waiting = flows.joined({flow: spans for (whose, flow), spans in findings.waiting.items() if whose == name})
        gone = missing - waiting
        cut = self.received[name].trimmed(gone, self._by_number(findings.floors))
        return gone - cut, cut

    def _window(self) -> Spans:
        return flows.between(self._begins, self.published.attempted)

    def _backlog(self) -> Spans:
        return Spans() if self._built is None else flows.between(self._built, self._begins)

    def _by_number(self, floors: Floors) -> Int64s:
        found = np.zeros(len(self._begins), np.int64)
        for flow, floor in floors.items():
            found[flow] = floor
        return found


def _repetitions(received: ReceivedLedger) -> tuple[int, int, int, int]:
    return received.again, received.anew, received.late, received.corrupt
