"""What tests of managed servers share: the engines that there are, waiting for a state, and clients for it."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.private_server import find_binary
from ombdriver.errors import ServerError
from tests.missing import missing


def present(engine: str) -> str:
    """`engine`, where it is; else the test skips, and fails when CI is set."""
    try:
        find_binary(engine)
    except ServerError as error:
        missing(str(error))
    return engine


async def eventually(met: Callable[[], Awaitable[bool]], timeout_s: float = 30.0) -> None:
    """Returns as soon as `met`; looks often, and gives up in the end."""
    async with asyncio.timeout(timeout_s):
        while not await met():  # noqa: ASYNC110 - a server has no event to wait for
            await asyncio.sleep(0.05)


async def pings(servers: ManagedServers, port: int) -> bool:
    """Whether PING is answered at `port`, in the clear or by TLS as the plan says; certificates are looked at."""
    context = None
    if servers.plan.tls:
        context = ssl.create_default_context(cafile=servers.url.partition("?ssl_ca_certs=")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(b"PING\r\n")
    try:
        return await reader.readline() == b"+PONG\r\n"
    finally:
        writer.close()
        await writer.wait_closed()
