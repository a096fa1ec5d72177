"""`kill`: a server ends by SIGKILL, as in a crash, and comes back later, with its data or without; or who uses it.

A worker process, or a single consumer in it, ends without a word to the server, and comes back to what is pending.
"""

import asyncio
from collections.abc import Mapping, Sequence

from ombdriver.bench.faults.api import (
    Endangers,
    Fault,
    FaultConsumer,
    FaultError,
    FaultServer,
    FaultSystem,
    FaultWorker,
    Site,
    lacks_target,
)
from ombdriver.bench.faults.target import Target
from ombdriver.bench.units import format_duration, parse_duration, quoted

_DATA = ("kept", "lost")


class KillTarget(Fault):
    """`kill: primary, restartAfter: 2s, data: lost`. Without `restartAfter` it stays down until the window ends.

    What a server finds again when it starts is what its configuration had it write to its disk; with `data: lost`
    nothing. `kill: producers` or `consumers of group-1` ends worker processes, `kill: consumer 1 of group-1` a consumer
    alone.
    """

    OPTIONS = ("restartAfter", "data")

    def __init__(self, value: object, options: Mapping[str, object]) -> None:
        self.target = Target.parse(value)
        if "restartAfter" in options:
            try:
                self.heals_after_ns = parse_duration(options["restartAfter"])
            except ValueError as error:
                raise ValueError(f"restartAfter: {error}") from None
        self._data = options.get("data", "kept")
        if self._data not in _DATA:
            raise ValueError(f"data: {quoted(self._data)} is not known; write kept or lost")
        if not self.target.is_server and "data" in options:
            raise ValueError(f"data: {self.target} has none; remove it")
        self._down: list[FaultServer | FaultConsumer | FaultWorker] = []

    def spec(self) -> Mapping[str, object]:
        """See `Fault.spec`."""
        found: dict[str, object] = {"kill": str(self.target)}
        if self.heals_after_ns is not None:
            found["restartAfter"] = format_duration(self.heals_after_ns)
        return found | ({"data": self._data} if self._data == "lost" else {})

    def endangers(self, site: Site) -> Endangers:
        """A replica that takes over lacks the last messages; a server that starts again what it had not written."""
        assert self.target is not None
        if not self.target.is_server:
            return "unknown" if site.at_most_once and self.target.role != "producers" else "nothing"
        if site.servers is None or self.target.role == "sentinel":
            return "nothing"
        if self._data == "lost" or self.target.role == "servers":
            return "memory"
        takes_over = site.servers.topology in ("sentinel", "cluster") and site.servers.replica_count
        return "failover" if takes_over else "memory"

    def missing(self, site: Site) -> str | None:
        """See `Fault.missing`."""
        assert self.target is not None
        if self.target.is_client and not site.can_kill_workers:
            return (
                "only worker processes of this machine can be killed, with groups of the driver redis-streams (read:"
                f" group, pipelining: channel); use such a setup, or write pause: {self.target}"
            )
        return None if self.target.is_client else lacks_target(self.target, site)

    async def inject(self, system: FaultSystem) -> Sequence[str]:
        """See `Fault.inject`."""
        assert self.target is not None
        if self.target.is_consumer:
            self._down = [*system.consumers(self.target)]
        elif self.target.is_client:
            self._down = [*system.workers(self.target)]
        else:
            self._down = [*await system.servers(self.target)]
        await asyncio.gather(*(each.crash() for each in self._down))
        return [each.name for each in self._down]

    async def heal(self) -> None:
        """Starts it again."""
        down, self._down = self._down, []
        started = [each.start_again(lose_data=self._data == "lost") for each in down]
        found = await asyncio.gather(*started, return_exceptions=True)
        self.data_lost = any(each is False for each in found)
        if failed := [str(each) for each in found if isinstance(each, BaseException)]:
            raise FaultError("; ".join(failed))
