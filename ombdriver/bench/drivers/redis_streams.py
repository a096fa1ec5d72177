"""The driver `redis-streams`: topics on Redis or Valkey, each partition a stream of its own, on our messaging library.

Knows the library and the seam, no workload or plan. A process has one connection for all it sends, one for
acknowledgements and small commands, and one for each consumer, since a blocking read holds its connection up; the
parent's has one more to observe the server, so that a look neither waits for messages nor holds them up.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from ombdriver.bench.driver import OnReplies, TopicSpec
from ombdriver.bench.drivers import stream_runs
from ombdriver.bench.drivers.stream_consumer import Acknowledger, StreamConsumer
from ombdriver.bench.drivers.stream_inspector import StreamInspector
from ombdriver.bench.drivers.stream_observer import observe
from ombdriver.bench.drivers.stream_producer import StreamProducer
from ombdriver.bench.drivers.stream_server import address, border, check_version, facts, settings
from ombdriver.bench.look import Look, Stream
from ombdriver.errors import DriverError, InputError, ServerError
from ombdriver.messaging.address import open_client
from ombdriver.messaging.channel import Channel
from ombdriver.messaging.connection import Channels
from ombdriver.messaging.topic import Topic
from ombdriver.secrets import redact_url

OPTIONS: Mapping[str, tuple[type, ...]] = {
    "url": (str,),
    "run_id": (str,),
    "max_entries": (int, type(None)),
    "read_count": (int,),
    "block_ms": (int,),
    "max_in_flight": (int,),
}
"""The options of `open_driver`; only `url` and `run_id` have no default."""
GUARD_S = 10.0
"""A server that owes the reply to a small command for so long is taken for gone."""
DELETE_TIMEOUT_S = 30.0
"""How long deleting everything may take."""
_DEFAULTS: Mapping[str, object] = {"max_entries": None, "read_count": 500, "block_ms": 1000, "max_in_flight": 10_000}


class RedisStreamsDriver:
    """One process's connections to a server (`driver.Driver`); made by `open_driver`.

    Args:
        options: `OPTIONS`, of the right types.

    Attributes:
        server: the URL without its password, for messages.
    """

    def __init__(self, options: Mapping[str, object]) -> None:
        self._options = {**_DEFAULTS, **options}
        self._run_id = str(options["run_id"])
        url = str(options["url"])
        self.server = redact_url(url)
        client = open_client(url, {"decode_responses": False})
        self._channels = Channels(client, owns_client=True, max_in_flight=self._number("max_in_flight"))
        self._statistics: Counter[str] = Counter()
        self._acknowledger = Acknowledger(self._channels.control, self._statistics)
        self._created: list[TopicSpec] = []
        self._renewing: asyncio.Task[None] | None = None
        self._reading: list[Channel] = []
        self._observing: Channel | None = None

    def __repr__(self) -> str:
        return f"<RedisStreamsDriver run {self._run_id}, {self._channels}>"

    def _number(self, option: str) -> int:
        value = self._options[option]
        assert isinstance(value, int)  # checked by `open_driver`
        return value

    async def create_topics(self, topics: Sequence[TopicSpec], subscriptions: Sequence[str]) -> None:
        """See `driver.Driver.create_topics`; every subscription is a group that starts at the beginning."""
        execute = self._channels.control.execute
        keys = stream_runs.stream_keys(topics)
        with border(self.server):
            existing = await asyncio.gather(*(execute("EXISTS", key) for key in keys))
            taken = [key for key, exists in zip(keys, existing, strict=True) if exists]
            if taken:
                raise DriverError(f"{taken[0]} exists already on {self.server}; run again, for another run id")
            await stream_runs.register(self._channels.control, self._run_id, topics)
            self._created.extend(topics)
            self._renewing = asyncio.create_task(stream_runs.keep_renewing(self._channels.control, self._run_id))
            pairs = [(key, group) for key in keys for group in subscriptions]
            await asyncio.gather(*(execute("XGROUP", "CREATE", *pair, "0", "MKSTREAM") for pair in pairs))

    async def create_producer(self, topic: TopicSpec, on_replies: OnReplies) -> StreamProducer:
        """See `driver.Driver.create_producer`."""
        with border(self.server):
            await self._channels.bulk.ready()
        max_entries = self._options["max_entries"]
        assert max_entries is None or isinstance(max_entries, int)
        return StreamProducer(self._channels.bulk, Topic(topic.name, topic.partitions), max_entries, on_replies)

    async def create_consumer(self, topics: Sequence[TopicSpec], subscription: str, name: str) -> StreamConsumer:
        """See `driver.Driver.create_consumer`."""
        channel = self._channels.blocking()
        with border(self.server):
            await channel.ready()
            await self._channels.control.ready()
        self._reading.append(channel)
        keys = stream_runs.stream_keys(topics)
        count, block_ms = self._number("read_count"), self._number("block_ms")
        return StreamConsumer(channel, self._acknowledger, keys, subscription, name, count, block_ms)

    async def backlog(self, topics: Sequence[TopicSpec], subscription: str) -> int | None:
        """See `driver.Driver.backlog`: lag and pending of the group, over all partitions.

        A group that has been given the newest entry has no lag, whatever the server says: redis 7.0 goes on to tell one
        when the stream was cut past the group. Else None on servers before 7.0, and where the lag was lost, as by XDEL.
        """
        execute = partial(self._channels.control.execute, guard_s=GUARD_S)
        keys = stream_runs.stream_keys(topics)
        with border(self.server):
            asked = (execute("XINFO", "STREAM", key) for key in keys)
            streams = await asyncio.gather(*asked, return_exceptions=True)  # a user may lack the permission
            replies = await asyncio.gather(*(execute("XINFO", "GROUPS", key) for key in keys))
        total = 0
        for stream, groups in zip(streams, replies, strict=True):
            known = {} if isinstance(stream, BaseException) else dict(zip(stream[::2], stream[1::2], strict=True))
            newest = known.get(b"last-generated-id")
            for told in (dict(zip(group[::2], group[1::2], strict=True)) for group in groups):
                if told[b"name"].decode() == subscription:
                    lag = 0 if told[b"last-delivered-id"] == newest else told.get(b"lag")
                    if lag is None:
                        return None
                    total += int(told[b"pending"]) + int(lag)
        return total

    def inspector(self) -> StreamInspector:
        """See `driver.Driver.inspector`."""
        return StreamInspector(self._channels.control, self.server)

    async def describe(self) -> Mapping[str, object]:
        """See `driver.Driver.describe`."""
        with border(self.server):
            found = await facts(self._channels.control)
            return {
                **found,
                **await address(str(self._options["url"])),
                "config": await settings(self._channels.control),
            }

    async def observe(self, streams: Sequence[Stream]) -> Look:
        """See `driver.Driver.observe`."""
        with border(self.server):
            if self._observing is None:
                self._observing = self._channels.blocking()  # a channel of its own, that warns of no stall
            return await observe(self._observing, streams)

    async def delete_created(self) -> int:
        """See `driver.Driver.delete_created`."""
        self._stop_renewing()
        if not self._created:
            return 0
        with border(self.server):
            try:
                async with asyncio.timeout(DELETE_TIMEOUT_S):
                    deleted = await stream_runs.delete(self._channels.control, self._run_id, self._created)
            except TimeoutError as error:
                raise ServerError(f"{self.server} has not answered for {DELETE_TIMEOUT_S:g} s") from error
        self._created.clear()
        return deleted

    async def leftovers(self) -> Sequence[stream_runs.Leftover]:
        """Runs that left a record on this server; see `ombdriver clean`."""
        with border(self.server):
            return await stream_runs.leftovers(self._channels.control)

    async def delete_leftover(self, run: stream_runs.Leftover) -> int:
        """Deletes what `run` left; returns how many streams that were."""
        with border(self.server):
            return await stream_runs.delete(self._channels.control, run.run_id, run.topics)

    def statistics(self) -> Mapping[str, int]:
        """See `driver.Driver.statistics`."""
        channels = [self._channels.bulk, self._channels.control, *self._reading]
        reconnects = sum(channel.statistics().reconnects for channel in channels)
        return {**self._statistics, **({"reconnects": reconnects} if reconnects else {})}

    def _stop_renewing(self) -> None:
        if self._renewing:
            self._renewing.cancel()
            self._renewing = None

    async def aclose(self) -> None:
        """See `driver.Driver.aclose`."""
        self._stop_renewing()
        with border(self.server):
            await self._channels.aclose()


async def open_driver(options: Mapping[str, object]) -> RedisStreamsDriver:
    """Connects to a server (`driver.DriverFactory`).

    Raises:
        InputError: if an option is unknown, missing or of the wrong type.
        ServerError: if the server can't be reached, refuses the login, or is too old for streams.
    """
    for name, value in options.items():
        if name not in OPTIONS or not isinstance(value, OPTIONS[name]):
            raise InputError(f"redis-streams has no option {name} of that type; its options are {', '.join(OPTIONS)}")
    if not {"url", "run_id"} <= options.keys():
        raise InputError("redis-streams needs the options url and run_id")
    driver = RedisStreamsDriver(options)
    try:
        with border(driver.server):
            found = await facts(driver._channels.control)
        check_version(driver.server, found)
    except BaseException:
        await driver.aclose()
        raise
    return driver
