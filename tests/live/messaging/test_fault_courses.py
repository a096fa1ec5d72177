"""Twenty of the courses of `make soak`: combined faults on real servers, after which all promises of the library hold.

Each is a process of its own with servers of its own. They start at once, a few at a time; each test waits for its own.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.faults.__main__ import LIMIT_S, Outcome, run_apart
from tests.faults.plan import plan
from tests.missing import missing

SEEDS = range(20)
AT_ONCE = 5
"""They wait more than they compute: one takes two seconds of a processor."""


@pytest.fixture(scope="module")
def courses() -> Iterator[dict[int, "Future[Outcome]"]]:
    """The outcome of each seed, when it is there."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        yield {seed: threads.submit(run_apart, seed) for seed in SEEDS}
        threads.shutdown(cancel_futures=True)


@pytest.mark.timeout(len(SEEDS) / AT_ONCE * LIMIT_S + 60)
@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"{seed}-{plan(seed).topology}")
def test_every_promise_holds_under_combined_faults(courses: dict[int, "Future[Outcome]"], seed: int) -> None:
    """What is wrong is told with the steps of the course, and the way to repeat it."""
    if plan(seed).engine == "redis" and shutil.which("redis-server") is None:
        missing("no redis-server; install it (Debian's package redis-server)")
    outcome = courses[seed].result()
    assert outcome.is_well, outcome.told
