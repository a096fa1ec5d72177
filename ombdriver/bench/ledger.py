"""The delivery ledger: every message that was sent is accounted for, for every subscription. Pure, on numpy.

Unites what all workers report: `published` knows what was sent and acknowledged, one `received` per subscription what
arrived. What is missing is told apart by what the system still holds, which `audit` finds out. For each subscription
acknowledged + recovered = received + lost + trimmed + undelivered, by construction: each is the size of a set.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ombdriver.bench.arrivals import Arrived
from ombdriver.bench.measurements import Delivery
from ombdriver.bench.published import Answered, Published
from ombdriver.bench.received import Received
from ombdriver.bench.spans import Spans

Floors = Mapping[int, int]
"""By lane: the lowest sequence that was not trimmed."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the system still holds of what is missing, when nothing was waited for any longer.

    Attributes:
        waiting: by subscription and lane, the missing messages that are still to be delivered.
        floors: by lane, the lowest sequence that was not trimmed; a lane without one was not trimmed at all.
    """

    waiting: Mapping[tuple[str, int], Spans] = field(default_factory=dict)
    floors: Floors = field(default_factory=dict)


class Ledger:
    """The account of one run.

    Args:
        lanes: how many lanes the run has.
        subscriptions: those that somebody reads.
        exclusive: whether each partition is read by one consumer alone per subscription.
        checksums: whether messages carry one.
    """

    def __init__(self, lanes: int, subscriptions: Sequence[str], *, exclusive: bool, checksums: bool = False) -> None:
        self.published = Published(lanes)
        self.received = {name: Received(lanes) for name in subscriptions}
        self._exclusive, self._checksums = exclusive, checksums
        self._begins = np.zeros(lanes, np.int64)
        self._before: dict[str, tuple[int, int, int, int]] = dict.fromkeys(subscriptions, (0, 0, 0, 0))

    def __repr__(self) -> str:
        return f"<Ledger {int(self.published.attempted.sum())} attempted, {self.outstanding()} outstanding>"

    def take(self, answered: Iterable[Answered], arrived: Iterable[tuple[str, Arrived]]) -> None:
        """Adds what producers and consumers (subscription, what arrived) report."""
        for each in answered:
            self.published.take(each)
        for name, some in arrived:
            if name in self.received:
                self.received[name].take(some)
        if self.received:
            self.published.forget(np.minimum.reduce([each.marks for each in self.received.values()]))

    def open_window(self) -> None:
        """What is sent and comes again from here on belongs to the window; call it when everything sent is known."""
        self._begins = self.published.attempted.copy()
        self._before = {name: _repetitions(each) for name, each in self.received.items()}

    # -- what is missing -------------------------------------------------------------------------------------------

    def outstanding(self) -> dict[str, int]:
        """Messages, of those acknowledged in all phases, that each subscription has not received."""
        told = {}
        for name, received in self.received.items():
            special = self._special(received)
            behind = np.maximum(self.published.replied - received.marks, 0)
            behind[special] = 0
            told[name] = int(behind.sum()) + sum(len(self._missing(received, lane)) for lane in special)
        return told

    def missing(self, name: str) -> dict[int, Spans]:
        """By lane, what was acknowledged in all phases and has not reached subscription `name`."""
        received = self.received[name]
        behind = np.flatnonzero(received.marks < self.published.replied).tolist()
        return {lane: spans for lane in behind if (spans := self._missing(received, lane))}

    def _missing(self, received: Received, lane: int) -> Spans:
        return self.published.acknowledged(lane) - received.of(lane)

    def _special(self, received: Received) -> list[int]:
        """The lanes of which marks and counts of replies don't tell everything."""
        return sorted({*received.gapped, *self.published.troubled})

    def new_gaps(self) -> dict[int, Spans]:
        """By lane, acknowledged messages that were overtaken in some subscription and have not come since last asked.

        `note_floors` is to follow, before this is asked again.
        """
        found: dict[int, Spans] = {}
        for received in self.received.values():
            for lane, gaps in received.new_gaps():
                if skipped := gaps & self.published.acknowledged(lane):
                    found[lane] = found.get(lane, Spans()) | skipped
        return found

    def note_floors(self, floors: Floors) -> None:
        """Notes the lowest sequence, by lane, that was not trimmed when the last gaps were found."""
        for received in self.received.values():
            for lane, floor in floors.items():
                received.note_floor(lane, floor)

    # -- the account -----------------------------------------------------------------------------------------------

    def indeterminate(self) -> int:
        """Messages of the window whose connection was lost before the reply."""
        return sum(len(self._of_window(lane, spans)) for lane, spans in self.published.indeterminate.items())

    def deliveries(self, findings: Findings) -> list[Delivery]:
        """The account of the window, one for each subscription."""
        return [self._delivery(name, findings) for name in self.received]

    def gone_before(self, findings: Findings) -> dict[str, tuple[int, int]]:
        """Messages of the warm-up that each subscription has (lost, that were trimmed); those without are left out."""
        told = {}
        for name in self.received:
            lost = trimmed = 0
            for lane, missing in self.missing(name).items():
                gone, cut = self._gone(name, lane, missing - self._window(lane), findings)
                lost, trimmed = lost + len(gone), trimmed + len(cut)
            if lost or trimmed:
                told[name] = (lost, trimmed)
        return told

    def _delivery(self, name: str, findings: Findings) -> Delivery:
        received, published = self.received[name], self.published
        again, anew, late, corrupt = (
            now - before for now, before in zip(_repetitions(received), self._before[name], strict=True)
        )
        # Of most lanes everything was acknowledged and has arrived, which numbers alone tell.
        sound = (published.replied == published.attempted) & (received.marks == published.attempted)
        sound[self._special(received)] = False
        acknowledged = arrived = int((published.attempted - self._begins)[sound].sum())
        lost = trimmed = undelivered = recovered = 0
        for lane in np.flatnonzero(~sound).tolist():
            held = self._of_window(lane, published.acknowledged(lane))
            here = self._of_window(lane, received.of(lane))
            acknowledged, arrived = acknowledged + len(held), arrived + len(here)
            recovered += len(here - held)
            if missing := held - here:
                gone, cut = self._gone(name, lane, missing, findings)
                lost, trimmed = lost + len(gone), trimmed + len(cut)
                undelivered += len(missing) - len(gone) - len(cut)
        return Delivery(
            subscription=name,
            acknowledged=acknowledged,
            received=arrived,
            lost=lost,
            trimmed=trimmed,
            undelivered=undelivered,
            redelivered=again if self._exclusive else 0,
            duplicated=anew if self._exclusive else 0,
            repeated=0 if self._exclusive else again + anew,
            reordered=max(0, late - again - anew),
            order_exact=self._exclusive,
            recovered=recovered,
            corrupt=corrupt if self._checksums else None,
        )

    def _gone(self, name: str, lane: int, missing: Spans, findings: Findings) -> tuple[Spans, Spans]:
        """Of what is missing on a lane: what is lost, and what was trimmed."""
        gone = missing - findings.waiting.get((name, lane), Spans())
        cut = self.received[name].trimmed(lane, gone, findings.floors.get(lane, 0))
        return gone - cut, cut

    def _window(self, lane: int) -> Spans:
        return Spans.of([(int(self._begins[lane]), int(self.published.attempted[lane]))])

    def _of_window(self, lane: int, spans: Spans) -> Spans:
        return spans & self._window(lane)


def _repetitions(received: Received) -> tuple[int, int, int, int]:
    return received.again, received.anew, received.late, received.corrupt
