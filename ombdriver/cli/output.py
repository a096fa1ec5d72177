"""Lines of the command line in which there is text of others: file names, results, what servers say."""

import click

from ombdriver.bench.units import visible
from ombdriver.secrets import redact_text


def say(text: object) -> None:
    """One line on standard output, with no signs that a terminal would obey."""
    click.echo(visible(str(text)))


def note(text: str) -> None:
    """One line on standard error about what is done, likewise, and without passwords."""
    click.echo(f"ombdriver: {visible(redact_text(text))}", err=True)
