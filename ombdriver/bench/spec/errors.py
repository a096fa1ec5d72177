"""Errors of a user's file: one sentence each, with its place and the way out. Pure.

Turns pydantic's errors into these. Knows no single field, and reads no file.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ombdriver.bench.units import nearest, quoted

TEMPLATE = re.compile(r"\{\{.*\}\}|\$\{.*\}|\$\(.*\)|<[A-Za-z_ -]+>|%\w+%")
"""What tools and people write where a value is to be filled in."""

FLAG, SETTINGS = "=flag", "=settings"
"""What the types of a field that may have either are called; no part of its path."""

FieldPath = tuple[str | int, ...]
"""The path of a key from the top of a file."""


@dataclass(frozen=True, slots=True)
class Option:
    """What of the command line gives a field its value.

    Attributes:
        name: as messages call it: `--rate`, or `--set workload.messageSize`.
        field: the dotted path of the field in its file.
    """

    name: str
    field: str

    @property
    def is_shorthand(self) -> bool:
        """Whether the option is of that field alone, as `--rate` is."""
        return " " not in self.name


Location = int | str | Option
"""Where a key stands: its line, from 1 (0: it is missing); the option that gives it; or both, in words."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with one field.

    Attributes:
        location: where it stands.
        field: the field's dotted path in the file.
        message: what is wrong; then, after a semicolon, the way out.
    """

    location: Location
    field: str
    message: str

    @property
    def is_missing(self) -> bool:
        """Whether it is that the field is not given."""
        return self.message.startswith("is missing;")

    def render(self, source: str) -> str:
        """`FILE:LINE: field: what is wrong; the way out`; an option takes the place of file and line."""
        match self.location:
            case Option(name, field):
                return f"{name}: {self.message}" if field == self.field else f"{name}: {self.field}: {self.message}"
            case str(place):
                return f"{place}: {self.field}: {self.message}"
            case line:
                return f"{f'{source}:{line}' if line else source}: {self.field}: {self.message}"

    @property
    def _order(self) -> tuple[int, int, str]:
        match self.location:
            case int(line):
                return (0, line, "") if line else (2, 0, "")
            case Option(name):
                return 1, 0, name
            case place:
                return 1, 0, place


def render_errors(source: str, errors: Iterable[FieldError]) -> list[str]:
    """A sentence for each error of a file: by line, then what options give, then what stands nowhere."""
    return [error.render(source) for error in sorted(errors, key=lambda error: error._order)]


class FieldNames:
    """The keys of a file, from the models that it is validated by.

    Attributes:
        parts: the path of the mapping in the file that each model validates.
        valid: the keys of each of these mappings, and of those right below them, by its path.
        in_file: a model's attribute -> its key; pydantic names the error of a default by the attribute.
        replaced: keys at the top that other tools have -> what is said of them.
    """

    __slots__ = ("in_file", "parts", "replaced", "valid")

    def __init__(
        self, model: type[BaseModel], replaced: Mapping[str, str] | None = None, **inner: type[BaseModel]
    ) -> None:
        """`model` validates the file, and `inner` models the mappings below these keys."""
        self.replaced = replaced or {}
        self.parts: Mapping[type[BaseModel], FieldPath] = {model: (), **{part: (key,) for key, part in inner.items()}}
        self.in_file: dict[str, str] = {}
        self.valid: dict[FieldPath, Sequence[str]] = {}
        for part, path in self.parts.items():
            names = {name: field.alias or name for name, field in part.model_fields.items()}
            self.in_file |= names
            self.valid[path] = list(names.values())
            for name, field in part.model_fields.items():
                for below in _models(field.annotation):
                    self.valid[(*path, names[name])] = [each.alias or key for key, each in below.model_fields.items()]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models of the mappings that a field of this annotation may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def field_errors(
    error: ValidationError, locations: Mapping[FieldPath, Location], names: FieldNames
) -> list[FieldError]:
    """Pydantic's errors in our words.

    Args:
        error: what the validation raised.
        locations: where each key stands, by its path from the top of the file.
        names: the file's keys.
    """
    return [_field_error(details, locations, names) for details in error.errors(include_url=False)]


def _field_error(details: ErrorDetails, locations: Mapping[FieldPath, Location], names: FieldNames) -> FieldError:
    path = tuple(part for part in details["loc"] if part not in (FLAG, SETTINGS))
    if details["type"] == "extra_forbidden":
        message = names.replaced.get(str(path[-1])) if len(path) == 1 else None
        if message is None:
            message = _unknown(path, names.valid.get(path[:-1], ()), locations)
        return FieldError(locations.get(path, 0), ".".join(map(str, path)), message)
    path = tuple(names.in_file.get(str(part), part) for part in path)
    field = ".".join(map(str, path))
    if details["type"] == "missing":
        # A key that is missing inside another stands in the line of that one.
        return FieldError(locations.get(path[:-1], 0), field, f"is missing; add a line {path[-1]}: ...")
    return FieldError(_nearest_location(path, locations), field, _message(details))


def _nearest_location(path: FieldPath, locations: Mapping[FieldPath, Location]) -> Location:
    """Of the key at `path`; of an item of a list, that of the list."""
    return next((locations[path[:end]] for end in range(len(path), 0, -1) if path[:end] in locations), 0)


def _unknown(path: FieldPath, valid: Sequence[str], locations: Mapping[FieldPath, Location]) -> str:
    near = nearest(str(path[-1]), valid, cutoff=0.65)
    if not near:
        return f"unknown key; remove it (known: {', '.join(valid)})" if len(valid) <= 8 else "unknown key; remove it"
    line = locations.get((*path[:-1], near))
    if isinstance(line, int) and isinstance(locations.get(path), int):
        return f"unknown key, and {near} is given in line {line}; remove this one"
    return f"unknown key; did you mean {near}?"


def _message(details: ErrorDetails) -> str:
    value, context = details["input"], details.get("ctx", {})
    if isinstance(value, str) and TEMPLATE.search(value):  # not quoted: in a URL it may be beside a password
        return "has a place of a template in it, as ${...} or {{ ... }}; put the value in its place"
    if value is None and details["type"] != "value_error":
        return "has no value; give one, or remove the line"
    match details["type"]:
        case "int_type":
            return f"must be a whole number, not {quoted(value)}; write digits only"
        case "float_type" | "finite_number":
            return f"must be a number, not {quoted(value)}; write it as 0.5"
        case "bool_type":
            return f"must be true or false, not {quoted(value)}; write one of them without quotes"
        case "string_type":
            return f"must be text, not {quoted(value)}; put it in quotes"
        case "model_type" | "dict_type" | "model_attributes_type":
            return f"must hold settings of its own, not {quoted(value)}; write them below it, indented"
        case "list_type" | "tuple_type":
            return f"must be a list, not {quoted(value)}; write [{quoted(value)}]"
        case "literal_error" | "enum":
            return f"{quoted(value)} is not one of {context['expected']}; write one of these"
        case "greater_than_equal":
            return f"{quoted(value)} is too small; write {context['ge']} or more"
        case "less_than_equal":
            return f"{quoted(value)} is too large; write {context['le']} or less"
        case "string_unicode":
            return f"{quoted(value)} is not UTF-8; write another one (a workload without a name is called as its file)"
        case "string_too_short":
            return "is empty; write a name"
        case "string_too_long":
            return f"is longer than {context['max_length']} characters; shorten it"
        case "value_error":
            # Of a validator of ours: the message is whole already.
            return str(context["error"])
        case _:
            return f"{details['msg']} (got {quoted(value)}); correct it"
