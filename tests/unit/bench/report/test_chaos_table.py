"""The table of `ombdriver chaos`: what each setup lost by each fault, as ranges over the repeats."""

import io

import pytest

from ombdriver.bench.report.chaos import ChaosRun, cells, show, to_markdown


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


def test_markdown_has_a_row_for_each_setup_and_a_column_for_each_fault() -> None:
    """For a page of documentation."""
    assert to_markdown(RUNS, LEFT_OUT).splitlines() == [
        "| | kill | cut | failover |",
        "|---|---|---|---|",
        "| `always` | lost 0; away 1.0; recovered 2.0, not yet | - | - |",
        "| `everysec` | lost 12-1,204; away 8.0-8.3; recovered 2.0-8.5 | - | - |",
    ]
