"""The JSON Schema of a workload file, with which an editor completes and checks it. Pure."""

from typing import Any

from ombdriver.bench.workload import Workload


def json_schema() -> dict[str, Any]:
    """The schema (2020-12), ready for JSON. What fields must agree on beyond presence is told by `Workload` only."""
    schema = Workload.model_json_schema(by_alias=True, mode="validation")
    # A file's name stands in for `name`, a payload file's length or a mean size for `messageSize`, a profile's mean for
    # `producerRate`.
    schema["required"] = [name for name in schema["required"] if name not in ("name", "messageSize", "producerRate")]
    for field in schema["properties"].values():
        del field["title"]  # "Partitionspertopic" tells nobody anything
        if field.get("default", ...) is None:
            del field["default"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "ombdriver workload",
        "description": "What is sent and read, how fast and for how long.",
        "allOf": [
            {"anyOf": [{"required": [name]} for name in ("rateProfile", "testDuration", "testDurationMinutes")]},
            {"not": {"required": ["testDuration", "testDurationMinutes"]}},
            {"anyOf": [{"required": ["producerRate"]}, {"required": ["rateProfile"]}]},
            {"not": {"required": ["warmupDuration", "warmupDurationMinutes"]}},
            {"anyOf": [{"required": [name]} for name in ("messageSize", "messageSizeDistribution", "payloadFile")]},
        ],
    }
