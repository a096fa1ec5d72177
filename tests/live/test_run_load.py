"""Runs whose load changes over time: what was due is what was published, whoever sent it, with a target per sample."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from processes import Place, sound

from ombdriver.bench.load.poisson import PoissonArrivals, PoissonStripe
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.units import SECOND

WORKLOAD = """
topics: 1
partitionsPerTopic: 2
messageSize: 100
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 3
arrivals: poisson
rateProfile:
  - {duration: 1s, from: 0, to: 900}
  - {duration: 500ms, rate: 0}
  - {duration: 1s, rate: 300}
warmupDuration: 500ms
sampleInterval: 500ms
seed: 7
"""


def due(workload: Workload, producers: int) -> list[int]:
    """How many messages the schedule has in each half second, by the schedule alone."""
    assert workload.profile is not None
    stripe = PoissonStripe(0, workload.profile, PoissonArrivals(workload.seed, producers), range(producers), "measure")
    counts = [stripe.due(end * SECOND // 2 - 1) for end in range(6)]
    return [after - before for before, after in pairwise(counts)]


def check(result: dict[str, Any], counts: list[int]) -> None:
    """All that was due was published and received, and each sample was asked for its own."""
    totals = result["totals"]
    assert (totals["published"], totals["received"], totals["unsent"]) == (sum(counts), sum(counts), 0)
    assert result["targetRates"] == [2.0 * count for count in counts]
    assert result["targetPublishRate"] == round(sum(counts) / 2.5, 3)
    assert result["rateProfile"][1] == {"seconds": 0.5, "from": 0, "to": 0}
    ramp, pause, end = result["stretches"]
    assert ramp["targetRate"] == counts[0] + counts[1]
    assert (pause["targetRate"], pause["publishResponse"]["p50"]) == (0, None)
    assert (end["beginSeconds"], end["endSeconds"]) == (1.5, 2.5)
    assert {"rateTrend", "latencyTrend", "backlogTrend"} <= {each["rule"] for each in result["verdict"]["notJudged"]}
    assert result["delivery"][0]["lost"] == result["delivery"][0]["undelivered"] == 0


def test_random_arrivals_by_a_profile_are_the_same_in_any_workers(place: Place) -> None:
    """A run and its repetition by other workers publish the very messages that the schedule has."""
    file = place.write(WORKLOAD)
    counts = due(Workload.load(Path(file)), producers=3)
    assert counts[2] == 0 < min(counts[0], counts[1], counts[3])

    first = place.run("run", "w.yaml", "--plain", "--workers", "2")
    assert sound(first.returncode), first.stderr
    check(place.results()[0], counts)
    assert "random arrivals" in first.stdout
    (stored,) = (place.folder / "results").iterdir()
    stored = stored.rename(place.folder / "first.json")

    again = place.run("rerun", str(stored), "--quiet", "--workers", "4")
    assert sound(again.returncode), again.stderr
    (result,) = place.results()
    check(result, counts)
    assert len(result["environment"]["workers"]) == 4
    assert result["workloadSha256"] == json.loads(stored.read_text())["workloadSha256"]
