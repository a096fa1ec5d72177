"""`make soak`, cut to what a suite has time for: as short as it can be and still find what it looks for."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[3]
CUT_S = 30
"""Fifteen thousand messages, so that one object kept for each is four times what is allowed."""


@pytest.mark.timeout(CUT_S + 120)
def test_nothing_is_lost_doubled_or_kept() -> None:
    """While connections are cut, consumers come and go, handlers fail and dead letters are sent again."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--seconds", str(CUT_S)],
        capture_output=True,
        text=True,
        check=False,
        cwd=HOUSE,
        timeout=CUT_S + 110,
    )
    assert done.stderr == "", done.stdout
    assert done.returncode == 0
    for event in ("cuts", "clients", "consumers", "dead_letters", "redriven", "trimmed", "failures", "reconnects"):
        assert f" {event}" in done.stdout, f"{event} did not happen"
        assert f" 0 {event}" not in done.stdout


def soak_that(spoils: str, seconds: int) -> list[str]:
    """The faults of a short soak, spoilt by statements that see `course` and `kept`, a list."""
    program = f"""
        import asyncio, logging
        from ombdriver.testing import private_server
        from tests.soak.course import Course, Pace

        logging.basicConfig(level=logging.CRITICAL)
        kept = []
        with private_server() as server:
            course = Course(server, Pace({seconds}, cut_s=3, churn_s=1, sample_s=0.1, drain_s=15))
            {spoils}
            asyncio.run(course.run())
        print(*course.faults(), sep="\\n")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, cwd=HOUSE, timeout=110
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.timeout(120)
def test_a_leak_is_found() -> None:
    """A few objects for each message that the runner handles, kept for ever."""
    faults = soak_that("course.on_handled = lambda message: kept.append((message.id, message.key, message.value))", 15)
    assert [fault for fault in faults if fault.startswith("the number of objects of this process grows")] != []


@pytest.mark.timeout(120)
def test_messages_that_are_lost_or_handled_again_are_found() -> None:
    """Here by an account that is not true: number 7 never comes, and number 8 twice."""
    untrue = "add = course.tallies['runner'].add; course.tallies['runner'].add = "
    faults = soak_that(untrue + "lambda n, **_: [add(n) for _ in range({7: 0, 8: 2}.get(n, 1))]", 4)
    assert any(fault.startswith("runner: 1 of ") and fault.endswith(" were lost") for fault in faults)
    assert any(fault.startswith("runner: 1 messages were handled again") for fault in faults)
