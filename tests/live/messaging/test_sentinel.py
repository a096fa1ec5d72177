"""Behind Sentinels: the master changes, by order or by death, and who sends and reads goes on at the new one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import redis.asyncio
from running import met
from sending import Sending, account
from topologies import HOST, MASTER, Watched, sentinel, until

from ombdriver import GroupConsumer, GroupManager, MQClient, MQConsumer, MQProducer, NotSentError, OutcomeUnknownError
from ombdriver.bench.servers.link_shape import LinkShape
from ombdriver.bench.servers.links import Links
from ombdriver.messaging.transport import sentinel as asking


@pytest.fixture
async def watched(engine: str) -> AsyncIterator[Watched]:
    """A master and a replica, of the test's own."""
    async with sentinel(engine, 1) as made:
        yield made


async def stored(producer: MQProducer) -> list[int]:
    """The numbers of all messages, as they lie."""
    return [int(fields["n"]) for _, fields in await producer.query_messages("s")]


async def test_an_ordered_failover_is_lived_through(watched: Watched) -> None:
    """Sends refused by the old master (READONLY) are sent to the new one; readers go on; nothing is stored twice."""
    async with (
        MQProducer("s", redis_url=watched.url) as producer,
        GroupManager("s", redis_url=watched.url) as manager,
        GroupConsumer("s", "g", "c", redis_url=watched.url) as member,
        MQConsumer("s", redis_url=watched.url) as plain,
    ):
        await manager.create_group("g")
        await plain.block_read_messages(block=1)
        seen: list[int] = []
        by_plain: list[int] = []

        async def read_group() -> None:
            while -1 not in seen:
                with contextlib.suppress(OutcomeUnknownError):  # what it held is pending
                    for _, entries in await member.block_read_messages():
                        seen.extend(int(fields["n"]) for _, fields in entries)
                        await member.ack_message(*(entry for entry, _ in entries))

        async def read_plain() -> None:
            while -1 not in by_plain:
                for _, entries in await plain.block_read_messages():
                    by_plain.extend(int(fields["n"]) for _, fields in entries)

        readers = [asyncio.create_task(read_group()), asyncio.create_task(read_plain())]
        sending = Sending(producer)
        await sending.more(500)
        new = await watched.fail_over()
        await sending.more(500)
        outcomes = await sending.stop()
        await producer.send_message({"n": -1})
        await asyncio.gather(*readers)
        account(outcomes, [n for n in await stored(producer) if n >= 0])
        assert new == 1
        assert await producer.check_health() is True
        assert len(set(by_plain)) == len(by_plain)
        assert (await manager.get_groups_info())[0]["name"] == "g"


async def test_the_death_of_a_master_is_lived_through(watched: Watched) -> None:
    """In-flight messages have an unknown outcome; later ones wait for the new master."""
    async with MQProducer("s", redis_url=watched.url) as producer, MQClient(redis_url=watched.url) as client:
        assert await client.get_stream_length("s") == 0
        sending = Sending(producer)
        await sending.more(500)
        watched.kill(0)
        length = await client.get_stream_length("s")
        await sending.more(500)
        outcomes = await sending.stop()
        account(outcomes, await stored(producer))
        assert length > 0
        assert await watched.until_another(0) == 1


async def test_a_master_is_reached_where_its_address_leads_to(watched: Watched) -> None:
    """As behind a proxy, which the Sentinels know nothing of; also the one that takes over."""
    async with Links.start() as links:
        ports = {watched.port(number): await links.open(watched.port(number)) for number in range(2)}

        def remap(address: tuple[str, int]) -> tuple[str, int]:
            return address[0], ports[int(address[1])]

        async with MQProducer("s", redis_url=watched.url, address_remap=remap) as producer:
            await producer.send_message({"n": 0})
            assert await links.shape(ports[watched.port(0)], LinkShape()) > 0
            assert await links.shape(ports[watched.port(1)], LinkShape()) == 0

            new = await watched.fail_over()

            async def goes_there() -> bool:
                await producer.send_message({"n": 1})  # the old master takes some until it has heard of it
                return await links.shape(ports[watched.port(new)], LinkShape()) > 0

            assert await until(goes_there)


async def test_sends_go_on_when_a_master_hangs(watched: Watched) -> None:
    """Its connections stay open and owe their replies: they are given up when the Sentinels name another one."""
    async with MQProducer("s", redis_url=watched.url) as producer, MQClient(redis_url=watched.url) as client:
        await asyncio.gather(*(producer.send_message({"n": n}) for n in range(10)))
        assert await client.get_stream_length("s") == 10
        watched.pause(0)
        try:
            sends = [producer.send_message({"n": n}) for n in range(10, 20)]
            outcomes = await asyncio.wait_for(asyncio.gather(*sends, return_exceptions=True), 40)
            assert {type(one) for one in outcomes} == {OutcomeUnknownError}
            assert isinstance(await producer.send_message({"n": 20}), str)
            assert await client.get_stream_length("s") == 11
        finally:
            watched.resume(0)


async def test_sentinels_are_left_alone_once_a_loss_is_mended(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that waits for ever has a command in flight for ever: that is no reason to ask for another master."""
    monkeypatch.setattr(asking, "POLL_S", 0.01)
    raw = watched.raw[0]
    async with MQConsumer("s", redis_url=watched.url) as plain:
        reading = asyncio.ensure_future(plain.block_read_messages(block=0))
        await until(lambda: met(plain.statistics().reading.in_flight > 0))
        await plain.check_health()
        for one in await raw.client_list():
            if one["cmd"] == "ping" and not one["name"].startswith("sentinel"):  # what it has besides
                await raw.client_kill_filter(_id=one["id"])
        await until(lambda: met(not plain.statistics().control.connected))
        await plain.check_health()
        assert plain.statistics().control.reconnects == 1
        monitor = plain._router()._routes._monitor  # type: ignore[union-attr]
        await until(lambda: met(monitor is not None and not monitor.is_asking), 4.0)
        reading.cancel()


async def test_a_connection_is_checked_to_lead_to_a_master(watched: Watched) -> None:
    """A Sentinel may still name a server that has become a replica: that counts as a failure to connect."""
    await watched.raw[0].execute_command("REPLICAOF", HOST, watched.port(1))  # behind the Sentinels' back
    async with MQProducer("s", redis_url=watched.url) as producer:
        with pytest.raises(NotSentError, match="no master"):
            await producer.send_message({"f": 1})


async def test_a_client_of_sentinel_lends_its_settings(watched: Watched) -> None:
    """As before, and it follows the master too."""
    guards = redis.asyncio.Sentinel([(HOST, port) for port in watched.sentinel_ports])
    lent = guards.master_for(MASTER, decode_responses=True)
    async with guards, lent, MQProducer("s", redis_pool=lent) as producer, MQConsumer("s", redis_pool=lent) as plain:
        await producer.send_message({"n": 0})
        await plain.block_read_messages(block=1)
        watched.kill(0)
        with contextlib.suppress(OutcomeUnknownError):  # if it left before the loss was seen
            await producer.send_message({"n": 1})
        await producer.send_message({"n": 2})
        assert (await stored(producer))[-1] == 2
        assert (await plain.block_read_messages())[0][1][-1][1] == {"n": "2"}


async def test_sentinels_that_do_not_know_the_master_are_told(watched: Watched) -> None:
    """At once, by its name, whatever is asked first."""
    for ask in (
        lambda producer: producer.send_message({"f": 1}),
        lambda producer: producer.get_stream_length("s"),
        lambda producer: producer.check_health(),
    ):
        async with MQProducer("s", redis_url=watched.url.replace(f"/{MASTER}", "/nobody")) as producer:
            with pytest.raises(NotSentError, match="nobody"):
                await asyncio.wait_for(ask(producer), 5)
