"""What crosses the pipe between the parent and a worker: plain data, in both directions."""

from collections.abc import Mapping
from dataclasses import dataclass

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.report import Report
from ombdriver.bench.plan.plan import Plan, WorkerPlan


@dataclass(frozen=True, slots=True)
class Job:
    """What one worker is for.

    Attributes:
        plan: the whole run.
        worker: this worker's part of it.
        driver: the driver's registered name.
        options: what its factory is given.
    """

    plan: Plan
    worker: WorkerPlan
    driver: str
    options: Mapping[str, object]


# -- orders of the parent ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Probe:
    """Send one message to every partition of every producer's topic."""


@dataclass(frozen=True, slots=True)
class Begin:
    """A phase begins, a little in the future."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class Prolong:
    """The phase under way, which has not ended, is to end later; its rate goes on."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class Poll:
    """Fold and report now."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Trim nothing while `everything` is set: a subscription has fallen far behind."""

    everything: bool


@dataclass(frozen=True, slots=True)
class Pause:
    """Read until a read brings nothing, then read no more: what was read is booked and acknowledged by then."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Read again, from a time on the monotonic clock on."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop sending; what was due and is not sent is told as unsent."""


@dataclass(frozen=True, slots=True)
class Conclude:
    """Nothing is waited for any longer: halt, stop reading, tell what has no reply, and report."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Close everything and end."""


Order = Probe | Begin | Prolong | Poll | Keep | Pause | Resume | Halt | Conclude | Leave

# -- what a worker says --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connected:
    """Consumers read, producers can send."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker can't go on; `known` tells an error of ours, whose message is enough, from a fault of the program."""

    message: str
    known: bool


@dataclass(frozen=True, slots=True)
class Left:
    """Everything is closed."""


Message = Connected | Report | Failed | Left
