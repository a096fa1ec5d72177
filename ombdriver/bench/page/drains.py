"""Backlogs that runs have drained, as rows of a table. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from ombdriver.bench.page.arrangement import Run
from ombdriver.bench.report import drain_words

MOST_GROUPS = 12


@dataclass(frozen=True, slots=True)
class Drain:
    """The backlog of one run: its name, what became of it in words, and by group a cell for each of the columns."""

    run: str
    notes: tuple[str, ...]
    rows: tuple[tuple[str, Sequence[str]], ...]


def drains(runs: Sequence[Run]) -> tuple[Drain, ...]:
    """Of the runs that have drained one."""
    return tuple(
        Drain(
            run.name,
            (drain_words.sentence(drain), drain_words.publishing(drain)),
            tuple(drain_words.rows(drain, MOST_GROUPS)),
        )
        for run in runs
        if (drain := run.result.backlog_drain) is not None
    )
