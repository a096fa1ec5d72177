"""The files that a user names: YAML text -> a mapping with the line of each key; and the bytes of a payload file.

The only importer of yaml. Plain scalars are read by the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2, 10.3.2):
`010` is ten, `1:30`, `yes` and `2026-01-01` are text. PyYAML by itself reads YAML 1.1, where they are 8, 90, true and a
date. Stricter than YAML: one document, a mapping at the top, text keys, no key twice, no aliases, no foreign tags; what
is no finite number (`.inf`, `.nan`, `1e400`) is text.
Knows no field: what keys mean is for the caller to say.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import yaml  # type: ignore[import-untyped]
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode  # type: ignore[import-untyped]

from ombdriver.bench.files import NotRegularError, is_wide_text, read_regular
from ombdriver.bench.spec.errors import FieldError, FieldPath, Location, Option
from ombdriver.bench.spec.fields import MAX_MESSAGE_BYTES
from ombdriver.bench.units import can_be_held, nearest, parse_size, quoted
from ombdriver.errors import InputError

MAX_BYTES = 1 << 20
"""A file of this kind larger than that is a mistake, or an attack."""
MAX_DEPTH = 20


_CORE = "tag:yaml.org,2002:"
_ODD_SPACE = re.compile("[\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]")
"""Signs that look like a space or like nothing; of text that is copied from a page or a chat."""
_TAGS = ("null", "bool", "int", "float", "str", "map", "seq")
"""What values may be; the rest (dates, sets, binary) has no use in such a file."""


class _CoreLoader(yaml.SafeLoader):  # type: ignore[misc]
    """PyYAML with the core schema of YAML 1.2."""

    yaml_implicit_resolvers: ClassVar[dict[str, object]] = {}


class _TextLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Every plain scalar is its text, except for null."""

    yaml_implicit_resolvers: ClassVar[dict[str, object]] = {}


# A number that can't be held (`1e400` would be infinity, and `1e-400` nothing at all) stays the text that it is.
def _core_int(_: yaml.SafeLoader, node: ScalarNode) -> int | str:
    text: str = node.value
    try:
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    except ValueError:  # thousands of digits
        return text


def _core_float(_: yaml.SafeLoader, node: ScalarNode) -> float | str:
    text: str = node.value
    return float(text) if can_be_held(text) else text


for _loader in (_CoreLoader, _TextLoader):
    _loader.add_implicit_resolver(f"{_CORE}null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_CoreLoader.add_implicit_resolver(f"{_CORE}bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_CoreLoader.add_implicit_resolver(
    f"{_CORE}int", re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)
_CoreLoader.add_implicit_resolver(
    f"{_CORE}float",
    re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)
_CoreLoader.add_constructor(f"{_CORE}int", _core_int)
_CoreLoader.add_constructor(f"{_CORE}float", _core_float)


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A YAML file as read.

    Attributes:
        source: what messages call it: the path as the user gave it.
        data: its top-level mapping; keys are text, values are what YAML makes of them.
        locations: where each key stands, by its path from the top; of a file as read, lines (from 1).
        errors: of single entries: a key twice, a key that is not text, a value that can't be read.
        numbers: each number as it is written, by its path: `0123` is another password than 123.
        text: what it was read from; empty where there is no file.
    """

    source: str
    data: dict[str, object]
    locations: dict[FieldPath, Location] = field(default_factory=dict)
    errors: tuple[FieldError, ...] = ()
    numbers: dict[FieldPath, str] = field(default_factory=dict, repr=False)
    text: str = field(default="", repr=False)

    def plain_text(self) -> "YamlDocument":
        """The same, with every scalar as its text: `0123`, `no` and `1.10` are no numbers and no flags."""
        return _parsed(self.text, self.source, _TextLoader)

    def place(self, *path: str) -> str:
        """What gives the value at `path`, in words: `server.url in FILE:LINE`, or the option that does."""
        location = self.locations.get(path, 0)
        if isinstance(location, Option):
            return location.name
        line = location if isinstance(location, str) else f"{self.source}:{location}" if location else self.source
        return f"{'.'.join(path)} in {line}"


def read_text(path: Path) -> str:
    """The text of a YAML file.

    Raises:
        InputError: if there is no such file, or it is unreadable, no UTF-8, or larger than 1 MiB.
    """
    try:
        content = read_regular(path, MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file{_hint(path)}") from None
    except NotRegularError as error:
        way_out = "name a file in it" if path.is_dir() else "write its content into one, and name that"
        raise InputError(f"{path}: is {error.strerror}; {way_out}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({_reason(error)}); name a readable file") from error
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: is larger than 1 MiB; name a YAML file of settings")
    if is_wide_text(content) or b"\0" in content:
        raise InputError(f"{path}: holds zero bytes, as UTF-16 text has; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}:{line}: is not UTF-8 text; save it as UTF-8, or name a YAML file of settings"
        ) from error


def parse_document(text: str, source: str) -> YamlDocument:
    """Reads the text of a YAML file.

    Args:
        text: the file's content.
        source: what messages call it.

    Raises:
        InputError: if it is not YAML, not one document, empty, or not a mapping at the top.
    """
    return _parsed(text, source, _CoreLoader)


def _parsed(text: str, source: str, schema: type[yaml.SafeLoader]) -> YamlDocument:
    if text.lstrip().startswith("{"):  # JSON may be indented by tabs, and PyYAML takes none
        text = re.sub(r"(?m)^\t+", lambda found: " " * len(found[0]), text)
    try:
        with _reader(text, source, schema) as reader:
            root = reader.loader.get_single_node()
            if root is None:
                raise InputError(f"{source}: is empty; write one setting per line, for example topics: 1")
            if not isinstance(root, MappingNode):
                raise InputError(f"{source}: holds no settings; write one per line, for example topics: 1")
            data = reader.mapping(root, ())
            return YamlDocument(source, data, reader.locations, tuple(reader.errors), reader.numbers, text)
    except yaml.MarkedYAMLError as error:
        if found := _ODD_SPACE.search(text):
            line = text.count("\n", 0, found.start()) + 1
            raise InputError(f"{source}:{line}: {_odd_space(found[0])}") from error
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}" if mark else source
        if mark and (at := _line_of_template(text.splitlines(), mark.line)) is not None:
            raise InputError(f"{source}:{at + 1}: {_TEMPLATE_LINE}") from error
        if "'\\t'" in str(error.problem):
            raise InputError(f"{place}: holds a tab where YAML has none; write spaces in its place") from error
        raise InputError(f"{place}: is not valid YAML: {error.problem or error.context}; mend this line") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{source}: is not valid YAML: {reason}; mend the file") from error


def parse_value(text: str) -> object:
    """Reads a single value as it may stand behind a key: a scalar, or a list or a mapping in brackets.

    Raises:
        ValueError: if it is anything else, or nothing.
    """
    return parse_value_and_numbers(text)[0]


def parse_value_and_numbers(text: str) -> tuple[object, Mapping[FieldPath, str]]:
    """As `parse_value`, with each number in it as it is written, by its path within the value."""
    advice = "put it in quotes if it is text"
    try:
        with _reader(text, "the value") as reader:
            node = reader.loader.get_single_node()
            if node is None:
                raise ValueError("has no value; write one behind the =, null for none")
            if isinstance(node, MappingNode | SequenceNode) and not node.flow_style:
                raise ValueError(f"{quoted(text)} is no single value; {advice}")
            value = reader.value(node, ())
    except (yaml.YAMLError, InputError) as error:
        raise ValueError(f"{quoted(text)} is not valid YAML; {advice}") from error
    if reader.errors:
        texts = (f"{each.field}: {each.message}" if each.field else each.message for each in reader.errors)
        raise ValueError("; and ".join(texts))
    return value, reader.numbers


def _odd_space(text: str) -> str:
    sign = _ODD_SPACE.search(text)
    assert sign is not None
    return f"holds the sign U+{ord(sign[0]):04X}, which looks like a space or like nothing; write a plain space"


@contextmanager
def _reader(text: str, source: str, schema: type[yaml.SafeLoader] = _CoreLoader) -> Iterator["_Reader"]:
    loader = schema(text)
    try:
        _check_shape(text, source)
        yield _Reader(loader)
    finally:
        loader.dispose()


def _check_shape(text: str, source: str) -> None:
    # A few aliases can stand for gigabytes, deep nesting overflows the stack, and no file of this kind needs either.
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1
            way_out = "write the value out, or in quotes if it is text"
            raise InputError(f"{source}:{line}: has a YAML alias, which begins with *; {way_out}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1
            raise InputError(f"{source}:{line}: is nested too deeply; write one setting per line")


class _Reader:
    """Makes values of nodes, and notes where keys stand and which entries are wrong."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self.loader = loader
        self.locations: dict[FieldPath, Location] = {}
        self.errors: list[FieldError] = []
        self.numbers: dict[FieldPath, str] = {}

    def mapping(self, node: MappingNode, path: FieldPath) -> dict[str, object]:
        data: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if _is_template(node, key_node):
                template = "has {{ }} of a template in it; put the value in its place"
                self.errors.append(FieldError(line, ".".join(map(str, path)) or "the file", template))
                continue
            if not isinstance(key_node, ScalarNode):
                several = "has a list or a mapping in the place of a key; a key must be a plain name"
                self.errors.append(FieldError(line, ".".join(map(str, path)) or "the file", several))
                continue
            if key_node.tag != f"{_CORE}str":
                plain = "a key must be a plain name; put it in quotes if it is one"
                self.errors.append(FieldError(line, quoted(key_node.value), plain))
                continue
            if _ODD_SPACE.search(key_node.value):
                self.errors.append(FieldError(line, quoted(key_node.value), _odd_space(key_node.value)))
                continue
            key = (*path, key_node.value)
            if key in self.locations:
                twice = f"is given twice, first in line {self.locations[key]}; remove one"
                self.errors.append(FieldError(line, key_node.value, twice))
                continue
            self.locations[key] = line
            data[key_node.value] = self.value(value_node, key)
        return data

    def value(self, node: Node, path: FieldPath) -> object:
        if node.tag.removeprefix(_CORE) not in _TAGS:
            # A tag of one's own may be the beginning of a password without its quotes.
            known = node.tag.startswith(_CORE)
            tag = f"the tag {quoted(node.tag.replace(_CORE, '!!'))}" if known else "a tag of its own"
            message = f"has {tag}, which has no meaning here; remove it, or put all of it in quotes if it is text"
            self.errors.append(FieldError(node.start_mark.line + 1, ".".join(map(str, path)), message))
            return None
        if isinstance(node, MappingNode):
            return self.mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if not node.style and _ODD_SPACE.search(node.value):
            line = node.start_mark.line + 1
            self.errors.append(FieldError(line, ".".join(map(str, path)), f"{_odd_space(node.value)}, or use quotes"))
            return None
        try:
            value: object = self.loader.construct_object(node)
        except (ValueError, yaml.constructor.ConstructorError) as error:
            problem = error.problem if isinstance(error, yaml.constructor.ConstructorError) else str(error)
            message = f"{problem}; put the value in quotes if it is text"
            self.errors.append(FieldError(node.start_mark.line + 1, ".".join(map(str, path)), message))
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.numbers[path] = node.value
        return value


_TEMPLATE_SIGNS, _TEMPLATE_BLOCK = re.compile(r"\{\{|\{%|<%|@\w+@"), re.compile(r"\s*(\{\{|\{%|<%)")
_TEMPLATE_LINE = "is of a template, as {{ ... }} or {% ... %}; give the file that is made of it"


def _line_of_template(lines: Sequence[str], last: int) -> int | None:
    """The line that makes it a template, of which `last` is where it could not be read as YAML; None for no template.

    A line that is nothing else (`{% if ... %}`) often shows only in the one after it.
    """
    if last < len(lines) and _TEMPLATE_SIGNS.search(lines[last]):
        return last
    return next((at for at, line in enumerate(lines[:last]) if _TEMPLATE_BLOCK.match(line)), None)


def _is_template(outer: MappingNode, key: Node) -> bool:
    """Whether it is `{{ ... }}`, which YAML takes for a mapping whose key is a mapping."""
    inner = key.start_mark.index - outer.start_mark.index, outer.end_mark.index - key.end_mark.index
    return isinstance(key, MappingNode) and bool(outer.flow_style) and inner == (1, 1)


def _hint(path: Path) -> str:
    try:
        siblings = [entry.name for entry in path.parent.iterdir() if entry.suffix in (".yaml", ".yml")]
    except OSError:
        return "; check the path"
    near = nearest(path.name, siblings)
    return f"; did you mean {path.with_name(near)}?" if near else "; check the path"


def read_payload(name: str, folder: Path | None) -> bytes:
    """The content of a payload file.

    Args:
        name: an absolute path; or a relative one, looked for in the working directory (as OMB does), then in
            `folder`, then in the folder above it (OMB keeps `payload/` beside `workloads/`).
        folder: the folder of the workload file; None when there is none.

    Raises:
        ValueError: if there is no such file, or it is unreadable, or larger than a message may be.
    """
    folders = [Path(), *([folder, folder.resolve().parent] if folder is not None else [])]
    for candidate in [place / name for place in folders]:
        try:
            content = read_regular(candidate, MAX_MESSAGE_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except NotRegularError as error:
            raise ValueError(f"{candidate} is {error.strerror}; name a file with the bytes of a message") from error
        except (OSError, ValueError) as error:
            raise ValueError(f"{candidate} cannot be read ({_reason(error)}); name a readable file") from error
        if not content:
            raise ValueError(f"{candidate} is empty; name a file with the bytes of a message")
        if len(content) > MAX_MESSAGE_BYTES:
            raise ValueError(f"{candidate} is larger than a message may be (512 MiB); name a smaller file")
        return content
    looked = " and ".join(dict.fromkeys(str(place.resolve()) for place in folders))
    raise ValueError(f"missing payload file {quoted(name)}, looked for in {looked}; add it, or remove this line")


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def check_size(message_size: object, content: bytes) -> None:
    """Holds `messageSize` as a file gives it against the payload.

    Raises:
        ValueError: if they differ.
    """
    try:
        size = parse_size(message_size)
    except ValueError:
        return  # messageSize has an error of its own
    if size != len(content):
        raise ValueError(f"holds {len(content)} bytes, but messageSize is {size}; make both the same")
