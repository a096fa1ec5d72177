"""Setup: which driver a run uses, on which server, with which options of connections and streams. Strict and frozen.

Knows no workload and starts nothing. A password stands in a server's URL only: never in `spec`, `repr` or a message.
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr
from pydantic.alias_generators import to_camel

from ombdriver.bench.load.retention import LEAST_ENTRIES, RetentionPolicy
from ombdriver.bench.servers.url import THE_URL, check_url, has_login
from ombdriver.bench.spec import omb
from ombdriver.bench.spec.checked_model import CheckedModel, FieldRule, unquoted, validated
from ombdriver.bench.spec.errors import FieldNames, render_errors
from ombdriver.bench.spec.foreign import SETUP_KEYS, told_as
from ombdriver.bench.spec.overrides import Assignment, assigned
from ombdriver.bench.spec.setup_server import PASSWORDS, SERVER_RULES, Origin, Server, origin_of
from ombdriver.bench.spec.yaml_file import YamlDocument, parse_document, read_text
from ombdriver.bench.units import MS, SECOND, parse_duration, parse_number, quoted, suggested
from ombdriver.errors import InputError

LEAST_AGE_NS = 8 * SECOND
"""A stream must not be trimmed faster than a backlog is noticed; see `load.retention.LEAST_SECONDS`."""
_KEYS = ("maxlen", "maxage", "exact", "acknowledged")
WAIT_MS, WAIT_AOF_MS = 1000, 5000
"""How long WAIT may take, and WAITAOF, unless a setup says it."""
_FORMS = "write auto, none, acknowledged, a number of entries from 1000, or maxlen or maxage below it"


def _with_options_as_written(document: YamlDocument) -> YamlDocument:
    """`document` with the numbers among the options of its server as text: `0123` and `1e9` are no 123 and 1e+09."""
    server = document.data.get("server")
    config = server.get("config") if isinstance(server, dict) else None
    if not isinstance(server, dict) or not isinstance(config, dict):
        return document

    def written(value: object, *path: str | int) -> object:
        if isinstance(value, list):
            return [written(each, *path, at) for at, each in enumerate(value)]
        return document.numbers.get(("server", "config", *path), value)

    options = {name: written(value, name) for name, value in config.items()}
    return replace(document, data={**document.data, "server": {**server, "config": options}})


def parse_retention(value: object) -> RetentionPolicy:
    """A retention as a setup writes it.

    Raises:
        ValueError: if it is none.
    """
    value = _whole(value)
    if value in ("auto", "none", "acknowledged"):
        return RetentionPolicy(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return RetentionPolicy("maxlen", max_length=_length(value))
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{quoted(value)} is not a retention; {_FORMS}")
    if unknown := [str(key) for key in value if key not in _KEYS]:
        raise ValueError(f"unknown key {unknown[0]}; known: {', '.join(_KEYS)}")
    length = _length(value["maxlen"]) if "maxlen" in value else None
    age = _age(value["maxage"]) if "maxage" in value else None
    exact, acknowledged = (value.get(key, False) for key in ("exact", "acknowledged"))
    if not isinstance(exact, bool) or not isinstance(acknowledged, bool):
        raise ValueError("exact and acknowledged must be true or false; write one of them without quotes")
    if acknowledged:
        return RetentionPolicy("acknowledged", length, age, exact)
    if (length is None) == (age is None):
        raise ValueError("needs one of maxlen and maxage; both may only be bounds of acknowledged: true")
    return RetentionPolicy("maxlen" if age is None else "maxage", length, age, exact)


def _retention(value: object) -> object:
    parse_retention(value)
    return _whole(value)


def _whole(value: object) -> object:
    """A number of entries in quotes, or with an exponent or a point, as the whole number that it is."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = parse_number(value.strip())
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _length(value: object) -> int:
    value = _whole(value)
    if not isinstance(value, int) or isinstance(value, bool) or not LEAST_ENTRIES <= value <= 10**9:
        raise ValueError(f"{quoted(value)} is not a retention; {_FORMS}")
    return value


def _age(value: object) -> int:
    age = parse_duration(value)
    if age < LEAST_AGE_NS or age % MS:
        raise ValueError(
            f"{quoted(value)} is too short or too fine; write {LEAST_AGE_NS // SECOND}s or more, in whole ms"
        )
    return age


LEAST_BATCH_NS, MOST_BATCH_NS = MS // 10, 100 * MS  # no longer than a sample interval may be short


def _batch_interval(value: object) -> object:
    if value is not None and not LEAST_BATCH_NS <= parse_duration(value) <= MOST_BATCH_NS:
        raise ValueError(f"{quoted(value)} is out of range; write 0.1ms to 100ms")
    return value


RUNNER_CONCURRENCY = 32
"""Handlers that a Runner has at work at most, unless a setup says it; the library's own default."""


class Client(CheckedModel):
    """How messages are sent, and who consumes them."""

    pipelining: Literal["channel", "redis-py"] = Field(
        "channel",
        description="`channel`: commands of one turn of the event loop share one write, and replies are counted."
        " `redis-py`: redis-py's own client, as a yardstick: one awaited command a message, on a pool."
        " It keeps the order within a partition with `connections: 1` alone, and speaks to one server"
        " only, neither a cluster nor Sentinels.",
    )
    connections: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Connections for sending, in each producing process (on a cluster: to each primary): 1 when"
        " absent, 50 with `redis-py`. Not with `waitReplicas` or `waitAof`.",
    )
    max_in_flight: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Messages without a reply on each connection. A producer that meets this limit waits, which is"
        " told as `blocked`.",
    )
    pacing: Literal["adaptive", "spin", "batched"] = Field(
        "adaptive",
        description="When producing processes wake. `adaptive`: for each message while their cores have room; as"
        " their load rises, for several together. `spin`: they never sleep, so that messages are late"
        " by microseconds only; each takes a core, and a run is refused where none is left for server"
        " and consumers. `batched`: messages leave in batches, one each `batchInterval`.",
    )
    batch_interval: Annotated[str | None, BeforeValidator(_batch_interval)] = Field(
        None, description="With `pacing: batched`: the time between two batches, as `5ms`."
    )

    consumer: Literal["driver", "runner"] = Field(
        "driver",
        description="Who consumes. `driver`: plain commands of the driver, as many as a server answers. `runner`: the"
        " `Runner` of the messaging library, as in programs that are built on it; each consumer is a client of its own,"
        " with a Runner for each topic.",
    )
    concurrency: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="With `consumer: runner`: handlers that each Runner has at work at the same time, at most; 32 when"
        " absent.",
    )

    @property
    def runner_concurrency(self) -> int:
        """Handlers that each Runner has at work; 0 where the driver consumes by itself."""
        return (self.concurrency or RUNNER_CONCURRENCY) if self.consumer == "runner" else 0

    @property
    def batch_ns(self) -> int:
        """The time between two batches; 0 where each message is due by itself."""
        return 0 if self.batch_interval is None else parse_duration(self.batch_interval)

    @property
    def sending_connections(self) -> int:
        """How many connections a producing process sends on."""
        return self.connections or (1 if self.pipelining == "channel" else 50)


_CLIENT: tuple[FieldRule[Client], ...] = (
    FieldRule(
        "batch_interval",
        lambda s: s.pacing == "batched" and s.batch_interval is None,
        "is missing with pacing: batched; add it, as 5ms",
    ),
    FieldRule(
        "batch_interval",
        lambda s: s.pacing != "batched" and s.batch_interval is not None,
        "means nothing without pacing: batched; write that, or remove this line",
    ),
    FieldRule(
        "concurrency",
        lambda s: s.consumer != "runner" and s.concurrency is not None,
        "means nothing without consumer: runner; write that, or remove this line",
    ),
)


class Streams(CheckedModel):
    """What streams keep, and how they are read and acknowledged."""

    retention: Annotated[Any, AfterValidator(_retention)] = Field(
        "auto",
        json_schema_extra={
            "anyOf": [
                {"enum": ["auto", "none", "acknowledged"]},
                {"type": "integer", "minimum": LEAST_ENTRIES},
                {
                    "type": "object",
                    "properties": {
                        "maxlen": {"type": "integer", "minimum": LEAST_ENTRIES},
                        "maxage": {"type": "string"},
                        "exact": {"type": "boolean"},
                        "acknowledged": {"const": True},
                    },
                    "additionalProperties": False,
                },
            ]
        },
        description="What a partition keeps: `auto` derives it from the rate, `none` keeps all, `acknowledged`"
        " waits for every group; or a length or an age.",
    )
    read: Literal["group", "plain"] = Field(
        "group",
        description="`group`: XREADGROUP. `plain`: XREAD without a group; every consumer sees all messages, and is"
        " a subscription of its own in the result (`group-1.2` is the second consumer of `group-1`).",
    )
    ack: Literal["batch", "each", "none", "delete"] = Field(
        "batch",
        description="`batch`: one XACK for what a read brought. `each`: one for each message. `none`: NOACK, at"
        " most once. `delete`: acknowledge and delete; with more than one group by XACKDEL, which"
        " needs Redis 8.2.",
    )
    read_count: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Entries per stream that a read asks for (COUNT). When absent, so many that a reply is 1 MiB"
        " at most, and 500 at most.",
    )
    block_ms: int = Field(
        1000, ge=1, le=60_000, description="How long a read waits for the first entry (BLOCK), in milliseconds."
    )
    reclaim_after_ms: int | None = Field(
        None,
        ge=100,
        le=3_600_000,
        description="What a consumer was given so many milliseconds ago, and has not acknowledged, the others of its"
        " group take over (XAUTOCLAIM, Redis 6.2); longer than a consumer is at work on two batches. When absent, it"
        " waits until its consumer is back.",
    )
    assignment: Literal["shared", "exclusive"] = Field(
        "shared",
        description="`shared`: every consumer of a group reads all partitions. `exclusive`: partitions are dealt"
        " to the consumers of a group, so that the order within a partition holds.",
    )
    placement: Literal["natural", "balanced"] = Field(
        "natural",
        description="On a cluster. `natural`: the hash of the key `{topic:P}`, fair but not even, and different in"
        " each run. `balanced`: tags are chosen so that every primary gets its share.",
    )
    wait_replicas: int = Field(
        0, ge=0, le=64, description="So many replicas must have a message before it counts (WAIT)."
    )
    wait_aof: Literal["none", "primary", "all"] = Field(
        "none",
        description="Whose append-only files must have a message on disk before it counts (WAITAOF, Redis and Valkey"
        " 7.2): the `primary`'s, or `all`, those of `waitReplicas` replicas too.",
    )
    wait_timeout_ms: int | None = Field(
        None,
        ge=1,
        le=60_000,
        description="How long WAIT or WAITAOF may take, in milliseconds: 1,000 when absent, 5,000 with `waitAof`.",
    )

    @property
    def retention_policy(self) -> RetentionPolicy:
        """The retention, read."""
        return parse_retention(self.retention)

    @property
    def waits(self) -> bool:
        """Whether a message counts only when more than the primary's memory has it."""
        return bool(self.wait_replicas) or self.wait_aof != "none"

    @property
    def longest_wait_ms(self) -> int:
        """How long replicas and disks may take; a second passes between two fsyncs of `appendfsync: everysec`."""
        return self.wait_timeout_ms or (WAIT_MS if self.wait_aof == "none" else WAIT_AOF_MS)

    def spec(self) -> dict[str, Any]:
        """What was said of them, ready for JSON; the retention always."""
        return {"retention": self.retention} | self.model_dump(by_alias=True, exclude_defaults=True)


_STREAMS: tuple[FieldRule[Streams], ...] = (
    FieldRule(
        "ack",
        lambda s: s.read == "plain" and s.ack != "none" and "ack" in s.model_fields_set,
        "plain reads have nothing to acknowledge; remove this line, or write read: group",
    ),
    FieldRule(
        "assignment",
        lambda s: s.read == "plain" and s.assignment == "exclusive",
        "with plain reads every consumer sees all; remove this line, or write read: group",
    ),
    FieldRule(
        "reclaim_after_ms",
        lambda s: s.reclaim_after_ms is not None and (s.read == "plain" or s.ack == "none"),
        "nothing is pending with plain reads or ack: none; remove this line",
    ),
    FieldRule(
        "reclaim_after_ms",
        lambda s: s.reclaim_after_ms is not None and s.assignment == "exclusive",
        "with assignment: exclusive nobody else reads a partition; remove this line, or write assignment: shared",
    ),
    FieldRule(
        "wait_timeout_ms",
        lambda s: not s.waits and "wait_timeout_ms" in s.model_fields_set,
        "means nothing without waitReplicas or waitAof; add one of them, or remove this line",
    ),
    FieldRule(
        "wait_aof",
        lambda s: s.wait_aof == "all" and not s.wait_replicas,
        "all does not say how many replicas; add waitReplicas: 1, or write waitAof: primary",
    ),
    FieldRule(
        "",
        lambda s: s.read == "plain" and s.retention_policy.kind == "acknowledged",
        "retention: acknowledged asks groups, and plain reads have none; write another retention",
    ),
)


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a setup needs of a server.

    Attributes:
        minid: trimming by id (MINID), for retention by age or by acknowledgements.
        xackdel: XACKDEL, to delete what several groups have acknowledged.
        replicas: how many must have a message before it is acknowledged.
        waitaof: WAITAOF, and an append-only file that is synced.
        xautoclaim: XAUTOCLAIM, to take over what others have left.
        runner: the messaging library, whose oldest server is that of XAUTOCLAIM.
        cluster: whether the setup speaks to a cluster.
    """

    minid: bool = False
    xackdel: bool = False
    replicas: int = 0
    cluster: bool = False
    waitaof: bool = False
    xautoclaim: bool = False
    runner: bool = False


FOLDER = Path(__file__).parent / "setups"
"""Where the setups that come with the package lie."""

LOOPBACK_DRIVER = "memory"
STREAMS_DRIVER = "redis-streams"
REDIS_PY_DRIVER = "redis-py"
URL_SETUP = "url"
"""What a setup is called once a server of the user's stands in it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _short_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{quoted(name)} can't stand in a file's name; write letters, digits, dots and dashes")
    return name


def _not_by_pipelining(driver: str) -> str:
    if driver == REDIS_PY_DRIVER:
        raise ValueError(f"write driver: {STREAMS_DRIVER}, and below client pipelining: redis-py")
    return driver


class Setup(CheckedModel):
    """A setup as validated. `load` finds it by name or path; `with_url` puts a server of the user's in it."""

    name: Annotated[str, AfterValidator(_short_name)] = Field(
        min_length=1, max_length=60, description="What results call this setup: letters, digits, dots and dashes."
    )
    description: str = Field("", description="What it is for.")
    driver: Annotated[str, AfterValidator(_not_by_pipelining)] = Field(
        min_length=1,
        description="`redis-streams`; `memory` (no server: messages pass within one process); or one that an"
        " installed package registers.",
    )
    server: Server | None = Field(None, validate_default=True, description="Where to connect to.")
    client: Annotated[Client, Field(description="How messages are sent, and who consumes them.")] = (
        Client.model_validate({})
    )
    streams: Annotated[Streams, Field(description="What streams keep, how they are read.")] = Streams.model_validate({})
    _notes: tuple[str, ...] = PrivateAttr(())
    _origin: Origin = PrivateAttr(Origin())

    @classmethod
    def load(cls, name_or_path: str, given: Sequence[Assignment] = ()) -> Self:
        """The setup called so among those that come with the package, or in that file, with what the command
        line puts into it.

        Raises:
            InputError: if there is none, or its file has errors; one sentence for each of them.
        """
        shipped = FOLDER / f"{name_or_path}.yaml"
        if name_or_path in setup_names():
            path = shipped
        elif (path := Path(name_or_path)).suffix not in (".yaml", ".yml"):
            near = suggested(name_or_path, setup_names())
            hint = f"did you mean {near}?" if near else f"there are: {', '.join(setup_names())}"
            raise InputError(f"--setup: there is no setup {name_or_path!r}; {hint}")
        return cls.parse(read_text(path), str(path), given)

    @classmethod
    def parse(cls, text: str, source: str, given: Sequence[Assignment] = ()) -> Self:
        """The setup of a file's text; `source` is what messages call the file.

        Raises:
            InputError: if it has errors; one sentence for each of them.
        """
        return cls.from_document(parse_document(text, source), given)

    @classmethod
    def from_document(cls, document: YamlDocument, given: Sequence[Assignment] = ()) -> Self:
        """The setup of a file that was read already; otherwise as `parse`."""
        context: dict[str, bool] = {}
        notes: list[str] = []
        if omb.is_one(document.data):
            document, notes = omb.translated(document.plain_text())
            context = {PASSWORDS: True}
        document = unquoted(_with_options_as_written(assigned(document, given, "setup")), _NAMES)
        setup, errors = validated(cls, document, _NAMES, _RULES, context)
        if setup is None:
            if what := told_as(document.data, setup=True):
                raise InputError(f"{document.source}: is {what}, and no setup")
            raise InputError(render_errors(document.source, errors))
        setup._notes = tuple(f"{document.source}: {note}" for note in notes)
        if setup.server is not None and setup.server.url is not None:
            setup._origin = omb.origin(document) if context else origin_of(document, setup.server)
        return setup

    def with_url(self, url: str, *, keep_name: bool = False) -> Self:
        """This setup with the server at `url` in place of its own, and called `url` unless `keep_name`.

        Raises:
            InputError: if `url` names no Redis server, or one that this setup is not for.
        """
        if self.loopback:
            raise InputError(f"--url: the setup {self.name} has no server; leave --url out, or choose another --setup")
        name: dict[str, object] = {} if keep_name else {"name": URL_SETUP}
        if not (keep_name and self.is_users_server):
            name["description"] = "a server of the user's"
        try:
            server = Server.model_validate({"url": check_url(url)}, context={PASSWORDS: True})
        except ValueError as error:
            raise InputError(f"--url: {error}") from None
        parts = {to_camel(attribute): value for attribute, value in dict(self).items()}
        changed = YamlDocument("--url", {**parts, **name, "server": server})
        setup, errors = validated(type(self), changed, _NAMES, _RULES)
        if setup is None:  # what the file says may not go with that server
            raise InputError([f"--url: {error.message}" for error in errors])
        setup._notes = self._notes
        setup._origin = Origin(THE_URL, THE_URL if has_login(url) else "")
        return setup

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of the file that this was read from."""
        return self._notes

    @property
    def origin(self) -> Origin:
        """What gave the address and the login of its server."""
        return self._origin

    @property
    def loopback(self) -> bool:
        """Whether the driver lives within one process, which then holds producers and consumers."""
        return self.driver == LOOPBACK_DRIVER

    @property
    def is_users_server(self) -> bool:
        """Whether the server is the user's own, to be treated with care."""
        return self.server is not None and self.server.url is not None

    @property
    def in_cluster(self) -> bool:
        """Whether the server is a cluster, where a read can't cross slots."""
        return self.server is not None and self.server.in_cluster

    def requirements(self, groups: int) -> Requirements:
        """What it needs of a server, with that many groups on a topic."""
        return Requirements(
            minid=self.streams.retention_policy.kind == "acknowledged"
            or self.streams.retention_policy.max_age_ns is not None,
            xackdel=self.streams.ack == "delete" and groups > 1,
            replicas=self.streams.wait_replicas,
            cluster=self.in_cluster,
            waitaof=self.streams.wait_aof != "none",
            xautoclaim=self.streams.reclaim_after_ms is not None,
            runner=self.client.consumer == "runner",
        )

    @property
    def driver_used(self) -> str:
        """The name under which the driver is registered that carries this setup out."""
        return REDIS_PY_DRIVER if self.client.pipelining == "redis-py" else self.driver

    def spec(self) -> dict[str, Any]:
        """What the setup says, ready for JSON, without a password; `parse` reads it back. Defaults are left out."""
        data: dict[str, Any] = {"name": self.name, "description": self.description, "driver": self.driver}
        if self.server is not None:
            data["server"] = self.server.spec()
        if client := self.client.model_dump(by_alias=True, exclude_defaults=True):
            data["client"] = client
        return {**data, "streams": self.streams.spec()}


def _not_for_a_runner(name: str, usual: str | None, why: str) -> FieldRule[Setup]:
    """A Runner decides by itself what the field `name` of streams is otherwise for."""

    def broken(setup: Setup) -> bool:
        return setup.client.consumer == "runner" and not setup.loopback and getattr(setup.streams, name) != usual

    key = to_camel(name)
    return FieldRule(
        "streams", broken, f"{key} is not for client.consumer: runner, {why}; remove {key}, or consumer: runner"
    )


_SETUP: tuple[FieldRule[Setup], ...] = (
    FieldRule(
        "server",
        lambda s: s.server is not None and s.loopback,
        "the memory driver has no server; remove this part, or write driver: redis-streams",
    ),
    FieldRule(
        "server",
        lambda s: s.server is None and s.driver == STREAMS_DRIVER,
        "is missing; add it, with engine: valkey below it",
    ),
    FieldRule(
        "client",
        lambda s: s.loopback and s.client.model_fields_set - {"pacing", "batch_interval"},
        "the memory driver has no connections; this part may have pacing and batchInterval only",
    ),
    FieldRule(
        "client",
        lambda s: not s.loopback and s.client.pipelining == "redis-py" and s.driver != STREAMS_DRIVER,
        f"pipelining: redis-py takes the place of driver: {STREAMS_DRIVER}; write one of the two",
    ),
    FieldRule(
        "client",
        lambda s: s.client.pipelining == "redis-py" and s.server is not None and s.server.is_several,
        "pipelining: redis-py is for one server; write channel for a cluster or Sentinels",
    ),
    FieldRule(
        "client",
        lambda s: not s.loopback and s.client.consumer == "runner" and s.driver_used != STREAMS_DRIVER,
        lambda s: (
            "consumer: runner is the Runner of our messaging library, and "
            + (
                f"driver: {s.driver} is another one; write driver: {STREAMS_DRIVER}"
                if s.driver != STREAMS_DRIVER
                else "pipelining: redis-py goes without it; write pipelining: channel"
            )
            + ", or remove consumer"
        ),
    ),
    *(
        _not_for_a_runner(*each)
        for each in (
            ("read", "group", "which reads as a member of a group"),
            ("ack", "batch", "which acknowledges what its handlers have done"),
            ("read_count", None, "which asks for as much as it has room for"),
            ("assignment", "shared", "which reads all partitions of a topic"),
        )
    ),
    FieldRule(
        "streams",
        lambda s: s.loopback and s.streams.model_fields_set - {"retention"},
        lambda s: (
            f"the memory driver has no streams, so {to_camel(min(s.streams.model_fields_set - {'retention'}))} means"
            " nothing; remove it"
        ),
    ),
    FieldRule(
        "streams",
        lambda s: s.streams.reclaim_after_ms is not None and s.client.pipelining == "redis-py",
        "reclaimAfterMs needs client.pipelining: channel; write that, or remove reclaimAfterMs",
    ),
    FieldRule(
        "streams",
        lambda s: s.streams.waits and s.client.pipelining == "redis-py",
        lambda s: (
            f"{_waiting(s.streams)} needs client.pipelining: channel; write that, or remove {_waiting(s.streams)}"
        ),
    ),
    FieldRule(
        "streams",
        lambda s: s.streams.waits and s.client.pipelining == "channel" and s.client.connections is not None,
        lambda s: f"{_waiting(s.streams)} gives each producer connections of its own; remove it, or client.connections",
    ),
    FieldRule(
        "streams",
        lambda s: s.server and s.server.engine and s.streams.wait_replicas > s.server.replicas_started,
        lambda s: (
            f"waitReplicas is {s.streams.wait_replicas}, and each primary that is started has"
            f" {s.server.replicas_started if s.server else 0} replicas; lower it, or write topology: replicated with as"
            " many replicas"
        ),
    ),
    FieldRule(
        "streams",
        lambda s: s.streams.wait_aof != "none" and s.server and s.server.engine and not _syncs(s.server.config),
        "waitAof waits for an append-only file, and the servers that are started sync none; add appendonly: yes below"
        " server.config, with appendfsync: always or everysec",
    ),
)


def _waiting(streams: Streams) -> str:
    return "waitReplicas" if streams.wait_replicas else "waitAof"


def _syncs(config: Mapping[str, object]) -> bool:
    """Whether servers with these options write an append-only file, and sync it themselves."""
    given = {name.lower(): str(value).lower() for name, value in config.items()}
    return given.get("appendonly") == "yes" and given.get("appendfsync") != "no"


def setup_names() -> list[str]:
    """The names of the setups that come with the package, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


_NAMES = FieldNames(Setup, SETUP_KEYS, server=Server, client=Client, streams=Streams)
_RULES: dict[type[CheckedModel], Sequence[FieldRule[Any]]] = {
    Setup: _SETUP,
    Server: SERVER_RULES,
    Client: _CLIENT,
    Streams: _STREAMS,
}
