"""URLs of Redis servers, clusters and Sentinels: which there are, what is wrong with one, how parts become one. Pure.

`redis://HOST:PORT/DB`, `rediss://` for TLS, `unix:///PATH`; the seeds of a cluster as `redis+cluster://HOST:PORT,...`,
Sentinels and what they call the master as `redis+sentinel://HOST:PORT,.../MASTER/DB`. Connects to nothing, and never
lets a password into a message.
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from ombdriver.bench.units import quoted
from ombdriver.secrets import HIDDEN, ambiguous_login, redact_host, redact_url

CLUSTER, SENTINEL = "+cluster", "+sentinel"
"""What follows `redis` or `rediss` in the scheme."""
THE_URL = "the URL"
"""What messages call an address, or a login, that was given as a URL by itself."""
EXAMPLE = "write redis://HOST:PORT/DB, rediss://... for TLS, or unix:///PATH"

_OTHER_SCHEMES = {
    **dict.fromkeys(
        ("redis-sentinel", "redis-sentinels", "sentinel", "valkey-sentinel"), "redis+sentinel://HOST:PORT/MASTER"
    ),
    **dict.fromkeys(("redis-cluster", "cluster", "valkey-cluster"), "redis+cluster://HOST:PORT,HOST:PORT"),
    **dict.fromkeys(("rediss-sentinel", "valkeys-sentinel"), "rediss+sentinel://HOST:PORT/MASTER"),
    **dict.fromkeys(("rediss-cluster", "valkeys-cluster"), "rediss+cluster://HOST:PORT,HOST:PORT"),
    **dict.fromkeys(("valkeys", "tls", "ssl", "redis+ssl", "redis+tls", "redis-ssl"), "rediss://HOST:PORT"),
    **dict.fromkeys(("redis-socket", "redis+socket", "redis+unix", "valkey+unix", "unixs"), "unix:///PATH"),
    **dict.fromkeys(("valkey", "tcp"), "redis://HOST:PORT"),
}
"""What other clients write, and what to write here."""
_OPTIONS = {"db", "username", "password", "client_name", "socket_connect_timeout", "socket_keepalive"}
_SENTINEL_OPTIONS = {"sentinel_username", "sentinel_password"}
_TLS_OPTIONS = {f"ssl_{name}" for name in ("ca_certs", "ca_path", "ca_data", "certfile", "keyfile", "password")} | {
    f"ssl_{name}" for name in ("cert_reqs", "check_hostname", "min_version", "ciphers")
}
"""What may stand behind the `?` of a URL, the last only with rediss://; the names are those of redis-py."""
_BARE_IPV6 = re.compile(r"://(?:[^/?#]*@)?(?=[^/?#]*:[^/?#]*:)[0-9a-f:.]+(?:[/?#]|$)", re.I)
_FLAG = "true|false|yes|no|1|0", "true or false"
_VALUES = {
    "socket_connect_timeout": (r"\d{1,6}(\.\d{1,6})?", "a number of seconds"),
    "socket_keepalive": _FLAG,
    "ssl_check_hostname": _FLAG,
    "ssl_cert_reqs": ("none|optional|required", "none, optional or required"),
    "ssl_min_version": ("77[12]", "771 for TLS 1.2, or 772 for TLS 1.3"),
}
"""What the values of options look like, and what to write."""


def check_url(url: str) -> str:
    """`url` as it is, if it can name a Redis server, a cluster or Sentinels.

    Raises:
        ValueError: if its scheme is unknown, or a part is missing, malformed or unknown.
    """
    shown = quoted(redact_host(url))
    if (unclear := ambiguous_login(url)) is not None:
        raise ValueError(f"{shown} {unclear}")
    try:
        parts = urlsplit(url)
        hosts = hosts_of(url)
        for host in hosts:
            one = urlsplit(f"redis://{host}")
            if not one.hostname or one.port == 0:
                raise ValueError("no host, or no port")
    except ValueError:
        # The error's own words may quote what should have been a password.
        if "://" in url and not url.partition("://")[2].strip("/?#"):
            hosts = []
        else:
            is_bare = _BARE_IPV6.search(url) is not None
            way_out = "an IPv6 address stands in brackets, redis://[ADDRESS]:PORT" if is_bare else EXAMPLE
            raise ValueError(f"{shown} is not a URL; {way_out}") from None
    tls, kind = parts.scheme.startswith("rediss"), scheme_kind(parts.scheme)
    if kind is None:
        here = _OTHER_SCHEMES.get(parts.scheme)
        way_out = f"write {here}" if here else EXAMPLE
        raise ValueError(f"{shown} does not begin with redis://, rediss:// or unix://; {way_out}")
    known = _OPTIONS | (_TLS_OPTIONS if tls else set()) | (_SENTINEL_OPTIONS if kind == SENTINEL else set())
    for option, value in parse_qsl(parts.query, keep_blank_values=True):
        if option not in known:
            is_tls = not tls and (option in _TLS_OPTIONS or option.lower() in ("ssl", "tls", "use_ssl", "usetls"))
            way_out = "TLS is asked for by rediss://" if is_tls else f"there are: {', '.join(sorted(known))}"
            raise ValueError(f"{shown} has the option {quoted(option)} that there is not; {way_out}")
        if option == "db" and not value.isdecimal():
            raise ValueError(f"{shown} names database {quoted(value)}, which is no number; {EXAMPLE}")
        form, what = _VALUES.get(option, (".*", ""))
        if not re.fullmatch(form, value, re.I | re.S):
            raise ValueError(f"{shown} has {option}={quoted(value)}; write {what}")
    if parts.scheme == "unix":
        if not parts.path.strip("/"):
            raise ValueError(f"{shown} names no socket; {EXAMPLE}")
        if not url[len("unix") :].startswith("://") or parts.netloc.rpartition("@")[2]:
            raise ValueError(f"{shown} has not three slashes; write unix:///PATH, its path from the root on")
        return url
    if not hosts:
        raise ValueError(f"{shown} names no host; {EXAMPLE}")
    if kind != SENTINEL and parts.path.strip("/") and "db" in dict(parse_qsl(parts.query)):
        raise ValueError(f"{shown} names a database twice; leave one of them out")
    if len(hosts) > 1 and not kind:
        raise ValueError(f"{shown} names several hosts; write redis+cluster:// for a cluster, redis+sentinel:// for it")
    _check_path(parts.path.strip("/"), kind, shown)
    return url


def _check_path(path: str, kind: str, shown: str) -> None:
    if kind == CLUSTER and path not in ("", "0"):
        raise ValueError(f"{shown} names a database, and a cluster has number 0 alone; leave it out")
    database = path
    if kind == SENTINEL:
        master, _, database = path.partition("/")
        if not master:
            raise ValueError(f"{shown} does not name the master; write redis+sentinel://HOST:PORT,.../MASTER")
    if database and not database.isdecimal():
        raise ValueError(f"{shown} names database {quoted(database)}, which is no number; {EXAMPLE}")


def scheme_kind(scheme: str) -> str | None:
    """`CLUSTER`, `SENTINEL`, or empty for one server; None for a scheme that is not ours."""
    if scheme == "unix":
        return ""
    plain = scheme.removeprefix("rediss") if scheme.startswith("rediss") else scheme.removeprefix("redis")
    return plain if plain != scheme and plain in ("", CLUSTER, SENTINEL) else None


def hosts_of(url: str) -> list[str]:
    """Every `HOST:PORT` in `url`."""
    network = urlsplit(url).netloc.rpartition("@")[2]
    return [host for host in network.split(",") if host]


def has_login(url: str) -> bool:
    """Whether a login stands in `url`; one that is hidden is none."""
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    named = [value for option, value in parse_qsl(parts.query) if "password" in option or option == "username"]
    return bool(login or named) and HIDDEN not in url


def check_alike(urls: Sequence[str], *, cluster: bool) -> None:
    """Does nothing if `join` takes all that stands in `urls`.

    Raises:
        ValueError: if they differ in more than host and port, or name a database of a cluster.
    """
    first, *others = (urlsplit(url) for url in urls)
    for other in others:
        if other.scheme != first.scheme:
            raise ValueError("the URLs have different schemes; write the same one, redis:// or rediss://, in each")
        if other.path.strip("/") not in ("", first.path.strip("/")) or other.query not in ("", first.query):
            raise ValueError("the URLs differ in database or options; write them in the first alone")
    if cluster:
        for one in (first, *others):
            _check_path(one.path.strip("/"), CLUSTER, quoted(redact_url(one.geturl())))


def join(urls: Sequence[str], *, cluster: bool, master: str | None) -> str:
    """One URL of the seeds of a cluster, or of the Sentinels that know `master`; one server's as it is.

    Scheme, login, database and options are those of the first.
    """
    if not cluster and master is None:
        return urls[0]
    first = urlsplit(urls[0])
    login, at, _ = first.netloc.rpartition("@")
    hosts = ",".join(host for url in urls for host in hosts_of(url))
    kind, path = (CLUSTER, "") if cluster else (SENTINEL, "/" + quote(master or "", safe="") + first.path.rstrip("/"))
    return first._replace(scheme=first.scheme + kind, netloc=f"{login}{at}{hosts}", path=path).geturl()


def with_login(url: str, username: str | None, password: str | None) -> str:
    """`url` with a login in place of its own, where one is given."""
    if username is None and password is None:
        return url
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return with_options(url, {"username": username, "password": password})
    login = quote(username or "", safe="") + ("" if password is None else ":" + quote(password, safe=""))
    return parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}").geturl()


def files_of(url: str) -> dict[str, str]:
    """The files of TLS that `url` names, by the options that name them."""
    options = parse_qsl(urlsplit(url).query)
    return {name: value for name, value in options if name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")}


def with_files(url: str, paths: Mapping[str, str]) -> str:
    """`url` with other files in place of those that these options name."""
    before, mark, query = url.partition("?")
    options = [(name, paths.get(name, value)) for name, value in parse_qsl(query, keep_blank_values=True)]
    return f"{before}{mark}{urlencode(options, quote_via=quote)}"


def with_options(url: str, options: dict[str, str | None]) -> str:
    """`url` with more behind its `?`; None is left out."""
    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        return url
    before, _, query = url.partition("?")
    return f"{before}?{'&'.join(filter(None, [query, urlencode(given, quote_via=quote)]))}"
