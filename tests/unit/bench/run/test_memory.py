"""When a phase has to end since memory is short: looks at servers and at a machine, on a clock of the test's."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from small_plan import plan_of

from ombdriver.bench.drivers.redis_streams.memory import read_memory
from ombdriver.bench.drivers.sample import ServerMemory
from ombdriver.bench.run.memory import (
    CLOSE_LOOK_S,
    LOOK_S,
    MACHINE_RESERVE,
    MemoryForecast,
    MemoryMonitor,
    MemoryUse,
    memory_uses,
)
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.telemetry.machine import Memory

MIB, GIB = 1 << 20, 1 << 30
FAST = 1.0 * GIB


def server(used: float, limit: int = GIB) -> Sequence[MemoryUse]:
    """A server that has so much of its limit in use."""
    return memory_uses([ServerMemory("h:1", int(used), limit)], None)


def filled(
    used: Callable[[float], float], asked: float, limit: int = GIB, until_s: float = 60.0
) -> tuple[float, float, str] | None:
    """When a forecast ends the phase, what was in use then, and its sentence; None when it never does."""
    forecast, now_s = MemoryForecast(), 0.0
    while now_s < until_s:
        shortage, wait_s = forecast.add(now_s, server(used(now_s), limit), asked)
        if shortage is not None:
            return now_s, used(now_s), shortage
        now_s += wait_s
    return None


@pytest.mark.parametrize("rate", [0.1 * MIB, 1.0 * MIB, 20.0 * MIB, 100.0 * MIB, 400.0 * MIB])
def test_a_server_that_fills_is_seen_before_it_is_full(rate: float) -> None:
    """At any rate, and not before it is nearly so: within what comes in until the next look."""
    found = filled(lambda now_s: rate * now_s, rate, until_s=2 * GIB / rate)

    assert found is not None
    _, used, said = found
    assert used < GIB
    assert used >= 0.95 * GIB - rate * LOOK_S - 1
    assert f"the server h:1 (its maxmemory) had {used / MIB:.0f} MiB of 1 GiB"[:40] in said
    assert "a second" in said


def test_a_burst_below_the_limit_ends_nothing() -> None:
    """A server that grows fast to what its retention keeps, four fifths of its limit, is not full."""
    assert filled(lambda now_s: min(0.8 * GIB, 50 * MIB * now_s), 50.0 * MIB) is None


def test_a_server_that_was_nearly_full_is_not_held_against_the_run() -> None:
    """97 % were in use when the phase began, and it stays about there."""
    assert filled(lambda now_s: (0.97 + 0.002 * (now_s % 2)) * GIB, 0.1 * MIB) is None
    assert filled(lambda now_s: 0.97 * GIB + MIB * now_s, MIB) is not None


def test_what_was_full_when_a_phase_began_may_be_trimmed() -> None:
    """A probe of a search begins with what the one before it has left, which its first messages trim."""
    forecast = MemoryForecast()
    forecast.add(0.0, server(0.98 * GIB), FAST)
    forecast.begin()

    found = [forecast.add(at, server((0.98 - 0.3 * at) * GIB), FAST)[0] for at in (0.0, 0.2, 0.4, 1.0)]

    assert found == [None] * 4


def test_looks_come_close_only_where_memory_may_be_short_soon() -> None:
    """By what is asked for, before anything was seen; or by what was seen."""
    assert MemoryForecast().add(0.0, server(0), MIB) == (None, LOOK_S)
    assert MemoryForecast().add(0.0, server(0), FAST) == (None, CLOSE_LOOK_S)
    forecast = MemoryForecast()
    forecast.add(0.0, server(0), MIB)
    assert forecast.add(1.0, server(300 * MIB), MIB) == (None, CLOSE_LOOK_S)


def test_each_server_of_a_cluster_counts_by_itself() -> None:
    """One that is full is told, however much the others have."""
    forecast = MemoryForecast()
    for at, used in ((0.0, 0), (1.0, 500 * MIB), (1.2, 600 * MIB), (1.4, 980 * MIB)):
        uses = memory_uses([ServerMemory("h:1", 0, GIB), ServerMemory("h:2", used, GIB)], None)
        shortage, _ = forecast.add(at, uses, FAST)

    assert shortage is not None
    assert shortage.startswith("the server h:2 (its maxmemory)")


def test_a_machine_keeps_a_reserve_whatever_its_servers_say() -> None:
    """One without a limit is seen by the machine: this one if it runs here, else the one that it tells of."""
    unlimited = ServerMemory("h:1", 5 * GIB, None, resident=6 * GIB, machine=16 * GIB)
    (here,) = memory_uses([unlimited], Memory(2 * GIB, 8 * GIB))
    (there,) = memory_uses([unlimited], None)

    assert (here.what, here.left, here.total, here.least) == ("this machine", 2 * GIB, 8 * GIB, MACHINE_RESERVE)
    assert (there.what, there.left) == ("the machine of the server h:1", 10 * GIB)
    assert memory_uses([ServerMemory("h:1", 5)], None) == []
    forecast = MemoryForecast()
    forecast.add(0.0, [MemoryUse("this machine", 900 * MIB, 2 * GIB, MACHINE_RESERVE)], MIB)
    assert forecast.add(1.0, [MemoryUse("this machine", 600 * MIB, 2 * GIB, MACHINE_RESERVE)], MIB)[0] is None
    assert forecast.add(1.2, [MemoryUse("this machine", 280 * MIB, 2 * GIB, MACHINE_RESERVE)], MIB)[0] is not None


def test_each_server_without_a_limit_is_seen_by_the_machine_that_it_is_on() -> None:
    """Primaries and replicas alike; of those here, this machine tells more than they could."""
    servers = [
        ServerMemory("h:1", 5, None, resident=6 * GIB, machine=8 * GIB),
        ServerMemory("h:2", 5, None, resident=6 * GIB, machine=16 * GIB, is_elsewhere=True),
        ServerMemory("h:3", 5, None, resident=6 * GIB, machine=7 * GIB, is_replica=True, is_elsewhere=True),
        ServerMemory("h:4", 5, 9 * GIB, resident=6 * GIB, machine=32 * GIB, is_replica=True, is_elsewhere=True),
    ]

    assert {each.what: each.left for each in memory_uses(servers, Memory(2 * GIB, 8 * GIB))} == {
        "the replica h:4 (its maxmemory)": 9 * GIB - 5,
        "this machine": 2 * GIB,
        "the machine of the server h:2": 10 * GIB,
        "the machine of the replica h:3": GIB,
    }


@pytest.mark.parametrize(
    ("info", "limit"),
    [
        ("used_memory:500\r\nmaxmemory:1000\r\nmaxmemory_policy:noeviction\r\n", 1000),
        ("used_memory:500\r\nmaxmemory:1000\r\nmaxmemory_policy:volatile-lru\r\n", 1000),
        ("used_memory:500\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n", None),
        ("used_memory:500\r\nmaxmemory:0\r\n", None),
        ("used_memory:500\r\nmaxmemory:unlimited\r\n", None),
        ("used_memory:500\r\n", None),
    ],
)
def test_what_info_says_of_memory_is_read(info: str, limit: int | None) -> None:
    """A server that evicts any key is never full; what is missing or no number counts as not known."""
    found = read_memory(info.encode(), "h:1")

    assert found is not None
    assert (found.used, found.limit) == (500, limit)


def test_buffers_of_replicas_do_not_count_and_nothing_said_is_nothing_known() -> None:
    """As the server itself counts them."""
    found = read_memory(b"used_memory:500\r\nmem_not_counted_for_evict:100\r\nmaxmemory:600\r\n", "h:1")

    assert found == ServerMemory("h:1", 400, 600)
    assert read_memory(b"# Memory\r\n", "h:1") is None


async def test_a_server_that_is_full_by_a_fault_does_not_end_the_run() -> None:
    """Nor does what was asked before the fault and answered in it, or asked in it and answered after that."""
    answered = asyncio.Event()
    full = [ServerMemory("h:1", GIB, GIB)]

    async def ask() -> Sequence[ServerMemory]:
        await answered.wait()
        return full

    monitor = MemoryMonitor(plan_of(Setup.parse("{name: m, driver: memory}", "m.yaml")), ask, None)
    begun_before = asyncio.ensure_future(monitor._servers())
    await asyncio.sleep(0)
    with monitor.limits_of_a_fault():
        answered.set()
        assert await begun_before == ()
        assert await monitor._servers() == full
        monitor._look(full)
        answered.clear()
        begun_in_it = asyncio.ensure_future(monitor._servers())
        await asyncio.sleep(0)
    answered.set()
    assert await begun_in_it == ()
    assert monitor.shortage is None

    monitor._look(await monitor._servers())
    assert monitor.shortage is not None
