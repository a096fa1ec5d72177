"""What is wrong with a file, as one sentence per fault, each with its place and the way out. Pure.

Turns pydantic's errors into our words. Knows no single field, and reads no file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ombdriver.bench.units import nearest, quoted

FieldPath = tuple[str | int, ...]
"""The path of a key from the top of a file."""
Location = int | str
"""Where a key stands: its line, from 1; or the option of the command line that gives it. 0: nowhere (it is missing)."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with one field.

    Attributes:
        line: where it stands.
        field: the field's name in the file.
        message: what is wrong; then, after a semicolon, the way out.
    """

    line: Location
    field: str
    message: str

    def sentence(self, source: str) -> str:
        """`FILE:LINE: field: what is wrong; the way out`; what an option gives is told by that option."""
        if isinstance(self.line, str):
            named = self.line.endswith(f".{self.field}")
            return f"{self.line}: {self.message}" if named else f"{self.line}: {self.field}: {self.message}"
        place = f"{source}:{self.line}" if self.line else source
        return f"{place}: {self.field}: {self.message}"


def render_errors(source: str, faults: Iterable[FieldError]) -> list[str]:
    """The sentences of all faults of a file: by line, then what options give, then what stands nowhere."""
    ordered = sorted(faults, key=lambda fault: (not fault.line, isinstance(fault.line, str), fault.line))
    return [fault.sentence(source) for fault in ordered]


class FieldNames:
    """The keys of a file, from the models that it is validated by: `valid` by the path of each mapping in the file.

    `in_file` turns a model's attribute into the file's name, for pydantic names a default's error by the attribute.
    """

    __slots__ = ("in_file", "valid")

    def __init__(self, valid: Mapping[FieldPath, Sequence[str]], in_file: Mapping[str, str]) -> None:
        self.valid, self.in_file = valid, in_file

    @classmethod
    def of(cls, model: type[BaseModel], **inner: type[BaseModel]) -> "FieldNames":
        """The names of `model`'s fields at the top of the file, and of `inner` models' fields below these keys."""
        in_file: dict[str, str] = {}
        valid: dict[FieldPath, Sequence[str]] = {}
        for where, part in [((), model), *(((key,), part) for key, part in inner.items())]:
            names = {name: field.alias or name for name, field in part.model_fields.items()}
            in_file |= names
            valid[where] = list(names.values())
        return cls(valid, in_file)


def field_errors(error: ValidationError, lines: Mapping[FieldPath, Location], names: FieldNames) -> list[FieldError]:
    """Pydantic's errors in our words.

    Args:
        error: what the validation raised.
        lines: where each key stands, by its path from the top of the file.
        names: the file's valid keys.
    """
    return [_fault(details, lines, names) for details in error.errors(include_url=False)]


def _fault(details: ErrorDetails, lines: Mapping[FieldPath, Location], names: FieldNames) -> FieldError:
    where = details["loc"]
    if details["type"] == "extra_forbidden":
        message = _unknown(str(where[-1]), names.valid.get(where[:-1], ()))
        return FieldError(lines.get(where, 0), ".".join(map(str, where)), message)
    where = tuple(names.in_file.get(str(part), part) for part in where)
    field = ".".join(map(str, where))
    if details["type"] == "missing":
        # A key that is missing inside another is told with the line of that one.
        return FieldError(lines.get(where[:-1], 0), field, f"is missing; add a line {where[-1]}: ...")
    return FieldError(lines.get(where, 0), field, _wrong(details))


def _unknown(key: str, valid: Sequence[str]) -> str:
    near = nearest(key, valid)
    if near:
        return f"unknown key; did you mean {near}?"
    return f"unknown key; remove it (known: {', '.join(valid)})" if len(valid) <= 8 else "unknown key; remove it"


def _wrong(details: ErrorDetails) -> str:
    value, context = details["input"], details.get("ctx", {})
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
        case "literal_error" | "enum":
            return f"{quoted(value)} is not one of {context['expected']}; write one of these"
        case "greater_than_equal":
            return f"{quoted(value)} is too small; write {context['ge']} or more"
        case "less_than_equal":
            return f"{quoted(value)} is too large; write {context['le']} or less"
        case "string_too_short":
            return "is empty; write a name"
        case "string_too_long":
            return f"is longer than {context['max_length']} characters; shorten it"
        case "value_error":
            # Our own validators: the message is whole already.
            return str(context["error"])
        case _:
            return f"{details['msg']} (got {quoted(value)}); correct it"
