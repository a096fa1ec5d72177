"""`bgsave`: a server forks and writes a snapshot (BGSAVE), which may stall it and takes memory."""

from collections.abc import Mapping, Sequence

from ombdriver.bench.faults.api import Endangers, Fault, FaultSystem, Site, lacks_target
from ombdriver.bench.faults.target import Target


class SaveSnapshot(Fault):
    """`bgsave: primary`."""

    COMMAND: Sequence[str] = ("BGSAVE",)
    KEY = "bgsave"

    def __init__(self, value: object, options: Mapping[str, object]) -> None:
        self.target = Target.parse(value)
        if not self.target.is_server or self.target.role == "sentinel":
            raise ValueError(f"{self.target} holds no data; write {self.KEY}: primary")

    def spec(self) -> Mapping[str, object]:
        """See `Fault.spec`."""
        return {self.KEY: str(self.target)}

    def endangers(self, site: Site) -> Endangers:
        """A server that writes goes on serving."""
        return "nothing"

    def missing(self, site: Site) -> str | None:
        """See `Fault.missing`."""
        assert self.target is not None
        return lacks_target(self.target, site)

    async def inject(self, system: FaultSystem) -> Sequence[str]:
        """See `Fault.inject`."""
        assert self.target is not None
        servers = await system.servers(self.target)
        for server in servers:
            await server.command(*self.COMMAND)
        return [server.name for server in servers]
