"""`disk`: the fsyncs of a server are late or fail, or its files may not grow."""

from collections.abc import Mapping, Sequence

from ombdriver.bench.faults.api import Endangers, Fault, FaultError, FaultServer, FaultSystem, Site, lacks_target
from ombdriver.bench.faults.failover_primary import primary_of
from ombdriver.bench.servers.disk_shape import DiskShape
from ombdriver.bench.servers.equipment import NOTHING, Equipment
from ombdriver.bench.servers.fsync_gate import lacks_fsync_gate
from ombdriver.bench.units import format_duration, nearest, parse_duration, quoted

ERRORS = ("EIO", "ENOSPC", "EDQUOT")
"""What an fsync can fail with."""
DATA_ROLES = ("primary", "replica", "node", "servers")
_KEYS = ("fsyncDelay", "fsyncError", "full")
_EXAMPLE = "{fsyncDelay: 500ms}"


class BreakDisk(Fault):
    """`disk: {fsyncDelay: 500ms}`, `{fsyncError: EIO}` or `{full: true}`, `on` a server; the primary otherwise."""

    OPTIONS = ("on",)
    LASTS = "always"

    def __init__(self, value: object, options: Mapping[str, object]) -> None:
        if not isinstance(value, Mapping):
            raise ValueError(f"{quoted(value)} holds no settings; write it as disk: {_EXAMPLE}")
        if unknown := [str(key) for key in value if key not in _KEYS]:
            near = nearest(unknown[0], _KEYS)
            hint = f"did you mean {near}?" if near else f"known are: {', '.join(_KEYS)}"
            raise ValueError(f"not known: {quoted(unknown[0])}; {hint}")
        if len(value) != 1:
            given = ", ".join(map(str, value)) or "nothing"
            raise ValueError(f"{given} can't be what becomes of a disk; write one of {', '.join(_KEYS)}")
        self._shape = _shape(value)
        self.target = primary_of(options, DATA_ROLES)
        self._shaped: list[FaultServer] = []

    def spec(self) -> Mapping[str, object]:
        """See `Fault.spec`."""
        found: dict[str, object]
        if self._shape.full:
            found = {"full": True}
        elif self._shape.fsync_error:
            found = {"fsyncError": self._shape.fsync_error}
        else:
            found = {"fsyncDelay": format_duration(self._shape.fsync_delay_ns)}
        return {"disk": found} | ({} if str(self.target) == "primary" else {"on": str(self.target)})

    @property
    def equipment(self) -> Equipment:
        """See `Fault.equipment`."""
        return NOTHING if self._shape.full else Equipment(fsync_gate=True)

    def endangers(self, site: Site) -> Endangers:
        """A server that is slow may be taken for one that is down; one that can't write may end."""
        plan = site.servers
        if plan is not None and plan.topology in ("sentinel", "cluster"):
            return "failover"
        return "memory" if self._fails else "nothing"

    @property
    def _fails(self) -> bool:
        return self._shape.full or bool(self._shape.fsync_error)

    def missing(self, site: Site) -> str | None:
        """See `Fault.missing`."""
        assert self.target is not None
        if lack := lacks_target(self.target, site):
            return lack
        assert site.servers is not None
        config = {name.lower(): value for name, value in site.servers.config.items()}
        if config.get("appendonly", "no") != "yes" and config.get("save", "") in ("", '""'):
            return "servers of this setup write nothing to a disk; write config: {appendonly: yes} in it"
        return lacks_disk(self)

    async def inject(self, system: FaultSystem) -> Sequence[str]:
        """See `Fault.inject`."""
        assert self.target is not None
        for server in await system.servers(self.target):
            self._shaped.append(server)
            await server.shape_disk(self._shape)
        return [server.name for server in self._shaped]

    async def heal(self) -> None:
        """Files are written as before; a server that has ended for it is started again."""
        shaped, self._shaped = self._shaped, []
        errors = []
        for server in shaped:
            try:
                await server.shape_disk(DiskShape())
                if self._shape.fsync_error:
                    await _restart_if_stuck(server)
            except FaultError as error:
                errors.append(str(error))
        if errors:
            raise FaultError("; ".join(errors))


async def _restart_if_stuck(server: FaultServer) -> None:
    """Starts a server again that refuses since an fsync has failed: it would for ever.

    With `appendfsync everysec` it fsyncs only what is new, and takes nothing new before an fsync has succeeded.
    """
    if "aof_last_write_status:err" in str(await server.command("INFO", "persistence")):
        await server.crash()
        await server.start_again()


def lacks_disk(fault: Fault) -> str | None:
    """Why this machine can't have fsyncs carried out as `fault` needs it, with the way out; None where it can."""
    why = lacks_fsync_gate() if fault.equipment.fsync_gate else None
    if why is None:
        return None
    return (
        f"the server's fsyncs would be carried out by another process, and {why}; leave this fault out, or use a Linux"
        " of 5.5 or later outside of a sandbox that forbids it"
    )


def _shape(value: Mapping[object, object]) -> DiskShape:
    ((name, given),) = value.items()
    if name == "full":
        if given is not True:
            raise ValueError(f"full: {quoted(given)} means nothing; write full: true")
        return DiskShape(full=True)
    if name == "fsyncError":
        if given not in ERRORS:
            raise ValueError(f"fsyncError: {quoted(given)} is none; write one of {', '.join(ERRORS)}")
        return DiskShape(fsync_error=str(given))
    try:
        return DiskShape(fsync_delay_ns=parse_duration(given))
    except ValueError as error:
        raise ValueError(f"fsyncDelay: {error}") from None
