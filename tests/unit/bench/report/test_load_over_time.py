"""A load that changes over time, wherever it is looked at: the plan, the verdict, the display, result, report, page."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from assessed_run import assessed as assess_sample
from assessed_run import planned as small_plan
from sample_result import SPEC, figures, measurements, result

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.load.poisson import PoissonArrivals
from ombdriver.bench.load.profile import Profile, Stretch
from ombdriver.bench.metrics.collector import Collector
from ombdriver.bench.metrics.latency import LatencySummary
from ombdriver.bench.metrics.phase_view import MOST_STRETCHES, PhaseView, run_metrics
from ombdriver.bench.metrics.recorder import Metrics, Recorder
from ombdriver.bench.metrics.report import Report
from ombdriver.bench.metrics.summary import StretchMetrics
from ombdriver.bench.plan.plan import Plan, memory_estimate
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.report import terminal
from ombdriver.bench.report.page.timeline import timeline
from ombdriver.bench.report.plan import describe
from ombdriver.bench.report.progress import Progress
from ombdriver.bench.results.compare.differences import differences
from ombdriver.bench.results.compare.trial import trial_of
from ombdriver.bench.results.export.formats import export
from ombdriver.bench.results.result import Result
from ombdriver.bench.run.abort import AbortOnFail
from ombdriver.bench.run.events import Finished, IntervalClosed, PhaseBegan, RunState
from ombdriver.bench.run.progress import ProgressReporter
from ombdriver.bench.spec.catalog import workload_path
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.thresholds import Threshold
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.units import SECOND
from ombdriver.bench.verdict.debt import Debts
from ombdriver.bench.verdict.live import RunningVerdict

RAMP = Profile((Stretch(20 * SECOND, 0, 200), Stretch(10 * SECOND, 0, 0)))
PHASE = Phase(1, "measure", 100 * SECOND, 30 * SECOND, 200, RAMP)
EMBEDDED, MEMORY = Setup.load("embedded"), Setup.load("memory")


def workload(**fields: Any) -> Workload:
    """A small workload of 30 s with some fields replaced."""
    every = {
        "name": "small",
        "topics": 1,
        "partitionsPerTopic": 1,
        "messageSize": 1000,
        "subscriptionsPerTopic": 1,
        "producersPerTopic": 2,
        "consumerPerSubscription": 1,
        "warmupDuration": "5s",
        "testDuration": "30s",
    } | fields
    return Workload.parse("\n".join(f"{name}: {json.dumps(value)}" for name, value in every.items()), "small.yaml")


def planned(setup: Setup = EMBEDDED, **fields: Any) -> Plan:
    """Its plan."""
    return make_plan(workload(**fields), setup, "RUNID", workers=None, cores=2)


def collected(counts: list[int], phase: Phase = PHASE) -> Collector:
    """So many messages published, and received by the group, in each second; each after a millisecond."""
    recorder, collector = Recorder(SECOND), Collector(("group-1",), SECOND)
    recorder.begin_phase(phase)
    for second, count in enumerate(counts):
        at = np.full(count, phase.start_ns + second * SECOND, np.int64)
        taken = np.full(count, 10**6, np.int64)
        recorder.record(None, at, {"publish": taken, "publishResponse": taken})
        recorder.record("group-1", at, {"endToEnd": taken, "endToEndResponse": taken})
        for kind, group in (("published", None), ("received", "group-1")):
            recorder.count(kind, group, at, np.ones(count, np.int64))
    collector.add([_report(recorder.take())])
    return collector


def _report(figures: Metrics) -> Report:
    return Report(figures, 0, 0, 0, 0, {}, frozenset(), 0, {}, {})


# -- the plan ----------------------------------------------------------------------------------------------------------


def test_a_plan_is_laid_out_for_the_highest_rate_and_holds_the_messages_of_the_profile() -> None:
    """Streams keep a minute of the peak; memory is estimated from what is sent."""
    shaped = planned(rateProfile={"spike": {"base": 100, "peak": 20_000, "at": "10s", "for": "1s"}})
    peak, base = planned(producerRate=20_000), planned(producerRate=100)

    assert (shaped.rate, shaped.trimming) == (20_000, peak.trimming)
    assert shaped.messages == 5 * 100 + 29 * 100 + 20_000
    assert memory_estimate(base) < memory_estimate(shaped) < memory_estimate(peak)


@pytest.mark.parametrize(
    ("form", "rate"),
    [
        ({"ramp": {"from": 300, "to": 900}}, 300),
        ({"ramp": {"from": 0, "to": 900}}, 450),  # nothing would be no warm-up
        ({"steps": [70, 10]}, 70),
    ],
)
def test_the_warm_up_is_at_the_rate_that_the_profile_begins_with(form: dict[str, Any], rate: int) -> None:
    """All the time."""
    assert planned(rateProfile=form).warmup_rate == rate


def test_random_arrivals_are_seeded_by_the_workload() -> None:
    """And told apart by producer; a search may have them too."""
    assert planned(producerRate=5, arrivals="poisson", seed=7).poisson == PoissonArrivals(7, 2)
    assert planned(producerRate="max", arrivals="poisson").poisson == PoissonArrivals(0, 2)
    assert planned(producerRate=5).poisson is None


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("stages", {"rateProfile": [{"duration": "20s", "rate": 500}, {"duration": "10s", "to": 2500}]}),
        ("poisson", {"producerRate": 500, "arrivals": "poisson"}),
    ],
)
def test_a_plan_reads_as_text(name: str, fields: dict[str, Any], golden: Callable[[str, str], None]) -> None:
    """The profile in words, and that counts of random arrivals are about so many."""
    made = workload(**fields)

    golden(f"plan-{name}.txt", describe(planned(**fields), made, EMBEDDED))


def test_a_profile_ships() -> None:
    """As a workload to begin with."""
    profile = Workload.load(workload_path("1kb-spike")).profile

    assert profile is not None
    assert (profile.peak, profile.total) == (10_000, 90_000)


# -- while it runs -----------------------------------------------------------------------------------------------------


class Views:
    """A view that keeps what it is given."""

    def __init__(self) -> None:
        self.seen: list[Progress] = []
        self.ended = False

    def update(self, progress: Progress) -> None:
        """Keeps it."""
        self.seen.append(progress)

    def end(self) -> None:
        """Keeps that, too."""
        self.ended = True


def test_each_sample_is_shown_with_its_own_target() -> None:
    """Also in a pause, where nothing is asked for."""
    views = Views()
    collector = collected([5, 15, 25])
    plan = planned(MEMORY, producerRate=5)
    measurement = SimpleNamespace(collector=collector, backlog=dict, debts=Debts())
    reporter = ProgressReporter(views, plan, cast("Any", measurement), lambda: None)  # type: ignore[arg-type]

    reporter.on_event(PhaseBegan(RunState.MEASURE, PHASE))
    for seconds in (1, 2, 26):
        reporter.on_event(IntervalClosed(RunState.MEASURE, PhaseView(collector, PHASE, seconds * SECOND)))

    assert [each.target_rate for each in views.seen] == pytest.approx([5, 15, 0])
    assert not views.ended
    reporter.on_event(Finished(result(), Path("r.json")))
    assert views.ended, "the table comes after the display"


def test_what_was_asked_for_so_far_is_what_is_judged_so_far() -> None:
    """At the beginning of a ramp that is little; a rate of the whole run would call it overloaded."""
    collector = collected([5, 15, 25, 35, 45, 55])
    plan = planned(MEMORY, rateProfile={"ramp": {"from": 0, "to": 200}})
    verdict = RunningVerdict(plan, collector.processes, dict)
    verdict.begin()
    view = PhaseView(collector, PHASE, 6 * SECOND)

    told = verdict.update(view)

    assert view.target_rate == pytest.approx(30)
    assert view.since(5).target_rate == pytest.approx(55)
    assert told is not None
    assert told.status == "VALID"


def test_a_threshold_that_may_come_right_does_not_end_a_run_whose_rate_changes() -> None:
    """A rate or a percentile may; a maximum that was passed can't."""
    collector = collected([5] * 10)

    def ends(text: str, phase: Phase) -> bool:
        return AbortOnFail([Threshold.parse(text)]).failed(PhaseView(collector, phase, 10 * SECOND)) is not None

    steady = Phase(1, "measure", PHASE.start_ns, PHASE.duration_ns, 200)
    assert ends("publishRate > 90", steady)
    assert not ends("publishRate > 90", PHASE)
    assert not ends("publishResponse.p50 < 1us", PHASE)
    assert ends("publishResponse.max < 1us", PHASE)


# -- the end -----------------------------------------------------------------------------------------------------------


def test_a_window_has_a_target_for_each_sample() -> None:
    """And one for the whole of it, as far as it was run; where all are the same there is none."""
    measured = run_metrics(PhaseView(collected([5, 15, 25]), PHASE, 2 * SECOND + SECOND // 2, PHASE.end_ns), {}, {})
    assert measured.target_rates == pytest.approx([5, 15, 22.5])
    assert measured.target_rate == pytest.approx(12.5)

    steady = Phase(1, "measure", PHASE.start_ns, PHASE.duration_ns, 200)
    measured = run_metrics(PhaseView(collected([5, 15, 25], steady), steady, 3 * SECOND, PHASE.end_ns), {}, {})
    assert (measured.target_rate, measured.target_rates) == (200, [])


def test_of_random_arrivals_the_target_is_what_was_due() -> None:
    """So chance makes no run fall short of its target."""
    random = Phase(1, "measure", PHASE.start_ns, 3 * SECOND, 10, None, PoissonArrivals(0, 1))
    measured = run_metrics(PhaseView(collected([5, 15, 25], random), random, 3 * SECOND, PHASE.end_ns), {}, {})

    targets = measured.target_rates
    assert targets == [float(round(each)) for each in targets] != [10.0, 10.0, 10.0]
    assert measured.target_rate == pytest.approx(sum(targets) / 3)


STEPS = Profile((Stretch(2 * SECOND, 10, 10), Stretch(SECOND // 2, 0, 0), Stretch(5 * SECOND // 2, 10, 30)))


def stretched(counts: list[int], length_ns: int, profile: Profile = STEPS) -> list[tuple[float, ...]]:
    """A run by steps: of each stretch its bounds in seconds, the rates asked for and published, backlog and samples."""
    phase = Phase(1, "measure", PHASE.start_ns, profile.duration_ns, profile.peak, profile)
    view = PhaseView(collected(counts, phase), phase, length_ns, phase.end_ns)
    return [
        (
            *(each.begin_ns / SECOND, each.end_ns / SECOND, each.target_rate, each.publish_rate, each.backlog),
            *(each.publish.count, each.end_to_end.count),
        )
        for each in run_metrics(view, {"group-1": 7}, {}).stretches
    ]


def test_a_window_is_told_by_the_stretches_of_its_profile() -> None:
    """By the samples that lie within each, which a short one has none of."""
    told = stretched([10, 10, 4, 18, 24], 5 * SECOND)

    assert told == [
        (0, 2, 10, 10, 7, 20, 20),
        (3, 5, pytest.approx(22), 21, 7, 42, 42),
    ]


def test_of_a_run_that_was_cut_short_the_stretches_are_told_that_it_came_to() -> None:
    """The last one up to where it ended, by the second."""
    assert stretched([10, 10], 2 * SECOND) == [(0, 2, 10, 10, 7, 20, 20)]
    assert [each[:2] for each in stretched([10, 10, 4, 9], 7 * SECOND // 2)] == [(0, 2), (3, 3.5)]


@pytest.mark.parametrize("count", [1, MOST_STRETCHES + 1])
def test_what_has_no_stretches_to_tell_apart_is_told_as_a_whole(count: int) -> None:
    """One alone is the window, and very many are what the series tell."""
    assert stretched([10] * 5, 5 * SECOND, Profile((Stretch(10**8, 1, 2),) * count)) == []


def assessed(
    rates: list[float], targets: list[float], rate_changes: bool = False, **changed: Any
) -> tuple[str, dict[str, str], list[str]]:
    """The verdict, why which rules were not applied, and the caveats, of a run by such rates."""
    backlog = [round(rate) for rate in rates]
    given = {"publish_rate": rates, "target_rates": targets, "backlog": backlog, "length_ns": len(rates) * SECOND}
    plan = small_plan(profile=Profile((Stretch(SECOND, 1, 2),)) if rate_changes else None)
    found = assess_sample(plan=plan, **(given | changed))
    not_judged = {each.rule: each.message for each in found.verdict.not_judged}
    return found.verdict.status, not_judged, [each.message for each in found.caveats if each.kind == "behindTarget"]


def test_trends_are_not_judged_where_the_rate_is_one_that_changes() -> None:
    """They would be those of the profile; the result says so."""
    rates = [1000.0 + 50 * at for at in range(41)]

    status, unjudged, _ = assessed(rates, rates, rate_changes=True)
    assert status == "VALID"
    for rule in ("rateTrend", "latencyTrend", "backlogTrend"):
        assert unjudged[rule] == "the rate changes by its rateProfile, and so does what depends on it"
    assert assessed(rates, [])[0] == "UNSTEADY"


def test_samples_that_fell_short_of_their_target_are_told() -> None:
    """A spike that was missed is made up for later, so the rate over the window says nothing of it."""
    targets = [1000.0] * 3 + [9000.0] * 2 + [1000.0] * 5
    rates = [1000.0] * 3 + [5000.0, 8000.0, 5000.0, 2000.0] + [1000.0] * 3

    status, _, caveats = assessed(rates, targets, rate_changes=True, target_rate=2600.0)
    assert status == "OVERLOADED"  # the groups of this sample received less
    assert caveats == [
        "less than 90% of what was due was published in 2 of 10 samples, first after 3 s; least after 3 s, 56%;"
        " see targetRates beside publishRate"
    ]
    assert assessed(targets, targets, rate_changes=True, target_rate=2600.0)[2] == []
    assert assessed([0.0, 9.0], [9.0, 0.0], rate_changes=True, target_rate=5.0)[2] == []  # on its way


def shaped(**changed: Any) -> Result:
    """The result of a run by a profile."""
    profile = Profile((Stretch(20 * SECOND, 1000, 3000), Stretch(10 * SECOND, 0, 0)))
    spec = SPEC | {"arrivals": "poisson", "rateProfile": [{"duration": "20s", "from": 1000, "to": 3000}]}
    made = measurements(publish_rate=[1100.0, 2100.0, 0.0], target_rates=[1099.9996, 2100.0, 0.0], target_rate=4000 / 3)
    stretches = [
        StretchMetrics(
            profile.stretches[0], 0, 20 * SECOND, 2000, 1999.99, 6000, 12, figures(95_000), figures(212_000)
        ),
        StretchMetrics(profile.stretches[1], 20 * SECOND, 30 * SECOND, 0, 0, 0, 0, *[LatencySummary.none()] * 2),
    ]
    given = {"profile": profile, "workload_spec": spec, "stretches": stretches}
    return result(made, **(given | changed))


def test_a_result_tells_profile_and_targets(tmp_path: Path) -> None:
    """And reads them back; one of an older version has none."""
    data = json.loads(shaped().dumps())

    assert data["targetPublishRate"] == 1333.333
    assert data["rateProfile"] == [{"seconds": 20.0, "from": 1000, "to": 3000}, {"seconds": 10.0, "from": 0, "to": 0}]
    assert data["stretches"][0] == {
        "beginSeconds": 0.0,
        "endSeconds": 20.0,
        "from": 1000,
        "to": 3000,
        "targetRate": 2000,
        "publishRate": 1999.99,
        "consumeRate": 6000,
        "backlog": 12,
        "publishResponse": {"p50": 0.095, "p99": 0.475, "p99.9": 0.855},
        "endToEndResponse": {"p50": 0.212, "p99": 1.06, "p99.9": 1.908},
    }
    assert data["targetRates"] == [1100.0, 2100.0, 0.0]
    assert Result.loads(shaped().dumps(), "r.json") == shaped()
    for key in ("rateProfile", "stretches", "targetRates"):
        del data[key]
    older = Result.loads(json.dumps(data), "r.json")
    assert (older.rate_profile, older.stretches, older.target_rates) == (None, (), ())


def test_the_report_tells_the_profile(golden: Callable[[str, str], None]) -> None:
    """In words, with what arrivals are; the target is the mean."""
    stream = io.StringIO()
    terminal.show(shaped(), Path("results/r.json"), stream, 80)

    golden("report-profile.txt", stream.getvalue())


def test_the_page_draws_the_target_into_the_rates() -> None:
    """Where it is not the same all the time."""
    drawn = {line.name: list(line.values) for line in timeline(shaped(), 100).panels[0].lines}

    assert drawn["target"] == [1100, 2100, 0]
    assert "target" not in {line.name for line in timeline(result(), 100).panels[0].lines}


def test_the_csv_has_a_column_for_the_target() -> None:
    """Its last one."""
    rows = list(csv.reader(io.StringIO(export(shaped(), "r.json", "csv")[""], newline="")))

    assert [row[-1] for row in rows] == ["targetRate_per_s", "1100.0", "2100.0", "0.0"]


def test_runs_by_different_profiles_are_not_compared() -> None:
    """The load is another one, and it is told what of it."""
    other = [{"duration": "20s", "from": 1000, "to": 2000}]
    spec = shaped().workload_spec
    trials = [
        trial_of(shaped(), "a.json"),
        trial_of(shaped(workload_spec=spec | {"rateProfile": other}, workload_sha256="cd" * 32), "b.json"),
    ]

    assert [each.key for each in differences(trials)] == ["workload.rateProfile"]
