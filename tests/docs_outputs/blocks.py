"""What a page shows of an output: some of its lines, between two marks. Pure, but for reading and writing a page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.marked import around, put_into

LEFT_OUT = "…"
"""The line that stands for lines which a page leaves out."""
MADE_BY = "docs-outputs"


@dataclass(frozen=True, slots=True)
class Part:
    """Lines of an output that a page shows.

    Attributes:
        begins: what is found in the first of them; the first line after the part before that has it.
        ends: what is found in the first line after them that is no part any more; to the end of the output without it.
    """

    begins: str
    ends: str | None = None


WHOLE = (Part(""),)


@dataclass(frozen=True, slots=True)
class Block:
    """A place in a page for an output.

    Attributes:
        page: its path from the top of the repository.
        parts: what it shows of the output, in order.
        shows_command: whether the commands stand in it, after `$ `.
        fence: the language of the block; empty for text that is Markdown itself.
    """

    page: str
    parts: Sequence[Part] = WHOLE
    shows_command: bool = True
    fence: str = "console"


class MissingPartError(ValueError):
    """An output has no line that a part of a block begins with."""


def selected(output: str, parts: Sequence[Part]) -> str:
    """The lines of `output` that `parts` tell, with `LEFT_OUT` for those between, before and after them.

    Raises:
        MissingPartError: if a part has no beginning.
    """
    lines = output.rstrip("\n").split("\n")
    found: list[str] = []
    at = 0
    for part in parts:
        first = next((number for number in range(at, len(lines)) if re.search(part.begins, lines[number])), None)
        if first is None:
            raise MissingPartError(f"no line has {part.begins!r}")
        if any(line.strip() for line in lines[at:first]):
            found.append(LEFT_OUT)
        later = range(first + 1, len(lines))
        at = next((number for number in later if part.ends and re.search(part.ends, lines[number])), len(lines))
        found += lines[first:at]
    while found and not found[-1].strip():
        found.pop()
    if any(line.strip() for line in lines[at:]):
        found.append(LEFT_OUT)
    return "\n".join(found)


def written(block: Block, commands: Sequence[str], outputs: Sequence[str]) -> str:
    """The text of a block: each command with its output, or that of the last one; what `parts` leave out is of that.

    Raises:
        MissingPartError: as `selected`.
    """
    told = [*map(str.rstrip, outputs[:-1]), selected(outputs[-1], block.parts)]
    if block.shows_command:
        texts = [f"$ {command}\n{text}".rstrip("\n") for command, text in zip(commands, told, strict=True)]
    else:
        texts = told[-1:]
    body = "\n".join(texts) + "\n"
    return f"```{block.fence}\n{body}```\n" if block.fence else body


def put(top: Path, name: str, block: Block, text: str) -> None:
    """Writes the text of a block into its page.

    Raises:
        SystemExit: if the page has no place for it.
    """
    put_into(top / block.page, name, text, MADE_BY)


def shown(top: Path, name: str, block: Block) -> str:
    """What stands in the page now.

    Raises:
        SystemExit: if the page has no place for it.
    """
    page = top / block.page
    before, after = around(page, name, MADE_BY)
    text = page.read_text(encoding="utf-8")
    return text[len(before) : len(text) - len(after)].strip("\n") + "\n"
