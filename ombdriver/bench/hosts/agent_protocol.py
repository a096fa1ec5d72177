"""What crosses between the coordinator of a run and the agent of a host, and its form in bytes. Pure.

Frames follow each other on one connection, each after its length. What workers and `Workers` say to each other
(`worker.protocol`) passes as bytes: an agent reads none of it. Bytes from elsewhere can make nothing but these types.
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ombdriver.bench.hosts.clock_witness import WallReading
from ombdriver.bench.servers.topology import ServerPlan
from ombdriver.bench.telemetry.hosts import HostSample
from ombdriver.bench.worker import wire_format
from ombdriver.bench.worker.serializer import Codec, Codecs, FormatError, from_bytes, to_bytes

LENGTH = struct.Struct("<I")
MOST_BYTES = 1 << 28
"""No frame is longer: a job has its whole workload, payload file and all."""
HELLO_BYTES = 1 << 10
"""Nor is a `Hello`: whoever has not said it yet may be anybody."""
SILENCE_S = 10.0
"""Either side takes the other for gone when it has heard nothing for so long."""


# -- what the coordinator says -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Launch:
    """Start worker number `worker`, and give it `frames`: its greeting and its job."""

    worker: int
    frames: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Forward:
    """Give `frame` to a worker."""

    worker: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Signal:
    """Send a signal to a worker's process."""

    worker: int
    number: int


@dataclass(frozen=True, slots=True)
class Ask:
    """What is the time? Sent at `sent_ns` of the run's clock."""

    sent_ns: int


@dataclass(frozen=True, slots=True)
class StartServers:
    """Start the servers of `plan`, at the address by which the agent is connected; once."""

    plan: ServerPlan


@dataclass(frozen=True, slots=True)
class TellLogs:
    """What have the servers said?"""


@dataclass(frozen=True, slots=True)
class StopServers:
    """End the servers."""


# -- what an agent says ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """The first of an agent: that it is the one that was started for host `host`, by the run's secret."""

    host: int
    token: str


@dataclass(frozen=True, slots=True)
class Started:
    """A worker has been started, with this process id."""

    worker: int
    pid: int


@dataclass(frozen=True, slots=True)
class Said:
    """A worker says `frame`."""

    worker: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Gone:
    """A worker has ended, and nothing of it is left; `fate`: `died with exit code -9`."""

    worker: int
    fate: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an `Ask`: when that arrived, and when this left, by the host's clock."""

    sent_ns: int
    arrived_ns: int
    answered_ns: int


@dataclass(frozen=True, slots=True)
class Sampled:
    """What the host took so far, by its own clock, and what its kernel says of that."""

    sample: HostSample
    wall: WallReading


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """One server that was started: its name in the topology, and where it is on its host."""

    name: str
    port: int
    pid: int


@dataclass(frozen=True, slots=True)
class ServersStarted:
    """The servers run, and are what their plan says.

    Attributes:
        url: what clients connect to; without a password.
        servers: all of them.
        has_limit: whether they were given a limit of memory, by what the host has left.
        files: what is in the files that the URL names, by its options.
    """

    url: str
    servers: tuple[ServerProcess, ...]
    has_limit: bool
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class ServersFailed:
    """The servers could not be started, and nothing of them is left."""

    reason: str


@dataclass(frozen=True, slots=True)
class ServerEnded:
    """A server has ended by itself; `how`: the end of a sentence that begins with its name."""

    name: str
    how: str


@dataclass(frozen=True, slots=True)
class ServerLogs:
    """The ends of what the servers have said, without passwords."""

    text: str


@dataclass(frozen=True, slots=True)
class ServersStopped:
    """The servers have ended, and nothing of them is left."""


FromServers = ServersStarted | ServersFailed | ServerEnded | ServerLogs | ServersStopped
ToAgent = Launch | Forward | Signal | Ask | StartServers | TellLogs | StopServers
Message = ToAgent | Hello | Started | Said | Gone | Answer | Sampled | FromServers

_MESSAGE: Codec[Any] = Codecs({}).of(Message)
OWN = wire_format.Version(
    wire_format.OWN.program, f"{zlib.crc32(f'{wire_format.OWN.form} {_MESSAGE.schema}'.encode()):08x}"
)
"""What a host must have in common with the coordinator: the version, and the form of all that crosses."""


def pack(message: Message) -> bytes:
    """A frame, with its length before it.

    Raises:
        FormatError: if something in it is not of its declared type.
    """
    frame = to_bytes(_MESSAGE, message)
    return LENGTH.pack(len(frame)) + frame


class Unpacker:
    """Makes messages of the bytes of a connection, however these are cut.

    Args:
        on_message: called with each message.
        first_bytes: the first frame is no longer.
    """

    def __init__(self, on_message: Callable[[Any], None], first_bytes: int = MOST_BYTES) -> None:
        self._on_message, self._bytes, self._most_bytes = on_message, bytearray(), first_bytes

    def __repr__(self) -> str:
        return f"<Unpacker, {len(self._bytes)} bytes of a frame>"

    def feed(self, data: bytes) -> None:
        """Takes what came.

        Raises:
            FormatError: if it is no frame.
        """
        self._bytes += data
        at = 0
        while len(self._bytes) >= at + LENGTH.size:
            (length,) = LENGTH.unpack_from(self._bytes, at)
            if length > self._most_bytes:
                raise FormatError(f"a frame of {length:,} bytes; the other side is no ombdriver")
            end = at + LENGTH.size + length
            if len(self._bytes) < end:
                break
            frame = bytes(self._bytes[at + LENGTH.size : end])
            at, self._most_bytes = end, MOST_BYTES
            self._on_message(from_bytes(_MESSAGE, frame))
        del self._bytes[:at]
