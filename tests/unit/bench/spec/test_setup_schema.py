"""The JSON Schema of setups knows the keys that a file may have; and the shipped setups are listed as they are."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from ombdriver.bench.spec import catalog
from ombdriver.bench.spec.schema import setup_schema
from ombdriver.bench.spec.setup import Setup, setup_names
from ombdriver.bench.spec.yaml_file import parse_document
from ombdriver.errors import InputError

TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def allows(schema: Mapping[str, Any], value: object, root: Mapping[str, Any]) -> bool:
    """Whether `value` fits the schema: of the keywords that pydantic writes, as many as a setup can break."""
    if "$ref" in schema and not allows(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root):
        return False
    for several, enough in (("anyOf", any), ("oneOf", any), ("allOf", all)):
        if several in schema and not enough(allows(each, value, root) for each in schema[several]):
            return False
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(isinstance(value, TYPES[kind]) for kind in kinds):
        return False
    if isinstance(value, bool) and kinds and not {"boolean"} & set(kinds):
        return False
    if ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"]):
        return False
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return False
    if not isinstance(value, dict):
        return True
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    return set(schema.get("required", ())) <= value.keys() and all(
        allows(known[key], inner, root)
        if key in known
        else others is True or (isinstance(others, dict) and allows(others, inner, root))
        for key, inner in value.items()
    )


def accepted(text: str) -> bool:
    """Whether the schema takes this file."""
    schema = setup_schema()
    return allows(schema, parse_document(text, "s.yaml").data, schema)


def test_the_schema_has_every_key_and_no_other() -> None:
    """Under the file's names, at the top and below, as JSON."""
    schema = setup_schema()

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["properties"]) == {field.alias or name for name, field in Setup.model_fields.items()}
    assert set(schema["required"]) == {"name", "driver"}
    for part in (schema, *schema["$defs"].values()):
        if part.get("type") == "object" and "properties" in part:
            assert part["additionalProperties"] is False
        assert all("title" not in field for field in part.get("properties", {}).values())
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("name", setup_names())
def test_every_shipped_setup_fits_the_schema(name: str) -> None:
    """An editor marks nothing in them."""
    assert accepted(catalog.setup_path(name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        "driver: memory\n",
        "name: x\ndriver: 1\n",
        "name: x\ndrivr: memory\ndriver: memory\n",
        "name: x\ndriver: redis-streams\nserver: {engin: valkey}\n",
        "name: x\ndriver: redis-streams\nserver: valkey\n",
        "name: x\ndriver: memory\nstreams: {retention: always}\n",
        "name: x\ndriver: memory\nstreams: {retention: true}\n",
    ],
)
def test_what_the_schema_refuses_a_setup_refuses(text: str) -> None:
    """Wrong keys and types are marked while they are written."""
    assert not accepted(text)
    with pytest.raises(InputError):
        Setup.parse(text, "s.yaml")


def test_the_shipped_setups_are_told_with_what_they_are() -> None:
    """In the order of their names."""
    told = catalog.setup_summaries()

    assert list(told) == setup_names()
    assert all(told.values())


def test_a_setup_that_does_not_ship_is_told_with_the_nearest() -> None:
    """Or with the verb that lists them."""
    with pytest.raises(InputError, match="there is no setup 'embeded'; did you mean embedded"):
        catalog.setup_path("embeded")
    with pytest.raises(InputError, match=r"there is no setup '\.\./x'; `ombdriver setups` lists them"):
        catalog.setup_path("../x")
