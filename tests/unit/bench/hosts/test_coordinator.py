"""How a coordinator waits for its hosts: who is asked meanwhile, and who is named when one does not come."""

import asyncio
from typing import Any, cast

import pytest

from ombdriver.bench.hosts import agent_protocol
from ombdriver.bench.hosts.connection import Connection
from ombdriver.bench.hosts.coordinator import Coordinator
from ombdriver.errors import RunError


class QuietAgent:
    """The connection of an agent that has dialled in, and answers nothing.

    Attributes:
        asked: set once it is asked for the time.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    def send(self, message: Any) -> None:
        """Takes what it is told."""
        if isinstance(message, agent_protocol.Ask):
            self.asked.set()

    async def watch(self, every_s: float) -> None:
        """It is never silent for too long."""

    def close(self) -> None:
        """The run is over."""


async def test_an_agent_is_asked_while_those_of_other_hosts_are_waited_for() -> None:
    """Else it would take the silence for the end of the coordinator, and be gone before the last has dialled in."""
    async with Coordinator(["alpha", "beta"], "127.0.0.1") as coordinator:
        agent = QuietAgent()
        coordinator.hosts[0].attach(cast(Connection, agent))

        await agent.asked.wait()
        assert not coordinator.hosts[1].connected.done()


@pytest.mark.parametrize("gone", [0, 1])
async def test_a_host_that_is_gone_before_it_has_dialled_in_is_the_one_that_is_named(gone: int) -> None:
    """And not the others, which there was time left for."""
    async with Coordinator(["alpha", "beta"], "127.0.0.1") as coordinator:
        name = coordinator.hosts[gone].name
        coordinator.hosts[gone].lose("its agent ended with exit code 1")

        with pytest.raises(RunError, match=f"^host {name}: its agent ended with exit code 1$"):
            await coordinator.connected()
