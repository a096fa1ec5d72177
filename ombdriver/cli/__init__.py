"""The command line: one function for each verb; an error becomes one message and an exit code.

Imports of the harness stand in the verbs, since `--help` should be quick.
"""

import asyncio
import io
import itertools
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from ombdriver import __version__
from ombdriver.bench.limits import limit_reached
from ombdriver.bench.logs import log_to_standard_error
from ombdriver.bench.run.signals import heeded
from ombdriver.bench.units import visible
from ombdriver.cli import files, report
from ombdriver.cli.chaos import chaos
from ombdriver.cli.compare import compare
from ombdriver.cli.completion import completion
from ombdriver.cli.exit_codes import EXIT_FAILED, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_VALID, for_error
from ombdriver.cli.options import Rates, WholeNumber, build_requests, request_options, result_options
from ombdriver.cli.output import note, say
from ombdriver.cli.run import display, execute_run, execute_runs, print_errors
from ombdriver.errors import InputError, OmbdriverError

if TYPE_CHECKING:
    from ombdriver.bench.results.environment import Drift
    from ombdriver.bench.run.request import Request


USUAL_STEPS = 12


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, _option, asked: _tell_version(context) if asked else None,
    help="Print the version, with the commit where it is known, and exit.",
)
@click.option("-v", "--verbose", count=True, help="Log to standard error; twice for more.")
def cli(verbose: int) -> None:
    """How does Redis Streams behave as a message queue, in this setup, under this load?"""
    levels = (logging.WARNING, logging.INFO, logging.DEBUG)
    click.get_current_context().call_on_close(log_to_standard_error(levels[min(verbose, 2)]))


def _tell_version(context: click.Context) -> None:
    from ombdriver.bench.results.environment import commit

    of = commit()
    click.echo(f"ombdriver, version {__version__}" + (f", commit {of[:12]}" if of else ""))
    context.exit()


@cli.command()
@click.argument("workloads", nargs=-1, required=True, metavar="WORKLOAD...")
@request_options
@result_options
@click.option("--fail-fast", is_flag=True, help="End with the first run whose exit code is not 0.")
@click.option("--resume", is_flag=True, help="Leave out the runs of which the output folder has a whole result.")
@click.option(
    "--until-valid",
    is_flag=True,
    help="Repeat what failed or was not VALID, at the end of its block, until it is VALID; see --extra-runs.",
)
@click.option(
    "--extra-runs",
    type=WholeNumber(1, 1000),
    default=10,
    show_default=True,
    metavar="N",
    help="With --until-valid: so many repetitions at most, over all runs.",
)
def run(
    plain: bool,
    quiet: bool,
    prometheus: int | None,
    gate: str,
    fail_fast: bool,
    resume: bool,
    until_valid: bool,
    extra_runs: int,
    **options: Any,
) -> int:
    """Run each workload on each setup, one run after the other, and write a result for each run.

    Workloads and setups are shipped ones by name, or files.
    """
    if until_valid and fail_fast:
        raise click.UsageError("--until-valid: repeats what --fail-fast ends with; leave one of them out")
    from ombdriver.bench.run.request import remaining_runs

    requests = build_requests(options, command_line=sys.argv)
    if resume:
        every, requests = requests, remaining_runs(requests, options["output"])
        click.echo(f"ombdriver: {len(every) - len(requests)} of {len(every)} runs have a result already", err=True)
        if not requests:
            return EXIT_VALID
    _print_notes(requests)
    with display(plain, quiet, prometheus, gate) as display_options:
        return execute_runs(requests, display_options, fail_fast, extra_runs if until_valid else 0)


@cli.command()
@click.argument("workloads", nargs=-1, required=True, metavar="WORKLOAD...")
@click.option("--rates", type=Rates(), help="Rates to try, as 1k,5k,10k; up to the first that is not sustained.")
@click.option(
    "--steps",
    type=WholeNumber(2, 100),
    help="So many rates, evenly spaced up to the highest that is sustained, which is looked for first; 12 when neither"
    " this nor --rates is given.",
)
@request_options
@result_options
def curve(
    rates: Sequence[int] | None,
    steps: int | None,
    plain: bool,
    quiet: bool,
    prometheus: int | None,
    gate: str,
    **options: Any,
) -> int:
    """Latency against load: try each workload on each setup at several rates, then measure the highest sustained one.

    The rates take the place of the workload's.
    """
    if options["rate"] is not None:
        raise click.UsageError("--rate: a curve has many; give them as --rates")
    if rates and steps:
        raise click.UsageError("--steps: is for a search, which --rates take the place of; leave one of them out")
    tried = {"rates": rates or (), "steps": None if rates else steps or USUAL_STEPS}
    requests = build_requests(options, rate="max", **tried, command_line=sys.argv)
    with display(plain, quiet, prometheus, gate) as display_options:
        return execute_runs(requests, display_options, fail_fast=False)


@cli.command()
@click.argument("result", type=click.Path(path_type=Path), metavar="RESULT")
@click.option(
    "--url",
    metavar="URL",
    help="The server; needed when the URL of the run had a password. Without it a setup's passwordEnv is read again.",
)
@click.option("--workers", type=WholeNumber(), help="Processes; as many as the run had when absent.")
@result_options
def rerun(result: Path, plain: bool, quiet: bool, prometheus: int | None, gate: str, **options: Any) -> int:
    """Repeat the run that a result is of, and tell what has changed since: versions, machine, server, settings."""
    from ombdriver.bench.run.rerun import drift_of_host, drift_of_run, request_of

    before, request = request_of(result, **options, command_line=sys.argv)
    known = drift_of_host(before)
    _print_drift(known)
    with display(plain, quiet, prometheus, gate) as display_options:
        return execute_run(
            request,
            display_options,
            lambda after: _print_drift([each for each in drift_of_run(before, after) if each not in known]),
        )


def _print_drift(found: "Sequence[Drift]") -> None:
    for each in found:
        note(f"not as it was: {each}")


@cli.command()
@click.argument("workloads", nargs=-1, required=True, metavar="WORKLOAD...")
@request_options
def plan(**options: Any) -> None:
    """Print what would run, connecting to nothing."""
    from ombdriver.bench.report.plan import describe
    from ombdriver.bench.report.series import describe_order
    from ombdriver.bench.run.request import plan_of

    requests = build_requests(options, output=Path(), tags={}, connects=False)
    _print_notes(requests)
    for request in requests:
        if request.standing is not None and request.standing.block == 1:
            _echo_lines(describe(plan_of(request, "RUNID"), request.workload, request.setup))
    if len(requests) > 1:
        _echo_lines(
            describe_order([(one.workload.name, one.setup.name, one.standing) for one in requests if one.standing])
        )


def _echo_lines(text: str) -> None:
    """Prints lines in which text of files stands."""
    for line in text.split("\n"):
        say(line)


def _print_notes(requests: Sequence["Request"]) -> None:
    """What of the setups' files has no meaning here."""
    for each in dict.fromkeys(each for request in requests for each in request.setup.notes):
        note(each)


@cli.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder of the result files; runs that write there carry these figures.",
)
def calibrate(output: Path) -> None:
    """Measure what this machine's harness can do, in some 90 seconds, with no real server in the way."""
    from ombdriver.bench.hosts.fast_loop import run_fast
    from ombdriver.bench.report.calibration import describe_calibration
    from ombdriver.bench.results import store

    store.prepare(output)
    figures = run_fast(_calibrate())
    path = store.save_report("calibration", figures, output)
    click.echo(describe_calibration(figures), nl=False)
    say(f"Result: {path}")


async def _calibrate() -> dict[str, Any]:
    from ombdriver.bench.run.calibrate import calibrate
    from ombdriver.bench.run.signals import Interrupt

    with Interrupt() as stop:
        try:
            return await calibrate(stop, lambda what: click.echo(f"measuring: {what}", err=True))
        except asyncio.CancelledError:
            if stop.asked:
                raise _InterruptedError("interrupted; nothing was stored") from None
            raise


@cli.command()
@click.option(
    "--url",
    required=True,
    metavar="URL",
    help="The server: redis://, rediss:// or unix://; USER:PASSWORD@ before its host.",
)
@click.option("--run-id", metavar="ID", help="Only this run, even if it seems to be alive.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be deleted.")
def clean(url: str, run_id: str | None, dry_run: bool) -> None:
    """Delete what killed runs left on a server of yours: their streams, by run id, and nothing else."""
    from ombdriver.bench.run.cleanup import clean as clean_server

    for line in asyncio.run(clean_server(url, run_id, dry_run=dry_run)):
        click.echo(visible(line))


for _verb in (*files.COMMANDS, compare, chaos, report.report, completion):
    cli.add_command(_verb)


# -- errors and exit codes -------------------------------------------------------------------------------------------


class _InterruptedError(Exception):
    """The run was ended by a signal."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point: ends the process with one of the exit codes."""
    sys.exit(_main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    # What was closed by who started us (`>&-`) is None here.
    sys.stdout = sys.stdout or _null_device()
    sys.stderr = sys.stderr or _null_device()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal in latin-1 shows what it has no sign for by its number
            stream.reconfigure(errors="backslashreplace")
    # As Ctrl-C, also before and after a run.
    before = {number: signal.signal(number, signal.default_int_handler) for number in heeded()}
    try:
        return _exit_code(arguments)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _empty_one(arguments: Sequence[str]) -> str | None:
    """What of a command line is empty, in words; no option and no file may be."""
    for before, each in itertools.pairwise(("", *arguments)):
        if not each:
            return before if before.startswith("--") else "an argument"
        if each.startswith("--") and each.count("=") == 1 and each.endswith("="):
            return each[:-1]
    return None


def _null_device() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _exit_code(arguments: Sequence[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    if (empty := _empty_one(given)) is not None:
        return _end([f"{empty}: is empty; is a variable of the shell not set?"], EXIT_INPUT)
    try:
        code = cli.main(arguments, prog_name="ombdriver", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return EXIT_INPUT
    except click.NoSuchOption as error:
        from ombdriver.bench.spec.foreign import OPTIONS

        told = OPTIONS.get(error.option_name)
        _end([error.format_message() if told is None else f"{error.option_name} {told}"], EXIT_INPUT)
        if error.ctx:
            click.echo(f"Try '{error.ctx.command_path} --help' for help.", err=True)
        return EXIT_INPUT
    except click.ClickException as error:
        _end([" ".join(error.format_message().split())], EXIT_INPUT)
        if isinstance(error, click.UsageError) and error.ctx:
            click.echo(f"Try '{error.ctx.command_path} --help' for help.", err=True)
        return EXIT_INPUT
    except (click.Abort, KeyboardInterrupt):
        return _end(["interrupted"], EXIT_INTERRUPTED)
    except _InterruptedError as error:
        return _end([str(error)], EXIT_INTERRUPTED)
    except OmbdriverError as error:
        return _end(error.messages if isinstance(error, InputError) else [str(error)], for_error(error))
    except (OSError, RuntimeError, MemoryError, ImportError) as error:
        if (limit := limit_reached(error)) is not None:
            return _end([limit], EXIT_FAILED)
        if not isinstance(error, OSError):
            raise
        if error.filename is not None:
            return _end([f"{visible(str(error.filename))}: {error.strerror}; free it, or name another"], EXIT_FAILED)
        # Files have errors of ours by now, so this is our output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # whoever read it has had enough
            return EXIT_FAILED
        return _end([f"the output can't be written ({error.strerror}); send it elsewhere"], EXIT_FAILED)
    return code if isinstance(code, int) else 0


def _end(messages: Sequence[str], code: int) -> int:
    print_errors(messages)
    return code
