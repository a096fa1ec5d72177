"""What the delivery ledger costs a worker: the same work with it and without, one after the other, per message."""

import asyncio
import time
from collections.abc import Sequence

import numpy as np

from ombdriver.bench.drivers.api import Batch, OnAcknowledged
from ombdriver.bench.ledger.received import DeliveryRecorder
from ombdriver.bench.load.flow import Flows
from ombdriver.bench.load.message import STAMP
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.recorder import Recorder
from ombdriver.bench.worker.consumer import Receiver
from ombdriver.bench.worker.in_flight import Flow, InFlightBatches, SentBatch

MESSAGES, BATCH, BLOCK = 200_000, 500, 64
PASSES = 5
START = 10**9


class _NoLedger(DeliveryRecorder):
    """Records no delivery."""

    def add(self, *_: object) -> None:
        """Does nothing."""


class _Reader:
    """Hands over batches that are there already."""

    def __init__(self, reader: Receiver, batches: Sequence[Batch]) -> None:
        self._reader, self._batches = reader, iter(batches)
        self._left = len(batches)

    async def receive(self) -> Batch:
        """The next one; after the last one the receiver stops."""
        self._left -= 1
        if not self._left:
            self._reader.stop()
        return next(self._batches)

    def acknowledge(self, batch: Batch, done: OnAcknowledged) -> None:
        """At once."""
        done(batch.arrival_ns)

    async def aclose(self) -> None:
        """Nothing to end."""


def _recorder() -> Recorder:
    recorder = Recorder(10**9)
    recorder.begin_phase(Phase(0, "measure", START, 10**12, 1))
    return recorder


def _consume(batches: Sequence[Batch], ledger: type[DeliveryRecorder]) -> float:
    reader = Receiver(Flows(7, 1, 1), "g", _recorder())
    reader.deliveries = ledger(1)
    start = time.perf_counter()
    asyncio.run(reader.run(_Reader(reader, batches)))
    reader.flush()
    reader.deliveries.take()
    return time.perf_counter() - start


def consume_ns() -> float:
    """Nanoseconds that the ledger adds to a message received; the median of some passes, taken in turn."""
    body = bytes(1024 - STAMP.size)
    payloads = [STAMP.pack(START, START, 7, 0, 0, 0, number) + body for number in range(MESSAGES)]
    batches = [Batch(payloads[at : at + BATCH], START + at, None) for at in range(0, MESSAGES, BATCH)]
    found = [_consume(batches, DeliveryRecorder) - _consume(batches, _NoLedger) for _ in range(PASSES)]
    return float(np.median(found)) * 1e9 / MESSAGES


def _acknowledge(answer: bytes | None) -> float:
    replies, flow = InFlightBatches(_recorder()), Flow()
    intended = list(range(START, START + BLOCK))
    blocks = [SentBatch(intended, START) for _ in range(MESSAGES // BLOCK)]
    start = time.perf_counter()
    for block in blocks:
        flow.batches.append(block)
        replies.on_replies(flow, BLOCK, None, START, answer)
    replies.flush()
    if answer is not None:
        replies.take_report([flow])
    return time.perf_counter() - start


def publish_ns() -> float:
    """Nanoseconds that the ledger adds to a message acknowledged; the median of some passes, taken in turn.

    What can't be left out, a counter for each block, is in both.
    """
    found = [_acknowledge(b"1700000000000-0") - _acknowledge(None) for _ in range(PASSES)]
    return float(np.median(found)) * 1e9 / MESSAGES
