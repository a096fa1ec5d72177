"""Models of a user's files whose errors come all at once: of single fields, and between fields that don't agree. Pure.

What a single field may hold is in its type. What fields must agree on is a rule: a function that looks at a whole part
of the file, of which the fields that are wrong by themselves are missing. So no rule depends on the order of fields or
of other rules.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Generic, Literal, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from ombdriver.bench.spec.errors import FieldError, FieldNames, FieldPath, Location, Option, field_errors
from ombdriver.bench.spec.yaml_file import YamlDocument
from ombdriver.bench.units import parse_number

Model = TypeVar("Model", bound="CheckedModel")
Part = TypeVar("Part", bound=BaseModel)

_VALID = "valid"
"""In the context of a validation: the valid fields of each model, by attribute."""


@dataclass(frozen=True, slots=True)
class FieldRule(Generic[Part]):
    """One thing that the fields of a part must agree on; passed over when it reads a field that is wrong by itself.

    Attributes:
        field: the attribute that its error is of; empty for the part as a whole.
        broken: gives something true, which without `message` is what is wrong; or raises ValueError with it.
        message: what is wrong; then, after a semicolon, the way out.
    """

    field: str
    broken: Callable[[Part], object]
    message: str | Callable[[Part], str] | None = None

    def error(self, part: Part) -> str | None:
        """What is wrong with `part`, which may lack fields; None for nothing."""
        try:
            broken = self.broken(part)
            if not broken:
                return None
            return self.message(part) if callable(self.message) else self.message or str(broken)
        except AttributeError as error:
            if error.name not in type(part).model_fields or error.name in vars(part):
                raise
            return None
        except ValueError as error:
            return str(error)


class CheckedModel(BaseModel):
    """A part of a file, strict and frozen. Made by `validated`."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        allow_inf_nan=False,
        alias_generator=to_camel,
    )

    @field_validator("*")
    @classmethod
    def _note_valid(cls, value: Any, info: ValidationInfo) -> Any:
        if info.context is not None and _VALID in info.context:
            info.context[_VALID].setdefault(cls, {})[info.field_name] = value
        return value


def unquoted(document: YamlDocument, names: FieldNames) -> YamlDocument:
    """`document` with numbers and flags in quotes, and whole numbers with a point, as OMB's reader takes them.

    A field that may be text keeps its text.
    """
    data = document.data
    for part, path in names.parts.items():
        given = _at(data, path)
        if isinstance(given, Mapping):
            types = {field.alias or name: _types(field.annotation) for name, field in part.model_fields.items()}
            plain = {key: _plain(value, types.get(key, frozenset())) for key, value in given.items()}
            data = data | {str(path[0]): plain} if path else plain  # parts stand at the top, or right below it
    return replace(document, data=data)


def _types(annotation: Any) -> frozenset[Any]:
    """The plain types that a field of this annotation may have."""
    if get_origin(annotation) is Literal:
        return frozenset({str})
    inner = get_args(annotation)
    if not inner or get_origin(annotation) in (dict, list):
        return frozenset({annotation})
    return frozenset().union(*map(_types, inner))


def _plain(value: object, types: Collection[Any]) -> object:
    if isinstance(value, str) and str not in types:
        text = value.strip()
        if bool in types and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if int in types or float in types:
            try:
                value = parse_number(text)
            except ValueError:
                return value
    if int in types and float not in types and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def validated(
    model: type[Model],
    document: YamlDocument,
    names: FieldNames,
    rules: Mapping[type[CheckedModel], Sequence[FieldRule[Any]]],
    context: Mapping[str, Any] | None = None,
) -> tuple[Model | None, list[FieldError]]:
    """What a file says, and all that is wrong with it, in the order of its fields; None when something is.

    Args:
        model: of the whole file.
        document: the file, with what the command line puts into it.
        names: its keys.
        rules: of the model, and of those within it.
        context: what validators of single fields look at.
    """
    valid: dict[type[BaseModel], dict[str, Any]] = {}
    errors = list(document.errors)
    made: Model | None = None
    try:
        made = model.model_validate(document.data, context={**(context or {}), _VALID: valid})
    except ValidationError as error:
        known = {(each.location, each.field) for each in errors}
        found = field_errors(error, document.locations, names)
        errors += [each for each in found if (each.location, each.field) not in known]
    for part, some in rules.items():
        path = names.parts[part]
        given = _at(document.data, path)
        partial = _partial(part, valid.get(part, {}), given) if isinstance(given, Mapping) else None
        for rule in some if partial else ():
            if message := rule.error(partial):
                key = (*path, names.in_file[rule.field]) if rule.field else path
                errors.append(FieldError(_location(key, document), ".".join(map(str, key)), message))
    order = {key: number for number, key in enumerate(names.valid[()])}
    errors.sort(key=lambda error: order.get(error.field.partition(".")[0], len(order)))
    return (None if errors else made), errors


def _partial(model: type[BaseModel], fields: Mapping[str, Any], given: Mapping[str, object]) -> BaseModel:
    """An instance that has the valid fields, and the defaults of those that are not given."""
    keys = {name: field.alias or name for name, field in model.model_fields.items()}
    part = model.model_construct({name for name, key in keys.items() if key in given}, **fields)
    for name, key in keys.items():
        if name not in fields and (key in given or model.model_fields[name].is_required()):
            vars(part).pop(name, None)
    return part


def _at(data: Mapping[str, object], path: FieldPath) -> object:
    return reduce(lambda inner, key: inner.get(key) if isinstance(inner, Mapping) else None, path, cast(object, data))


def _location(path: FieldPath, document: YamlDocument) -> Location:
    """Of an error between fields: with the options that have a line in the file beside them."""
    location = document.locations.get(path, 0)
    options = [each.name for each in document.locations.values() if isinstance(each, Option) and each.is_shorthand]
    if not options or not isinstance(location, int):
        return location
    place = f"{document.source}:{location}" if location else document.source
    return f"{place} with {', '.join(sorted(set(options)))}"
