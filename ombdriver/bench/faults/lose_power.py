"""`powerLoss`: the machine of a server loses its power; what no fsync had covered is not on its disk any more."""

import asyncio
from collections.abc import Mapping, Sequence

from ombdriver.bench.faults.api import Endangers, Fault, FaultError, FaultServer, FaultSystem, Site, lacks_target
from ombdriver.bench.faults.break_disk import DATA_ROLES, lacks_disk
from ombdriver.bench.faults.target import Target
from ombdriver.bench.servers.equipment import Equipment
from ombdriver.bench.units import format_duration, parse_duration


class LosePower(Fault):
    """`powerLoss: primary, restartAfter: 2s`. Without `restartAfter` it stays down until the window ends.

    SIGKILL; then each file of the server is cut back to what its last fsync that has ended had covered, when that
    began. What the server has renamed or removed stays so.
    """

    OPTIONS = ("restartAfter",)

    def __init__(self, value: object, options: Mapping[str, object]) -> None:
        self.target = Target.parse(value)
        if self.target.role not in DATA_ROLES:
            raise ValueError(f"{self.target} has nothing on a disk; write powerLoss: primary, or kill: {self.target}")
        if "restartAfter" in options:
            try:
                self.heals_after_ns = parse_duration(options["restartAfter"])
            except ValueError as error:
                raise ValueError(f"restartAfter: {error}") from None
        self._down: list[FaultServer] = []

    def spec(self) -> Mapping[str, object]:
        """See `Fault.spec`."""
        found: dict[str, object] = {"powerLoss": str(self.target)}
        return found | ({} if self.heals_after_ns is None else {"restartAfter": format_duration(self.heals_after_ns)})

    @property
    def equipment(self) -> Equipment:
        """See `Fault.equipment`."""
        return Equipment(fsync_gate=True)

    def endangers(self, site: Site) -> Endangers:
        """What was not on a disk; where a replica takes over, what it lacks."""
        assert self.target is not None
        if site.servers is None or self.target.role == "servers":
            return "memory"
        return "failover" if site.servers.topology in ("sentinel", "cluster") else "memory"

    def missing(self, site: Site) -> str | None:
        """See `Fault.missing`."""
        assert self.target is not None
        return lacks_target(self.target, site) or lacks_disk(self)

    async def inject(self, system: FaultSystem) -> Sequence[str]:
        """See `Fault.inject`."""
        assert self.target is not None
        self._down = [*await system.servers(self.target)]
        self.data_cut = any(await asyncio.gather(*(each.lose_power() for each in self._down)))
        return [each.name for each in self._down]

    async def heal(self) -> None:
        """Starts it again, with what is on its disk."""
        down, self._down = self._down, []
        found = await asyncio.gather(*(each.start_again() for each in down), return_exceptions=True)
        self.data_lost = any(each is False for each in found)
        if failed := [str(each) for each in found if isinstance(each, BaseException)]:
            raise FaultError("; ".join(failed))
