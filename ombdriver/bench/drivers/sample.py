"""A sample of a server, as a driver gives it to the telemetry: plain numbers under the harness's names.

Pure. Knows no protocol and no result. What a driver can't tell is left out, and noted in `unseen`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

GAUGES = (
    *("usedMemoryBytes", "memoryRssBytes", "clients", "blockedClients", "keys"),
    *("saving", "rewriting", "lastForkMicros", "replicas", "replicationOffset"),
)
"""Figures that are stored as they were at the sample. `saving` and `rewriting` are 1 while a forked process writes the
data set or the append-only file, else 0; `lastForkMicros` is how long the last fork held the server up."""

RATES = {
    "cpuUserSeconds": "cpuUser",
    "cpuSystemSeconds": "cpuSystem",
    "childrenCpuSeconds": "cpuChildren",
    "commandsProcessed": "commandsPerSecond",
    "netInputBytes": "netInputBytesPerSecond",
    "netOutputBytes": "netOutputBytesPerSecond",
}
"""Figures that only grow, and the name under which their growth per second is stored."""

COUNTERS = {"evictedKeys": "evictedKeys", "expiredKeys": "expiredKeys", "delayedFsyncs": "delayedFsyncs"}
"""Figures that only grow, and the name under which their growth since the sample before is stored."""

EVENT_FIGURES = ("uptimeSeconds", "forks", "saves", "rewrites")
"""Figures that are used to notice events, and not stored."""

TopicPartition = tuple[str, int]
"""(topic, partition from 0)."""


@dataclass(frozen=True, slots=True)
class GroupSample:
    """A subscription of one stream: `lag` entries not delivered yet (None: unknown), `pending` not acknowledged."""

    lag: int | None
    pending: int


@dataclass(frozen=True, slots=True)
class StreamSample:
    """One stream: its `length` in entries, and its subscriptions by name; None for what could not be seen."""

    length: int | None
    groups: Mapping[str, GroupSample] | None


@dataclass(frozen=True, slots=True)
class CommandSample:
    """One command since the server's start, or since its statistics were reset: `calls`, and `micros` they took."""

    calls: int
    micros: int


@dataclass(frozen=True, slots=True)
class ServerSample:
    """What a server reported at one moment.

    Attributes:
        figures: by the names in `GAUGES`, `RATES`, `COUNTERS` and `EVENT_FIGURES`; any of them may be missing.
        server_id: another one means another start of the server; empty when unknown.
        commands: by name.
        command_latency: percentile (`p50`) -> µs, by command, since the server's start.
        streams: those that were asked for, as far as they could be seen.
        unseen: what the server refused to tell, and why.
        commands_sent: commands that this sample took.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    server_id: str = ""
    commands: Mapping[str, CommandSample] = field(default_factory=dict)
    command_latency: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    streams: Mapping[TopicPartition, StreamSample] = field(default_factory=dict)
    unseen: Sequence[str] = ()
    commands_sent: int = 0


@dataclass(frozen=True, slots=True)
class ServerMemory:
    """The memory of one server at one moment, in bytes.

    Attributes:
        name: which server, as messages call it: `HOST:PORT`.
        used: what counts towards its limit.
        limit: above which it refuses messages; None when there is none, when it evicts keys instead, or when it is a
            replica that takes what its primary has all the same.
        resident: what its process takes of its machine.
        machine: what its machine has; None when it does not say.
        is_replica: whether it has the messages from another server.
        is_elsewhere: whether it is known to be on another machine than this one.
    """

    name: str
    used: int
    limit: int | None = None
    resident: int = 0
    machine: int | None = None
    is_replica: bool = False
    is_elsewhere: bool = False

    @property
    def kind(self) -> str:
        """What it is, as messages call it."""
        return "replica" if self.is_replica else "server"


@dataclass(frozen=True, slots=True)
class TimedSample:
    """A sample, and when it was asked for and answered, on the monotonic clock.

    Its figures are of the time of the answer: a server that stalls reports them when it goes on.
    """

    sample: ServerSample
    asked_ns: int
    answered_ns: int

    @property
    def at_ns(self) -> int:
        """When its figures were taken."""
        return self.answered_ns


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """The server at the last sample; None for what it did not report.

    Attributes:
        cpu: the processor time that it took since the sample before, in cores.
        memory_bytes: what its data take.
        lag: entries not delivered yet, by subscription, over all streams; None when that of a stream is not known.
    """

    cpu: float | None
    memory_bytes: int | None
    lag: Mapping[str, int | None]
