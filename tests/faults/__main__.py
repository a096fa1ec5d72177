"""`python -m tests.faults`: courses of combined faults by seed, each in a process of its own; 1 if any found something.

`--seed N` runs one of them in this process; `--plan N` only tells it. `--without NAME` takes a mend of the library out
first, and ends with the first course that finds that.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import NamedTuple

from tests.faults.account import KINDS, Fault, condensed
from tests.faults.mends import MENDS, take_out
from tests.faults.plan import Plan, plan

LIMIT_S = 200.0
"""How long a course may take; its process, a little longer."""
SEEDS = 200
"""So many courses are run, or picked from, unless it is said otherwise."""


class Outcome(NamedTuple):
    """How a course went.

    Attributes:
        seed: its seed.
        is_well: nothing was wrong, save what was left out.
        told: what was wrong, the course, and how to repeat it.
    """

    seed: int
    is_well: bool
    told: str


def run_apart(seed: int, leave_out: Collection[str] = (), without: str = "") -> Outcome:
    """Runs a course in a process of its own; faults of the kinds `leave_out` don't count."""
    command = [sys.executable, "-m", "tests.faults", "--seed", str(seed), "--leave-out", ",".join(sorted(leave_out))]
    command += ["--without", without] if without else []
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S + 20, check=False)
    except subprocess.TimeoutExpired:
        return Outcome(seed, False, f"ended: it did not end\n{plan(seed)}\n{_way(seed)}")
    return Outcome(seed, not done.returncode, done.stdout + done.stderr)


def run_all(seeds: Iterable[int], leave_out: Collection[str], jobs: int) -> Iterator[Outcome]:
    """Runs courses, so many at a time, and gives their outcomes in order."""
    with ThreadPoolExecutor(jobs) as threads:
        yield from threads.map(run_apart, seeds, repeat(leave_out))


def find(without: str, seeds: int, jobs: int) -> int:
    """Runs courses without a mend until one tells a fault of its kinds; those first that have its motifs.

    Returns:
        0 if one did, 1 otherwise.
    """
    mend, told, tried = MENDS[without], Counter[str](), 0

    def is_unlikely(seed: int) -> tuple[bool, bool]:
        course = plan(seed)
        return mend.where not in ("", course.topology), not set(mend.motifs) & set(course.motifs)

    order = sorted(range(SEEDS), key=is_unlikely)[:seeds]
    for first in range(0, len(order), jobs):
        some = order[first : first + jobs]
        with ThreadPoolExecutor(jobs) as threads:
            outcomes = list(threads.map(run_apart, some, repeat(()), repeat(without)))
        tried += len(some)
        for outcome in outcomes:
            kinds = {line.partition(":")[0] for line in outcome.told.splitlines()} & KINDS.keys()
            told.update(kinds)
            if kinds & set(mend.told):
                sys.stdout.write(f"without {without!r}, the {tried}. course found it\n{outcome.told}")
                return 0
    sys.stdout.write(f"without {without!r}, {tried} courses found nothing of it; they told {dict(told)}\n")
    return 1


def find_by_tests(without: str) -> int:
    """Runs the tests that are to fail without a mend; 0 if they do, 1 otherwise."""
    import pytest

    class Plugin:
        """Comes after pytest's own way to import the library, which has plugins of it, and before the library."""

        @pytest.hookimpl(tryfirst=True)
        def pytest_load_initial_conftests(self) -> None:
            """As said."""
            take_out(without)

    words = ["-q", "-p", "no:cacheprovider", "--tb", "line", "-x", *MENDS[without].tests]
    failed = pytest.main(words, plugins=[Plugin()])
    return failed != pytest.ExitCode.TESTS_FAILED


def run_here(seed: int, leave_out: Collection[str], *, debug: bool) -> int:
    """Runs one course in this process, and tells what was wrong; the exit code."""
    from tests.faults.cast import place_of  # whoever runs others needs none of it
    from tests.faults.course import Course

    logging.basicConfig(level=logging.INFO if debug else logging.CRITICAL)
    course = Course(plan(seed))

    async def within_limit() -> int:
        running = asyncio.create_task(course.run())
        if (await asyncio.wait([running], timeout=LIMIT_S))[0]:
            return _tell(course.plan, await running, leave_out, course.state)
        late = Fault("ended", f"the course did not end within {LIMIT_S:g} s")
        with contextlib.suppress(Exception):  # servers may hang, too
            async with asyncio.timeout(10):
                await course.look_closely()
        _tell(course.plan, [*course.account.found, late], leave_out, course.state)
        waiting = Counter(place_of(task.get_coro()) for task in asyncio.all_tasks())
        sys.stdout.write("".join(f"{count} had not ended: {place}\n" for place, count in waiting.most_common()))
        sys.stdout.flush()
        os._exit(1)  # whatever holds it up is not asked again; its servers end with it

    return asyncio.run(within_limit())


def _tell(course: Plan, faults: Collection[Fault], leave_out: Collection[str], state: Collection[str]) -> int:
    if told := Counter(fault.kind for fault in faults if fault.kind in leave_out):
        sys.stdout.write("left out: " + ", ".join(f"{count} of {kind}" for kind, count in told.items()) + "\n")
    if counted := [fault for fault in faults if fault.kind not in leave_out]:
        sys.stdout.write("\n".join([*condensed(counted), str(course), *state, _way(course.seed)]))
    return bool(counted)


def _way(seed: int) -> str:
    return f"repeat it: python -m tests.faults --seed {seed}\n"


def main() -> int:
    """Runs courses, and tells what was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--seeds", type=int, default=SEEDS, help="so many, from --first on; so many at most, if --without"
    )
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1), help="courses at a time")
    parser.add_argument("--seed", type=int, help="only this one, in this process")
    parser.add_argument("--debug", action="store_true", help="with --seed: the library's log too")
    parser.add_argument("--plan", type=int, help="tell a seed's course, and do nothing")
    parser.add_argument("--leave-out", default="", help="kinds of faults that are told and don't count: a,b")
    parser.add_argument("--without", default="", help="take this mend out; it is one of tests/faults/mends.py")
    parser.add_argument("--tests", action="store_true", help="with --without: run the tests that are to fail then")
    options = parser.parse_args()
    leave_out = [kind for kind in options.leave_out.split(",") if kind]
    if unknown := set(leave_out) - KINDS.keys():
        parser.error(f"there are no faults of the kinds {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    if (options.tests and not options.without) or (options.without and options.without not in MENDS):
        parser.error(f"there is no mend {options.without!r}; there are:\n" + "\n".join(MENDS))
    if options.plan is not None:
        sys.stdout.write(f"{plan(options.plan)}\n")
        return 0
    if options.tests:
        return find_by_tests(options.without)
    if options.without and options.seed is None:
        return find(options.without, options.seeds, options.jobs)
    if options.seed is not None:
        if options.without:
            take_out(options.without)
        return run_here(options.seed, leave_out, debug=options.debug)
    failed = 0
    for outcome in run_all(range(options.first, options.first + options.seeds), leave_out, options.jobs):
        sys.stdout.write(f"seed {outcome.seed}: {'well' if outcome.is_well else 'FAULTS'}\n{outcome.told}")
        sys.stdout.flush()
        failed += not outcome.is_well
    sys.stdout.write(f"{options.seeds - failed} of {options.seeds} courses found nothing\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
