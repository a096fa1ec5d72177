"""Starts the single servers of a plan, each as what it is there; several at the same time.

Knows no readiness but that of a single server: what they are together comes after.

One server of those that a run has started, with its part in the topology.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ombdriver.bench.servers.configuration import data_configuration, login_of, sentinel_configuration
from ombdriver.bench.servers.engine import ServerConfig, TlsFiles
from ombdriver.bench.servers.private_server import Kind, PrivateServer
from ombdriver.bench.servers.reaper import StartError
from ombdriver.bench.servers.resp_client import Login, Reply, ask
from ombdriver.bench.servers.topology import Place, Role, ServerPlan

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


class LaunchError(Exception):
    """One server could not be started.

    Attributes:
        name: of the server.
        cause: what happened, with its log.
    """

    def __init__(self, name: str, cause: StartError) -> None:
        super().__init__(f"{name} {cause}")
        self.name = name
        self.cause = cause


async def launch(
    plan: ServerPlan,
    binary: Path,
    chosen: Sequence[Place],
    primary_port: int | None,
    tls: TlsFiles | None,
    timeout_s: float,
    keep: Callable[[Node], None],
) -> None:
    """Starts the servers `chosen` from `plan` at the same time, and returns when each answers.

    Args:
        plan: what they belong to.
        binary: their program.
        chosen: which of them.
        primary_port: what replicas and Sentinels follow.
        tls: certificates, if their ports are to speak TLS.
        timeout_s: how long each may take to answer.
        keep: is given every server that runs, also when another one fails or this is cancelled.

    Raises:
        LaunchError: if one of them does not start; the others are given up.
    """

    async def one(place: Place) -> None:
        kind, config = _part(plan, place, primary_port)
        try:
            server = await PrivateServer.launch(
                binary, config, kind=kind, tls=tls, processors=plan.cpus, timeout_s=timeout_s
            )
        except StartError as error:
            raise LaunchError(place.name, error) from error
        keep(Node(place, server, None if kind == "sentinel" else login_of(plan.config)))

    try:
        async with asyncio.TaskGroup() as group:
            for place in chosen:
                group.create_task(one(place))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None  # the first; the others were cancelled for it, or say the same


def _part(plan: ServerPlan, place: Place, primary_port: int | None) -> tuple[Kind, ServerConfig]:
    if place.role == "sentinel":
        assert primary_port is not None  # Sentinels come last
        return "sentinel", sentinel_configuration(plan, primary_port)
    if plan.topology == "cluster":
        return "cluster", data_configuration(plan, place)
    return "data", data_configuration(plan, place, primary_port)
