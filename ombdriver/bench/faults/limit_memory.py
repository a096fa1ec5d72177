"""`maxmemory`: a server may take no more memory than that, or than it has now (`reached`)."""

from collections.abc import Mapping, Sequence

from ombdriver.bench.faults.api import Endangers, Fault, FaultError, FaultServer, FaultSystem, Site, lacks_target
from ombdriver.bench.faults.failover_primary import primary_of
from ombdriver.bench.units import parse_size, quoted

REACHED = "reached"


class LimitMemory(Fault):
    """`maxmemory: reached` or a size, `on` a server; the primary otherwise. Its policy stays what it is."""

    OPTIONS = ("on",)
    LASTS = "always"
    LIMITS_MEMORY = True

    def __init__(self, value: object, options: Mapping[str, object]) -> None:
        if value != REACHED:
            try:
                size = parse_size(value)
            except ValueError as error:
                raise ValueError(f"{error}; or reached, for what the server has then") from None
            if size <= 0:
                raise ValueError(f"{quoted(value)} is no limit; write 1 or more, or reached")
        self._value: str | int = value if isinstance(value, str | int) else str(value)
        self.target = primary_of(options, ("primary", "node", "servers"))
        self._before: list[tuple[FaultServer, str]] = []

    def spec(self) -> Mapping[str, object]:
        """See `Fault.spec`."""
        return {"maxmemory": self._value} | ({} if str(self.target) == "primary" else {"on": str(self.target)})

    def endangers(self, site: Site) -> Endangers:
        """A server that is full refuses; one that evicts may evict whole streams."""
        policy = str((site.servers.config if site.servers else {}).get("maxmemory-policy", "noeviction"))
        return "nothing" if policy == "noeviction" else "unknown"

    def missing(self, site: Site) -> str | None:
        """See `Fault.missing`."""
        assert self.target is not None
        return lacks_target(self.target, site)

    async def inject(self, system: FaultSystem) -> Sequence[str]:
        """See `Fault.inject`."""
        assert self.target is not None
        for server in await system.servers(self.target):
            before = await server.command("CONFIG", "GET", "maxmemory")
            limit = await _used(server) if self._value == REACHED else parse_size(self._value)
            self._before.append((server, str(before[1])))
            await server.command("CONFIG", "SET", "maxmemory", str(limit))
        return [server.name for server, _ in self._before]

    async def heal(self) -> None:
        """The limit of before."""
        before, self._before = self._before, []
        for server, limit in before:
            await server.command("CONFIG", "SET", "maxmemory", limit)


async def _used(server: FaultServer) -> int:
    info = str(await server.command("INFO", "memory"))
    for line in info.splitlines():
        name, _, value = line.partition(":")
        if name == "used_memory":
            return int(value)
    raise FaultError(f"{server.name} does not tell how much memory it has taken (INFO memory)")
