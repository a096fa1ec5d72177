"""The table of situations: what is done to a run, and the verdict and figures that must come of it.

Each is played with its own chance, which chooses what does not matter: the engine, the rate, when and how long exactly.
What must come follows from what was really done, as those who did it tell, not from what was asked for: a processor
that could not be taken, or a pause that became longer, changes what is right.
"""

import asyncio
import math
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.trust import driver, truth
from tests.trust.proxies import (
    CapacityProxy,
    CorruptingProxy,
    DelayingProxy,
    HoldingProxy,
    RefusingProxy,
    SwappingProxy,
)
from tests.trust.scene import CONSUMING, PRODUCING, Case, NotSetUpError, Scene

NEVER_NS = 2_000_000
NEVER_SHARE = 0.01
"""Up to so much the harness may be late, and for such a share of the window it may stand still (docs/verdict.md)."""
_OWN_RULES = ("scheduleLag", "runDelay", "starved", "stalls", "coreBusy", "collections", "throttled", "steal")
_MEDDLED = "{name: trust, driver: trust, server: {engine: valkey}}"
_MEMORY = "{name: trust, driver: memory}"


@dataclass(frozen=True, slots=True)
class Situation:
    """One line of the table.

    Attributes:
        kind: what is done; several may have one kind.
        name: which one of the kind it is.
        must: the statuses of which one must come; where that depends on what was really done, `play` says it.
        play: does it to a case.
        times: how often it is played in each round.
    """

    kind: str
    name: str
    must: tuple[str, ...]
    play: Callable[[Case], Awaitable[None]]
    times: int = 1


# -- healthy -----------------------------------------------------------------------------------------------------------


async def healthy(case: Case, rate: int, **workload: object) -> None:
    """Nothing is done to it."""
    load = {"producerRate": rate, "messageSize": case.random.choice((100, 500, 1000))} | workload
    async with case.server() as server, case.run(server, **load):
        pass
    _all_came(case)


async def healthy_in_memory(case: Case) -> None:
    """Producers and consumers in one process, without a server."""
    async with case.run(None, setup=_MEMORY, producerRate=case.random.choice((1000, 5000, 10_000))):
        pass
    _all_came(case)


async def slow_server(case: Case) -> None:
    """A server that takes its time, always the same, is slow and not overloaded."""
    delay_ms = case.random.choice((2, 5, 20, 50))
    async with (
        case.server() as server,
        DelayingProxy(server.url, lambda: delay_ms) as proxy,
        case.run(server, proxy.url, producerRate=1000),
    ):
        pass
    _all_came(case)
    case.near("p50 of publish (ms)", case.result.latency["publish"].p50 / 1e6, delay_ms, delay_ms * 1.05 + 2)


async def wall_clock_steps(case: Case) -> None:
    """The wall clock of both workers steps; no figure is taken by it."""
    step_s = case.random.choice((-3600, -0.5, 0.5, 3600))
    await _signalled(case, f"wall:{step_s}", (PRODUCING, CONSUMING), at=(0.5,))
    _all_came(case)
    case.holds("clockBackwards" not in case.caveats, "a latency was below 0")


def _all_came(case: Case) -> None:
    totals, delivery = case.result.totals, case.result.delivery
    case.holds(totals["unsent"] == totals["unanswered"] == totals["publishErrors"] == 0, f"not all was sent: {totals}")
    case.holds(all(each.received == each.acknowledged for each in delivery), "not all was received")


# -- this machine ------------------------------------------------------------------------------------------------------


async def starved(case: Case, share: float, worker: int) -> None:
    """A worker's core is taken for a share of the time by a process that goes first."""
    length_ms = case.random.choice((5, 10, 20))
    async with case.server() as server, case.run(server, producerRate=case.random.choice((1000, 2000, 5000))) as scene:
        core = _pinned(scene, scene.worker(worker))
        taking = await scene.meddle(core=core, share=share, length_ms=length_ms, real_time=True, seed=_seed(case))
    window = (scene.phase.start_ns, scene.phase.end_ns)
    if (taken := truth.share(taking.held, *window)) < 0.8 * share:
        raise NotSetUpError(f"only {taken:.0%} of the core could be taken")
    case.names(*_OWN_RULES)


async def starved_in_memory(case: Case, share: float) -> None:
    """A producer that needs all of its core shares it with a process that gets so much of it."""
    async with case.run(None, setup=_MEMORY, producerRate=1_500_000, testDuration="2s") as scene:
        core = _pinned(scene, scene.worker(PRODUCING))
        # A step of niceness is a factor of 1.25; the one that may go up is the worker.
        os.setpriority(os.PRIO_PROCESS, scene.worker(PRODUCING), min(19, _niceness() + 6))
        others = round(6 - math.log(share / (1 - share)) / math.log(1.25))
        await scene.meddle(core=core, niceness=others)
    case.names(*_OWN_RULES)


async def neighbour(case: Case, worker: int) -> None:
    """A busy process shares the core of a worker."""
    async with (
        case.server() as server,
        case.run(server, producerRate=case.random.choice((2000, 5000, 10_000))) as scene,
    ):
        await scene.meddle(core=_pinned(scene, scene.worker(worker)))
    case.names(*_OWN_RULES)


async def neighbour_of_started_server(case: Case) -> None:
    """A busy process shares the core of a server that the run has started, and may look at."""
    core = max(os.sched_getaffinity(0))
    setup = f"{{name: trust, driver: redis-streams, server: {{engine: valkey, cpus: [{core}]}}}}"
    async with case.run(None, setup=setup, producerRate=case.random.choice((1000, 2000))) as scene:
        await scene.meddle(core=core)
    case.names("serverStarved", *_OWN_RULES)


async def neighbour_of_server(case: Case) -> None:
    """A busy process shares the core of a server that is somebody else's: it takes the load, and its latencies rise."""
    async with case.server() as server, case.run(server, producerRate=1000) as scene:
        await scene.meddle(core=_pinned(scene, server.pid))
    if not case.rules:
        told = {"colocated", "stalls", "busyMachine", "ownShare"} & case.caveats
        case.holds(told, "nothing tells that the server had no core of its own")


async def held_up(case: Case, share: float, worker: int) -> None:
    """A worker stands still again and again."""
    length_ms = case.random.choice((2, 5, 10, 20, 50))
    async with case.server() as server, case.run(server, testDuration="4s") as scene:
        stopping = await scene.meddle(pids=[scene.worker(worker)], share=share, length_ms=length_ms, seed=_seed(case))
    _own_lateness(case, scene, stopping.held, "publishResponse" if worker == PRODUCING else "endToEndResponse")


async def collected(case: Case, worker: int) -> None:
    """The garbage collector of a worker runs again and again."""
    length_ms, every_s = case.random.choice(((5, 0.1), (10, 0.2), (30, 0.3), (40, 0.4)))
    at = [0.02 + n * every_s / 4 for n in range(int(3.9 / every_s))]
    scene, held = await _signalled(case, f"collect:{length_ms}", (worker,), at=at)
    _own_lateness(case, scene, held, "publishResponse" if worker == PRODUCING else "endToEndResponse")


def _own_lateness(case: Case, scene: Scene, held: Sequence[truth.Stretch], family: str) -> None:
    """What must come of a worker that stood still: it is INVALID from where its lateness is the p99."""
    window = (scene.phase.start_ns, scene.phase.end_ns)
    p99_ns, p95_ns = (truth.wait(held, *window, at) for at in (0.99, 0.95))
    told = case.result.latency[family]
    case.holds(
        told.p99 >= 0.9 * p99_ns - 1e6,
        f"p99 of {family} is {told.p99 / 1e6:.3g} ms, of which {p99_ns / 1e6:.3g} are ours",
    )
    if p99_ns > 1.3 * NEVER_NS or p95_ns > 1.3 * NEVER_NS:
        case.must = ("INVALID",)
        case.names(*_OWN_RULES)
    elif p99_ns > 0.6 * NEVER_NS or truth.share(held, *window) > 0.8 * NEVER_SHARE:
        case.must = ("INVALID", "VALID")  # at one of the bounds
        case.holds(case.rules or {"ownShare", "stalls"} & case.caveats, "nothing tells what was ours")
    else:
        case.must = ("VALID",)
        longest_ns = max((last - first for first, last in held), default=0)
        case.holds(longest_ns < 4 * NEVER_NS or {"ownShare", "stalls"} & case.caveats, "nothing tells what was ours")


# -- the system --------------------------------------------------------------------------------------------------------


async def throttled(case: Case, factor: float, **workload: object) -> None:
    """A server that takes so many times the load, and no more."""
    rate = case.random.choice((1000, 2000, 3000))
    load = {"producerRate": rate, "testDuration": "4s"} | workload
    async with (
        case.server() as server,
        CapacityProxy(server.url, factor * rate) as proxy,
        case.run(server, proxy.url, **load) as scene,
    ):
        pass
    if factor < 1:
        p99_ms = (1 / factor - 1) * 0.99 * scene.phase.duration_ns / 1e6
        case.near(
            "p99 of publishResponse (ms)",
            case.result.latency["publishResponse"].p99 / 1e6,
            0.9 * p99_ms,
            1.1 * p99_ms + 50,
        )


async def slow_consumers(case: Case, factor: float) -> None:
    """Consumers that take so many times the load, and no more."""
    rate = case.random.choice((500, 1000))
    work_us = round(1e6 / (factor * rate))
    async with (
        case.server() as server,
        case.run(server, producerRate=rate, testDuration="4s", consumerWork=f"{work_us}us"),
    ):
        pass
    if factor < 1:
        case.names("achieved", "backlogTrend", "latencyTrend")


async def paused(case: Case, where: str) -> None:
    """A server stands still once, and takes up what has piled up: who was due has waited, and it was all taken."""
    length = case.random.uniform(0.3, 0.8) / 4
    first = {
        "in mid-window": case.random.uniform(0.2, 0.7),
        "at the beginning": -0.3 * length,
        "at the end": 1 - 0.6 * length,
    }[where]
    rate = case.random.choice((1000, 2000))
    by_signal = case.random.random() < 0.5
    async with case.server() as server, case.run(server, producerRate=rate, testDuration="4s") as scene:
        if by_signal:
            stopping = await scene.meddle(
                pids=[server.pid], length_ms=4000 * length, between=(first, first + length), seed=_seed(case)
            )
        else:
            await scene.until(first)
            began_ns = _now_ns()
            await scene.rig.server.client_pause(round(4000 * length), all=True)
            await scene.rig.server.ping()
            held = [(began_ns, _now_ns())]
    _waited(case, scene, stopping.held if by_signal else held)


async def broken(case: Case, *, breaks: bool) -> None:
    """Sends are held, and handed on; or they fail, which must not make any latency better."""
    length = case.random.uniform(0.3, 0.8) / 4
    first = case.random.uniform(0.2, 0.6)
    async with (
        case.server() as server,
        HoldingProxy(server.url) as proxy,
        case.run(server, proxy.url, producerRate=case.random.choice((500, 1000)), testDuration="4s") as scene,
    ):
        await scene.until(first)
        held = await proxy.hold(scene.at_ns(first + length), breaks=breaks)
    _waited(case, scene, [held])
    if breaks:
        case.names("errors")
        case.holds("reconnects" in case.caveats, "no caveat tells of the lost connection")
        failed = case.result.totals["publishErrors"]
        most = (held[1] - held[0]) / 1e9 * case.result.target_publish_rate
        case.near("failed messages", failed, 0.9 * most - 20, 1.1 * most + 20)


def _waited(case: Case, scene: Scene, held: Sequence[truth.Stretch]) -> None:
    """The quantiles of the publish response are those of who waited."""
    longest_ns = max(last - first for first, last in held)
    for name, quantile in (("p99", 0.99), ("p99.9", 0.999)):
        at_least_ns = truth.wait(held, scene.phase.start_ns, scene.phase.end_ns, quantile)
        told_ns = case.result.latency["publishResponse"].ns(name) or 0
        case.near(
            f"{name} of publishResponse (ms)",
            told_ns / 1e6,
            (at_least_ns - 0.03 * longest_ns) / 1e6 - 3,
            (at_least_ns + 0.05 * longest_ns) / 1e6 + 30,
        )


async def changing(case: Case, how: str) -> None:
    """A server whose latency changes over the window, or waves: that of publishing, or of delivery."""
    of_reads = case.random.random() < 0.5
    base_ms = case.random.choice((4, 8, 16))
    # Where this machine stalls, a step in 40 intervals is missed in a few of 100 runs, and near an edge in more.
    seconds = 24 if how.startswith("late") else 8 if how.startswith("step") else 4
    began: list[Scene] = []

    def delay_ms() -> float:
        x = began[0].passed() if began else 0.0
        times = {
            "drift up": 1 + x,
            "drift down": 2 - x,
            "step up": 1 + (x > 0.5),
            "step down": 2 - (x > 0.5),
            "late step up": 1 + (x > 0.8),
            "late step down": 2 - (x > 0.8),
            "oscillation": 1.5 + 0.5 * math.sin(2 * math.pi * 8 * x),
        }
        return base_ms * times[how]

    async with (
        case.server() as server,
        DelayingProxy(server.url, delay_ms, of_reads=of_reads) as proxy,
        case.run(server, proxy.url, producerRate=1000, testDuration=f"{seconds}s") as scene,
    ):
        began.append(scene)
    if how == "oscillation":
        family, most = ("endToEnd", 3.6) if of_reads else ("publish", 1.8)  # a message may just have missed a read
        told_ms = case.result.latency[family].p50 / 1e6
        case.near(f"p50 of {family} (ms)", told_ms, 1.3 * base_ms, most * base_ms + 2)
    else:
        case.names("latencyTrend")


# -- messages ----------------------------------------------------------------------------------------------------------


async def lost(case: Case, count: int, *, trimmed: bool) -> None:
    """Entries are deleted, or trimmed, before a group that is held up has read them."""
    async with case.server() as server, case.run(server, warmupDuration="0s") as scene:
        rig = scene.rig
        key = await rig.measuring(500)
        rig.hold(CONSUMING)
        entries = await rig.not_delivered(key, count + 50)
        if trimmed:
            await rig.server.xtrim(key, minid=entries[count][0], approximate=False)
        else:
            await rig.server.xdel(key, *(entry_id for entry_id, _ in entries[20 : 20 + count]))
        rig.let_go()
    (told,) = case.result.delivery
    case.holds(
        (told.lost, told.trimmed) == ((0, count) if trimmed else (count, 0)),
        f"lost {told.lost}, trimmed {told.trimmed}, not {count}",
    )
    case.names("trimmed" if trimmed else "lost")


async def corrupted(case: Case, count: int) -> None:
    """A proxy changes a byte of the payload of some messages; each has a checksum."""
    async with case.server() as server, CorruptingProxy(server.url) as proxy:
        proxy.which = range(1001, 1001 + count)
        async with case.run(server, proxy.url, warmupDuration="0s", checksum="true"):
            pass
    (told,) = case.result.delivery
    case.holds(told.corrupt == count, f"corrupt {told.corrupt}, not {count}")
    case.names("corrupt")


async def duplicated(case: Case, count: int) -> None:
    """Somebody else writes messages of the run once more."""
    async with case.server() as server, case.run(server, warmupDuration="0s") as scene:
        key = await scene.rig.measuring(count + 50)
        for _, fields in (await scene.rig.server.xrange(key, count=count + 1))[1:]:  # the first one is a probe
            await scene.rig.server.xadd(key, fields)
    (told,) = case.result.delivery
    case.holds(told.duplicated == count, f"duplicated {told.duplicated}, not {count}")
    case.names("duplicated")


async def set_back(case: Case, count: int) -> None:
    """A group is set back, so that it is given entries again; its consumer was given none meanwhile."""
    async with case.server() as server, case.run(server, warmupDuration="0s") as scene:
        rig = scene.rig
        key = await rig.measuring(count + 500)
        rig.hold(CONSUMING)
        await rig.not_delivered(key, 50)
        reached = (await rig.group(key))["last-delivered-id"]
        before = await rig.server.xrevrange(key, max=reached, count=count + 1)
        await rig.server.xgroup_setid(key, "group-1", before[-1][0])
        rig.let_go()
    (told,) = case.result.delivery
    case.holds(told.redelivered == count, f"redelivered {told.redelivered}, not {count}")
    case.names("duplicated")


async def swapped(case: Case, count: int) -> None:
    """A proxy lets messages be overtaken by the ones behind them."""
    async with case.server() as server, SwappingProxy(server.url) as proxy:
        proxy.which = range(1001, 1001 + 2 * count, 2)
        async with case.run(server, proxy.url, warmupDuration="0s"):
            pass
    (told,) = case.result.delivery
    case.holds(told.reordered == count, f"reordered {told.reordered}, not {count}")
    case.holds("reordered" in case.caveats, "no caveat tells of it")


async def refused(case: Case, count: int) -> None:
    """The server refuses some sends."""
    async with case.server() as server, RefusingProxy(server.url) as proxy:
        proxy.which = range(1001, 1001 + count)
        async with case.run(server, proxy.url, warmupDuration="0s"):
            pass
    failed = case.result.totals["publishErrors"]
    case.holds(failed == count, f"{failed} messages failed, not {count}")
    case.holds("publishErrors" in case.caveats, "no caveat tells the error")
    if case.must == OVERLOADED:
        case.names("errors")


async def taken(case: Case, count: int) -> None:
    """Another member of the group takes messages, and acknowledges none."""
    async with case.server() as server, case.run(server, warmupDuration="0s", drainTimeout="1s") as scene:
        key = await scene.rig.measuring(500)
        left = count
        while left:
            for _, entries in await scene.rig.server.xreadgroup("group-1", "thief", {key: ">"}, count=left, block=100):
                left -= len(entries)
    (told,) = case.result.delivery
    case.holds(told.undelivered == count, f"undelivered {told.undelivered}, not {count}")
    case.holds("undelivered" in case.caveats, "no caveat tells of it")
    if case.must == OVERLOADED:
        case.names("undelivered")


# -- clocks, and the end -----------------------------------------------------------------------------------------------


async def clock_steps(case: Case, sign: int) -> None:
    """The clock by which consumers take arrivals steps in mid-window."""
    await _signalled(case, f"clock:{sign * case.random.choice((3, 5, 20))}", (CONSUMING,), at=(0.5,))
    if sign < 0:
        case.names("clock")
        case.holds("clockBackwards" in case.caveats, "no caveat tells of latencies below 0")


async def killed(case: Case, which: int | None) -> None:
    """A worker, or the server, dies."""
    async with case.server() as server, case.run(server) as scene:
        await scene.until(case.random.uniform(0.3, 0.7))
        os.kill(server.pid if which is None else scene.worker(which), signal.SIGKILL)


async def _signalled(
    case: Case, what: str, workers: Sequence[int], at: Sequence[float]
) -> tuple[Scene, list[truth.Stretch]]:
    """A run of 4 s whose workers do `what` from within, at these shares of the window; what they tell of it."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trust-")))
        account = folder / "account"
        account.touch()
        for name, value in ((driver.MEDDLING, what), (driver.ACCOUNT, str(account))):
            os.environ[name] = value
            stack.callback(os.environ.pop, name)
        server = await stack.enter_async_context(case.server())
        async with case.run(server, setup=_MEDDLED, testDuration="4s") as scene:
            for share in at:
                await scene.until(share)
                for worker in workers:
                    os.kill(scene.worker(worker), signal.SIGUSR1)
        pairs = [line.split() for line in account.read_text().splitlines()]
        return scene, [(int(first), int(last)) for first, last in pairs]


def _seed(case: Case) -> int:
    return case.random.randrange(2**31)


def _now_ns() -> int:
    return round(asyncio.get_running_loop().time() * 1e9)


def _niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def _pinned(scene: Scene, pid: int) -> int:
    """The last core, which is now the only one that a process may use."""
    core = max(os.sched_getaffinity(pid))
    scene.pin(pid, core)
    return core


VALID, INVALID, OVERLOADED, UNSTEADY = ("VALID",), ("INVALID",), ("OVERLOADED",), ("UNSTEADY",)
_WORKERS = (("producer", PRODUCING), ("consumer", CONSUMING))
_COUNTS = (1, 10, 1000)
_PARTS = ("up to 0.1 %", "more than 0.1 %", "more than 0.1 %")
_BY_COUNT = (VALID, OVERLOADED, OVERLOADED)
"""What must come of so many messages that fail; 0.1 % of those of the window are 6."""

SITUATIONS = (
    *(
        Situation(
            "nothing",
            f"{rate:,} messages/s, {groups} groups",
            VALID,
            partial(healthy, rate=rate, subscriptionsPerTopic=groups),
            2,
        )
        for rate, groups in ((500, 3), (2000, 2), (5000, 1), (10_000, 1), (20_000, 1))
    ),
    Situation("nothing", "random arrivals", VALID, partial(healthy, rate=2000, arrivals="poisson"), 2),
    Situation("nothing", "in memory", VALID, healthy_in_memory, 2),
    Situation("nothing, on a slow server", "always the same delay", VALID, slow_server, 2),
    *(
        Situation(
            f"a {name}'s core is taken for 20, 40, 60 % of the time",
            f"{share:.0%}",
            INVALID,
            partial(starved, share=share, worker=worker),
        )
        for name, worker in _WORKERS
        for share in (0.2, 0.4, 0.6)
    ),
    *(
        Situation(
            "a producer that needs all of its core gets 80, 60, 40 % of it",
            f"{1 - share:.0%}",
            INVALID,
            partial(starved_in_memory, share=share),
        )
        for share in (0.2, 0.4, 0.6)
    ),
    *(
        Situation(
            f"a {name} stands still for 0.5 to 35 % of the time, 2 to 50 ms at once",
            f"{share:.1%}",
            INVALID,
            partial(held_up, share=share, worker=worker),
        )
        for name, worker in reversed(_WORKERS)
        for share in (0.005, 0.01, 0.05, 0.2, 0.35)
    ),
    *(
        Situation("the garbage collector holds a worker up", name, INVALID, partial(collected, worker=worker))
        for name, worker in _WORKERS
    ),
    *(
        Situation("a busy process on a worker's core", name, INVALID, partial(neighbour, worker=worker))
        for name, worker in _WORKERS
    ),
    Situation("a busy process on the server's core", "started", INVALID, neighbour_of_started_server),
    Situation("a busy process on the server's core", "by URL", ("VALID", "INVALID", "UNSTEADY"), neighbour_of_server),
    Situation("the server takes 0.9 of the load", "0.9", OVERLOADED, partial(throttled, factor=0.9)),
    Situation("the server takes 0.99 of the load", "0.99", ("OVERLOADED", "UNSTEADY"), partial(throttled, factor=0.99)),
    Situation(
        "the server takes 0.97 of the load, and there are too few intervals for trends",
        "0.97",
        OVERLOADED,
        partial(throttled, factor=0.97, sampleInterval="1s", testDuration="6s"),
    ),
    Situation("the server takes 1.01 of the load", "1.01", ("VALID", "UNSTEADY"), partial(throttled, factor=1.01)),
    Situation("the server takes 1.1 of the load", "1.1", VALID, partial(throttled, factor=1.1)),
    Situation("consumers take 0.9 of the load", "0.9", ("OVERLOADED", "UNSTEADY"), partial(slow_consumers, factor=0.9)),
    Situation("consumers take 1.1 of the load", "1.1", VALID, partial(slow_consumers, factor=1.1)),
    *(
        Situation("the server pauses once, for 0.3 to 0.8 s", where, VALID, partial(paused, where=where))
        for where in ("in mid-window", "at the beginning", "at the end")
    ),
    *(
        Situation("the server's latency drifts, or steps", how, UNSTEADY, partial(changing, how=how))
        for how in ("drift up", "drift down", "step up", "step down", "late step up", "late step down")
    ),
    Situation("the server's latency waves", "oscillation", VALID, partial(changing, how="oscillation")),
    *(
        Situation("1, 10, 1,000 messages are deleted", f"{n}", ("LOSS",), partial(lost, count=n, trimmed=False))
        for n in _COUNTS
    ),
    *(
        Situation("1, 10, 1,000 messages are trimmed", f"{n}", ("LOSS",), partial(lost, count=n, trimmed=True))
        for n in _COUNTS
    ),
    *(
        Situation("1, 10, 1,000 messages are altered", f"{n}", ("CORRUPT",), partial(corrupted, count=n))
        for n in _COUNTS
    ),
    *(
        Situation("1, 10, 1,000 messages come twice", f"{n}", ("CORRUPT",), partial(duplicated, count=n))
        for n in _COUNTS
    ),
    *(
        Situation("1, 10, 1,000 messages are delivered again", f"{n}", ("CORRUPT",), partial(set_back, count=n))
        for n in _COUNTS
    ),
    *(Situation("1, 10, 1,000 messages change places", f"{n}", VALID, partial(swapped, count=n)) for n in _COUNTS),
    *(
        Situation(f"{part} of the sends are refused", f"{n}", must, partial(refused, count=n))
        for n, must, part in zip(_COUNTS, _BY_COUNT, _PARTS, strict=True)
    ),
    *(
        Situation(f"{part} of the messages are taken by another member", f"{n}", must, partial(taken, count=n))
        for n, must, part in zip(_COUNTS, _BY_COUNT, _PARTS, strict=True)
    ),
    Situation("sends are held, then fail", "broken", OVERLOADED, partial(broken, breaks=True)),
    Situation("sends are held, then go on", "held", VALID, partial(broken, breaks=False)),
    Situation("the wall clock steps", "wall", VALID, wall_clock_steps),
    Situation("a consumer's monotonic clock steps back", "3 to 20 ms", INVALID, partial(clock_steps, sign=-1)),
    Situation("a consumer's monotonic clock steps on", "3 to 20 ms", UNSTEADY, partial(clock_steps, sign=1)),
    *(Situation("a worker dies", name, ("PARTIAL",), partial(killed, which=which)) for name, which in _WORKERS),
    Situation("the server dies", "server", ("OVERLOADED", "PARTIAL"), partial(killed, which=None)),
)
"""In the order of the table."""
