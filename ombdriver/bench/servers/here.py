"""Whether servers that a URL names run on this machine: by name, by any address of it, or by a unix socket.

Looks names up, and asks the kernel which addresses are its own; connects to nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

from ombdriver.bench.servers.url import hosts_of

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Where = Literal["unix", "loopback", "host", "remote"]
"""By a unix socket; at a loopback address; at another address of this machine; elsewhere, or nobody knows."""


async def where_are(urls: Iterable[str]) -> list[Where]:
    """Where each of the servers is that `urls` name; one that is named twice counts once."""
    found: dict[object, Where] = {}
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            found[parts.path] = "unix"
            continue
        for host in hosts_of(url):
            one = urlsplit(f"//{host}")
            addresses = await _addresses(one.hostname or "")
            found[min(addresses, default=one.hostname), one.port] = _where(addresses)
    return list(found.values())


def together(places: Iterable[Where]) -> Where:
    """What holds of all of `places`."""
    each = set(places)
    if len(each) == 1:
        return each.pop()
    return "remote" if "remote" in each or not each else "host"


async def _addresses(host: str) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(address[0]) for *_, address in found]


def _where(addresses: Iterable[str]) -> Where:
    found = [_plain(ipaddress.ip_address(each)) for each in addresses]
    if found and all(each.is_loopback or each.is_unspecified for each in found):
        return "loopback"
    return "host" if any(_is_own(each) for each in found) else "remote"


def _plain(address: Address) -> Address:
    mapped: Address | None = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _is_own(address: Address) -> bool:
    """Whether this machine would send from `address` to reach it; connecting a socket for datagrams sends nothing."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ipaddress.ip_address(probe.getsockname()[0]) == address
    except OSError:
        return False
