"""The short form of `make trust`: some of its situations, and what holds of them on a busy machine too.

Bad figures are never called VALID, and a machine that others use is the only excuse for another status than the one
that must come. What is done to messages is told to the message, whatever the machine does.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ombdriver.bench.run.signals import Interrupt
from tests.trust import driver
from tests.trust.__main__ import cases, play
from tests.trust.account import Outcome

OF_THE_MACHINE = {"scheduleLag", "runDelay", "starved", "stalls", "coreBusy", "throttled", "steal", "latencyTrend"}
"""Rules that find something on a machine that others use, and rightly so."""
NOT_HERE = ("PermissionError", "can't be given one core alone", "of the core could be taken", "TimeoutError")
"""Why a case can't be set up on some machines, or on those that others use; any other reason is a fault."""


@pytest.fixture(autouse=True)
def registered(tmp_path: Path) -> Iterator[None]:
    """The driver `trust` is known, here alone."""
    before = list(sys.path)
    driver.register(tmp_path)
    yield
    sys.path[:] = before


async def played(name: str) -> Outcome:
    """What came of the first case of a situation."""
    ((situation, case),) = cases(1, name)
    outcome = await play(situation, case, 1, Interrupt())
    if outcome.problem is not None:
        if any(part in outcome.problem for part in NOT_HERE):
            pytest.skip(outcome.problem)
        pytest.fail(outcome.problem)
    return outcome


@pytest.mark.parametrize(
    "name",
    [
        "a producer's core is taken for 20, 40, 60 % of the time: 40%",
        "a consumer stands still for 0.5 to 35 % of the time, 2 to 50 ms at once: 35.0%",
        "the garbage collector holds a worker up: consumer",
        "a busy process on a worker's core: producer",
        "a busy process on the server's core: started",
        "a producer that needs all of its core gets 80, 60, 40 % of it: 40%",
        "the server takes 0.9 of the load",
        pytest.param("the server takes 0.99 of the load", marks=pytest.mark.alone),
        "consumers take 0.9 of the load",
        pytest.param("the server's latency drifts, or steps: step up", marks=pytest.mark.alone),
        "sends are held, then fail",
        "a consumer's monotonic clock steps back",
        "more than 0.1 % of the messages are taken by another member: 10",
    ],
)
async def test_bad_figures_are_not_called_valid(name: str) -> None:
    """Something is done that makes them bad."""
    outcome = await played(name)
    assert not outcome.false_valid
    assert outcome.right or OF_THE_MACHINE & set(outcome.rules), outcome


@pytest.mark.parametrize(
    "name",
    [
        "1, 10, 1,000 messages are deleted: 1000",
        "1, 10, 1,000 messages are trimmed: 10",
        "1, 10, 1,000 messages are altered: 1",
        "1, 10, 1,000 messages come twice: 10",
    ],
)
async def test_what_is_done_to_messages_is_told_to_the_message(name: str) -> None:
    """On any machine: what is wrong with the messages is graver than who was late."""
    outcome = await played(name)
    assert outcome.exact, outcome


@pytest.mark.alone
@pytest.mark.parametrize(
    "name",
    [
        "nothing: 2,000",
        "nothing, on a slow server",
        "the server pauses once, for 0.3 to 0.8 s: at the end",
        "the server's latency waves",
        "the wall clock steps",
    ],
)
async def test_a_healthy_run_is_not_blamed_on_the_system(name: str) -> None:
    """On a busy machine it is INVALID, or UNSTEADY as the machine is; nothing else."""
    outcome = await played(name)
    assert outcome.status in ("VALID", "INVALID", "UNSTEADY"), outcome
