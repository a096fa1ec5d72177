"""The driver `redis-streams`: topics on Redis or Valkey, each partition a stream of its own, on our messaging library.

On one server, behind Sentinel, or on a cluster. Knows the library and the seam, no workload or plan. A process has one
connection to each node for all it sends, one for acknowledgements and small commands, and one for each blocking read,
since that holds its connection up; the parent's has more to observe the server, so that a look neither waits for
messages nor holds them up.
"""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from ombdriver.bench.drivers.api import AskTime, DriverConsumer, DriverProducer, OnReplies, TopicSpec
from ombdriver.bench.drivers.redis_streams import diagnosis, runs
from ombdriver.bench.drivers.redis_streams.consumer import AckSender
from ombdriver.bench.drivers.redis_streams.control import Control, may_pass
from ombdriver.bench.drivers.redis_streams.errors import (
    Endpoint,
    is_name_mismatch,
    is_unclear,
    map_errors,
    way_out,
    with_way_out,
)
from ombdriver.bench.drivers.redis_streams.inspector import StreamInspector, backlog, observe
from ombdriver.bench.drivers.redis_streams.memory import ServerMemories
from ombdriver.bench.drivers.redis_streams.options import StreamOptions
from ombdriver.bench.drivers.redis_streams.producer import StreamProducer, TrimBound, WaitingProducer, waits_for
from ombdriver.bench.drivers.redis_streams.readers import ReaderContext, make_consumer
from ombdriver.bench.drivers.redis_streams.runner_consumer import RunnerConsumer
from ombdriver.bench.drivers.redis_streams.runs import Created
from ombdriver.bench.drivers.redis_streams.server import (
    address,
    check_streams,
    facts,
    has_command,
    server_clocks,
    settings,
)
from ombdriver.bench.drivers.redis_streams.topics import StreamTopics
from ombdriver.bench.drivers.sample import ServerMemory, ServerSample, TopicPartition
from ombdriver.errors import DriverError, ServerError
from ombdriver.messaging.errors import (
    AuthenticationError,
    ConnectionLost,
    NoPermissionError,
    NotSentError,
    OutcomeUnknownError,
    RedisError,
)
from ombdriver.messaging.streams.trimmer import AcknowledgedTrimmer
from ombdriver.messaging.transport.factory import open_client
from ombdriver.messaging.transport.retry import Backoff
from ombdriver.messaging.transport.router import Router, open_router
from ombdriver.messaging.transport.topology import slot_of
from ombdriver.secrets import redact_url

RECONNECT = Backoff(cap_s=0.25)
"""Close together: how long a server is away is to be measured, not how long we wait between attempts."""
REPLY_DEADLINE_S = 30.0
"""A server that stands still for less is measured, as a latency; after that its connections are given up."""
DEAD_AFTER_S = 10.0
"""Seconds after its BLOCK from which on a consumer that has asked for nothing no longer holds trimming at a bound."""
DELETE_TIMEOUT_S = 30.0
"""How long deleting everything may take."""


class RedisStreamsDriver:
    """One process's connections to a server or a cluster (`api.Driver`); made by `open_driver`.

    Args:
        options: what it is to do.

    Attributes:
        server: how messages name the server.
    """

    def __init__(self, options: StreamOptions) -> None:
        self._options = options
        self.server = Endpoint(redact_url(options.url), options.address_from, options.login_from)
        self._router = self._open()
        self._sending: list[Router] = [self._router]
        self._producers = 0
        self._statistics: Counter[str] = Counter()
        self._control = Control(self._router, self._statistics)
        self._acknowledger = AckSender(self._router, self._statistics)
        self._topics = StreamTopics(self._router, options.balanced, options.run_id)
        self._created = Created()
        self._is_registered = False  # for certain; a run may be told to end while its record is written
        self._renewing: asyncio.Task[None] | None = None
        self._trimmer: AcknowledgedTrimmer | None = None
        self._observing: Router | None = None
        self._memories = ServerMemories(options.url, self._open)
        self._consumers: set[tuple[str, str]] = set()
        self._runners: list[RunnerConsumer] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} run {self._options.run_id}, {self._router}>"

    def _open(self, url: str | None = None) -> Router:
        options = self._options.client_options if url is None else {}
        client = open_client(url or self._options.url, {"decode_responses": False, **options})
        limit = self._options.max_in_flight
        return open_router(
            client, owns_client=True, max_in_flight=limit, backoff=RECONNECT, deadline_s=REPLY_DEADLINE_S
        )

    async def create_topics(self, topics: Sequence[TopicSpec], subscriptions: Sequence[str]) -> None:
        """See `api.Driver.create_topics`; every subscription is a group, on new topics from the beginning."""
        run_id, control = self._options.run_id, self._control
        groups = () if self._options.plain else [self._topics.group(topics[0], name) for name in subscriptions]
        start = ("$" if self._options.from_end else "0",) if topics[0].existing else ("0", "MKSTREAM")
        with map_errors(self.server):
            place = self._place_existing if topics[0].existing else self._place_new
            keys = await place(topics, groups)
            self._note_spread(keys)
            self._renewing = asyncio.create_task(runs.keep_renewing(control, run_id, self._statistics))
            made = ((key, ("XGROUP", "CREATE", key, group, *start)) for key in keys for group in groups)
            await asyncio.gather(*(control.ask(key, *words, idempotent=False) for key, words in made))
        if self._options.keep_unacknowledged and not topics[0].existing:
            self._trimmer = self._trimmer_of(keys)
            await self._trimmer.__aenter__()

    def _note_spread(self, keys: Sequence[bytes]) -> None:
        """Counts how many of the streams a primary of the cluster has at most."""
        slots = self._router.slots
        if slots is not None:
            held = Counter(slots.node_of(slot_of(key)) for key in keys)
            most = max(held.values(), default=0)
            self._statistics.update(primaries=len(slots.primaries), streams=len(keys), mostOfAPrimary=most)

    async def _place_new(self, topics: Sequence[TopicSpec], _groups: Sequence[str]) -> list[bytes]:
        """The keys of topics, which are written down before anything of them is there."""
        run_id, control, balanced = self._options.run_id, self._control, self._options.balanced
        before = self._created
        await self._register(Created(tuple(topics)))  # of which nothing is there yet but the record
        keys = await self._place(topics)
        made = Created(tuple(topics), tuple(keys), placed=balanced)
        if balanced:
            await self._register(made)
        if await control.count_of("EXISTS", keys):
            await runs.forget(control, run_id, topics)
            self._created = before
            found = [key.decode() for key in keys if await control.count_of("EXISTS", [key])]
            raise DriverError(f"{found[0]} exists already on {self.server}; run again, for another run id")
        self._created = made
        return keys

    async def _place_existing(self, topics: Sequence[TopicSpec], groups: Sequence[str]) -> list[bytes]:
        """The keys of topics of others; the groups that are to come are written down."""
        keys = await self._place(topics)
        await self._check_existing(keys)
        if groups:
            await self._register(Created(joined=tuple(keys), groups=tuple(groups)))
        return keys

    async def _register(self, made: Created) -> None:
        """Writes down what is to be created; where the server refuses that, there is no more to delete than before."""
        before, self._created = self._created, made
        try:
            await runs.register(self._control, self._options.run_id, made)
        except RedisError as error:
            if not isinstance(error, OutcomeUnknownError):
                self._created = before
                with contextlib.suppress(RedisError):  # the mark of life expires by itself
                    await runs.hand_back(self._control, self._options.run_id)
            raise
        self._is_registered = True

    async def _place(self, topics: Sequence[TopicSpec]) -> list[bytes]:
        """The keys of all partitions of `topics`. Where they lie is recorded once, however often it is asked for."""
        return await self._control.outlast(lambda: self._topics.place(topics))

    async def _check_existing(self, keys: Sequence[bytes]) -> None:
        kinds = await asyncio.gather(*(self._control.ask(key, "TYPE", key) for key in keys))
        for key, kind in zip(keys, kinds, strict=True):
            if kind != b"stream":
                what = "nothing" if kind == b"none" else f"a {kind.decode()}"
                raise DriverError(
                    f"{key.decode()} on {self.server} is {what}, and no stream; correct existingTopicList, or create it"
                )

    def _trimmer_of(self, keys: Sequence[bytes]) -> AcknowledgedTrimmer:
        options, router = self._options, self._router
        age_s = None if options.bound_age_ms is None else options.bound_age_ms / 1000
        return AcknowledgedTrimmer(
            lambda: router,
            keys,
            maxlen=options.bound_entries,
            max_age_s=age_s,
            approximate=not options.exact_trim,
            dead_after_s=options.block_ms / 1000 + DEAD_AFTER_S,
        )

    async def create_producer(self, topic: TopicSpec, on_replies: OnReplies) -> DriverProducer:
        """See `api.Driver.create_producer`."""
        options = self._options
        cut = TrimBound(options.max_entries, options.max_age_ms, options.exact_trim)
        with map_errors(self.server):
            placed = await self._control.outlast(lambda: self._topics.topic(topic))
            router = self._next_router()
            await self._control.outlast(lambda: _connect(router, [key.encode() for key in placed.keys]))
        if options.waits:
            waits = waits_for(options.wait_replicas, options.wait_aof, options.wait_timeout_ms)
            return WaitingProducer(router, placed, cut, on_replies, waits, self._statistics)
        return StreamProducer(router, placed, cut, on_replies)

    def _next_router(self) -> Router:
        """For sending. Dealt out in turn; but what waits for replicas or disks shares with nobody, since it holds up
        what is behind it.
        """
        number, self._producers = self._producers, self._producers + 1
        at = number if self._options.waits else number % self._options.connections
        if at == len(self._sending):
            self._sending.append(self._open())
        return self._sending[at]

    async def create_consumer(
        self, topics: Sequence[TopicSpec], subscription: str, name: str, partitions: Sequence[int] | None = None
    ) -> DriverConsumer:
        """See `api.Driver.create_consumer`."""
        with map_errors(self.server):
            await self._place(topics)
            placed = [await self._topics.topic(topic) for topic in topics]
            keys = [key for topic in placed for key in map(topic.key, partitions or range(topic.partitions))]
            await self._control.outlast(self._router.discover)
            group = self._topics.group(topics[0], subscription)
            if self._options.runner_concurrency:
                self._runners.append(RunnerConsumer(self._options, self.server, placed, group, name))
                return self._runners[-1]
            returns = self._options.returns or (group, name) in self._consumers
            self._consumers.add((group, name))
            context = ReaderContext(self._control, self._acknowledger, self._options, self.server, group, name, returns)
            return await make_consumer(context, [key.encode() for key in keys])

    async def backlog(self, topics: Sequence[TopicSpec], subscription: str) -> int | None:
        """See `api.Driver.backlog`: lag and pending of the group, over all partitions; None for plain reads."""
        if self._options.plain:
            return None
        with map_errors(self.server):
            keys = await self._place(topics)
            return await backlog(self._control, keys, self._topics.group(topics[0], subscription))

    def inspector(self) -> StreamInspector:
        """See `api.Driver.inspector`."""
        return StreamInspector(self._control, self._topics, self.server)

    def key_of(self, topic: str, partition: int) -> str:
        """See `api.Driver.key_of`: the key of its stream."""
        return self._topics.key(topic, partition)

    async def describe(self) -> Mapping[str, object]:
        """See `api.Driver.describe`; of a cluster, its first primary, and sums over all."""
        with map_errors(self.server):
            await self._control.outlast(self._router.discover)
            commands = {
                "XACKDEL": self._options.ack == "delete" and self._options.groups > 1,
                "WAITAOF": self._options.wait_aof != "none",
            }
            asked = [name for name, is_needed in commands.items() if is_needed]
            return {
                **await facts(self._control),
                **await address(self._options.url),
                **{f"has{name.title()}": await has_command(self._control, name) for name in asked},
                "config": await settings(self._control),
            }

    async def observe(self, streams: Sequence[TopicPartition]) -> ServerSample:
        """See `api.Driver.observe`."""
        with map_errors(self.server):
            placed = [(name, self._topics.key(name, partition)) for name, partition in streams]
            return await observe(self._observer(), streams, [key for _, key in placed], self._topics.subscription)

    async def memory(self) -> Sequence[ServerMemory]:
        """See `api.Driver.memory`."""
        with map_errors(self.server):
            return await self._memories.look(self._observer())

    async def server_clocks(self) -> Mapping[str, AskTime]:
        """See `api.Driver.server_clocks`; of a cluster those of all primaries."""
        with map_errors(self.server):
            return await server_clocks(self._control)

    def _observer(self) -> Router:
        if self._observing is None:
            self._observing = self._open()
        return self._observing

    async def delete_created(self) -> int:
        """See `api.Driver.delete_created`."""
        await self._stop_tasks()
        if not self._created:
            return 0
        with map_errors(self.server):
            # A server that refuses writes takes this question, and where there is no record there is nothing else.
            if not self._is_registered and not await runs.has_record(self._control, self._options.run_id):
                self._created = Created()
                return 0
            deleted = await self._delete()
        self._created = Created()
        return deleted

    async def _delete(self) -> int:
        """Deletes what this run made; whatever the server says to it may be gone soon, but for what it forbids."""
        control, run_id = self._control, self._options.run_id
        try:
            async with asyncio.timeout(DELETE_TIMEOUT_S):
                deleted = await control.outlast(lambda: runs.delete(control, run_id, self._created), _is_not_for_good)
        except TimeoutError as error:
            why = control.refusal or "it has not answered"
            raise ServerError(f"{self.server}: {why}, for {DELETE_TIMEOUT_S:g} s") from error
        await runs.until_freed(control)
        return deleted

    async def orphaned_runs(self) -> Sequence[runs.OrphanedRun]:
        """Runs that left a record on this server; see `ombdriver clean`."""
        with map_errors(self.server):
            return await runs.orphaned_runs(self._control)

    async def delete_orphaned(self, run: runs.OrphanedRun) -> int:
        """Deletes what `run` left; returns how many streams that were, those that had groups of it among them."""
        with map_errors(self.server):
            return await runs.delete(self._control, run.run_id, run.created)

    def may_pass(self, error: BaseException) -> bool:
        """See `api.Driver.may_pass`."""
        return may_pass(error) or isinstance(error, ConnectionLost)

    def way_out(self, error: str) -> str | None:
        """See `api.Driver.way_out`."""
        return way_out(error, self.server)

    def statistics(self) -> Mapping[str, int]:
        """See `api.Driver.statistics`."""
        found = Counter(self._statistics)
        for router in self._sending:
            now = router.statistics()
            found["reconnects"] += sum(each.reconnects for each in (now.bulk, now.control, now.reading))
        for runner in self._runners:
            found.update(runner.statistics())
        for done in self._trimmer.statistics().values() if self._trimmer else ():
            found["trimmedUnacknowledged"] += done.breached
            found["failedTrims"] += done.failures
        return {name: count for name, count in found.items() if count}

    async def _stop_tasks(self) -> None:
        if self._renewing:
            self._renewing.cancel()
            self._renewing = None
        if self._trimmer:
            await self._trimmer.aclose()
            self._trimmer = None

    async def aclose(self) -> None:
        """See `api.Driver.aclose`."""
        await self._stop_tasks()
        if self._created:  # what is not deleted by now is for `ombdriver clean`
            with contextlib.suppress(Exception):
                await runs.hand_back(self._control, self._options.run_id)
        everything: list[Any] = [*self._sending, *([self._observing] if self._observing else [])]
        with map_errors(self.server):
            await asyncio.gather(self._memories.aclose(), *(router.aclose() for router in everything))


async def _connect(router: Router, keys: Sequence[bytes]) -> None:
    """Connects a router to every node of `keys`, for sending."""
    await router.discover()
    for channel in dict.fromkeys(router.bulk_for(key) for key in keys):
        await channel.ready()


async def _logged_in(router: Router) -> None:
    """Connects, so that a refused login or database is told as that, and not as a server that tells nothing."""
    await asyncio.gather(*(channel.ready() for channel in router.controls()))


_FOR_GOOD = re.compile("unknown (sub)?command|DB index is out of range|without any password configured", re.I)


def _is_not_for_good(error: BaseException) -> bool:
    """Whether deleting is worth another attempt: it may be carried out twice."""
    if isinstance(error, NotSentError):
        return may_pass(error)
    return not isinstance(error, AuthenticationError | NoPermissionError) and not _FOR_GOOD.search(str(error))


async def open_driver(options: Mapping[str, object]) -> RedisStreamsDriver:
    """Connects to a server (`api.DriverFactory`).

    Raises:
        InputError: if an option is unknown, missing or of the wrong type.
        ServerError: if the server can't be reached, refuses the login, or is too old for streams.
    """
    return await connected(RedisStreamsDriver(StreamOptions.of(options)))


Opened = TypeVar("Opened", bound=RedisStreamsDriver)


async def connected(driver: Opened) -> Opened:
    """`driver`, if its server can be used.

    Raises:
        ServerError: if it can't be reached, refuses the login, or is too old for streams.
    """
    try:
        try:
            await driver._control.outlast(driver._router.discover)
            await driver._control.outlast(lambda: _logged_in(driver._router))
            found = await facts(driver._control)
        except RedisError as error:
            raise ServerError(await _why_not(driver, error)) from error
        check_streams(str(driver.server), found)
    except BaseException:
        await driver.aclose()
        raise
    return driver


async def _why_not(driver: RedisStreamsDriver, error: RedisError) -> str:
    """Why a first connection failed: by the error, and where that is unclear, by what is found at the address."""
    server, url = driver.server, driver._options.url
    words = with_way_out(error, server)
    if is_name_mismatch(words):
        names = await diagnosis.certificate_names(url)
        return f"{server}: {words}" + (f" (the certificate is for {names})" if names else "")
    found = await diagnosis.diagnose(url) if is_unclear(error) else None
    if found is None:
        return f"{server}: {words}"
    advice = way_out(found, server)
    return f"{server}: {found}" + (f"; {advice}" if advice else "")
