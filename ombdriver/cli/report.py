"""The verb `report`: results as a page. Part of `cli`, which adds it to the command; knows no server and no loop."""

import sys
from pathlib import Path

import click

from ombdriver import __version__
from ombdriver.cli.output import say
from ombdriver.errors import InputError


@click.command()
@click.argument("results", nargs=-1, required=True, metavar="RESULT...")
@click.option(
    "--format",
    "name",
    type=click.Choice(("html", "markdown")),
    default="html",
    show_default=True,
    help="html: a page with plots that opens offline. markdown: verdicts and a table, for a pull request.",
)
@click.option(
    "--baseline", metavar="NAME", help="The setup that the page compares the others with; the first when absent."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A new file; markdown goes to standard output without it.",
)
@click.option("--force", is_flag=True, help="Replace the file that is there.")
def report(results: tuple[str, ...], name: str, baseline: str | None, output: Path | None, force: bool) -> None:
    """Make a page of results: files, patterns, or folders of them."""
    from ombdriver.bench.report.page import content, markdown
    from ombdriver.bench.results import store
    from ombdriver.bench.results.store import load_all

    stdout = output is None or str(output) == "-"
    if name == "html" and stdout and sys.stdout.isatty():
        raise InputError("a page is megabytes of HTML; name a file for it, as -o report.html")
    if name == "markdown" and baseline is not None:
        raise InputError("--baseline is for the page; `ombdriver compare --format markdown` compares as Markdown")
    if output is not None and not stdout and not force and output.exists():
        raise InputError(f"{output} exists already and is not replaced; replace it by --force, or give another -o")
    files = load_all(results)
    if name == "html":
        from ombdriver.bench.report.page import comparison, html

        text = html.render(content.content(files, comparison.comparison_section(files, baseline)), __version__)
    else:
        text = markdown.render(files)
    if output is None or stdout:
        click.echo(text.encode(), nl=False)  # UTF-8 wherever it goes, as the page says of itself
    else:
        say(store.write(output.parent, output.name, text, replace=force))
