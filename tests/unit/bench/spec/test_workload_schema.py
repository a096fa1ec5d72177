"""The JSON Schema knows the fields that a workload file may have, and how they are written."""

import json
import re

import pytest

from ombdriver.bench.spec.schema import workload_schema
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.units import DURATION_PATTERN, SIZE_PATTERN, format_duration, parse_duration, parse_size


def test_the_schema_has_every_field_under_the_files_name() -> None:
    """Every field is there with a description, and no other is allowed."""
    schema = workload_schema()

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {field.alias for field in Workload.model_fields.values()}
    assert all(field["description"] for field in schema["properties"].values())
    assert json.loads(json.dumps(schema)) == schema


def test_the_schema_requires_what_a_file_must_have() -> None:
    """What has a default or a stand-in is not required; time and rate are, in one of their forms."""
    schema = workload_schema()

    assert set(schema["required"]) == {
        "topics",
        "partitionsPerTopic",
        "subscriptionsPerTopic",
        "producersPerTopic",
        "consumerPerSubscription",
    }
    times = [{"required": [name]} for name in ("rateProfile", "testDuration", "testDurationMinutes")]
    assert {"anyOf": times} in schema["allOf"]
    assert {"not": {"required": ["testDuration", "testDurationMinutes"]}} in schema["allOf"]
    assert {"anyOf": [{"required": ["producerRate"]}, {"required": ["rateProfile"]}]} in schema["allOf"]
    sizes = [{"required": [name]} for name in ("messageSize", "messageSizeDistribution", "payloadFile")]
    assert {"anyOf": sizes} in schema["allOf"]


def test_durations_and_sizes_are_described_as_they_are_read() -> None:
    """A duration is text with a unit; a size is a whole number or text with a unit."""
    fields = workload_schema()["properties"]

    assert {"type": "string", "pattern": DURATION_PATTERN} in fields["testDuration"]["anyOf"]
    assert (fields["sampleInterval"]["pattern"], fields["sampleInterval"]["default"]) == (DURATION_PATTERN, "1s")
    assert fields["messageSize"]["anyOf"] == [{"type": "integer"}, {"type": "string", "pattern": SIZE_PATTERN}]


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("10s", 10**10),
        ("1500ms", 15 * 10**8),
        ("5m", 300 * 10**9),
        ("1h", 3600 * 10**9),
        ("0.5s", 5 * 10**8),
        ("0s", 0),
        ("10", None),
        ("10 s", None),
        ("-1s", None),
        ("1d", None),
        ("s", None),
        ("1.s", None),
        ("10s\n", None),
        ("٣s", None),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, duration_ns: int | None) -> None:
    """What the pattern admits is what is read."""
    assert bool(re.search(DURATION_PATTERN.replace("$", r"\Z"), text)) == (duration_ns is not None)
    if duration_ns is None:
        with pytest.raises(ValueError, match="is not a duration"):
            parse_duration(text)
    else:
        assert parse_duration(text) == duration_ns
        assert parse_duration(format_duration(duration_ns)) == duration_ns


@pytest.mark.parametrize(
    ("value", "size"),
    [(100, 100), ("64B", 64), ("64KB", 64_000), ("1KiB", 1024), ("1MB", 10**6), ("2MiB", 2**21)],
)
def test_a_size_is_bytes_or_a_number_and_a_unit(value: object, size: int) -> None:
    """Decimal and binary units are told apart by their names."""
    assert parse_size(value) == size


@pytest.mark.parametrize("value", ["1Kb", "1kb", "1 KiB", "1.5KiB", "", True, None, 1.0, [1]])
def test_what_is_no_size_is_refused(value: object) -> None:
    """A unit that could mean two things is not guessed."""
    with pytest.raises(ValueError, match="is not a size; write bytes"):
        parse_size(value)
