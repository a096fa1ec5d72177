"""Runs, as the verbs carry them out: one, or all of a command in their order; what is shown of each, and its exit code.

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

from ombdriver.bench.units import visible
from ombdriver.cli.compare import print_comparison
from ombdriver.cli.exit_codes import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_THRESHOLD,
    EXIT_VALID,
    EXIT_VERDICT,
    for_error,
    for_result,
    warned_of,
    worst,
)
from ombdriver.errors import LINE, InputError, OmbdriverError
from ombdriver.secrets import redact_text

if TYPE_CHECKING:
    from ombdriver.bench.report.live import LiveView, SeriesTimer
    from ombdriver.bench.report.prometheus import Exposition
    from ombdriver.bench.report.series import RunRow
    from ombdriver.bench.results.compare.trial import Trial
    from ombdriver.bench.results.result import Result
    from ombdriver.bench.run.events import RunEvent, Subscriber
    from ombdriver.bench.run.request import Request

    OnResult = Callable[[Result], None]


_TRACEBACK = "\nTraceback (most recent call last):"
MOST_IN_FULL = 4
"""With more runs of one command than that, each is reported in brief."""


@dataclass(frozen=True, slots=True)
class DisplayOptions:
    """What is shown of runs while they run.

    Attributes:
        plain: lines, also on a terminal.
        quiet: nothing.
        exposition: takes it as well, if there is one.
        timer: of all runs of the command; None when there is but one.
        gate: what the exit code is to tell; one of `exit_codes.GATES`.
    """

    plain: bool
    quiet: bool
    exposition: "Exposition | None" = None
    timer: "SeriesTimer | None" = None
    gate: str = "verdict"


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        code: its exit code by verdict and thresholds.
        gate_code: its exit code by the gate that was asked for.
        status: its verdict, or what became of it in place of one.
        run_id: of its result; None when there is none.
        messages: its errors.
    """

    code: int
    gate_code: int
    status: str
    run_id: str | None
    messages: Sequence[str] = ()

    @property
    def is_to_be_repeated(self) -> bool:
        """Whether it failed, or its result is not VALID."""
        return self.code in (EXIT_FAILED, EXIT_VERDICT)


@contextlib.contextmanager
def display(plain: bool, quiet: bool, prometheus: int | None, gate: str) -> Iterator[DisplayOptions]:
    """How runs are shown, by the options of the command line; a port for Prometheus is served meanwhile.

    Raises:
        InputError: if it can't be served there.
    """
    if prometheus is None:
        yield DisplayOptions(plain, quiet, gate=gate)
        return
    from ombdriver.bench.report.prometheus import Exposition

    with Exposition(prometheus) as exposition:
        if not quiet:
            _print(f"ombdriver: live figures at {exposition.url}")
        yield DisplayOptions(plain, quiet, exposition, gate=gate)


def execute_run(
    request: "Request", options: DisplayOptions, before_table: "Callable[[Result], None]" = lambda _: None
) -> int:
    """One run, with its display, its table and its errors, to its exit code.

    `before_table` is called with the result when the display is gone.
    """
    outcome = _run(request, options, before_table)
    print_errors(outcome.messages)
    return outcome.gate_code


def execute_runs(
    requests: "Sequence[Request]",
    options: DisplayOptions,
    fail_fast: bool,
    extra_runs: int = 0,
    *,
    on_result: "OnResult" = lambda _: None,
    compares: bool = True,
) -> int:
    """All runs of a command, one after the other, to the gravest of their exit codes.

    A run that fails does not keep the others from being run, unless with `fail_fast`; then so does one with any exit
    code but 0. A signal ends all of it.

    Args:
        requests: the runs, in their order.
        options: what is shown.
        fail_fast: see above.
        extra_runs: how often at most a run that failed or was not VALID is repeated, over all of them; see
            `Repetitions`. What was repeated counts by its last attempt.
        on_result: is called with each result.
        compares: setups are compared at the end.
    """
    if len(requests) == 1 and not extra_runs:
        return execute_run(requests[0], options, on_result)
    from ombdriver.bench.report import series
    from ombdriver.bench.report.live import SeriesTimer
    from ombdriver.bench.results.compare.trial import trial_of
    from ombdriver.bench.results.harness_share import harness_shares

    timer = SeriesTimer([one.expected_s for one in requests], time.monotonic)
    options = replace(options, timer=timer)
    rows: list[RunRow] = []
    trials: list[Trial] = []
    codes: list[int] = []
    repetitions = Repetitions(requests, extra_runs)
    for at, request in enumerate(repetitions):
        assert request.standing is not None
        names = (request.workload.name, request.setup.name, request.standing)
        if codes and (codes[-1] == EXIT_INTERRUPTED or (fail_fast and codes[-1] != EXIT_VALID)):
            rows.append(series.RunRow(*names, series.NOT_BEGUN))
            continue
        if request.standing.attempt > 1:
            timer.insert(at, request.expected_s)
        timer.begin(at)
        if not options.quiet:
            _print(series.announcement(*names, left_s=timer.progress().left_s))
        results: list[Result] = []
        outcome = _run(request, options, results.append)
        for result in results:
            trials.append(trial_of(result, f"*-{result.run_id}.json"))
            on_result(result)
        print_errors([f"{series.title(*names)}: {message}" for message in outcome.messages])
        failed = outcome.code not in (EXIT_VALID, EXIT_VERDICT, EXIT_THRESHOLD)
        failure = redact_text("; ".join(outcome.messages)) if failed else None
        figures = series.figures_of(results[0]) if results else None
        verdict = results[0].verdict if results else None
        shares = harness_shares(results[0], series.FIGURES) if results else {}
        rows.append(
            series.RunRow(*names, outcome.status, outcome.run_id, failure, figures, verdict, harness_share=shares)
        )
        codes.append(outcome.gate_code)
        repetitions.ended(request, outcome)
    series.show(rows, requests[0].output, sys.stdout)
    if extra_runs:
        click.echo(repetitions.describe())
    if compares and codes[-1] != EXIT_INTERRUPTED and len({request.setup.name for request in requests}) > 1:
        print_comparison(trials)
    return worst(repetitions.codes if extra_runs else codes)


class Repetitions:
    """The runs of a command in their order, with those of a block that were not VALID repeated at its end.

    A repetition stands in the block of the run that it repeats, and comes soon after, since a comparison is made within
    blocks. What is not VALID again is repeated again.

    Args:
        requests: the runs, in their order.
        most: how many repetitions there may be.
    """

    def __init__(self, requests: "Sequence[Request]", most: int) -> None:
        self._requests, self._most = requests, most
        self._repeated = 0
        self._block: list[Request] = []
        self._outcomes: dict[int, RunOutcome] = {}

    def __repr__(self) -> str:
        return f"<Repetitions: {self._repeated} of at most {self._most}>"

    def __iter__(self) -> "Iterator[Request]":
        for at, request in enumerate(self._requests):
            yield request
            next_one = self._requests[at + 1] if at + 1 < len(self._requests) else None
            if next_one is not None and _block_of(next_one) == _block_of(request):
                continue
            while self._block and self._repeated < self._most:
                failed = self._block.pop(0)
                assert failed.standing is not None
                self._repeated += 1
                yield replace(failed, standing=replace(failed.standing, attempt=failed.standing.attempt + 1))
            self._block.clear()

    def ended(self, request: "Request", outcome: RunOutcome) -> None:
        """Takes how a run that it gave ended."""
        assert request.standing is not None
        self._outcomes[request.standing.run] = outcome
        if outcome.is_to_be_repeated:
            self._block.append(request)

    @property
    def codes(self) -> list[int]:
        """The exit code of each run, by its last attempt."""
        return [outcome.gate_code for outcome in self._outcomes.values()]

    def describe(self) -> str:
        """What was repeated, in one sentence."""
        left = sum(outcome.is_to_be_repeated for outcome in self._outcomes.values())
        still = "every run is VALID" if not left else f"{left} of {len(self._outcomes)} runs are still not VALID"
        return f"Repeated since not VALID: {self._repeated} times, at most {self._most}; {still}."


def _block_of(request: "Request") -> tuple[str, int]:
    """By the number of the run before it, as a command may name a workload twice."""
    assert request.standing is not None
    return request.standing.series, request.standing.run - request.standing.position


def print_errors(messages: Sequence[str]) -> None:
    """Prints errors to standard error, without passwords."""
    for message in messages:
        text = redact_text(message)
        # A traceback is of several lines by nature; none of them can pass for another message.
        lines = text.splitlines() if _TRACEBACK in text else text.split(LINE)
        _print("ombdriver: " + LINE.join(map(visible, lines)))


def _print(line: str) -> None:
    # Whoever has closed standard error does not end a run.
    with contextlib.suppress(OSError):
        click.echo(line, err=True)


def _is_one_of_many(request: "Request") -> bool:
    return request.standing is not None and request.standing.runs > MOST_IN_FULL


def _view(request: "Request", options: DisplayOptions) -> "LiveView":
    from ombdriver.bench.report.live import SeriesView, Views, make_view
    from ombdriver.bench.report.prometheus import ExposedView, Labels

    # A log between the lines of a display would tear it.
    plain = options.plain or click.get_current_context().find_root().params["verbose"] > 0
    view: LiveView = make_view("quiet" if options.quiet else "plain" if plain else "auto", sys.stderr)
    if options.exposition is not None:
        run = request.standing.run if request.standing else 1
        labels = Labels(request.workload.name, request.setup.name, run)
        view = Views((view, ExposedView(options.exposition, labels)))
    return view if options.timer is None else SeriesView(view, options.timer)


def _run(
    request: "Request", options: DisplayOptions, before_table: "Callable[[Result], None]" = lambda _: None
) -> RunOutcome:
    from ombdriver.bench.report.terminal import show
    from ombdriver.bench.run.events import Finished

    view = _view(request, options)
    results: list[Result] = []

    def on_event(event: "RunEvent") -> None:
        if isinstance(event, Finished):  # what the view has drawn is gone by now
            results.append(event.result)
            before_table(event.result)
            show(event.result, event.path, sys.stdout, brief=_is_one_of_many(request))

    failure, interrupted = asyncio.run(_attempt(request, view, on_event))
    return run_outcome(results[0] if results else None, failure, interrupted, options.gate)


async def _attempt(request: "Request", view: "LiveView", on_event: "Subscriber") -> tuple[OmbdriverError | None, bool]:
    """What the run failed with, if it did, and whether a signal came."""
    from ombdriver.bench.run import runner
    from ombdriver.bench.run.signals import Interrupt

    with Interrupt() as stop, view:
        try:
            await runner.run(request, view, stop, on_event)
        except asyncio.CancelledError:
            if not stop.asked:
                raise
        except OmbdriverError as error:
            return error, stop.asked
        return None, stop.asked


def run_outcome(
    result: "Result | None", failure: OmbdriverError | None, interrupted: bool, gate: str = "verdict"
) -> RunOutcome:
    """How a run ended, from its result, the error that it failed with, and whether a signal came."""
    run_id = result.run_id if result else None
    verdict = [result.verdict.status] if result and result.verdict else []
    if failure is not None:
        messages = failure.messages if isinstance(failure, InputError) else [str(failure)]
        code = EXIT_INTERRUPTED if interrupted else for_error(failure)
        return RunOutcome(code, code, ", ".join([*verdict, "FAILED"]), run_id, messages)
    if interrupted:
        status = ", ".join([*verdict, "interrupted"])
        return RunOutcome(EXIT_INTERRUPTED, EXIT_INTERRUPTED, status, run_id, [_interruption(result)])
    assert result is not None
    missed = [] if all(check.passed for check in result.thresholds) else ["threshold missed"]
    code, gate_code = (for_result(result.verdict, result.thresholds, each) for each in ("verdict", gate))
    warned = warned_of(result.verdict, gate)
    by = "its thresholds" if result.thresholds else "its thresholds, of which it has none,"
    warning = f"warning: the result is {warned}; --gate thresholds judges it by {by} all the same"
    return RunOutcome(
        code,
        gate_code,
        ", ".join([*verdict, *missed]),
        run_id,
        [warning] if warned else [],
    )


def _interruption(result: "Result | None") -> str:
    if result is None:
        return "interrupted before anything was measured; there is no result"
    if result.partial:
        return f"{result.partial_reason}; the result is partial"
    return "interrupted when the result was stored; it is complete"
