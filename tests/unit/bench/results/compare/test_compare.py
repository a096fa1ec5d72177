"""Which runs are compared with which, and what is said of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from compared_trials import trials
from sample_result import result

from ombdriver.bench.results.compare.comparison import Comparison, SetupComparison, compare, left_out
from ombdriver.bench.results.compare.conditions import Condition, outcomes
from ombdriver.bench.results.compare.metrics import DECLARED, of_groups, overall, parse
from ombdriver.bench.results.compare.pairing import pair
from ombdriver.bench.results.compare.trial import Trial, trial_of
from ombdriver.bench.results.result import Standing
from ombdriver.bench.verdict.model import Reason, Verdict
from ombdriver.errors import InputError


def one(found: Sequence[Comparison]) -> SetupComparison:
    """The only setup of the only comparison."""
    (comparison,) = found
    (compared,) = comparison.setups
    return compared


def test_every_metric_is_read_back_from_its_name() -> None:
    """Those of groups too; four of them are declared."""
    every = [*overall(), *of_groups(["group-1", "a b"])]

    assert [parse(str(figure)) for figure in every] == every
    assert [figure for figure in every if figure in DECLARED] == list(DECLARED)
    assert len(overall()) == 2 + 4 * 5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("endToEndRespons.p99", "there is no metric 'endToEndRespons.p99'; did you mean endToEndResponse?"),
        ("publish", "publish has no figure ''; there are: p50, p95, p99, p99.9, max"),
        ("publish.p98", "publish has no figure 'p98'; did you mean publish.p99?"),
        ("consumeRate.p99", "consumeRate is one number; leave out .p99"),
        (
            "publish[g].p99",
            "publish is not told per group; leave out [g] (told so: endToEnd, endToEndResponse, consumeRate)",
        ),
        (
            "7",
            "there is no metric '7'; there are: publish, endToEnd, publishResponse, endToEndResponse, publishRate,"
            " consumeRate",
        ),
    ],
)
def test_what_is_no_metric_is_told_with_what_there_is(text: str, told: str) -> None:
    """By a near name, or by all of them."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is held
        parse(text)

    assert str(caught.value) == told


def test_runs_are_paired_within_the_blocks_of_their_series() -> None:
    """In whatever order their results come."""
    base, other = trials("a", 8, seed=1), trials("b", 8, seed=2)
    pairing = pair(base, other[::-1])

    assert pairing.paired
    assert [each.source for each in pairing.other] == [f"b-{block}.json" for block in range(1, 9)]
    assert [each.source for each in pairing.baseline] == [f"a-{block}.json" for block in range(1, 9)]


def test_a_run_without_a_partner_is_left_out_of_the_blocks() -> None:
    """Be its partner missing, or be it of another series; it is counted."""
    base, other = trials("a", 8, seed=1), trials("b", 8, seed=2)
    stray = replace(base[0], run_id="stray", standing=Standing("other"))
    compared = one(compare([*base[1:], stray, *other]))

    assert (compared.paired, compared.runs, compared.baseline_runs, compared.without_partner) == (True, 7, 7, 2)


def test_a_workload_that_a_command_names_twice_has_each_block_twice() -> None:
    """A run belongs to the one beside it, also where others are missing."""
    first, second = (
        [
            replace(each, standing=Standing("s", run, 8, block, position))
            for each, run, block, position in zip(trials(name, 4, seed=1), runs, (1, 2, 1, 2), positions, strict=True)
        ]
        for name, runs, positions in (("a", (1, 4, 5, 8), (1, 2, 1, 2)), ("b", (2, 3, 6, 7), (2, 1, 2, 1)))
    )
    pairing = pair(first, second[1:])

    assert [
        (one.standing.run, two.standing.run)
        for one, two in zip(pairing.baseline, pairing.other, strict=True)
        if one.standing is not None and two.standing is not None
    ] == [(4, 3), (5, 6), (8, 7)]
    assert pairing.without_partner == 1


def test_blocks_are_never_made_up() -> None:
    """Results without a block in common are compared as two heaps."""
    apart = one(compare([*trials("a", 7, seed=1, series="s"), *trials("b", 9, seed=2, series="t")]))
    unknown = one(compare([*trials("a", 7, seed=1, series=None), *trials("b", 9, seed=2, series=None)]))

    assert (apart.paired, apart.baseline_runs, apart.runs) == (False, 7, 9)
    assert replace(unknown, setup="b") == apart


def words(compared: SetupComparison) -> set[str | None]:
    """What is said of the figures that are tested."""
    return {each.conclusion for each in compared.effects if each.figure in DECLARED}


@pytest.mark.parametrize(
    ("of_base", "of_other", "told"),
    [
        ((), (), None),
        ((), ("OVERLOADED",) * 4, "4 of 14 of b (OVERLOADED) and none of 14 of a"),
        ((), ("OVERLOADED",), "1 of 14 of b (OVERLOADED) and none of 14 of a"),
        (("LOSS",), ("LOSS",), None),
        ((), ("INVALID",), None),
        (("INVALID",), ("INVALID", "INVALID"), None),
        ((), ("INVALID",) * 3, "3 of 14 of b (INVALID) and none of 14 of a"),
        (("UNSTEADY",), ("INVALID",), "1 of 14 of b (INVALID) and 1 of 14 of a (UNSTEADY)"),
    ],
)
def test_nothing_is_claimed_where_runs_are_left_out_unequally(
    of_base: tuple[str, ...], of_other: tuple[str, ...], told: str | None
) -> None:
    """A setup is not judged by its best runs; a run that the harness spoilt may be missing."""

    def unfit(runs: list[Trial], verdicts: tuple[str, ...]) -> list[Trial]:
        return [replace(run, excluded=verdicts[at] if at < len(verdicts) else None) for at, run in enumerate(runs)]

    runs = [
        *unfit(trials("a", 14, seed=1), of_base),
        *unfit(trials("b", 14, seed=2, shift=0.5)[::-1], of_other),
    ]
    compared = one(compare(runs, force=True))

    if told is None:
        assert compared.no_claim is None
        assert words(compared) == {"faster"}
    else:
        assert compared.no_claim is not None
        assert told in compared.no_claim
        assert words(compared) == {None}
        assert all(each.ratio for each in compared.effects)


def test_a_run_that_was_repeated_is_made_good_if_the_harness_spoilt_it() -> None:
    """INVALID and then VALID is as if it had been VALID at once; OVERLOADED stays what it was."""
    base, other = trials("a", 10, seed=1), trials("b", 10, seed=2, shift=0.5)
    spoilt = [replace(run, excluded="INVALID", run_id=f"x{at}") for at, run in enumerate(other[:5])]
    overloaded = [replace(run, excluded="OVERLOADED") for run in spoilt]

    assert words(one(compare([*base, *spoilt, *other]))) == {"faster"}
    assert words(one(compare([*base, *overloaded, *other]))) == {None}


DAY = timedelta(days=1)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("began", "claimed", "told"),
    [
        ([NOON + DAY * (at % 2) + timedelta(minutes=at) for at in range(20)], False, "they ran on 2 days"),
        ([NOON + timedelta(minutes=at + 100 * (at % 2)) for at in range(20)], False, "one setup ran after the other"),
        ([NOON + timedelta(minutes=at) for at in range(20)], True, None),
        ([NOON + DAY * at for at in range(20)], True, None),
        ([None] * 20, False, "do not say when they ran"),
    ],
)
def test_runs_that_did_not_take_turns_are_not_claimed_to_differ(
    began: list[datetime | None], claimed: bool, told: str | None
) -> None:
    """What changed from one day to the next looks like the setup; `force` claims it, and says so."""
    base = trials("a", 10, seed=1, standing=None)
    other = trials("b", 10, seed=2, standing=None, shift=0.5)
    runs = [
        replace(run, begun=began[2 * at + of]) for of, some in enumerate((base, other)) for at, run in enumerate(some)
    ]
    compared, forced = one(compare(runs)), one(compare(runs, force=True))

    assert words(forced) == {"faster"}
    assert words(compared) == ({"faster"} if claimed else {None})
    for said in (compared.no_claim, forced.forced):
        assert said is None if told is None else told in (said or "")


def test_a_block_that_was_torn_is_no_block() -> None:
    """A series that was resumed the next day has runs of both days in one block."""
    base, other = trials("a", 10, seed=1), trials("b", 10, seed=2, shift=0.5)
    other[4] = replace(other[4], begun=NOON + DAY)
    compared = one(compare([*base, *other]))

    assert words(compared) == {None}
    assert "in 1 of 10 blocks the runs began more than 12 hours apart" in (compared.no_claim or "")


def test_what_two_runs_of_a_block_share_does_not_hide_a_difference() -> None:
    """A machine that is slow in some blocks is slow for both: in blocks 5 % is found, in heaps it is not."""
    slow = [1.0, 1.5, 1.1, 1.8, 1.3, 1.0, 2.0, 1.2, 1.4, 1.6]

    def slowed(runs: list[Trial]) -> list[Trial]:
        return [
            replace(run, figures={name: value * by for name, value in run.figures.items()})
            for run, by in zip(runs, slow, strict=True)
        ]

    runs = [
        *slowed(trials("a", 10, seed=1, variation=0.01)),
        *slowed(trials("b", 10, seed=2, variation=0.01, shift=1.05)),
    ]
    blocks, heaps = one(compare(runs)), one(compare([replace(run, standing=None) for run in runs]))

    assert {each.conclusion for each in blocks.effects if each.figure in DECLARED} == {"slower"}
    assert "slower" not in {each.conclusion for each in heaps.effects}


@pytest.mark.parametrize(
    ("repeats", "series", "told"),
    [
        (1, "s", "no claim can be made: 1 block, 6 are the fewest that can be tested; ask for more with --repeats 10"),
        (5, "s", "no claim can be made: 5 blocks, 6 are the fewest that can be tested; ask for more with --repeats 10"),
        (5, None, "no claim can be made: 5 runs, 6 are the fewest that can be tested; ask for more with --repeats 10"),
        (7, "s", "no claim can be made: 7 blocks, and 4 tests need 8; ask for more with --repeats 10"),
        (8, "s", None),
        (6, None, None),
    ],
)
def test_with_few_repeats_there_are_ratios_and_no_words(repeats: int, series: str | None, told: str | None) -> None:
    """And it is said how many to ask for."""
    runs = [*trials("a", repeats, seed=1, series=series), *trials("b", repeats, seed=2, series=series, shift=3.0)]
    compared = one(compare(runs))

    assert compared.no_claim == told
    words = {each.conclusion for each in compared.effects if each.figure in DECLARED}
    assert words == ({None} if told else {"slower"})
    assert all(each.ratio is not None for each in compared.effects)


def test_only_declared_metrics_are_tested_and_max_has_no_interval() -> None:
    """All others have ratio and interval."""
    compared = one(compare([*trials("a", 10, seed=1), *trials("b", 10, seed=2, shift=2.0)]))

    for effect in compared.effects:
        assert (effect.conclusion is not None) == (effect.p is not None) == (effect.figure in DECLARED)
        assert (effect.low is None) == (effect.figure.statistic == "max")


def test_more_setups_make_more_tests() -> None:
    """All of them are corrected together."""
    setups = [trials(name, 10, seed=number) for number, name in enumerate("abc")]
    (two,) = compare([*setups[0], *setups[1]])
    (three,) = compare([run for runs in setups for run in runs])

    p, q = ({str(each.figure): each for each in found.setups[0].effects if each.p} for found in (two, three))
    assert [each.p for each in p.values()] == [each.p for each in q.values()]
    assert all((q[name].corrected_p or 0) >= (p[name].corrected_p or 1) for name in p)
    assert [each.setup for each in three.setups] == ["b", "c"]


def test_the_baseline_is_the_first_setup_or_the_named_one() -> None:
    """A name that is none is told with what there is."""
    runs = [*trials("first", 6, seed=1), *trials("second", 6, seed=2)]

    assert [each.baseline for each in compare(runs)] == ["first"]
    assert [each.baseline for each in compare(runs, "second")] == ["second"]
    with pytest.raises(InputError, match=r"--baseline: no result of a setup 'secon'; did you mean second\?"):
        compare(runs, "secon")


def test_each_workload_has_a_comparison_of_its_own() -> None:
    """One with a single setup has none; when no workload has two, that is an error."""
    runs = [
        *trials("a", 2, seed=1),
        *trials("b", 2, seed=2),
        *trials("a", 2, seed=3, workload="v"),
        *trials("a", 2, seed=4, workload="w"),
        *trials("b", 2, seed=5, workload="w"),
    ]

    assert [each.workload for each in compare(runs)] == ["1kb-3groups", "w"]
    with pytest.raises(InputError, match="give results of another setup"):
        compare(trials("a", 3, seed=1))
    with pytest.raises(InputError, match="no result of a whole run to compare; run again"):
        compare([])


def test_a_setup_without_a_valid_run_is_shown_and_nothing_is_claimed() -> None:
    """Its whole runs stand in for VALID ones, with the reason; a condition on them can't be judged, so it fails."""
    busy = [replace(each, excluded="INVALID", reasons=("coreBusy",)) for each in trials("b", 8, seed=2, shift=3)]
    cut = replace(busy[0], source="cut.json", excluded="PARTIAL")
    runs = [*trials("a", 8, seed=1), *busy, cut]

    ((compared,),) = [each.setups for each in compare(runs)]
    (judged,) = outcomes([Condition.parse("publishResponse.p50 worse than 900%")], compare(runs))

    assert (compared.runs, compared.fit) == (8, False)
    assert compared.no_claim == (
        "not claimed: none of the 9 of b is VALID (8 INVALID by coreBusy, 1 PARTIAL by coreBusy); the reports of"
        " these runs tell what was in the way, and what would help"
    )
    assert all(each.conclusion is None for each in compared.effects)
    assert any(each.ratio is not None and each.ratio > 2 for each in compared.effects)
    assert (judged.met, judged.fit) == (True, False)
    assert left_out(runs) == [cut]


def test_a_result_is_a_run_with_its_own_figures() -> None:
    """Of all groups together and of each; without a verdict, or with another than VALID, it is unfit."""
    standing = Standing("ab12cd34", 2, 4, 1, 2, 2)
    trial = trial_of(result(verdict=Verdict("VALID"), standing=standing), "one.json")

    assert (trial.workload, trial.setup, trial.run_id, trial.excluded) == ("1kb-3groups", "embedded", "k3v9qz", None)
    assert trial.standing == standing
    assert trial.figures["publishRate"] == pytest.approx(2000.0)
    assert trial.figures["endToEndResponse.p99"] == pytest.approx(1.06)
    assert trial.figures["endToEndResponse[group-2].p50"] == pytest.approx(0.226)
    assert trial.figures["consumeRate[group-3]"] == pytest.approx(1999.97)
    assert {str(figure) for figure in [*overall(), *of_groups(trial.groups)]} <= trial.figures.keys()
    assert trial_of(result(), "old.json").excluded == "without a verdict, as older versions wrote it"
    loss = Verdict("LOSS", (Reason("lost", "LOSS", "7 messages are lost; see delivery"),))
    assert trial_of(result(verdict=loss), "bad.json").excluded == "LOSS"


def test_a_figure_that_some_runs_lack_takes_their_partners_along() -> None:
    """It is compared over the blocks that have it; one that a setup lacks altogether is blank."""
    base, other = trials("a", 9, seed=1), trials("b", 9, seed=2)
    gap = {name: value for name, value in other[0].figures.items() if name != "publish.p50"}
    none = [
        replace(run, figures={name: value for name, value in run.figures.items() if name != "endToEnd.p50"})
        for run in [replace(other[0], figures=gap), *other[1:]]
    ]
    effects = {str(each.figure): each for each in one(compare([*base, *none])).effects}

    assert (effects["publish.p50"].baseline.count, effects["publish.p50"].other.count) == (8, 8)
    assert effects["endToEnd.p50"].ratio is None
    assert effects["publish.p95"].other.count == 9


def test_metrics_that_few_runs_have_are_told_as_few() -> None:
    """However many runs there are without them."""
    runs = [*trials("a", 9, seed=1), *trials("b", 9, seed=2)]
    few = [
        replace(run, figures={name: value for name, value in run.figures.items() if at % 3 == 0 or "Resp" not in name})
        for at, run in enumerate(runs)
    ]
    compared = one(compare(few))

    assert compared.runs == 9
    assert compared.no_claim is not None
    assert compared.no_claim.startswith("no claim can be made: 3 blocks, 6 are the fewest")
