"""The hosts that a run asks for: where their scheduler is, how many, and what is refused before anything is connected.

Knows Dask's addresses and nothing else of Dask.
"""

import ipaddress
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ombdriver.bench.files import read_regular
from ombdriver.bench.plan.host_layout import HostLayout
from ombdriver.bench.servers.options import values_of
from ombdriver.bench.servers.topology import ServerPlan
from ombdriver.errors import InputError

ADDRESS_VARIABLE = "DASK_SCHEDULER_ADDRESS"
ENCRYPTED = ("tls", "wss")
OWN_LOGINS = ("requirepass", "user", "aclfile", "masterauth", "masteruser", "primaryauth", "primaryuser")
"""Options by which servers have logins of their own."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Hosts that a scheduler of Dask offers.

    Attributes:
        scheduler: its address, as `tls://host:8786`; None where nothing is to be connected.
        layout: how many hosts, and what is on each.
        insecure: whether a scheduler elsewhere may be talked to in the clear.
        server_host: the host that the servers of a setup are started on: its address, the name of its worker of Dask,
            or `first`; None where they run already.
    """

    scheduler: str | None
    layout: HostLayout
    insecure: bool = False
    server_host: str | None = None

    @property
    def host(self) -> str:
        """The host of the scheduler's address; empty where there is none."""
        return urlsplit(self.scheduler or "").hostname or ""

    @property
    def on_this_machine(self) -> bool:
        """Whether the scheduler is reached by a loopback address."""
        return is_loopback(self.host)

    def errors(self) -> list[str]:
        """What speaks against it, for the command line."""
        found = self.layout.errors()
        if self.scheduler is None:
            return found
        if not self.host:
            found.append(f"--scheduler: {self.scheduler!r} names no host; write tls://HOST:8786, or a scheduler file")
        elif urlsplit(self.scheduler).scheme not in ENCRYPTED and not self.on_this_machine and not self.insecure:
            found.append(
                f"--scheduler: {self.scheduler} is not encrypted, and whoever reaches it runs code on every host; start"
                " it with TLS and write tls://, or say --insecure on a network of your own"
            )
        return found


def find_scheduler(given: str | None, environment: Mapping[str, str]) -> str:
    """The scheduler's address: as given, from the scheduler file that is given, or from the environment.

    Raises:
        InputError: if there is none, or the file has none.
    """
    address = given or environment.get(ADDRESS_VARIABLE)
    if not address:
        raise InputError(f"--hosts: no scheduler is named; give --scheduler, or set {ADDRESS_VARIABLE}")
    if "://" in address:
        return address
    if not Path(address).exists():
        if ":" not in address:
            raise InputError(
                f"--scheduler: {address} is no file that is there, and no address with a port; write tls://HOST:8786,"
                " or the scheduler file"
            )
        return f"tcp://{address}"
    try:
        found = json.loads(read_regular(Path(address)))["address"]
    except OSError as error:
        raise InputError(f"--scheduler: {address} can't be read ({error.strerror}); give another file") from error
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"--scheduler: {address} is no scheduler file of Dask; give the one that `dask scheduler` was told to write"
        ) from error
    return str(found)


def is_loopback(host: str) -> bool:
    """Whether that name or address is of the machine that asks."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def unreachable(urls: Iterable[str]) -> list[str]:
    """Those of a server's `urls` that mean another machine on each host: loopback addresses and unix sockets."""
    parts = [(url, urlsplit(url)) for url in urls]
    return [url for url, each in parts if each.scheme == "unix" or is_loopback(each.hostname or "localhost")]


def unfit_for_a_host(plan: ServerPlan) -> str | None:
    """Why the servers of `plan` can't be on a host of a scheduler, in words with the way out; None if they can."""
    if plan.topology == "sentinel":
        return "Sentinels ask for no password, and other hosts would reach them; use standalone, replicated or cluster"
    if plan.unix_socket:
        return "a unix socket leads to no other host; leave unixSocket out"
    given = {name.lower() for name, value in plan.config.items() if values_of(value)}
    if own := [name for name in OWN_LOGINS if name in given]:
        return f"the server gets a password of its own there; leave {own[0]} out of its config"
    return None
