"""A program of a user, for type checkers: nothing of it is run. Each `assert_type` is what the library promises."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_type

from ombdriver import (
    BytesCodec,
    Codec,
    Consumer,
    ConsumerStatistics,
    DeadLetter,
    DeadLetterPolicy,
    DeadLetters,
    DelayedMessages,
    ExponentialBackoff,
    JsonCodec,
    Lag,
    Message,
    MQClient,
    MsgspecCodec,
    OutcomeUnknownError,
    PartitionLag,
    Producer,
    ProducerStatistics,
    PydanticCodec,
    RecordMetadata,
    Retention,
    RetryPolicy,
    Runner,
    RunnerStatistics,
    StrCodec,
    Topic,
)
from ombdriver.messaging.prometheus import PrometheusCollector
from ombdriver.testing import LocalServer, private_server


@dataclass
class Order:
    """A value of the program's own."""

    number: int


class OrderCodec:
    """A codec of the program's own."""

    def encode(self, value: Order, /) -> bytes:
        """As text."""
        return b"%d" % value.number

    def decode(self, data: bytes, /) -> Order:
        """From text."""
        return Order(int(data))


CODEC: Codec[Order] = OrderCodec()
PLAIN: Codec[bytes] = BytesCodec()


async def publish(client: MQClient, topic: Topic) -> None:
    """Values have the codec's type; without one they are bytes."""
    async with client.producer(topic, on_unknown="idempotent", retention=Retention(max_length=1_000)) as plain:
        assert_type(plain, Producer[bytes])
        future = await plain.send(b"v", key=b"k", headers={"h": "v"})
        assert_type(future, asyncio.Future[RecordMetadata])
        assert_type(await future, RecordMetadata)
    async with client.producer("orders", codec=OrderCodec(), linger_ms=5) as producer:
        assert_type(producer, Producer[Order])
        try:
            sent = await producer.send_and_wait(Order(1), key="k", partition=0)
        except OutcomeUnknownError:
            return
        assert_type(sent.id, str)
        assert_type(sent.timestamp_ms, int)
        for each in await producer.send_batch([Order(2), Order(3)]):
            assert_type(each.result().partition, int)
        assert_type(producer.statistics(), ProducerStatistics)


async def consume(client: MQClient) -> None:
    """A message's value has the codec's type."""
    async with client.consumer("orders", "billing", codec=OrderCodec(), start="latest") as consumer:
        assert_type(consumer, Consumer[Order])
        async for message in consumer:
            assert_type(message, Message[Order])
            assert_type(message.value, Order)
            assert_type(message.key, bytes | None)
            assert_type(message.headers, Mapping[str, str])
            await message.ack()
            assert_type(await message.reject("no"), bool)
        assert_type(await consumer.getmany(timeout_ms=5), list[Message[Order]])
        assert_type(await consumer.lag(), Lag)
        assert_type((await client.lag("orders", "billing")).partitions, dict[int, PartitionLag])
        assert_type(consumer.statistics(), ConsumerStatistics)
    async with client.consumer("lines", "print") as plain:
        assert_type(await plain.getone(), Message[bytes])


async def process(client: MQClient) -> None:
    """A handler takes messages, and stays what it was."""
    retry = RetryPolicy(max_deliveries=3, backoff=ExponentialBackoff(first_s=0.1))
    runner = client.runner("orders", "billing", codec=CODEC, ordering="key", retry=retry, dead_letter=None)
    assert_type(runner, Runner[Order])

    @runner.handler
    async def bill(message: Message[Order]) -> int:
        return message.value.number

    assert_type(await bill(await client.consumer("orders", "b", codec=CODEC).getone()), int)
    await runner.run(signals=False)
    assert_type(runner.statistics(), RunnerStatistics)
    assert_type(client.runner("lines", "print", dead_letter=DeadLetterPolicy(maxlen=10)), Runner[bytes])
    letters = client.dead_letters("orders")
    assert_type(letters, DeadLetters)
    assert_type(await letters.read(), list[DeadLetter])
    assert_type(await letters.redrive(group="billing"), int)
    later = client.delayed("orders", codec=OrderCodec())
    assert_type(later, DelayedMessages[Order])
    await later.send(Order(1), delay_s=5)
    await client.delayed("orders").send(b"v", delay_s=5)
    await client.delayed("orders", codec=JsonCodec()).send({"number": 1}, delay_s=5)


async def bill_one(message: Message[Order]) -> None:
    """A handler of its own."""
    assert_type(message.value.number, int)


async def encode(client: MQClient) -> None:
    """Codecs of a type give it to messages, producers and handlers; those of anything take anything."""
    packed, checked = MsgspecCodec(Order), PydanticCodec(Order)
    assert_type(packed, MsgspecCodec[Order])
    assert_type(checked, PydanticCodec[Order])
    async with (
        client.producer("orders", codec=packed) as producer,
        client.consumer("o", "g", codec=checked) as consumer,
    ):
        assert_type(producer, Producer[Order])
        await producer.send_and_wait(Order(1))
        assert_type(await consumer.getone(), Message[Order])
        assert_type((await consumer.getone()).value, Order)
    assert_type(MsgspecCodec(list[Order], json=True), MsgspecCodec[list[Order]])
    assert_type(MsgspecCodec[Order | int](Order | int).decode(b""), Order | int)
    assert_type(PydanticCodec[Order | int](Order | int).decode(b""), Order | int)
    anything = MsgspecCodec()
    assert_type(anything, MsgspecCodec[Any])
    async with client.producer("orders", codec=anything) as loose:
        await loose.send({"number": 1})
    async with client.runner("orders", "billing", codec=packed, handler=bill_one) as runner:
        assert_type(runner, Runner[Order])
    client.runner("orders", "billing", codec=anything, handler=bill_one)


async def watch(client: MQClient, producer: Producer[str], runner: Runner[Any]) -> None:
    """Figures for Prometheus, of values of any type."""
    collector = PrometheusCollector()
    collector.watch(producer)
    collector.watch(runner)
    collector.watch(client.consumer("lines", "print", codec=StrCodec()))
    collector.forget(runner)


def test(topic: Topic) -> None:
    """A server for a test."""
    with private_server(config={"maxmemory": "10mb"}) as server:
        assert_type(server, LocalServer)
        assert_type(server.url, str)
    assert_type(topic.partition_of("k"), int)
    assert_type(Topic("t", 4, retention=Retention(acknowledged=True)).retention, Retention | None)
