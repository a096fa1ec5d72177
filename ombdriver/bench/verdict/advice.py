"""What would get a quiet run of one that this machine held up: advice, computed from what was measured. Pure.

Each row of `ADVICE` is a function from facts to a message, or to None where it would not help; every message has the
figures that it follows from. Processor time is taken as proportional to the rate, which is too much for low rates,
whose wake-ups serve few messages each; so the rate that is told is a safe one.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ombdriver.bench.verdict.facts import Facts, WorkerFacts
from ombdriver.bench.verdict.model import INVALID, Advice, Verdict
from ombdriver.bench.verdict.rules import BUSY_SHARE, PAUSED_SHARE

COMFORTABLE = 0.7
"""The share of a core, or of all, up to which what comes at random soon finds one that is free."""
MOST_AT_REST = 0.1
"""Cores; less is what a machine at rest does by itself."""
FULL = 0.97
"""Of all cores; a machine of which more is taken has none to spare."""
LEAST_CHANGE = 0.95
"""Of the rate; a rate that is nearer to it is no other one."""
LEAST_FACTOR = 0.02
"""Of the rate; where no more than that would fit, the rate is not what is wrong."""
NOT_OF_THE_LOAD = frozenset({"clock", "rateUnknown"})
"""Rules that say nothing of this machine's load in the window."""
FEW_PAUSES = 3
"""So many are an event, and more a habit that a longer window does not dilute."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Who took how much of this machine in the window, in cores.

    Attributes:
        cores: that the run could use.
        workers: all of them together.
        servers: those on this machine; 0 where nobody saw them.
        parent: the process that controls the run.
        others: processes that are not of the run; None where the system does not tell.
    """

    cores: float
    workers: float
    servers: float
    parent: float
    others: float | None

    @property
    def run(self) -> float:
        """The run as a whole."""
        return self.workers + self.servers + self.parent

    @property
    def left(self) -> float:
        """What others leave to the run."""
        return self.cores - (self.others or 0.0)

    @property
    def has_neighbours(self) -> bool:
        """Whether others do more than a machine at rest does by itself."""
        return self.others is not None and self.others > MOST_AT_REST

    @property
    def is_crowded(self) -> bool:
        """Whether others take half of a full machine: what they leave says nothing of what the run could have."""
        others = self.others or 0.0
        return self.has_neighbours and others >= self.cores / 2 and self.run + others > FULL * self.cores


def demand_of(facts: Facts) -> Demand:
    """Who took how much; what others took is what nobody of the run did."""
    workers = sum(share(worker, facts) for worker in facts.workers)
    telemetry = facts.telemetry
    if telemetry is None:
        return Demand(facts.cores, workers, 0.0, 0.0, None)
    # A server that somebody else started is not seen from outside, and tells what it takes itself.
    seen = telemetry.server_process_cpu.mean
    told = telemetry.server_cpu.mean if facts.servers_on_host else None
    servers = (told or 0.0) if seen is None else seen
    parent = telemetry.parent_cpu.mean or 0.0
    machine = telemetry.machine_cpu.mean
    others = None if machine is None else max(0.0, machine - workers - servers - parent)
    return Demand(facts.cores, workers, servers, parent, others)


def share(worker: WorkerFacts, facts: Facts) -> float:
    """The part of a core that a worker took."""
    return worker.cpu_ns / facts.window_ns if facts.window_ns else 0.0


def with_advice(verdict: Verdict, facts: Facts) -> Verdict:
    """The verdict with what was measured of this machine, and what would help, where that was the bottleneck."""
    rules = {reason.rule for reason in verdict.reasons if reason.status == INVALID}
    if not rules - NOT_OF_THE_LOAD:
        return verdict
    demand = demand_of(facts)
    found = [Advice(row.kind, message) for row in ADVICE if (message := row.find(facts, demand)) is not None]
    found = found or [Advice("again", _again(demand))]
    return replace(verdict, measured=measured(facts, demand), advice=tuple(found))


def measured(facts: Facts, demand: Demand) -> str:
    """What is known of the machine in the window, in one line."""
    parts = [f"this run took {demand.run:.2f} of {_cores(demand.cores)}"]
    if demand.others is not None:
        parts[0] += f", others {demand.others:.2f}"
    if facts.workers:
        worst = max(facts.workers, key=lambda each: each.cpu_ns + each.run_delay_ns)
        waited = worst.run_delay_ns / facts.window_ns
        ran = share(worst, facts)
        parts.append(f"{worst.name} ran for {ran:.0%} of the window and waited for a core for {waited:.0%}")
        held_up = max(facts.workers, key=lambda each: each.stalls_ns)
        if held_up.stalls_ns:
            parts.append(f"{held_up.name} was held up for {held_up.stalls_ns / facts.window_ns:.1%}")
        throttled = max(each.throttled_ns or 0 for each in facts.workers)
        if throttled:
            parts.append(f"throttled for {throttled / facts.window_ns:.1%}")
    if (steal := _steal_share(facts)) > 0:
        parts.append(f"steal {steal:.1%}")
    return "; ".join(parts)


def series_advice(verdicts: Sequence[tuple[int, Verdict]]) -> list[str]:
    """What the INVALID runs of a series have in common: a line on how many, what was measured, and what would help.

    Args:
        verdicts: of each run, with its number.

    Returns:
        Lines; none when no run is INVALID.
    """
    held_up = [(number, each) for number, each in verdicts if each.status == INVALID]
    if not held_up:
        return []
    of_runs = [dict.fromkeys(one.rule for one in each.reasons if one.status == INVALID) for _, each in held_up]
    rules = Counter(rule for of_run in of_runs for rule in of_run)
    whys = ", ".join(f"{rule} in {count}" for rule, count in rules.most_common())
    last, verdict = held_up[-1]
    lines = [f"INVALID, held up by this machine: {len(held_up)} of {len(verdicts)} runs ({whys})"]
    if verdict.measured:
        lines.append(f"measured in run {last}: {verdict.measured}")
    by_kind: dict[str, list[tuple[int, str]]] = {}
    for number, each in held_up:
        for one in each.advice:
            by_kind.setdefault(one.kind, []).append((number, one.message))
    order = [row.kind for row in ADVICE]
    for kind in sorted(by_kind, key=lambda kind: order.index(kind) if kind in order else len(order)):
        some = by_kind[kind]
        lines.append(f"{some[-1][1]} ({len(some)} of {len(held_up)}; figures of run {some[-1][0]})")
    return lines


# -- rows --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AdviceRow:
    """One kind of advice.

    Attributes:
        kind: as in the result.
        when: it is given, as in the documents.
        find: gives its message; None where it would not help.
    """

    kind: str
    when: str
    find: Callable[[Facts, Demand], str | None]


def _end_others(facts: Facts, demand: Demand) -> str | None:
    if not demand.has_neighbours:
        return None
    crowded = "; they take all that is free, so a lower rate alone does not help" if demand.is_crowded else ""
    return (
        f"end what else runs on this machine: others took {demand.others:.2f} of {_cores(demand.cores)}, this run"
        f" {demand.run:.2f}{crowded}"
    )


def _pin(facts: Facts, demand: Demand) -> str | None:
    processes = _processes(facts)
    if not demand.has_neighbours or demand.cores <= processes:
        return None
    return (
        f"or keep it off the cores of this run, which has {processes} processes on {_cores(demand.cores)}: `taskset -c"
        f" 0-{processes - 1} ombdriver ...`, and `taskset -c {processes}-{int(demand.cores) - 1}` for what else runs;"
        " server.cpus of a setup gives its servers cores of their own"
    )


def _raise_limit(facts: Facts, demand: Demand) -> str | None:
    throttled = [each.throttled_ns / facts.window_ns for each in facts.workers if each.throttled_ns]
    if max(throttled, default=0.0) <= PAUSED_SHARE:
        return None
    wanted = math.ceil(2 * (demand.run + sum(throttled)) / COMFORTABLE) / 2
    return (
        f"raise the CPU limit of the container to about {wanted:g}: it allows {demand.cores:g}, the run took"
        f" {demand.run:.2f} and was held back for {max(throttled):.0%} of the window"
    )


def _steal_share(facts: Facts) -> float:
    return (facts.telemetry.steal.mean if facts.telemetry else None) or 0.0


def _own_processors(facts: Facts, demand: Demand) -> str | None:
    stolen = _steal_share(facts)
    if stolen <= PAUSED_SHARE:
        return None
    return (
        "use a machine whose processors are its own: the host of this one took a processor away for"
        f" {stolen:.1%} of the window"
    )


def _workers_for(facts: Facts) -> int:
    """How few workers would do: producing and consuming never share one."""
    roles = {worker.role for worker in facts.workers}
    cores = [sum(share(worker, facts) for worker in facts.workers if worker.role == role) for role in roles]
    return sum(max(1, math.ceil(each / COMFORTABLE)) for each in cores)


def _fewer_workers(facts: Facts, demand: Demand) -> str | None:
    now, enough = len(facts.workers), _workers_for(facts)
    if enough >= now or demand.cores >= _processes(facts) or any(worker.spins for worker in facts.workers):
        return None
    return (
        f"use fewer workers (--workers {enough}): {now} of them share {_cores(demand.cores)} with"
        f" {_servers(facts)}the parent, and took {demand.workers:.2f} of them all together"
    )


def _more_workers(facts: Facts, demand: Demand) -> str | None:
    busiest = max((each for each in facts.workers if not each.spins), key=lambda each: each.cpu_ns, default=None)
    if busiest is None or share(busiest, facts) <= BUSY_SHARE or demand.left - demand.run < 1:
        return None
    wanted = max(len(facts.workers) + 1, _workers_for(facts))
    return (
        f"use more workers (--workers {wanted}): {busiest.name} took {share(busiest, facts):.0%} of its core, and"
        f" {demand.left - demand.run:.1f} of {_cores(demand.cores)} were free"
    )


def _no_spinning(facts: Facts, demand: Demand) -> str | None:
    spinning = sum(worker.spins for worker in facts.workers)
    if not spinning or demand.left >= _processes(facts):
        return None
    return (
        f"set client.pacing: adaptive: {spinning} of the workers spin, which takes a core each, and {demand.left:.1f}"
        f" of {_cores(demand.cores)} are left for {_processes(facts)} processes"
    )


def _lower_rate(facts: Facts, demand: Demand) -> str | None:
    published = facts.achieved.get("published", facts.target_rate)
    if not facts.sends or not published or not facts.window_ns:
        return None
    spinning = sum(share(worker, facts) for worker in facts.workers if worker.spins)
    limits = {
        f"{worker.name} took {share(worker, facts):.0%} of a core": COMFORTABLE / share(worker, facts)
        for worker in facts.workers
        if not worker.spins and worker.cpu_ns
    }
    if demand.run > spinning and demand.cores and not demand.is_crowded:
        leaves = " that others leave" if demand.has_neighbours else ""
        cost = 1e6 * (demand.run - spinning) / published
        what = (
            f"a message takes {cost:,.0f} µs of processor time, and all of them {demand.run:.2f} of the"
            f" {demand.left:.2f} cores{leaves}"
        )
        limits[what] = (COMFORTABLE * demand.left - spinning) / (demand.run - spinning)
    if not limits:
        return None
    what, factor = min(limits.items(), key=lambda limit: limit[1])
    if factor < LEAST_FACTOR or published * factor > LEAST_CHANGE * facts.target_rate:
        return None
    if facts.rate_changes:
        part = published * factor / facts.target_rate
        return f"lower the rates of the profile to {part:.0%} of what they are: {what}"
    rate = _two_digits(published * factor)
    return f"lower the rate to {rate:,}/s (--rate {rate}): {what}; at that rate {COMFORTABLE:.0%}"


def _server_elsewhere(facts: Facts, demand: Demand) -> str | None:
    if not facts.servers_on_host or demand.cores >= _processes(facts) or demand.servers <= MOST_AT_REST:
        return None
    return f"put the server on another machine (--url): here it took {demand.servers:.2f} of {_cores(demand.cores)}"


def _more_cores(facts: Facts, demand: Demand) -> str | None:
    if demand.run <= COMFORTABLE * demand.cores or _raise_limit(facts, demand) is not None:
        return None
    wanted = math.ceil(demand.run / COMFORTABLE)
    return f"use a machine with {_cores(wanted)} or more: the run took {demand.run:.2f} of {_cores(demand.cores)}"


def _longer_window(facts: Facts, demand: Demand) -> str | None:
    """Single pauses that make up too much of a short window."""
    pauses = [
        (total_ns, count, worker)
        for worker in facts.workers
        for total_ns, count in ((worker.stalls_ns, worker.stalls), (worker.collections_ns, worker.collections))
        if total_ns > PAUSED_SHARE * facts.window_ns and 0 < count <= FEW_PAUSES
    ]
    if not pauses:
        return None
    total_ns, count, worker = max(pauses, key=lambda pause: pause[0])
    seconds = 5 * math.ceil(1.2 * total_ns / PAUSED_SHARE / 5e9)
    what = "one pause" if count == 1 else f"{count} pauses"
    return (
        f"measure for longer (--duration {seconds}s): {what} of {worker.name}, {total_ns / 1e6:.3g} ms in all, would be"
        f" less than {PAUSED_SHARE:.0%} of that"
    )


def _again(demand: Demand) -> str:
    others = "" if demand.others is None else f" and others {demand.others:.2f}"
    return (
        f"run it again (--until-valid repeats what is not VALID): this run took {demand.run:.2f}{others} of"
        f" {_cores(demand.cores)}, which does not explain it; a virtual machine's host may"
    )


ADVICE = (
    AdviceRow("endOthers", "others took more than 0.1 cores", _end_others),
    AdviceRow("pin", "others took more than 0.1 cores, and there are more cores than processes of the run", _pin),
    AdviceRow("raiseLimit", "a worker was throttled by its cgroup for more than 1 % of the window", _raise_limit),
    AdviceRow("ownProcessors", "steal of more than 1 % of the window", _own_processors),
    AdviceRow("noSpinning", "workers spin, and there are fewer cores left than processes of the run", _no_spinning),
    AdviceRow(
        "fewerWorkers",
        "there are fewer cores than processes of the run, and fewer workers would take 70 % of a core at most",
        _fewer_workers,
    ),
    AdviceRow("moreWorkers", "a worker took more than 90 % of a core, and a core was free", _more_workers),
    AdviceRow(
        "lowerRate",
        "by the processor time of a message, the run would take 70 % of what others leave of the machine, and no worker"
        " more than 70 % of a core, at a lower rate; what others leave is not asked where they take half of a machine"
        " that is full",
        _lower_rate,
    ),
    AdviceRow(
        "serverElsewhere",
        "there are fewer cores than processes of the run, and servers on this machine took more than 0.1 of them",
        _server_elsewhere,
    ),
    AdviceRow("moreCores", "the run took more than 70 % of all cores, and no limit throttled it", _more_cores),
    AdviceRow("longerWindow", "at most three pauses of a worker make up more than 1 % of the window", _longer_window),
)
"""In the order in which it is told: what costs least first."""


def _processes(facts: Facts) -> int:
    """Of the run on this machine: workers, servers and the parent."""
    return len(facts.workers) + facts.servers_on_host + 1


def _servers(facts: Facts) -> str:
    if not facts.servers_on_host:
        return ""
    return "the server and " if facts.servers_on_host == 1 else f"{facts.servers_on_host} servers and "


def _cores(cores: float) -> str:
    return f"{cores:g} core{'' if cores == 1 else 's'}"


def _two_digits(rate: float) -> int:
    """Rounded down to two digits."""
    digits = max(0, math.floor(math.log10(rate)) - 1)
    return max(1, int(rate / 10.0**digits) * int(10.0**digits))
