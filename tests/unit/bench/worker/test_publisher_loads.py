"""`Publisher` by rates that change and by random arrivals: it sends the one schedule, and forgives no debt."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_publisher import MS, SECOND, START, Bench, total

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.load.poisson import PoissonArrivals, PoissonStripe
from ombdriver.bench.load.profile import PARTS, Profile, Stretch, constant

RAMP = Profile((Stretch(100 * MS, 0, 4000), Stretch(50 * MS, 0, 0), Stretch(100 * MS, 1000, 1000)))


def phase(profile: Profile | None, producers: int, *, random: bool) -> Phase:
    """A phase of 250 ms."""
    return Phase(0, "measure", START, 250 * MS, 1000, profile, PoissonArrivals(3, producers) if random else None)


def intended(of: Phase, producers: int) -> list[tuple[int, int]]:
    """(time, producer) of every message of the one schedule, as a whole."""
    profile = of.profile or constant(of.rate, of.duration_ns)
    if of.poisson is None:
        return [(START + profile.time_of(at * PARTS), at % producers) for at in range(profile.total)]
    stripe = PoissonStripe(START, profile, of.poisson, range(producers), of.name)
    count = stripe.due(START + SECOND)
    return list(zip(stripe.intended_block(0, count), stripe.producers_of(0, count), strict=True))


def stamped(benches: Sequence[Bench]) -> list[tuple[int, int]]:
    """The same of what was sent."""
    handles = [handle for bench in benches for handle in bench.handles]
    return [(int(each["intended_ns"]), int(each["producer"])) for handle in handles for each in handle.stamps]


def started(of: Phase, mine: Sequence[int], producers: int, limit: int = 10**9) -> Bench:
    """A worker at the beginning of a phase."""
    bench = Bench(mine, producers, limit=limit)
    bench.recorder.begin_phase(of)
    bench.publisher.begin_phase(of)
    return bench


@settings(deadline=None, max_examples=40)
@given(
    owners=st.lists(st.integers(0, 2), min_size=1, max_size=6),
    profile=st.sampled_from([None, RAMP]),
    random=st.booleans(),
    looks=st.lists(st.integers(0, 300 * MS), max_size=5),
)
def test_publishers_together_send_exactly_the_one_schedule(
    owners: list[int], profile: Profile | None, random: bool, looks: list[int]
) -> None:
    """However the producers are dealt out to workers, and whenever these look: each message once, in time order."""

    async def run() -> None:
        of, producers = phase(profile, len(owners), random=random), len(owners)
        benches = []
        for worker in set(owners):
            bench = started(of, [at for at, owner in enumerate(owners) if owner == worker], producers)
            benches.append(bench)
            for look in [*sorted(looks), 300 * MS]:
                bench.tick(START + look)
                due = {time for time, _ in stamped([bench])}
                assert not due or max(due) <= START + look
                assert bench.publisher.overdue == 0
            assert bench.publisher.unsent == 0
            for handle in bench.handles:
                assert (handle.stamps["intended_ns"][1:] >= handle.stamps["intended_ns"][:-1]).all()
        assert sorted(stamped(benches)) == sorted(intended(of, producers))

    asyncio.run(run())


@pytest.mark.parametrize("profile", [None, RAMP])
@pytest.mark.parametrize("random", [False, True])
async def test_the_pacer_is_armed_for_the_next_message(profile: Profile | None, random: bool) -> None:
    """Also over a pause; and not at all after the last one."""
    of = phase(profile, 3, random=random)
    bench = started(of, (0, 1, 2), 3)
    times = [time for time, _ in intended(of, 3)]
    bench.tick(START)
    for _ in range(1_000):
        if bench.publisher.unsent == 0:
            break
        sent = len(stamped([bench]))
        assert bench.pacer.at_ns is not None
        assert bench.pacer.at_ns >= times[sent]
        bench.tick(bench.pacer.at_ns)
        assert len(stamped([bench])) > sent

    assert len(stamped([bench])) == len(times)


@pytest.mark.parametrize("random", [False, True])
async def test_no_room_delays_but_forgives_nothing(random: bool) -> None:
    """What a producer without room could not send is sent late, all of it with its own time."""
    of = phase(RAMP, 3, random=random)
    bench = started(of, (0, 1, 2), 3, limit=4)
    bench.tick(START + 99 * MS)
    assert all(handle.most_in_flight <= 4 for handle in bench.handles)
    assert bench.publisher.overdue == sum(time <= START + 99 * MS for time, _ in intended(of, 3)) - bench.publisher.sent

    bench.clock.now_ns = START + 400 * MS
    for _ in range(1_000):
        for handle in bench.handles:
            handle.reply(handle.in_flight)
            handle.wake()
    assert all(handle.most_in_flight <= 4 for handle in bench.handles)
    assert sorted(stamped([bench])) == sorted(intended(of, 3))


@pytest.mark.parametrize("random", [False, True])
async def test_halt_counts_what_was_due_and_never_sent(random: bool) -> None:
    """To the message; what was not due yet is no debt."""
    of = phase(RAMP, 2, random=random)
    bench = started(of, (0, 1), 2, limit=5)
    bench.tick(START + 60 * MS)
    bench.clock.now_ns = START + 80 * MS
    bench.publisher.stop_sending()

    due = sum(time <= START + 80 * MS for time, _ in intended(of, 2))
    assert total(bench.figures(), "unsent") == due - bench.publisher.sent > 0
    assert (bench.publisher.unsent, bench.publisher.overdue) == (0, 0)
