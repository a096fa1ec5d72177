"""`ombdriver export` and `ombdriver rerun` on the result of a real run, as a newcomer would use them."""

import csv
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from processes import COMMAND, Place, place_in, sound

from ombdriver.bench.metrics.summary import FAMILIES, GROUP_FAMILIES
from ombdriver.bench.results.export.formats import NAMES
from ombdriver.bench.results.omb_keys import SERIES
from ombdriver.bench.results.result import RATES
from ombdriver.bench.servers.private_server import PrivateServer
from ombdriver.cli.files import _FORMATS


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, str]]:
    """A place with the result of a run of 12 s against a private server, and the result's path there."""
    with place_in(tmp_path_factory.mktemp("export")) as place:
        finished = place.run("run", "w.yaml", "--duration", "12s", "--quiet")
        assert sound(finished.returncode), finished.stderr
        yield place, finished.stdout.rpartition("Result: ")[2].strip()


def exported(measured: tuple[Place, str], *arguments: str) -> str:
    """What `ombdriver export` prints."""
    place, path = measured
    finished = place.run("export", path, *arguments)
    assert (finished.returncode, told_besides_marks(finished)) == (0, [])
    return finished.stdout


def told_besides_marks(finished: "subprocess.CompletedProcess[str]") -> list[str]:
    """Lines of the error output but those about figures that are this machine's own, which a busy machine has."""
    return [line for line in finished.stderr.splitlines() if not line.endswith("this format has no mark for it")]


def test_the_log_holds_every_sample_of_the_run(measured: tuple[Place, str], tmp_path: Path) -> None:
    """Read back by HdrHistogram's reader and put together, it is the histogram of the whole window, count by count."""
    result = json.loads((measured[0].folder / measured[1]).read_text())
    log = tmp_path / "run.hlog"
    log.write_text(exported(measured, "--format", "hlog"))

    reader = HistogramLogReader(str(log), HdrHistogram(1, 24 * 3600 * 10**9, 3))
    together: dict[str, HdrHistogram] = {}
    lines: dict[str, int] = {}
    while (histogram := reader.get_next_interval_histogram()) is not None:
        tag = histogram.get_tag()
        together.setdefault(tag, HdrHistogram(1, 24 * 3600 * 10**9, 3)).add(histogram)
        lines[tag] = lines.get(tag, 0) + 1
    reader.close()

    encoded = {family: result["histograms"]["families"][family] for family in FAMILIES}
    for group, families in result["histograms"]["subscriptions"].items():
        encoded |= {f"{family}.{group}": families[family] for family in GROUP_FAMILIES}
    assert together.keys() == encoded.keys()
    for tag, whole in encoded.items():
        assert list(together[tag].counts) == list(HdrHistogram.decode(whole).counts)
        assert lines[tag] == 12


def test_the_csv_and_ombs_result_are_of_the_same_run(measured: tuple[Place, str]) -> None:
    """A row per second, an element per 10 s; in both as many messages as were acknowledged in the window."""
    result = json.loads((measured[0].folder / measured[1]).read_text())

    rows = list(csv.DictReader(io.StringIO(exported(measured, "--format", "csv"))))
    omb = json.loads(exported(measured, "--format", "omb"))

    assert len(rows) == 12
    assert len(rows[0]) == 2 + len(RATES) + len(SERIES)
    acknowledged = sum(float(row["publishRate_per_s"]) for row in rows)
    assert omb["publishRate"][0] * 10 + omb["publishRate"][1] * 2 == pytest.approx(acknowledged, abs=0.1)
    assert len(omb["endToEndLatency99pct"]) == 2
    assert omb["aggregatedPublishLatency99pct"] == result["aggregatedPublishLatency99pct"]
    assert max(omb["publishLatencyMax"]) == result["aggregatedPublishLatencyMax"]


def test_percentile_texts_go_into_a_folder_or_one_by_one_to_the_output(measured: tuple[Place, str]) -> None:
    """Whatever is named after the result can lie beside those of other runs; nothing is replaced."""
    place, path = measured
    paths = exported(measured, "--format", "hgrm", "--output", "texts").split()
    one = exported(measured, "--format", "hgrm", "--family", "endToEnd", "--group", "group-2")
    again = place.run("export", path, "--format", "hgrm", "--output", "texts")

    assert len(paths) == 9
    assert (place.folder / "texts" / f"{Path(path).stem}-endToEnd-group-2.hgrm").read_text() == one
    assert "Total count    =         6000]" in one
    assert again.returncode == 1
    assert "exists already and is not replaced" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'RESULT'"),
        (["{path}"], "Missing option '--format'"),
        (["{path}", "--format", "xml"], "'xml' is not one of 'csv', 'hgrm', 'hlog', 'omb'"),
        (["nowhere.json", "--format", "csv"], "nowhere.json can't be read (No such file or directory); give a result"),
        (["results", "--format", "csv"], "results can't be read (a folder); give a result file"),
        (
            ["w.yaml", "--format", "csv"],
            "w.yaml: YAML (workloads and setups are for `ombdriver run`), not JSON; give a result",
        ),
        (["{path}", "--format", "hgrm"], "name a folder for them with --output, or one latency with --family"),
        (["{path}", "--format", "csv", "--group", "group-1"], "csv holds them all, leave both out"),
        (["{path}", "--format", "hgrm", "--group", "g", "--output", "x"], "there are: group-1, group-2"),
    ],
)
def test_what_a_newcomer_gets_wrong_is_told(measured: tuple[Place, str], arguments: list[str], said: str) -> None:
    """Exit code 2 and the way out, and no file."""
    place, path = measured

    finished = place.run("export", *(each.format(path=path) for each in arguments))

    assert (finished.returncode, finished.stdout) == (2, "")
    assert said in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (place.folder / "x").exists()


@pytest.mark.parametrize("name", ["csv", "hlog", "omb"])
def test_a_full_disk_and_a_closed_pipe(measured: tuple[Place, str], name: str) -> None:
    """The first is told; the second is nobody's fault."""
    place, path = measured
    command = [*COMMAND, "export", path, "--format", name]
    with Path("/dev/full").open("w") as full:
        finished = subprocess.run(
            command, cwd=place.folder, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (finished.returncode, len(told_besides_marks(finished))) == (1, 1)
    assert "can't be written (No space left on device)" in finished.stderr

    piped = subprocess.run(
        ["sh", "-c", '"$@" | head -c 1 >/dev/null', "sh", *command],
        cwd=place.folder,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert told_besides_marks(piped) == []


def test_a_result_of_the_first_version_is_exported_with_a_remark(place: Place) -> None:
    """It kept no histograms of intervals."""
    old = Path(__file__).parents[1] / "golden" / "result-v1.json"

    finished = place.run("export", str(old), "--format", "hlog", "--output", "old.hlog")

    assert (finished.returncode, finished.stdout) == (0, "old.hlog\n")
    assert finished.stderr.endswith("kept no histograms of intervals: the log has one interval\n")
    assert (place.folder / "old.hlog").read_text().count("\nTag=") == 9


def test_a_rerun_is_the_same_run_again(place: Place) -> None:
    """From the result alone: workload, setup, processes and tags; where nothing has changed nothing is told."""
    first = place.run("run", "w.yaml", "--setup", "memory", "--tag", "host=lab", "--quiet")
    path = first.stdout.rpartition("Result: ")[2].strip()
    (place.folder / "w.yaml").unlink()

    again = place.run("rerun", path, "--tag", "try=2", "--quiet", "--output", "results")

    assert sound(again.returncode)
    assert again.stderr == ""
    assert "published" in again.stdout
    old, new = sorted(place.results(), key=lambda each: str(each["beginTime"]))
    same = ("workload", "workloadSpec", "workloadSha256", "setup", "setupSha256", "totals")
    assert {name: new[name] for name in same} == {name: old[name] for name in same}
    assert new["tags"] == {"host": "lab", "try": "2"}
    assert new["runId"] != old["runId"]


def test_a_rerun_wants_the_password_again_and_tells_what_has_changed(place: Place, valkey: PrivateServer) -> None:
    """Before the figures, on standard error; the password goes nowhere."""
    with redis.Redis(port=valkey.port) as client:
        client.execute_command("ACL", "SETUSER", "again", "on", ">sesame", "~*", "+@all")
        url = f"redis://again:sesame@127.0.0.1:{valkey.port}/3"
        try:
            first = place.run("run", "w.yaml", "--url", url, "--quiet")
            path = first.stdout.rpartition("Result: ")[2].strip()
            before = client.config_get("hz")["hz"]
            client.config_set("hz", "77")
            without = place.run("rerun", path)
            again = place.run("rerun", path, "--url", url, "--plain")
        finally:
            client.config_set("hz", before)
            client.execute_command("ACL", "DELUSER", "again")

    assert without.returncode == 2
    assert "redis://again:***@" in without.stderr
    assert "passwords are not kept in results; give the whole URL with --url" in without.stderr
    assert sound(again.returncode), again.stderr
    lines = again.stderr.splitlines()
    assert lines[-1] == f"ombdriver: not as it was: server.config.hz was {before}, is 77"
    assert [line for line in lines if "not as it was" in line] == lines[-1:]
    results = [each.read_text() for each in (place.folder / "results").iterdir()]
    assert len(results) == 2
    assert not any("sesame" in text for text in [*results, again.stderr, again.stdout, without.stderr])


def test_a_rerun_of_nothing_is_refused(place: Place) -> None:
    """Exit code 2, and nothing is started."""
    for arguments in ([], ["nowhere.json"], ["w.yaml"]):
        finished = place.run("rerun", *arguments)
        assert finished.returncode == 2
        assert finished.stderr.startswith("ombdriver: ")
        assert "Traceback" not in finished.stderr
    assert place.results() == []


def test_the_command_line_offers_what_there_is() -> None:
    """It names formats itself, since it imports no harness before it is asked."""
    assert _FORMATS == NAMES
