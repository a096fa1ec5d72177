"""Whether a rate is sustained, and what the limit is: by what one probe at it showed."""

from dataclasses import replace

import pytest
from sample_result import figures

from ombdriver.bench.spec.thresholds import Check
from ombdriver.bench.verdict.debt import Growth
from ombdriver.bench.verdict.facts import Facts, WorkerFacts
from ombdriver.bench.verdict.probe import Limit, ProbeObservation, is_inconclusive, judge_probe

SECOND = 10**9
RATE = 10_000

WELL = ProbeObservation(
    facts=Facts(
        window_ns=5 * SECOND,
        schedule_lag_p99_ns=200_000,
        publish_response_p99_ns=1_000_000,
        workers=[WorkerFacts(0, "produce", 2 * SECOND)],
        target_rate=RATE,
        achieved={"published": 10_000.0, "group-1": 9_990.0},
        due=50_000,
    ),
    growth={"published": Growth(0.5, 10.0, 0.0), "group-1": Growth(1.0, 10.0, 0.0)},
    publish=figures(100_000),
    end_to_end=figures(200_000),
    server_cpu=0.5,
)


def facts(**changed: object) -> ProbeObservation:
    """All well but for these facts."""
    return replace(WELL, facts=replace(WELL.facts, **changed))  # type: ignore[arg-type]


def test_a_rate_that_is_achieved_with_steady_backlogs_is_sustained() -> None:
    """Nothing speaks against it."""
    probe = judge_probe(WELL, RATE)

    assert (probe.held, probe.reasons, probe.limit) == (True, (), None)
    assert probe.growth == {"published": pytest.approx(16.95), "group-1": pytest.approx(17.45)}
    assert probe.seconds == 5.0


@pytest.mark.parametrize(
    ("observed", "limit", "reason"),
    [
        (facts(achieved={"published": 9_890.0, "group-1": 9_990.0}), Limit.PUBLISHING, "published: 9,890 of 10,000"),
        (facts(achieved={"published": 10_000.0, "group-1": 9_000.0}), Limit.CONSUMERS, "group-1: 9,000 of 10,000"),
        (facts(schedule_lag_p99_ns=9_000_000), Limit.GENERATOR, "the p99 of the schedule lag"),
        (facts(workers=[WorkerFacts(1, "consume", int(4.9 * SECOND))]), Limit.GENERATOR, "98% of a core"),
        (facts(errors=1000), Limit.PUBLISHING, "1,000 of 50,000 messages met an error"),
        (
            replace(WELL, growth={"group-1": Growth(20.0, 25.0, 10.5)}),
            Limit.CONSUMERS,
            "what is due and not received by group-1 may grow by up to 61.1 messages/s, above 0.5% of the rate",
        ),
        (
            replace(WELL, growth={"published": Growth(14.0, 1.0, 14.0)}),
            Limit.PUBLISHING,
            "what is due and not published grows by 14.0 messages/s, above 0.1% of the rate",
        ),
        (replace(WELL, missing={"group-1": 7, "group-2": 0}), Limit.CONSUMERS, "group-1 did not get 7 messages"),
        (replace(WELL, overrun="12,000 messages were due and not sent"), Limit.PUBLISHING, "12,000 messages were due"),
        (
            replace(WELL, slo=Check("endToEndResponse.p99 < 10ms", 12.5, 10.0, "ms", False)),
            Limit.SLO,
            "endToEndResponse.p99 < 10ms is not met: 12.5 ms",
        ),
    ],
)
def test_what_speaks_against_a_rate_is_told_with_its_limit(
    observed: ProbeObservation, limit: Limit, reason: str
) -> None:
    """Each by itself."""
    probe = judge_probe(observed, RATE)

    assert not probe.held
    assert probe.limit is limit
    (told,) = probe.reasons
    assert reason in told


def test_a_server_without_a_core_left_is_the_cause_of_what_is_slow() -> None:
    """But not of what this machine did not send."""
    slow = replace(facts(achieved={"published": 9_000.0, "group-1": 9_000.0}), server_cpu=0.95)
    late = replace(facts(schedule_lag_p99_ns=9_000_000), server_cpu=0.95)

    assert judge_probe(slow, RATE).limit is Limit.SERVER_CPU
    assert judge_probe(late, RATE).limit is Limit.GENERATOR


@pytest.mark.parametrize(
    ("observed", "is_spoilt", "kept_up"),
    [
        (WELL, False, True),
        (facts(schedule_lag_p99_ns=9_000_000), True, True),
        (facts(workers=[WorkerFacts(0, "produce", SECOND, run_delay_ns=2 * SECOND)]), True, True),
        (facts(negative=1000), True, True),
        (replace(facts(schedule_lag_p99_ns=9_000_000), overrun="12,000 messages were due and not sent"), True, False),
        (facts(workers=[WorkerFacts(0, "produce", int(4.9 * SECOND))], schedule_lag_p99_ns=9_000_000), False, True),
        (facts(errors=1000), False, False),
        (replace(WELL, growth={"published": Growth(14.0, 1.0, 14.0)}), False, False),
    ],
)
def test_a_probe_that_this_machine_has_spoilt_says_nothing_of_the_system(
    observed: ProbeObservation, is_spoilt: bool, kept_up: bool
) -> None:
    """Whatever else it showed; but a worker that needs all of a core will need it the next time."""
    probe = judge_probe(observed, RATE)

    assert (probe.is_spoilt, probe.kept_up) == (is_spoilt, kept_up)
    assert not probe.is_spoilt or (not probe.held and probe.limit is Limit.GENERATOR)


def test_a_debt_that_may_grow_asks_for_a_longer_look() -> None:
    """It can't be said that it grows, nor that it does not; with another fault there is nothing to wait for."""
    doubtful = replace(WELL, growth={"group-1": Growth(30.0, 20.0, 30.0)})

    assert is_inconclusive(doubtful, RATE)
    assert not judge_probe(doubtful, RATE).held
    assert not is_inconclusive(WELL, RATE)
    assert not is_inconclusive(replace(WELL, growth={"group-1": Growth(90.0, 20.0, 90.0)}), RATE)
    assert not is_inconclusive(replace(doubtful, overrun="too far behind"), RATE)


def test_a_debt_that_usually_does_not_grow_is_steady() -> None:
    """A pause near the end leaves its slope in doubt, and moves no median."""
    paused = replace(WELL, growth={"published": Growth(300.0, 90.0, 9.0)})

    assert judge_probe(paused, RATE).held
    assert not judge_probe(replace(WELL, growth={"published": Growth(300.0, 90.0, 11.0)}), RATE).held


def test_a_debt_that_grows_by_one_message_in_the_probe_does_not_grow() -> None:
    """At 10 messages/s 0.5 % of the rate are a quarter of a message in 5 s."""
    slow = replace(WELL, growth={"published": Growth(0.15, 0.02, 0.15)})

    assert judge_probe(slow, 10).held
    assert not judge_probe(replace(WELL, growth={"published": Growth(0.3, 0.02, 0.3)}), 10).held
