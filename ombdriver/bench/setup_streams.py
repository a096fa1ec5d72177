"""The parts `client` and `streams` of a setup: how messages are sent, what streams keep, how they are read. Strict.

Knows one part at a time; what parts must agree on is told in `setup`.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

from ombdriver.bench.retention_plan import LEAST_ENTRIES, Retention
from ombdriver.bench.setup_server import STRICT
from ombdriver.bench.text import MS, SECOND, parse_duration, shown

LEAST_AGE_NS = 8 * SECOND
"""A stream must not be cut faster than a backlog is seen; see `retention_plan.LEAST_SECONDS`."""
_KEYS = ("maxlen", "maxage", "exact", "acknowledged")
_FORMS = "write auto, none, acknowledged, a number of entries from 1000, or maxlen or maxage below it"


class Client(BaseModel):
    """How messages are sent."""

    model_config = STRICT

    pipelining: Literal["channel", "redis-py"] = Field(
        "channel",
        description="channel: many commands share one write. redis-py: its own client and pool, as a yardstick.",
    )
    connections: int | None = Field(
        None, ge=1, le=1000, description="For sending, in each producing process: 1 when absent, 50 with redis-py."
    )
    max_in_flight: int = Field(10_000, ge=1, le=1_000_000, description="Messages without a reply, on each connection.")

    @property
    def sending_connections(self) -> int:
        """How many connections a producing process sends on."""
        return self.connections or (1 if self.pipelining == "channel" else 50)


class Streams(BaseModel):
    """What streams keep, and how they are read and acknowledged."""

    model_config = STRICT

    retention: Any = Field(
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
        description="What a partition keeps: auto derives it from the rate, acknowledged waits for every group.",
    )
    read: Literal["group", "plain"] = Field("group", description="group: XREADGROUP. plain: XREAD, each sees all.")
    ack: Literal["batch", "each", "none", "delete"] = Field(
        "batch",
        description="batch: one XACK for what a read brought. each: one a message. none: NOACK. delete: and XDEL.",
    )
    read_count: int | None = Field(
        None, ge=1, le=100_000, description="Entries per stream that a read asks for (COUNT)."
    )
    block_ms: int = Field(1000, ge=1, le=60_000, description="How long a read waits for the first entry (BLOCK).")
    assignment: Literal["shared", "exclusive"] = Field(
        "shared", description="shared: each consumer of a group reads all partitions. exclusive: partitions are dealt."
    )
    placement: Literal["natural", "balanced"] = Field(
        "natural", description="Of partitions on a cluster. balanced: each primary gets its even share."
    )
    wait_replicas: int = Field(
        0, ge=0, le=64, description="Replicas that have to have a message before it counts (WAIT)."
    )
    wait_timeout_ms: int = Field(1000, ge=1, le=60_000, description="How long WAIT may take.")

    @field_validator("retention")
    @classmethod
    def _known(cls, retention: object) -> object:
        parse_retention(retention)
        return retention

    @field_validator("ack")
    @classmethod
    def _ack_of_groups(cls, ack: str, info: ValidationInfo) -> str:
        if info.data.get("read") == "plain" and ack != "none":
            raise ValueError("plain reads have nothing to acknowledge; remove this line, or write read: group")
        return ack

    @field_validator("assignment")
    @classmethod
    def _shared_by_groups(cls, assignment: str, info: ValidationInfo) -> str:
        if info.data.get("read") == "plain" and assignment == "exclusive":
            raise ValueError("with plain reads every consumer sees all; remove this line, or write read: group")
        return assignment

    @field_validator("wait_timeout_ms")
    @classmethod
    def _timeout_of_waiting(cls, timeout: int, info: ValidationInfo) -> int:
        if info.data.get("wait_replicas") == 0:
            raise ValueError("means nothing without waitReplicas; add that, or remove this line")
        return timeout

    @model_validator(mode="after")
    def _retention_of_groups(self) -> Self:
        if self.read == "plain" and self.keeping.kind == "acknowledged":
            raise ValueError("retention: acknowledged asks groups, and plain reads have none; write another retention")
        return self

    @property
    def keeping(self) -> Retention:
        """The retention, read."""
        return parse_retention(self.retention)

    def spec(self) -> dict[str, Any]:
        """What was said of them, ready for JSON; the retention always."""
        return {"retention": self.retention} | self.model_dump(by_alias=True, exclude_defaults=True)


def parse_retention(value: object) -> Retention:
    """A retention as a setup writes it.

    Raises:
        ValueError: if it is none.
    """
    if value in ("auto", "none", "acknowledged"):
        return Retention(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Retention("maxlen", max_length=_length(value))
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{shown(value)} is not a retention; {_FORMS}")
    if unknown := [str(key) for key in value if key not in _KEYS]:
        raise ValueError(f"unknown key {unknown[0]}; known: {', '.join(_KEYS)}")
    length = _length(value["maxlen"]) if "maxlen" in value else None
    age = _age(value["maxage"]) if "maxage" in value else None
    exact, acknowledged = (value.get(key, False) for key in ("exact", "acknowledged"))
    if not isinstance(exact, bool) or not isinstance(acknowledged, bool):
        raise ValueError("exact and acknowledged must be true or false; write one of them without quotes")
    if acknowledged:
        return Retention("acknowledged", length, age, exact)
    if (length is None) == (age is None):
        raise ValueError("needs one of maxlen and maxage; both may only be bounds of acknowledged: true")
    return Retention("maxlen" if age is None else "maxage", length, age, exact)


def _length(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not LEAST_ENTRIES <= value <= 10**9:
        raise ValueError(f"{shown(value)} is not a retention; {_FORMS}")
    return value


def _age(value: object) -> int:
    age = parse_duration(value)
    if age < LEAST_AGE_NS or age % MS:
        raise ValueError(
            f"{shown(value)} is too short or too fine; write {LEAST_AGE_NS // SECOND}s or more, in whole ms"
        )
    return age
