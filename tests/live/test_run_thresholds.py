"""Thresholds of real runs: told at the end, or ending the run; exit codes of one command with several workloads."""

import pytest
from processes import Place, sound

FAST = ("--setup", "memory", "--quiet")
NEVER = "publish.p50 < 1ns"
ALWAYS = "totals.published > 0"


def test_thresholds_are_told_and_stored(place: Place) -> None:
    """Those of the file first; one that fails makes the exit code 4, unless the verdict has something graver."""
    text = (place.folder / "w.yaml").read_text()
    place.write(f"{text}thresholds: [{ALWAYS}]\n")

    finished = place.run("run", "w.yaml", *FAST, "--threshold", NEVER)

    (result,) = place.results()
    assert finished.returncode == (4 if result["verdict"]["status"] == "VALID" else 3), finished.stderr
    assert [(check["expression"], check["passed"]) for check in result["thresholds"]] == [
        (ALWAYS, True),
        (NEVER, False),
    ]
    assert result["workloadSpec"]["thresholds"] == [ALWAYS, NEVER]
    assert f"pass  {ALWAYS}" in finished.stdout
    assert f"FAIL  {NEVER}" in finished.stdout


def test_a_threshold_that_holds_changes_nothing(place: Place) -> None:
    """Nor does a longer list of them."""
    finished = place.run("run", "w.yaml", *FAST, "--threshold", ALWAYS, "--threshold", "endToEnd[group-2].p50 < 1000s")

    assert sound(finished.returncode), finished.stderr
    assert all(check["passed"] for check in place.results()[0]["thresholds"])


def test_a_failed_threshold_ends_a_run_that_asks_for_it(place: Place) -> None:
    """Long before its time, as PARTIAL, and nothing that was on its way is missing; the next workload is run."""
    text = (place.folder / "w.yaml").read_text().replace("testDuration: 1s", "testDuration: 10m")
    place.write(text + "abortOnFail: true\nthresholds: [publish.max < 1ns]\n")
    place.write((place.folder / "w.yaml").read_text().replace("10m", "1s"), "v.yaml")

    finished = place.run("run", "w.yaml", "v.yaml", *FAST)

    first, second = place.results()
    reasons = [reason["rule"] for reason in first["verdict"]["reasons"]]
    assert (first["workload"], second["workload"]) == ("w", "v")
    assert (first["partial"], first["verdict"]["status"], reasons[0]) == (True, "PARTIAL", "thresholdFailed")
    assert first["partialReason"].startswith("the threshold publish.max < 1ns failed (")
    assert len(first["publishRate"]) < 10
    assert first["totals"]["received"] == 2 * first["totals"]["published"]
    alone = reasons == ["thresholdFailed"] and not [
        reason for reason in second["verdict"]["reasons"] if reason["rule"] != "thresholdFailed"
    ]
    assert finished.returncode == (4 if alone else 3), finished.stderr


@pytest.mark.timeout(120)
def test_of_several_workloads_the_gravest_code_counts(place: Place) -> None:
    """Each is run, though the first is not valid: its server could not do what was asked, by far."""
    place.write((place.folder / "w.yaml").read_text().replace("500", "10000000"), "much.yaml")

    finished = place.run("run", "much.yaml", "w.yaml", *FAST, "--duration", "300ms", "--threshold", ALWAYS)

    assert finished.returncode == 3, finished.stderr
    by_name = {result["workload"]: result["verdict"]["status"] for result in place.results()}
    assert by_name.keys() == {"much", "w"}
    assert by_name["much"] in ("INVALID", "OVERLOADED")
