"""Whether values that were read from a file have the types that a dataclass says. Pure.

Knows the annotations that results use, and no field of one. JSON has one kind of number, so a whole one will do for a
float; NaN and infinities, which Python's reader of JSON takes, will not.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from ombdriver.bench.units import camel_case


def misfit(data: Any) -> str | None:
    """The key of the first field of the dataclass `data` whose value has another type; None when all fit."""
    hints = _hints(type(data))
    return next(
        (camel_case(each.name) for each in fields(data) if not fits(getattr(data, each.name), hints[each.name])), None
    )


_known: dict[Any, Mapping[str, Any]] = {}


def _hints(cls: Any) -> Mapping[str, Any]:
    if cls not in _known:
        _known[cls] = get_type_hints(cls)
    return _known[cls]


def fits(value: object, annotation: Any) -> bool:
    """Whether `value` is of the type `annotation`; its items too, and the fields of dataclasses in it."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return True
    if origin in (Union, UnionType):
        return any(fits(value, each) for each in inner)
    if annotation in (None, type(None)):
        return value is None
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, Mapping) and origin is not None and inner and len(inner) == 2 and issubclass(origin, Mapping):
        return all(fits(key, inner[0]) and fits(each, inner[1]) for key, each in value.items())
    if origin in (list, tuple):
        return isinstance(value, list | tuple) and all(fits(each, inner[0]) for each in value)
    if origin is not None:
        return isinstance(value, origin) if isinstance(origin, type) else True
    if not isinstance(annotation, type):
        return True
    return isinstance(value, annotation) and not (is_dataclass(value) and misfit(value))
