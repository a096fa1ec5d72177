"""`make docs-outputs`: makes the outputs that README and docs show, and puts them into their pages.

All of them take some half an hour, on a machine that does nothing else; `--only NAME` makes one, `--list` names them.
An output whose command does not end as it should, or that lacks a part which its page shows, leaves the page as it is.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.docs_outputs.blocks import MADE_BY, MissingPartError, put, written
from tests.docs_outputs.outputs import OUTPUTS, Output
from tests.marked import around

TOP = Path(__file__).parents[2]
BETWEEN = "\x00"
"""What a shell prints between two commands."""


class NotMadeError(Exception):
    """An output could not be made; the text says why, and what to do."""


def made(output: Output, folder: Path) -> tuple[list[str], list[str]]:
    """The commands as they were run, as a page shows them, and what each printed.

    Raises:
        NotMadeError: if the last of them ended otherwise than it should.
    """
    with output.surroundings(folder) as values:
        shown, run = [], []
        for command in output.commands:
            own = {name: value for name, value in values.items() if name.isupper()}
            shown.append(_replaced(command, own))
            run.append(_replaced(command, values))
        script = "\n__code=$?; printf '\\0'; (exit $__code)\n".join(run)
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=TOP if output.in_checkout else folder,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if output.progress else None,
            text=True,
            check=False,
        )
        if done.returncode not in output.codes:
            raise NotMadeError(f"{run[-1]!r} ended with code {done.returncode}: {done.stdout[-2000:]}")
        hidden = {value: name for name, value in values.items() if not name.isupper()}
        texts = [_replaced(text, hidden) for text in done.stdout.split(BETWEEN)]
    return shown, texts


def _replaced(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _environment() -> Mapping[str, str]:
    """With this Python's programs first, and as wide as a page is."""
    path = os.pathsep.join([os.fspath(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return os.environ | {"PATH": path, "COLUMNS": "80"}


def take_picture(output: Output, folder: Path) -> None:
    """The section of the page of its results, into docs."""
    from tests.picture import take

    results = folder / "results"
    if output.in_checkout:
        results = max((TOP / "results").glob("demo-*/"), key=lambda each: each.stat().st_mtime)
    page = folder / "page.html"
    command = [sys.executable, "-m", "ombdriver", "report", os.fspath(results), "-o", os.fspath(page)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    take(page, output.picture, TOP / "docs" / f"{output.picture}.png")


def main(arguments: Sequence[str] | None = None) -> None:
    """Makes what was asked for; ends with code 1 if any of it could not be made."""
    names = [each.name for each in OUTPUTS]
    parser = argparse.ArgumentParser(prog="make docs-outputs", description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help="make this one; repeatable")
    parser.add_argument("--list", action="store_true", help="name all, and how long each takes, about")
    options = parser.parse_args(arguments)
    if options.list:
        for each in OUTPUTS:
            pages = ", ".join(block.page for block in each.blocks)
            sys.stdout.write(f"{each.name:14}{each.seconds:5} s  {pages}\n")
        return
    asked = [each for each in OUTPUTS if each.name in (options.only or names)]
    for output in asked:
        for block in output.blocks:
            around(TOP / block.page, output.name, MADE_BY)  # rather than after all runs
    failed = [output.name for output in asked if not _make(output)]
    if failed:
        sys.exit(f"not made: {', '.join(failed)}; their pages are as they were")


def _make(output: Output) -> bool:
    sys.stdout.write(f"{output.name}: {'; '.join(output.commands)} ({output.seconds} s)\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="docs-outputs-") as name:
        try:
            commands, texts = made(output, Path(name))
            told = [written(block, commands, texts) for block in output.blocks]
        except (NotMadeError, MissingPartError) as error:
            sys.stdout.write(f"{output.name}: {error}\n")
            return False
        for block, text in zip(output.blocks, told, strict=True):
            put(TOP, output.name, block, text)
        if output.picture:
            take_picture(output, Path(name))
    return True


if __name__ == "__main__":
    main()
