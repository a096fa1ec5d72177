"""`make trust`: plays situations, and tells how often the verdict was right; ends with 1 if one was a false VALID.

Nearly every case is a run of 2 to 4 seconds with the machine to itself, one after the other: 260 take half an hour.
Ctrl-C ends it, and tells what there is.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from ombdriver import __version__
from ombdriver.bench.hosts.fast_loop import run_fast
from ombdriver.bench.run.signals import Interrupt
from tests.marked import put_into
from tests.trust import account, driver
from tests.trust.account import MOST_OF_OTHERS, Outcome
from tests.trust.scene import Case, NotSetUpError, StoppedError
from tests.trust.situations import SITUATIONS, Situation

DEFAULT_CASES = 3 * sum(each.times for each in SITUATIONS)
LONGEST_S = 60.0
"""A case that takes longer is given up."""


def cases(most: int, only: str = "") -> Iterator[tuple[Situation, str]]:
    """So many cases in rounds over all situations, each with its name; only those with the words `only` in theirs."""
    words, _, number = only.partition(" #")
    chosen = [each for each in SITUATIONS if words in f"{each.kind}: {each.name}"]
    named = (
        (situation, f"{situation.kind}: {situation.name} #{round_ * situation.times + time_ + 1}")
        for round_ in range(most if chosen else 0)
        for situation in chosen
        for time_ in range(situation.times)
    )
    return islice((each for each in named if not number or each[1].endswith(f" #{number}")), 1 if number else most)


async def play(situation: Situation, name: str, seed: int, stop: Interrupt) -> Outcome:
    """One case.

    Raises:
        StoppedError: if somebody asked to stop.
    """
    began_s = time.monotonic()
    case = Case(name, random.Random(f"{seed} {name}"), stop, situation.must)
    outcome = Outcome(name, situation.kind, situation.must, seed=seed)
    try:
        async with asyncio.timeout(LONGEST_S):
            await situation.play(case)
    except StoppedError:
        raise
    except Exception as error:  # one case must not end them all
        if stop.asked:
            raise StoppedError from error
        problem = str(error) if isinstance(error, NotSetUpError) else f"{type(error).__name__}: {error}"
        return replace(outcome, problem=problem, seconds=time.monotonic() - began_s)
    assert case.result.verdict is not None
    return replace(
        outcome,
        must=case.must,
        status=case.result.verdict.status,
        rules=case.rules,
        caveats=tuple(sorted(case.caveats)),
        faults=tuple(case.faults),
        others=case.others,
        seconds=time.monotonic() - began_s,
    )


def told(outcome: Outcome, most_of_others: float) -> str:
    """What to say of a case on the terminal."""
    if outcome.problem is not None:
        return f"not set up   {outcome.case}: {outcome.problem}"
    if outcome.exact:
        what = "right"
    elif outcome.false_valid:
        what = "FALSE VALID"
    else:
        what = "figures" if outcome.right else "WRONG"
    must, rules = " or ".join(outcome.must), ", ".join(outcome.rules)
    busy = "" if outcome.counts(most_of_others) else f" (not counted: others took {outcome.others:.0%} of the machine)"
    faults = "".join(f"\n                  {fault}" for fault in outcome.faults)
    return f"{what:<12} {outcome.case}: {outcome.status} [{rules}]; must be {must}{busy}{faults}"


async def play_all(
    chosen: Iterable[tuple[Situation, str]], seed: int, most_of_others: float, outcomes: list[Outcome]
) -> None:
    """Plays cases, tells each, and adds it to `outcomes`; one that others spoilt is played once more."""
    with Interrupt() as stop:
        for number, (situation, name) in enumerate(chosen, start=1):
            try:
                outcome = await play(situation, name, seed, stop)
                if outcome.status is not None and not outcome.counts(most_of_others):
                    outcome = await play(situation, name, seed, stop)
            except (StoppedError, asyncio.CancelledError):
                return
            outcomes.append(outcome)
            sys.stderr.write(f"{number:>4} {told(outcome, most_of_others)}\n")
            if stop.asked:
                return


def summary(outcomes: Sequence[Outcome], counted: Sequence[Outcome]) -> str:
    """What the table is of, in a sentence or two."""
    healthy = [each for each in counted if each.kind.startswith("nothing")]
    seeds = sorted({each.seed for each in outcomes})
    seeds_told = f"seed{'s' if len(seeds) > 1 else ''} {' and '.join(map(str, seeds))}"
    blamed = sum(each.status in ("INVALID", "OVERLOADED") for each in healthy)
    return (
        f"{len(counted)} cases, {seeds_told}, ombdriver {__version__}, {os.cpu_count()} cores, Python"
        f" {platform.python_version()}: {sum(each.false_valid for each in counted)} false `VALID`;"
        f" {blamed} of {len(healthy)} healthy runs called `INVALID` or `OVERLOADED`."
        f" Others took {statistics.median(each.others for each in counted or outcomes):.0%} of the machine (median)."
        f" {len(outcomes) - len(counted)} more cases are not counted: they could not be set up, or others used the"
        " machine."
    )


def main() -> None:
    """Plays cases, prints the table, writes it and the outcomes."""
    parser = argparse.ArgumentParser(prog="make trust", description=__doc__)
    parser.add_argument("--cases", type=int, default=DEFAULT_CASES, help="how many, in rounds over all situations")
    parser.add_argument("--only", metavar="WORDS", default="", help="only cases with these words in their name")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="name the cases, and play none")
    parser.add_argument(
        "--others",
        type=float,
        default=MOST_OF_OTHERS,
        metavar="SHARE",
        help="a case is not counted when others took more of the machine's processors",
    )
    parser.add_argument("--output", type=Path, default=Path("results"), help="the folder for the outcomes as JSON")
    parser.add_argument("--page", type=Path, metavar="PAGE", help="a page to put the table into")
    parser.add_argument("--short-page", type=Path, metavar="PAGE", help="a page to put a line for each verdict into")
    parser.add_argument(
        "--again",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="play nothing: tables of the outcomes in these files, together",
    )
    options = parser.parse_args()
    if options.again is not None:
        tell([each for path in options.again for each in stored(path)], options)
        return
    chosen = list(cases(options.cases, options.only))
    if options.list or not chosen:
        sys.stdout.write("".join(f"{name}\n" for _, name in chosen))
        sys.exit(0 if chosen else f"no case has {options.only!r} in its name; see --list")
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="trust-") as folder:
        driver.register(Path(folder))
        run_fast(play_all(chosen, options.seed, options.others, outcomes))
    counted = [each for each in outcomes if each.counts(options.others)]
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"trust-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps([asdict(each) | {"counted": each in counted} for each in outcomes], indent=1) + "\n")
    sys.stderr.write(f"outcomes: {path}\n")
    tell(outcomes, options)


def stored(path: Path) -> list[Outcome]:
    """The outcomes that an earlier call wrote."""
    names = {each.name for each in fields(Outcome)}
    read = (
        {name: tuple(value) if isinstance(value, list) else value for name, value in each.items() if name in names}
        for each in json.loads(path.read_text())
    )
    return [Outcome(**each) for each in read]


def tell(outcomes: Sequence[Outcome], options: argparse.Namespace) -> None:
    """Prints the table, puts it into the pages that were named, and ends with 1 if there was a false VALID."""
    counted = [each for each in outcomes if each.counts(options.others)]
    told_of = summary(outcomes, counted)
    text = f"{account.markdown(counted)}\n{told_of}\n"
    sys.stdout.write(text)
    if options.page is not None:
        put_into(options.page, "trust", text)
    if options.short_page is not None:
        put_into(options.short_page, "trust", f"{account.by_verdict(counted)}\n{told_of}\n")
    sys.exit(any(each.false_valid for each in counted))


if __name__ == "__main__":
    main()
