"""The figures of `make bench` have the units that their names say."""

from typing import Any

import pytest

from ombdriver.bench.metrics.latency import LatencySummary
from ombdriver.bench.metrics.summary import MessagesPerWrite
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.worker.protocol import Job
from ombdriver.bench.worker.wire_format import encode
from tests.benchmarks.coordinator import plan_for, simulate, table
from tests.benchmarks.harness import SETUP, Trial
from tests.benchmarks.through_dask import table as table_of_dask
from tests.benchmarks.width import AIMS, Shape
from tests.benchmarks.width import table as table_of_width
from tests.unit.bench.sample_result import figures, measurements, result

WORKER = {"windowCpuSeconds": 12.0, "rssGrowthBytes": 4096}


def test_a_trial_is_told_in_microseconds_rates_and_cores() -> None:
    """By the same run in every form: a result holds nanoseconds, and processor time in seconds."""
    parts = {"scheduleLag": figures(20_000)}
    run = result(environment={"workers": [WORKER]}, delay_parts=parts, messages_per_write=MessagesPerWrite(50, 1.5, 3))
    publish, delay = run.latency["publish"], run.latency["publishDelay"]

    trial = Trial.of(run)

    assert trial.publish_p50_us == 1000 * (publish.ms("p50") or 0) == 61.0
    assert trial.publish_p99_us == 1000 * (publish.ms("p99") or 0) == 305.0
    assert trial.delay_mean_us == 1000 * (delay.ms("avg") or 0) > 0
    assert (trial.lag_mean_us, trial.messages_per_write) == (22.0, 1.5)
    assert trial.cpu_us == 12e6 / 60_000
    assert trial.cores == 12 / 30
    assert (round(trial.sent), round(trial.received), trial.growth) == (2000, 6000, 4096)


def test_a_run_without_a_sample_has_no_latency() -> None:
    """Rather than the figure of a sample that never was."""
    whole = measurements()
    silent = {name: type(each)(LatencySummary.none(), "", [], {}) for name, each in whole.families.items()}

    parts = {"scheduleLag": LatencySummary.none()}
    trial = Trial.of(result(environment={"workers": [WORKER]}, families=silent, delay_parts=parts))

    assert (trial.publish_p50_us, trial.publish_p99_us, trial.delay_mean_us, trial.lag_mean_us) == (0, 0, 0, 0)


def test_each_pacing_of_a_trial_is_one_of_a_setup() -> None:
    """The text of the setup is made for each."""
    for pacing in ("adaptive", "spin"):
        assert Setup.parse(SETUP.format(pacing=pacing), "bench").client.pacing == pacing


async def test_hosts_that_are_simulated_are_read_to_the_message() -> None:
    """Or their figures would be of something else; the simulation itself holds its accounts."""
    found = await simulate(3)

    assert {name: figure > 0 for name, figure in found.items()} == dict.fromkeys(found, True)
    assert table([(3, found)]).splitlines()[-1].startswith("| 3 | ")


def test_what_a_worker_has_to_know_of_a_run_does_not_grow_with_its_hosts() -> None:
    """And says the same of its messages."""
    few, many = plan_for(2), plan_for(20)

    assert many.for_a_worker().flows == many.flows
    assert many.for_a_worker().existing == many.existing
    jobs = [encode(Job(plan.for_a_worker(), plan.workers[0], "redis-streams", {})) for plan in (few, many)]
    assert len(jobs[1]) - len(jobs[0]) < 20


def through_dask(ratio: float, engine: float | None, blocks: int = 10) -> tuple[str, bool]:
    """What is told of blocks that differ by chance, and whose runs through Dask take `ratio` times as long."""
    chance = [1 + 0.005 * ((at * 7) % 6 - 2.5) for at in range(2 * blocks)]

    def told(scale: float) -> dict[str, Any]:
        latency = {
            "publishResponse": {"p50": scale, "p99": 4 * scale},
            "endToEndResponse": {"p50": 2 * scale, "p99": 9 * scale},
        }
        usage = {"hosts": [{"engineCpu": {"mean": engine}}], "schedulerCpu": {"mean": 0.01}}
        return {"latency": latency, "telemetry": usage, "verdict": {"status": "VALID"}}

    return table_of_dask([told(each) for each in chance[:blocks]], [told(ratio * each) for each in chance[blocks:]])


@pytest.mark.parametrize(
    ("ratio", "engine", "fine"),
    [(1.0, 0.01, True), (1.05, 0.01, True), (1.12, 0.01, False), (0.88, 0.01, False), (1.0, 0.05, False)],
)
def test_runs_through_dask_are_equivalent_where_all_that_is_possible_is_within_the_margin(
    ratio: float, engine: float, fine: bool
) -> None:
    """Of the p50 by 10 %, of the p99 by 25 %; and Dask is to take less than 5 % of a core."""
    text, found = through_dask(ratio, engine)

    assert found == fine
    assert ("| NO |" in text) == (engine < 0.05 and not fine)
    assert f"Dask's processes took {engine + 0.01:.1%} of a core at most" in text
    assert "local: 10 VALID" in text


def test_without_a_figure_of_what_dask_took_nothing_is_shown() -> None:
    """A scheduler that could not be asked is no idle one."""
    assert through_dask(1.0, None)[1] is False


def test_the_widest_shapes_are_told_with_what_is_aimed_at() -> None:
    """A row for each, and on what and when they were measured; a figure that is too high is known."""
    figures = dict.fromkeys(AIMS, 1.0) | {"connections": 48.0}
    aims = AIMS | {"connections": 60.0}
    fine, wide = (Shape(each, aims, "VALID", "Valkey 9.1.2") for each in (figures, figures | {"ready s": 11.0}))

    text = table_of_width({"10,000 topics": fine, "10,000 partitions": wide})

    assert "| 10,000 topics | 1.0 | 1.0 | 1.0 | 1.0 | 48 | `VALID` |" in text
    assert "with Valkey 9.1.2 and " in text
    assert (fine.above, wide.above) == (set(), {"ready s"})
