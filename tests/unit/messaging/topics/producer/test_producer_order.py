"""The producer against a model of a server, under any sequence of faults: order, and the promise of each policy."""

import asyncio
import math
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from model_server import FAULTS, FINAL, ModelServer
from redis.exceptions import OutOfMemoryError

from ombdriver import ClosedError, OutcomeUnknownError, RecordMetadata
from ombdriver.messaging.topics.codec import BytesCodec
from ombdriver.messaging.topics.producer import partition_sender
from ombdriver.messaging.topics.producer.config import OnUnknown, ProducerSettings
from ombdriver.messaging.topics.producer.producer import Producer
from ombdriver.messaging.transport.retry import Backoff

Faults = list[str | None]
FAULT_LISTS = st.lists(st.none() | st.sampled_from(FAULTS), max_size=30)
LOST_THEN_REFUSED = st.tuples(st.sampled_from(("lost before", "lost after")), st.sampled_from(FINAL)).map(list)
TURNS = st.lists(st.integers(0, 6), min_size=1, max_size=12)
"""How many messages are sent in each turn of the loop."""


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_sender, "ENDLESS_BACKOFF", Backoff(0, 0, math.inf))


async def sent(
    server: ModelServer, turns: list[int], on_unknown: OnUnknown, bad: frozenset[int] = frozenset(), **options: Any
) -> tuple[list[Any], list[int]]:
    """What became of numbers that were sent so many in each turn, and what the server has; some are refused."""
    settings = ProducerSettings(on_unknown=on_unknown, max_batch_messages=4, **options)
    futures = []
    producer = Producer(lambda: server, "t", BytesCodec(), settings)  # type: ignore[arg-type, return-value]
    async with producer:
        for count in turns:
            for _ in range(count):
                number = len(futures)
                headers = {"is": "oom"} if number in bad else None
                futures.append(await producer.send(b"%d" % number, headers=headers))
            await asyncio.sleep(0)
    assert producer.statistics().buffered_messages == producer.statistics().buffered_bytes == 0
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    done = producer.statistics()
    assert done.sent == sum(isinstance(one, RecordMetadata) for one in outcomes)
    assert done.failed == len(outcomes) - done.sent
    return outcomes, [int(fields[b"value"]) for fields in server.stream]


def in_order(stored: list[int]) -> list[int]:
    """What is stored, each at its first time; held to be in order."""
    first_times = list(dict.fromkeys(stored))
    assert first_times == sorted(first_times)
    return first_times


@given(faults=FAULT_LISTS, turns=TURNS)
def test_raise_stores_each_message_once_or_tells(faults: Faults, turns: list[int]) -> None:
    """An error means what it says: unknown, whether stored or not; no error means stored, at the id that is told."""
    outcomes, stored = asyncio.run(sent(ModelServer(iter(faults)), turns, "raise"))

    assert in_order(stored) == stored
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, RecordMetadata):
            assert stored[outcome.timestamp_ms - 1] == number
        else:
            assert isinstance(outcome, OutcomeUnknownError)


@given(faults=FAULT_LISTS, turns=TURNS)
def test_resend_stores_each_message_at_least_once(faults: Faults, turns: list[int]) -> None:
    """In order, by the first time that each is stored."""
    outcomes, stored = asyncio.run(sent(ModelServer(iter(faults)), turns, "resend"))

    assert all(isinstance(outcome, RecordMetadata) for outcome in outcomes)
    assert in_order(stored) == list(range(len(outcomes)))
    assert [stored[outcome.timestamp_ms - 1] for outcome in outcomes] == list(range(len(outcomes)))


@given(faults=FAULT_LISTS, turns=TURNS)
def test_idempotent_stores_each_message_exactly_once(faults: Faults, turns: list[int]) -> None:
    """In order, and whoever asks is told the one id."""
    outcomes, stored = asyncio.run(sent(ModelServer(iter(faults)), turns, "idempotent"))

    assert stored == list(range(len(outcomes)))
    assert [outcome.timestamp_ms - 1 for outcome in outcomes] == stored


@pytest.mark.parametrize("on_unknown", ["resend", "idempotent"])
@given(faults=FAULT_LISTS, turns=TURNS, bad=st.frozensets(st.integers(0, 30), max_size=8))
def test_a_message_that_is_refused_takes_no_other_with_it(
    on_unknown: OnUnknown, faults: Faults, turns: list[int], bad: frozenset[int]
) -> None:
    """Its own caller is told; the others of its batch are stored, in order. After a loss "resend" can't be sure."""
    outcomes, stored = asyncio.run(sent(ModelServer(iter(faults)), turns, on_unknown, bad))

    told = (OutOfMemoryError, OutcomeUnknownError) if on_unknown == "resend" else OutOfMemoryError
    refused = {number for number, outcome in enumerate(outcomes) if isinstance(outcome, told)}
    assert refused == bad & set(range(len(outcomes)))
    assert in_order(stored) == [number for number in range(len(outcomes)) if number not in bad]


@pytest.mark.parametrize("on_unknown", get_args(OnUnknown))
@given(
    faults=st.lists(st.lists(st.sampled_from((None, *FAULTS)), max_size=3) | LOST_THEN_REFUSED, max_size=8).map(
        lambda lists: [fault for some in lists for fault in some]
    ),
    turns=TURNS,
    bad=st.frozensets(st.integers(0, 30), max_size=4),
)
def test_what_a_caller_is_told_is_true(
    on_unknown: OnUnknown, faults: Faults, turns: list[int], bad: frozenset[int]
) -> None:
    """Whatever comes after what: stored, at the id that is told; or unknown, where that can't be known; or not stored.

    Unknown is told only of what an attempt was lost of.
    """
    server = ModelServer(iter(faults))
    outcomes, stored = asyncio.run(sent(server, turns, on_unknown, bad))

    assert len(set(stored)) == len(stored) or on_unknown == "resend"
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, RecordMetadata):
            assert stored[outcome.timestamp_ms - 1] == number
        elif isinstance(outcome, OutcomeUnknownError):
            assert {"lost before", "lost after"} & set(faults)
        else:
            assert number not in stored, f"stored, and told as {outcome!r}"


def test_a_refusal_after_a_loss_tells_that_the_message_may_be_stored() -> None:
    """The first attempt was stored and its reply lost, the second is refused: "not stored" would not be true."""
    for on_unknown in ("resend", "idempotent"):
        for fault in FINAL:
            outcomes, stored = asyncio.run(sent(ModelServer(iter(["lost after", fault])), [2], on_unknown))  # type: ignore[arg-type]
            assert stored == [0, 1]
            assert {type(one) for one in outcomes} == {OutcomeUnknownError}
            assert all("NOPERM" in str(one) or "not you" in str(one) for one in outcomes)


@given(turns=TURNS)
def test_a_turn_makes_as_few_batches_as_it_can(turns: list[int]) -> None:
    """Messages of one turn leave together, up to a full batch."""
    server = ModelServer(iter([]))
    asyncio.run(sent(server, turns, "raise"))

    assert server.batches <= sum(-(-count // 4) for count in turns)


def test_a_client_that_closes_after_a_loss_tells_that_messages_may_be_stored() -> None:
    """They were to be sent again and can't be: what was lost first is what counts."""

    async def run() -> list[Any]:
        server = ModelServer(iter(["lost after"]))

        def closed(*_: object) -> Any:
            raise ClosedError("closed")

        settings = ProducerSettings(on_unknown="resend")
        producer = Producer(lambda: server, "t", BytesCodec(), settings)  # type: ignore[arg-type, return-value]
        async with producer:
            first = await producer.send(b"0")
            while not producer.statistics().in_flight:  # noqa: ASYNC110 - until it has left
                await asyncio.sleep(0)
            server.bulk_route = closed  # type: ignore[method-assign]
            second = await producer.send(b"1")
        return list(await asyncio.gather(first, second, return_exceptions=True))

    first, second = asyncio.run(run())
    assert isinstance(first, OutcomeUnknownError)
    assert isinstance(second, ClosedError)


async def test_sending_makes_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a timer for each message: what is not made costs nothing."""
    server = ModelServer(iter([]))
    producer = Producer(lambda: server, "t", BytesCodec(), ProducerSettings())  # type: ignore[arg-type, return-value]
    async with producer:
        loop = asyncio.get_running_loop()
        made: list[str] = []
        with monkeypatch.context() as patch:
            for name in ("create_task", "call_later", "call_at"):
                patch.setattr(loop, name, _noting(getattr(loop, name), made))
            futures = [await producer.send(b"v") for _ in range(1_000)]
            await asyncio.sleep(0)
        assert made == ["call_later", "call_at"], "one timer watches over the oldest message"
        await producer.flush()
        assert all(future.done() for future in futures)


def _noting(function: Any, made: list[str]) -> Any:
    def call(*args: Any, **options: Any) -> Any:
        made.append(function.__name__)
        return function(*args, **options)

    return call


class HangingServer(ModelServer):
    """A server that answers when a test says so."""

    def __init__(self) -> None:
        super().__init__(iter([]))
        self.hangs = False
        self._held: list[tuple[Any, ...]] = []

    def send_block(self, *sent: Any) -> None:
        """See `ModelServer`."""
        if self.hangs:
            self._held.append(sent)
        else:
            super().send_block(*sent)

    def answer(self) -> None:
        """Carries out what it was given, and what comes from now on."""
        self.hangs, held = False, self._held
        self._held = []
        for sent in held:
            super().send_block(*sent)


STEPS = st.lists(st.integers(1, 6) | st.sampled_from(["hang", "answer", "30 ms", "70 ms", "cancel"]), max_size=25)


@pytest.mark.parametrize("on_unknown", get_args(OnUnknown))
@given(steps=STEPS, linger_ms=st.sampled_from([0, 50]))
@example(steps=["hang", 1, 1, "70 ms", "70 ms", 1, "70 ms"], linger_ms=0)
def test_no_message_waits_for_longer_than_it_has(on_unknown: OnUnknown, steps: list[Any], linger_ms: int) -> None:
    """100 ms, whatever batch it has joined, whoever cancelled: then it has its outcome, and its space is free.

    Only messages in flight keep theirs, until all of their batch have an outcome.
    """

    async def run() -> None:
        loop = asyncio.get_running_loop()
        real, passed_s = loop.time, 0.0
        loop.time = lambda: real() + passed_s  # type: ignore[method-assign]
        server, sent = HangingServer(), []
        settings = ProducerSettings(
            on_unknown=on_unknown, max_batch_messages=4, delivery_timeout_ms=100, linger_ms=linger_ms
        )
        producer = Producer(lambda: server, "t", BytesCodec(), settings)  # type: ignore[arg-type, return-value]
        await producer.start()
        for step in [*steps, "70 ms", "70 ms"]:
            if step == "hang":
                server.hangs = True
            elif step == "answer":
                server.answer()
            elif step == "cancel" and sent:
                sent[-1][1].cancel()
            elif isinstance(step, int):
                for n in range(step):
                    future = await producer.send(b"%d" % n)
                    sent.append((loop.time(), future))  # its time has begun by now
            else:
                passed_s += int(step.split()[0]) / 1000 if isinstance(step, str) and step.endswith("ms") else 0
            now = loop.time()  # what is due by now is carried out next, however long that takes
            for _ in range(8):
                await asyncio.sleep(0)
            waiting = [when for when, future in sent if not future.done()]
            assert all(now - when < 0.11 for when in waiting), "a message waits for longer than it has"
            statistics = producer.statistics()
            assert len(waiting) <= statistics.buffered_messages <= len(waiting) + 4
        assert producer.statistics().buffered_messages == 0
        server.answer()
        await producer.close()
        assert producer.statistics().buffered_messages == 0

    asyncio.run(run())
