"""`migrateSlots`: slots of a cluster move to another primary under load, with the partitions that lie in them."""

from collections.abc import Mapping, Sequence

from ombdriver.bench.faults.api import Endangers, Fault, FaultSystem, Site, lacks_target
from ombdriver.bench.faults.target import Target
from ombdriver.bench.units import quoted


class MigrateSlots(Fault):
    """`migrateSlots: primary of 0, to: primary 2, atomic: true`.

    Of `primary of PARTITION` that partition's slot moves, of another primary the slots of all partitions that it has.
    To the next primary where `to` is not given. CLUSTER SETSLOT and MIGRATE, key by key; with `atomic` CLUSTER
    MIGRATESLOTS, which Valkey has from 9 on.
    """

    OPTIONS = ("to", "atomic")

    def __init__(self, value: object, options: Mapping[str, object]) -> None:
        self.target = _primary(value, "migrateSlots")
        self._to = _primary(options["to"], "to") if "to" in options else None
        if self._to == self.target:
            raise ValueError(f"to: {self._to} has them already; name another primary")
        self._atomic = options.get("atomic", False)
        if not isinstance(self._atomic, bool):
            raise ValueError(f"atomic: {quoted(self._atomic)} is neither true nor false; write one of them")

    def spec(self) -> Mapping[str, object]:
        """See `Fault.spec`."""
        found: dict[str, object] = {"migrateSlots": str(self.target)}
        if self._to is not None:
            found["to"] = str(self._to)
        return found | ({"atomic": True} if self._atomic else {})

    def endangers(self, site: Site) -> Endangers:
        """A key is on one of the two at any time."""
        return "nothing"

    def missing(self, site: Site) -> str | None:
        """See `Fault.missing`."""
        assert self.target is not None
        for target in (self.target, self._to):
            if target is not None and (lack := lacks_target(target, site)):
                return lack
        if site.servers is not None and site.servers.topology != "cluster":
            return f"a setup of topology {site.servers.topology} has no slots; use topology: cluster"
        return None

    async def inject(self, system: FaultSystem) -> Sequence[str]:
        """See `Fault.inject`."""
        assert self.target is not None
        return await system.migrate_slots(self.target, self._to, at_once=bool(self._atomic))


def _primary(value: object, key: str) -> Target:
    try:
        target = Target.parse(value)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    if target.role != "primary":
        raise ValueError(f"{key}: {target} has no slots; write primary 1, or primary of 0 for those of a partition")
    return target
