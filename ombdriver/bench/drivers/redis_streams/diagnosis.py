"""What answers at an address at which no client could be made: HTTP, TLS or its absence, nothing, a refusal.

Asked once, when a first connection has failed and its error does not say why: redis-py passes over what a server says
before it is asked anything, and tells of a reply of another protocol as a protocol error. Each host of the URL gets a
connection or two, a PING at most, and no login. Knows no advice: that is in `errors`.
"""

import asyncio
import contextlib
import re
import ssl
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ombdriver.bench.servers.url import hosts_of

PATIENCE_S = 1.0
"""How long each step may take."""
UNASKED_S = 0.1
"""A server that refuses a connection says so before it is asked anything."""
MOST_SHOWN, LONGEST_REFUSAL = 60, 1000
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_Open = Callable[[ssl.SSLContext | None], Coroutine[Any, Any, _Streams]]


async def diagnose(url: str) -> str | None:
    """What is found at the first host of `url` where something is; None where a Redis server answers, or nobody.

    Args:
        url: with everything that is needed to connect; its login is not used.
    """
    parts = urlsplit(url)
    tls = parts.scheme.startswith("rediss")
    openers = {parts.path: _unix(unquote(parts.path))} if parts.scheme == "unix" else _by_host(url)
    for where, opener in openers.items():
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            if (found := await _look(opener, tls=tls)) is not None:
                return f"{where}: {found}"
    return None


async def certificate_names(url: str) -> str | None:
    """The names that the certificate of a server of `url` is for, its authority checked; None if that can't be told."""
    options = dict(parse_qsl(urlsplit(url).query))
    for opener in _by_host(url).values():
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            context = ssl.create_default_context(
                cafile=options.get("ssl_ca_certs"), capath=options.get("ssl_ca_path"), cadata=options.get("ssl_ca_data")
            )
            context.check_hostname = False
            async with asyncio.timeout(PATIENCE_S):
                _, writer = await opener(context)
                certificate: Mapping[str, Any] = writer.get_extra_info("peercert") or {}
                writer.close()
            if names := [str(name) for _, name in certificate.get("subjectAltName", ())]:
                return ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")
    return None


def _by_host(url: str) -> dict[str, _Open]:
    default = 26379 if "+sentinel" in urlsplit(url).scheme else 6379
    found: dict[str, _Open] = {}
    for host in hosts_of(url):
        one = urlsplit(f"//{host}")
        found[host] = _tcp(one.hostname or "", one.port or default)
    return found


def _tcp(host: str, port: int) -> _Open:
    return lambda context: asyncio.open_connection(host, port, ssl=context)


def _unix(path: str) -> _Open:
    return lambda context: asyncio.open_unix_connection(path, ssl=context, server_hostname="" if context else None)


async def _look(opener: _Open, *, tls: bool) -> str | None:
    said, is_closed = await _hear(opener)
    if said.startswith(_TLS_RECORDS):
        return None if tls else "it speaks TLS"
    if said.startswith(b"HTTP/"):
        return f"it speaks HTTP ({_shown(said)})"
    if re.match(rb"-(DENIED|ERR max)", said):
        return _shown(said[1:], LONGEST_REFUSAL)
    if re.match(rb"\+PONG|-[A-Z]+ ", said):
        return f"it answers without TLS ({_shown(said)})" if tls else None
    if said:
        return f"it speaks another protocol ({_shown(said)})"
    if await _speaks_tls(opener):
        return None if tls else "it speaks TLS"
    return "it closes every connection" if is_closed else "it takes connections and says nothing"


async def _hear(opener: _Open) -> tuple[bytes, bool]:
    """What it says, unasked or to PING, and whether it has closed the connection then."""
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await opener(None)
    try:
        said = await _read(reader, UNASKED_S)
        if not said and not reader.at_eof():
            writer.write(b"*1\r\n$4\r\nPING\r\n")
            said = await _read(reader, PATIENCE_S)
        return said, reader.at_eof() or reader.exception() is not None
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader, limit_s: float) -> bytes:
    try:
        async with asyncio.timeout(limit_s):
            return await reader.read(1024)
    except (TimeoutError, OSError):
        return b""


async def _speaks_tls(opener: _Open) -> bool:
    """Whether a handshake works, whoever its certificate is of."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(PATIENCE_S):
            _, writer = await opener(context)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _shown(said: bytes, most: int = MOST_SHOWN) -> str:
    """The first line as text."""
    line = said.decode("latin-1").splitlines()[0] if said.strip() else ""
    return "".join(sign if sign.isprintable() else "." for sign in line[:most])
