"""The verb `compare`, and the comparison at the end of a `run` with several setups.

Part of `cli`, which adds the verb to the command; knows no server and no loop.
"""

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ombdriver.cli.exit_codes import EXIT_THRESHOLD, EXIT_VALID
from ombdriver.cli.output import note
from ombdriver.errors import InputError

if TYPE_CHECKING:
    from ombdriver.bench.results.compare.trial import Trial

FORMATS = ("table", "markdown", "csv", "json")


def read_conditions(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> Sequence[str]:
    """`METRIC worse than N%`, each."""
    from ombdriver.bench.results.compare.conditions import Condition

    for value in values:
        try:
            Condition.parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return values


@click.command()
@click.argument("results", nargs=-1, required=True, metavar="RESULT...")
@click.option("--baseline", metavar="NAME", help="The setup that the others are held against; the first when absent.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME",
    help="What the setup of each RESULT is called, in their order: to compare one setup before and after a change.",
)
@click.option("--per-group", is_flag=True, help="Each consumer group by itself too.")
@click.option(
    "--format", "name", type=click.Choice(FORMATS), default="table", show_default=True, help="What is printed."
)
@click.option(
    "--fail-if",
    "conditions",
    multiple=True,
    callback=read_conditions,
    metavar="CONDITION",
    help="As 'endToEndResponse.p99 worse than 10%': exit code 4 when it is so for any setup; repeatable.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Compare results that differ in workload, machine or versions, or did not take turns, and say so.",
)
def compare(
    results: Sequence[str],
    baseline: str | None,
    labels: Sequence[str],
    per_group: bool,
    name: str,
    conditions: Sequence[str],
    force: bool,
) -> int:
    """Compare the results of several setups: is one really faster than another?

    RESULT is a file, a pattern, or a folder; OMB's own result files are read too.

    Make results by `ombdriver run WORKLOAD --setup A --setup B --repeats 10 --until-valid`: to call a setup faster or
    slower takes at least 8 VALID runs of each, made in turns. With fewer runs, where the setups did not take turns, or
    where one lacks more runs than the other, there are ratios, and nothing is claimed.
    """
    from ombdriver.bench.report import comparison
    from ombdriver.bench.results.compare.comparison import compare as compared
    from ombdriver.bench.results.compare.comparison import left_out as left_out_of
    from ombdriver.bench.results.compare.conditions import Condition, outcomes
    from ombdriver.bench.results.compare.reading import read_trials

    trials = read_trials(results, labels)
    left_out = left_out_of(trials)
    parsed = [Condition.parse(each) for each in conditions]
    per_group = per_group or any(each.figure.group is not None for each in parsed)
    try:
        found = compared(trials, baseline, force=force, per_group=per_group)
    except InputError as error:
        raise type(error)([*error.messages, *comparison.left_out_lines(left_out)]) from error
    judged = outcomes(parsed, found)
    if name == "table":
        from ombdriver.bench.report.comparison_table import show

        show(found, left_out, judged, sys.stdout)
    else:
        from ombdriver.bench.report import comparison
        from ombdriver.bench.results.compare import formats

        if name == "markdown":
            click.echo(comparison.render(found, left_out, judged), nl=False)
        elif name == "json":
            click.echo(formats.to_json(found, left_out, judged), nl=False)
        else:
            for line in (*comparison.left_out_lines(left_out), *map(comparison.outcome, judged)):
                note(line)
            click.echo(formats.to_csv(found), nl=False)
    return EXIT_THRESHOLD if any(each.met for each in judged) else EXIT_VALID


def print_comparison(trials: "Sequence[Trial]") -> None:
    """Prints how the setups of a series compare, at the end of `run`; the runs that are not VALID are left out.

    Their results are stored by now, so whatever goes wrong here is printed, and ends nothing.
    """
    try:
        _print_comparison(trials)
    except OSError:  # of the output, as for every table
        raise
    except Exception as error:
        logging.getLogger(__name__).debug("the comparison failed", exc_info=True)
        note(f"the comparison failed ({error!r}); the results are stored, try `ombdriver compare`")


def _print_comparison(trials: "Sequence[Trial]") -> None:
    from ombdriver.bench.report.comparison_table import show
    from ombdriver.bench.results.compare.comparison import compare as compared
    from ombdriver.bench.results.compare.comparison import left_out as left_out_of

    left_out = left_out_of(trials)
    try:
        found = compared(trials, force=True)
    except InputError:
        click.echo("\nNo comparison: there is no workload with results of whole runs of two setups.")
        found = []
    show(found, left_out, (), sys.stdout)
