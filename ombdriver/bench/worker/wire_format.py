"""Orders and reports as bytes, in one form for every launcher, and the greeting by which both sides compare versions.

A frame is one message: what kind it is, and its fields (`serializer`). The first frame of each direction is a greeting,
which every version of this program can read: the program's version, and a number that follows from the types of all
that crosses, so that no change of these is forgotten. Nothing is pickled, so what comes from another host can't run
anything here. Knows no pipe, socket or process. Pure.
"""

import zlib
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ombdriver import __version__
from ombdriver.bench.drivers.api import TopicSpec
from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.worker import protocol
from ombdriver.bench.worker.serializer import (
    Codec,
    Codecs,
    FormatError,
    Reader,
    Writer,
    from_bytes,
    read_int,
    read_unsigned,
    to_bytes,
    write_int,
    write_unsigned,
)
from ombdriver.errors import OmbdriverError

Message = protocol.Job | protocol.Command | protocol.WorkerMessage
"""All that crosses, either way."""

_GREETING = b"ombdriver "
_BUCKET = np.dtype("<u2")
"""Of a histogram's index. As distances from each other buckets take a byte less, and twice as long to write."""


class VersionMismatch(OmbdriverError):  # noqa: N818 - a state
    """The two sides of a link are not of one version; the message has both."""


def _write_histogram(writer: Writer, value: Histogram) -> None:
    """Only the buckets that hold samples, and their counts in as few bytes as they need."""
    write_int(writer, len(value.index))
    if not len(value.index):
        return
    told = (value.count, value.sum_ns, value.min_ns, value.max_ns, value.negative, value.over_range, value.below_ns)
    for number in told:
        write_int(writer, number)
    writer.buffer += value.index.astype(_BUCKET).tobytes()
    write_unsigned(writer, value.counts)


def _read_histogram(reader: Reader) -> Histogram:
    buckets = read_int(reader)
    if not buckets:
        return Histogram.zero()
    numbers = [read_int(reader) for _ in range(7)]
    index = np.frombuffer(reader.take(buckets * _BUCKET.itemsize), _BUCKET)
    counts = read_unsigned(reader)
    if len(counts) != buckets:
        raise FormatError("a message is damaged: a histogram")
    return Histogram.of_buckets(index, counts, *numbers)


_SCHEMA = f"histogram ({', '.join(each.name for each in fields(Histogram))})"
_CODECS = Codecs({Histogram: Codec(_write_histogram, _read_histogram, _SCHEMA)}, numbered={TopicSpec})
_MESSAGE: Codec[Any] = _CODECS.of(Message)


@dataclass(frozen=True, slots=True)
class Version:
    """What two sides must have in common.

    Attributes:
        program: the version of this program.
        form: a number that follows from the types of all that crosses.
    """

    program: str
    form: str

    def __str__(self) -> str:
        return f"ombdriver {self.program} (form {self.form})"


OWN = Version(__version__, f"{zlib.crc32(_MESSAGE.schema.encode()):08x}")


def encode(message: Message) -> bytes:
    """A frame.

    Raises:
        FormatError: if something in it is no plain data.
    """
    return to_bytes(_MESSAGE, message)


def decode(frame: bytes) -> Any:
    """The message of a frame.

    Raises:
        FormatError: if it is none.
    """
    return from_bytes(_MESSAGE, frame)


def greeting() -> bytes:
    """The first frame of a direction."""
    return _GREETING + f"{OWN.program} {OWN.form}".encode()


def check_greeting(frame: bytes) -> None:
    """Looks whether the other side is of our version.

    Raises:
        VersionMismatch: if it is not.
        FormatError: if it is no side of such a link at all.
    """
    program, _, form = frame.removeprefix(_GREETING).decode("ascii", "replace").partition(" ")
    if not frame.startswith(_GREETING) or not form:
        raise FormatError("the other side is no ombdriver; look at what listens there")
    if (theirs := Version(program, form)) != OWN:
        raise VersionMismatch(
            f"is of {theirs}, and what started it of {OWN}; install one version on both sides, and start again"
        )


class Decoder:
    """Reads the frames of one direction: a greeting first, then messages."""

    def __init__(self) -> None:
        self._greeted = False

    def __repr__(self) -> str:
        return f"<Decoder {'greeted' if self._greeted else 'waits for a greeting'}>"

    def decode(self, frame: bytes) -> Any | None:
        """The message of a frame; None for the greeting.

        Raises:
            VersionMismatch: if the other side is of another version.
            FormatError: if the frame is no message.
        """
        if self._greeted:
            return decode(frame)
        check_greeting(frame)
        self._greeted = True
        return None
