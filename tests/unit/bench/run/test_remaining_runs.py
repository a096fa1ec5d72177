"""What is left to run of a command whose results are partly there."""

from dataclasses import replace
from pathlib import Path

import pytest
from requested_runs import requested
from sample_result import result

from ombdriver.bench.hosts.cluster import Cluster
from ombdriver.bench.plan.host_layout import HostLayout
from ombdriver.bench.results import store
from ombdriver.bench.results.versions import content_sha256
from ombdriver.bench.run.request import Request, remaining_runs


def finish(request: Request, folder: Path, **changed: object) -> None:
    """Stores a result of it."""
    assert request.standing is not None
    made = result(
        workload_sha256=request.workload.sha256,
        setup=request.setup.spec(),
        standing=replace(request.standing, series="before"),
        run_id=f"run{request.standing.run}",
    )
    store.save(replace(made, setup_sha256=content_sha256(request.setup.spec()), **changed), folder)  # type: ignore[arg-type]


def test_runs_with_a_whole_result_are_left_out_and_the_others_join_their_series(tmp_path: Path) -> None:
    """Known by workload, setup and repeat; their places stay what they were."""
    requests = requested(tmp_path, sweeps=["workload.topics=1,2"], repeats=2)
    folder = tmp_path / "results"
    finish(requests[0], folder)
    finish(requests[3], folder)

    left = remaining_runs(requests, folder)

    assert [(one.workload.topics, one.standing.block) for one in left if one.standing] == [(1, 2), (2, 1)]
    assert {one.standing.series for one in left if one.standing} == {"before"}
    assert [one.standing.run for one in left if one.standing] == [2, 3]


def test_a_partial_result_is_run_again(tmp_path: Path) -> None:
    """It is not what was asked for."""
    requests = requested(tmp_path)
    finish(requests[0], tmp_path / "results", partial=True)

    assert remaining_runs(requests, tmp_path / "results") == requests


def test_a_workload_that_was_changed_is_run_again(tmp_path: Path) -> None:
    """Its hash is another one; so it is with setups."""
    before = requested(tmp_path)
    finish(before[0], tmp_path / "results")
    changed = requested(tmp_path, assignments=["workload.messageSize=200"])

    assert remaining_runs(changed, tmp_path / "results") == changed
    assert remaining_runs(before, tmp_path / "results") == []


@pytest.mark.parametrize(
    "other", [None, HostLayout(3, 2, "split"), HostLayout(2, 2, "mixed"), HostLayout(3, 4, "mixed")], ids=repr
)
def test_a_run_elsewhere_is_another_run(tmp_path: Path, other: HostLayout | None) -> None:
    """On this machine, on other numbers of hosts or workers, or placed otherwise."""
    (local,) = requested(tmp_path)
    on_hosts = replace(local, cluster=Cluster("tls://10.0.0.1:8786", HostLayout(3, 2, "mixed")))
    elsewhere = replace(local, cluster=None if other is None else Cluster("tls://10.0.0.2:8786", other))
    assert on_hosts.cluster is not None
    finish(on_hosts, tmp_path / "results", environment={"layout": on_hosts.cluster.layout.to_json()})

    assert remaining_runs([elsewhere], tmp_path / "results") == [elsewhere]
    assert remaining_runs([on_hosts], tmp_path / "results") == []


def test_without_a_folder_everything_is_left(tmp_path: Path) -> None:
    """The first time."""
    requests = requested(tmp_path)

    assert remaining_runs(requests, tmp_path / "nowhere") == requests
