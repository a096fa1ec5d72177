"""JSON Schemas (2020-12) of workload and setup files, with which an editor completes and checks them. Pure.

They know single fields, and which must be there. What else fields must agree on is for the models to check.
"""

from typing import Any

from pydantic import BaseModel

from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload


def workload_schema() -> dict[str, Any]:
    """The schema of a workload file, ready for JSON."""
    schema = _schema(Workload, "ombdriver workload", "What is sent and read, how fast and for how long.")
    # A file's name stands in for `name`, a payload file's length or a mean size for `messageSize`, a profile's mean for
    # `producerRate`.
    schema["required"] = [name for name in schema["required"] if name not in ("name", "messageSize", "producerRate")]
    schema["allOf"] = [
        {"anyOf": [{"required": [name]} for name in ("rateProfile", "testDuration", "testDurationMinutes")]},
        {"not": {"required": ["testDuration", "testDurationMinutes"]}},
        {"anyOf": [{"required": ["producerRate"]}, {"required": ["rateProfile"]}]},
        {"not": {"required": ["warmupDuration", "warmupDurationMinutes"]}},
        {"anyOf": [{"required": [name]} for name in ("messageSize", "messageSizeDistribution", "payloadFile")]},
    ]
    return schema


def setup_schema() -> dict[str, Any]:
    """The schema of a setup file, ready for JSON."""
    text = "Which driver a run uses, on which server, with which options of the streams."
    return _schema(Setup, "ombdriver setup", text)


def _schema(model: type[BaseModel], title: str, description: str) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True, mode="validation")
    for part in (schema, *schema.get("$defs", {}).values()):
        part.pop("title", None)
        for field in part.get("properties", {}).values():
            field.pop("title", None)  # the key itself, spelt like a heading: "Partitionspertopic"
            if field.get("default", ...) is None:
                del field["default"]
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return dialect | schema | {"title": title, "description": description}
