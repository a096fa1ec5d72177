"""Tables and lines of rich on a stream: the same at 80 columns, without colour and in a pipe."""

import re
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console, RenderableType
from rich.text import Text

from ombdriver.bench.report import units
from ombdriver.bench.units import visible

NARROWEST = 80
"""Columns that the tables need; below, lines run over rather than lose a figure."""


def unwrapped(text: str, style: str = "") -> Text:
    """A line that stays in one piece, to be copied."""
    return Text(text, style=style, overflow="ignore")


def print_all(parts: Iterable[RenderableType], stream: TextIO, width: int | None = None) -> None:
    """Prints `parts`, each on lines of its own.

    Args:
        parts: what to print.
        stream: a terminal, or anything else: then without colour, 80 columns wide.
        width: columns, when they shall not be found out.
    """
    console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
    console.width = max(console.width, NARROWEST)
    with console.capture() as captured:
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, Text) and part.overflow == "ignore")
    is_coloured = console.color_system is not None
    lines = (_shown(line, is_coloured).rstrip(" ") for line in captured.get().removesuffix("\n").split("\n"))
    stream.write(units.fit_for(stream, "\n".join(lines) + "\n"))
    stream.flush()


_STYLE = re.compile(r"(\x1b\[[0-9;]*m)")


def _shown(line: str, is_coloured: bool) -> str:
    """`line` without signs that a terminal would obey, but for the styles where rich writes any."""
    if not is_coloured:
        return visible(line)
    return "".join(part if at % 2 else visible(part) for at, part in enumerate(_STYLE.split(line)))
