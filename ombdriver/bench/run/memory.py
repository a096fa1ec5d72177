"""Ends a phase in order before a server, or the machine that it runs on, has no memory left.

Trimming is held while a group is far behind, so what is offered in excess fills the server. `MemoryForecast` decides
from looks and knows no clock (pure); `MemoryMonitor` takes the looks, in the parent, and says when it is time.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ombdriver.bench.drivers.sample import ServerMemory
from ombdriver.bench.load.retention import entry_bytes
from ombdriver.bench.plan.plan import Plan, memory_estimate
from ombdriver.bench.run.events import PhaseBegan, RunEvent
from ombdriver.bench.telemetry.machine import Memory
from ombdriver.bench.units import format_size
from ombdriver.errors import OmbdriverError

logger = logging.getLogger(__name__)

RESERVE = 0.05
"""This part of a limit, or of a machine's memory, is to be left."""
MACHINE_RESERVE = 256 << 20
"""A machine is to have that much left at least."""
LOOK_S, CLOSE_LOOK_S = 1.0, 0.2
"""Between two looks; and where the memory might be used up soon."""
SOON_S = 3.0
"""Memory that is used up in less than that, at the rate that was seen or that is asked for, is looked at closely."""


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What is used of some memory at one moment, in bytes.

    Attributes:
        what: whose memory, as the subject of a sentence.
        left: what is left.
        total: what there is in all.
        least: what is to be left at least, besides a part of the total.
    """

    what: str
    left: int
    total: int
    least: int = 0


def memory_uses(servers: Sequence[ServerMemory], machine: Memory | None) -> list[MemoryUse]:
    """What there is to look at.

    Args:
        servers: what each said. One without a limit is seen by its machine, which is this one or, where `machine` is
            None or the server is known to be elsewhere, the one that it tells of: there its own process is all that is
            known.
        machine: this machine, where a server runs on it.
    """
    found = [
        MemoryUse(f"the {each.kind} {each.name} (its maxmemory)", each.limit - each.used, each.limit)
        for each in servers
        if each.limit is not None
    ]
    if machine is not None:
        found.append(MemoryUse("this machine", machine.available, machine.total, MACHINE_RESERVE))
    return found + [
        MemoryUse(
            f"the machine of the {each.kind} {each.name}", each.machine - each.resident, each.machine, MACHINE_RESERVE
        )
        for each in servers
        if (machine is None or each.is_elsewhere) and each.limit is None and each.machine is not None and each.resident
    ]


@dataclass(slots=True)
class _Seen:
    first_s: float
    first_left: int
    last_s: float
    last_left: int
    rate: float = 0.0


class MemoryForecast:
    """Tells from looks when a phase has to end. Pure.

    It has to when no more than a reserve is left, or will be left at the next look. The reserve is 5 %, of a machine
    256 MiB at least; but no more than half of what was left when the phase began: what was full before is not the
    run's doing.
    """

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def __repr__(self) -> str:
        return f"<MemoryForecast of {', '.join(self._seen) or 'nothing'}>"

    def begin(self) -> None:
        """A phase begins: what is left now is what there is for it."""
        self._seen.clear()

    def add(self, now_s: float, uses: Sequence[MemoryUse], asked_rate: float) -> tuple[str | None, float]:
        """Takes a look.

        Args:
            now_s: the time in seconds, on any clock that only grows.
            uses: what was seen.
            asked_rate: bytes per second that the phase asks for.

        Returns why the phase has to end (None: it may go on), and the seconds until the next look.
        """
        wait_s = LOOK_S
        for use in uses:
            seen = self._seen.get(use.what)
            if seen is None:
                seen = self._seen[use.what] = _Seen(now_s, use.left, now_s, use.left)
            elif now_s > seen.last_s:
                seen.rate = (seen.last_left - use.left) / (now_s - seen.last_s)
                seen.last_s, seen.last_left = now_s, use.left
            reserve = min(max(RESERVE * use.total, use.least), seen.first_left / 2)
            spare = use.left - reserve
            close = spare < SOON_S * max(seen.rate, asked_rate)
            until_s = CLOSE_LOOK_S if close else LOOK_S
            if spare <= seen.rate * until_s if seen.rate > 0 else spare <= 0:
                return _sentence(use, seen, now_s), until_s
            wait_s = min(wait_s, until_s)
        return None, wait_s


def _sentence(use: MemoryUse, seen: _Seen, now_s: float) -> str:
    used = max(0, use.total - use.left)
    since_begin = (seen.first_left - use.left) / (now_s - seen.first_s) if now_s > seen.first_s else 0.0
    rate = max(seen.rate, since_begin, 0.0)
    return (
        f"{use.what} had {format_size(used)} of {format_size(use.total)} in use, {used / use.total:.0%}, and that grew"
        f" by {format_size(rate)} a second"
    )


class MemoryMonitor:
    """Looks at the memory of the servers of one run while it sends; a subscriber of its events.

    Args:
        plan: the run.
        ask: tells the memory of each server; None where nobody can.
        machine: tells that of this machine; None where no server runs on it.
        copies: how often a message lies on this machine: replicas have it too.
    """

    def __init__(
        self,
        plan: Plan,
        ask: Callable[[], Awaitable[Sequence[ServerMemory]]] | None,
        machine: Callable[[], Memory | None] | None,
        copies: int = 1,
    ) -> None:
        self._plan, self._ask, self._machine, self._copies = plan, ask, machine, max(1, copies)
        self._forecast = MemoryForecast()
        self._rate = 0.0
        self._task: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[Sequence[ServerMemory]] | None = None
        self._faults = self._changes = self._asked_at = 0
        self._short, self._begun = asyncio.Event(), asyncio.Event()
        self.shortage: str | None = None

    def __repr__(self) -> str:
        return f"<MemoryMonitor {self.shortage or 'no shortage'}>"

    def on_event(self, event: RunEvent) -> None:
        """A phase begins: from now on its looks count, and what was told of the one before is over."""
        if isinstance(event, PhaseBegan):
            self.shortage = None
            self._short.clear()
            self._begun.set()
            self._forecast.begin()
            phase = event.phase
            self._rate = float(phase.rate * entry_bytes(self._plan.payload.size) * self._copies)
            if self._task is None and (self._ask is not None or self._machine is not None):
                self._task = asyncio.create_task(self._run())

    async def wait(self) -> None:
        """Waits until memory is short."""
        await self._short.wait()

    @contextlib.contextmanager
    def limits_of_a_fault(self) -> Iterator[None]:
        """As long as this lasts servers have limits that a fault has given them, and may be full by these."""
        self._faults, self._changes = self._faults + 1, self._changes + 1
        try:
            yield
        finally:
            self._faults, self._changes = self._faults - 1, self._changes + 1

    async def aclose(self) -> None:
        """Ends the looks."""
        tasks = [task for task in (self._task, self._asking) if task is not None]
        self._task = self._asking = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._begun.clear()
            servers: Sequence[ServerMemory] = ()
            try:
                servers = await self._servers()
            except OmbdriverError as error:  # it does not answer, which the telemetry tells
                logger.debug("the memory of the servers can't be asked for: %s", error)
            except Exception:  # a fault of a driver is no reason to lose the run
                logger.warning("a look at the memory failed", exc_info=True)
            wait_s = self._look(servers)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._begun.wait(), wait_s)

    def _look(self, servers: Sequence[ServerMemory]) -> float:
        machine = self._machine() if self._machine is not None else None
        if self._faults:
            servers = [replace(each, limit=None) for each in servers]
        shortage, wait_s = self._forecast.add(time.monotonic(), memory_uses(servers, machine), self._rate)
        if shortage is not None and self.shortage is None:
            estimate = format_size(memory_estimate(self._plan))
            self.shortage = f"{shortage} (planned: {estimate} while groups keep up), so sending ended"
            logger.info("%s", self.shortage)
            self._short.set()
        return wait_s

    async def _servers(self) -> Sequence[ServerMemory]:
        """What the servers say within the time between two looks: one that is busy does not hold up the machine's."""
        if self._ask is None:
            return ()
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ask())
            self._asked_at = self._changes
        await asyncio.wait([self._asking], timeout=CLOSE_LOOK_S)
        if not self._asking.done():
            return ()
        asked, self._asking = self._asking, None
        found = asked.result()
        return found if self._asked_at == self._changes else ()  # else nobody knows whose limits these are
