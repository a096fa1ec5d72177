"""One run from its files to its result: server, topics, workers, phases, result, and everything taken down again.

What happens in each part is in its own module. Tear-down goes backwards through what was built, whatever happened, and
starts only when the result is on disk.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ombdriver.bench.drivers.api import Driver, load_driver
from ombdriver.bench.faults.durability import Durability
from ombdriver.bench.limits import most_open_files
from ombdriver.bench.plan.plan import Plan, memory_estimate
from ombdriver.bench.plan.planner import fault_site
from ombdriver.bench.report.live import LiveView
from ombdriver.bench.results import store
from ombdriver.bench.results.build import RunRecord, build_result, worker_to_json
from ombdriver.bench.results.environment import LIMIT_BY_DEFAULT, fingerprint
from ombdriver.bench.run import events, preflight
from ombdriver.bench.run.abort import AbortOnFail
from ombdriver.bench.run.backlog import Backlog
from ombdriver.bench.run.build_up import BuildUp
from ombdriver.bench.run.controller import Controller
from ombdriver.bench.run.events import Finished
from ombdriver.bench.run.fault_injector import FaultInjector, RunSystem
from ombdriver.bench.run.measurement import Measurement
from ombdriver.bench.run.memory import MemoryMonitor
from ombdriver.bench.run.phases import Phases
from ombdriver.bench.run.progress import ProgressReporter
from ombdriver.bench.run.rate_search import RateSearch
from ombdriver.bench.run.request import Request, new_run_id, plan_of
from ombdriver.bench.run.run_servers import start_servers
from ombdriver.bench.run.signals import Interrupt
from ombdriver.bench.run.workers import Workers
from ombdriver.bench.servers.fsync_gate import fsync_gate_cost_ns
from ombdriver.bench.servers.here import where_are
from ombdriver.bench.servers.linked_ports import LinkedPorts, link_to
from ombdriver.bench.servers.managed import ManagedServers
from ombdriver.bench.servers.topology import places
from ombdriver.bench.spec.credentials import started_url
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.thresholds import Threshold
from ombdriver.bench.telemetry.installation import host, load_average
from ombdriver.bench.telemetry.machine import available_memory
from ombdriver.bench.telemetry.sampler import Telemetry
from ombdriver.bench.verdict.assess import assess, run_facts
from ombdriver.bench.verdict.facts import Facts, WorkerFacts
from ombdriver.bench.worker.server_time import ask_server_times
from ombdriver.errors import LINE, InputError, OmbdriverError, RunError, ServerError

if TYPE_CHECKING:
    from ombdriver.bench.hosts.cluster import Cluster
    from ombdriver.bench.hosts.dask_hosts import Hosts

logger = logging.getLogger(__name__)

READ_BYTES = 1 << 20
"""One read of a consumer should bring about so much at most, whatever the size of the messages."""
MOST_PER_READ = 500


async def run(
    request: Request,
    display: LiveView,
    stop: Interrupt,
    on_event: events.Subscriber = lambda _: None,
) -> Finished | None:
    """Carries out one run; None when it was interrupted before there was anything to measure.

    `on_event` is given the run's events, after all others that subscribe to them; it must not fail, and not wait before
    the last one.

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
        with stop.cancels(), BuildUp(display) as build_up:
            faults = [spec.make() for spec in plan.faults]
            with_links = any(fault.needs_links for fault in faults)
            if with_links and (errors := preflight.link_errors(plan, request.setup, most_open_files())):
                raise InputError(errors)
            hosts = None
            if request.cluster is not None and request.cluster.server_host is not None:
                build_up.waits("until the hosts are connected")
                hosts = await _connected(request.cluster, stack)
            build_up.waits("until the servers of the setup are up")
            started = await start_servers(request.setup, stack, faults, None if hosts is None else hosts.server_host)
            servers, url = started.here, started.url
            gate_ns = await _fsync_gate_ns(servers)
            options = driver_options(plan, request.setup, url)
            build_up.waits("until the server has answered")
            driver = await load_driver(request.setup.driver_used)(options)
            stack.push_async_callback(driver.aclose)
            description = await driver.describe()
            if started.has_limit:
                description = {**description, LIMIT_BY_DEFAULT: True}
            engine, version = (description.get(name) or "?" for name in ("engine", "version"))
            logger.info("run %s on %s %s", plan.run_id, engine, version)
            forced = _check(description, plan, request)
            if request.setup.is_users_server:
                stack.push_async_callback(_delete_created, driver, request.setup, plan.run_id)
            if request.cluster is not None and hosts is None:
                build_up.waits("until the hosts are connected")
                hosts = await _connected(request.cluster, stack)
            build_up.waits("until the server has its topics and groups")
            await driver.create_topics(plan.topics, plan.subscriptions)
            what = "subscribed to" if plan.existing else "created"
            logger.info("%s %d topics of %d streams in all", what, len(plan.topics), plan.partitions)
            linked = servers.linked if servers else await _link_to_yours(with_links, url, stack)
            of_workers = options | _by_links(linked, request.setup)
            launcher = None if hosts is None else hosts.coordinator
            build_up.waits("until the workers are connected")
            workers = await stack.enter_async_context(Workers(plan, request.setup.driver_used, of_workers, launcher))
            server_times = () if hosts is None else await ask_server_times(driver)
        streams = request.setup.streams
        durability = Durability.of(_text(description.get("config")), streams.wait_replicas, streams.wait_aof)
        measurement = Measurement(plan, driver.inspector(), fault_site(request.setup), durability)
        processes = measurement.collector.processes
        pids = workers.pids if hosts is None else [None] * len(plan.workers)
        of_hosts = [] if hosts is None else hosts.series(started.count)
        of_server = None if hosts is None or hosts.server_host is None else of_hosts[hosts.server_host.number]
        telemetry = Telemetry(
            plan,
            driver,
            processes,
            pids,
            servers.pids if servers else (),
            of_hosts,
            None if hosts is None else hosts.scheduler,
            of_server,
        )
        stack.push_async_callback(telemetry.aclose)
        thresholds = request.workload.thresholds if request.workload.abort_on_fail else ()
        abort = AbortOnFail([Threshold.parse(text) for text in thresholds])
        run_events = events.RunEvents()
        run_events.subscribe(events.log)
        run_events.subscribe(partial(_sample, telemetry))
        run_events.subscribe(ProgressReporter(display, plan, measurement, lambda: telemetry.server_now).on_event)
        run_events.subscribe(abort.on_event)
        run_events.subscribe(on_event)
        on_host = 0
        if not started.elsewhere:
            on_host = await servers_on_host(request.setup, driver.statistics().get("primaries", 0))
        memory = MemoryMonitor(
            plan, getattr(driver, "memory", None), available_memory if on_host else None, _copies(description)
        )
        stack.push_async_callback(memory.aclose)
        run_events.subscribe(memory.on_event)
        phases = Phases(plan, workers, driver, stop, measurement, run_events, started.check, memory)
        search = RateSearch(plan, phases, measurement, lambda: telemetry.server_now) if plan.search else None
        backlog = Backlog(plan, phases, measurement) if plan.backlog else None
        system = RunSystem(
            plan,
            workers,
            servers,
            linked,
            telemetry.add_server,
            getattr(driver, "key_of", None),
            measurement.sent_before_window,
            telemetry.add_worker,
        )
        injector = (
            FaultInjector(plan, system, measurement.note_wiped, memory.limits_of_a_fault) if plan.faults else None
        )
        controller = Controller(plan, phases, measurement, stop, abort, search, backlog, injector)
        failure: OmbdriverError | None = None
        try:
            await controller.run()
        except OmbdriverError as error:
            if measurement.view is None:
                raise
            failure = error
        if measurement.view is None:
            return None
        await telemetry.stop()
        await memory.aclose()
        counts = driver.statistics()
        observed = replace(
            measurement.facts,
            ending=controller.ending,
            forced=forced,
            ways_out=_ways_out(driver, [text for text, _ in measurement.facts.send_errors]),
            servers_on_host=on_host if hosts is None else 0,  # no worker shares this machine with them
            telemetry=telemetry.summary(),
            servers_ended=started.ended(),
            cut_unacknowledged=counts.get("trimmedUnacknowledged", 0),
            failed_trims=counts.get("failedTrims", 0),
            refused_ms=_refused_ms(phases, measurement, counts),
            primaries=counts.get("primaries", 0),
            streams=counts.get("streams", 0),
            most_of_a_primary=counts.get("mostOfAPrimary", 0),
            durability=str(durability),
            fsync_gate_ns=gate_ns,
            workers=_on_hosts(measurement.facts.workers, plan, hosts),
            clock_error_ns=_clock_error_ns(request, hosts),
            hosts=telemetry.hosts(),
            clock_contradictions=() if hosts is None else hosts.contradictions(server_times),
        )
        told = [] if hosts is None else hosts.to_json(server_times)
        finished = _store_result(request, plan, controller, observed, description, telemetry, load_at_start, told)
        run_events.publish(finished)
        if failure is not None:
            raise failure
        return finished


def _clock_error_ns(request: Request, hosts: "Hosts | None") -> int:
    """How wrong an end-to-end latency may be by the clocks of hosts; none where each is within one host."""
    if hosts is None or request.cluster is None or request.cluster.layout.within_hosts:
        return 0
    return hosts.coordinator.clock_error_ns()


def _on_hosts(workers: Sequence[WorkerFacts], plan: Plan, hosts: "Hosts | None") -> Sequence[WorkerFacts]:
    """The workers, with the names of the hosts that they were on, if these are others."""
    if hosts is None:
        return workers
    names = {each.index: hosts.coordinator.hosts[each.host].name for each in plan.workers}
    return [replace(each, host=names[each.index]) for each in workers]


def _ways_out(driver: Driver, errors: Sequence[str]) -> Mapping[str, str]:
    """What the driver, if it can tell, says is to be done about errors that messages met."""
    ask: Callable[[str], str | None] = getattr(driver, "way_out", lambda _: None)
    return {text: advice for text in errors if (advice := ask(text)) is not None}


async def servers_on_host(setup: Setup, primaries: int) -> int:
    """How many server processes there are on this machine: those of the setup, or those that its URLs name.

    A URL need not name all `primaries` of a cluster; they count where those that it names are.
    """
    if setup.server is None:
        return 0
    if setup.server.engine is not None:
        return len(places(setup.server.plan))
    found = await where_are(setup.server.urls)
    here = [each for each in found if each != "remote"]
    return max(len(here), primaries) if len(here) == len(found) else len(here)


def _text(config: object) -> Mapping[str, str]:
    """The server's options as it tells them; none where it does not."""
    return {str(name): str(value) for name, value in config.items()} if isinstance(config, Mapping) else {}


def _refused_ms(phases: Phases, measurement: Measurement, counts: Mapping[str, int]) -> int:
    """For how long the server refused what was no message: of the parent, of workers that connected, and probes."""
    of_workers = measurement.collector.counters().get("refusedMs", 0)
    return counts.get("refusedMs", 0) + of_workers + round(phases.refused_s * 1000)


def _copies(description: Mapping[str, object]) -> int:
    """How many servers have each message."""
    replicas = description.get("replicas")
    return 1 + replicas if isinstance(replicas, int) else 1


def _sample(telemetry: Telemetry, event: events.RunEvent) -> None:
    """Tells the telemetry of each phase as it begins and when it is over."""
    match event:
        case events.PhaseBegan(_, phase):
            telemetry.begin_phase(phase)
        case events.PhaseExtended(phase):
            telemetry.extend_phase(phase)
        case events.Waiting(state) if state is not events.RunState.READY:
            telemetry.end_phase()


def _store_result(
    request: Request,
    plan: Plan,
    controller: Controller,
    observed: Facts,
    description: Mapping[str, object],
    telemetry: Telemetry,
    load_at_start: Sequence[float] | None,
    of_hosts: Sequence[Mapping[str, object]],
) -> Finished:
    """Assesses a run that has been measured, and stores its result.

    Raises:
        OmbdriverError: if it can't be written.
    """
    assert controller.begin_time is not None
    metrics = controller.measurement.metrics()
    if controller.backlog is not None:
        metrics = replace(metrics, backlog_drain=controller.backlog.metrics())
    machine = host()
    calibration = None if of_hosts else store.latest_calibration(request.output, machine)
    observed = replace(observed, cores=min(request.cores, machine["cpu"]["coresLimit"] or request.cores))
    thresholds = [Threshold.parse(text) for text in request.workload.conditions]
    facts = run_facts(metrics, plan, observed, controller.measurement.calm)
    record = RunRecord(
        run_id=plan.run_id,
        workload_spec=request.workload.spec(),
        workload_sha256=request.workload.sha256,
        setup=request.setup.spec(),
        driver=request.setup.driver_used,
        begin_time=controller.begin_time,
        ending=controller.ending,
        profile=plan.profile,
        search_result=controller.found,
        environment=fingerprint(
            description, request.command_line, load_at_start=load_at_start, seeds={"workload": request.workload.seed}
        )
        | {"workers": [worker_to_json(each) for each in facts.workers], "harness": calibration}
        | ({} if request.cluster is None else {"layout": request.cluster.layout.to_json(), "hosts": of_hosts}),
        telemetry=telemetry.to_json(),
        tags=request.tags,
        standing=request.standing,
        overrides=request.overrides,
        sweep=request.sweep,
        sweep_of=request.sweep_of,
        durability=controller.measurement.durability if plan.faults else None,
        clock_error_ms=observed.clock_error_ns / 1e6 if of_hosts else None,
    )
    assessment = assess(metrics, facts, thresholds, calibration, loopback=request.setup.loopback)
    result = build_result(metrics, record, assessment)
    return Finished(result, store.save(result, request.output))


# -- what is built up --------------------------------------------------------------------------------------------------


async def _connected(cluster: "Cluster", stack: AsyncExitStack) -> "Hosts":
    from ombdriver.bench.hosts import dask_hosts  # here, since few runs have other hosts

    return await stack.enter_async_context(dask_hosts.connected(cluster))


async def _fsync_gate_ns(servers: ManagedServers | None) -> int | None:
    """By how much fsyncs of the servers take longer, where another process carries them out."""
    if servers is None or not servers.plan.equipment.fsync_gate:
        return None
    return await asyncio.to_thread(fsync_gate_cost_ns)


async def _link_to_yours(wanted: bool, url: str | None, stack: AsyncExitStack) -> LinkedPorts | None:
    """The link by which workers reach a server of the user's, where it is wanted."""
    if not wanted or url is None:
        return None
    linked = await link_to(url)
    stack.push_async_callback(linked.links.aclose)
    return linked


def _by_links(linked: LinkedPorts | None, setup: Setup) -> dict[str, object]:
    """The options by which the workers' driver is given links, if there are any; this process goes past them."""
    if linked is None or setup.server is None:
        return {}
    url = {"url": started_url(linked.url, setup.server.config)} if linked.url else {}
    return {**url, "links": ",".join(f"{port}:{link}" for port, link in linked.ports.items())}


def driver_options(plan: Plan, setup: Setup, url: str | None) -> dict[str, object]:
    """What the driver's factory is given in every process of the run."""
    if url is None:
        return {}
    readers = [reader for worker in plan.workers for reader in worker.consumers]
    covered = max((reader.streams for reader in readers), default=1)
    if setup.in_cluster:
        covered = 1  # a read can't cross slots
    read_count = max(1, min(MOST_PER_READ, READ_BYTES // (plan.payload.size * covered)))
    trimming, streams = plan.trimming, setup.streams
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
        "ack": streams.ack,
        "groups": max(1, len(plan.subscriptions)),
        "read_count": streams.read_count or read_count,
        "block_ms": streams.block_ms,
        "max_in_flight": setup.client.max_in_flight,
        "connections": setup.client.sending_connections,
        "reclaim_ms": streams.reclaim_after_ms or 0,
        "runner_concurrency": setup.client.runner_concurrency,
        "wait_replicas": streams.wait_replicas,
        "wait_aof": streams.wait_aof,
        "wait_timeout_ms": streams.longest_wait_ms,
        "balanced": streams.placement == "balanced",
        "from_end": plan.existing and not plan.from_beginning,
        "address_from": setup.origin.address,
        "login_from": setup.origin.login,
        **({"groups_again": True} if plan.faults and not plan.existing else {}),
    }


def _check(description: Mapping[str, object], plan: Plan, request: Request) -> Sequence[str]:
    """What speaks against this server and was let pass by `--force`.

    Raises:
        ServerError: if it can't take the run.
    """
    setup = request.setup
    room: Sequence[str] = ()
    found = list(preflight.missing_requirements(description, setup.requirements(len(plan.subscriptions))))
    if setup.is_users_server or plan.backlog is not None:
        room = preflight.memory_errors(description, memory_estimate(plan), backlog=plan.backlog is not None)
    if not request.force:
        found += room
    if setup.is_users_server:
        found += preflight.safety_errors(description)
    if found:
        raise ServerError(f"this server can't take the run:{LINE}{LINE.join(found)}")
    return room


async def _delete_created(driver: Driver, setup: Setup, run_id: str) -> None:
    try:
        deleted = await driver.delete_created()
        logger.info("deleted %d streams", deleted)
    except OmbdriverError as error:
        url = setup.spec().get("server", {}).get("url", "the server")
        way_out = f"`ombdriver clean --url {url} --run-id {run_id}`"
        raise RunError(f"{error}; what this run created is still there: {way_out}") from error
