"""Accounts for messages that did not arrive, by what the system still holds of them.

Knows the ledger and what looks at partitions; no phase, worker or result. While the run goes on it looks where a
partition begins whenever a gap shows, so that what was cut off is told from what was lost even if the partition is cut
further later. At the end it looks once for everything that is missing.

What the system still holds of a run's messages: where a partition begins, and which messages lie in it.

Knows the driver's inspector, the stamp and what was published; no subscription's account. Everything is read by pages.
"""

import asyncio
import logging
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ombdriver.bench.drivers.api import Inspector, Reference, TopicSpec
from ombdriver.bench.ledger.ledger import Findings, Ledger
from ombdriver.bench.ledger.sent import SentLedger
from ombdriver.bench.ledger.spans import Spans
from ombdriver.bench.load.message import STAMP, STAMP_DTYPE, run_number
from ombdriver.bench.metrics.histogram import Int64s
from ombdriver.bench.plan.plan import Plan
from ombdriver.errors import OmbdriverError

PAGE_BYTES = 1 << 20
"""One look at messages brings about so much at most."""
LONGEST_PAGE = 1000

Place = tuple[TopicSpec, int]
"""A topic and a partition of it."""

Range = tuple[Reference | None, Reference | None]
"""From one reference to another, both among them; None is the beginning, or the end."""


@dataclass(frozen=True, slots=True)
class Page:
    """Messages of the run that lie together: shape (n,) each, and their references."""

    flows: Int64s
    sequences: Int64s
    references: Sequence[Reference]


class StreamHoldings:
    """Looks at partitions.

    Args:
        plan: the run.
        published: knows some of the references.
        inspector: looks at the system.
    """

    def __init__(self, plan: Plan, published: SentLedger, inspector: Inspector) -> None:
        self._plan, self._published, self._inspector = plan, published, inspector
        self._run = run_number(plan.run_id)
        self._page = max(1, min(LONGEST_PAGE, PAGE_BYTES // plan.payload.size))

    async def floors(self, place: Place, gaps: Mapping[int, Spans]) -> dict[int, int]:
        """The lowest sequence of each flow in `gaps` that was not trimmed; right for the sequences in the gaps.

        Raises:
            DriverError: if the system can't be asked; so do the others.
        """
        beginning = await self._inspector.held(*place, None, None, 1)
        if not beginning:
            return {flow: spans.end for flow, spans in gaps.items()}
        first = beginning[0][0]
        floors: dict[int, int] = {}
        on_edge: dict[int, int] = {}
        ends: list[Reference] = []
        for flow, spans in gaps.items():
            checkpoints = self._published.checkpoints(flow)
            at = bisect_left(checkpoints, first, key=lambda each: self._inspector.reference(each[1]))
            floors[flow] = checkpoints[at - 1][0] + 1 if at else 0
            known = at < len(checkpoints)
            above = checkpoints[at][0] if known else int(self._published.attempted[flow])
            if spans & Spans.of([(floors[flow], max(floors[flow], above))]):
                on_edge[flow] = above
                ends.append(self._inspector.reference(checkpoints[at][1]) if known else None)
        return floors | await self._first_of(place, on_edge, (first, _greatest(ends)))

    async def _first_of(self, place: Place, on_edge: dict[int, int], between: Range) -> dict[int, int]:
        """The first sequence of each flow in `on_edge` that is there; of those that aren't, what is given."""
        left = set(on_edge)
        if left:
            async for page in self._pages(place, between):
                for flow in [flow for flow in left if (page.flows == flow).any()]:
                    on_edge[flow] = int(page.sequences[page.flows == flow].min())
                    left.remove(flow)
                if not left:
                    break
        return on_edge

    async def waiting(self, place: Place, missing: Mapping[str, Mapping[int, Spans]]) -> dict[tuple[str, int], Spans]:
        """Of what subscriptions miss, by name and flow: what is there and not delivered yet, or pending."""
        reached = {name: await self._inspector.position(*place, name) for name in missing}
        found: dict[tuple[str, int], Spans] = {}
        for one in self._ranges([each for spans_of in missing.values() for each in spans_of.items()]):
            async for page in self._pages(place, one):
                for name, spans_of in missing.items():
                    beyond = 0 if reached[name] is None else bisect_right(page.references, reached[name])
                    for flow, spans in spans_of.items():
                        places = np.flatnonzero((page.flows == flow) & spans.holds(page.sequences))
                        there = page.sequences[places[places >= beyond]].tolist()
                        behind = places[places < beyond].tolist()
                        asked = [page.references[at] for at in behind]
                        pending = await self._inspector.pending(*place, name, asked) if asked else ()
                        there += [int(page.sequences[at]) for at in behind if page.references[at] in pending]
                        some = Spans.of([(sequence, sequence + 1) for sequence in there])
                        found[name, flow] = found.get((name, flow), Spans()) | some
        return found

    def _ranges(self, missing: Sequence[tuple[int, Spans]]) -> list[Range]:
        """Where the messages lie if they are there, by checkpoints: apart from each other, rising."""
        ranges: list[Range] = []
        for flow, spans in missing:
            for first, end in spans.pairs.tolist():
                below, above = (
                    None if answer is None else self._inspector.reference(answer)
                    for answer in self._published.around(flow, first, end)
                )
                ranges.append((below, above))
        ranges.sort(key=lambda each: (each[0] is not None, each[0]))
        merged: list[Range] = []
        for start, end in ranges:
            before = merged[-1] if merged else None
            if before is not None and (before[1] is None or start is None or start <= before[1]):
                merged[-1] = (before[0], _greatest([before[1], end]))
            else:
                merged.append((start, end))
        return merged

    async def _pages(self, place: Place, between: Range) -> AsyncIterator[Page]:
        first, last = between
        while True:
            some = await self._inspector.held(*place, first, last, self._page)
            yield self._read(some)
            if len(some) < self._page:
                return
            first = self._inspector.after(some[-1][0])

    def _read(self, some: Sequence[tuple[Reference, bytes]]) -> Page:
        whole = [(reference, payload) for reference, payload in some if len(payload) >= STAMP.size]
        stamps = np.frombuffer(b"".join(payload[: STAMP.size] for _, payload in whole), STAMP_DTYPE)
        ours = (stamps["run"] == self._run) & (stamps["intended_ns"] > 0) & (stamps["producer"] < self._plan.producers)
        at = np.flatnonzero(ours)
        stamps = stamps[at]
        partitions = self._plan.flows // self._plan.producers
        flows = stamps["producer"].astype(np.int64) * partitions + stamps["partition"]
        return Page(flows, stamps["sequence"].astype(np.int64), [whole[place][0] for place in at.tolist()])


def _greatest(ends: Sequence[Reference]) -> Reference:
    """The greatest of some ends, where None is the end of everything."""
    return None if any(end is None for end in ends) else max(ends, default=None)


logger = logging.getLogger(__name__)


class Audit:
    """Finds out what became of what is missing.

    Args:
        plan: the run.
        ledger: knows what is missing.
        inspector: looks at the system; None when nothing can be looked at.

    Attributes:
        incomplete: why not everything could be looked at; None when it could.
    """

    def __init__(self, plan: Plan, ledger: Ledger, inspector: Inspector | None) -> None:
        self._plan, self._ledger = plan, ledger
        self._holdings = None if inspector is None else StreamHoldings(plan, ledger.published, inspector)
        self._looking: asyncio.Task[None] | None = None
        self.incomplete: str | None = None

    def __repr__(self) -> str:
        return f"<Audit of {self._ledger}>"

    def glance(self) -> None:
        """Looks, in a task, where partitions with new gaps begin now; does nothing while the last one has not ended."""
        if self._holdings is None or (self._looking is not None and not self._looking.done()):
            return
        gaps = self._ledger.new_gaps()
        if gaps:
            self._looking = asyncio.create_task(self._note_floors(self._holdings, gaps))

    async def _note_floors(self, holdings: StreamHoldings, gaps: Mapping[int, Spans]) -> None:
        floors: dict[int, int] = {}
        try:
            for place, flows in self._by_place(gaps).items():
                floors |= await holdings.floors(place, {flow: gaps[flow] for flow in flows})
        except OmbdriverError as error:
            self.incomplete = str(error)
        self._ledger.note_floors(floors)

    async def settled(self) -> None:
        """Waits until the look under way, if there is one, has ended."""
        if self._looking is not None:
            await self._looking

    async def conclude(self, timeout_s: float) -> Findings:
        """Looks for everything that is missing, for so long; call it when nothing is waited for any longer."""
        missing = {name: self._ledger.missing(name) for name in self._ledger.received}
        if self._holdings is None:
            return Findings(waiting=self._not_overtaken(missing))
        flows = {flow for spans_of in missing.values() for flow in spans_of}
        waiting: dict[tuple[str, int], Spans] = {}
        floors: dict[int, int] = {}
        try:
            async with asyncio.timeout(timeout_s):
                await self.settled()  # on expiry it is cancelled with this
                for place, here in self._by_place(flows).items():
                    some = {name: {n: each[n] for n in here if n in each} for name, each in missing.items()}
                    floors |= await self._floors(self._holdings, place, some)
                    waiting |= await self._holdings.waiting(place, some)
                    flows -= set(here)
        except TimeoutError:
            self.incomplete = f"it would have taken longer than {timeout_s:g} s"
        except OmbdriverError as error:
            self.incomplete = str(error)
        if self._plan.plain:
            # The system does not know how far a reader is; but it will not go back.
            ahead = self._not_overtaken(missing)
            waiting = {which: spans & ahead[which] for which, spans in waiting.items() if which in ahead}
        for name, spans_of in missing.items():  # what was not looked at is not told as lost
            waiting |= {(name, flow): spans for flow, spans in spans_of.items() if flow in flows}
        return Findings(waiting, floors)

    async def _floors(
        self, holdings: StreamHoldings, place: Place, missing: Mapping[str, Mapping[int, Spans]]
    ) -> dict[int, int]:
        union: dict[int, Spans] = {}
        for spans_of in missing.values():
            for flow, spans in spans_of.items():
                union[flow] = union.get(flow, Spans()) | spans
        return await holdings.floors(place, union)

    def _not_overtaken(self, missing: Mapping[str, Mapping[int, Spans]]) -> dict[tuple[str, int], Spans]:
        """Without a look: what is missing after the last message that came is taken for waiting."""
        return {
            (name, flow): spans - Spans.of([(0, int(self._ledger.received[name].ends[flow]))])
            for name, spans_of in missing.items()
            for flow, spans in spans_of.items()
        }

    def _by_place(self, flows: Iterable[int]) -> dict[Place, list[int]]:
        places: dict[Place, list[int]] = {}
        for flow in flows:
            places.setdefault(self._plan.flow_target(flow), []).append(flow)
        return places
