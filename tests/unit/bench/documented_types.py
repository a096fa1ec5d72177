"""Types of data as tables of a page: each key, its type or unit, and its meaning from the type's docstring."""

import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin

from ombdriver.bench.units import camel_case

PLAIN = {str: "text", int: "number", float: "number", bool: "true or false", Any: "object"}
MANY = {"number": "numbers", "object": "objects", "text": "texts"}
"""What a list is of, where a word has a plural."""
FEW = 3
"""Keys that a type is told by, in place of a table."""


def meanings(cls: type) -> dict[tuple[str, ...], str]:
    """The section `Attributes` of a docstring, and those of what a type inherits from: each text by its names."""
    found: dict[tuple[str, ...], str] = {}
    for each in reversed([cls, *getattr(cls, "__orig_bases__", ())]):
        text = inspect.cleandoc(getattr(each, "__doc__", None) or "")  # which Python 3.13 has done by itself
        section = re.split(r"\n(?=\S)", text.partition("\nAttributes:\n")[2])[0]
        for names, meaning in re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {8}.*)*)", section, re.MULTILINE):
            found[tuple(names.split(", "))] = re.sub(r"\bNone\b", "null", " ".join(meaning.split()).rstrip("."))
    return found


def keys(cls: Any) -> dict[str, Any]:
    """The keys that a type has in JSON, in order, with the annotation of each."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {camel_case(name) if is_dataclass(cls) else name: hint for name, hint in hints.items()}


def is_document(annotation: Any) -> bool:
    """Whether a type has keys of its own."""
    return is_dataclass(annotation) or typing.is_typeddict(annotation)


def kind(annotation: Any) -> str:
    """A type in words: the unit if it has one."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is NotRequired:
        return kind(inner[0])
    if origin is Annotated:
        if isinstance(inner[1], str):
            return inner[1]
        return re.sub(r"objects?", kind(inner[1]), kind(inner[0])).replace("list of object", "list of objects")
    if origin in (Union, types.UnionType):
        parts = [kind(each) for each in inner if each is not type(None)]
        return " or ".join([*parts, *(["null"] if type(None) in inner else [])])
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in inner)
    if origin is not None and issubclass(origin, Mapping):
        return "object"
    if origin in (list, tuple, Sequence):
        of = kind(inner[0]).removesuffix(" or null")  # of lists the page says where they have none
        return f"list of {MANY.get(of, of)}"
    if is_document(annotation):
        own = list(keys(annotation))
        return f"`{{{', '.join(own)}}}`" if len(own) <= FEW else "object"
    return PLAIN[annotation]


def rows(cls: Any, read_on: Mapping[str, str] | None = None, leave_out: Sequence[str] = ()) -> list[str]:
    """A row of a table for each key, or for several that share a meaning.

    Args:
        cls: a TypedDict or a dataclass.
        read_on: by key, what stands behind its meaning.
        leave_out: keys that the page has elsewhere.
    """
    annotations = keys(cls)
    told = {
        tuple(map(camel_case, names)) if is_dataclass(cls) else names: text for names, text in meanings(cls).items()
    }
    place = {name: number for number, name in enumerate(annotations)}
    found = []
    for names, meaning in sorted(told.items(), key=lambda each: place[each[0][0]]):
        if names[0] in leave_out:
            continue
        what = "; ".join(dict.fromkeys(kind(annotations[name]) for name in names))
        cells = [", ".join(f"`{name}`" for name in names), what, meaning + (read_on or {}).get(names[0], "")]
        found.append("| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |")
    return found


def without_meaning(cls: Any) -> list[str]:
    """The keys of which the docstring says nothing."""
    spelt = camel_case if is_dataclass(cls) else str
    told = {spelt(name) for names in meanings(cls) for name in names}
    return [key for key in keys(cls) if key not in told]


def differences(value: Any, annotation: Any, where: str = "") -> Iterator[str]:
    """The keys that plain data has and a type of it has not, or the other way round."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if value is None or annotation is Any:
        return
    if origin is NotRequired:
        yield from differences(value, inner[0], where)
    elif origin is Annotated:
        yield from differences(value, inner[1] if is_document(inner[1]) else inner[0], where)
    elif origin in (Union, types.UnionType):
        (one,) = [each for each in inner if each is not type(None)]
        yield from differences(value, one, where)
    elif is_document(annotation) and isinstance(value, list):
        yield from differences(value, list[annotation], where)
    elif is_document(annotation):
        yield from _differing_keys(value, annotation, where)
    elif origin in (list, tuple, Sequence):
        for number, each in enumerate(value):
            yield from differences(each, inner[0], f"{where}[{number}]")


def _differing_keys(value: Mapping[str, Any], cls: Any, where: str) -> Iterator[str]:
    known = keys(cls)
    needed = {
        key for key, hint in known.items() if getattr(cls, "__total__", True) and get_origin(hint) is not NotRequired
    }
    yield from (f"{where}.{key} is in no type" for key in value if key not in known)
    yield from (f"{where}.{key} is not there" for key in sorted(needed - value.keys()))
    for key in value.keys() & known.keys():
        yield from differences(value[key], known[key], f"{where}.{key}")
