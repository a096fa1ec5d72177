"""The studies that a command makes: each page is what its figures say, and verdicts follow from figures alone."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from sample_page import run

from tests.marked import marks
from tests.studies import claims, omb, page

MADE = {omb.COMMAND: (omb.PAGE, omb.DATA, omb.tables), claims.COMMAND: (claims.PAGE, claims.DATA, claims.render)}


@pytest.mark.parametrize("command", MADE)
def test_a_study_tells_the_figures_that_are_kept(command: str) -> None:
    """Its part that the command makes is what the command makes of the figures beside it."""
    path, data, made_of = MADE[command]
    begins, ends = marks(command)
    told = path.read_text(encoding="utf-8").partition(begins)[2].partition(ends)[0]

    assert told.strip() == made_of(page.load(data)).strip()
    assert "not measured" not in told


@pytest.mark.parametrize("command", MADE)
def test_a_page_without_a_place_is_told_before_anything_runs(command: str, tmp_path: Path) -> None:
    """Rather than after many minutes."""
    path = tmp_path / "page.md"
    path.write_text("nothing")
    main = omb.main if command == omb.COMMAND else claims.main

    with pytest.raises(SystemExit, match="no place for the table"):
        main(["--page", str(path), "--data", str(tmp_path / "figures.json")])


def test_a_folder_that_is_no_built_omb_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    """Before a server is started."""
    path = tmp_path / "page.md"
    path.write_text("\n".join(marks(omb.COMMAND)))

    with pytest.raises(SystemExit, match="has no bin/benchmark"):
        omb.main(["--page", str(path), "--omb", str(tmp_path)])


def test_figures_of_omb_are_told_in_the_unit_of_ours() -> None:
    """Its publish delay is in microseconds, all others in milliseconds; what it has no key for is not told."""
    keys = {key: 2.0 for _, key, _ in omb.ROWS.values() if key}
    told = omb.of_omb(keys | {omb.QUANTILES: {"0.0": 1.0, "50.0": 2.0}})

    assert told["publish p50"] == 2.0
    assert told["publish delay p99"] == 0.002
    assert told["publish response p99"] is None
    assert told["end-to-end least"] == 1.0


def test_a_run_of_omb_without_a_latency_has_no_least_one() -> None:
    """All that was received within its millisecond is dropped."""
    keys = {key: 0.0 for _, key, _ in omb.ROWS.values() if key}

    assert omb.of_omb(keys | {omb.QUANTILES: {}})["end-to-end least"] is None


def test_each_row_has_a_figure_of_ours() -> None:
    """From the result of a run."""
    assert [name for name, value in omb.of_ours(run(1)).items() if value is None] == []
    assert 0 <= omb.below_a_millisecond(run(1)) <= 1


def test_the_server_hangs_as_often_in_both() -> None:
    """By the faults of the workload, and by the times of the study itself."""
    at, every, until = (float(re.search(rf"{key}: ([\d.]+)s", omb.FAULTS)[1]) for key in ("at", "every", "until"))  # type: ignore[index]

    assert (at, every) == (omb.FIRST_S, omb.EVERY_S)
    assert (until - at) // every + 1 == omb.HANGS


TOLD: Mapping[str, tuple[Mapping[str, float], Mapping[str, float], Mapping[str, float]]] = {
    "group-latency": (
        {"runs": 1, "validRuns": 1, "within1ms": 0.99, "within2ms": 0.9995, "p99.9": 1.9},
        {"runs": 1, "validRuns": 1, "within1ms": 0.9, "within2ms": 0.995, "p99.9": 3.0},
        {"runs": 1, "validRuns": 0, "within1ms": 0.1, "within2ms": 0.5, "p99.9": 30.0},
    ),
    "pending": (
        {"clearMicros": 2.0, "stuckMicros": 2.2},
        {"clearMicros": 2.0, "stuckMicros": 3.5},
        {"clearMicros": 2.0, "stuckMicros": 5.0},
    ),
    "length": tuple(
        {f"at{each}": 1.0 for each in claims.LENGTHS[:-1]} | {f"at{claims.LENGTHS[-1]}": last}
        for last in (1.1, 1.9, 2.1)
    ),  # type: ignore[dict-item]
    "trimming": (
        {"noneMicros": 1.0, "aboutMicros": 1.2, "exactMicros": 1.5},
        {"noneMicros": 1.0, "aboutMicros": 1.4, "exactMicros": 1.5},
        {"noneMicros": 1.0, "aboutMicros": 1.6, "exactMicros": 1.5},
    ),
    "groups": (
        {"runs": 4, "validRuns": 4, "with1": 50, "with3": 70, "with10": 140, "with30": 340},
        {"runs": 4, "validRuns": 4, "with1": 50, "with3": 70, "with10": 140, "with30": 600},
        {"runs": 4, "validRuns": 4, "with1": 50, "with3": 70, "with10": 140, "with30": 900},
    ),
    "fsync": (
        {"runs": 6, "validRuns": 6, "memoryMs": 0.1, "diskMs": 2.0},
        {"runs": 6, "validRuns": 6, "memoryMs": 0.1, "diskMs": 0.3},
        {"runs": 6, "validRuns": 6, "memoryMs": 0.1, "diskMs": 0.11},
    ),
    "memory": (
        {"streamBytes": 17, "hashBytes": 220},
        {"streamBytes": 17, "hashBytes": 70},
        {"streamBytes": 17, "hashBytes": 20},
    ),
}


@pytest.mark.parametrize("name", claims.CLAIMS)
def test_a_verdict_on_a_claim_follows_from_its_figures(name: str) -> None:
    """It holds, holds in part, or does not."""
    found = [claims.CLAIMS[name].told(figures)[1] for figures in TOLD[name]]

    assert found == [claims.HOLDS, claims.PARTLY, claims.FAILS]


@pytest.mark.parametrize("name", [name for name, told in TOLD.items() if "runs" in told[0]])
def test_runs_that_are_not_valid_decide_nothing(name: str) -> None:
    """Neither for a claim nor against it: this machine was the bottleneck."""
    found = [claims.judged(claims.CLAIMS[name], {**figures, "validRuns": 0})[1] for figures in TOLD[name]]

    assert found == [claims.UNKNOWN] * 3


def test_a_claim_that_was_not_measured_has_no_verdict() -> None:
    """It stands on the page all the same."""
    told = claims.render({"memory": {**TOLD["memory"][0], "machine": "Measured somewhere."}})

    assert told.count("**Measured.** Not yet.") == len(claims.CLAIMS) - 1
    assert f"| {claims.CLAIMS['memory'].title} | {claims.HOLDS} |" in told
    assert "Measured somewhere." in told


def test_runs_that_are_not_valid_are_counted() -> None:
    """A claim that is measured by runs tells how many of them were VALID."""
    fine, other = run(1), replace(run(2), verdict=None)

    assert claims.verdicts(claims.valid([fine, other])) == "1 of 2 runs `VALID`"
