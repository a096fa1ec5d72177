"""URLs that name several servers: the seeds of a cluster, or Sentinels and the master they watch.

Pure: splits such a URL into its servers and a URL of one server, which redis-py reads, with all options.
"""

from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode

CLUSTER = ("redis+cluster", "rediss+cluster")
SENTINEL = ("redis+sentinel", "rediss+sentinel")
WAY_OUT = (
    "give redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT or "
    "redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/MASTER[/DB], rediss+… with TLS, % for special signs"
)


class Seeds(NamedTuple):
    """What such a URL says.

    Attributes:
        servers: host and port of each.
        url: `redis://` or `rediss://` with the first of them, login, database and options.
        master: the name that the Sentinels know the master by; None for a cluster.
        sentinel_login: `username` and `password` for the Sentinels, as far as given.
    """

    servers: tuple[tuple[str, int], ...]
    url: str
    master: str | None
    sentinel_login: dict[str, str]

    def sentinel_login_options(self) -> dict[str, str]:
        """`sentinel_login` by the names of the URL's options."""
        return {f"sentinel_{name}": value for name, value in self.sentinel_login.items()}


def scheme_of(url: str) -> str:
    """What stands before `://`, in small letters."""
    return url.partition("://")[0].lower() if "://" in url else ""


def parse_seeds(url: str) -> Seeds:
    """What a URL of a cluster or of Sentinels says.

    Raises:
        ValueError: if it can't be read; the message quotes nothing of the URL.
    """
    scheme = scheme_of(url)
    rest, _, query = url.partition("://")[2].partition("?")
    authority, _, path = rest.partition("/")
    login, at, hosts = authority.rpartition("@")
    default = 26379 if scheme in SENTINEL else 6379
    servers = tuple(_server(text, default) for text in hosts.split(","))
    master = None
    database = path.strip("/")
    if scheme in SENTINEL:
        name, _, database = database.partition("/")
        master = unquote(name)
        if not master:
            raise ValueError("the name of the master is missing")
    elif database not in ("", "0"):
        raise ValueError("a cluster has database 0 alone")
    options = parse_qsl(query, keep_blank_values=True)
    told = {name: value for name, value in options if name.startswith("sentinel_")}
    if (master is None and told) or told.keys() - {"sentinel_username", "sentinel_password"}:
        raise ValueError("an option is not known")
    rest_of_query = urlencode([(name, value) for name, value in options if name not in told])
    host, port = servers[0]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    plain = f"{scheme.partition('+')[0]}://{login}{at}{address}/{database}"
    return Seeds(
        servers,
        plain.rstrip("/") + (f"?{rest_of_query}" if rest_of_query else ""),
        master,
        {name.removeprefix("sentinel_"): value for name, value in told.items()},
    )


def _server(text: str, default: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(default)
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or set(host) & set("@/#[] "):
        raise ValueError("a server is not HOST:PORT")
    return host, int(port)
