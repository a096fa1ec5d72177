"""Runs, as the verbs of `cli` carry them out: one, or all of a command one after the other; and what is told of each.

Imports of the harness stand in the functions, for the reasons of `cli`.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ombdriver.cli_compare import tell_comparison
from ombdriver.errors import InputError, OmbdriverError
from ombdriver.exits import EXIT_INTERRUPTED, EXIT_VALID, of_error, of_result, worst
from ombdriver.secrets import redact_text

if TYPE_CHECKING:
    from ombdriver.bench.benchmark import Finished, Request
    from ombdriver.bench.compare.trial import Trial
    from ombdriver.bench.report.live import LiveView
    from ombdriver.bench.report.series import Row
    from ombdriver.bench.result import Result


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a run ended.

    Attributes:
        code: its exit code.
        outcome: its verdict, or what became of it in place of one.
        run_id: of its result; None when there is none.
        messages: what is to be told as an error.
    """

    code: int
    outcome: str
    run_id: str | None
    messages: Sequence[str] = ()


def carry_out(
    request: "Request", plain: bool, quiet: bool, before_table: "Callable[[Result], None]" = lambda _: None
) -> int:
    """One run, with its display, its table and its errors, to its exit code.

    `before_table` is called with the result when the display is gone.
    """
    ended = _run(request, plain, quiet, before_table)
    told(ended.messages)
    return ended.code


def carry_out_all(requests: "Sequence[Request]", plain: bool, quiet: bool, fail_fast: bool) -> int:
    """All runs of a command, one after the other, to the gravest of their exit codes.

    A run that fails does not keep the others from being run, unless with `fail_fast`; then so does one with any exit
    code but 0. A signal ends all of it.
    """
    if len(requests) == 1:
        return carry_out(requests[0], plain, quiet)
    from ombdriver.bench.compare.trial import trial_of
    from ombdriver.bench.report import series

    rows: list[Row] = []
    trials: list[Trial] = []
    codes: list[int] = []
    for request in requests:
        assert request.standing is not None
        names = (request.workload.name, request.setup.name, request.standing)
        if codes and (codes[-1] == EXIT_INTERRUPTED or (fail_fast and codes[-1] != EXIT_VALID)):
            rows.append(series.Row(*names, series.NOT_BEGUN))
            continue
        if not quiet:
            _say(series.announcement(*names))
        ended = _run(request, plain, quiet, lambda result: trials.append(trial_of(result, f"*-{result.run_id}.json")))
        told([f"{series.title(*names)}: {message}" for message in ended.messages])
        failure = redact_text("; ".join(ended.messages)) if ended.messages else None
        rows.append(series.Row(*names, ended.outcome, ended.run_id, failure))
        codes.append(ended.code)
    series.show(rows, requests[0].output, sys.stdout)
    if codes[-1] != EXIT_INTERRUPTED and len({request.setup.name for request in requests}) > 1:
        tell_comparison(trials)
    return worst(codes)


def told(messages: Sequence[str]) -> None:
    """Tells errors, without passwords."""
    for message in messages:
        _say(f"ombdriver: {redact_text(message)}")


def _say(line: str) -> None:
    # Whoever has closed standard error does not end a run.
    with contextlib.suppress(OSError):
        click.echo(line, err=True)


def _run(
    request: "Request", plain: bool, quiet: bool, before_table: "Callable[[Result], None]" = lambda _: None
) -> _Ended:
    from ombdriver.bench.report.live import make_view
    from ombdriver.bench.report.terminal import show

    # A log between the lines of a display would tear it.
    plain = plain or click.get_current_context().find_root().params["verbose"] > 0
    view = make_view("quiet" if quiet else "plain" if plain else "auto", sys.stderr)
    results: list[Result] = []

    def stored(finished: "Finished") -> None:
        results.append(finished.result)
        view.__exit__(None, None, None)  # a display is drawn over what comes after it
        before_table(finished.result)
        show(finished.result, finished.path, sys.stdout)

    failure, interrupted = asyncio.run(_attempt(request, view, stored))
    return _ended(results[0] if results else None, failure, interrupted)


async def _attempt(
    request: "Request", view: "LiveView", stored: "Callable[[Finished], None]"
) -> tuple[OmbdriverError | None, bool]:
    """What the run failed with, if it did, and whether a signal came."""
    from ombdriver.bench import benchmark
    from ombdriver.bench.interrupt import Interrupt

    with Interrupt() as stop, view:
        try:
            await benchmark.run(request, view, stop, stored)
        except asyncio.CancelledError:
            if not stop.asked:
                raise
        except OmbdriverError as error:
            return error, stop.asked
        return None, stop.asked


def _ended(result: "Result | None", failure: OmbdriverError | None, interrupted: bool) -> _Ended:
    run_id = result.run_id if result else None
    verdict = [result.verdict.status] if result and result.verdict else []
    if failure is not None:
        messages = failure.faults if isinstance(failure, InputError) else [str(failure)]
        code = EXIT_INTERRUPTED if interrupted else of_error(failure)
        return _Ended(code, ", ".join([*verdict, "FAILED"]), run_id, messages)
    if interrupted:
        return _Ended(EXIT_INTERRUPTED, ", ".join([*verdict, "interrupted"]), run_id, [_interruption(result)])
    assert result is not None
    missed = [] if all(check.passed for check in result.thresholds) else ["threshold missed"]
    return _Ended(of_result(result.verdict, result.thresholds), ", ".join([*verdict, *missed]), run_id)


def _interruption(result: "Result | None") -> str:
    if result is None:
        return "interrupted before anything was measured; there is no result"
    if result.partial:
        return f"{result.partial_reason}; the result is partial"
    return "interrupted when the result was stored; it is complete"
