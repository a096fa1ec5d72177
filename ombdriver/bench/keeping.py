"""The end of a run: what was measured is judged and stored, with what it was measured on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from ombdriver import __version__
from ombdriver.bench import store
from ombdriver.bench.assessment import Circumstances, assess
from ombdriver.bench.by_stretch import by_stretch
from ombdriver.bench.course import Course
from ombdriver.bench.drain_result import told_drain
from ombdriver.bench.environment import fingerprint, host
from ombdriver.bench.outcome import build_result, told_search
from ombdriver.bench.plan import Plan
from ombdriver.bench.request import Request
from ombdriver.bench.result import Result
from ombdriver.bench.telemetry import Telemetry
from ombdriver.bench.thresholds import Threshold


@dataclass(frozen=True, slots=True)
class Finished:
    """A result and where it lies."""

    result: Result
    path: Path


def keep(
    request: Request,
    plan: Plan,
    course: Course,
    facts: Mapping[str, object],
    telemetry: Telemetry,
    thresholds: Sequence[Threshold],
    load_at_start: Sequence[float] | None,
) -> Finished:
    """The result of a run that has a window, on disk. Raises OmbdriverError if it can't be written."""
    assert course.accounts.window is not None
    assert course.begin_time is not None
    measured = course.accounts.window.measurements()
    if course.backlog is not None:
        measured = replace(measured, backlog_drain=course.backlog.measurements(course.accounts.window))
    setup, machine = request.setup.spec(), host()
    harness = store.latest_calibration(request.output, machine)
    limit = machine["cpu"]["coresLimit"]
    circumstances = Circumstances(
        length_ns=course.accounts.window.length_ns,
        interval_ns=course.accounts.window.interval_ns,
        target_rate=course.accounts.window.target_rate,
        rate_changes=plan.profile is not None,
        ending=course.ending,
        setup=setup,
        cores=min(request.cores, limit or request.cores),
        harness=harness,
        loopback=request.setup.loopback,
    )
    assessed = assess(measured, circumstances, course.accounts.workers, thresholds)
    result = build_result(
        measured,
        version=__version__,
        run_id=plan.run_id,
        tags=request.tags,
        begin_time=course.begin_time,
        end_time=course.begin_time + timedelta(microseconds=course.accounts.window.length_ns // 1000),
        driver=request.setup.driver_used,
        sample_interval_ns=course.accounts.window.interval_ns,
        target_rate=course.accounts.window.target_rate,
        profile=plan.profile,
        stretches=by_stretch(course.accounts.window, measured, plan.profile),
        backlog_drain=None if measured.backlog_drain is None else told_drain(measured.backlog_drain),
        search=None if course.found is None else told_search(course.found),
        workload_spec=request.workload.spec(),
        workload_sha256=request.workload.sha256,
        setup=setup,
        environment=fingerprint(
            facts, request.command_line, load_at_start=load_at_start, seeds={"workload": request.workload.seed}
        )
        | {"workers": course.accounts.workers, "harness": harness},
        telemetry=telemetry.told(),
        standing=request.standing,
        overrides=request.overrides,
        sweep=request.sweep,
        sweep_of=request.sweep_of,
        caveats=[*course.accounts.caveats, *assessed.caveats],
        partial_reason=course.ending.reason if course.ending else None,
        verdict=assessed.verdict,
        thresholds=assessed.thresholds,
        at_harness_floor=assessed.at_harness_floor,
    )
    return Finished(result, store.save(result, request.output))
