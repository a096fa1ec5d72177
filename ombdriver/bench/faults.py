"""What is wrong with a file, as one sentence per fault, each with its place and the way out. Pure.

Turns pydantic's errors into our words. Knows no single field, and reads no file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ombdriver.bench.text import nearest, shown


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with one field.

    Attributes:
        line: where it stands, from 1; 0 when it stands nowhere (a missing field).
        field: the field's name in the file.
        message: what is wrong; then, after a semicolon, the way out.
    """

    line: int
    field: str
    message: str

    def sentence(self, source: str) -> str:
        """`FILE:LINE: field: what is wrong; the way out`."""
        place = f"{source}:{self.line}" if self.line else source
        return f"{place}: {self.field}: {self.message}"


def sentences(source: str, faults: Iterable[Fault]) -> list[str]:
    """The sentences of all faults of a file, by line; what stands in no line comes last."""
    ordered = sorted(faults, key=lambda fault: fault.line or float("inf"))
    return [fault.sentence(source) for fault in ordered]


def faults_of(
    error: ValidationError,
    lines: Mapping[tuple[str | int, ...], int],
    known: Mapping[tuple[str | int, ...], Sequence[str]],
    remarks: Mapping[str, str] = {},
) -> list[Fault]:
    """Pydantic's errors in our words.

    Args:
        error: what the validation raised.
        lines: the line of each key, by its path from the top of the file.
        known: the valid keys of each mapping of the file, by its path; `()` is the top.
        remarks: for an unknown key, what to say of it instead of the nearest valid name.
    """
    return [_fault(details, lines, known, remarks) for details in error.errors(include_url=False)]


def _fault(
    details: ErrorDetails,
    lines: Mapping[tuple[str | int, ...], int],
    known: Mapping[tuple[str | int, ...], Sequence[str]],
    remarks: Mapping[str, str],
) -> Fault:
    where = details["loc"]
    line = lines.get(where, 0)
    field = ".".join(map(str, where))
    if details["type"] == "extra_forbidden":
        return Fault(line, field, _unknown(str(where[-1]), known.get(where[:-1], ()), remarks))
    if details["type"] == "missing":
        # The way to a missing key of an inner mapping is the line of that mapping.
        return Fault(lines.get(where[:-1], 0), field, f"is missing; add a line {where[-1]}: ...")
    return Fault(line, field, _wrong(details))


def _unknown(key: str, valid: Sequence[str], remarks: Mapping[str, str]) -> str:
    if key in remarks:
        return remarks[key]
    near = nearest(key, valid)
    return f"unknown key; did you mean {near}?" if near else f"unknown key; remove it (known: {', '.join(valid)})"


def _wrong(details: ErrorDetails) -> str:
    value, context = details["input"], details.get("ctx", {})
    if value is None and details["type"] != "value_error":
        return "has no value; give one, or remove the line"
    match details["type"]:
        case "int_type":
            return f"must be a whole number, not {shown(value)}; write digits only"
        case "float_type" | "finite_number":
            return f"must be a number, not {shown(value)}; write it as 0.5"
        case "bool_type":
            return f"must be true or false, not {shown(value)}; write one of them without quotes"
        case "string_type":
            return f"must be text, not {shown(value)}; put it in quotes"
        case "model_type" | "dict_type" | "model_attributes_type":
            return f"must hold settings of its own, not {shown(value)}; write them below it, indented"
        case "literal_error" | "enum":
            return f"{shown(value)} is not one of {context['expected']}; write one of these"
        case "greater_than_equal":
            return f"{shown(value)} is too small; write {context['ge']} or more"
        case "less_than_equal":
            return f"{shown(value)} is too large; write {context['le']} or less"
        case "string_too_short":
            return "is empty; write a name"
        case "string_too_long":
            return f"is longer than {context['max_length']} characters; shorten it"
        case "value_error":
            # Our own validators: the message is whole already.
            return str(context["error"])
        case _:
            return f"{details['msg']} (got {shown(value)}); correct it"
