"""What crosses the pipe between the parent and a worker: plain data, in both directions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ombdriver.bench.arrivals import Arrived
from ombdriver.bench.figures import Figures, Phase
from ombdriver.bench.plan import Plan, WorkerPlan
from ombdriver.bench.published import Answered


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
class ProcessFigures:
    """A worker process since its start.

    Attributes:
        cpu_ns: processor time, user and system.
        rss_bytes: the resident size now.
        peak_rss_bytes: the greatest resident size so far.
        gc_pauses: collections by the garbage collector since the last phase began.
        gc_longest_ns: the longest of them.
        run_delay_ns: time that its main thread was ready to run and had no processor (0: not told by this system).
        stalls: times since the last phase began that the event loop was held up for longer than a few milliseconds.
        longest_stall_ns: the longest of them.
        stalled_ns: all of them together.
        gc_ns: all collections since the last phase began together.
        since_ns: when that phase began for this process, on the monotonic clock.
        throttled_ns: how long its cgroup was kept from running by a limit; None where the system does not tell.
    """

    cpu_ns: int = 0
    rss_bytes: int = 0
    peak_rss_bytes: int = 0
    gc_pauses: int = 0
    gc_longest_ns: int = 0
    run_delay_ns: int = 0
    stalls: int = 0
    longest_stall_ns: int = 0
    stalled_ns: int = 0
    gc_ns: int = 0
    since_ns: int = 0
    throttled_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to `Poll`: figures since the last one, and totals over all phases and probes.

    Attributes:
        figures: since the last report.
        sent: messages sent.
        acknowledged: of these, answered well.
        failed: of these, answered with an error, or lost with the connection.
        unsent: messages of the current phase that are not sent yet; of random arrivals about so many, and 0 at the end.
        received: messages per subscription.
        probed: (subscription, producer, partition) of each probe that arrived since the last report.
        strangers: messages that were not of this run.
        errors: how often each error was met, by its text.
        driver: the driver's own counters.
        answered: what the ledger has to know of what was sent, since the last report.
        arrived: what each consumer was given since the last report: its subscription and the runs.
        empty_reads: reads of each subscription's consumers that brought nothing, one after the other and until now;
            the fewest of any of its consumers.
        reading: consumers that have not paused.
        process: the process.
        longest_silence_ns: the longest time of the current phase in which a message was due and none acknowledged.
        overdue: messages of the current phase that are due and not sent.
    """

    figures: Figures
    sent: int
    acknowledged: int
    failed: int
    unsent: int
    received: Mapping[str, int]
    probed: frozenset[tuple[str, int, int]]
    strangers: int
    errors: Mapping[str, int]
    driver: Mapping[str, int]
    answered: Answered = field(default_factory=Answered)
    arrived: Sequence[tuple[str, Arrived]] = ()
    empty_reads: Mapping[str, int] = field(default_factory=dict)
    reading: int = 0
    process: ProcessFigures = field(default_factory=ProcessFigures)
    longest_silence_ns: int = 0
    overdue: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker can't go on; `known` tells an error of ours, whose message is enough, from a fault of the program."""

    message: str
    known: bool


@dataclass(frozen=True, slots=True)
class Left:
    """Everything is closed."""


Message = Connected | Report | Failed | Left
