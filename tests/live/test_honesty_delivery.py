"""The harness tells the truth about deliveries: what is done to the messages on purpose is told to the message."""

from pathlib import Path

import pytest
import redis
from proxy import LossyProxy
from rig import MESSAGES, reasons, running

from ombdriver.messaging.streams.entry_ids import is_after

HELD_UP = 400
"""Entries that a consumer is behind before something is done to them."""
PRODUCING, CONSUMING = 0, 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the result goes."""
    return tmp_path


async def test_what_is_cut_off_before_a_group_has_read_it_is_trimmed(folder: Path, server_url: str) -> None:
    """XTRIM past one group that is held up; the other one has read everything by then."""
    async with running(folder, server_url, workers=3, subscriptionsPerTopic=2) as rig:
        key = await rig.measuring(500)
        rig.hold(CONSUMING)
        entries = await rig.not_delivered(key, HELD_UP)
        await rig.server.xtrim(key, minid=entries[300][0], approximate=False)
        rig.let_go()
        first, second = await rig.deliveries()
        assert (first.trimmed, first.lost, first.undelivered) == (300, 0, 0)
        assert (second.trimmed, second.lost, second.undelivered) == (0, 0, 0)
        assert second.received == second.acknowledged == MESSAGES
        assert reasons(await rig.result())["trimmed"] == "LOSS"


async def test_what_is_deleted_before_it_was_delivered_is_lost(folder: Path, server_url: str) -> None:
    """XDEL of two stretches in the middle of what a group has before it."""
    async with running(folder, server_url) as rig:
        key = await rig.measuring(500)
        rig.hold(CONSUMING)
        entries = await rig.not_delivered(key, HELD_UP)
        doomed = [entry_id for entry_id, _ in entries[100:150] + entries[200:217]]
        assert await rig.server.xdel(key, *doomed) == 67
        rig.let_go()
        (told,) = await rig.deliveries()
        assert (told.lost, told.trimmed, told.undelivered, told.received) == (67, 0, 0, MESSAGES - 67)
        assert reasons(await rig.result())["lost"] == "LOSS"


async def test_a_loss_stays_a_loss_when_the_stream_is_trimmed_later(folder: Path, server_url: str) -> None:
    """What was deleted is told by where the stream began when the gap showed, not by where it begins at the end."""
    async with running(folder, server_url) as rig:
        key = await rig.measuring(500)
        rig.hold(CONSUMING)
        entries = await rig.not_delivered(key, HELD_UP)
        await rig.server.xdel(key, *(entry_id for entry_id, _ in entries[100:150]))
        rig.let_go()

        async def caught_up() -> bool:
            return is_after((await rig.group(key))["last-delivered-id"], entries[-1][0])

        await rig.until(caught_up)
        await rig.measuring(3500)  # several polls later
        await rig.server.xtrim(key, minid=entries[-1][0], approximate=False)
        (told,) = await rig.deliveries()
        assert (told.lost, told.trimmed) == (50, 0)


async def test_what_the_warm_up_lost_is_a_loss_and_is_not_on_its_way(folder: Path, valkey_url: str) -> None:
    """The window itself is whole; the verdict is of the system, which lost acknowledged messages."""
    async with running(folder, valkey_url, warmupDuration="2s", drainTimeout="4s") as rig:
        key = await rig.measuring(500)
        rig.hold(CONSUMING)
        entries = await rig.not_delivered(key, HELD_UP)
        await rig.server.xdel(key, *(entry_id for entry_id, _ in entries[100:150]))
        rig.let_go()
        (told,) = await rig.deliveries()
        result = await rig.result()

    assert (told.acknowledged, told.received, told.lost) == (MESSAGES, MESSAGES, 0)
    assert result.verdict is not None
    (message,) = (each.message for each in result.verdict.reasons if each.rule == "lost")
    assert message.startswith("group-1, in the warm-up: 50 acknowledged messages are lost")
    assert "carriedIn" not in [each.kind for each in result.caveats]
    # The 50 are not in the backlog; of the last messages a few may be on their way as the window ends.
    assert result.rates["backlog"][-1] < 10


async def test_a_user_who_may_not_look_gets_the_result_and_is_told(folder: Path, valkey_url: str) -> None:
    """What is missing can't be looked for: it is undelivered, not lost, and the run is not thrown away."""
    with redis.Redis.from_url(valkey_url) as client:
        client.execute_command("ACL", "SETUSER", "blind", "on", ">s3cret", "~*", "+@all", "-xinfo", "-xrange")
    url = valkey_url.replace("redis://", "redis://blind:s3cret@")
    try:
        async with running(folder, valkey_url, url, drainTimeout="3s") as rig:
            key = await rig.measuring(500)
            rig.hold(CONSUMING)
            entries = await rig.not_delivered(key, HELD_UP)
            await rig.server.xdel(key, *(entry_id for entry_id, _ in entries[100:150]))
            rig.let_go()
            (told,) = await rig.deliveries()
            result = await rig.result()
    finally:
        with redis.Redis.from_url(valkey_url) as client:
            client.execute_command("ACL", "DELUSER", "blind")

    assert (told.undelivered, told.lost, told.received) == (50, 0, MESSAGES - 50)
    assert "auditIncomplete" in [each.kind for each in result.caveats]


async def test_a_stretch_that_is_published_twice_is_duplicated(folder: Path, valkey_url: str) -> None:
    """Copies of 120 messages as new entries: each group gets them twice, and says so."""
    async with running(folder, valkey_url, subscriptionsPerTopic=2) as rig:
        key = await rig.measuring(1000)
        for _, fields in await rig.server.xrange(key, count=121):
            await rig.server.xadd(key, fields)  # the first of them is the probe, which is of no phase
        for told in await rig.deliveries():
            assert (told.duplicated, told.redelivered, told.repeated, told.reordered) == (120, 0, 0, 0)
            assert told.received == told.acknowledged == MESSAGES


async def test_a_stretch_that_is_read_again_is_redelivered(folder: Path, server_url: str) -> None:
    """A group is set back by 50 entries while its consumer is held up: the same entries come again."""
    async with running(folder, server_url) as rig:
        key = await rig.measuring(1000)
        rig.hold(CONSUMING)
        await rig.not_delivered(key, HELD_UP)
        reached = (await rig.group(key))["last-delivered-id"]
        before = await rig.server.xrevrange(key, max=reached, count=51)
        await rig.server.xgroup_setid(key, "group-1", before[-1][0])
        rig.let_go()
        (told,) = await rig.deliveries()
        assert (told.redelivered, told.duplicated, told.repeated) == (50, 0, 0)
        assert (told.reordered, told.received) == (0, MESSAGES)
        result = await rig.result()
        assert reasons(result)["duplicated"] == "CORRUPT", "nothing that failed explains it"
        assert result.totals["received"] == result.subscriptions[0].received == MESSAGES, "each once"
        assert result.latency["endToEnd"].count == result.latency["endToEndResponse"].count == MESSAGES


async def test_entries_that_are_swapped_are_reordered(folder: Path, valkey_url: str) -> None:
    """Ten entries are taken out before they are delivered, and put in again behind those that followed."""
    async with running(folder, valkey_url) as rig:
        key = await rig.measuring(500)
        rig.hold(CONSUMING)
        entries = await rig.not_delivered(key, HELD_UP)
        moved = entries[100:110]
        await rig.server.xdel(key, *(entry_id for entry_id, _ in moved))
        for _, fields in moved:
            await rig.server.xadd(key, fields)
        rig.let_go()
        (told,) = await rig.deliveries()
        assert (told.reordered, told.order_exact) == (10, True)
        assert (told.lost, told.duplicated, told.received) == (0, 0, MESSAGES)
        assert "reordered" in [each.kind for each in (await rig.result()).caveats]


async def test_a_shared_group_tells_repetitions_but_not_their_kind(folder: Path, valkey_url: str) -> None:
    """With two consumers on the partition a message that came again is `repeated`, and order is a lower bound."""
    async with running(folder, valkey_url, workers=3, consumerPerSubscription=2) as rig:
        key = await rig.measuring(1000)
        for _, fields in await rig.server.xrange(key, count=51):
            await rig.server.xadd(key, fields)
        (told,) = await rig.deliveries()
        assert (told.repeated, told.duplicated, told.redelivered) == (50, 0, 0)
        assert (told.received, told.order_exact) == (MESSAGES, False)


async def test_a_payload_that_was_changed_is_corrupt(folder: Path, valkey_url: str) -> None:
    """With checksums on, a message whose bytes are not those that were sent is counted, and nothing else is."""
    async with running(folder, valkey_url, checksum="true") as rig:
        key = await rig.measuring(500)
        rig.hold(CONSUMING)
        entries = await rig.not_delivered(key, HELD_UP)
        for entry_id, fields in entries[100:107]:
            await rig.server.xdel(key, entry_id)
            await rig.server.xadd(key, {b"p": fields[b"p"][:-1] + b"\0"})
        rig.let_go()
        (told,) = await rig.deliveries()
        assert (told.corrupt, told.lost, told.received) == (7, 0, MESSAGES)


@pytest.mark.parametrize("acknowledged", [False, True])
async def test_what_another_consumer_took_is_undelivered_or_skipped(
    folder: Path, server_url: str, acknowledged: bool
) -> None:
    """While it is pending it may still be delivered; once a stranger has acknowledged it, it never will be."""
    async with running(folder, server_url, drainTimeout="2s") as rig:
        key = await rig.measuring(500)
        rig.hold(CONSUMING)
        await rig.not_delivered(key, HELD_UP)
        ((_, taken),) = await rig.server.xreadgroup("group-1", "thief", {key: ">"}, count=40)
        if acknowledged:
            await rig.server.xack(key, "group-1", *(entry_id for entry_id, _ in taken))
        rig.let_go()
        (told,) = await rig.deliveries()
        assert (told.undelivered, told.lost) == ((0, 40) if acknowledged else (40, 0))
        assert (told.trimmed, told.received) == (0, MESSAGES - 40)


async def test_replies_that_get_lost_are_indeterminate_and_what_was_done_is_recovered(
    folder: Path, valkey_url: str
) -> None:
    """A proxy carries out 30 of 50 sends in flight, then breaks the connection before their replies."""
    async with LossyProxy(valkey_url) as proxy, running(folder, valkey_url, proxy.url, maxInFlight=50) as rig:
        await rig.measuring(1000)
        carried_out = await proxy.lose(in_flight=50, carry_out=30)
        (told,) = await rig.deliveries()
        result = await rig.result()
        assert result.totals["indeterminate"] == result.totals["publishErrors"] == 50
        assert (told.recovered, told.lost, told.duplicated) == (carried_out, 0, 0)
        assert 30 <= carried_out < 50
        assert told.acknowledged == MESSAGES - 50
