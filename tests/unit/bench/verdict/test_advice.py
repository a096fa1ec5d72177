"""What would get a quiet run: by a table of runs that this machine held up, and over a series of them."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.telemetry.summary import CpuShare, TelemetrySummary
from ombdriver.bench.verdict.advice import ADVICE, COMFORTABLE, demand_of, series_advice, with_advice
from ombdriver.bench.verdict.facts import Facts, WorkerFacts
from ombdriver.bench.verdict.model import INVALID, VALID, Reason, Verdict
from ombdriver.bench.verdict.rules import judge

MS = 1_000_000
SECOND = 1_000_000_000
WINDOW = 10 * SECOND


def worker(index: int, role: str, ran: float, waited: float = 0.0, **changed: Any) -> WorkerFacts:
    """One that ran, and waited for a core, for these shares of the window."""
    return WorkerFacts(index, role, round(ran * WINDOW), round(waited * WINDOW), **changed)


def took(machine: float | None, server: float = 0.3, parent: float = 0.05, steal: float = 0.0) -> TelemetrySummary:
    """What all processes, the run's server and its parent took, in cores, and what the host did."""
    return TelemetrySummary(
        machine_cpu=CpuShare(machine, machine),
        server_process_cpu=CpuShare(server, server),
        parent_cpu=CpuShare(parent, parent),
        steal=CpuShare(steal, steal),
    )


def facts(*workers: WorkerFacts, **changed: Any) -> Facts:
    """Of a run at 2,000 messages a second on two cores, with its server on them."""
    values: dict[str, Any] = {
        "window_ns": WINDOW,
        "workers": workers,
        "cores": 2.0,
        "servers_on_host": 1,
        "target_rate": 2000.0,
        "achieved": {"published": 2000.0},
        "due": 20_000,
        "telemetry": took(0.65),
    }
    return Facts(**(values | changed))


def held_up(*rules: str) -> Verdict:
    """INVALID by these."""
    return Verdict(INVALID, tuple(Reason(rule, INVALID, "...") for rule in rules or ("runDelay",)))


def told(of: Facts, verdict: Verdict | None = None) -> dict[str, str]:
    """The advice by kind."""
    return {each.kind: each.message for each in with_advice(verdict or held_up(), of).advice}


PAIR = (worker(0, "produce", 0.15, 0.2), worker(1, "consume", 0.15, 0.3))
STALLED = worker(0, "produce", 0.1, stalls=1, stalls_ns=130 * MS, longest_stall_ns=130 * MS)


@pytest.mark.parametrize(
    ("run", "advice"),
    [
        pytest.param(
            facts(*PAIR, telemetry=took(1.9)),
            {
                "endOthers": "end what else runs on this machine: others took 1.25 of 2 cores, this run 0.65",
                "lowerRate": "lower the rate to 1,600/s (--rate 1600): a message takes 325 µs of processor time, and"
                " all of them 0.65 of the 0.75 cores that others leave; at that rate 70%",
                "serverElsewhere": "put the server on another machine (--url): here it took 0.30 of 2 cores",
            },
            id="a neighbour on two cores",
        ),
        pytest.param(
            facts(worker(0, "produce", 0.06, 0.91), worker(1, "consume", 0.07, 0.81), telemetry=took(2.0, 0.06, 0.02)),
            {
                "endOthers": "end what else runs on this machine: others took 1.79 of 2 cores, this run 0.21; they take"
                " all that is free, so a lower rate alone does not help"
            },
            id="neighbours that take all that is free",
        ),
        pytest.param(
            facts(*PAIR, telemetry=took(2.0), cores=8.0),
            {
                "endOthers": "end what else runs on this machine: others took 1.35 of 8 cores, this run 0.65",
                "pin": "or keep it off the cores of this run, which has 4 processes on 8 cores: `taskset -c 0-3"
                " ombdriver ...`, and `taskset -c 4-7` for what else runs; server.cpus of a setup gives its servers"
                " cores of their own",
            },
            id="a neighbour on eight cores",
        ),
        pytest.param(
            facts(*(worker(at, "produce" if at < 3 else "consume", 0.1, 0.2) for at in range(6)), telemetry=took(0.95)),
            {
                "fewerWorkers": "use fewer workers (--workers 2): 6 of them share 2 cores with the server and the"
                " parent, and took 0.60 of them all together",
                "serverElsewhere": "put the server on another machine (--url): here it took 0.30 of 2 cores",
            },
            id="too many workers",
        ),
        pytest.param(
            facts(worker(0, "produce", 0.97), worker(1, "consume", 0.5), cores=8.0, telemetry=took(1.82)),
            {
                "moreWorkers": "use more workers (--workers 3): worker 0 (produce) took 97% of its core, and 6.2 of 8"
                " cores were free",
                "lowerRate": "lower the rate to 1,400/s (--rate 1400): worker 0 (produce) took 97% of a core; at that"
                " rate 70%",
            },
            id="a busy core among free ones",
        ),
        pytest.param(
            facts(
                worker(0, "produce", 0.2, throttled_ns=3 * SECOND),
                worker(1, "consume", 0.2),
                cores=0.5,
                telemetry=took(0.5, 0.05, 0.05),
            ),
            {
                "raiseLimit": "raise the CPU limit of the container to about 1.5: it allows 0.5, the run took 0.50 and"
                " was held back for 30% of the window",
                "lowerRate": "lower the rate to 1,400/s (--rate 1400): a message takes 250 µs of processor time, and"
                " all of them 0.50 of the 0.50 cores; at that rate 70%",
            },
            id="a container's limit",
        ),
        pytest.param(
            facts(*PAIR, telemetry=took(0.65, steal=0.031)),
            {
                "ownProcessors": "use a machine whose processors are its own: the host of this one took a processor"
                " away for 3.1% of the window",
                "serverElsewhere": "put the server on another machine (--url): here it took 0.30 of 2 cores",
            },
            id="steal",
        ),
        pytest.param(
            facts(
                worker(0, "produce", 0.6, 0.3, spins=True), worker(1, "consume", 0.3), telemetry=took(1.55, 0.5, 0.1)
            ),
            {
                "noSpinning": "set client.pacing: adaptive: 1 of the workers spin, which takes a core each, and 1.9 of"
                " 2 cores are left for 4 processes",
                "lowerRate": "lower the rate to 1,700/s (--rate 1700): a message takes 450 µs of processor time, and"
                " all of them 1.50 of the 1.95 cores; at that rate 70%",
                "serverElsewhere": "put the server on another machine (--url): here it took 0.50 of 2 cores",
                "moreCores": "use a machine with 3 cores or more: the run took 1.50 of 2 cores",
            },
            id="spinning without a core for it",
        ),
        pytest.param(
            facts(STALLED, worker(1, "consume", 0.1), cores=8.0, telemetry=took(0.6)),
            {
                "longerWindow": "measure for longer (--duration 20s): one pause of worker 0 (produce), 130 ms in all,"
                " would be less than 1% of that"
            },
            id="one long pause",
        ),
        pytest.param(
            facts(worker(0, "produce", 0.1), worker(1, "consume", 0.1), cores=8.0, telemetry=took(0.6)),
            {
                "again": "run it again (--until-valid repeats what is not VALID): this run took 0.55 and others 0.05 of"
                " 8 cores, which does not explain it; a virtual machine's host may"
            },
            id="nothing that was measured",
        ),
    ],
)
def test_advice_follows_from_what_was_measured(run: Facts, advice: dict[str, str]) -> None:
    """Each with the figures that it follows from, and the option to write; what would not help is not advised."""
    assert told(run) == advice


def test_a_run_that_this_machine_did_not_hold_up_has_no_advice() -> None:
    """Nor is a clock helped by fewer workers."""
    overloaded = Verdict("OVERLOADED", (Reason("achieved", "OVERLOADED", "..."),))
    alone = facts(worker(0, "produce", 0.1), cores=8.0)

    assert with_advice(Verdict(VALID), facts(*PAIR)) == Verdict(VALID)
    assert with_advice(overloaded, facts(*PAIR)) == overloaded
    assert told(alone, held_up("clock")) == {}


def test_a_graver_status_keeps_the_advice() -> None:
    """The machine held it up all the same."""
    reasons = (Reason("lost", "LOSS", "..."), Reason("runDelay", INVALID, "..."))

    assert "endOthers" in told(facts(*PAIR, telemetry=took(1.9)), Verdict("LOSS", reasons))


def test_what_was_measured_is_told_in_one_line() -> None:
    """Who took how much, the worker that had least to spare, pauses, throttling and steal; only what there was."""
    run = facts(
        worker(0, "produce", 0.15, throttled_ns=SECOND),
        worker(1, "consume", 0.34, 0.47, stalls=9, stalls_ns=120 * MS),
        telemetry=took(1.9, steal=0.004),
    )

    assert with_advice(held_up(), run).measured == (
        "this run took 0.84 of 2 cores, others 1.06; worker 1 (consume) ran for 34% of the window and waited for a core"
        " for 47%; worker 1 (consume) was held up for 1.2%; throttled for 10.0%; steal 0.4%"
    )
    assert with_advice(held_up(), facts(telemetry=None)).measured == "this run took 0.00 of 2 cores"


def test_a_profile_is_lowered_as_a_whole() -> None:
    """There is no --rate beside one."""
    message = told(facts(*PAIR, telemetry=took(1.9), rate_changes=True))["lowerRate"]

    assert message.startswith("lower the rates of the profile to 81% of what they are")


def test_a_server_of_somebody_else_on_this_machine_is_none_of_the_others() -> None:
    """It tells what it takes itself."""
    run = facts(*PAIR, telemetry=TelemetrySummary(server_cpu=CpuShare(0.4, 0.5), machine_cpu=CpuShare(0.75, 0.8)))

    assert demand_of(run).others == pytest.approx(0.05)


@given(
    ran=st.lists(st.floats(0.01, 1.0), min_size=2, max_size=6),
    cores=st.floats(0.5, 64),
    others=st.floats(0.0, 8.0),
    rate=st.floats(1, 1e6),
)
def test_at_the_advised_rate_the_run_fits(ran: list[float], cores: float, others: float, rate: float) -> None:
    """Every worker on its core, and all together beside the others unless they are crowded; never a higher rate."""
    workers = [worker(at, "produce" if at % 2 else "consume", each) for at, each in enumerate(ran)]
    machine = min(cores, sum(ran) + 0.35 + others)
    run = facts(*workers, cores=cores, telemetry=took(machine), target_rate=rate, achieved={"published": rate})
    demand = demand_of(run)
    advised = told(run).get("lowerRate")
    if advised is not None:
        factor = int(advised.partition("--rate ")[2].partition(")")[0]) / rate
        assert factor < 1 or rate < 10
        assert max(ran) * factor <= COMFORTABLE * 1.001 or rate < 10
        assert demand.is_crowded or demand.run * factor <= COMFORTABLE * demand.left * 1.001 or rate < 10


# -- over a series -----------------------------------------------------------------------------------------------------

NEIGHBOUR = with_advice(held_up("runDelay", "stalls"), facts(*PAIR, telemetry=took(1.9)))
STEAL = with_advice(held_up("steal"), facts(*PAIR, telemetry=took(0.65, steal=0.031)))


def numbered(*verdicts: Verdict) -> list[tuple[int, Verdict]]:
    """Of runs 1, 2, ..."""
    return list(enumerate(verdicts, start=1))


def test_a_series_without_an_invalid_run_has_no_advice() -> None:
    """Whatever else was wrong."""
    assert series_advice(numbered(Verdict(VALID), Verdict("OVERLOADED"))) == []
    assert series_advice([]) == []


def test_one_invalid_run_of_eight_is_told_with_what_would_help() -> None:
    """By its number."""
    lines = series_advice(numbered(*[Verdict(VALID)] * 4, NEIGHBOUR, *[Verdict(VALID)] * 3))

    assert lines[0] == "INVALID, held up by this machine: 1 of 8 runs (runDelay in 1, stalls in 1)"
    assert lines[1].startswith("measured in run 5: this run took 0.65 of 2 cores, others 1.25; ")
    assert lines[2].endswith("others took 1.25 of 2 cores, this run 0.65 (1 of 1; figures of run 5)")


def test_runs_that_are_invalid_for_different_reasons_are_told_together() -> None:
    """Each kind of advice once, with how many runs it is for, in the order of one run's."""
    lines = series_advice(numbered(NEIGHBOUR, STEAL, NEIGHBOUR))

    assert lines[0] == "INVALID, held up by this machine: 3 of 3 runs (runDelay in 2, stalls in 2, steal in 1)"
    assert [line.partition(":")[0] for line in lines[2:]] == [
        "end what else runs on this machine",
        "use a machine whose processors are its own",
        "lower the rate to 1,600/s (--rate 1600)",
        "put the server on another machine (--url)",
    ]
    assert lines[2].endswith("(2 of 3; figures of run 3)")
    assert lines[3].endswith("(1 of 3; figures of run 2)")


def test_the_documents_have_every_kind(golden_table: Callable[[str, str, Sequence[str]], None]) -> None:
    """The table of docs/verdict.md is made from the rows: GOLDEN=write writes it anew."""
    golden_table("verdict.md", "| advice | when |", [f"| `{row.kind}` | {row.when} |" for row in ADVICE])


def test_rules_and_advice_meet() -> None:
    """A worker that waited longer than it ran is found by a rule, and what it waited for by advice."""
    run = facts(worker(0, "produce", 0.2, 0.5), worker(1, "consume", 0.2, 0.5), telemetry=took(1.99))

    verdict = with_advice(judge(run), run)
    assert verdict.status == INVALID
    assert "others 1.24" in verdict.measured
    assert verdict.advice[0].kind == "endOthers"
