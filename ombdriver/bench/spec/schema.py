"""The JSON Schema of a workload file, with which an editor completes and checks it. Pure.

The JSON Schema of a setup file, with which an editor completes and checks it. Pure.
"""

from typing import Any

from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload


def workload_schema() -> dict[str, Any]:
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


def setup_schema() -> dict[str, Any]:
    """The schema (2020-12), ready for JSON, as the models give it; what fields must agree on is told by `Setup`."""
    schema = Setup.model_json_schema(by_alias=True, mode="validation")
    for part in (schema, *schema.get("$defs", {}).values()):
        part.pop("title", None)
        for field in part.get("properties", {}).values():
            field.pop("title", None)  # the key itself, spelt like a heading
            if field.get("default", ...) is None:
                del field["default"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "ombdriver setup",
        "description": "Which driver a run uses, on which server, with which options of the streams.",
    }
