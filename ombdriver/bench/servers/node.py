"""One server of those that a run has started, with its part in the topology."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field

from ombdriver.bench.ask import Login, Reply, ask
from ombdriver.bench.server import PrivateServer
from ombdriver.bench.servers.topology import Place, Role

_ANSWER_S = 10.0
"""How long a server may take to answer: it may be loading or saving, but nobody else asks it anything yet."""


class LostError(Exception):
    """A node did not answer what it was asked: it has ended, or is about to.

    Attributes:
        node: which.
    """

    def __init__(self, node: "Node", why: Exception) -> None:
        super().__init__(f"{node.name} can't be asked ({why or 'no answer'})")
        self.node = node


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A running server and its place.

    Attributes:
        place: its name, its role at the start, and whom it follows.
        server: the server itself.
        login: as whom to ask it.
    """

    place: Place
    server: PrivateServer
    login: Login | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """`primary-1`, `replica-1-1`, `sentinel-1`."""
        return self.place.name

    @property
    def role(self) -> Role:
        """At the start: a failover changes it."""
        return self.place.role

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1."""
        return self.server.port

    @property
    def pid(self) -> int:
        """The process id of the server itself."""
        return self.server.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended, by itself or since it was stopped."""
        return self.server.exit_code is not None

    def kill(self) -> None:
        """Ends the server by SIGKILL, as a crash would. Harmless when it has ended."""
        if not self.ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def ask(self, *commands: Sequence[str]) -> list[Reply]:
        """The replies to `commands`, in their order.

        Raises:
            RefusedError: if one of them is answered with an error.
            LostError: if the server is not there, goes away or is silent.
        """
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await ask(self.server.socket, *commands, login=self.login)
        except (OSError, EOFError) as error:
            raise LostError(self, error) from error
