"""The verb `chaos`: standard faults against setups.

Imports of the harness stand in the functions, for the reasons of `cli`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ombdriver.cli.options import OF_CLUSTER, build_requests, request_options, result_options
from ombdriver.cli.run import display, execute_runs
from ombdriver.errors import InputError

if TYPE_CHECKING:
    from ombdriver.bench.faults.standard import StandardFault
    from ombdriver.bench.report.chaos import ChaosRun
    from ombdriver.bench.results.result import Result


@click.command()
@click.argument("workload", metavar="WORKLOAD")
@click.option(
    "--fault",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only this one: restart, kill, restart-all, hang, failover or cut; repeatable.",
)
@click.option(
    "--markdown",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the table of setups and faults there, too.",
)
@request_options
@result_options
def chaos(
    workload: str,
    names: Sequence[str],
    markdown: Path | None,
    plain: bool,
    quiet: bool,
    prometheus: int | None,
    gate: str,
    repeats: int,
    **options: Any,
) -> int:
    """What does each setup lose when something breaks, and for how long is it away?

    Runs the workload with one standard fault after the other on each setup that can have it, and tells the acknowledged
    messages that were lost, the outage and the time until all was as before.
    """
    from ombdriver.bench.report import chaos as report
    from ombdriver.bench.report.chaos_table import show
    from ombdriver.bench.results import store
    from ombdriver.bench.run.chaos import chaos_requests

    if options["url"] is not None:
        raise click.UsageError("--url: a server of yours is not broken by a run; leave it out")
    if options["hosts"] is not None:
        raise click.UsageError("--hosts: servers that a run starts are of this machine; leave it out")
    if options["sweeps"]:
        raise click.UsageError("--sweep: the faults are what changes here; leave it out")
    if markdown is not None:
        store.prepare(markdown.parent)  # rather than after all runs
    base = build_requests({**options, "workloads": [workload]}, command_line=sys.argv)
    requests, left_out = chaos_requests(base, _chosen(names), repeats)
    runs: list[ChaosRun] = []

    def on_result(result: "Result") -> None:
        runs.extend(report.runs_of([result]))

    with display(plain, quiet, prometheus, gate) as display_options:
        code = execute_runs(requests, display_options, fail_fast=False, on_result=on_result, compares=False)
    reasons = {(each.setup, each.fault): each.why for each in left_out}
    if runs:
        show(runs, reasons, sys.stdout)
    if markdown is not None:
        store.write(markdown.parent, markdown.name, report.to_markdown(runs, reasons), replace=True)
    return code


_REFUSED = ("url", "sweeps", "sweep_names", *OF_CLUSTER)
for _option in chaos.params:
    if _option.name in _REFUSED and isinstance(_option, click.Option):
        _option.hidden = True  # refused with a reason of its own


def _chosen(names: Sequence[str]) -> "Sequence[StandardFault]":
    """The standard faults of these names; all without any.

    Raises:
        InputError: if there is none of that name.
    """
    from ombdriver.bench.faults.standard import STANDARD
    from ombdriver.bench.units import nearest

    known = {each.name: each for each in STANDARD}
    if unknown := [name for name in names if name not in known]:
        near = nearest(unknown[0], known)
        hint = f"did you mean {near}?" if near else f"there are: {', '.join(known)}"
        raise InputError(f"--fault: there is no standard fault {unknown[0]!r}; {hint}")
    return [known[name] for name in dict.fromkeys(names)] if names else STANDARD
