"""`failover: ordered`: a replica takes over from a primary that is well, as before maintenance."""

from collections.abc import Mapping, Sequence

from ombdriver.bench.faults.api import Endangers, Fault, FaultSystem, Site, lacks_target
from ombdriver.bench.faults.target import Target
from ombdriver.bench.units import quoted


class FailoverPrimary(Fault):
    """`failover: ordered`, of the primary that `on` names; the first one otherwise.

    Behind Sentinels SENTINEL FAILOVER, in a cluster CLUSTER FAILOVER on a replica.
    """

    OPTIONS = ("on",)

    def __init__(self, value: object, options: Mapping[str, object]) -> None:
        if value != "ordered":
            raise ValueError(f"{quoted(value)} is not known; write failover: ordered, or kill: primary for a crash")
        self.target = primary_of(options)

    def spec(self) -> Mapping[str, object]:
        """See `Fault.spec`."""
        assert self.target is not None
        return {"failover": "ordered"} | ({} if str(self.target) == "primary" else {"on": str(self.target)})

    def endangers(self, site: Site) -> Endangers:
        """What the replica has not got; in a cluster the primary waits until it has everything."""
        return "failover"

    def missing(self, site: Site) -> str | None:
        """See `Fault.missing`."""
        assert self.target is not None
        lack = lacks_target(self.target, site)
        plan = site.servers
        if lack or plan is None:
            return lack
        if plan.topology not in ("sentinel", "cluster"):
            return (
                f"in a setup of topology {plan.topology} clients do not follow a failover; use topology: sentinel, or"
                " cluster with replicas: 1"
            )
        return (
            None if plan.replica_count else "there is no replica that could take over; write replicas: 1 in the setup"
        )

    async def inject(self, system: FaultSystem) -> Sequence[str]:
        """See `Fault.inject`."""
        assert self.target is not None
        return await system.fail_over(self.target)


def primary_of(options: Mapping[str, object], roles: Sequence[str] = ("primary",)) -> Target:
    """Whom `on` names; the primary where it is not given.

    Raises:
        ValueError: if it is none of `roles`.
    """
    try:
        target = Target.parse(options.get("on", "primary"))
    except ValueError as error:
        raise ValueError(f"on: {error}") from None
    if target.role not in roles:
        raise ValueError(f"on: {quoted(str(target))} is no {' or '.join(roles)}; write on: {roles[0]} 1")
    return target
