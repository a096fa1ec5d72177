"""Runs -> how each setup compares with the baseline, metric by metric. Pure.

A setup's figure is the median over its runs of each run's own; percentiles are never averaged, and no run's samples are
mixed with those of another. The ratio is that of `permutation`, of the runs' logarithms, so it need not be the ratio of
the two medians.

Which runs of two setups belong together: those of one block of one series. Pure.

Blocks are taken from what the results say; none are made up from the order of time.

Whether a claim may be made at all of what was found: the runs of both setups took turns in time, and the runs that are
not VALID are missing from both alike. Pure.

What differs between runs that are to be compared, and must not: the load, the machine, what measures. Pure.

Runs of one workload must have the same load, machine and versions; those of one setup also the same setup, server and
number of processes. A fact that only some of the runs tell is no difference, since older versions knew fewer facts and
OMB knows hardly any; but what a setup leaves out is its default, so there it is one.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.results.compare import statistics
from ombdriver.bench.results.compare.metrics import DECLARED, UNTESTED, of_groups, overall
from ombdriver.bench.results.compare.statistics import (
    ALPHA,
    FEWEST,
    Shift,
    least_p_paired,
    least_p_unpaired,
    paired,
    unpaired,
)
from ombdriver.bench.results.compare.trial import Trial
from ombdriver.bench.units import nearest
from ombdriver.bench.verdict.model import INVALID
from ombdriver.errors import InputError, NotComparable


@dataclass(frozen=True, slots=True)
class Pairing:
    """The runs of a setup and of the baseline.

    Attributes:
        paired: whether they have a block in common.
        baseline, other: the runs; when paired, those at one place belong together.
        alone: when paired, how many runs have no partner in their block, and so are not in it.
        apart: why a difference in time may pass for one of the setups; None when the runs took turns.
    """

    paired: bool
    baseline: tuple[Trial, ...]
    other: tuple[Trial, ...]
    alone: int = 0
    apart: str | None = None


def pair(baseline: Sequence[Trial], other: Sequence[Trial]) -> Pairing:
    """The runs of two setups on one workload, in blocks when they have one in common."""
    first, second = _blocks(baseline), _blocks(other)
    common = [block for block in first if block in second]
    if not common:
        return Pairing(False, tuple(baseline), tuple(other), apart=_no_turns(baseline, other))
    return Pairing(
        True,
        tuple(first[block] for block in common),
        tuple(second[block] for block in common),
        len(baseline) + len(other) - 2 * len(common),
        _torn([(first[block], second[block]) for block in common]),
    )


def _blocks(trials: Sequence[Trial]) -> dict[tuple[str, int], Trial]:
    """By series and the run before the block, as a command that names a workload twice has each number twice."""
    return {
        (trial.standing.series, trial.standing.run - trial.standing.position): trial
        for trial in trials
        if trial.standing is not None
    }


LONGEST_BLOCK = timedelta(hours=12)
"""Two runs of a block that began further apart, as when a series was resumed, did not meet the same machine."""
SPARED = 0.1
"""Of so many of its runs a setup may have more that are INVALID than another one; of one in any case."""


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


def _torn(blocks: Sequence[tuple[Trial, Trial]]) -> str | None:
    torn = sum(
        one.begun is not None and two.begun is not None and abs(one.begun - two.begun) > LONGEST_BLOCK
        for one, two in blocks
    )
    if not torn:
        return None
    hours = LONGEST_BLOCK // timedelta(hours=1)
    return f"in {torn} of {len(blocks)} blocks the runs began more than {hours} hours apart"


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
        fit = _blocks([trial for trial in trials if trial.unfit is None])
        unfit = [trial for trial in trials if trial.unfit is not None]
        harness = [trial for trial in unfit if trial.unfit == INVALID and not _blocks([trial]).keys() & fit.keys()]
        counts.append((sum(trial.unfit != INVALID for trial in unfit), len(harness)))
    (system, harness_runs), (other_system, other_harness_runs) = counts
    spared = max(1.0, SPARED * min(len(baseline), len(other)))
    if system == other_system and abs(harness_runs - other_harness_runs) <= spared:
        return None
    told = " and ".join(map(_left_out_of, (other, baseline)))
    return f"runs that are not VALID are left out unequally, {told}; those that are left are not alike"


def _left_out_of(trials: Sequence[Trial]) -> str:
    """`4 of 12 of embedded (OVERLOADED)`."""
    verdicts = [trial.unfit for trial in trials if trial.unfit is not None]
    why = f" ({', '.join(dict.fromkeys(verdicts))})" if verdicts else ""
    return f"{len(verdicts) or 'none'} of {len(trials)} of {trials[0].setup}{why}"


NOT_SET = "not set"
_HASH = "workloadSha256"
_LOAD = "workload."
_MOST_TOLD = 4


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that is not the same in all runs.

    Attributes:
        key: its dotted name.
        values: each value, and the sources of the runs that have it; in the order of the runs.
        setup: the setup within which it differs; None for one that differs among all runs.
    """

    key: str
    values: tuple[tuple[Any, tuple[str, ...]], ...]
    setup: str | None = None

    def __str__(self) -> str:
        told = [f"{_shown(value)} in {_of(sources)}" for value, sources in self.values[:_MOST_TOLD]]
        more = len(self.values) - len(told)
        within = f"within {self.setup}, " if self.setup is not None else ""
        return f"{within}{self.key} is {', '.join(told)}{f', and {more} other values' if more > 0 else ''}"


def differences(trials: Sequence[Trial]) -> list[Difference]:
    """Everything that differs among the runs of one workload and must not; empty when they can be compared."""
    found = _differing([(trial.source, trial.facts) for trial in trials])
    hashes = {trial.facts.get(_HASH) for trial in trials}
    if len(hashes) == 1 and None not in hashes:  # the same load, be its file of another name
        found = [each for each in found if not each.key.startswith(_LOAD)]
    elif any(each.key.startswith(_LOAD) for each in found):
        found = [each for each in found if each.key != _HASH]  # it would only say again that they differ
    for setup in dict.fromkeys(trial.setup for trial in trials):
        own = [(trial.source, trial.setup_facts) for trial in trials if trial.setup == setup]
        found += _differing(own, setup)
    return found


def _differing(told: Sequence[tuple[str, Mapping[str, Any]]], setup: str | None = None) -> list[Difference]:
    found = []
    for key in dict.fromkeys(key for _, facts in told for key in facts):
        by: dict[str, tuple[Any, list[str]]] = {}
        for source, facts in told:
            if key in facts:
                value = facts[key]
            elif key.startswith("setup."):
                value = None
            else:
                continue
            by.setdefault(repr(value), (value, []))[1].append(source)
        if len(by) > 1:
            values = tuple((value, tuple(sources)) for value, sources in by.values())
            found.append(Difference(key, values, setup))
    return found


def _shown(value: Any) -> str:
    text = NOT_SET if value is None else str(value)
    return text if len(text) <= 40 else text[:12] + "..."


def _of(sources: Sequence[str]) -> str:
    return sources[0] if len(sources) == 1 else f"{len(sources)} results ({sources[0]} ...)"


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the runs of a setup; ms or messages per second.

    Attributes:
        count: runs that have it.
        median, least, most: over these; None without any.
    """

    count: int
    median: float | None = None
    least: float | None = None
    most: float | None = None

    @property
    def relative(self) -> float | None:
        """How far apart the least and the greatest are, as a share of the median; None with fewer than two."""
        if self.count < 2 or self.median is None or self.least is None or self.most is None:
            return None
        return (self.most - self.least) / self.median


@dataclass(frozen=True, slots=True)
class Effect:
    """One figure of one setup against the baseline: what a bar with its interval is drawn from.

    Attributes:
        figure: which.
        baseline, other: over the runs that are compared.
        ratio: of the setup to the baseline: 1.2 is 20 % more; None when either lacks the figure.
        low, high: the ends of its 95 % interval, by itself; None where none can be told.
        p: by itself; None for what is not tested.
        corrected_p: by Holm, over all tests of the comparison.
        word: `faster`, `slower` or `no detectable difference below X %`; None for what is not tested, and where no
            claim can be made.
    """

    figure: Figure
    baseline: Spread
    other: Spread
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    corrected_p: float | None = None
    word: str | None = None


@dataclass(frozen=True, slots=True)
class Versus:
    """One setup against the baseline.

    Attributes:
        setup: its name.
        paired: whether runs were compared within the blocks of a series.
        runs: its own runs that are compared.
        baseline_runs: those of the baseline.
        alone: runs that have no partner in their block, and so are not in it.
        effects: one for each figure, in the order in which they are told.
        no_claim: why no claim can be made, with what to do; None when it can.
        forced: why no claim could have been made, had it not been put up with; None when nothing was.
    """

    setup: str
    paired: bool
    runs: int
    baseline_runs: int
    alone: int
    effects: tuple[Effect, ...]
    no_claim: str | None = None
    forced: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All setups of one workload against the first, or the one that was named.

    Attributes:
        workload: its name.
        baseline: the setup's name.
        versus: the other setups, in the order in which their runs came.
        differences: what should be alike and is not; empty unless that was put up with.
        unjudged: the runs that have no verdict, since OMB wrote their results.
    """

    workload: str
    baseline: str
    versus: tuple[Versus, ...]
    differences: tuple[Difference, ...] = ()
    unjudged: tuple[str, ...] = ()


def compare(
    trials: Sequence[Trial], baseline: str | None = None, *, force: bool = False, per_group: bool = False
) -> list[Comparison]:
    """One comparison for each workload, in the order in which they come; a workload with one setup alone has none.

    Args:
        trials: runs; those that are unfit count only as left out.
        baseline: a setup; None for the first of each workload.
        force: put up with runs that differ in what matters, or did not take turns.
        per_group: each consumer group by itself too.

    Raises:
        InputError: if there are no runs, no workload has two setups, or none has the baseline.
        NotComparable: if runs differ in what matters; with every difference.
    """
    every = trials
    trials = [trial for trial in every if trial.unfit is None]
    if not trials:
        raise InputError("there is no VALID result to compare; run again when nothing else keeps the machine busy")
    setups = dict.fromkeys(trial.setup for trial in trials)
    if baseline is not None and baseline not in setups:
        near = nearest(baseline, setups)
        hint = f"did you mean {near}?" if near else f"there are: {', '.join(setups)}"
        raise InputError(f"--baseline: no result of a setup {baseline!r}; {hint}")
    found = []
    faults: list[str] = []
    for workload in dict.fromkeys(trial.workload for trial in trials):
        of_it = [trial for trial in trials if trial.workload == workload]
        named = dict.fromkeys(trial.setup for trial in of_it)
        if len(named) < 2 or (baseline is not None and baseline not in named):
            continue
        differing = differences(of_it)
        faults += [f"{workload}: {each}; compare what is alike, or put up with it by --force" for each in differing]
        if not differing or force:
            all_of_it = [trial for trial in every if trial.workload == workload]
            found.append(_compared(workload, baseline or next(iter(named)), all_of_it, differing, per_group, force))
    if faults and not force:
        raise NotComparable(faults)
    if not found:
        what = ", ".join(setups)
        raise InputError(f"no workload has results of two setups (there are: {what}); give results of another setup")
    return found


def _compared(
    workload: str,
    baseline: str,
    every: Sequence[Trial],
    differing: Sequence[Difference],
    per_group: bool,
    force: bool,
) -> Comparison:
    trials = [trial for trial in every if trial.unfit is None]
    figures = overall()
    if per_group:
        figures += of_groups(list(dict.fromkeys(group for trial in trials for group in trial.groups)))
    base = [trial for trial in trials if trial.setup == baseline]
    versus = []
    for setup in dict.fromkeys(trial.setup for trial in trials if trial.setup != baseline):
        pairing = pair(base, [trial for trial in trials if trial.setup == setup])
        measured = [_effect(figure, pairing) for figure in figures]
        unequal = left_out_unequally(*([one for one in every if one.setup == name] for name in (baseline, setup)))
        versus.append(_Measured(setup, pairing, measured, unequal))
    return Comparison(
        workload,
        baseline,
        tuple(_judged(versus, force)),
        tuple(differing),
        tuple(trial.source for trial in trials if not trial.judged),
    )


def _effect(figure: Figure, pairing: Pairing) -> tuple[Effect, float | None]:
    """The effect without its corrected p and its word, and the least p that it could have had."""
    first = [trial.figures.get(str(figure)) for trial in pairing.baseline]
    second = [trial.figures.get(str(figure)) for trial in pairing.other]
    if pairing.paired:  # a run without the figure takes its partner with it
        both = [(one, two) for one, two in zip(first, second, strict=True) if one is not None and two is not None]
        base, other = [one for one, _ in both], [two for _, two in both]
    else:
        base, other = [one for one in first if one is not None], [two for two in second if two is not None]
    effect = Effect(figure, _spread(base), _spread(other))
    if not base or not other:
        return effect, None
    logs = np.log(base), np.log(other)
    shift = paired(logs[1] - logs[0]) if pairing.paired else unpaired(*logs)
    return _with_shift(effect, shift), shift.least_p if figure in DECLARED else None


def _with_shift(effect: Effect, shift: Shift) -> Effect:
    effect = replace(effect, ratio=math.exp(shift.estimate))
    if shift.low is None or shift.high is None or effect.figure.statistic == UNTESTED:
        return effect
    p = shift.p if effect.figure in DECLARED else None
    return replace(effect, low=math.exp(shift.low), high=math.exp(shift.high), p=p)


@dataclass(frozen=True, slots=True)
class _Measured:
    """A setup against the baseline, not judged yet: effects, each with the least p that it could have had."""

    setup: str
    pairing: Pairing
    effects: Sequence[tuple[Effect, float | None]]
    unequal: str | None


def _judged(measured: Sequence[_Measured], force: bool) -> Iterable[Versus]:
    """Each setup, with words: what is said of one depends on how many tests there are of all."""
    tested = [effect for each in measured for effect, _ in each.effects if effect.p is not None]
    corrected = iter(statistics.holm([effect.p for effect in tested if effect.p is not None]))
    for each in measured:
        pairing, apart = each.pairing, each.pairing.apart
        refused = each.unequal
        if refused is None and apart is not None and not force:
            refused = f"{apart}; run them in turns with --setup A --setup B --repeats 10, or claim it by --force"
        told = []
        able = False
        for effect, least_p in each.effects:
            if effect.p is None or effect.ratio is None or effect.low is None or effect.high is None:
                told.append(effect)
                continue
            corrected_p = next(corrected)
            can = least_p is not None and least_p * len(tested) <= ALPHA
            able |= can
            claimed = can and refused is None
            word = statistics.word(effect.ratio, effect.low, effect.high, corrected_p) if claimed else None
            told.append(replace(effect, corrected_p=corrected_p, word=word))
        no_claim = None if refused is None else f"no claim: {refused}"
        if not able:
            no_claim = _no_claim(pairing, len(tested), each.effects)
        yield Versus(
            each.setup,
            pairing.paired,
            len(pairing.other),
            len(pairing.baseline),
            pairing.alone,
            tuple(told),
            no_claim,
            apart if force else None,
        )


def _no_claim(pairing: Pairing, tests: int, effects: Sequence[tuple[Effect, float | None]]) -> str:
    ask = f"ask for more with --repeats {statistics.GOOD_REPEATS}"
    repeats = max(min(each.baseline.count, each.other.count) for each, _ in effects if each.figure in DECLARED)
    if not repeats:
        return "no claim can be made: these results lack the metrics that are tested; compare results of ombdriver"
    if repeats < FEWEST:
        many = f"{repeats} {'block' if pairing.paired else 'run'}{'' if repeats == 1 else 's'}"
        return f"no claim can be made: {many}, {FEWEST} are the fewest that can be tested; {ask}"
    least_p: Callable[[int], float] = least_p_paired if pairing.paired else lambda each: least_p_unpaired(each, each)
    needed = statistics.repeats_needed(tests, least_p)
    if needed is None:
        return f"no claim can be made: {tests} tests are too many; compare fewer setups at a time"
    ask = f"ask for more with --repeats {max(needed + statistics.SPARE_REPEATS, statistics.GOOD_REPEATS)}"
    many = f"{repeats} {'blocks' if pairing.paired else 'runs'}"
    return f"no claim can be made: {many}, and {tests} tests need {needed}; {ask}"


def _spread(values: Sequence[float]) -> Spread:
    return Spread(len(values), median(values), min(values), max(values)) if values else Spread(0)
