"""The servers' clocks, asked for by a process: more witnesses of how the clocks of hosts stand to each other."""

import time

from ombdriver.bench.drivers.api import AskTime, Driver
from ombdriver.bench.load.host_clock import ServerTime
from ombdriver.errors import OmbdriverError

ASKED = 10
"""How often each server is asked: the narrowest of so many counts."""
LONGEST_S = 2.0
"""No new round of questions begins later, however many servers there are, and however far they are."""


async def ask_server_times(driver: Driver) -> tuple[ServerTime, ...]:
    """What each server says, by the clock of this process; none of those that do not tell, or can't be asked."""
    make = getattr(driver, "server_clocks", None)
    if make is None:
        return ()
    found: list[ServerTime] = []
    try:
        clocks = await make()
        until_s = time.monotonic() + LONGEST_S
        for _ in range(ASKED):
            for name, ask in clocks.items():  # one after the other: a question that waits for others tells less
                found += await _asked(name, ask)
            if time.monotonic() > until_s:
                break
    except OmbdriverError:  # a witness that can't be heard is none
        pass
    return tuple(found)


async def _asked(name: str, ask: AskTime) -> list[ServerTime]:
    asked_ns = time.monotonic_ns()
    server_ns = await ask()
    answered_ns = time.monotonic_ns()
    return [] if server_ns is None else [ServerTime(asked_ns, server_ns, answered_ns, name)]
