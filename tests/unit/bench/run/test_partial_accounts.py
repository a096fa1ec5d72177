"""Whatever ends a run, and whenever: each message that was due by then stands in one row of the account."""

import random

import pytest
from simulated_system import STILL, System, simulate

RATE = 500
SECOND = 10**9


@pytest.mark.parametrize("by", ["interrupted", "serverDied", "workerDied"])
@pytest.mark.parametrize("seed", range(25))
async def test_the_account_of_a_partial_result_adds_up(seed: int, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Published, failed, never sent and never answered; and what never came counts in the response times."""
    chance = random.Random(seed)
    at_s = chance.uniform(0.05, 14)
    paused_s = chance.uniform(0, 10)
    system = System(
        chance.choice([20, 300, 490, 5000]),
        consuming=chance.choice([100, 5000]),
        latency_s=chance.choice([0.001, 0.3]),
        room=chance.choice([1, 50, 10_000]),
        changes=[(paused_s, STILL), (paused_s + chance.uniform(0.1, 30), 5000)] if chance.random() < 0.5 else [],
        ends=(by, at_s),
    )
    fields = {"arrivals": chance.choice(["uniform", "poisson"]), "drainTimeout": "2s", "sampleInterval": "500ms"}
    told = await simulate(monkeypatch, system, producerRate=RATE, **fields)

    totals, metrics = told.metrics.totals, told.metrics
    assert told.verdict.status == "PARTIAL" or at_s > 10
    accounted = totals.published + totals.publish_errors + totals.unsent + totals.unanswered
    assert accounted == pytest.approx(metrics.target_rate * metrics.length_ns / SECOND, abs=1.5)
    assert metrics.families["publishResponse"].total.count == accounted
    for each in metrics.delivery:
        gone = each.lost + each.trimmed + each.undelivered
        assert each.acknowledged + each.recovered == each.received + gone
