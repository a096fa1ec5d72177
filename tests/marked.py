"""The part of a page that a command makes: it stands between two lines that name the command."""

import sys
from pathlib import Path


def marks(name: str, command: str | None = None) -> tuple[str, str]:
    """The lines before and after what `make COMMAND` makes; the name is that of the command where it makes one part."""
    return f"<!-- {name}: made by `make {command or name}`, not by hand -->", f"<!-- /{name} -->"


def put_into(page: Path, name: str, text: str, command: str | None = None) -> None:
    """Puts `text` between the marks of a page.

    Raises:
        SystemExit: if it has none.
    """
    before, after = around(page, name, command)
    page.write_text(f"{before}\n\n{text}\n{after}", encoding="utf-8")


def around(page: Path, name: str, command: str | None = None) -> tuple[str, str]:
    """What stands before and after that part of a page, with the marks.

    Raises:
        SystemExit: if it has none.
    """
    begins, ends = marks(name, command)
    before, first, rest = page.read_text(encoding="utf-8").partition(begins)
    _, last, after = rest.partition(ends)
    if not first or not last:
        sys.exit(f"{page} has no place for the table; put these lines into it: {begins} and {ends}")
    return before + first, last + after
