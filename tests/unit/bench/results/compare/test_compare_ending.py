"""The comparison at the end of a `run`: it may say little, and never fails the run; and what loading it costs."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from compared_trials import trials

from ombdriver.bench.results.compare import comparison
from ombdriver.cli.compare import print_comparison

FOLDER = str(Path(__file__).parents[2])


def test_the_comparison_at_the_end_leaves_out_what_is_not_valid(capsys: pytest.CaptureFixture[str]) -> None:
    """And names it; where no run is VALID, figures stand there all the same; a run that was cut has none."""
    runs = [*trials("a", 3, seed=1), *trials("b", 3, seed=2)]
    print_comparison([*runs[:5], replace(runs[5], excluded="UNSTEADY")])
    told = capsys.readouterr()
    assert "1kb-3groups: b against a\n2 blocks, compared within each; left out: 1 run without a partner\n" in told.out
    assert "left out, 1kb-3groups x b, UNSTEADY: b-3.json\n" in told.out

    print_comparison([replace(run, excluded="UNSTEADY") for run in runs])
    told = capsys.readouterr()
    claim = "not claimed: none of the 3 of b is VALID (3 UNSTEADY), and none of the 3 of a is VALID"
    assert claim in " ".join(told.out.split())
    assert "left out" not in told.out

    print_comparison([replace(run, excluded="PARTIAL") for run in runs])
    told = capsys.readouterr()
    assert told.out.startswith("\nNo comparison: there is no workload with results of whole runs of two setups.\n")
    assert "\nleft out, 1kb-3groups x a, PARTIAL: a-1.json, a-2.json, a-3.json\n" in told.out
    assert told.err == ""


def test_a_comparison_that_fails_does_not_fail_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told where the results are, and how to try again."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of nothing")

    monkeypatch.setattr(comparison, "compare", fail)
    print_comparison(trials("a", 1, seed=1))

    assert capsys.readouterr().err == (
        "ombdriver: the comparison failed (ZeroDivisionError('of nothing'));"
        " the results are stored, try `ombdriver compare`\n"
    )


def test_scipy_is_loaded_for_a_test_only() -> None:
    """Not by the command line, and not by a comparison of few runs."""
    program = (
        "import sys; sys.path.insert(0, {folder!r}); import ombdriver.cli; from compared_trials import trials;"
        " from ombdriver.bench.results.compare.comparison import compare;"
        " compare([*trials('a', {n}, seed=1), *trials('b', {n}, seed=2)]); print('scipy' in sys.modules)"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", program.format(n=n, folder=FOLDER)], capture_output=True, text=True, check=True
        ).stdout
        for n in (5, 6)
    ]
    assert said == ["False\n", "True\n"]
