"""`pause`: a server, or worker processes of the run, stop by SIGSTOP and go on later; their connections stay."""

from collections.abc import Mapping, Sequence

from ombdriver.bench.faults.api import (
    Endangers,
    Fault,
    FaultServer,
    FaultSystem,
    FaultWorker,
    Site,
    lacks_target,
)
from ombdriver.bench.faults.target import Target
from ombdriver.bench.units import SECOND

MOST_WORKERS_NS = 20 * SECOND
"""A worker that does not report for longer ends the run."""


class PauseProcess(Fault):
    """`pause: replica 1`, or `pause: consumers of group-1`."""

    LASTS = "always"

    def __init__(self, value: object, options: Mapping[str, object]) -> None:
        self.target = Target.parse(value)
        if self.target.is_consumer:
            raise ValueError(
                f"{self.target} shares its process; write pause: consumers of {self.target.group}, or"
                f" kill: {self.target}"
            )
        if self.target.is_client:
            self.most_ns = MOST_WORKERS_NS
        self._stopped: list[FaultServer | FaultWorker] = []

    def spec(self) -> Mapping[str, object]:
        """See `Fault.spec`."""
        return {"pause": str(self.target)}

    def endangers(self, site: Site) -> Endangers:
        """Only where others take a server that hangs for one that is down."""
        assert self.target is not None
        if site.servers is None or self.target.is_client or self.target.role == "sentinel":
            return "nothing"
        return "failover" if site.servers.topology in ("sentinel", "cluster") else "nothing"

    def missing(self, site: Site) -> str | None:
        """See `Fault.missing`."""
        assert self.target is not None
        return lacks_target(self.target, site)

    async def inject(self, system: FaultSystem) -> Sequence[str]:
        """See `Fault.inject`."""
        assert self.target is not None
        found = system.workers(self.target) if self.target.is_client else await system.servers(self.target)
        for each in found:
            self._stopped.append(each)
            each.pause()
        return [each.name for each in found]

    async def heal(self) -> None:
        """Lets them go on."""
        stopped, self._stopped = self._stopped, []
        for each in stopped:
            each.resume()
