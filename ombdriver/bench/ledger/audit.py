"""Finds out what became of messages that did not arrive, by what the system still holds of them.

While a run goes on, `Audit` looks where a partition begins whenever a gap shows, so that what was trimmed and what was
lost are kept apart even if the partition is trimmed further later. At the end it looks once for everything that is
missing. Knows the plan, the ledger and the driver's inspector; no phase, worker or result.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ombdriver.bench.drivers.api import Inspector, Reference, TopicSpec
from ombdriver.bench.ledger.ledger import AuditFindings, Ledger
from ombdriver.bench.ledger.sent import SentLedger
from ombdriver.bench.ledger.spans import Spans
from ombdriver.bench.load.flow import is_probe
from ombdriver.bench.load.message import STAMP, STAMP_DTYPE
from ombdriver.bench.load.retention import NO_TRIMMING
from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.plan.plan import Plan
from ombdriver.errors import OmbdriverError

PAGE_BYTES = 1 << 20
"""One read of messages brings about so much at most."""
MOST_PER_PAGE = 1000

Partition = tuple[TopicSpec, int]
"""A topic and the number of one of its partitions."""

MissingByFlow = Mapping[str, Mapping[int, Spans]]
"""Missing messages, by subscription and flow."""


class Audit:
    """Looks for what is missing.

    Args:
        plan: the run.
        ledger: knows what is missing.
        inspector: looks at the system; None when nothing can be looked at.

    Attributes:
        incomplete: why not everything could be looked at; None when it could.
    """

    def __init__(self, plan: Plan, ledger: Ledger, inspector: Inspector | None) -> None:
        self._plan, self._ledger = plan, ledger
        self._holdings = None if inspector is None else StreamHoldings(plan, ledger.sent, inspector)
        self._trims = plan.existing or plan.trimming != NO_TRIMMING  # else what is gone was deleted by somebody
        self._checking: asyncio.Task[None] | None = None
        self.incomplete: str | None = None

    def __repr__(self) -> str:
        return f"<Audit of {self._ledger}>"

    def check_gaps(self) -> None:
        """Asks, in a task, where partitions with new gaps begin now; does nothing while the last task goes on."""
        if self._holdings is None or (self._checking is not None and not self._checking.done()):
            return
        gaps = self._ledger.new_gaps()
        if gaps:
            self._checking = asyncio.create_task(self._note_log_starts(self._holdings, gaps))

    async def _note_log_starts(self, holdings: "StreamHoldings", gaps: Mapping[int, Spans]) -> None:
        starts: dict[int, int] = {}
        try:
            for partition, flows in self._by_partition(gaps).items() if self._trims else ():
                starts |= await holdings.log_starts(partition, {flow: gaps[flow] for flow in flows})
        except OmbdriverError as error:
            self.incomplete = str(error)
        self._ledger.note_log_starts(starts)

    async def wait(self) -> None:
        """Waits for the task of `check_gaps`, if there is one."""
        if self._checking is not None:
            await self._checking

    async def finish(self, timeout_s: float) -> AuditFindings:
        """Looks for everything that is missing, for so long; call it when nothing is waited for any longer."""
        missing = {name: self._ledger.missing(name) for name in self._ledger.received}
        if self._holdings is None:
            return AuditFindings(undelivered=self._not_overtaken(missing))
        unseen = {flow for by_flow in missing.values() for flow in by_flow}
        undelivered: dict[tuple[str, int], Spans] = {}
        starts: dict[int, int] = {}
        try:
            async with asyncio.timeout(timeout_s):
                await self.wait()  # on expiry it is cancelled with this
                for partition, flows in self._by_partition(unseen).items():
                    here = {name: {n: each[n] for n in flows if n in each} for name, each in missing.items()}
                    if self._trims:
                        starts |= await self._holdings.log_starts(partition, _union(here))
                    undelivered |= await self._holdings.undelivered(partition, here)
                    unseen -= set(flows)
        except TimeoutError:
            self.incomplete = f"it would have taken longer than {timeout_s:g} s"
        except OmbdriverError as error:
            self.incomplete = str(error)
        if self._plan.plain:
            # The system does not know how far a reader is; but it will not go back.
            ahead = self._not_overtaken(missing)
            undelivered = {which: spans & ahead[which] for which, spans in undelivered.items() if which in ahead}
        for name, by_flow in missing.items():  # what was not looked at does not count as lost
            undelivered |= {(name, flow): spans for flow, spans in by_flow.items() if flow in unseen}
        return AuditFindings(undelivered, starts)

    def _not_overtaken(self, missing: MissingByFlow) -> dict[tuple[str, int], Spans]:
        """What is missing after the last message of its flow that came: it may still come."""
        return {
            (name, flow): spans - Spans.of([(0, int(self._ledger.received[name].ends[flow]))])
            for name, by_flow in missing.items()
            for flow, spans in by_flow.items()
        }

    def _by_partition(self, flows: Iterable[int]) -> dict[Partition, list[int]]:
        found: dict[Partition, list[int]] = {}
        for flow in flows:
            found.setdefault(self._plan.partition_of(flow), []).append(flow)
        return found


def _union(missing: MissingByFlow) -> dict[int, Spans]:
    """What any subscription misses, by flow."""
    union: dict[int, Spans] = {}
    for by_flow in missing.values():
        for flow, spans in by_flow.items():
            union[flow] = union.get(flow, Spans()) | spans
    return union


# -- what the system holds ---------------------------------------------------------------------------------------------

_Range = tuple[Reference | None, Reference | None]
"""From one reference to another, both among them; None is the beginning, or the end."""


@dataclass(frozen=True, slots=True)
class _Page:
    """Messages of the run that lie together: shape (n,) each, and their references."""

    flows: Int64s
    sequences: Int64s
    references: Sequence[Reference]


class StreamHoldings:
    """What the system still holds of a run's messages: where a partition begins, and which messages lie in it.

    Args:
        plan: the run.
        sent: knows some of the references, as checkpoints.
        inspector: reads the partitions, by pages.
    """

    def __init__(self, plan: Plan, sent: SentLedger, inspector: Inspector) -> None:
        self._flows, self._sent, self._inspector = plan.flows, sent, inspector
        self._page_size = max(1, min(MOST_PER_PAGE, PAGE_BYTES // plan.payload.size))

    async def log_starts(self, partition: Partition, gaps: Mapping[int, Spans]) -> dict[int, int]:
        """The lowest sequence number of each flow in `gaps` that was not trimmed; right for what is in the gaps.

        Raises:
            DriverError: if the system can't be asked; so does `undelivered`.
        """
        beginning = await self._inspector.held(*partition, None, None, 1)
        if not beginning:
            return {flow: spans.end for flow, spans in gaps.items()}
        first = beginning[0][0]
        starts: dict[int, int] = {}
        uncertain: dict[int, int] = {}
        ends: list[Reference] = []
        for flow, spans in gaps.items():
            checkpoints = self._sent.checkpoints(flow)
            at = bisect_left(checkpoints, first, key=lambda each: self._inspector.reference(each[1]))
            starts[flow] = checkpoints[at - 1][0] + 1 if at else 0
            known = at < len(checkpoints)
            above = checkpoints[at][0] if known else int(self._sent.sent[flow])
            if spans & Spans.of([(starts[flow], max(starts[flow], above))]):
                uncertain[flow] = above
                ends.append(self._inspector.reference(checkpoints[at][1]) if known else None)
        return starts | await self._first_of(partition, uncertain, (first, _greatest(ends)))

    async def _first_of(self, partition: Partition, flows: dict[int, int], within: _Range) -> dict[int, int]:
        """The first sequence number of each of `flows` that is there; what is given, if that is less or none is."""
        left = set(flows)
        if left:
            async for page in self._pages(partition, within):
                for flow in [flow for flow in left if (page.flows == flow).any()]:
                    # The range may reach past what bounds this flow: it is that of all.
                    flows[flow] = min(flows[flow], int(page.sequences[page.flows == flow].min()))
                    left.remove(flow)
                if not left:
                    break
        return flows

    async def undelivered(self, partition: Partition, missing: MissingByFlow) -> dict[tuple[str, int], Spans]:
        """Of what subscriptions miss, by subscription and flow: what is there and not delivered yet, or pending."""
        positions = {name: await self._inspector.position(*partition, name) for name in missing}
        found: dict[tuple[str, int], Spans] = {}
        for within in self._ranges([each for by_flow in missing.values() for each in by_flow.items()]):
            async for page in self._pages(partition, within):
                for name, by_flow in missing.items():
                    beyond = 0 if positions[name] is None else bisect_right(page.references, positions[name])
                    for flow, spans in by_flow.items():
                        places = np.flatnonzero((page.flows == flow) & spans.contains(page.sequences))
                        there = page.sequences[places[places >= beyond]].tolist()
                        behind = places[places < beyond].tolist()
                        asked = [page.references[at] for at in behind]
                        pending = await self._inspector.pending(*partition, name, asked) if asked else ()
                        there += [int(page.sequences[at]) for at in behind if page.references[at] in pending]
                        some = Spans.of([(sequence, sequence + 1) for sequence in there])
                        found[name, flow] = found.get((name, flow), Spans()) | some
        return found

    def _ranges(self, missing: Sequence[tuple[int, Spans]]) -> list[_Range]:
        """Where the messages lie if they are there, by checkpoints: apart from each other, rising."""
        ranges: list[_Range] = []
        for flow, spans in missing:
            for first, end in spans.pairs.tolist():
                lower, upper = (
                    None if answer is None else self._inspector.reference(answer)
                    for answer in self._sent.around(flow, first, end)
                )
                ranges.append((lower, upper))
        ranges.sort(key=lambda each: (each[0] is not None, each[0]))
        merged: list[_Range] = []
        for start, end in ranges:
            before = merged[-1] if merged else None
            if before is not None and (before[1] is None or start is None or start <= before[1]):
                merged[-1] = (before[0], _greatest([before[1], end]))
            else:
                merged.append((start, end))
        return merged

    async def _pages(self, partition: Partition, within: _Range) -> AsyncIterator[_Page]:
        first, last = within
        while True:
            some = await self._inspector.held(*partition, first, last, self._page_size)
            yield self._page(some)
            if len(some) < self._page_size:
                return
            first = self._inspector.after(some[-1][0])

    def _page(self, some: Sequence[tuple[Reference, bytes]]) -> _Page:
        stamped = [(reference, payload) for reference, payload in some if len(payload) >= STAMP.size]
        stamps = np.frombuffer(b"".join(payload[: STAMP.size] for _, payload in stamped), STAMP_DTYPE)
        at = np.flatnonzero(self._flows.owns(stamps) & ~is_probe(stamps))
        stamps = stamps[at]
        references = [stamped[place][0] for place in at.tolist()]
        return _Page(self._flows.numbers(stamps), stamps["sequence"].astype(np.int64), references)


def _greatest(ends: Sequence[Reference]) -> Reference:
    """The greatest of some ends, where None is the end of everything."""
    return None if any(end is None for end in ends) else max(ends, default=None)
