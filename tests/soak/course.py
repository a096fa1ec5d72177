"""The course of a soak: a producer, two consumers, and a runner whose handler fails at times, while things go on.

Connections are cut, consumers and clients come and go, messages are sent for later, given up and sent again, and the
stream is trimmed. None of this may lose a message, or have one handled twice: that happens after a death only.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from redis.exceptions import ConnectionError as RedisConnectionError

from ombdriver import (
    AcknowledgedTrimmer,
    JsonCodec,
    Message,
    MQClient,
    Producer,
    RecordMetadata,
    RetryPolicy,
    Runner,
    Topic,
)
from ombdriver.testing import LocalServer
from tests.soak.memory import Memory
from tests.soak.tally import Tally

TOPIC = Topic("soak", 4)
CODEC = JsonCodec()
PADDING = "x" * 200
TICK_S = 0.02
SECOND_TRY, LATER, GIVEN_UP = 100, 50, 1_000
"""One message in so many fails at first; is sent for later; fails until it is among the dead letters."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long, how fast, and how often something happens. All in seconds, save for the rate.

    Attributes:
        seconds: how long messages are sent.
        rate: messages per second.
        cut_s: between two cuts of all connections.
        churn_s: how long a consumer lives, and between two short-lived clients.
        sample_s: between two looks at the memory.
        drain_s: how long it may take, in the end, until everything is handled.
    """

    seconds: float
    rate: int = 500
    cut_s: float = 20.0
    churn_s: float = 5.0
    sample_s: float = 1.0
    drain_s: float = 60.0


@dataclass(slots=True)
class Course:
    """One soak on one server; `run` it, then ask for its `faults`.

    Attributes:
        sent: how many messages were given numbers.
        tallies: the account of each group.
        events: how often something happened, by name.
        on_handled: told of each message that the runner has handled; to show that a leak is found.
    """

    server: LocalServer
    pace: Pace
    on_handled: Callable[[Message[object]], None] = lambda _: None
    sent: int = 0
    tallies: dict[str, Tally] = field(default_factory=lambda: {"consumers": Tally(), "runner": Tally()})
    events: Counter[str] = field(default_factory=Counter)
    memory: Memory = field(init=False)
    _failing: Counter[int] = field(default_factory=Counter)
    _published: asyncio.Event = field(default_factory=asyncio.Event)
    _handled: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.memory = Memory(self.server)

    async def run(self) -> None:
        """Until everything that was sent is handled, or has had `drain_s` to be."""
        async with (
            MQClient(redis_url=self.server.url) as client,
            client.producer(TOPIC, codec=CODEC, on_unknown="idempotent") as producer,
        ):
            for group in self.tallies:  # both are there before anything is trimmed
                async with client.consumer(TOPIC, group):
                    pass
            trimmer = client.keep_trimmed(TOPIC.keys, approximate=False)
            async with asyncio.TaskGroup() as tasks:
                runner = self._runner(client)
                tasks.create_task(runner.run(signals=False))
                for name in ("lasting", None):
                    tasks.create_task(self._consume(client, name))
                tasks.create_task(self._every(1.0, lambda: self._trim(trimmer), self._handled))
                tasks.create_task(self._every(1.0, lambda: self._redrive(client), self._handled))
                going = [
                    tasks.create_task(self._every(self.pace.cut_s, self._cut, self._published)),
                    tasks.create_task(self._every(self.pace.churn_s, self._come_and_go, self._published)),
                    tasks.create_task(self._every(self.pace.sample_s, self._sample, self._published)),
                ]
                await self._publish(client, producer)
                self._published.set()
                await asyncio.wait(going)
                await producer.flush()
                await self._drain()
                self._handled.set()
                runner.stop()
        told = runner.statistics()
        self.events.update(failures=told.failed, dead_letters=told.dead_lettered, reconnects=told.consumer.reconnects)

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.pace.drain_s):
                while any(tally.missing(self.sent) for tally in self.tallies.values()):  # noqa: ASYNC110 - of others
                    await asyncio.sleep(TICK_S)

    def faults(self) -> list[str]:
        """What went wrong, a sentence each; none is as it has to be.

        Raises:
            ValueError: if the run was too short to be judged.
        """
        found = [
            f"{group}: {tally.missing(self.sent)} of {self.sent} messages were lost"
            for group, tally in self.tallies.items()
            if tally.missing(self.sent)
        ]
        found += [
            f"{group}: {tally.duplicates} messages were handled again, though nobody died"
            for group, tally in self.tallies.items()
            if tally.duplicates
        ]
        if self.events["not stored"]:
            found.append(f"{self.events['not stored']} messages could not be published")
        found += [
            f"the {figure.name} grows by {60 * trend.per_s:.2f} {figure.unit} a minute, "
            f"from {trend.first:.1f} to {trend.last:.1f} {figure.unit}"
            for figure, trend in self.memory.trends()
            if trend.exceeds(figure.allowed)
        ]
        return found

    def told(self) -> list[str]:
        """What happened, a line each."""
        lines = [f"{self.sent} messages sent; " + ", ".join(f"{n} {what}" for what, n in sorted(self.events.items()))]
        lines += [
            f"{group}: {tally.handled} handled, {tally.missing(self.sent)} lost, {tally.duplicates} twice"
            for group, tally in self.tallies.items()
        ]
        lines += [
            f"{figure.name}: {trend.first:.1f} to {trend.last:.1f} {figure.unit}, {60 * trend.per_s:+.3f} a minute "
            f"(z {trend.z:+.1f})"
            for figure, trend in self.memory.trends()
        ]
        return lines

    # -- the load --------------------------------------------------------------------------------------------------

    async def _publish(self, client: MQClient, producer: Producer[object]) -> None:
        loop, later = asyncio.get_running_loop(), client.delayed(TOPIC, codec=CODEC)
        start = loop.time()
        ahead = 0
        while (passed := loop.time() - start) < self.pace.seconds:
            for _ in range(int(passed * self.pace.rate) - ahead):
                ahead += 1
                number = self._next()
                if number % LATER == 0:
                    await later.send(_value(number), delay_s=1.0, key=_key(number))
                else:
                    (await producer.send(_value(number), key=_key(number))).add_done_callback(self._stored)
            await asyncio.sleep(TICK_S)

    def _next(self) -> int:
        number = self.sent
        self.sent += 1
        return number

    def _stored(self, future: "asyncio.Future[RecordMetadata]") -> None:
        if future.cancelled() or future.exception():
            self.events["not stored"] += 1

    async def _consume(self, client: MQClient, name: str | None) -> None:
        """Consumers one after the other; what one had not handed out comes to the next one, or to the other member."""
        loop, tally = asyncio.get_running_loop(), self.tallies["consumers"]
        while not self._handled.is_set():
            with contextlib.suppress(RedisConnectionError):  # its connection was cut before it had begun
                async with client.consumer(TOPIC, "consumers", name, codec=CODEC) as consumer:
                    self.events["consumers"] += 1
                    end = loop.time() + self.pace.churn_s
                    while loop.time() < end and not self._handled.is_set():
                        for message in await consumer.getmany(timeout_ms=200):
                            number = message.value["number"]
                            # What the runner gives up is published anew if it was trimmed when it is sent again.
                            tally.add(number, may_repeat=number % GIVEN_UP == 2)
                            await message.ack()

    def _runner(self, client: MQClient) -> Runner[object]:
        retry = RetryPolicy(max_deliveries=3, backoff=lambda _: 0.05)
        runner: Runner[object] = client.runner(
            TOPIC, "runner", codec=CODEC, ordering="key", retry=retry, visibility_timeout_ms=10_000
        )
        tally, failing = self.tallies["runner"], self._failing

        @runner.handler
        async def handle(message: Message[object]) -> None:
            number: int = message.value["number"]  # type: ignore[index]
            if number % SECOND_TRY == 1 and message.delivery_count == 1:
                raise ValueError("not at the first attempt")
            if number % GIVEN_UP == 2:
                failing[number] += 1
                if failing[number] <= 3:
                    raise ValueError("not before it was given up")
                del failing[number]
            tally.add(number)
            self.on_handled(message)

        return runner

    # -- what goes on meanwhile --------------------------------------------------------------------------------------

    async def _every(self, seconds: float, do: Callable[[], Awaitable[None]], over: asyncio.Event) -> None:
        """Does it again and again; what is begun is never cut short."""
        while True:
            try:
                async with asyncio.timeout(seconds):
                    await over.wait()
                return
            except TimeoutError:
                await do()

    async def _cut(self) -> None:
        self.server.cut_connections()
        self.events["cuts"] += 1

    async def _come_and_go(self) -> None:
        """A client with connections of its own, which sends a message and goes."""
        with contextlib.suppress(RedisConnectionError):  # cut before it had begun
            async with (
                MQClient(redis_url=self.server.url) as client,
                client.producer(TOPIC, codec=CODEC, on_unknown="idempotent") as producer,
            ):
                number = self._next()
                (await producer.send(_value(number), key=_key(number))).add_done_callback(self._stored)
                self.events["clients"] += 1

    async def _trim(self, trimmer: AcknowledgedTrimmer) -> None:
        self.events["trimmed"] += await trimmer.trim()

    async def _redrive(self, client: MQClient) -> None:
        with contextlib.suppress(RedisConnectionError):  # the next time
            self.events["redriven"] += await client.dead_letters(TOPIC).redrive("runner")

    async def _sample(self) -> None:
        self.memory.sample(asyncio.get_running_loop().time())


def _value(number: int) -> object:
    return {"number": number, "padding": PADDING}


def _key(number: int) -> str:
    return f"key-{number % 100}"
