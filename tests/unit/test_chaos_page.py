"""The table of `make chaos`: made of results alone, and put into its page."""

from dataclasses import replace
from pathlib import Path

import pytest
from sample_faults import sample_faults
from sample_page import run

from ombdriver.bench.faults.standard import TAG
from ombdriver.bench.results import store
from ombdriver.bench.results.result import Result
from tests.chaos.__main__ import main, table
from tests.marked import marks


def results() -> list[Result]:
    """Two runs with a standard fault."""
    tags = {TAG: "kill"}
    return [replace(run(at, setup), faults=sample_faults(), tags=tags) for at, setup in ((1, "always"), (2, "never"))]


def test_the_table_tells_what_was_run_and_what_was_lost() -> None:
    """With everything that a reader needs to judge it."""
    told = table(results())

    assert "| `always` | kill | 1 | 1,204 | 17 | 2.3 | 4.0 | none |" in told
    assert "2 runs of 2,000/s for " in told
    assert "verdicts: 2 `VALID`." in told


def test_results_without_standard_faults_make_no_table() -> None:
    """A page is not emptied by them."""
    with pytest.raises(SystemExit, match="no result has a standard fault"):
        table([run(1)])


def test_a_table_is_made_again_of_a_folder_of_results(tmp_path: Path) -> None:
    """Nothing is run for it."""
    page = tmp_path / "page.md"
    page.write_text("\n".join(marks("chaos")))
    for each in results():
        store.write(tmp_path / "runs", f"{each.run_id}.json", each.dumps())

    with pytest.raises(SystemExit) as ended:
        main(["--results", str(tmp_path / "runs"), "--page", str(page)])

    assert not ended.value.code
    assert page.read_text() == f"{marks('chaos')[0]}\n\n{table(results())}\n{marks('chaos')[1]}"


def test_a_page_without_a_place_is_told_before_anything_runs(tmp_path: Path) -> None:
    """Rather than after many minutes."""
    page = tmp_path / "page.md"
    page.write_text("nothing")

    with pytest.raises(SystemExit, match="no place for the table"):
        main(["1kb-low-rate", "--page", str(page)])
