"""The JSON Schema of a setup file, with which an editor completes and checks it. Pure."""

from typing import Any

from ombdriver.bench.setup import Setup


def json_schema() -> dict[str, Any]:
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
