"""The configuration file of each server of a plan: its place in the topology, ports and directories, TLS. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ombdriver.bench.servers.options import ServerConfig, unquoted, values_of
from ombdriver.bench.servers.reaper_process import quotable
from ombdriver.bench.servers.resp_client import Login
from ombdriver.bench.servers.topology import HOST, MASTER_NAME, Place, ServerPlan

EMBEDDED: ServerConfig = {"save": "", "appendonly": "no"}
"""What every private server starts from: nothing goes to disk."""
SOCKET_NAME = "redis.sock"
DOWN_AFTER_MS = 1000
"""How long a primary may be silent before a Sentinel takes it for down."""
FAILOVER_TIMEOUT_MS = 5000
QUORUM = 2
NODE_TIMEOUT_MS = 2000
"""How long a node may be silent before the others of its cluster take it for down, unless the plan says otherwise."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files: the server's certificate, its key, and the authority that signed it."""

    certificate: Path
    key: Path
    authority: Path


def data_configuration(plan: ServerPlan, place: Place, primary_port: int | None = None) -> dict[str, str | list[str]]:
    """The settings of a server that holds data: those of the plan, and those that make it a part of its topology.

    Args:
        plan: which.
        place: which server of it.
        primary_port: of the primary that it is to replicate by its configuration.
    """
    lines: dict[str, str | list[str]] = {}
    if plan.topology != "standalone":
        # The first replica need not wait 5 s for more of them.
        lines["repl-diskless-sync-delay"] = "0"
    if plan.topology == "cluster":
        lines |= {
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": str(NODE_TIMEOUT_MS),
            "cluster-announce-ip": plan.address,
        }
    if primary_port is not None and place.role == "replica":
        lines["replicaof"] = f"{plan.address} {primary_port}"
    if plan.tls and plan.topology != "standalone":
        lines["tls-replication"] = "yes"
    if plan.tls and plan.topology == "cluster":
        lines["tls-cluster"] = "yes"
    lines |= _replication_login(plan)
    return lines | {name.lower(): _kept(value) for name, value in plan.config.items()}


def sentinel_configuration(plan: ServerPlan, primary_port: int) -> dict[str, str | list[str]]:
    """The settings of a Sentinel; it writes more of them itself. It asks for no password, and knows the primary's."""
    commands = [
        f"monitor {MASTER_NAME} {plan.address} {primary_port} {QUORUM}",
        f"down-after-milliseconds {MASTER_NAME} {DOWN_AFTER_MS}",
        f"failover-timeout {MASTER_NAME} {FAILOVER_TIMEOUT_MS}",
    ]
    if plan.equipment.own_address:
        commands.append(f"announce-ip {HOST}")
    login = _login(plan.config)
    if login and login[0] != "default":
        commands.append(f"auth-user {MASTER_NAME} {login[0]}")
    if login:
        commands.append(f"auth-pass {MASTER_NAME} {login[1]}")
    return {"sentinel": commands} | ({"tls-replication": "yes"} if plan.tls else {})


def render_configuration(
    config: ServerConfig,
    port: int,
    tls: TlsFiles | None = None,
    base: ServerConfig = EMBEDDED,
    address: str = HOST,
) -> str:
    """The configuration file of a private server on `port` of `address`, with `config` on top of `base`.

    `{directory}` in it stands for the directory that the server will get. Values are written as they are, so that
    `save: "3600 1"` has two arguments; an empty one is written `""`. With `tls` the TCP port speaks TLS alone.

    Raises:
        ValueError: if a key or value holds a line break or NUL.
    """
    lines: dict[str, str | Sequence[str]] = {
        "bind": address,
        "protected-mode": "yes",
        "port": str(0 if tls else port),
        "unixsocket": '"{directory}/' + SOCKET_NAME + '"',
        "unixsocketperm": "700",
        "dir": '"{directory}"',
        "daemonize": "no",
    }
    if tls:
        lines |= {
            "tls-port": str(port),
            "tls-cert-file": _quoted(tls.certificate),
            "tls-key-file": _quoted(tls.key),
            "tls-ca-cert-file": _quoted(tls.authority),
            "tls-auth-clients": "no",
        }
    text = ""
    for key, values in {**lines, **base, **config}.items():
        for value in values_of(values):
            if any(mark in key + value for mark in "\r\n\0"):
                raise ValueError(f"the server setting {key!r} holds a line break or NUL; write it in one line")
            text += f"{key} {value}\n" if value else f'{key} ""\n'
    return text


def _quoted(path: Path) -> str:
    return f'"{quotable(str(path.absolute()))}"'


def login_of(config: ServerConfig) -> Login | None:
    """The login for a server that is configured so; None when the default user has no password.

    The default user if its password is known, else the one that replicas log in as.
    """
    login = _login(config)
    return Login(unquoted(login[0]), unquoted(login[1])) if login else None


def _login(config: ServerConfig) -> tuple[str, str] | None:
    """Name and password of `login_of` as written in the configuration: quoted or not."""
    lines = {name.lower(): value for name, value in config.items()}
    password = _one(lines, "requirepass")
    for line in values_of(lines.get("user", ())):
        name, *rules = line.split()
        password = next((rule[1:] for rule in rules if name == "default" and rule[0] == ">"), password)
    if password:
        return "default", password
    name, password = _one(lines, "masteruser", "primaryuser"), _one(lines, "masterauth", "primaryauth")
    return (name, password) if name and password else None


def _one(lines: ServerConfig, *names: str) -> str:
    """The value of the first of `names` that is set, an empty one counting as not set."""
    found = [value for name in names for value in values_of(lines.get(name, ())) if value not in ("", '""', "''")]
    return found[0] if found else ""


def _replication_login(plan: ServerPlan) -> dict[str, str | list[str]]:
    names = {name.lower() for name in plan.config}
    login = _login(plan.config)
    known = {"masterauth", "primaryauth"} & names
    return {"masterauth": login[1]} if login and not known and plan.topology != "standalone" else {}


def _kept(value: str | Sequence[str]) -> str | list[str]:
    return value if isinstance(value, str) else list(value)
