"""Which kind of reader a consumer is made of: plain or of a group, of one connection, of several, or polling."""

from dataclasses import dataclass

from ombdriver.bench.driver import DriverConsumer
from ombdriver.bench.drivers.joined_consumer import JoinedConsumer
from ombdriver.bench.drivers.plain_consumer import PlainConsumer
from ombdriver.bench.drivers.polling_consumer import NodeOf, PollingConsumer
from ombdriver.bench.drivers.stream_acks import Acknowledger, commands_of
from ombdriver.bench.drivers.stream_consumer import StreamConsumer
from ombdriver.bench.drivers.stream_options import StreamOptions
from ombdriver.messaging.connection import Channels

MOST_BLOCKING = 64
"""Connections that one consumer has for blocking reads on a cluster; with more partitions it polls."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a consumer reads with.

    Attributes:
        channels: of the process.
        acknowledger: of the process.
        options: of the driver.
        group: the subscription.
        name: the consumer's.
    """

    channels: Channels
    acknowledger: Acknowledger
    options: StreamOptions
    group: str
    name: str


async def make_consumer(reading: Reading, keys: list[bytes]) -> DriverConsumer:
    """A consumer over the streams `keys`, connected.

    On one server one read covers all of them. On a cluster a read can't cross slots: each partition has a connection,
    up to `MOST_BLOCKING`; past that they are asked in turn, which statistics count as `pollingRounds`.
    """
    channels, options = reading.channels, reading.options
    together = channels.same_node(keys)
    if len(together) > MOST_BLOCKING and not options.plain:
        parts = [_of_group(reading, part, polls=True) for part in together]
        return PollingConsumer(parts, options.block_ms / 1000, reading.acknowledger.statistics)
    for key in keys:
        await channels.control_for(key).ready()
    blocking: list[PlainConsumer | StreamConsumer] = []
    for part in together:
        one = _plain(reading, part) if options.plain else _of_group(reading, part, polls=False)
        await one.ready()
        blocking.append(one)
    return blocking[0] if len(blocking) == 1 else JoinedConsumer(blocking, options.block_ms / 1000)


def _plain(reading: Reading, keys: list[bytes]) -> PlainConsumer:
    options = reading.options
    return PlainConsumer(reading.channels, keys, options.read_count, options.block_ms, from_end=options.from_end)


def _of_group(reading: Reading, keys: list[bytes], *, polls: bool) -> StreamConsumer:
    channels, options = reading.channels, reading.options
    return StreamConsumer(
        channels,
        NodeOf(channels, keys[0]) if polls else channels.blocking(keys[0]),
        reading.acknowledger,
        commands_of(options.ack, reading.group, options.groups),
        keys,
        reading.group,
        reading.name,
        options.read_count,
        None if polls else options.block_ms,
    )
