"""The seam between a run and its faults: what a fault is told, whom it may ask for, and how more are registered.

A fault is one class: it reads its part of a workload file, says what it needs, injects itself, and heals what it did.
It knows no plan, figure or verdict. What it acts on is behind `FaultSystem`, which a run makes of its servers and
workers; a driver of another system brings its own servers to the same interface.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, ClassVar, Literal, Protocol

from ombdriver.bench.faults.target import Target
from ombdriver.bench.servers.disk_shape import DiskShape
from ombdriver.bench.servers.equipment import NOTHING, Equipment
from ombdriver.bench.servers.link_shape import LinkShape
from ombdriver.bench.servers.topology import ServerPlan

ENTRY_POINT_GROUP = "ombdriver.faults"
"""Third parties register a `Fault` under this entry-point group; its name is the key in a workload's `faults`."""

SHIPPED: Mapping[str, str] = {
    "kill": "kill_target:KillTarget",
    "pause": "pause_process:PauseProcess",
    "failover": "failover_primary:FailoverPrimary",
    "clientPause": "pause_clients:PauseClients",
    "maxmemory": "limit_memory:LimitMemory",
    "bgsave": "save_snapshot:SaveSnapshot",
    "bgrewriteaof": "rewrite_aof:RewriteAof",
    "link": "shape_link:ShapeLink",
    "disk": "break_disk:BreakDisk",
    "powerLoss": "lose_power:LosePower",
    "clock": "step_clock:StepClock",
    "migrateSlots": "migrate_slots:MigrateSlots",
    "hook": "run_hook:RunHook",
}
"""The faults that come with this package, by their key: module and class."""

Endangers = Literal["nothing", "memory", "failover", "unknown"]
"""What a fault can make a system forget: nothing; what a server has in memory only; what a replica that takes over has
not got yet; or nobody can say."""


# -- what a fault acts on ----------------------------------------------------------------------------------------------


class FaultServer(Protocol):
    """One server process of a run."""

    @property
    def name(self) -> str:
        """As in results: `primary-1`."""
        ...

    async def crash(self) -> None:
        """Ends it by SIGKILL; it stays down until `start_again`."""
        ...

    async def start_again(self, *, lose_data: bool = False) -> bool:
        """Starts it where it was, and returns when it answers; whether it found data of before on its disk.

        Args:
            lose_data: its files are removed first.
        """
        ...

    def pause(self) -> None:
        """Stops it by SIGSTOP: it hangs, and its connections stay."""
        ...

    def resume(self) -> None:
        """Lets it go on."""
        ...

    async def lose_power(self) -> int:
        """As `crash`; and what it has written and no fsync had covered is gone from its disk: so many bytes.

        Raises:
            FaultError: if that can't be told from the rest.
        """
        ...

    async def shape_disk(self, shape: DiskShape) -> None:
        """Does that to what it writes from now on; one without anything lets it write as it does.

        A server that ends for what it can't write is started again then.

        Raises:
            FaultError: if it can't be done.
        """
        ...

    async def set_clock(self, offset_ns: int) -> None:
        """Sets how far its clock is from this machine's, and returns when it tells the time by that.

        Raises:
            FaultError: if it can't be set, or the server does not tell another time.
        """
        ...

    async def command(self, *words: str) -> Any:
        """The reply to one command, as text, whole numbers and lists.

        Raises:
            FaultError: if it is refused, or not answered in time.
        """
        ...


class FaultWorker(Protocol):
    """One worker process of a run."""

    @property
    def name(self) -> str:
        """As in results: `worker 1 (consume)`."""
        ...

    def pause(self) -> None:
        """Stops it by SIGSTOP; it goes on by itself when the run is gone."""
        ...

    def resume(self) -> None:
        """Lets it go on."""
        ...

    async def crash(self) -> None:
        """Ends it by SIGKILL, with all of its producers and consumers; it stays down until `start_again`.

        Raises:
            FaultError: if it does not end.
        """
        ...

    async def start_again(self, *, lose_data: bool = False) -> bool:
        """Starts it anew: it sends what has become due meanwhile, and reads what is pending for it.

        As `FaultServer.start_again`, always True.
        """
        ...


class FaultConsumer(Protocol):
    """One consumer of a group, with its connections, in a worker process that it shares with others."""

    @property
    def name(self) -> str:
        """As in results: `consumer 1 of group-1`."""
        ...

    async def crash(self) -> None:
        """Ends it as a crash would: what it was given and has not acknowledged stays pending."""
        ...

    async def start_again(self, *, lose_data: bool = False) -> bool:
        """Starts it under its name, and with what is pending for it; as `FaultServer.start_again`, always True."""
        ...


class FaultLink(Protocol):
    """What lies between two sides, as long as a run has faults of links."""

    @property
    def name(self) -> str:
        """As in results: `clients - primary-1`."""
        ...

    async def shape(self, shape: LinkShape) -> None:
        """Shapes what goes through from now on; one without anything lets it go as it is.

        Raises:
            FaultError: if it can't be.
        """
        ...


class FaultSystem(Protocol):
    """The processes of a run by their roles."""

    async def servers(self, target: Target) -> Sequence[FaultServer]:
        """Those that have the role now.

        Raises:
            FaultError: if nobody has it.
        """
        ...

    async def fail_over(self, target: Target) -> Sequence[str]:
        """Has a replica take over from a primary in order; returns the names of both.

        Raises:
            FaultError: if nobody can, the servers refuse, or nobody takes over in time.
        """
        ...

    async def migrate_slots(self, source: Target, to: Target | None, *, at_once: bool) -> Sequence[str]:
        """Moves slots of the run's partitions from one primary to another; returns the names of both.

        Args:
            source: who has them; of `primary of PARTITION` that partition's slot alone.
            to: who gets them; None for the next primary.
            at_once: in one step, and not key by key.

        Raises:
            FaultError: if there are none, or the servers refuse.
        """
        ...

    def workers(self, target: Target) -> Sequence[FaultWorker]:
        """The worker processes that do what the target says."""
        ...

    def consumers(self, target: Target) -> Sequence[FaultConsumer]:
        """The single consumer of that number and group."""
        ...

    async def links(self, client: Target, server: Target) -> Sequence[FaultLink]:
        """What lies between who calls and who is called: clients and servers, or servers, whichever of them calls.

        Raises:
            FaultError: if the run has no such link.
        """
        ...


class FaultError(Exception):
    """A fault could not be injected, or not be healed; the message says why."""


@dataclass(frozen=True, slots=True)
class Site:
    """What there is for faults to act on, known before anything starts.

    Attributes:
        servers: those that the run starts; None where it starts none.
        has_server: whether there is any server, the run's own or a user's.
        can_pause_workers: whether this system lets a worker that is stopped go on when the run is gone.
        can_kill_workers: whether the work of a process can be taken up by another one.
        can_kill_consumers: whether a consumer can end by itself, and come back to what is pending for it.
        at_most_once: whether what a consumer was given is gone with it.
        users_server: how a server of the user's is reached: at `one` address, at `several` since it is a cluster or
            behind Sentinels, or by a `unix` socket; empty where there is none.
        on_hosts: whether workers are on other hosts.
    """

    servers: ServerPlan | None = None
    has_server: bool = True
    can_pause_workers: bool = True
    can_kill_workers: bool = True
    can_kill_consumers: bool = True
    at_most_once: bool = False
    users_server: Literal["", "one", "several", "unix"] = ""
    on_hosts: bool = False


# -- a fault -----------------------------------------------------------------------------------------------------------


class Fault(ABC):
    """One fault of a workload; made anew for each time that it is injected.

    Args:
        value: what stands behind its key.
        options: the other keys that it takes, as the file has them.

    Attributes:
        target: whom it hits; None where it is nobody of the run.
        heals_after_ns: how long after the injection it heals by its own rule; None where it does not.
        most_ns: how long it may last; None for any time.
        lasts_ns: how long it is to last once it is injected; None until then, and where the phase's end ends it.
        data_lost: whether a server came back without anything of before.
        data_cut: whether a server has lost something that it had written, and no fsync had covered.

    Raises:
        ValueError: if they are wrong; the message says how they are written.
    """

    OPTIONS: ClassVar[Sequence[str]] = ()
    """The other keys that it takes."""
    LASTS: ClassVar[Literal["never", "always", "maybe"]] = "never"
    """Whether `for` belongs to it."""
    LIMITS_MEMORY: ClassVar[bool] = False
    """Whether servers are full by it while it lasts, so that this is no reason to end the run."""

    target: Target | None = None
    heals_after_ns: int | None = None
    most_ns: int | None = None
    lasts_ns: int | None = None
    data_lost: bool = False
    data_cut: bool = False

    @abstractmethod
    def __init__(self, value: object, options: Mapping[str, object]) -> None: ...

    @abstractmethod
    def spec(self) -> Mapping[str, object]:
        """Value and options as a file has them, by their keys, ready for JSON."""

    @abstractmethod
    def endangers(self, site: Site) -> Endangers:
        """What it can make the system forget."""

    @abstractmethod
    def missing(self, site: Site) -> str | None:
        """What it needs and `site` lacks, with the way out; None for nothing."""

    @abstractmethod
    async def inject(self, system: FaultSystem) -> Sequence[str]:
        """Does it; returns the names of those that were hit.

        Raises:
            FaultError: if it can't be done; what was done of it is for `heal`.
        """

    @property
    def targets(self) -> Sequence[Target]:
        """All whom it names, `target` among them."""
        return () if self.target is None else (self.target,)

    @property
    def heals(self) -> bool:
        """Whether there is anything to undo."""
        return type(self).heal is not Fault.heal

    @property
    def needs_links(self) -> bool:
        """Whether clients are to reach servers by links."""
        return False

    @property
    def equipment(self) -> Equipment:
        """What servers are to be started with."""
        return NOTHING

    async def heal(self) -> None:  # noqa: B027 - most have something to undo, and some have not
        """Undoes it; harmless when it was not injected, or is healed already.

        Raises:
            FaultError: if it can't be undone.
        """


def lacks_target(target: Target, site: Site) -> str | None:
    """Why `site` has nobody of this role, with the way out; None when it has."""
    if target.is_consumer:
        if site.can_kill_consumers:
            return None
        return (
            "only the consumers of groups of the driver redis-streams can end alone (read: group, pipelining: channel);"
            " use such a setup, or write pause: consumers"
        )
    if target.is_client:
        if site.can_pause_workers:
            return None
        return (
            "this system does not let a stopped worker go on when the run is gone; leave this fault out, or use Linux"
        )
    plan = site.servers
    if plan is None and site.on_hosts and not site.users_server:
        return (
            f"a server of a run on several hosts is not broken by it: {target} would be; name producers or consumers,"
            " write hook: COMMAND, or run on one machine"
        )
    if plan is None:
        what = "a server of yours" if site.has_server else "a driver without a server"
        return (
            f"{what} is not broken by a run: {target} would be; write engine in place of url, name producers or"
            " consumers, or write hook: COMMAND"
        )
    primaries, replicas = plan.primary_count, plan.primary_count * plan.replica_count
    there = {
        "primary": primaries,
        "replica": replicas,
        "sentinel": 3 if plan.topology == "sentinel" else 0,
        "node": primaries + replicas,
        "servers": primaries + replicas,
    }[target.role]
    if target.place < there:
        return None
    has = f"has {there} of them" if there else f"has no {target.role}"
    return f"there is no {target}: a setup of topology {plan.topology} {has}; name another, or change the setup"


# -- which faults there are --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FaultTypes:
    """All faults that are installed.

    Attributes:
        names: their keys, those of this package first.
    """

    names: Sequence[str]
    _others: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def installed(cls) -> "FaultTypes":
        """Those of this package, and those that others have registered."""
        others = {each.name: each for each in entry_points(group=ENTRY_POINT_GROUP) if each.name not in SHIPPED}
        return cls((*SHIPPED, *sorted(others)), others)

    def load(self, name: str) -> type[Fault]:
        """The class of one of `names`."""
        if name in self._others:
            found: type[Fault] = self._others[name].load()
            return found
        module, _, attribute = SHIPPED[name].partition(":")
        shipped: type[Fault] = getattr(import_module(f"ombdriver.bench.faults.{module}"), attribute)
        return shipped
