"""Which runs of two setups belong together: those of one block of one series. Pure.

Blocks are taken from what the results say; none are made up from the order of time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ombdriver.bench.compare.trial import Trial


@dataclass(frozen=True, slots=True)
class Pairing:
    """The runs of a setup and of the baseline.

    Attributes:
        paired: whether they have a block in common.
        baseline, other: the runs; when paired, those at one place belong together.
        alone: when paired, how many runs have no partner in their block, and so are not in it.
    """

    paired: bool
    baseline: tuple[Trial, ...]
    other: tuple[Trial, ...]
    alone: int = 0


def pair(baseline: Sequence[Trial], other: Sequence[Trial]) -> Pairing:
    """The runs of two setups on one workload, in blocks when they have one in common."""
    first, second = _blocks(baseline), _blocks(other)
    common = [block for block in first if block in second]
    if not common:
        return Pairing(False, tuple(baseline), tuple(other))
    return Pairing(
        True,
        tuple(first[block] for block in common),
        tuple(second[block] for block in common),
        len(baseline) + len(other) - 2 * len(common),
    )


def _blocks(trials: Sequence[Trial]) -> dict[tuple[str, int], Trial]:
    """By series and the run before the block, as a command that names a workload twice has each number twice."""
    return {
        (trial.standing.series, trial.standing.run - trial.standing.position): trial
        for trial in trials
        if trial.standing is not None
    }
