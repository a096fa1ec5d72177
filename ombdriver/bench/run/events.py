"""What happens in a run, as events: whoever shows, samples, ends or logs a run subscribes to them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.phase_view import PhaseView
from ombdriver.bench.results.result import Result
from ombdriver.bench.units import SECOND

logger = logging.getLogger(__name__)


class RunState(Enum):
    """Where a run is."""

    READY = "ready"
    WARM_UP = "warm-up"
    SEARCH = "search"
    CUT = "clean cut"
    BUILD = "build"
    CATCH_UP = "catch-up"
    MEASURE = "measure"
    DRAIN = "drain"

    @property
    def is_measured(self) -> bool:
        """Whether the phase under way is the one that is measured."""
        return self in (RunState.CATCH_UP, RunState.MEASURE)


@dataclass(frozen=True, slots=True)
class PhaseBegan:
    """A phase has been ordered; its first message is due a little later."""

    state: RunState
    phase: Phase


@dataclass(frozen=True, slots=True)
class PhaseExtended:
    """The phase under way ends later than it was to."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class IntervalClosed:
    """A sample interval of a phase is complete: the last one of `view`."""

    state: RunState
    view: PhaseView


@dataclass(frozen=True, slots=True)
class Polled:
    """The workers have reported; `view` is of the phase up to now."""

    state: RunState
    view: PhaseView


@dataclass(frozen=True, slots=True)
class Waiting:
    """No phase is under way: the run waits for what its state is about; published with each poll."""

    state: RunState


@dataclass(frozen=True, slots=True)
class Finished:
    """The result is on disk, and nothing has been taken down yet, which may fail.

    The last event of a run. One that ends before there is anything to measure has no result, and ends without it.
    """

    result: Result
    path: Path


RunEvent = PhaseBegan | PhaseExtended | IntervalClosed | Polled | Waiting | Finished
Subscriber = Callable[[RunEvent], None]


class RunEvents:
    """The events of one run: each is given to all subscribers, in the order in which they have subscribed."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def __repr__(self) -> str:
        return f"<RunEvents for {len(self._subscribers)} subscribers>"

    def subscribe(self, subscriber: Subscriber) -> None:
        """Gives `subscriber` all events from now on; it must neither fail nor wait."""
        self._subscribers.append(subscriber)

    def publish(self, event: RunEvent) -> None:
        """Gives `event` to all subscribers."""
        for subscriber in self._subscribers:
            subscriber(event)


def log(event: RunEvent) -> None:
    """A subscriber that logs which load begins."""
    if isinstance(event, PhaseBegan | PhaseExtended):
        phase = event.phase
        at_most = "up to " if phase.profile is not None else ""
        logger.info("%s: %s%d messages/s for %g s", phase.name, at_most, phase.rate, phase.duration_ns / SECOND)
