"""`Publisher` with a false clock, a pacer that fires when told, and a producer that does as it is scripted."""

import asyncio

import pytest
from scripted_publisher import MS, RUN, SECOND, START, Bench, events, greatest, total

from ombdriver.bench.load.host_clock import HostClock
from ombdriver.bench.load.message import STAMP, KeySource, PayloadSpec, count_corrupt
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.worker.pacing import EachPacing
from ombdriver.bench.worker.publisher import MOST_PER_BATCH, MOST_PER_TURN, PROBE_SEQUENCE, PROBES_PER_TURN


async def test_nothing_is_sent_before_its_time() -> None:
    """At each tick exactly what is due has been sent, and the pacer is armed for the next message."""
    bench = Bench()
    schedule = bench.begin(rate=1000, duration_ns=20 * MS)
    assert bench.pacer.at_ns == START

    bench.tick(START - 1)
    assert bench.handle.sent == []
    for now_ns in (START, START + MS - 1, START + MS, START + 7 * MS, START + 100 * MS):
        bench.tick(now_ns)
        assert len(bench.handle.sent) == schedule.due(now_ns)
        assert (bench.handle.stamps["intended_ns"] <= bench.handle.stamps["sent_ns"]).all()

    assert bench.publisher.unsent == 0
    assert bench.handle.stamps["intended_ns"].tolist() == [START + at * MS for at in range(20)]
    assert bench.handle.stamps["sequence"].tolist() == list(range(20))


@pytest.mark.parametrize("offset_ns", [3 * 86_400 * SECOND, -START // 2])
async def test_stamps_are_of_the_clock_of_the_run_and_latencies_of_the_host(offset_ns: int) -> None:
    """A host whose clock is days off stamps what the host that commands would; the stamp of a probe stays 0."""
    there, here = Bench(host_clock=HostClock(offset_ns)), Bench()
    for bench in (there, here):
        bench.publisher.send_probes()
        bench.handle.reply(1)
        bench.begin(rate=1000, duration_ns=20 * MS)
        bench.tick(START + 30 * MS)
        bench.clock.now_ns += 5 * MS
        bench.handle.reply(20)
    moved = there.handle.stamps[1:].copy()
    moved["intended_ns"] -= offset_ns
    moved["sent_ns"] -= offset_ns

    assert there.handle.stamps["intended_ns"][0] == 0
    assert there.handle.stamps["intended_ns"][1] == START + offset_ns
    assert moved.tolist() == here.handle.stamps[1:].tolist()
    found = there.figures().histograms
    assert found.keys() == here.figures().histograms.keys()
    assert found[0, "publishResponse", None, 0].max_ns == 35 * MS


async def test_the_pacing_says_when_to_wake(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked with what is due next, and with what has been sent."""
    bench, asked = Bench(), []
    monkeypatch.setattr(EachPacing, "wake_at", lambda _self, *given: asked.append(given) or START + 77)
    bench.begin(rate=1000, duration_ns=SECOND)

    bench.tick(START + 2 * MS + 5)

    assert asked == [(START + 3 * MS, START + 2 * MS + 5, 3)]
    assert bench.pacer.at_ns == START + 77


async def test_what_leaves_together_is_counted_as_one_write() -> None:
    """However many chunks it is cut into; what two producers with room of their own send is two writes."""
    bench = Bench(mine=(0, 1), total=2)
    bench.begin(rate=1000, duration_ns=SECOND)

    bench.tick(START)
    bench.tick(START + 299 * MS)

    writes = bench.figures().histograms[0, "messagesPerWrite", None, 0]
    assert (writes.count, writes.sum_ns, writes.min_ns, writes.max_ns) == (3, 300, 1, 150)


async def test_probes_are_no_writes_of_a_phase() -> None:
    """They are outside of every phase."""
    bench = Bench()
    bench.publisher.send_probes()
    bench.begin(rate=1000, duration_ns=SECOND)

    bench.tick(START)

    assert bench.figures().histograms[0, "messagesPerWrite", None, 0].sum_ns == 1


async def test_a_batching_producer_sends_an_intervals_messages_at_its_beginning() -> None:
    """They are due then, so none of them is late, and it is woken for the next batch."""
    bench = Bench(batch_ns=10 * MS)
    bench.begin(rate=1000, duration_ns=SECOND)

    bench.tick(START)

    assert bench.handle.stamps["intended_ns"].tolist() == [START] * 10
    assert bench.pacer.at_ns == START + 10 * MS
    bench.tick(START + 10 * MS)
    bench.publisher.stop_sending()
    bench.handle.reply(20)
    figures = bench.figures()
    assert greatest(figures, "scheduleLag") == 0
    assert figures.histograms[0, "messagesPerWrite", None, 0].min_ns == 10


async def test_messages_sent_together_share_a_send_time_by_chunks() -> None:
    """A tick that is late sends all that is due; stamping many is not counted as service of the first."""
    bench = Bench()
    bench.begin(rate=1000, duration_ns=SECOND)

    bench.tick(START + SECOND // 2)

    assert max(size for _, size in bench.handle.blocks) == MOST_PER_BATCH
    assert len(bench.handle.sent) == 501
    assert bench.handle.stamps["intended_ns"].tolist() == [START + at * MS for at in range(501)]


async def test_a_huge_debt_is_sent_in_turns_of_the_loop() -> None:
    """Replies and other callbacks get a turn in between, and nothing of the debt is forgiven."""
    bench = Bench()
    bench.begin(rate=10_000, duration_ns=2 * SECOND)

    bench.tick(START + 2 * SECOND)
    assert len(bench.handle.sent) == MOST_PER_TURN
    for _ in range(20_000 // MOST_PER_TURN + 1):
        await asyncio.sleep(0)

    assert len(bench.handle.sent) == 20_000


async def test_no_room_delays_but_forgives_nothing() -> None:
    """What could not be sent in time is sent late, each message with its own intended time."""
    bench = Bench(limit=10)
    bench.begin(rate=1000, duration_ns=100 * MS)

    bench.tick(START + 50 * MS)
    assert (len(bench.handle.sent), len(bench.handle.waiters)) == (10, 1)
    assert (bench.publisher.unanswered, bench.publisher.unsent) == (10, 90)
    bench.clock.now_ns = START + 200 * MS
    while bench.handle.blocks:
        bench.handle.reply(1)
        bench.handle.wake()
        assert bench.handle.most_in_flight == 10

    figures = bench.figures()
    assert bench.handle.stamps["intended_ns"].tolist() == [START + at * MS for at in range(100)]
    assert total(figures, "publish") == total(figures, "publishResponse") == events(figures, "published") == 100
    assert greatest(figures, "publishResponse") == 200 * MS


async def test_a_producer_without_room_holds_up_no_other() -> None:
    """The others go on by their schedule; what it could not send waits for its own room, and is blocked alone."""
    bench = Bench(mine=(0, 1, 2), total=3)
    bench.handles[1].limit = 2
    bench.begin(rate=1000, duration_ns=90 * MS)

    for at in range(91):
        bench.tick(START + at * MS)
    assert [len(handle.sent) for handle in bench.handles] == [30, 2, 30]
    assert len(bench.handles[1].waiters) == 1
    assert (bench.publisher.unsent, bench.publisher.overdue) == (28, 28)
    bench.handles[1].limit = 100
    bench.handles[1].wake()
    for handle in bench.handles:
        handle.reply(30)

    assert [handle.stamps["intended_ns"].tolist() for handle in bench.handles] == [
        [START + at * MS for at in range(first, 90, 3)] for first in range(3)
    ]
    figures = bench.figures()
    blocked, lag = (figures.histograms[0, name, None, 0] for name in ("blocked", "scheduleLag"))
    assert blocked.count - blocked.upto([0])[0] == 28
    assert (blocked.max_ns, lag.max_ns) == (83 * MS, 0)


async def test_producers_that_share_their_room_send_in_the_order_of_the_schedule() -> None:
    """What is due first leaves first when there is room again, and one of them asks for all."""
    bench = Bench(mine=(0, 1, 2), total=3)
    for handle in bench.handles[:2]:
        handle.shared, handle.limit = "one connection", 0
    bench.begin(rate=1000, duration_ns=9 * MS)
    bench.tick(START + 9 * MS)
    assert [len(handle.sent) for handle in bench.handles] == [0, 0, 3]
    assert [len(handle.waiters) for handle in bench.handles] == [1, 0, 0]

    bench.handles[0].limit = bench.handles[1].limit = 1
    bench.handles[0].wake()
    assert [handle.stamps["intended_ns"].tolist() for handle in bench.handles[:2]] == [[START], [START + MS]]


@pytest.mark.parametrize("since_room", [1, 5, 9])
async def test_what_had_no_room_is_told_of_each_partition(since_room: int) -> None:
    """Messages of several producers and partitions leave together; some were due before there was room, some after."""
    bench = Bench(mine=(0, 1), total=2, partitions=3)
    for handle in bench.handles:
        handle.shared = "one connection"
    bench.handles[0].limit = 0
    bench.begin(rate=1000, duration_ns=30 * MS)
    bench.tick(START)
    bench.handles[0].limit = 100
    bench.clock.now_ns = START + since_room * MS
    bench.clock.step_ns = 2 * MS  # it looks at what is due some time after it has learned of room
    bench.handles[0].wake()
    bench.clock.step_ns = 0
    for handle in bench.handles:
        handle.reply(handle.in_flight)

    blocked = bench.figures().histograms[0, "blocked", None, 0]
    assert blocked.count == since_room + 5
    assert blocked.count - blocked.upto([0])[0] == since_room + 2
    assert blocked.max_ns == (since_room + 2) * MS


async def test_the_delay_has_two_parts_that_are_told_apart() -> None:
    """Late because we looked late is schedule lag; late because there was no room is blocked."""
    bench = Bench(limit=1)
    bench.begin(rate=1000, duration_ns=2 * MS)

    bench.tick(START + 5 * MS)  # both are due; we look 5 and 4 ms late, and there is room for the first only
    bench.handle.reply(1)
    bench.clock.now_ns = START + 25 * MS
    bench.handle.wake()
    bench.handle.reply(1)

    figures = bench.figures()
    lag, blocked, delay = (figures.histograms[0, name, None, 0] for name in ("scheduleLag", "blocked", "publishDelay"))
    assert (lag.max_ns, lag.min_ns) == (5 * MS, 4 * MS)
    assert (blocked.max_ns, blocked.min_ns) == (20 * MS, 0)
    assert (delay.max_ns, delay.min_ns) == (24 * MS, 5 * MS)


async def test_what_becomes_due_while_there_is_no_room_was_not_overlooked() -> None:
    """All of its delay is the system's back-pressure, none of it ours."""
    bench = Bench(limit=1)
    bench.begin(rate=1000, duration_ns=11 * MS)
    bench.tick(START)
    bench.tick(START + MS)  # no room; from here on we wait for it
    bench.clock.now_ns = START + 10 * MS
    bench.handle.limit = 100
    bench.handle.wake()
    bench.handle.reply(11)

    figures = bench.figures()
    assert greatest(figures, "scheduleLag") == 0
    assert greatest(figures, "blocked") == 9 * MS


async def test_a_worker_without_a_core_is_late_by_itself() -> None:
    """What it was kept from running counts as schedule lag, though it also waited for room then."""
    bench = Bench(limit=1)
    bench.begin(rate=1000, duration_ns=2 * MS)
    bench.tick(START + MS)  # room for the first only

    bench.held_up_ns = 15 * MS
    bench.clock.now_ns = START + 21 * MS
    bench.handle.reply(1)
    bench.handle.wake()
    bench.handle.reply(1)

    figures = bench.figures()
    assert greatest(figures, "blocked") == 5 * MS
    assert greatest(figures, "scheduleLag") == 15 * MS


async def test_the_time_that_sending_takes_is_ours() -> None:
    """Whoever finds a debt late and needs a while to send it was not held up by the system."""
    bench = Bench()
    bench.clock.step_ns = MS
    bench.begin(rate=1000, duration_ns=SECOND)
    bench.tick(START + SECOND)
    bench.handle.reply(len(bench.handle.sent))

    figures = bench.figures()
    assert greatest(figures, "blocked") == 0
    assert greatest(figures, "scheduleLag") == greatest(figures, "publishDelay") > SECOND


async def test_a_tick_while_waiting_for_room_does_nothing() -> None:
    """Only the producer's word that there is room sets it going again."""
    bench = Bench(limit=1)
    bench.begin(rate=1000, duration_ns=10 * MS)
    bench.tick(START + 5 * MS)
    bench.handle.limit = 100

    bench.tick(START + 6 * MS)

    assert len(bench.handle.sent) == 1
    assert len(bench.handle.waiters) == 1


async def test_halt_counts_what_was_due_and_never_sent() -> None:
    """Each stands at (now - intended); what was not due yet is no debt, and nothing is sent afterwards."""
    bench = Bench(limit=4)
    bench.begin(rate=1000, duration_ns=SECOND)
    bench.tick(START + 9 * MS)

    bench.clock.now_ns = START + 19 * MS
    bench.publisher.stop_sending()
    bench.handle.limit = 100
    bench.handle.wake()
    bench.tick(START + 30 * MS)

    figures = bench.figures()
    unsent = figures.histograms[0, "unsent", None, 0]
    assert (unsent.count, unsent.max_ns, unsent.min_ns) == (16, 15 * MS, 0)
    assert len(bench.handle.sent) == 4
    assert bench.publisher.unsent == 0


async def test_of_very_many_unsent_messages_the_count_stays_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some stand for their neighbours, which costs neither time nor a message."""
    monkeypatch.setattr("ombdriver.bench.worker.publisher.MOST_UNSENT_SAMPLES", 7)
    bench = Bench(limit=0)
    bench.begin(rate=1000, duration_ns=SECOND)
    bench.tick(START + 99 * MS)

    bench.publisher.stop_sending()

    unsent = bench.figures().histograms[0, "unsent", None, 0]
    assert (unsent.count, unsent.max_ns) == (100, 99 * MS)


async def test_a_new_phase_starts_a_schedule_of_its_own() -> None:
    """After a halt in mid-flight, replies of the old phase are booked there, and the new one is complete."""
    bench = Bench(limit=5)
    bench.begin(rate=1000, duration_ns=10 * MS)
    bench.tick(START + 9 * MS)
    bench.publisher.stop_sending()
    bench.begin(rate=500, duration_ns=10 * MS, index=1, start_ns=START + SECOND)
    assert bench.pacer.at_ns == START + SECOND
    bench.handle.wake()
    assert len(bench.handle.sent) == 5

    bench.clock.now_ns = START + 2 * SECOND
    bench.handle.reply(5)
    bench.pacer.fire()
    bench.handle.reply(5)

    figures = bench.figures()
    counts = {key[0]: histogram.count for key, histogram in figures.histograms.items() if key[1] == "publish"}
    assert counts == {0: 5, 1: 5}
    assert bench.handle.stamps["sequence"].tolist() == list(range(10))


async def test_a_prolonged_phase_sends_the_longer_schedule() -> None:
    """As if it had been that long from the beginning: nothing twice, nothing left out, whenever it is prolonged."""
    for prolonged_at in (START - MS, START + 4 * MS, START + 10 * MS, START + 15 * MS):
        bench = Bench()
        bench.begin(rate=1000, duration_ns=10 * MS)
        bench.clock.now_ns = prolonged_at
        bench.pacer.fire()
        bench.publisher.extend_phase(Phase(0, "measure", START, 20 * MS, 1000))
        bench.tick(START + 30 * MS)

        assert bench.handle.stamps["intended_ns"].tolist() == [START + at * MS for at in range(20)]
        assert bench.publisher.unsent == 0


async def test_errors_are_counted_and_are_no_latency() -> None:
    """A failed message is in no latency family; its error is told by its text, and how often it was met."""
    bench = Bench()
    bench.begin(rate=1000, duration_ns=10 * MS)
    bench.tick(START + 10 * MS)

    bench.handle.reply(3, ValueError("no"))
    bench.handle.reply(5)
    bench.handle.reply(2, ValueError("no"))

    replies, figures = bench.publisher.in_flight, bench.figures()
    assert (replies.replied, replies.failed) == (10, 5)
    assert replies.errors == {"ValueError: no": 5}
    assert total(figures, "publish") == events(figures, "published") == 5
    assert total(figures, "failed") == events(figures, "failed") == 5


async def test_keys_and_payloads_follow_their_messages_into_the_partitions() -> None:
    """Each message keeps its key, and each partition's messages keep their order."""
    spec = PayloadSpec(size=STAMP.size + 8, keys="KEY_ROUND_ROBIN")
    bench = Bench(partitions=4, spec=spec)
    bench.begin(rate=1000, duration_ns=200 * MS)
    bench.tick(START + 200 * MS)

    keys = KeySource.make(spec, 0)
    assert keys is not None
    by_time = sorted(bench.handle.sent, key=lambda each: STAMP.unpack_from(each[2])[0])
    assert [key for *_, key in by_time] == keys.keys(200)
    for partition in range(4):
        mine = [each for each in bench.handle.sent if each[1] == partition]
        stamps = [STAMP.unpack_from(payload) for _, _, payload, _ in mine]
        assert [stamp[6] for stamp in stamps] == list(range(len(mine)))
        assert all(
            stamp[4] == partition and key is not None and key[0] % 4 == partition
            for stamp, (*_, key) in zip(stamps, mine, strict=True)
        )


async def test_a_probe_goes_to_every_partition_and_is_of_no_phase() -> None:
    """Probes bear no intended time, are not part of any family, and take no sequence number."""
    bench = Bench(mine=(0, 1), total=2, partitions=3)
    bench.publisher.send_probes()
    for handle in bench.handles:
        handle.reply(3)
    bench.begin(rate=1000, duration_ns=6 * MS)
    bench.tick(START + 6 * MS)

    for handle in bench.handles:
        stamps = handle.stamps
        assert stamps["partition"][:3].tolist() == [0, 1, 2]
        assert stamps["intended_ns"][:3].tolist() == [0, 0, 0]
        assert stamps["sequence"].tolist() == [PROBE_SEQUENCE] * 3 + [0] * 3
    figures = bench.figures()
    assert {family for _, family, _, _ in figures.histograms} == {"messagesPerWrite"}
    assert not figures.counts
    assert (bench.publisher.sent, bench.publisher.unanswered) == (12, 6)


async def test_probes_of_many_partitions_leave_in_pieces_and_wait_for_room() -> None:
    """All of ten thousand at once would be a burst of many megabytes; those not sent yet are told as unsent."""
    bench = Bench(partitions=2 * PROBES_PER_TURN, limit=PROBES_PER_TURN + 100)

    bench.publisher.send_probes()
    assert (bench.publisher.sent, bench.publisher.unsent) == (PROBES_PER_TURN, PROBES_PER_TURN)
    await asyncio.sleep(0)
    assert bench.publisher.sent == PROBES_PER_TURN + 100
    bench.handle.reply(PROBES_PER_TURN)
    bench.handle.wake()

    assert (bench.publisher.sent, bench.publisher.unsent) == (2 * PROBES_PER_TURN, 0)
    assert bench.handle.stamps["partition"].tolist() == list(range(2 * PROBES_PER_TURN))


async def test_everything_is_kept_at_every_producer_when_asked() -> None:
    """The order reaches all producers, and so does its end; closing ends the pacer."""
    bench = Bench(mine=(0, 1), total=2)
    bench.publisher.hold_trimming(True)
    assert [handle.keeping for handle in bench.handles] == [True, True]
    bench.publisher.hold_trimming(False)
    assert [handle.keeping for handle in bench.handles] == [False, False]
    await bench.publisher.aclose()
    assert bench.pacer.closed
    assert repr(bench.publisher) == "<Publisher 0 sent, 0 to send, 0 in flight>"


async def test_a_cap_of_one_closes_the_loop() -> None:
    """The next message waits for the reply to the last one; it keeps its intended time, and the wait is blocked."""
    bench = Bench(max_in_flight=1)
    bench.begin(rate=1000, duration_ns=5 * MS)

    bench.tick(START + 4 * MS)
    for _ in range(5):
        bench.clock.now_ns += 10 * MS
        bench.handle.reply(1)
        await asyncio.sleep(0)

    figures = bench.figures()
    assert bench.handle.most_in_flight == 1
    assert bench.handle.stamps["intended_ns"].tolist() == [START + at * MS for at in range(5)]
    assert greatest(figures, "publish") == 10 * MS
    assert greatest(figures, "publishResponse") == 50 * MS
    assert greatest(figures, "scheduleLag") == 4 * MS


async def test_a_cap_holds_for_each_producer() -> None:
    """A producer at its cap waits when its turn comes; before that the others send."""
    bench = Bench(mine=(0, 1, 2), total=3, max_in_flight=2)
    bench.begin(rate=1000, duration_ns=100 * MS)

    bench.tick(START + 90 * MS)
    assert [handle.most_in_flight for handle in bench.handles] == [2, 2, 2]
    bench.handles[0].reply(1)
    await asyncio.sleep(0)

    assert [len(handle.sent) for handle in bench.handles] == [3, 2, 2]
    assert bench.publisher.unanswered == 6


async def test_what_is_sent_carries_a_checksum_if_asked_for() -> None:
    """The workload's option covers every message, probes too."""
    bench = Bench(spec=PayloadSpec(size=STAMP.size + 8, checksums=True))
    bench.begin(rate=1000, duration_ns=10 * MS)

    bench.publisher.send_probes()
    bench.tick(START + 10 * MS)

    payloads = [payload for _, _, payload, _ in bench.handle.sent]
    assert len(payloads) == 11
    assert count_corrupt(payloads, RUN) == 0
    assert all(bench.handle.stamps["checksum"])
