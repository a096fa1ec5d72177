"""`Publisher`: whatever happens in whatever order, nothing is lost, doubled or invented."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_publisher import MS, SECOND, START, Bench, events, total

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.load.poisson import PoissonArrivals
from ombdriver.bench.load.profile import constant
from ombdriver.bench.load.schedule import Schedule
from ombdriver.bench.metrics.recorder import Metrics
from ombdriver.errors import OutcomeUnknown


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 7).flatmap(lambda count: st.tuples(st.just(count), st.permutations(range(count)))),
    st.integers(1, 3),
    st.integers(1, 2_000_000),
)
def test_publishers_together_send_exactly_the_one_schedule(
    producers: tuple[int, list[int]], workers: int, rate: int
) -> None:
    """However the producers are dealt out to workers: no message is missing, doubled, or anybody else's."""
    count, order = producers
    duration_ns = 300 * SECOND // rate

    async def run() -> list[tuple[int, int]]:
        sent = []
        for worker in range(workers):
            mine = sorted(order[worker::workers])
            if not mine:
                continue
            bench = Bench(mine, total=count)
            bench.begin(rate, duration_ns)
            for part in range(1, 4):
                bench.tick(START + part * duration_ns // 3)
            for index, handle in zip(mine, bench.handles, strict=True):
                assert set(handle.stamps["producer"].tolist()) <= {index}
                sent += [(int(each["intended_ns"]), int(each["producer"])) for each in handle.stamps]
        return sent

    schedule = Schedule(START, constant(rate, duration_ns))
    expected = [(schedule.intended(at), at % count) for at in range(schedule.total)]
    assert sorted(asyncio.run(run())) == sorted(expected)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 4),
    st.integers(1, 3),
    st.booleans(),
    st.lists(st.tuples(st.integers(1, 150 * MS), st.integers(0, 40)), min_size=1, max_size=5),
    st.booleans(),
)
def test_publishers_that_take_over_from_one_another_send_the_one_schedule(
    producers: int, partitions: int, together: bool, lives: list[tuple[int, int]], random: bool
) -> None:
    """Each message once, in sequence, whenever one is killed and whatever it has in flight; evenly or at random."""
    duration_ns = 600 * MS
    phase = Phase(0, "measure", START, duration_ns, 1000, None, PoissonArrivals(7, producers) if random else None)

    async def run() -> None:
        counts: dict[int, int] = {}
        sent: dict[int, list[int]] = {}
        now_ns = START
        for lasts_ns, replies in [*lives, (duration_ns, 0)]:
            bench = Bench(range(producers), producers, partitions)
            for handle in bench.handles:
                handle.shared = together
                for flow in handle.sender.flows:
                    handle.sender.go_on(flow, counts.get(flow.number, 0), counts.get(flow.number, 0))
            bench.recorder.begin_phase(phase)
            bench.publisher.begin_phase(phase)
            now_ns += lasts_ns
            bench.tick(now_ns)
            for handle in bench.handles:
                handle.reply(min(replies, handle.in_flight))
            bench.publisher.give_up(OutcomeUnknown("killed"))
            figures = bench.figures()
            assert total(figures, "publish") + total(figures, "failed") == bench.publisher.sent
            assert bench.publisher.unanswered == 0
            report = bench.publisher.take_report()
            counts = {flow: number for flow, number, _ in report.flows.tolist()}
            assert all(number == replied for _, number, replied in report.flows.tolist())
            assert report.indeterminate[:, 2].sum() == total(figures, "failed")
            for handle in bench.handles:
                for each in handle.stamps:
                    flow = int(each["producer"]) * partitions + int(each["partition"])
                    assert int(each["sequence"]) == len(sent.setdefault(flow, []))
                    sent[flow].append(int(each["intended_ns"]))
        stripe = phase.stripe(producers, range(producers))
        due = stripe.due(START + duration_ns)
        assert sorted(at for times in sent.values() for at in times) == sorted(stripe.intended_of(range(due)))

    asyncio.run(run())


steps = st.lists(
    st.one_of(
        st.tuples(st.just("time"), st.integers(0, 40 * MS)),
        st.tuples(st.just("reply"), st.integers(1, 60)),
        st.tuples(st.just("fail"), st.integers(1, 60)),
        st.tuples(st.just("room"), st.integers(0, 80)),
        st.tuples(st.just("fold"), st.just(0)),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=150)
@given(steps, st.sampled_from([1, 3]), st.integers(1, 3), st.booleans(), st.booleans())
def test_every_message_is_booked_exactly_once(
    script: list[tuple[str, int]], partitions: int, producers: int, halted: bool, together: bool
) -> None:
    """Whatever the order of time, room and replies: due = acknowledged + failed + unsent, each in its own interval."""

    async def run() -> None:
        bench = Bench(range(producers), producers, partitions, limit=30)
        for handle in bench.handles:
            handle.shared = together
        schedule = bench.begin(rate=1000, duration_ns=500 * MS)
        bench.clock.now_ns = START
        figures = Metrics()
        for step, value in script:
            if step == "time":
                bench.clock.now_ns += value
                if bench.pacer.at_ns is not None and bench.pacer.at_ns <= bench.clock.now_ns:
                    bench.pacer.fire()
            elif step == "fold":
                figures += bench.figures()
            for handle in bench.handles:
                if step in ("reply", "fail"):
                    handle.reply(min(value, handle.in_flight), OSError("lost") if step == "fail" else None)
                elif step == "room":
                    handle.limit = value
                if handle.room() > 0:
                    handle.wake()
                assert handle.in_flight <= max(handle.most_in_flight, handle.limit)
        if not halted:  # then the drain: room for all, until everything is sent
            bench.clock.now_ns = max(bench.clock.now_ns, START + 600 * MS)
            for handle in bench.handles:
                handle.limit = 10**9
            bench.pacer.fire()
            for handle in bench.handles:
                handle.wake()
        bench.publisher.stop_sending()
        for handle in bench.handles:
            handle.reply(handle.in_flight)
        figures += bench.figures()

        due, sent = schedule.due(bench.clock.now_ns), sum(len(handle.sent) for handle in bench.handles)
        acknowledged, failed, unsent = (total(figures, name) for name in ("publish", "failed", "unsent"))
        assert acknowledged + failed == sent == bench.publisher.sent
        assert acknowledged + failed + unsent == due
        assert halted or not unsent
        assert events(figures, "published") == acknowledged
        assert events(figures, "failed") == failed == bench.publisher.in_flight.failed
        assert total(figures, "publishDelay") == total(figures, "publishResponse") == acknowledged
        for name in ("publish", "publishDelay", "publishResponse", "scheduleLag", "blocked", "unsent"):
            negative = sum(h.negative for key, h in figures.histograms.items() if key[1] == name)
            assert negative == 0, name

    asyncio.run(run())


looks = st.lists(
    st.one_of(
        st.tuples(st.just("time"), st.integers(0, 3), st.integers(0, 40)),
        st.tuples(st.just("room"), st.integers(0, 3), st.integers(0, 30)),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=100)
@given(looks, st.lists(st.sampled_from("abcd"), min_size=4, max_size=4), st.sampled_from([None, 1, 5]), st.booleans())
def test_nobody_waits_for_a_room_that_is_not_its_own(
    script: list[tuple[str, int, int]], shared: list[str], cap: int | None, random: bool
) -> None:
    """Whatever has room, and has it with whom: a producer owes nothing, or somebody it shares its room with has none.

    A cap of its own makes a producer independent of all others.
    """

    async def run() -> None:
        bench = Bench(range(4), 4, limit=5, max_in_flight=cap)
        for handle, room in zip(bench.handles, shared, strict=True):
            handle.shared = room
        phase = Phase(0, "measure", START, 500 * MS, 1000, None, PoissonArrivals(7, 4) if random else None)
        bench.recorder.begin_phase(phase)
        bench.publisher.begin_phase(phase)
        bench.clock.now_ns = START
        for step, who, value in script:
            if step == "time":
                bench.clock.now_ns += value * MS
                bench.pacer.fire()
            else:
                handle = bench.handles[who]
                handle.limit = value
                handle.reply(handle.in_flight)
                for each in bench.handles:
                    if each.sender.room() > 0:
                        each.wake()
                await asyncio.sleep(0)  # a producer at its cap is called in a later turn
                bench.pacer.fire()
            for number, handle in enumerate(bench.handles):
                due = phase.stripe(4, [number]).due(bench.clock.now_ns)
                mates = [at for at in range(4) if at == number or (cap is None and shared[at] == shared[number])]
                assert len(handle.sent) == due or any(bench.handles[at].sender.room() <= 0 for at in mates)

    asyncio.run(run())
