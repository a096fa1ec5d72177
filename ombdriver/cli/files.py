"""The verbs that run nothing: what ships with the package, and results in the formats of other tools.

Part of `cli`, which adds them to the command; knows no server and no loop.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from ombdriver.bench.metrics.families import TABLE
from ombdriver.cli.output import note, say
from ombdriver.errors import InputError

_FORMATS = ("csv", "hgrm", "hlog", "omb")


@click.group(invoke_without_command=True)
@click.pass_context
def workloads(context: click.Context) -> None:
    """List the workloads that ship with ombdriver; `show NAME` prints one."""
    from ombdriver.bench.spec import catalog

    if context.invoked_subcommand is None:
        _list({name: catalog.workload_summary(name) for name in catalog.workload_names()})


@workloads.command("show")
@click.argument("name")
def show_workload(name: str) -> None:
    """Print the file of a shipped workload."""
    from ombdriver.bench.spec import catalog

    click.echo(catalog.workload_path(name).read_text(encoding="utf-8"), nl=False)


@click.group(invoke_without_command=True)
@click.pass_context
def setups(context: click.Context) -> None:
    """List the setups that ship with ombdriver; `show NAME` prints one."""
    from ombdriver.bench.spec import catalog

    if context.invoked_subcommand is None:
        _list(catalog.setup_summaries())


@setups.command("show")
@click.argument("name")
def show_setup(name: str) -> None:
    """Print the file of a shipped setup."""
    from ombdriver.bench.spec import catalog

    click.echo(catalog.setup_path(name).read_text(encoding="utf-8"), nl=False)


def _list(summaries: Mapping[str, str]) -> None:
    width = max(len(name) for name in summaries)
    for name, summary in summaries.items():
        click.echo(f"{name:<{width}}  {summary}")


@click.group()
def schema() -> None:
    """Print a JSON Schema, for editors that check and complete YAML."""


@schema.command("workload")
def show_workload_schema() -> None:
    """Print the JSON Schema of workload files."""
    from ombdriver.bench.spec.schema import workload_schema

    click.echo(json.dumps(workload_schema(), indent=2))


@schema.command("setup")
def show_setup_schema() -> None:
    """Print the JSON Schema of setup files."""
    from ombdriver.bench.spec.schema import setup_schema

    click.echo(json.dumps(setup_schema(), indent=2))


@click.command()
@click.argument("result", type=click.Path(path_type=Path), metavar="RESULT")
@click.option(
    "--format",
    "name",
    type=click.Choice(_FORMATS),
    required=True,
    help="csv: the series. hgrm: percentiles, for HdrHistogram's plotters. hlog: HdrHistogram's log of intervals."
    " omb: OMB's own result.",
)
@click.option("--family", type=click.Choice([each.name for each in TABLE]), help="Of hgrm: this latency alone.")
@click.option("--group", metavar="NAME", help="Of hgrm: this consumer group alone.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A new file in place of standard output; for several hgrm texts a folder.",
)
def export(result: Path, name: str, family: str | None, group: str | None, output: Path | None) -> None:
    """Print the result of a run in a format of other tools."""
    from ombdriver.bench.results import store
    from ombdriver.bench.results.export import formats

    read = store.load(result)
    texts = formats.export(read, str(result), name, family, group)
    for caveat in formats.caveats(read, name):
        note(caveat)
    if not texts:
        raise InputError(f"{result}: no latency has a sample, so there is nothing to write")
    if formats.is_single(name, family, group):
        (text,) = texts.values()
        if output is None or str(output) == "-":
            # As it is: Python would make other line ends of it on some systems.
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            say(store.write(output.parent, output.name, text))
    elif output is None:
        raise InputError(
            "hgrm is one text for each latency; name a folder for them with --output,"
            " or one latency with --family, and --group for one group"
        )
    else:
        named = {f"{result.stem}-{one}.hgrm": text for one, text in texts.items()}
        for path in store.write_all(output, named):
            say(path)


COMMANDS: tuple[click.Command, ...] = (workloads, setups, schema, export)
