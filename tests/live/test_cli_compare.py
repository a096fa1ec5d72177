"""`ombdriver compare` on results of real runs, and the comparison at the end of `run` with several setups."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from processes import Place, place_in, sound

FAST = ("--duration", "300ms", "--warmup", "0s", "--rate", "200", "--quiet")
REPEATS = 3


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Two setups that are the same but for their names, run in turns: the folder of the results, and what was told."""
    with place_in(tmp_path_factory.mktemp("ran")) as place:
        for name in ("one", "two"):
            place.write(f"name: {name}\ndriver: memory\n", f"{name}.yaml")
        arguments = ("--setup", "one.yaml", "--setup", "two.yaml", "--repeats", str(REPEATS))
        finished = place.run("run", "w.yaml", *arguments, *FAST)
        assert sound(finished.returncode), finished.stderr
        return place.folder / "results", finished.stdout


@pytest.fixture
def valid(place: Place, ran: tuple[Path, str]) -> Place:
    """A place with these results, VALID whatever the verdicts were: this machine may be too busy."""
    shutil.copytree(ran[0], place.folder / "results")
    for path in paths(place):
        change(path, verdict={"status": "VALID", "reasons": [], "notJudged": []})
    return place


def paths(place: Place) -> list[Path]:
    """The files of the results in the order of their runs."""
    return sorted(
        (place.folder / "results").iterdir(), key=lambda path: json.loads(path.read_text())["standing"]["run"]
    )


def change(path: Path, **changed: Any) -> None:
    """Edits a result."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def test_a_run_of_two_setups_ends_with_their_comparison(ran: tuple[Path, str]) -> None:
    """Over its VALID results, or all of a setup that has none; with few repeats nothing can be claimed."""
    _, _, told = ran[1].rpartition("\nSeries ")

    valid = dict.fromkeys(("one", "two"), 0)
    for path in ran[0].iterdir():
        result = json.loads(path.read_text())
        valid[result["setup"]["name"]] += result["verdict"]["status"] == "VALID"
    assert "\nw: two against one\n" in told
    assert ("no claim can be made: " if all(valid.values()) else "not claimed: none of the ") in told
    left_out = "\nleft out, w x one, " in told, "\nleft out, w x two, " in told
    assert left_out == (0 < valid["one"] < REPEATS, 0 < valid["two"] < REPEATS)
    assert max(map(len, told.splitlines())) <= 80


def test_results_are_compared_in_every_format(valid: Place) -> None:
    """From a folder, a pattern or files; the baseline is the first setup, or the named one."""
    table = valid.run("compare", "results")
    assert table.returncode == 0, table.stderr
    assert "\nw: two against one\n3 blocks, compared within each\nno claim can be made: 3 blocks" in table.stdout
    assert table.stderr == ""
    assert "w: one against two" in valid.run("compare", "results/*.json", "--baseline", "two").stdout
    whole = json.loads(valid.run("compare", *map(str, paths(valid)), "--format", "json", "--per-group").stdout)
    (versus,) = whole["comparisons"][0]["setups"]
    assert (versus["setup"], versus["paired"], versus["runs"]) == ("two", True, REPEATS)
    assert "endToEndResponse[group-2].p99" in [each["metric"] for each in versus["metrics"]]
    rows = list(csv.DictReader(io.StringIO(valid.run("compare", "results", "--format", "csv").stdout)))
    assert [row["setup"] for row in rows] == ["two"] * 22
    assert valid.run("compare", "results", "--format", "markdown").stdout.startswith("### w: two against one\n")


def test_edited_and_mixed_results_are_refused(valid: Place) -> None:
    """With what differs and code 2; `--force` compares them all the same, and says so."""
    first, second, *_ = paths(valid)
    data = json.loads(second.read_text())
    change(second, workloadSpec=data["workloadSpec"] | {"messageSize": 200}, workloadSha256="00" * 32)

    refused = valid.run("compare", "results")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("ombdriver: w: workload.messageSize is 100 in 5 results (")
    assert "Traceback" not in refused.stderr
    forced = valid.run("compare", "results", "--force")
    assert forced.returncode == 0
    assert "not alike, and compared all the same: workload.messageSize is 100 in 5" in forced.stdout.replace("\n", " ")

    change(second, verdict={"status": "INVALID", "reasons": [], "notJudged": []})
    without = valid.run("compare", "results")
    assert without.returncode == 0, without.stderr
    assert f"left out, w x two, INVALID: {second.name}" in without.stdout.replace("\n", " ")

    first.write_text(first.read_text()[:100])
    broken = valid.run("compare", "results")
    assert broken.returncode == 2
    assert f"{first.name}: not JSON" in broken.stderr


@pytest.mark.parametrize(
    ("condition", "code"),
    [("publishRate worse than 99%", 0), ("publish.p50 worse than 0%", 4), ("publish.p98 worse than 1%", 2)],
)
def test_a_condition_decides_on_the_exit_code(valid: Place, condition: str, code: int) -> None:
    """4 when it is met, 2 when it is none."""
    for path in paths(valid):
        data = json.loads(path.read_text())
        p50 = 2.0 if data["setup"]["name"] == "two" else 1.0
        change(path, latency=data["latency"] | {"publish": data["latency"]["publish"] | {"p50": p50}})

    finished = valid.run("compare", "results", "--fail-if", condition)
    assert finished.returncode == code, finished.stderr
    assert ("publish.p50 worse than 0%: FAILED for w x two: 2.000 times" in finished.stdout) == (code == 4)
