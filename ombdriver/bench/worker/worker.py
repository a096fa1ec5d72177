"""One worker: producers and consumers on one event loop, doing what the parent orders.

Knows the plan, the driver's seam and the two halves of the work; never a server, YAML, the command line or the wall
clock. It learns of its parent only through the `Link` it is given.
"""

import asyncio
import contextlib
import time
import traceback
from collections.abc import Callable, Coroutine
from typing import Protocol

from ombdriver.bench.drivers.api import Driver, load_driver
from ombdriver.bench.load.message import KeySource, PayloadPool, run_number
from ombdriver.bench.metrics.recorder import Recorder
from ombdriver.bench.metrics.report import ProcessUsage, Report, SentReport
from ombdriver.bench.telemetry import process
from ombdriver.bench.telemetry.event_loop import GcPauses, LoopStalls
from ombdriver.bench.worker import protocol
from ombdriver.bench.worker.consumer import Consumers, OwnMessages, Receiver, SimulatedProcessing
from ombdriver.bench.worker.pacer import make_pacer
from ombdriver.bench.worker.publisher import Publisher, Sender
from ombdriver.errors import OmbdriverError

LET_GO_S = 1.0
"""How long a worker that has failed may take to close what it holds."""


class Link(Protocol):
    """The worker's end of the pipe."""

    def send(self, message: protocol.Message) -> None:
        """Gives `message` to the parent."""
        ...

    def listen(self, on_order: Callable[[protocol.Order], None], on_gone: Callable[[], None]) -> None:
        """Calls `on_order` with each order, and `on_gone` once when there is no parent any more."""
        ...


class Worker:
    """Holds the worker's producers and consumers; see `serve`."""

    def __init__(self, job: protocol.Job, link: Link) -> None:
        self._job, self._link = job, link
        self._recorder = Recorder(job.plan.sample_interval_ns)
        self._driver: Driver | None = None
        self._publisher: Publisher | None = None
        self._consumers = Consumers(self.fail)
        self._reporting: asyncio.Task[None] | None = None
        self._collections, self._stalls = GcPauses(), LoopStalls()
        self._since_ns = 0
        self._throttling = process.throttle_files()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"<Worker {self._job.worker.index} {self._publisher} {self._consumers}>"

    async def connect(self) -> None:
        """Makes consumers, then producers.

        Raises:
            OmbdriverError: if the driver can't.
        """
        job, plan = self._job, self._job.plan
        run = run_number(plan.run_id)
        partitions = max(topic.partitions for topic in plan.topics)
        expected = OwnMessages(run, plan.producers, partitions, plan.payload.checksums, plan.existing)
        self._driver = driver = await load_driver(job.driver)(job.options)
        for number, planned in enumerate(job.worker.consumers, start=1):
            dealt = {} if planned.partitions is None else {"partitions": planned.partitions}
            consumer = await driver.create_consumer(planned.topics, planned.subscription, planned.name, **dealt)
            self._consumers.add(
                consumer, Receiver(expected, planned.subscription, self._recorder, self._working(number))
            )
        if not plan.from_beginning:
            self._consumers.start()
        if not job.worker.producers:
            return
        senders = []
        for assigned in job.worker.producers:
            keys = KeySource.make(plan.payload, assigned.index)
            flows = [plan.flow(assigned.index, partition) for partition in range(assigned.topic.partitions)]
            sender = Sender(assigned.index, flows, keys, plan.max_in_flight)
            sender.handle = await driver.create_producer(assigned.topic, sender.on_replies)
            senders.append(sender)
        pool = PayloadPool(plan.payload)
        self._publisher = Publisher(run, senders, plan.producers, pool, self._recorder, time.monotonic_ns, make_pacer)

    def _working(self, consumer: int) -> SimulatedProcessing | None:
        plan, worker = self._job.plan, self._job.worker.index
        if plan.consumer_work is None:
            return None
        return SimulatedProcessing(plan.consumer_work, (abs(plan.payload.seed), worker, consumer))

    # -- orders ----------------------------------------------------------------------------------------------------

    def obey(self, order: protocol.Order) -> None:
        """Carries out one order of the parent."""
        try:
            self._actions[type(order)](self, order)
        except Exception as error:
            self.fail(error)

    def _probe(self, _order: protocol.Order) -> None:
        if self._publisher:
            self._publisher.probe()

    def _begin(self, order: protocol.Order) -> None:
        assert isinstance(order, protocol.Begin)
        self._collections.quieten()
        self._stalls.reset()
        self._since_ns = time.monotonic_ns()
        self._recorder.open(order.phase)
        self._consumers.start_at(order.phase.start_ns)  # what is there already is read within the first phase
        if self._publisher:
            self._publisher.acknowledgements.listen(self._since_ns)
            self._publisher.begin(order.phase)

    def _poll(self, _order: protocol.Order) -> None:
        self._start_reporting(self._report())

    def _start_reporting(self, report: Coroutine[object, object, None]) -> None:
        self._reporting = asyncio.get_running_loop().create_task(report)
        self._reporting.add_done_callback(self._reported)

    def _reported(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    async def _report(self) -> None:
        """Folds and reports."""
        publisher, consumers = self._publisher, self._consumers
        if publisher:
            publisher.acknowledgements.fold()
        await consumers.fold()
        replies = publisher.acknowledgements if publisher else None
        self._link.send(
            Report(
                figures=self._recorder.take(),
                sent=publisher.sent if publisher else 0,
                acknowledged=replies.replied - replies.failed if replies else 0,
                failed=replies.failed if replies else 0,
                unsent=publisher.unsent if publisher else 0,
                overdue=publisher.overdue if publisher else 0,
                received=consumers.received(),
                probed=consumers.take_probes(),
                strangers=consumers.strangers,
                errors=dict(replies.errors) if replies else {},
                driver=dict(self._driver.statistics()) if self._driver else {},
                answered=publisher.answered() if publisher else SentReport(),
                arrived=consumers.take_arrived(),
                empty_reads=consumers.empty_reads(),
                reading=consumers.reading,
                process=self._process(),
                longest_silence_ns=replies.longest_silence_ns if replies else 0,
            )
        )

    def _process(self) -> ProcessUsage:
        rss, peak = process.resident_bytes()
        return ProcessUsage(
            cpu_ns=time.process_time_ns(),
            rss_bytes=rss,
            peak_rss_bytes=peak,
            gc_pauses=self._collections.pauses,
            gc_longest_ns=self._collections.longest_ns,
            run_delay_ns=process.run_delay_ns(),
            stalls=self._stalls.count,
            longest_stall_ns=self._stalls.longest_ns,
            stalled_ns=self._stalls.total_ns,
            gc_ns=self._collections.total_ns,
            since_ns=self._since_ns,
            throttled_ns=process.throttled_ns(self._throttling),
        )

    def _prolong(self, order: protocol.Order) -> None:
        assert isinstance(order, protocol.Prolong)
        self._recorder.prolong(order.phase)
        if self._publisher:
            self._publisher.prolong(order.phase)

    def _pause(self, _order: protocol.Order) -> None:
        self._consumers.pause()

    def _resume(self, order: protocol.Order) -> None:
        assert isinstance(order, protocol.Resume)
        self._consumers.resume_at(order.at_ns)

    def _keep(self, order: protocol.Order) -> None:
        assert isinstance(order, protocol.Keep)
        if self._publisher:
            self._publisher.keep_everything(order.everything)

    def _halt(self, _order: protocol.Order) -> None:
        self._recorder.cut(time.monotonic_ns())
        if self._publisher:
            self._publisher.halt()

    def _conclude(self, _order: protocol.Order) -> None:
        self._start_reporting(self._end_and_report())

    async def _end_and_report(self) -> None:
        """Acknowledgements are answered before the last report, so that those refused are in it."""
        self._consumers.leave()
        if self._publisher:
            self._publisher.conclude()
        await self._consumers.close_consumers()
        await self._report()

    def _leave(self, _order: protocol.Order) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    _actions = {  # noqa: RUF012 - a table, read only
        protocol.Probe: _probe,
        protocol.Begin: _begin,
        protocol.Prolong: _prolong,
        protocol.Poll: _poll,
        protocol.Keep: _keep,
        protocol.Pause: _pause,
        protocol.Resume: _resume,
        protocol.Halt: _halt,
        protocol.Conclude: _conclude,
        protocol.Leave: _leave,
    }

    # -- the end ---------------------------------------------------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        """Ends the worker with `error`."""
        if not self.ended.done():
            self.ended.set_exception(error)

    def abandon(self) -> None:
        """The parent is gone: end at once."""
        self.fail(OmbdriverError("the parent is gone"))

    async def aclose(self) -> None:
        """Stops reading, then closes consumers, producers and connections."""
        self._stalls.close()
        self._collections.close()
        self._consumers.leave()
        if self._publisher:
            await self._publisher.aclose()
        await self._consumers.aclose()
        if self._driver:
            await self._driver.aclose()


async def serve(job: protocol.Job, link: Link) -> None:
    """Runs a worker until the parent says so, is gone, or something fails; what fails is told to the parent."""
    worker = Worker(job, link)
    link.listen(worker.obey, worker.abandon)
    try:
        connecting = asyncio.ensure_future(worker.connect())
        await asyncio.wait([connecting, worker.ended], return_when=asyncio.FIRST_COMPLETED)
        if connecting.done():
            connecting.result()
            link.send(protocol.Connected())
        else:
            connecting.cancel()
        await worker.ended
        await worker.aclose()
        link.send(protocol.Left())
    except OmbdriverError as error:
        link.send(protocol.Failed(str(error), known=True))
        await _let_go(worker)
    except Exception:
        link.send(protocol.Failed(traceback.format_exc(), known=False))
        await _let_go(worker)


async def _let_go(worker: Worker) -> None:
    """Closes what a worker that has failed holds, as far as that can be done in time; it has been told."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(LET_GO_S):
            await worker.aclose()
