"""Runs -> how each setup compares with the baseline, figure by figure. Pure.

A setup's figure is the median over its runs of each run's own; percentiles are never averaged, and no run's samples are
mixed with those of another. The ratio is that of a permutation test, of the runs' logarithms, so it need not be the
ratio of the two medians. What is concluded of a setup depends on how many tests there are of all.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np

from ombdriver.bench.metrics.figures import Figure
from ombdriver.bench.results.compare import faults as of_faults
from ombdriver.bench.results.compare import statistics
from ombdriver.bench.results.compare.differences import Difference, differences
from ombdriver.bench.results.compare.metrics import DECLARED, UNTESTED, of_groups, overall
from ombdriver.bench.results.compare.pairing import Pairing, left_out_unequally, pair
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
from ombdriver.bench.results.harness_share import HarnessShare, harness_share_of_median
from ombdriver.bench.units import nearest
from ombdriver.errors import InputError, NotComparable

BUNCHED_MORE = 1.25
"""Loads of which one has so many times the messages of the other in a write were not alike. At 10,000 messages/s a
server took 0.26 of a core for three in a write, and 0.47 for one."""
NO_WHOLE_RUN = ("PARTIAL",)
"""Verdicts of runs that did not go to their end."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the runs of a setup; ms or messages per second.

    Attributes:
        count: runs that have it.
        median, least, most: over these; None without any.
        harness_share: whether the median says more of the harness than of the system, as the figure does in half of the
            runs at least.
    """

    count: int
    median: float | None = None
    least: float | None = None
    most: float | None = None
    harness_share: HarnessShare | None = None

    @property
    def relative(self) -> float | None:
        """The range as a share of the median; None with fewer than two."""
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
        low, high: the ends of its 95 % interval, by itself; None where there is none.
        p: by itself; None for what is not tested.
        corrected_p: by Holm, over all tests of the comparison.
        conclusion: `faster`, `slower` or `no detectable difference below X %`; None for what is not tested, and
            where no claim can be made.
    """

    figure: Figure
    baseline: Spread
    other: Spread
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    corrected_p: float | None = None
    conclusion: str | None = None


@dataclass(frozen=True, slots=True)
class SetupComparison:
    """One setup against the baseline.

    Attributes:
        setup: its name.
        paired: whether runs were compared within the blocks of a series.
        runs: its own runs that are compared.
        baseline_runs: those of the baseline.
        without_partner: runs that have no partner in their block, and are left out.
        effects: one for each figure, in the order in which they are shown.
        no_claim: why no claim can be made, with what to do; None when it can.
        forced: why no claim could have been made without `force`; None when one could.
        fit: whether both have VALID runs; figures of runs that are not are shown, and nothing follows from them.
        faults: what faults did, in all whole runs of both; empty unless both had some.
    """

    setup: str
    paired: bool
    runs: int
    baseline_runs: int
    without_partner: int
    effects: tuple[Effect, ...]
    no_claim: str | None = None
    forced: str | None = None
    fit: bool = True
    faults: tuple[of_faults.FaultEffect, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """All setups of one workload against the first, or the one that was named.

    Attributes:
        workload: its name.
        baseline: the setup's name.
        setups: the other setups, in the order in which their runs came.
        differences: what should be alike and is not; empty unless that was put up with.
        without_verdict: the runs that have no verdict, since OMB wrote their results.
        messages_per_write: of the runs of each setup that say so, the baseline first: how bunched their load was, as
            the median of the means.
    """

    workload: str
    baseline: str
    setups: tuple[SetupComparison, ...]
    differences: tuple[Difference, ...] = ()
    without_verdict: tuple[str, ...] = ()
    messages_per_write: Mapping[str, float] = field(default_factory=dict)

    @property
    def unevenly_bunched(self) -> bool:
        """Whether the load of one setup was more bunched than that of another, so that it was cheaper to serve."""
        told = self.messages_per_write.values()
        return bool(told) and max(told) > BUNCHED_MORE * min(told)


def shown(trials: Sequence[Trial]) -> list[Trial]:
    """The runs whose figures are compared: the VALID ones of each setup of a workload.

    Of a setup that has none, those that went to their end: on a busy machine nearly every run is INVALID, and figures
    of which nothing is claimed say more than none.
    """
    valid = {(trial.workload, trial.setup) for trial in trials if trial.excluded is None}
    return [
        trial
        for trial in trials
        if trial.excluded is None or ((trial.workload, trial.setup) not in valid and trial.excluded not in NO_WHOLE_RUN)
    ]


def left_out(trials: Sequence[Trial]) -> list[Trial]:
    """The others: their figures are not compared."""
    compared = {id(trial) for trial in shown(trials)}
    return [trial for trial in trials if id(trial) not in compared]


def compare(
    trials: Sequence[Trial], baseline: str | None = None, *, force: bool = False, per_group: bool = False
) -> list[Comparison]:
    """One comparison for each workload, in the order in which they come; a workload with one setup alone has none.

    Args:
        trials: runs; those that are not among `shown` count only as left out.
        baseline: a setup; None for the first of each workload.
        force: put up with runs that differ in what matters, or did not take turns.
        per_group: each consumer group by itself too.

    Raises:
        InputError: if there are no runs, no workload has two setups, or none has the baseline.
        NotComparable: if runs differ in what matters; with every difference.
    """
    every = trials
    trials = shown(every)
    if not trials:
        raise InputError("there is no result of a whole run to compare; run again, to the end")
    setups = dict.fromkeys(trial.setup for trial in trials)
    if baseline is not None and baseline not in setups:
        near = nearest(baseline, setups)
        hint = f"did you mean {near}?" if near else f"there are: {', '.join(setups)}"
        raise InputError(f"--baseline: no result of a setup {baseline!r}; {hint}")
    found = []
    faults: list[str] = []
    for workload in dict.fromkeys(trial.workload for trial in trials):
        of_it = [trial for trial in trials if trial.workload == workload]
        fit = {trial.setup for trial in of_it}
        # In the order of all runs: which setup is the first does not depend on which of its runs are VALID.
        named = [name for name in dict.fromkeys(t.setup for t in every if t.workload == workload) if name in fit]
        if len(named) < 2 or (baseline is not None and baseline not in named):
            continue
        differing = differences(of_it)
        faults += [f"{workload}: {each}; compare what is alike, or put up with it by --force" for each in differing]
        if not differing or force:
            all_of_it = [trial for trial in every if trial.workload == workload]
            found.append(
                _compare_setups(workload, baseline or next(iter(named)), all_of_it, differing, per_group, force)
            )
    if faults and not force:
        raise NotComparable(faults)
    if not found:
        what = ", ".join(setups)
        raise InputError(
            f"no workload has results of two setups (there are: {what}); give results of another setup, or name what is"
            " given by --label"
        )
    return found


def _compare_setups(
    workload: str,
    baseline: str,
    every: Sequence[Trial],
    differing: Sequence[Difference],
    per_group: bool,
    force: bool,
) -> Comparison:
    trials = shown(every)
    figures = overall()
    if per_group:
        figures += of_groups(list(dict.fromkeys(group for trial in trials for group in trial.groups)))
    base = [trial for trial in trials if trial.setup == baseline]
    measured = []
    for setup in dict.fromkeys(trial.setup for trial in trials if trial.setup != baseline):
        pairing = pair(base, [trial for trial in trials if trial.setup == setup])
        both = [[one for one in every if one.setup == name] for name in (setup, baseline)]
        unfit = _unfit(both)
        unequal = left_out_unequally(*reversed(both)) if unfit is None else None
        effects = [_effect(figure, pairing) for figure in figures]
        measured.append(_Measured(setup, pairing, effects, unequal, unfit, _of_faults(*reversed(both))))
    return Comparison(
        workload,
        baseline,
        tuple(_conclude(measured, force)),
        tuple(differing),
        tuple(trial.source for trial in trials if not trial.has_verdict),
        _messages_per_write(trials, [baseline, *(each.setup for each in measured)]),
    )


def _of_faults(baseline: Sequence[Trial], other: Sequence[Trial]) -> tuple[of_faults.FaultEffect, ...]:
    whole = ([each.faults for each in trials if each.excluded not in NO_WHOLE_RUN] for trials in (baseline, other))
    return of_faults.effects(*whole)


def _messages_per_write(trials: Sequence[Trial], setups: Sequence[str]) -> dict[str, float]:
    told: dict[str, list[float]] = {setup: [] for setup in setups}
    for each in trials:
        if each.messages_per_write is not None:
            told[each.setup].append(each.messages_per_write)
    return {setup: median(means) for setup, means in told.items() if means}


def _unfit(both: Iterable[Sequence[Trial]]) -> str | None:
    """Why nothing can be claimed of runs of which one setup has no VALID one; None where both have some."""
    words = []
    for trials in both:
        if all(trial.excluded is not None for trial in trials):
            whys = Counter(
                f"{trial.excluded}{f' by {trial.reasons[0]}' if trial.reasons else ''}" for trial in trials
            ).most_common()
            told = ", ".join(f"{count} {why}" for why, count in whys)
            words.append(f"none of the {len(trials)} of {trials[0].setup} is VALID ({told})")
    if not words:
        return None
    return (
        f"not claimed: {', and '.join(words)}; the reports of these runs tell what was in the way, and what would help"
    )


def _effect(figure: Figure, pairing: Pairing) -> tuple[Effect, float | None]:
    """The effect without its corrected p and its conclusion, and the least p that it could have had."""
    first = [trial.figures.get(str(figure)) for trial in pairing.baseline]
    second = [trial.figures.get(str(figure)) for trial in pairing.other]
    if pairing.paired:  # a run without the figure takes its partner with it
        both = [(one, two) for one, two in zip(first, second, strict=True) if one is not None and two is not None]
        base, other = [one for one, _ in both], [two for _, two in both]
    else:
        base, other = [one for one in first if one is not None], [two for two in second if two is not None]
    effect = Effect(figure, _spread(base, pairing.baseline, figure), _spread(other, pairing.other, figure))
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
    """A setup against the baseline, without conclusions: effects, each with the least p that it could have had."""

    setup: str
    pairing: Pairing
    effects: Sequence[tuple[Effect, float | None]]
    unequal: str | None
    unfit: str | None
    faults: tuple[of_faults.FaultEffect, ...]


def _conclude(measured: Sequence[_Measured], force: bool) -> Iterable[SetupComparison]:
    """Each setup, with conclusions."""
    tested = [effect for each in measured for effect, _ in each.effects if effect.p is not None]
    corrected = iter(statistics.holm([effect.p for effect in tested if effect.p is not None]))
    for each in measured:
        pairing, no_turns = each.pairing, each.pairing.no_turns
        refused = each.unequal
        if refused is None and no_turns is not None and not force:
            refused = f"{no_turns}; run them in turns with --setup A --setup B --repeats 10, or claim it by --force"
        concluded = []
        can_claim = False
        for effect, least_p in each.effects:
            if effect.p is None or effect.ratio is None or effect.low is None or effect.high is None:
                concluded.append(effect)
                continue
            corrected_p = next(corrected)
            can = least_p is not None and least_p * len(tested) <= ALPHA
            can_claim |= can
            claimed = can and refused is None and each.unfit is None
            conclusion = statistics.conclusion(effect.ratio, effect.low, effect.high, corrected_p) if claimed else None
            concluded.append(replace(effect, corrected_p=corrected_p, conclusion=conclusion))
        no_claim = None if refused is None else f"no claim: {refused}"
        if each.unfit is not None:
            no_claim = each.unfit
        elif not can_claim:
            no_claim = _no_claim(pairing, len(tested), each.effects)
        yield SetupComparison(
            each.setup,
            pairing.paired,
            len(pairing.other),
            len(pairing.baseline),
            pairing.without_partner,
            tuple(concluded),
            no_claim,
            no_turns if force else None,
            each.unfit is None,
            each.faults,
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


def _spread(values: Sequence[float], trials: Sequence[Trial], figure: Figure) -> Spread:
    if not values:
        return Spread(0)
    kinds = [each.harness_share.get(str(figure)) for each in trials if str(figure) in each.figures]
    return Spread(len(values), median(values), min(values), max(values), harness_share_of_median(kinds))
