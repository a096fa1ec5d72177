"""`make soak` for a minute; and beside it a shorter one with faults built in, all of which it has to find.

Both run at once, since neither takes more than a third of a core.
"""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

HOUSE = Path(__file__).parents[3]
CUT_S = 60
"""Thirty thousand messages, so that one object kept for each is eight times what is allowed."""
LIMIT_S = CUT_S + 110
"""Until the last message has come, and everything is closed."""
SPOILT = """
    import asyncio, logging
    from ombdriver.testing import private_server
    from tests.soak.course import Course, Pace

    logging.basicConfig(level=logging.CRITICAL)
    kept = []
    with private_server() as server:
        course = Course(server, Pace(15, cut_s=3, churn_s=1, sample_s=0.1, drain_s=10))
        course.on_handled = lambda message: kept.append((message.id, message.key, message.value))
        add = course.tallies["runner"].add
        course.tallies["runner"].add = lambda n, **_: [add(n) for _ in range({7: 0, 8: 2}.get(n, 1))]
        asyncio.run(course.run())
    print(*course.faults(), sep="\\n")
"""
"""A few objects are kept for each message that the runner handles; number 7 never comes, and number 8 comes twice."""


class Soaks(NamedTuple):
    """Two that run at once."""

    cut: "subprocess.Popen[str]"
    spoilt: "subprocess.Popen[str]"


@pytest.fixture(scope="module")
def soaks() -> Iterator[Soaks]:
    """Started at once, and ended in any case."""
    commands = (["-m", "tests.soak", "--seconds", str(CUT_S)], ["-c", textwrap.dedent(SPOILT)])
    running = Soaks(
        *(
            subprocess.Popen(
                [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HOUSE
            )
            for words in commands
        )
    )
    yield running
    for process in running:
        with process:
            process.kill()


@pytest.mark.timeout(LIMIT_S + 10)
def test_what_it_looks_for_is_found(soaks: Soaks) -> None:
    """A leak, a message that is lost, and one that is handled again."""
    told, errors = soaks.spoilt.communicate(timeout=LIMIT_S)
    assert soaks.spoilt.returncode == 0, errors
    faults = told.splitlines()
    assert any(fault.startswith("the number of objects of this process grows") for fault in faults)
    assert any(fault.startswith("runner: 1 of ") and fault.endswith(" were lost") for fault in faults)
    assert any(fault.startswith("runner: 1 messages were handled again") for fault in faults)


@pytest.mark.timeout(LIMIT_S + 10)
def test_nothing_is_lost_doubled_or_kept(soaks: Soaks) -> None:
    """While connections are cut, consumers come and go, handlers fail and dead letters are sent again."""
    told, errors = soaks.cut.communicate(timeout=LIMIT_S)
    assert errors == "", told
    assert soaks.cut.returncode == 0
    for event in ("cuts", "clients", "consumers", "dead_letters", "redriven", "trimmed", "failures", "reconnects"):
        assert f" {event}" in told, f"{event} did not happen"
        assert f" 0 {event}" not in told
