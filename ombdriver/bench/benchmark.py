"""One run from its files to its result: server, topics, workers, course, result, and everything taken down again.

A table of contents; what happens in each part is told by the part. Tear-down goes backwards through what was built,
whatever happened, and starts only when the result is on disk.
"""

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from ombdriver import __version__
from ombdriver.bench import preflight, remarks, store
from ombdriver.bench.assessment import Circumstances, assess
from ombdriver.bench.collector import Collector
from ombdriver.bench.course import Course, Show, Stage
from ombdriver.bench.driver import Driver, load_driver
from ombdriver.bench.ensemble import Ensemble
from ombdriver.bench.environment import fingerprint, host, load_average
from ombdriver.bench.figures import Phase
from ombdriver.bench.guard import Guard
from ombdriver.bench.interrupt import Interrupt
from ombdriver.bench.login import connect_url, started_url
from ombdriver.bench.outcome import build_result
from ombdriver.bench.plan import Plan, make_plan, memory_estimate
from ombdriver.bench.report.live import LiveView
from ombdriver.bench.result import Result
from ombdriver.bench.series import Standing
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.setup import Setup
from ombdriver.bench.telemetry import Telemetry
from ombdriver.bench.thresholds import Threshold
from ombdriver.bench.viewing import Viewing
from ombdriver.bench.workload import Workload
from ombdriver.errors import OmbdriverError, RunError, ServerError

logger = logging.getLogger(__name__)

READ_BYTES = 1 << 20
"""One read of a consumer should bring about so much at most, whatever the size of the messages."""
MOST_PER_READ = 500


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks for.

    Attributes:
        workload: what to send and read.
        setup: against what.
        output: the folder of results.
        workers: how many processes; None chooses by the machine.
        cores: the processor cores of this machine.
        tags: the user's words for the result.
        command_line: as typed; passwords in it are hidden before it is stored.
        standing: where the run stands among those of its command; None when it is of none.
        overrides: what the command line has put into the files, without passwords; workload and setup have it already.
    """

    workload: Workload
    setup: Setup
    output: Path
    workers: int | None
    cores: int
    tags: Mapping[str, str] = field(default_factory=dict)
    command_line: Sequence[str] = ()
    standing: Standing | None = None
    overrides: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """A result and where it lies."""

    result: Result
    path: Path


def plan_of(request: Request, run_id: str) -> Plan:
    """What would run.

    Raises:
        InputError: if that number of workers can't do it.
    """
    return make_plan(request.workload, request.setup, run_id, workers=request.workers, cores=request.cores)


def new_run_id() -> str:
    """A name for a run that no other has: 8 letters and digits, fit for a key and for a file's name."""
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(8))


async def run(
    request: Request, view: LiveView, stop: Interrupt, on_stored: Callable[[Finished], None] = lambda _: None
) -> Finished | None:
    """Carries out one run; None when it was interrupted before there was anything to measure.

    `on_stored` is called when the result is on disk, before anything is taken down: taking down may fail.

    Raises:
        asyncio.CancelledError: if it was interrupted while it was being built up.
        InputError: if the request can't be carried out as it is.
        RunError: if the run fails; what it had built is taken down all the same. When a worker died in the measurement
            a result of what there was is stored first.
    """
    plan = plan_of(request, new_run_id())
    store.prepare(request.output)
    load_at_start = load_average()
    async with AsyncExitStack() as stack:
        with stop.cancels():
            servers, url = await _servers(request.setup, stack)
            options = driver_options(plan, request.setup, url)
            driver = await load_driver(request.setup.driver_used)(options)
            stack.push_async_callback(driver.aclose)
            facts = await driver.describe()
            logger.info("run %s on %s %s", plan.run_id, facts.get("engine"), facts.get("version", ""))
            _check(facts, plan, request.setup)
            if request.setup.is_users_server:
                stack.push_async_callback(_delete_created, driver, request.setup)
            await driver.create_topics(plan.topics, plan.subscriptions)
            logger.info("created %d topics of %d streams in all", len(plan.topics), plan.partitions)
            ensemble = await stack.enter_async_context(Ensemble(plan, request.setup.driver_used, options))
        collector = Collector(plan.subscriptions, plan.sample_interval_ns)
        telemetry = Telemetry(plan, driver, collector.processes, ensemble.pids, servers.pids if servers else ())
        stack.push_async_callback(telemetry.aclose)
        show = _followed(Viewing(view, plan, collector).show, telemetry)
        thresholds = [Threshold.parse(text) for text in request.workload.thresholds]
        guard = Guard(thresholds if request.workload.abort_on_fail else (), collector)
        check = servers.check if servers else lambda: None
        course = Course(plan, ensemble, driver, stop, collector, show, check, guard.failed)
        failure: OmbdriverError | None = None
        try:
            await course.run()
        except OmbdriverError as error:
            if course.accounts.window is None:
                raise
            failure = error
        if course.accounts.window is None:
            return None
        await telemetry.stop()
        course.accounts.caveats += remarks.on_servers(servers.ended() if servers else ())
        course.accounts.caveats += remarks.on_retention(driver.statistics())
        finished = _keep(request, plan, course, facts, telemetry, thresholds, load_at_start)
        on_stored(finished)
        if failure is not None:
            raise failure
        return finished


def _followed(show: Show, telemetry: Telemetry) -> Show:
    """`show`, with the telemetry told of each phase as it begins and when it is over."""

    def both(stage: Stage, phase: Phase | None, interval: int) -> None:
        if stage is not Stage.READY and interval < 0:
            telemetry.follow(phase)
        show(stage, phase, interval)

    return both


async def _servers(setup: Setup, stack: AsyncExitStack) -> tuple[ManagedServers | None, str | None]:
    """The servers that the setup wants started, and the URL to use, if the driver needs one."""
    if setup.server is None:
        return None, None
    if setup.server.url is not None:
        return None, connect_url(setup.server)
    servers = await ManagedServers.start(setup.server.plan)
    stack.push_async_callback(servers.stop)
    stack.enter_context(_logs_kept(servers))
    logger.info("started %s", ", ".join(f"{node.name} (port {node.port}, pid {node.pid})" for node in servers.nodes))
    return servers, started_url(servers.url, setup.server.config)


@contextmanager
def _logs_kept(servers: ManagedServers) -> Iterator[None]:
    """When a run fails, what its servers have said is worth keeping."""
    try:
        yield
    except RunError as error:
        if (path := servers.keep_logs()) is None:
            raise
        raise RunError(f"{error}\n(the logs of the servers are kept in {path})") from error


def driver_options(plan: Plan, setup: Setup, url: str | None) -> Mapping[str, object]:
    """What the driver's factory is given in every process of the run."""
    if url is None:
        return {}
    readers = [reader for worker in plan.workers for reader in worker.consumers]
    streams = max((reader.streams for reader in readers), default=1)
    if setup.server is not None and setup.server.in_cluster:
        streams = 1  # a read can't cross slots
    suits = max(1, min(MOST_PER_READ, READ_BYTES // (plan.payload.size * streams)))
    trimming, how = plan.trimming, setup.streams
    return {
        "url": url,
        "run_id": plan.run_id,
        "max_entries": trimming.max_entries,
        "max_age_ms": trimming.by_age_ms,
        "exact_trim": trimming.exact,
        "keep_unacknowledged": trimming.acknowledged,
        "bound_entries": trimming.bound_entries,
        "bound_age_ms": trimming.bound_age_ms,
        "plain": plan.plain,
        "ack": how.ack,
        "groups": max(1, len(plan.subscriptions)),
        "read_count": how.read_count or suits,
        "block_ms": how.block_ms,
        "max_in_flight": setup.client.max_in_flight,
        "connections": setup.client.sending_connections,
        "wait_replicas": how.wait_replicas,
        "wait_timeout_ms": how.wait_timeout_ms,
        "balanced": how.placement == "balanced",
    }


def _check(facts: Mapping[str, object], plan: Plan, setup: Setup) -> None:
    found = list(preflight.lacks(facts, setup.needs(len(plan.subscriptions))))
    if setup.is_users_server:
        found += preflight.faults(facts, memory_estimate(plan))
    if found:
        raise ServerError("this server can't take the run:\n" + "\n".join(found))


async def _delete_created(driver: Driver, setup: Setup) -> None:
    try:
        deleted = await driver.delete_created()
        logger.info("deleted %d streams", deleted)
    except OmbdriverError as error:
        url = setup.spec().get("server", {}).get("url", "the server")
        raise RunError(f"{error}; what this run created is still there: `ombdriver clean --url {url}`") from error


def _keep(
    request: Request,
    plan: Plan,
    course: Course,
    facts: Mapping[str, object],
    telemetry: Telemetry,
    thresholds: Sequence[Threshold],
    load_at_start: Sequence[float] | None,
) -> Finished:
    assert course.accounts.window is not None
    assert course.begin_time is not None
    measured = course.accounts.window.measurements()
    setup, machine = request.setup.spec(), host()
    harness = store.latest_calibration(request.output, machine)
    limit = machine["cpu"]["coresLimit"]
    circumstances = Circumstances(
        length_ns=course.accounts.window.length_ns,
        interval_ns=course.collector.interval_ns,
        target_rate=plan.rate,
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
        sample_interval_ns=course.collector.interval_ns,
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
        caveats=[*course.accounts.caveats, *assessed.caveats],
        partial_reason=course.ending.reason if course.ending else None,
        verdict=assessed.verdict,
        thresholds=assessed.thresholds,
        at_harness_floor=assessed.at_harness_floor,
    )
    return Finished(result, store.save(result, request.output))
