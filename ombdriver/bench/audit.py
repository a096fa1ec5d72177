"""Accounts for messages that did not arrive, by what the system still holds of them.

Knows the ledger and what looks at partitions; no phase, worker or result. While the run goes on it looks where a
partition begins whenever a gap shows, so that what was cut off is told from what was lost even if the partition is cut
further later. At the end it looks once for everything that is missing.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping

from ombdriver.bench.driver import Inspector
from ombdriver.bench.holdings import Holdings, Place
from ombdriver.bench.ledger import Findings, Ledger
from ombdriver.bench.plan import Plan
from ombdriver.bench.spans import Spans
from ombdriver.errors import OmbdriverError

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
        self._holdings = None if inspector is None else Holdings(plan, ledger.published, inspector)
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

    async def _note_floors(self, holdings: Holdings, gaps: Mapping[int, Spans]) -> None:
        floors: dict[int, int] = {}
        try:
            for place, lanes in self._by_place(gaps).items():
                floors |= await holdings.floors(place, {lane: gaps[lane] for lane in lanes})
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
        lanes = {lane for spans_of in missing.values() for lane in spans_of}
        waiting: dict[tuple[str, int], Spans] = {}
        floors: dict[int, int] = {}
        try:
            async with asyncio.timeout(timeout_s):
                await self.settled()  # on expiry it is cancelled with this
                for place, here in self._by_place(lanes).items():
                    some = {name: {n: each[n] for n in here if n in each} for name, each in missing.items()}
                    floors |= await self._floors(self._holdings, place, some)
                    waiting |= await self._holdings.waiting(place, some)
                    lanes -= set(here)
        except TimeoutError:
            self.incomplete = f"it would have taken longer than {timeout_s:g} s"
        except OmbdriverError as error:
            self.incomplete = str(error)
        if self._plan.plain:
            # The system does not know how far a reader is; but it will not go back.
            ahead = self._not_overtaken(missing)
            waiting = {which: spans & ahead[which] for which, spans in waiting.items() if which in ahead}
        for name, spans_of in missing.items():  # what was not looked at is not told as lost
            waiting |= {(name, lane): spans for lane, spans in spans_of.items() if lane in lanes}
        return Findings(waiting, floors)

    async def _floors(
        self, holdings: Holdings, place: Place, missing: Mapping[str, Mapping[int, Spans]]
    ) -> dict[int, int]:
        union: dict[int, Spans] = {}
        for spans_of in missing.values():
            for lane, spans in spans_of.items():
                union[lane] = union.get(lane, Spans()) | spans
        return await holdings.floors(place, union)

    def _not_overtaken(self, missing: Mapping[str, Mapping[int, Spans]]) -> dict[tuple[str, int], Spans]:
        """Without a look: what is missing after the last message that came is taken for waiting."""
        return {
            (name, lane): spans - Spans.of([(0, int(self._ledger.received[name].ends[lane]))])
            for name, spans_of in missing.items()
            for lane, spans in spans_of.items()
        }

    def _by_place(self, lanes: Iterable[int]) -> dict[Place, list[int]]:
        places: dict[Place, list[int]] = {}
        for lane in lanes:
            places.setdefault(self._plan.lane_end(lane), []).append(lane)
        return places
