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
        paired: whether they have a series in common.
        baseline, other: the runs; when paired, those at one place belong together.
        alone: when paired, how many runs have no partner in their block, and so are not in it.
    """

    paired: bool
    baseline: tuple[Trial, ...]
    other: tuple[Trial, ...]
    alone: int = 0

    @property
    def repeats(self) -> int:
        """Blocks; when not paired, the runs of the setup that has fewer."""
        return min(len(self.baseline), len(self.other))


def pair(baseline: Sequence[Trial], other: Sequence[Trial]) -> Pairing:
    """The runs of two setups on one workload, in blocks when they have a series in common."""
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


def _blocks(trials: Sequence[Trial]) -> dict[tuple[str, int, int], Trial]:
    """By series, block and, as a command may name a workload twice, which time the block comes."""
    found: dict[tuple[str, int, int], Trial] = {}
    for trial in sorted(trials, key=lambda trial: trial.standing.run if trial.standing else 0):
        if trial.standing is not None:
            block = (trial.standing.series, trial.standing.block)
            time = sum(each[:2] == block for each in found)
            found[*block, time] = trial
    return found
