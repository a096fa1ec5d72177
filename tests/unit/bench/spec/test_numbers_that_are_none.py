"""What can't be held as a number (`1e400`, `.nan`) is told as it was written, in each field, never taken for one."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from small_plan import FIELDS

from ombdriver.bench.spec.setup import Client, Setup, Streams
from ombdriver.bench.spec.setup_server import Server
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.spec.yaml_file import parse_value
from ombdriver.bench.units import parse_number
from ombdriver.errors import InputError

NO_NUMBERS = ("1e400", "-1e400", "1e-400", ".inf", "-.inf", ".nan", ".NaN")
OF_A_SETUP = [
    (part, field.alias or name)
    for part, model in (("server", Server), ("client", Client), ("streams", Streams))
    for name, field in model.model_fields.items()
]
SETUP = {"server": {"engine": "valkey"}, "client": {}, "streams": {}}


def lines(fields: dict[str, str]) -> str:
    """Fields as a file has them."""
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def errors_or(read: Callable[[], dict[str, Any]]) -> tuple[list[str], dict[str, Any]]:
    """What is wrong with what is read, or what it says."""
    try:
        return [], read()
    except InputError as error:
        return list(error.messages), {}


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize("key", [field.alias or name for name, field in Workload.model_fields.items()])
def test_a_field_of_a_workload_tells_it_or_has_it_as_text(key: str, text: str) -> None:
    """A field that refuses it quotes what was written; one that takes it, as a name, has the same text."""
    rate = {"producerRate": "max"} if key == "slo" else {}
    errors, spec = errors_or(lambda: dict(Workload.parse(lines(FIELDS | rate | {key: text}), "w.yaml").spec()))

    assert any(f"{key}: " in error and text in error for error in errors) or spec.get(key) == text, errors


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize(("part", "key"), OF_A_SETUP)
def test_a_field_of_a_setup_tells_it_or_has_it_as_text(part: str, key: str, text: str) -> None:
    """Likewise in each part of a setup."""
    parts = SETUP | {part: SETUP[part] | {key: text}}
    given = {name: json.dumps(fields) for name, fields in parts.items()} | {"name": "s", "driver": "redis-streams"}
    written = lines(given).replace(f'"{text}"', text)

    errors, spec = errors_or(lambda: dict(Setup.parse(written, "s.yaml").spec()))

    assert any(f"{key}: " in error for error in errors) or spec.get(part, {}).get(key) == text, errors
    assert not any(number in " ".join(errors) for number in (" inf", "nan;", "-inf;"))


@pytest.mark.parametrize("text", [*NO_NUMBERS, "9" * 5000])
def test_it_is_text_wherever_a_value_is_read(text: str) -> None:
    """Of a file, and behind an option alike; in quotes it is no number either."""
    assert parse_value(text) == text
    with pytest.raises(ValueError, match="is not a number"):
        parse_number(text)


@pytest.mark.parametrize(("text", "number"), [("0e999", 0.0), ("0.000", 0.0), ("1e308", 1e308), ("-1e-300", -1e-300)])
def test_what_can_be_held_is_a_number(text: str, number: float) -> None:
    """Nothing is nothing, however it is written."""
    assert parse_value(text) == number
