"""`clientPause`: a server holds its clients' commands up (CLIENT PAUSE), as it does itself before a failover."""

from collections.abc import Mapping, Sequence

from ombdriver.bench.faults.api import Endangers, Fault, FaultServer, FaultSystem, Site, lacks_target
from ombdriver.bench.faults.failover_primary import primary_of
from ombdriver.bench.units import HOUR, MS, quoted

_MODES = ("write", "all")
_LONGEST_NS = HOUR
"""How long a pause without an end of its own is: it is released by `heal`, and by itself if nobody does."""


class PauseClients(Fault):
    """`clientPause: write` or `all`, `on` a server; the primary otherwise."""

    OPTIONS = ("on",)
    LASTS = "always"

    def __init__(self, value: object, options: Mapping[str, object]) -> None:
        if value not in _MODES:
            raise ValueError(f"{quoted(value)} is not known; write clientPause: write, or all")
        self._mode = str(value)
        self.target = primary_of(options, ("primary", "node", "servers"))
        self._paused: list[FaultServer] = []

    def spec(self) -> Mapping[str, object]:
        """See `Fault.spec`."""
        return {"clientPause": self._mode} | ({} if str(self.target) == "primary" else {"on": str(self.target)})

    def endangers(self, site: Site) -> Endangers:
        """Commands wait, and are carried out after it. With `all` nobody may see the server alive."""
        several = site.servers is not None and site.servers.topology in ("sentinel", "cluster")
        return "failover" if several and self._mode == "all" else "nothing"

    def missing(self, site: Site) -> str | None:
        """See `Fault.missing`."""
        assert self.target is not None
        return lacks_target(self.target, site)

    async def inject(self, system: FaultSystem) -> Sequence[str]:
        """See `Fault.inject`."""
        assert self.target is not None
        for server in await system.servers(self.target):
            self._paused.append(server)
            lasts_ns = _LONGEST_NS if self._mode == "write" or self.lasts_ns is None else self.lasts_ns
            await server.command("CLIENT", "PAUSE", str(lasts_ns // MS), self._mode.upper())
        return [server.name for server in self._paused]

    async def heal(self) -> None:
        """CLIENT UNPAUSE. A pause of `all` holds that up too (Redis 7.0, Valkey 9.1), so it is as long as it is to be.

        Raises:
            FaultError: if the server does not answer, as where a pause of `all` is to end before its time.
        """
        paused, self._paused = self._paused, []
        for server in paused:
            await server.command("CLIENT", "UNPAUSE")
