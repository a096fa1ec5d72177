"""The server's clock, asked for by a process: another witness of how the clocks of hosts stand to each other."""

import time

from ombdriver.bench.drivers.api import Driver
from ombdriver.bench.load.host_clock import ServerTime
from ombdriver.errors import OmbdriverError

ASKED = 10
"""The narrowest of so many counts."""


async def ask_server_time(driver: Driver) -> tuple[ServerTime, ...]:
    """What the server says, by the clock of this process; none where it does not tell, or the driver can't ask."""
    ask = getattr(driver, "server_time_ns", None)
    found: list[ServerTime] = []
    try:
        while ask is not None and len(found) < ASKED:
            asked_ns = time.monotonic_ns()
            server_ns = await ask()
            answered_ns = time.monotonic_ns()
            if server_ns is None:
                break
            found.append(ServerTime(asked_ns, server_ns, answered_ns))
    except OmbdriverError:  # a witness that can't be heard is none
        pass
    return tuple(found)
