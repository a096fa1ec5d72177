"""By which links the servers of a run are reached, and those to a server of the user's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ombdriver.bench.servers.links import LinkError, Links
from ombdriver.bench.servers.url import hosts_of
from ombdriver.errors import ServerError

_PORT = 6379


@dataclass(frozen=True, slots=True)
class LinkedPorts:
    """The links by which servers are reached.

    Attributes:
        links: all of them.
        of_clients: the port of the link of its clients, for each server that holds data, by its name.
        of_servers: the ports, 1 or 2, by which other servers call one, for each, by its name; none unless they have
            addresses of their own.
        url: what clients connect to; without a password, as `ManagedServers.url`. Empty where it is the usual one.
        ports: `of_clients` by the servers' own ports.
    """

    links: Links
    of_clients: Mapping[str, int]
    ports: Mapping[int, int]
    of_servers: Mapping[str, Sequence[int]] = field(default_factory=dict)
    url: str = ""


async def link_to(url: str) -> LinkedPorts:
    """A link to the one server that a URL names, wherever it is; its name is the URL's host and port.

    Raises:
        ServerError: if it can't be opened.
    """
    (address,) = hosts_of(url)
    found = urlsplit(f"//{address}")
    host, port = found.hostname or "localhost", found.port or _PORT
    links = Links.start()
    try:
        link = await links.open(port, host)
    except BaseException as error:
        await links.aclose()
        if isinstance(error, LinkError):
            raise ServerError(f"{error}; run again") from error
        raise
    return LinkedPorts(links, {f"{host}:{port}": link}, {port: link})
