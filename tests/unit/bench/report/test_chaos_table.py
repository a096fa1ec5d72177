"""The table of `ombdriver chaos`: what each setup lost by each fault, as ranges over the repeats."""

import io
from dataclasses import replace

import pytest
from sample_faults import sample_faults
from sample_page import run as page_run

from ombdriver.bench.faults.standard import TAG
from ombdriver.bench.report.chaos import ChaosRun, cells, runs_of, to_markdown
from ombdriver.bench.report.chaos_table import show


def run(
    setup: str = "everysec",
    fault: str = "kill",
    lost: int = 0,
    outage_s: float = 1.0,
    recover_s: float | None = 2.0,
    *,
    promises: bool = False,
    error: str | None = None,
) -> ChaosRun:
    """One run."""
    return ChaosRun(setup, fault, "VALID", error, lost, 5_000, 3, outage_s, recover_s, promises)


RUNS = [
    run(lost=12, outage_s=8.04),
    run(lost=1_204, outage_s=8.31, recover_s=8.5),
    run("always", promises=True),
    run("always", promises=True, recover_s=None),
    run("always", "cut", error="the process of the links has ended"),
]
LEFT_OUT = {("everysec", "failover"): "clients do not follow a failover"}


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        (RUNS[:2], ("12-1,204", "8.0-8.3", "2.0-8.5", "none")),
        (RUNS[2:4], ("0", "1.0", "2.0, not yet", "kept")),
        ([run(promises=True, lost=1)], ("1", "1.0", "2.0", "broken")),
        ([run(recover_s=None, outage_s=0.0)], ("0", "0", "not yet", "none")),
    ],
)
def test_a_cell_has_the_range_of_its_runs(runs: list[ChaosRun], told: tuple[str, ...]) -> None:
    """One value where all are alike; one that did not recover is told."""
    (cell,) = cells(runs).values()

    assert (cell.lost, cell.outage, cell.recover, cell.promise) == told


def test_the_table_has_each_fault_of_each_setup_and_what_is_missing() -> None:
    """Runs whose fault was not injected count nowhere, and are told."""
    stream = io.StringIO()

    show(RUNS, LEFT_OUT, stream)

    said = stream.getvalue()
    assert "failover on everysec: not injected, clients do not follow a failover" in said
    assert "cut on always: 1 run left out, the fault could not be injected or healed" in said
    rows = [line.split() for line in said.splitlines() if line.startswith(("always", "everysec"))]
    assert [(row[0], row[1], row[2]) for row in rows] == [
        ("always", "kill", "2"),
        ("always", "cut", "0"),
        ("everysec", "kill", "2"),
    ]


def test_markdown_has_the_rows_and_notes_of_the_table() -> None:
    """For a page of documentation."""
    assert to_markdown(RUNS, LEFT_OUT).splitlines() == [
        "| setup | fault | runs | lost | unknown | outage s | recover s | promise |",
        "|---|---|--:|--:|--:|--:|--:|---|",
        "| `always` | kill | 2 | 0 | 3 | 1.0 | 2.0, not yet | kept |",
        "| `always` | cut | 0 | - | - | - | - | - |",
        "| `everysec` | kill | 2 | 12-1,204 | 3 | 8.0-8.3 | 2.0-8.5 | none |",
        "",
        "- failover on everysec: not injected, clients do not follow a failover",
        "- cut on always: 1 run left out, the fault could not be injected or healed",
    ]


def test_results_of_standard_faults_are_known_by_their_tag() -> None:
    """Another run with faults, and one that ended before its own, are none of them."""
    with_faults = replace(page_run(1), faults=sample_faults())
    early = replace(page_run(2), faults={**sample_faults(), "injections": []}, tags={TAG: "kill"})

    (found,) = runs_of([with_faults, early, replace(with_faults, tags={TAG: "kill"}), page_run(3)])

    assert (found.setup, found.fault, found.lost, found.outage_s) == ("embedded", "kill", 1_204, 2.31)
