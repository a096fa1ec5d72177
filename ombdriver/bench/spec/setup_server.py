"""The part `server` of a setup: servers that are started for the run, or those that run already. Strict and frozen.

Knows what can be written and what excludes what; starts nothing and reads no file. A password is never among its
fields: it is named by an environment variable or a file, which `credentials` reads.
"""

import os
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, ValidationInfo, WithJsonSchema
from pydantic.alias_generators import to_camel

from ombdriver.bench.servers.topology import ServerPlan, Topology, plan_errors
from ombdriver.bench.servers.url import check_alike, check_url, has_login, join, scheme_kind
from ombdriver.bench.spec.checked_model import CheckedModel, FieldRule
from ombdriver.bench.spec.errors import FLAG, SETTINGS
from ombdriver.bench.spec.yaml_file import YamlDocument
from ombdriver.bench.units import quoted
from ombdriver.secrets import HIDDEN, SECRET_OPTIONS, redact_url

PASSWORDS = "passwords"
"""In a validation's context: a URL may hold a password, since it was not read from a file."""

LEAST_PRIMARIES, MOST_NODES = 3, 64

STARTED = ("topology", "primaries", "replicas", "config", "unix_socket", "cpus")
RUNNING = ("cluster", "master", "username", "password_env", "password_file")
SENTINELS = ("sentinel_username", "sentinel_password_env", "sentinel_password_file")

Config = dict[str, str | list[str]]


def _config(value: object) -> object:
    """Options of a server as text, as its configuration file has them: YAML reads `yes` as true, and 4 as a number."""
    if not isinstance(value, dict):
        raise ValueError(f"must hold options of the server, not {quoted(value)}; write them below it, indented")
    return {
        name: [_word(name, each) for each in v] if isinstance(v, list) else _word(name, v) for name, v in value.items()
    }


def _word(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return str(value)
    shown = "no text or number" if str(name).lower() in SECRET_OPTIONS else quoted(value)
    raise ValueError(f"{name} is {shown}; give it one value, or a list of them")


_CONFIG_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": {
        "anyOf": [
            {"type": ["string", "number", "boolean"]},
            {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
        ]
    },
}


class Tls(CheckedModel):
    """How a server of the user's is spoken to with TLS; paths of PEM files."""

    ca_file: str | None = Field(None, min_length=1, description="The authority that signed the server's certificate.")
    cert_file: str | None = Field(None, min_length=1, description="Our certificate, where the server asks for one.")
    key_file: str | None = Field(None, min_length=1, description="Its key.")
    check_hostname: bool = Field(True, description="Whether the certificate has to name the server's host.")


def _one_or_several(value: object) -> object:
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return value
    if isinstance(value, str):
        return value
    raise ValueError(f"must be a URL or a list of them, not {quoted(value)}; write redis://HOST:PORT")


def _urls(value: str | list[str], info: ValidationInfo) -> str | list[str]:
    for url in [value] if isinstance(value, str) else value:
        check_url(url)
        if has_login(url) and not (info.context or {}).get(PASSWORDS):
            raise ValueError(
                f"{quoted(redact_url(url))} holds a login; write username and passwordEnv or passwordFile beside it"
            )
    return value


class Server(CheckedModel):
    """Where the driver connects to: servers that are started for the run, or that run already."""

    engine: str | None = Field(
        None,
        min_length=1,
        description="Starts servers. `valkey` comes with ombdriver; `redis` is the `redis-server` on the PATH; or"
        " the path of a server program.",
    )
    topology: Topology = Field(
        "standalone",
        description="`standalone`: one server. `replicated`: a primary with replicas. `sentinel`: that, and three"
        " Sentinels. `cluster`: primaries that share the slots.",
    )
    primaries: int = Field(LEAST_PRIMARIES, ge=LEAST_PRIMARIES, le=MOST_NODES, description="Primaries of a cluster.")
    replicas: int | None = Field(
        None,
        ge=0,
        le=MOST_NODES,
        description="Replicas of the one primary (1 when absent), or of each primary of a cluster (0 when absent).",
    )
    config: Annotated[Config, BeforeValidator(_config), WithJsonSchema(_CONFIG_SCHEMA)] = Field(
        {},
        description="Options of the server by their names, for every server that holds data: `appendonly`,"
        " `appendfsync`, `save`, `io-threads`, `maxmemory`, `stream-node-max-entries` and so on. A"
        " list is an option that is written several times. Nothing is saved unless this says so."
        " Without `maxmemory` all servers that hold data share half of what this machine has left, and"
        " refuse what is more (`noeviction`).",
    )
    tls: Annotated[
        Annotated[bool, Tag(FLAG)] | Annotated[Tls, Tag(SETTINGS)],
        Discriminator(lambda given: SETTINGS if isinstance(given, dict | Tls) else FLAG),
    ] = Field(
        False,
        description="Of servers that are started, `true`: they speak TLS alone, with certificates made for the"
        " run. Of those that run already: files and checks, as below.",
    )
    unix_socket: bool = Field(False, description="Whether a single server is reached by its unix socket.")
    cpus: list[Annotated[int, Field(ge=0)]] = Field(
        [], description="Numbers of the processors that all of them stay on (Linux)."
    )
    url: (
        Annotated[
            str | list[str],
            BeforeValidator(_one_or_several),
            AfterValidator(_urls),
            WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
        ]
        | None
    ) = Field(
        None,
        repr=False,
        description="`redis://HOST:PORT/DB`, `rediss://` (TLS), `unix:///PATH`; or a list: the seeds of a cluster,"
        " or Sentinels, with database and options in the first alone.",
    )
    cluster: bool = Field(False, description="Whether the URLs are seeds of a cluster.")
    master: str | None = Field(
        None, min_length=1, description="The name of a master: the URLs are Sentinels, which call it so."
    )
    username: str | None = Field(None, min_length=1, description="Who logs in.")
    password_env: str | None = Field(
        None, min_length=1, description="The environment variable with the password, which never stands in a setup."
    )
    password_file: str | None = Field(
        None, min_length=1, description="The file that holds the password and nothing else."
    )
    sentinel_username: str | None = Field(None, min_length=1, description="Who logs in to the Sentinels.")
    sentinel_password_env: str | None = Field(None, min_length=1, description="As `passwordEnv`, for the Sentinels.")
    sentinel_password_file: str | None = Field(None, min_length=1, description="As `passwordFile`, for the Sentinels.")

    @property
    def urls(self) -> list[str]:
        """Those given; empty for servers that are started."""
        return [] if self.url is None else [self.url] if isinstance(self.url, str) else self.url

    @property
    def joined_url(self) -> str:
        """All that the file says of where to connect, as one URL; without the login that is named elsewhere."""
        return join(self.urls, cluster=self.cluster, master=self.master)

    @property
    def in_cluster(self) -> bool:
        """Whether topics lie on a cluster."""
        if self.url is None:
            return self.topology == "cluster"
        return scheme_kind(self.joined_url.partition("://")[0]) == "+cluster"

    @property
    def is_several(self) -> bool:
        """Whether it takes more than one address to reach: a cluster, or Sentinels."""
        if self.url is None:
            return self.topology in ("cluster", "sentinel")
        return scheme_kind(self.joined_url.partition("://")[0]) != ""

    @property
    def reached(self) -> Literal["one", "several", "unix"]:
        """How one that runs already is reached: at one address, at several, or by a unix socket."""
        if self.is_several:
            return "several"
        return "unix" if self.joined_url.startswith("unix:") else "one"

    @property
    def plan(self) -> ServerPlan:
        """The servers that are started; only where there is an engine."""
        assert self.engine is not None
        return ServerPlan(
            engine=self.engine,
            topology=self.topology,
            primaries=self.primaries if self.topology == "cluster" else None,
            replicas=self.replicas,
            config=self.config,
            tls=bool(self.tls),
            unix_socket=self.unix_socket,
            cpus=tuple(self.cpus),
        )

    @property
    def replicas_started(self) -> int:
        """Replicas of the one primary, or of each primary of a cluster."""
        return self.replicas if self.replicas is not None else int(self.topology in ("replicated", "sentinel"))

    def spec(self) -> dict[str, Any]:
        """What was said of it, ready for JSON, without a password."""
        data = self.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
        if self.url is not None:
            hidden = [redact_url(url) for url in self.urls]
            data["url"] = hidden[0] if isinstance(self.url, str) else hidden
        config = {name: HIDDEN if name.lower() in SECRET_OPTIONS else value for name, value in self.config.items()}
        return {**data, "config": config} if config else data


@dataclass(frozen=True, slots=True)
class Origin:
    """What gave a server's address and its login, as messages name it; no part of what a setup is.

    Attributes:
        address: as `server.url in s.yaml:3`, or the URL; empty for servers that a run starts.
        login: likewise; empty where nothing gave one.
    """

    address: str = field(default="", compare=False)
    login: str = field(default="", compare=False)


def origin_of(document: YamlDocument, server: Server) -> Origin:
    """Of a server that a setup's file names, with what the command line puts into it."""
    if server.password_env is not None:
        place = document.place("server", "passwordEnv")
        login = f"the environment variable {server.password_env} ({place})"
    elif server.password_file is not None:
        login = f"the file {server.password_file} ({document.place('server', 'passwordFile')})"
    else:
        login = "" if server.username is None else document.place("server", "username")
    return Origin(document.place("server", "url"), login)


def _started_or_running(server: Server) -> str | None:
    if (server.engine is None) == (server.url is None):
        return "needs one of engine and url; write engine: valkey, or url: redis://HOST:PORT"
    started, given = server.engine is not None, server.model_fields_set
    foreign = (*RUNNING, *SENTINELS) if started else STARTED
    if wrong := [to_camel(name) for name in foreign if name in given and getattr(server, name)]:
        what = "a server that is started (engine)" if started else "a server that runs already (url)"
        return f"{', '.join(wrong)}: not for {what}; remove it"
    if isinstance(server.tls, Tls) if started else server.tls is True:
        return "tls is true for servers that are started, and holds caFile and the like for a url"
    if not server.master and (alone := [to_camel(name) for name in SENTINELS if name in given]):
        return f"{', '.join(alone)}: needs master, the name that Sentinels know; add it"
    return _started(server) if started else _running(server)


def _started(server: Server) -> str | None:
    if "primaries" in server.model_fields_set and server.topology != "cluster":
        return "primaries are those of a cluster; write topology: cluster, or remove them"
    if server.unix_socket and (server.topology != "standalone" or server.tls):
        return "unixSocket is for one server without TLS; remove it, or topology and tls"
    return "; and ".join(plan_errors(server.plan, range(os.cpu_count() or 1)))


def _running(server: Server) -> str | None:
    kinds, several = {scheme_kind(url.partition("://")[0]) for url in server.urls}, server.cluster or server.master
    if server.cluster and server.master:
        return "cluster and master exclude each other; remove one of them"
    if several and (kinds != {""} or any(url.startswith("unix:") for url in server.urls)):
        return "with cluster or master, write plain URLs: redis://HOST:PORT or rediss://HOST:PORT"
    if several:
        check_alike(server.urls, cluster=server.cluster)
    if len(server.urls) > 1 and not several:
        return "several URLs are seeds of a cluster or Sentinels; write cluster: true, or master: NAME"
    if isinstance(server.tls, Tls) and not all(url.startswith("rediss") for url in server.urls):
        return "tls needs URLs with rediss://; write these, or remove tls"
    if server.password_env and server.password_file:
        return "passwordEnv and passwordFile exclude each other; remove one of them"
    return None


SERVER_RULES: tuple[FieldRule[Server], ...] = (
    FieldRule(
        "replicas",
        lambda s: s.replicas is not None and s.topology == "standalone",
        "a standalone server has none; write topology: replicated, sentinel or cluster",
    ),
    FieldRule(
        "replicas",
        lambda s: s.replicas == 0 and s.topology in ("replicated", "sentinel"),
        lambda s: f"0 is too small for topology: {s.topology}; write 1 or more",
    ),
    FieldRule("", _started_or_running),
)
