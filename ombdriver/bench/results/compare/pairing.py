"""Which runs of two setups belong together, and whether they can bear a claim at all. Pure.

Runs belong together when they stand in one block of one series, by what their results say; no blocks are made up from
the order of time. They bear a claim when the runs of both setups took turns in time, and when those that are not VALID
are missing from both alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from ombdriver.bench.results.compare.trial import Trial
from ombdriver.bench.verdict.model import INVALID

LONGEST_BLOCK = timedelta(hours=12)
"""Two runs of a block that began further apart, as when a series was resumed, did not meet the same machine."""
SPARED = 0.1
"""Of so many of its runs a setup may have more that are INVALID than another one; of one in any case."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """The runs of a setup and of the baseline.

    Attributes:
        paired: whether they have a block in common.
        baseline, other: the runs; when paired, those at one place belong together.
        without_partner: when paired, how many runs have no partner in their block, and are left out.
        no_turns: why a difference in time may pass for one of the setups; None when the runs took turns.
    """

    paired: bool
    baseline: tuple[Trial, ...]
    other: tuple[Trial, ...]
    without_partner: int = 0
    no_turns: str | None = None


def pair(baseline: Sequence[Trial], other: Sequence[Trial]) -> Pairing:
    """The runs of two setups on one workload, in blocks when they have one in common."""
    first, second = _blocks(baseline), _blocks(other)
    common = [block for block in first if block in second]
    if not common:
        return Pairing(False, tuple(baseline), tuple(other), no_turns=_no_turns(baseline, other))
    return Pairing(
        True,
        tuple(first[block] for block in common),
        tuple(second[block] for block in common),
        len(baseline) + len(other) - 2 * len(common),
        _blocks_apart([(first[block], second[block]) for block in common]),
    )


def _blocks(trials: Sequence[Trial]) -> dict[tuple[str, int], Trial]:
    """By series and the run before the block, as a command that names a workload twice has each number twice."""
    return {
        (trial.standing.series, trial.standing.run - trial.standing.position): trial
        for trial in trials
        if trial.standing is not None
    }


def _no_turns(baseline: Sequence[Trial], other: Sequence[Trial]) -> str | None:
    """Why runs without a block in common may differ by the time alone; None when they took turns.

    In the order of time it changes from one setup to the other at least half as often as in an order by chance.
    """
    times = [(trial.begun, at) for at, trials in enumerate((baseline, other)) for trial in trials if trial.begun]
    if len(times) < len(baseline) + len(other):
        return "results do not say when they ran, so what changed on the machine meanwhile can't be told apart"
    times.sort()
    changes = sum(one[1] != next_one[1] for one, next_one in pairwise(times))
    if changes >= len(baseline) * len(other) / (len(baseline) + len(other)):
        return None
    days = {begun.date() for begun, _ in times}
    when = f"they ran on {len(days)} days" if len(days) > 1 else "one setup ran after the other"
    return f"the runs did not take turns ({when}), so what changed on the machine meanwhile can't be told apart"


def _blocks_apart(blocks: Sequence[tuple[Trial, Trial]]) -> str | None:
    apart = sum(
        one.begun is not None and two.begun is not None and abs(one.begun - two.begun) > LONGEST_BLOCK
        for one, two in blocks
    )
    if not apart:
        return None
    hours = LONGEST_BLOCK // timedelta(hours=1)
    return f"in {apart} of {len(blocks)} blocks the runs began more than {hours} hours apart"


def left_out_unequally(baseline: Sequence[Trial], other: Sequence[Trial]) -> str | None:
    """Why the runs that are left are not those of two setups alike; None when they are.

    Runs that are not VALID are left out. A setup that is OVERLOADED in some of its runs and is judged by the others is
    judged by its best. INVALID is a matter of the harness: such a run that was repeated is made good, and of few (see
    `SPARED`) nothing is said.

    Args:
        baseline: all runs of it, whatever their verdicts.
        other: all runs of the other setup.
    """
    counts = []
    for trials in (baseline, other):
        valid = _blocks([trial for trial in trials if trial.excluded is None])
        left_out = [trial for trial in trials if trial.excluded is not None]
        invalid = [each for each in left_out if each.excluded == INVALID and not _blocks([each]).keys() & valid.keys()]
        counts.append((sum(trial.excluded != INVALID for trial in left_out), len(invalid)))
    (system, harness_runs), (other_system, other_harness_runs) = counts
    spared = max(1.0, SPARED * min(len(baseline), len(other)))
    if system == other_system and abs(harness_runs - other_harness_runs) <= spared:
        return None
    which = " and ".join(map(_left_out_of, (other, baseline)))
    return f"runs that are not VALID are left out unequally, {which}; those that are left are not alike"


def _left_out_of(trials: Sequence[Trial]) -> str:
    """`4 of 12 of embedded (OVERLOADED)`."""
    verdicts = [trial.excluded for trial in trials if trial.excluded is not None]
    why = f" ({', '.join(dict.fromkeys(verdicts))})" if verdicts else ""
    return f"{len(verdicts) or 'none'} of {len(trials)} of {trials[0].setup}{why}"
