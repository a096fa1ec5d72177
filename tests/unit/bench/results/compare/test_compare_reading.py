"""Files, patterns and folders become runs, each once; OMB's own results too."""

import json
from pathlib import Path
from typing import Any

import pytest
from recorded_result import recorded
from sample_result import result

from ombdriver.bench.results import store
from ombdriver.bench.results.compare.comparison import compare
from ombdriver.bench.results.compare.reading import read_trials
from ombdriver.bench.results.export import omb
from ombdriver.bench.verdict.model import Verdict
from ombdriver.errors import InputError

OMB_RESULT: dict[str, Any] = {
    "workload": "1 topic / 1 partition / 1Kb",
    "driver": "Redis",
    "messageSize": 1024,
    "topics": 1,
    "partitions": 1,
    "producersPerTopic": 1,
    "consumersPerTopic": 1,
    "publishRate": [1999.0, 2001.0],
    "publishErrorRate": [0.0, 0.0],
    "consumeRate": [2000.0, 2000.0],
    "backlog": [0, 0],
    "aggregatedPublishLatency50pct": 0.9,
    "aggregatedPublishLatency95pct": 1.5,
    "aggregatedPublishLatency99pct": 2.5,
    "aggregatedPublishLatency999pct": 7.25,
    "aggregatedPublishLatencyMax": 30.0,
    "aggregatedEndToEndLatency50pct": 0.0,
    "aggregatedEndToEndLatency95pct": 1.0,
    "aggregatedEndToEndLatency99pct": 2.0,
    "aggregatedEndToEndLatency999pct": 8.0,
    "aggregatedEndToEndLatencyMax": 31.0,
    "aggregatedPublishDelayLatency50pct": 12,
}
"""As OMB writes one, shortened."""


def stored(folder: Path, run_id: str, setup: str = "embedded") -> Path:
    """A result in the folder."""
    made = result(run_id=run_id, setup={"name": setup, "driver": "memory"}, verdict=Verdict("VALID"))
    return store.save(made, folder)


def test_files_patterns_and_folders_are_read_and_each_run_counts_once(tmp_path: Path) -> None:
    """In the order in which they are given; what else lies in a folder of results is passed over."""
    one, two = stored(tmp_path, "a1"), stored(tmp_path, "a2", "other")
    store.save_report("calibration", {"kind": "calibration", "time": "2026-03-01T12:00:00Z"}, tmp_path)
    (tmp_path / "package.json").write_text('{"name": "x"}')
    (tmp_path / "notes.txt").write_text("none of ours")

    assert [each.run_id for each in read_trials([str(two), str(tmp_path)])] == ["a2", "a1"]
    assert [each.run_id for each in read_trials([str(tmp_path / "*-a*.json"), str(one)])] == ["a1", "a2"]
    assert [each.source for each in read_trials([str(one)])] == [one.name]
    # As a shell gives them.
    assert len(read_trials(sorted(map(str, tmp_path.glob("*Z-*.json"))))) == 2


def test_every_file_that_is_no_result_is_told_at_once(tmp_path: Path) -> None:
    """With the way out."""
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "package.json").write_text('{"name": "x"}')
    given = [str(tmp_path / name) for name in ("missing.json", "broken.json", "package.json", "none-*.json")]
    with pytest.raises(InputError) as caught:
        read_trials(given)

    faults = [fault.replace(str(tmp_path), "") for fault in caught.value.messages]
    assert faults[0].startswith("/missing.json can't be read (No such file or directory);")
    assert faults[1].startswith("/broken.json: not JSON (")
    assert faults[2] == "/package.json: not the result of a run; give a file that `ombdriver run` wrote"
    assert faults[3] == "/none-*.json: no file is called so; `ls` in the folder shows what there is"


def test_one_setup_before_and_after_a_change_is_called_as_what_was_given(tmp_path: Path) -> None:
    """By the folders' names, or by labels; with several setups a label stands before each."""
    for folder in ("before", "after"):
        stored(tmp_path / folder, f"{folder}1")
    given = [str(tmp_path / "before") + "/", str(tmp_path / "after")]

    assert [each.setup for each in read_trials(given)] == ["before", "after"]
    assert [each.setup for each in read_trials(given, ["7.2", "8.0"])] == ["7.2", "8.0"]
    assert [each.setups[0].setup for each in compare(read_trials(given))] == ["after"]
    stored(tmp_path / "after", "after2", "other")
    assert [each.setup for each in read_trials(given)] == ["embedded", "embedded", "other"]
    assert [each.setup for each in read_trials(given, ["a", "b"])] == ["a embedded", "b embedded", "b other"]
    with pytest.raises(InputError, match="--label: 1 for 2 that are given"):
        read_trials(given, ["a"])


def test_results_without_an_ending_are_read_and_all_that_is_wrong_in_a_folder_is_told(tmp_path: Path) -> None:
    """What begins as JSON does is one; each broken file has its line."""
    stored(tmp_path, "a1").rename(tmp_path / "renamed")
    (tmp_path / "notes").write_text("none of ours")
    assert [each.source for each in read_trials([str(tmp_path)])] == ["renamed"]

    for name in ("b.json", "c.json"):
        (tmp_path / name).write_text("{")
    with pytest.raises(InputError) as caught:
        read_trials([str(tmp_path)])
    assert len(caught.value.messages) == 2


def test_a_folder_without_a_result_is_told(tmp_path: Path) -> None:
    """In place of an empty comparison."""
    with pytest.raises(InputError, match=r"no result in .*; give files that `ombdriver run` or OMB wrote"):
        read_trials([str(tmp_path)])


def test_a_result_of_omb_is_read_and_what_it_lacks_is_blank(tmp_path: Path) -> None:
    """Rates are means of its 10 s; its latencies of 0 are none; there are no response times."""
    path = tmp_path / "1-topic-Redis.json"
    path.write_text(json.dumps(OMB_RESULT))
    (trial,) = read_trials([str(path)])

    assert (trial.workload, trial.setup, trial.has_verdict) == ("1 topic / 1 partition / 1Kb", "Redis", False)
    assert (trial.excluded, trial.standing, trial.run_id) == (None, None, None)
    assert trial.figures == {
        "publishRate": 2000.0,
        "consumeRate": 2000.0,
        "publish.p50": 0.9,
        "publish.p95": 1.5,
        "publish.p99": 2.5,
        "publish.p99.9": 7.25,
        "publish.max": 30.0,
        "endToEnd.p95": 1.0,
        "endToEnd.p99": 2.0,
        "endToEnd.p99.9": 8.0,
        "endToEnd.max": 31.0,
    }
    assert trial.facts["workload.consumerPerSubscription"] == 1


def test_a_result_of_omb_with_a_wrong_value_is_refused(tmp_path: Path) -> None:
    """By its name."""
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(OMB_RESULT | {"publishRate": "fast"}))
    with pytest.raises(InputError, match=r"bad\.json: a value has a wrong type"):
        read_trials([str(path)])


def test_our_results_compare_with_those_of_omb(tmp_path: Path) -> None:
    """Here with our own, in OMB's form: the figures are the same, response times are blank, nothing is claimed."""
    made = recorded(3, verdict=Verdict("VALID"))
    ours = store.save(made, tmp_path)
    theirs = tmp_path / "omb.json"
    theirs.write_text(omb.render(made))
    (comparison,) = compare(read_trials([str(ours), str(theirs)]))
    (compared,) = comparison.setups
    effects = {str(each.figure): each for each in compared.effects}

    assert (comparison.baseline, compared.setup, compared.paired) == ("embedded", "redis-streams", False)
    assert comparison.without_verdict == ("omb.json",)
    assert effects["publish.p99"].ratio == pytest.approx(1.0)
    assert effects["endToEndResponse.p99"].ratio is None
    assert compared.no_claim is not None
    assert compared.no_claim.startswith("no claim can be made: these results lack the metrics that are tested")
