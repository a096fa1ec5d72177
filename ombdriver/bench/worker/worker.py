"""One worker: producers and consumers on one event loop, doing what the parent commands.

Knows the plan, the driver's seam and the two halves of the work; never a server, YAML, the command line or the wall
clock. It learns of its parent only through the `Link` it is given.
"""

import asyncio
import contextlib
import os
import signal
import time
import traceback
from collections.abc import Callable, Coroutine
from typing import Protocol, assert_never

from ombdriver.bench.drivers.api import Driver, DriverConsumer, load_driver
from ombdriver.bench.limits import limit_reached
from ombdriver.bench.load.host_clock import ServerTime
from ombdriver.bench.load.message import KeySource, PayloadPool
from ombdriver.bench.metrics.recorder import MOMENT_NS, Recorder
from ombdriver.bench.metrics.report import ProbeFailure, ProcessUsage, Report, SentReport
from ombdriver.bench.telemetry import process
from ombdriver.bench.telemetry.event_loop import GcPauses, LoopLateness
from ombdriver.bench.worker import protocol
from ombdriver.bench.worker.consumer import Consumers, Receiver, SimulatedProcessing
from ombdriver.bench.worker.pacer import SpinPacer, make_pacer
from ombdriver.bench.worker.pacing import AdaptivePacing, EachPacing
from ombdriver.bench.worker.publisher import Publisher
from ombdriver.bench.worker.sender import Sender
from ombdriver.bench.worker.server_time import ask_server_times
from ombdriver.errors import OmbdriverError, OutcomeUnknown

CLOSE_TIMEOUT_S = 1.0
"""How long a worker that has failed may take to close what it holds."""


class Link(Protocol):
    """The worker's end of what joins it with the parent."""

    def send(self, message: protocol.WorkerMessage) -> None:
        """Gives `message` to the parent."""
        ...

    def listen(self, on_command: Callable[[protocol.Command], None], on_end: Callable[[str], None]) -> None:
        """Calls `on_command` with each command, and `on_end` once, with the reason, when nothing more can come."""
        ...


class Worker:
    """Holds the worker's producers and consumers; see `serve`.

    Attributes:
        ended: done when the worker is to end; with the error that ends it, if there is one.
    """

    def __init__(self, job: protocol.Job, link: Link) -> None:
        self._job, self._link = job, link
        self._host_clock = job.host_clock
        self._recorder = Recorder(job.plan.sample_interval_ns, MOMENT_NS if job.plan.faults else 0)
        self._driver: Driver | None = None
        self._publisher: Publisher | None = None
        self._consumers = Consumers(self.fail)
        self._reporting: asyncio.Task[None] | None = None
        self._gc_pauses, self._lateness = GcPauses(), LoopLateness(make_pacer)
        self._pauses_since_ns = 0
        self._run_delay, self._throttle_files = process.RunDelay(), process.throttle_files()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"<Worker {self._job.worker.index} {self._publisher} {self._consumers}>"

    async def connect(self) -> None:
        """Makes consumers, then producers.

        Raises:
            OmbdriverError: if the driver can't.
        """
        job, plan = self._job, self._job.plan
        self._driver = driver = await load_driver(job.driver)(job.options)
        for number, planned in enumerate(job.worker.consumers, start=1):
            consumer = await self._create_consumer(number - 1)
            receiver = Receiver(
                plan.flows,
                planned.subscription,
                self._recorder,
                self._processing(number),
                checksums=plan.payload.checksums,
                shared_topics=plan.existing,
                host_clock=self._host_clock,
                counted=job.worker.counted,
            )
            self._consumers.add(consumer, receiver)
        if not plan.from_beginning:
            self._consumers.start()
        if not job.worker.producers:
            return
        senders = []
        sent = {} if job.resume is None else {flow: counts for flow, *counts in job.resume.flows}
        for planned_producer in job.worker.producers:
            index, topic = planned_producer.index, planned_producer.topic
            flows = [plan.flows.number(index, partition) for partition in range(topic.partitions)]
            sender = Sender(index, flows, KeySource.make(plan.payload, index), plan.max_in_flight)
            for flow in sender.flows:
                sender.go_on(flow, *sent.get(flow.number, (0, 0)))
            sender.handle = await driver.create_producer(topic, sender.on_replies)
            senders.append(sender)
        pool, run = PayloadPool(plan.payload), plan.flows.run
        self._publisher = Publisher(
            run,
            senders,
            plan.producers,
            pool,
            self._recorder,
            time.monotonic_ns,
            SpinPacer if job.worker.spins else make_pacer,
            EachPacing() if job.worker.spins or plan.batch_ns else AdaptivePacing(self._run_delay.busy_ns),
            self._run_delay.ns,
            plan.batch_ns,
            self._host_clock,
        )

    async def server_times(self) -> tuple[ServerTime, ...]:
        """The servers' clocks, by that of this host, if the worker is to tell it."""
        if self._driver is None or not self._job.tells_server_time:
            return ()
        return await ask_server_times(self._driver)

    async def _create_consumer(self, place: int) -> DriverConsumer:
        """The consumer at that place in the worker's plan, connected."""
        assert self._driver is not None
        planned = self._job.worker.consumers[place]
        assigned = {} if planned.partitions is None else {"partitions": planned.partitions}
        return await self._driver.create_consumer(planned.topics, planned.subscription, planned.name, **assigned)

    def _processing(self, consumer: int) -> SimulatedProcessing | None:
        plan, worker = self._job.plan, self._job.worker.index
        if plan.processing_time is None:
            return None
        return SimulatedProcessing(plan.processing_time, (abs(plan.payload.seed), worker, consumer))

    # -- commands --------------------------------------------------------------------------------------------------

    def on_command(self, command: protocol.Command) -> None:
        """Carries out one command of the parent."""
        try:
            self._handle(command)
        except Exception as error:
            self.fail(error)

    def _handle(self, command: protocol.Command) -> None:
        publisher, consumers, clock = self._publisher, self._consumers, self._host_clock
        match command:
            case protocol.SendProbes(wanted):
                if publisher:
                    publisher.send_probes(wanted)
            case protocol.SetClock(host_clock):
                self._host_clock = host_clock
                consumers.set_clock(host_clock)
                if publisher:
                    publisher.host_clock = host_clock
            case protocol.BeginPhase(of_run):
                phase = clock.phase_from_run(of_run)
                self._gc_pauses.freeze()
                self._forget_pauses()
                self._recorder.begin_phase(phase)
                consumers.start_at(phase.start_ns)  # what is there already is read within the first phase
                if publisher:
                    publisher.begin_phase(phase)
            case protocol.ExtendPhase(of_run):
                phase = clock.phase_from_run(of_run)
                self._recorder.extend_phase(phase)
                if publisher:
                    publisher.extend_phase(phase)
            case protocol.Settled():
                self._forget_pauses()
            case protocol.Poll():
                self._start_reporting(self._report())
            case protocol.HoldTrimming(hold):
                if publisher:
                    publisher.hold_trimming(hold)
            case protocol.PauseConsumers():
                consumers.pause()
            case protocol.ResumeConsumers(at_ns):
                consumers.resume_at(clock.from_run(at_ns))
            case protocol.CrashConsumers(places):
                consumers.crash(places)
            case protocol.RestartConsumers(places):
                consumers.restart(places, self._create_consumer)
            case protocol.Die():
                self._die()
            case protocol.StopSending():
                self._recorder.end_phase(time.monotonic_ns())
                if publisher:
                    publisher.stop_sending()
            case protocol.Finish():
                self._start_reporting(self._finish_and_report())
            case protocol.Exit():
                if not self.ended.done():
                    self.ended.set_result(None)
            case _:
                assert_never(command)

    def _forget_pauses(self) -> None:
        """What held this process up before now is not of what is measured."""
        self._gc_pauses.reset()
        self._lateness.reset()
        self._pauses_since_ns = time.monotonic_ns()

    # -- reports ---------------------------------------------------------------------------------------------------

    def _start_reporting(self, report: Coroutine[object, object, None]) -> None:
        self._reporting = asyncio.get_running_loop().create_task(report)
        self._reporting.add_done_callback(self._on_reported)

    def _on_reported(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    async def _finish_and_report(self) -> None:
        """Acknowledgements are answered before the last report, so that those refused are in it."""
        self._consumers.stop()
        if self._publisher:
            self._publisher.finish()
        await self._consumers.close_consumers()
        await self._report()

    async def _report(self) -> None:
        """In several turns of the loop, so that what is due meanwhile is sent in between.

        Each part takes some tenths of a millisecond, and some of them together would be seen in the schedule lag.
        """
        usage = self._process_usage()
        await self._consumers.flush()  # gives the loop turns
        report = self._make_report(usage)
        await asyncio.sleep(0)
        self._link.send(report)

    def _die(self) -> None:
        """Ends as a crash would, at a moment of which all is known: of what is in flight nobody learns the outcome."""
        usage = self._process_usage()
        self._consumers.flush_at_once()
        if self._publisher:
            self._publisher.give_up(OutcomeUnknown("the process that sent it was killed before the reply"))
        self._link.send(protocol.Dying(self._make_report(usage)))
        os.kill(os.getpid(), signal.SIGKILL)

    def _make_report(self, usage: ProcessUsage) -> Report:
        """Metrics, counts and what is for the ledger, all of one moment; what consumers have got since they were
        flushed is in none of them, so that nothing is told as received before it is told as sent.
        """
        publisher, consumers = self._publisher, self._consumers
        in_flight = publisher.in_flight if publisher else None
        if publisher:
            publisher.flush()
        return Report(
            metrics=self._recorder.take(),
            sent=publisher.sent if publisher else 0,
            acknowledged=in_flight.replied - in_flight.failed if in_flight else 0,
            failed=in_flight.failed if in_flight else 0,
            unsent=publisher.unsent if publisher else 0,
            overdue=publisher.overdue if publisher else 0,
            received=consumers.received(),
            probed=consumers.take_probes(),
            foreign=consumers.foreign,
            errors=dict(in_flight.errors) if in_flight else {},
            driver=dict(self._driver.statistics()) if self._driver else {},
            sent_report=publisher.take_report() if publisher else SentReport(),
            received_reports=consumers.take_reports(),
            empty_reads=consumers.empty_reads(),
            active_consumers=consumers.active,
            process=usage,
            longest_ack_gap_ns=in_flight.longest_ack_gap_ns if in_flight else 0,
            probe_failures=[self._probe_failure(*each) for each in in_flight.take_failed_probes()] if in_flight else (),
        )

    def _probe_failure(self, flow: int, error: Exception) -> ProbeFailure:
        may_pass = isinstance(error, OutcomeUnknown) or getattr(self._driver, "may_pass", lambda _: False)(error)
        text = f"{type(error).__name__}: {error}"
        advice = getattr(self._driver, "way_out", lambda _: None)(text)
        return ProbeFailure(*self._job.plan.flows.ends(flow), f"{text}; {advice}" if advice else text, may_pass)

    def _process_usage(self) -> ProcessUsage:
        rss, peak = process.resident_bytes()
        return ProcessUsage(
            cpu_ns=time.process_time_ns(),
            rss_bytes=rss,
            peak_rss_bytes=peak,
            gc_pauses=self._gc_pauses.count,
            gc_longest_ns=self._gc_pauses.longest_ns,
            run_delay_ns=self._run_delay.ns(),
            stalls=self._lateness.count,
            longest_stall_ns=self._lateness.longest_ns,
            stalled_ns=self._lateness.total_ns,
            gc_ns=self._gc_pauses.total_ns,
            since_ns=self._pauses_since_ns,
            lateness=self._lateness.histogram(),
            throttled_ns=process.throttled_ns(self._throttle_files),
        )

    # -- the end ---------------------------------------------------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        """Ends the worker with `error`."""
        if not self.ended.done():
            self.ended.set_exception(error)

    def on_link_end(self, reason: str) -> None:
        """No command can come any more: end at once."""
        self.fail(OmbdriverError(reason))

    async def aclose(self) -> None:
        """Stops reading, then closes consumers, producers and connections."""
        self._lateness.close()
        self._gc_pauses.close()
        self._consumers.stop()
        if self._publisher:
            await self._publisher.aclose()
        await self._consumers.aclose()
        if self._driver:
            await self._driver.aclose()
        self._run_delay.close()


async def serve(job: protocol.Job, link: Link) -> None:
    """Runs a worker until the parent says so, is gone, or something fails, which the parent learns."""
    worker = Worker(job, link)
    link.listen(worker.on_command, worker.on_link_end)
    try:
        connecting = asyncio.ensure_future(worker.connect())
        await asyncio.wait([connecting, worker.ended], return_when=asyncio.FIRST_COMPLETED)
        if connecting.done():
            connecting.result()
            link.send(protocol.Connected(await worker.server_times()))
        else:
            connecting.cancel()
        await worker.ended
        await worker.aclose()
        link.send(protocol.Exiting())
    except OmbdriverError as error:
        link.send(protocol.Failed(str(error), known=True))
        await _close_in_time(worker)
    except Exception as error:
        limit = limit_reached(error)
        link.send(protocol.Failed(limit or traceback.format_exc(), known=limit is not None))
        await _close_in_time(worker)


async def _close_in_time(worker: Worker) -> None:
    """Closes what a failed worker holds, as far as that can be done in time; the parent knows of the failure."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await worker.aclose()
