"""What crosses between the parent and a worker: commands one way, reports the other. Plain data (`wire_format`).

Times are of the run's clock; a worker on another host translates them (`load.host_clock`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ombdriver.bench.load.host_clock import SAME_HOST, HostClock, ServerTime
from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.report import Report
from ombdriver.bench.plan.plan import Plan, WorkerPlan


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a worker takes up the work of one that has died.

    Attributes:
        flows: of each flow that it sends to: its number, messages sent, and of these, those of the phase under way.
    """

    flows: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """What one worker is for.

    Attributes:
        plan: the run (`Plan.for_a_worker`).
        worker: this worker's part of it.
        driver: the driver's registered name.
        options: what its factory is given.
        host_clock: of the host that it is on, as far as it is known before anything starts.
        tells_server_time: whether it says how the servers' clocks stand to that of its host.
        resume: where it goes on in the place of another one; None where it begins.
        files: of a worker on another host, what is in the files that the driver's URL names, by its options.
    """

    plan: Plan
    worker: WorkerPlan
    driver: str
    options: Mapping[str, object]
    host_clock: HostClock = SAME_HOST
    tells_server_time: bool = False
    resume: Resume | None = None
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)


# -- commands of the parent --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SendProbes:
    """Send one message to every partition of every producer's topic.

    Attributes:
        wanted: (producer, partition) of those that are meant; None for all.
    """

    wanted: frozenset[tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class BeginPhase:
    """A phase begins, a little in the future."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class SetClock:
    """How the clock of the host stands to the run's from now on: more is known of it than before."""

    host_clock: HostClock


@dataclass(frozen=True, slots=True)
class ExtendPhase:
    """The phase under way, which has not ended, is to end later; its rate goes on."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class Settled:
    """The phase under way has settled: what held the worker up in it so far is forgotten."""


@dataclass(frozen=True, slots=True)
class Poll:
    """Report now."""


@dataclass(frozen=True, slots=True)
class HoldTrimming:
    """Trim nothing while `hold` is set: a subscription has fallen far behind."""

    hold: bool


@dataclass(frozen=True, slots=True)
class PauseConsumers:
    """Read until a read brings nothing, then read no more: what was read is recorded and acknowledged by then."""


@dataclass(frozen=True, slots=True)
class ResumeConsumers:
    """Read again, from a time on."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class CrashConsumers:
    """Some of the worker's consumers end as by a crash: what they have not acknowledged stays pending.

    Attributes:
        places: which, by their places in the worker's plan.
    """

    places: frozenset[int]


@dataclass(frozen=True, slots=True)
class RestartConsumers:
    """Consumers that have crashed read again, beginning with what is pending for them.

    Attributes:
        places: as in `CrashConsumers`.
    """

    places: frozenset[int]


@dataclass(frozen=True, slots=True)
class Die:
    """Report, and end by SIGKILL in the same turn of the loop."""


@dataclass(frozen=True, slots=True)
class StopSending:
    """Stop sending; what was due and is not sent is recorded as unsent."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is waited for any longer: stop sending and reading, record what has no reply, and report."""


@dataclass(frozen=True, slots=True)
class Exit:
    """Close everything and end."""


Command = (
    SendProbes
    | SetClock
    | BeginPhase
    | ExtendPhase
    | Settled
    | Poll
    | HoldTrimming
    | PauseConsumers
    | ResumeConsumers
    | CrashConsumers
    | RestartConsumers
    | Die
    | StopSending
    | Finish
    | Exit
)

# -- what a worker says ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connected:
    """Consumers read, producers can send; `server_times` by the host's clock, of a worker that is to tell them."""

    server_times: tuple[ServerTime, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker can't go on; `known`: by an error of ours, whose message is enough, and no fault of the program."""

    message: str
    known: bool


@dataclass(frozen=True, slots=True)
class Exiting:
    """Everything is closed."""


@dataclass(frozen=True, slots=True)
class Dying:
    """The last words of a worker that was told to die: it has done what is in the report, and nothing more."""

    report: Report


WorkerMessage = Connected | Report | Failed | Exiting | Dying
