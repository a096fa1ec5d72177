"""Starts the single servers of a plan, each as what it is there; several at the same time.

Knows no readiness but that of a single server: what they are together comes after.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from ombdriver.bench.engine import ServerConfig, TlsFiles
from ombdriver.bench.guarding import StartError
from ombdriver.bench.server import Kind, PrivateServer
from ombdriver.bench.servers.configuration import data_configuration, login_of, sentinel_configuration
from ombdriver.bench.servers.node import Node
from ombdriver.bench.servers.topology import Place, ServerPlan


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
