"""The part of a page that a command makes: it stands between two lines that name the command."""

import sys
from pathlib import Path


def marks(command: str) -> tuple[str, str]:
    """The lines before and after what `make COMMAND` makes."""
    return f"<!-- {command}: made by `make {command}`, not by hand -->", f"<!-- /{command} -->"


def put_into(page: Path, command: str, text: str) -> None:
    """Puts `text` between the marks of a page.

    Raises:
        SystemExit: if it has none.
    """
    before, after = around(page, command)
    page.write_text(f"{before}\n\n{text}\n{after}", encoding="utf-8")


def around(page: Path, command: str) -> tuple[str, str]:
    """What stands before and after that part of a page, with the marks.

    Raises:
        SystemExit: if it has none.
    """
    begins, ends = marks(command)
    before, first, rest = page.read_text(encoding="utf-8").partition(begins)
    _, last, after = rest.partition(ends)
    if not first or not last:
        sys.exit(f"{page} has no place for the table; put these lines into it: {begins} and {ends}")
    return before + first, last + after
