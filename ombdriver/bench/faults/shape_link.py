"""`link`: what goes between clients and a server, or between servers, is slowed down, cut or lost."""

from collections.abc import Mapping, Sequence

from ombdriver.bench.faults.api import Endangers, Fault, FaultError, FaultLink, FaultSystem, Site, lacks_target
from ombdriver.bench.faults.target import Target
from ombdriver.bench.servers.equipment import NOTHING, Equipment
from ombdriver.bench.servers.link_shape import MODES, LinkShape
from ombdriver.bench.servers.own_address import lacks_own_addresses
from ombdriver.bench.units import format_duration, nearest, parse_duration, parse_size, quoted

CLIENTS = Target("clients")
_CALLED = ("primary", "node", "servers")
"""Whom clients can call."""
_SLOW = ("latency", "jitter", "bandwidth")
_KEYS = ("between", *_SLOW, *MODES)
_EXAMPLE = "{between: [clients, primary], latency: 20ms}"


class ShapeLink(Fault):
    """`link: {between: [clients, primary], latency: 20ms, jitter: 5ms}`, or with `down: true` and its like.

    Between `clients` and `primary`, `node N` or `servers`, or between two of these, replicas and Sentinels.
    """

    LASTS = "always"

    def __init__(self, value: object, options: Mapping[str, object]) -> None:
        if not isinstance(value, Mapping):
            raise ValueError(f"{quoted(value)} holds no settings; write it as link: {_EXAMPLE}")
        if unknown := [str(key) for key in value if key not in _KEYS]:
            near = nearest(unknown[0], _KEYS)
            hint = f"did you mean {near}?" if near else f"known are: {', '.join(_KEYS)}"
            raise ValueError(f"not known: {quoted(unknown[0])}; {hint}")
        self._value = {str(key): each for key, each in value.items()}
        self._first, self.target = _sides(value.get("between"))
        self._shape = _shape(value)
        self._shaped: list[FaultLink] = []

    def spec(self) -> Mapping[str, object]:
        """See `Fault.spec`."""
        found: dict[str, object] = {"between": [str(self._first), str(self.target)]}
        if self._shape.mode:
            return {"link": found | {self._shape.mode: True}}
        for name, ns in (("latency", self._shape.latency_ns), ("jitter", self._shape.jitter_ns)):
            if ns:
                found[name] = format_duration(ns)
        return {"link": found | ({"bandwidth": self._shape.bandwidth} if self._shape.bandwidth else {})}

    @property
    def targets(self) -> Sequence[Target]:
        """See `Fault.targets`."""
        assert self.target is not None
        return self._first, self.target

    @property
    def needs_links(self) -> bool:
        """See `Fault.needs_links`."""
        return True

    @property
    def equipment(self) -> Equipment:
        """See `Fault.equipment`."""
        return NOTHING if self._first == CLIENTS else Equipment(own_address=True)

    def endangers(self, site: Site) -> Endangers:
        """Servers reach each other past the links of clients, so nobody takes over; unless they can't reach others."""
        plan = site.servers
        watched = plan is not None and plan.topology in ("sentinel", "cluster")
        return "failover" if watched and self._first != CLIENTS else "nothing"

    def missing(self, site: Site) -> str | None:
        """See `Fault.missing`."""
        assert self.target is not None
        plan = site.servers
        if plan is None and self._first == CLIENTS and self.target.role == "primary" and site.users_server:
            return _lacks_link_to_yours(site)
        for target in self.targets:
            if target.is_server and (lack := lacks_target(target, site)):
                return lack
        assert plan is not None
        if self._first != CLIENTS:
            if plan.topology == "standalone":
                return "there is one server, and nothing between it and itself; write between: [clients, primary]"
            return lacks_own_addresses()
        if plan.unix_socket:
            return "clients that use a unix socket have no link; leave unixSocket out of the setup"
        return None

    async def inject(self, system: FaultSystem) -> Sequence[str]:
        """See `Fault.inject`."""
        assert self.target is not None
        for link in await system.links(self._first, self.target):
            self._shaped.append(link)
            await link.shape(self._shape)
        return [link.name for link in self._shaped]

    async def heal(self) -> None:
        """What goes through is as it was; what is lost is lost."""
        shaped, self._shaped = self._shaped, []
        errors = []
        for link in shaped:
            try:
                await link.shape(LinkShape())
            except FaultError as error:
                errors.append(str(error))
        if errors:
            raise FaultError("; ".join(errors))


def _lacks_link_to_yours(site: Site) -> str | None:
    """Why clients can't reach a server of the user's by a link, with the way out; None where they can."""
    if site.on_hosts:
        return "workers on other hosts do not come by this machine, where the link is; leave out the hosts, or the link"
    if site.users_server == "several":
        return (
            "servers of a cluster, and Sentinels, send clients on to addresses of their own, past a link to those of"
            " the URL; name one server (redis://HOST:PORT), or write hook: COMMAND"
        )
    if site.users_server == "unix":
        return "clients that use a unix socket have no link; write the address of the server, redis://HOST:PORT"
    return None


def _sides(value: object) -> tuple[Target, Target]:
    """Clients and who is called, or two servers, told in any order."""
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"between: {quoted(value)} are no two; write between: [clients, primary]")
    try:
        first, second = sorted(map(Target.parse, value), key=lambda each: (each != CLIENTS, str(each)))
    except ValueError as error:
        raise ValueError(f"between: {error}") from None
    if first == CLIENTS and second.role in _CALLED:
        return first, second
    if first.is_server and second.is_server and first != second:
        return first, second
    raise ValueError(
        f"between: there is no link between {first} and {second}; write [clients, primary], or [primary, replica 1]"
    )


def _shape(value: Mapping[object, object]) -> LinkShape:
    modes = [mode for mode in MODES if mode in value]
    slow = [name for name in _SLOW if name in value]
    if len(modes) + bool(slow) != 1:
        given = ", ".join([*modes, *slow]) or "nothing"
        raise ValueError(
            f"{given} can't be what becomes of a link; write latency, jitter and bandwidth, or one of"
            f" {', '.join(MODES)}"
        )
    if modes:
        if value[modes[0]] is not True:
            raise ValueError(f"{modes[0]}: {quoted(value[modes[0]])} means nothing; write {modes[0]}: true")
        return LinkShape(modes[0])
    try:
        latency, jitter = (parse_duration(value[name]) if name in value else 0 for name in ("latency", "jitter"))
        bandwidth = parse_size(value["bandwidth"]) if "bandwidth" in value else 0
    except ValueError as error:
        raise ValueError(f"{error} (latency and jitter are times, bandwidth a size, for each second)") from None
    if jitter > latency:
        raise ValueError("jitter: is more than the latency, and nothing comes before it was sent; write less")
    if "bandwidth" in value and bandwidth <= 0:
        raise ValueError("bandwidth: 0 lets nothing through; write down: true, or 1KiB or more")
    if not (latency or bandwidth):
        raise ValueError("latency: 0s changes nothing; write 1ms or more")
    return LinkShape("", latency, jitter, bandwidth)
