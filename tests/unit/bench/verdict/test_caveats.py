"""Caveats: each from facts made by hand; the table is that of docs/result.md."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ombdriver.bench.metrics.latency import LatencySummary
from ombdriver.bench.telemetry.hosts import HostUsage
from ombdriver.bench.telemetry.summary import CpuShare, TelemetrySummary
from ombdriver.bench.verdict.caveats import CAVEAT, CAVEATS, caveats_of
from ombdriver.bench.verdict.facts import Facts, WorkerFacts

SECOND = 10**9
WELL: dict[str, Any] = {"window_ns": 60 * SECOND, "samples": {"publish": 10**6}}


def late(p999: int) -> LatencySummary:
    """A distribution that is good up to its p99."""
    return replace(LatencySummary.none(), count=10_000, p50=100_000, p95=200_000, p99=900_000, p999=p999)


def machine(**shares: float) -> TelemetrySummary:
    """What was sampled: `steal`, `pressure`, and how long the run's servers `waited`."""
    told = {name: CpuShare(share, share) for name, share in shares.items() if name != "waited"}
    return TelemetrySummary(**told, server_process_waiting=CpuShare(shares.get("waited")))


def tail(counts: Mapping[int, int] | None = None, **held_up: Any) -> dict[str, Any]:
    """A p99.9 of 40 ms of publishing, whose samples come from these of 60 seconds; how `worker` was held up."""
    there = {30: 60} if counts is None else counts
    found: dict[str, Any] = {
        "interval_ns": SECOND,
        "responses": {"publishResponse": late(40_000_000)},
        "tails": {"publishResponse": [there.get(at, 0) for at in range(60)]},
    }
    return found | ({"workers": [WorkerFacts(0, **{"role": "produce"} | held_up)]} if held_up else {})


def on_hosts(**taken: Any) -> dict[str, Any]:
    """A run on two hosts, of which the second one took or lacked that; its worker waited for 12 s of the 60."""
    waited = WorkerFacts(1, "consume", host="beta", run_delay_ns=12 * SECOND)
    workers = [WorkerFacts(0, "produce", host="alpha"), waited]
    return {"workers": workers, "hosts": [HostUsage("alpha"), HostUsage("beta", **taken)]}


def caveats(**changed: Any) -> dict[str, str]:
    """The caveats of a sound run but for these facts: the message of each kind."""
    return {each.kind: each.message for each in caveats_of(Facts(**(WELL | changed)))}


def test_a_sound_run_has_none() -> None:
    """Nor has one whose trimming was held and let go in time, or that trims nothing."""
    assert caveats() == {}
    assert caveats(furthest_behind=700, kept_entries=800) == {}
    assert caveats(furthest_behind=10**9) == {}
    assert caveats(target_rate=500.0, achieved={"published": 495.0}, debt_growth={"published": 0.5}) == {}
    assert caveats(target_rate=500.0, achieved={"published": 490.0}, debt_growth={"published": 9.0}) == {}
    assert caveats(primaries=3, streams=12, most_of_a_primary=8) == {}
    assert caveats(primaries=3, streams=1, most_of_a_primary=1) == {}
    assert caveats(telemetry=machine(steal=0.01, pressure=0.1)) == {}
    assert caveats(**on_hosts(), telemetry=machine(steal=0.9, pressure=0.9)) == {}  # of a machine without workers
    within = {"memory_bytes": 64 << 30, "least_available_bytes": 4 << 30, "engine_cpu": CpuShare(0.05)}
    assert caveats(**on_hosts(pressure=CpuShare(0.3), steal=CpuShare(0.01), **within)) == {}
    assert caveats(telemetry=machine(pressure=0.9), servers_on_host=1, cores=8) == {}  # nobody saw that server wait


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        ({"carried_in": 1234}, "carriedIn", "1,234 messages of the warm-up"),
        (
            {"target_rate": 500.0, "achieved": {"published": 490.0}, "debt_growth": {"published": 0.5}},
            "answeredLater",
            "published: 490 of 500 messages/s in the window; the rest was due too shortly before its end",
        ),
        ({"max_in_flight": 1}, "closedLoop", "a closed loop: each producer waits"),
        ({"max_in_flight": 1000}, "closedLoop", "each producer waits when 1,000 of its messages"),
        ({"furthest_behind": 801, "kept_entries": 800}, "trimmingHeld", "fell 801 messages behind"),
        ({"furthest_behind": 401, "kept_entries": 800, "trimming_held": True}, "trimmingHeld", "fell 401 messages"),
        ({"undelivered": {"group-1": 0, "group-2": 5}}, "undelivered", "group-2 had not received 5 messages"),
        ({"duplicated": {"group-1": 3}, "errors": 1}, "duplicated", "group-1: 3 times a message came again"),
        ({"reordered": {"group-1": 0, "group-2": 4}}, "reordered", "group-2: 4 messages came after later ones"),
        ({"audit_incomplete": "no XRANGE"}, "auditIncomplete", "could be looked for (no XRANGE)"),
        ({"unsent": 7}, "unsent", "7 messages were due and never sent"),
        ({"unanswered": 7}, "unanswered", "7 messages had no reply"),
        ({"failed_acks": 7}, "failedAcknowledgements", "7 acknowledgements were refused"),
        ({"reconnects": 2}, "reconnects", "the longest gap in the acknowledgements was below 0.5 s"),
        ({"reconnects": 2, "longest_silence_ms": 1500}, "reconnects", "acknowledgements was 1.5 s"),
        ({"under_replicated": 3}, "underReplicated", "3 messages are stored, but the replicas or disks"),
        ({"polling_rounds": 90}, "pollingReads", "up to 20 ms apart, 90 times"),
        ({"early_reads": 1234}, "earlyReads", "answered 1,234 reads at once"),
        ({"lost_replies": 7}, "lostReplies", "7 replies to reads were lost"),
        ({"send_errors": [("OOM", 12)]}, "publishErrors", "12 messages met the error: OOM"),
        ({"forced": ["too little memory; free some"]}, "forced", "started by --force, though too little memory"),
        ({"servers_ended": ["node-1", "node-2"]}, "serversEnded", "node-1, node-2 ended during the run"),
        (
            {"primaries": 3, "streams": 12, "most_of_a_primary": 9},
            "unevenPlacement",
            "one of 3 primaries has 9 of 12 streams",
        ),
        ({"cut_unacknowledged": 9}, "retentionBreached", "9 entries were cut"),
        ({"failed_trims": 9}, "trimmingFailed", "9 attempts to trim failed"),
        (
            {"refused_ms": 1240},
            "refused",
            "which were no messages, for 1.2 s in all",
        ),
        ({"samples": {"publish": 10**6, "endToEnd": 999}}, "fewSamples", "999 samples of endToEnd are too few for p99"),
        ({"samples": {"publish": 99_999}}, "fewSamples", "too few for p99.99, which takes 100,000"),
        ({"window_ns": SECOND}, "shortRun", "1 s were measured"),
        ({"over_range": 2}, "overRange", "2 latencies were above 24 h"),
        ({"negative": 2}, "clockBackwards", "2 latencies were below 0"),
        (
            {"clock_error_ns": 200_000, "negative": 2},
            "clocksOfHosts",
            "whose clocks may be wrong by 0.2 ms; 2 were below 0 and stand at 0; take no difference",
        ),
        (
            {"clock_contradictions": [("beta", "serverTime", 3_000_000)]},
            "clockWitness",
            "the server's TIME contradicts what exchanges prove of the clock of host beta, by 3 ms more than both may",
        ),
        (
            {"clock_contradictions": [("beta", "kernel", 3_000_000)]},
            "clockWitness",
            "the wall clocks of its kernel and of this machine's contradict what exchanges prove of the clock of host",
        ),
        (
            {"received": 60_000, "received_from_other_hosts": 40_000},
            "withinHosts",
            "of 20,000 of 60,000 received messages, those that the host itself had sent",
        ),
        ({"workers": [WorkerFacts(0, "produce", longest_stall_ns=7_000_000)]}, "stalls", "worker 0 (produce) was held"),
        (
            {
                "workers": [WorkerFacts(0, "consume", lateness=late(40_000_000))],
                "responses": {"endToEndResponse": late(60_000_000)},
            },
            "ownShare",
            "this machine's, whose event loops came late: p99.9 60 ms, of which 40 ms;",
        ),
        (tail(), "tailOwner", "40 ms, was made in 1 of 60 sample intervals, from 30 s on: the server or the network"),
        (tail({29: 4, 30: 6, 7: 1}), "tailOwner", "2 of 60 sample intervals, from 29 s, 30 s on"),
        (
            tail() | {"telemetry": TelemetrySummary(longest_fork_ns=30_000_000)},
            "tailOwner",
            "from 30 s on: the server was held up by a fork for 30 ms; repeat",
        ),
        ({"servers_on_host": 1, "cores": 1}, "colocated", "the server shares 1 core with the 0 workers"),
        ({"servers_on_host": 5, "cores": 4}, "colocated", "5 servers share 4 cores with the 0 workers"),
        (
            {"telemetry": machine(pressure=0.2)},
            "busyMachine",
            "for 20% of the window, those of this run for 0% at most",
        ),
        (
            {
                "telemetry": machine(pressure=0.5, waited=0.2),
                "workers": [WorkerFacts(0, "produce", run_delay_ns=6 * SECOND)],
                "servers_on_host": 1,
                "cores": 8,
            },
            "busyMachine",
            "for 50% of the window, those of this run for 30% at most",
        ),
        (
            on_hosts(pressure=CpuShare(0.5, 0.9)) | {"telemetry": machine(pressure=0.9)},
            "busyMachine",
            "a core of host beta for 50% of the window, those of this run for 20% at most: others run there too",
        ),
        (
            on_hosts(pressure=CpuShare(0.5), cores=8, servers=1, servers_waiting=CpuShare(0.15)),
            "busyMachine",
            "a core of host beta for 50% of the window, those of this run for 35% at most",
        ),
        (
            on_hosts(cores=2, servers=1, servers_waiting=CpuShare(0.0)),
            "colocated",
            "the server shares 2 cores of host beta with 1 worker, so each is measured with the others; let",
        ),
        (
            on_hosts(cores=4, servers=3, servers_waiting=CpuShare(0.0)),
            "colocated",
            "3 servers share 4 cores of host beta",
        ),
        (
            on_hosts(steal=CpuShare(0.02, 0.1)) | {"telemetry": machine(steal=0.5)},
            "steal",
            "a processor of host beta was taken away by its host (steal) for 2.0% of the window",
        ),
        (
            on_hosts(memory_bytes=64 << 30, least_available_bytes=3 << 30),
            "hostMemory",
            "host beta had 3 GiB of 64 GiB left at worst, less than 5%",
        ),
        (on_hosts(engine_cpu=CpuShare(0.06, 0.1)), "engineShare", "processes on host beta took 6.0% of a core"),
        ({"telemetry": machine(steal=0.02)}, "steal", "(steal) for 2.0% of the window"),
    ],
)
def test_each_caveat_tells_its_own(changed: dict[str, Any], kind: str, message: str) -> None:
    """With its figure."""
    found = caveats(**changed)

    assert list(found) == [kind]
    assert message in found[kind]


@pytest.mark.parametrize(
    ("held_up", "owner"),
    [
        ({"longest_collection_ns": 20_000_000}, "worker 0 (produce) was held up by the garbage collector for 20 ms"),
        ({"longest_stall_ns": 20_000_000}, "worker 0 (produce) was held up for 20 ms at once"),
        ({"longest_stall_ns": 12_000_000}, "the server or the network paused"),  # less than a third of it
        ({"longest_stall_ns": 90_000_000, "role": "consume"}, "the server or the network paused"),
    ],
)
def test_the_owner_of_a_tail_is_named(held_up: dict[str, Any], owner: str) -> None:
    """A worker only if it was held up for long enough, and delays what it is about."""
    assert owner in caveats(**tail(**held_up))["tailOwner"]


@pytest.mark.parametrize(
    "counts",
    [
        dict.fromkeys(range(60), 10),  # spread over the run
        {30: 9},  # too few samples to be a tail
        {3: 20, 17: 20, 30: 20, 44: 20},  # of four pauses
        {},
    ],
)
def test_a_tail_that_is_spread_has_no_owner(counts: dict[int, int]) -> None:
    """It is that of the system."""
    assert caveats(**tail(counts)) == {}


def test_the_three_most_frequent_errors_are_told() -> None:
    """One caveat for each."""
    errors = [(f"error {number}", 10 - number) for number in range(5)]

    found = caveats_of(Facts(**WELL, send_errors=errors))

    assert [each.message for each in found] == [f"{10 - at} messages met the error: error {at}" for at in range(3)]


def test_an_error_is_told_with_its_way_out() -> None:
    """As far as the driver knows one; and what errors explain was not due too late."""
    found = caveats(send_errors=[("OOM", 3)], ways_out={"OOM": "raise maxmemory"})
    refused = caveats(
        window_ns=10**10, target_rate=500.0, achieved={"published": 250.0}, debt_growth={"published": 0.0}, errors=2500
    )

    assert found == {"publishErrors": "3 messages met the error: OOM; raise maxmemory"}
    assert refused == {}


def test_what_vanishes_from_a_result_on_existing_topics_is_told() -> None:
    """Messages of others have no stamp; those of the run stay where they are."""
    reads = caveats(existing_topics=True, sends=False, of_others=1234)
    both = caveats(existing_topics=True, of_others=12)
    sends = caveats(existing_topics=True, reads=False)

    assert list(reads) == ["noStamps"]
    assert "1,234 messages of others that came have no stamp" in reads["noStamps"]
    assert "no latencies, no delivery and no backlog" in reads["noStamps"]
    assert list(both) == ["noStamps", "messagesLeft"]
    assert list(sends) == ["messagesLeft"]


def test_the_documents_table_is_the_codes(golden_table: Callable[[str, str, Sequence[str]], None]) -> None:
    """Each kind, and when it is told, in this order: GOLDEN=write writes it anew."""
    golden_table(
        "result.md", "\n## Caveats\n\n| kind | when |", [f"| `{rule.name}` | {rule.when} |" for rule in CAVEATS]
    )
    assert {rule.status for rule in CAVEATS} == {CAVEAT}
