"""`link`: what goes between clients and a server, or between servers, is slowed down, cut or lost."""

from collections.abc import Mapping, Sequence

from ombdriver.bench.faults.api import Endangers, Fault, FaultError, FaultLink, FaultSystem, Site, lacks_target
from ombdriver.bench.faults.target import Target
from ombdriver.bench.servers.link_shape import MODES, LinkShape
from ombdriver.bench.units import format_duration, nearest, parse_duration, parse_size, quoted

CLIENTS = Target("clients")
_SLOW = ("latency", "jitter", "bandwidth")
_KEYS = ("between", *_SLOW, *MODES)
_EXAMPLE = "{between: [clients, primary], latency: 20ms}"


class ShapeLink(Fault):
    """`link: {between: [clients, primary], latency: 20ms, jitter: 5ms}`, or with `down: true` and its like.

    Between `clients` and a primary (`primary`, `primary N`, `primary of PARTITION`), or between `primary` and `replica
    N`.
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
        self._client, self.target = _sides(value.get("between"))
        self._shape = _shape(value)
        self._shaped: list[FaultLink] = []

    def spec(self) -> Mapping[str, object]:
        """See `Fault.spec`."""
        found: dict[str, object] = {"between": [str(self._client), str(self.target)]}
        if self._shape.mode:
            return {"link": found | {self._shape.mode: True}}
        for name, ns in (("latency", self._shape.latency_ns), ("jitter", self._shape.jitter_ns)):
            if ns:
                found[name] = format_duration(ns)
        return {"link": found | ({"bandwidth": self._shape.bandwidth} if self._shape.bandwidth else {})}

    @property
    def needs_links(self) -> bool:
        """See `Fault.needs_links`."""
        return True

    def endangers(self, site: Site) -> Endangers:
        """Nobody forgets anything: servers reach each other past the links of clients, so nobody takes over."""
        return "nothing"

    def missing(self, site: Site) -> str | None:
        """See `Fault.missing`."""
        assert self.target is not None
        if lack := lacks_target(self.target, site):
            return lack
        plan = site.servers
        assert plan is not None
        if self.target.role == "replica" and plan.topology != "replicated":
            return (
                f"in a setup of topology {plan.topology} a server tells all others one address, its own, so between two"
                " of them there is no link; use topology: replicated, or pause: replica 1"
            )
        if plan.unix_socket:
            return "clients that use a unix socket have no link; leave unixSocket out of the setup"
        return None

    async def inject(self, system: FaultSystem) -> Sequence[str]:
        """See `Fault.inject`."""
        assert self.target is not None
        for link in await system.links(self._client, self.target):
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


def _sides(value: object) -> tuple[Target, Target]:
    """Who calls, and who is called: clients and a primary, or the primary and a replica, told in any order."""
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"between: {quoted(value)} are no two; write between: [clients, primary]")
    try:
        first, second = sorted((Target.parse(each) for each in value), key=lambda each: each.role)
    except ValueError as error:
        raise ValueError(f"between: {error}") from None
    if first == CLIENTS and second.role == "primary":
        return first, second
    if first == Target("primary") and second.role == "replica":
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
