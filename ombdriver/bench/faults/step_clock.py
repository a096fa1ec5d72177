"""`clock`: the time of day of a server jumps, ahead or back."""

import asyncio
from collections.abc import Mapping, Sequence

from ombdriver.bench.faults.api import Endangers, Fault, FaultError, FaultServer, FaultSystem, Site, lacks_target
from ombdriver.bench.faults.break_disk import DATA_ROLES
from ombdriver.bench.faults.failover_primary import primary_of
from ombdriver.bench.servers.equipment import Equipment
from ombdriver.bench.servers.own_clock import lacks_own_clock
from ombdriver.bench.servers.private_server import find_binary
from ombdriver.bench.units import HOUR, MS, format_duration, parse_duration, quoted
from ombdriver.errors import ServerError

_LEAST_NS = 200 * MS
_MOST_NS = 8_760 * HOUR


class StepClock(Fault):
    """`clock: {step: 5s}`, or `{step: -5s}`, `on` a server; the primary otherwise. It jumps back when it is healed."""

    OPTIONS = ("on",)
    LASTS = "maybe"

    def __init__(self, value: object, options: Mapping[str, object]) -> None:
        if not isinstance(value, Mapping) or list(value) != ["step"]:
            raise ValueError(f"{quoted(value)} is no step; write it as clock: {{step: 5s}}, or {{step: -5s}}")
        self._step_ns = _step_ns(value["step"])
        self.target = primary_of(options, DATA_ROLES)
        self._stepped: list[FaultServer] = []

    def spec(self) -> Mapping[str, object]:
        """See `Fault.spec`."""
        sign = "-" if self._step_ns < 0 else ""
        found: dict[str, object] = {"clock": {"step": sign + format_duration(abs(self._step_ns))}}
        return found | ({} if str(self.target) == "primary" else {"on": str(self.target)})

    @property
    def equipment(self) -> Equipment:
        """See `Fault.equipment`."""
        return Equipment(own_clock=True)

    def endangers(self, site: Site) -> Endangers:
        """Nodes of a cluster, and Sentinels, tell by their clocks who is silent."""
        plan = site.servers
        return "failover" if plan is not None and plan.topology in ("sentinel", "cluster") else "nothing"

    def missing(self, site: Site) -> str | None:
        """See `Fault.missing`."""
        assert self.target is not None
        if lack := lacks_target(self.target, site):
            return lack
        assert site.servers is not None
        try:
            return lacks_own_clock(find_binary(site.servers.engine))
        except ServerError:
            return None  # told when it is to be started

    async def inject(self, system: FaultSystem) -> Sequence[str]:
        """See `Fault.inject`."""
        assert self.target is not None
        self._stepped = [*await system.servers(self.target)]
        await asyncio.gather(*(server.set_clock(self._step_ns) for server in self._stepped))
        return [server.name for server in self._stepped]

    async def heal(self) -> None:
        """Its clock is this machine's again."""
        stepped, self._stepped = self._stepped, []
        found = await asyncio.gather(*(server.set_clock(0) for server in stepped), return_exceptions=True)
        if failed := [str(each) for each in found if isinstance(each, BaseException)]:
            raise FaultError("; ".join(failed))


def _step_ns(value: object) -> int:
    back = isinstance(value, str) and value.startswith("-")
    try:
        step_ns = parse_duration(value.removeprefix("-") if isinstance(value, str) else value)
    except ValueError as error:
        raise ValueError(f"step: {error}") from None
    if not _LEAST_NS <= step_ns <= _MOST_NS:
        raise ValueError(
            f"step: {quoted(value)} is too {'short' if step_ns < _LEAST_NS else 'long'}; write 200ms to 8760h"
        )
    return -step_ns if back else step_ns
