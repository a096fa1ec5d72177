"""Runs, as the verbs of `cli` carry them out: one, or all of a command one after the other; and what is told of each.

Imports of the harness stand in the functions, for the reasons of `cli`.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from ombdriver.cli.compare import tell_comparison
from ombdriver.cli.exit_codes import EXIT_INTERRUPTED, EXIT_VALID, of_error, of_result, worst
from ombdriver.errors import InputError, OmbdriverError
from ombdriver.secrets import redact_text

if TYPE_CHECKING:
    from ombdriver.bench.report.live import LiveView, Whole
    from ombdriver.bench.report.prometheus import Exposition
    from ombdriver.bench.report.series import Row
    from ombdriver.bench.results.compare.trial import Trial
    from ombdriver.bench.results.result import Result
    from ombdriver.bench.run.request import Request
    from ombdriver.bench.run.runner import Finished


MOST_IN_FULL = 4
"""Of more runs of one command than that each is told in brief."""


@dataclass(frozen=True, slots=True)
class Showing:
    """What is shown of runs while they run.

    Attributes:
        plain: lines, also on a terminal.
        quiet: nothing.
        exposition: takes it as well, if there is one.
        whole: tells how far all runs of the command are; None when there is but one.
    """

    plain: bool
    quiet: bool
    exposition: "Exposition | None" = None
    whole: "Whole | None" = None


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


@contextlib.contextmanager
def showing(plain: bool, quiet: bool, prometheus: int | None) -> Iterator[Showing]:
    """How runs are shown, by the options of the command line; a port for Prometheus is served meanwhile.

    Raises:
        InputError: if it can't be served there.
    """
    if prometheus is None:
        yield Showing(plain, quiet)
        return
    from ombdriver.bench.report.prometheus import Exposition

    with Exposition(prometheus) as exposition:
        if not quiet:
            _say(f"ombdriver: live figures at {exposition.url}")
        yield Showing(plain, quiet, exposition)


def carry_out(request: "Request", how: Showing, before_table: "Callable[[Result], None]" = lambda _: None) -> int:
    """One run, with its display, its table and its errors, to its exit code.

    `before_table` is called with the result when the display is gone.
    """
    ended = _run(request, how, before_table)
    told(ended.messages)
    return ended.code


def carry_out_all(requests: "Sequence[Request]", how: Showing, fail_fast: bool) -> int:
    """All runs of a command, one after the other, to the gravest of their exit codes.

    A run that fails does not keep the others from being run, unless with `fail_fast`; then so does one with any exit
    code but 0. A signal ends all of it.
    """
    if len(requests) == 1:
        return carry_out(requests[0], how)
    from ombdriver.bench.report import series
    from ombdriver.bench.report.live import Whole
    from ombdriver.bench.results.compare.trial import trial_of

    whole = Whole([one.expected_s for one in requests], time.monotonic)
    how = replace(how, whole=whole)
    rows: list[Row] = []
    trials: list[Trial] = []
    codes: list[int] = []
    for at, request in enumerate(requests):
        assert request.standing is not None
        names = (request.workload.name, request.setup.name, request.standing)
        if codes and (codes[-1] == EXIT_INTERRUPTED or (fail_fast and codes[-1] != EXIT_VALID)):
            rows.append(series.Row(*names, series.NOT_BEGUN))
            continue
        whole.begin(at)
        if not how.quiet:
            _say(series.announcement(*names, left_s=whole.progress().left_s))
        ended = _run(request, how, lambda result: trials.append(trial_of(result, f"*-{result.run_id}.json")))
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


def _is_one_of_many(request: "Request") -> bool:
    return request.standing is not None and request.standing.runs > MOST_IN_FULL


def _view(request: "Request", how: Showing) -> "LiveView":
    from ombdriver.bench.report.live import Views, WholeView, make_view
    from ombdriver.bench.report.prometheus import ExposedView, Labels

    # A log between the lines of a display would tear it.
    plain = how.plain or click.get_current_context().find_root().params["verbose"] > 0
    view: LiveView = make_view("quiet" if how.quiet else "plain" if plain else "auto", sys.stderr)
    if how.exposition is not None:
        run = request.standing.run if request.standing else 1
        labels = Labels(request.workload.name, request.setup.name, run)
        view = Views((view, ExposedView(how.exposition, labels)))
    return view if how.whole is None else WholeView(view, how.whole)


def _run(request: "Request", how: Showing, before_table: "Callable[[Result], None]" = lambda _: None) -> _Ended:
    from ombdriver.bench.report.terminal import show

    view = _view(request, how)
    results: list[Result] = []

    def stored(finished: "Finished") -> None:
        results.append(finished.result)
        view.__exit__(None, None, None)  # a display is drawn over what comes after it
        before_table(finished.result)
        show(finished.result, finished.path, sys.stdout, brief=_is_one_of_many(request))

    failure, interrupted = asyncio.run(_attempt(request, view, stored))
    return _ended(results[0] if results else None, failure, interrupted)


async def _attempt(
    request: "Request", view: "LiveView", stored: "Callable[[Finished], None]"
) -> tuple[OmbdriverError | None, bool]:
    """What the run failed with, if it did, and whether a signal came."""
    from ombdriver.bench.run import runner
    from ombdriver.bench.run.signals import Interrupt

    with Interrupt() as stop, view:
        try:
            await runner.run(request, view, stop, stored)
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
        messages = failure.messages if isinstance(failure, InputError) else [str(failure)]
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
