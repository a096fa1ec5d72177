"""What is said of a run as a whole, as data: verdict with its reasons, caveats, why it ended early. Pure.

A `Result` holds these and reads them back; `rules` and `caveats` find them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caveat:
    """Something that a reader of the figures has to know: a `kind` for programs, a `message` for people."""

    kind: str
    message: str


MEANINGS = {
    "PARTIAL": "the run ended before its time; the figures are of what there was until then",
    "LOSS": "acknowledged messages did not reach a consumer group",
    "CORRUPT": "a consumer group received other messages than were sent: altered ones, or some twice without a fault",
    "INVALID": "this machine, not the server, was the bottleneck: the figures are the harness's own",
    "OVERLOADED": "the server, or its consumers, did not take the load: the latencies are those of an overloaded"
    " system, and grow with the length of the run",
    "UNSTEADY": "something was still changing: a longer run gives other figures",
    "VALID": "none of these",
}
"""What each status says."""
STATUSES = tuple(MEANINGS)
"""Every status that a verdict may have; the earlier one holds when there are reasons for several."""
VALID = STATUSES[-1]
UNSTEADY = "UNSTEADY"
INVALID = "INVALID"
"""This machine or the harness was the bottleneck, so the figures say little of the system."""

INTERRUPTED = "interrupted"
WORKER_DIED = "workerDied"
RUN_FAILED = "runFailed"
THRESHOLD_FAILED = "thresholdFailed"
SERVER_MEMORY = "serverMemory"


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a run ended before its time.

    Attributes:
        kind: `INTERRUPTED`, `WORKER_DIED`, `RUN_FAILED`, `THRESHOLD_FAILED` or `SERVER_MEMORY`; the name of the
            verdict's rule as well.
        reason: what happened and when, for people.
    """

    kind: str
    reason: str

    @classmethod
    def after(cls, kind: str, what: str, measured_ns: int, phase: str = "measurement") -> "Ending":
        """`what` ended the run when so much of a phase had passed."""
        return cls(kind, f"{what} after {measured_ns / 1e9:.1f} s of the {phase}")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a result has its status, or would have another one but for a graver reason.

    Attributes:
        rule: the name of the rule, as in docs/verdict.md.
        status: what the rule says of the result; one of `STATUSES`.
        message: the figure, the threshold, and what to do about it.
    """

    rule: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class NotJudged:
    """A rule that could not be applied, and why not."""

    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What would help a run that this machine held up: a `kind` for programs, a `message` for people."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the figures can be trusted, and mean what they seem to.

    Attributes:
        status: that of the gravest reason, or `VALID`.
        reasons: why, the gravest first; empty when `VALID`.
        not_judged: the rules that could not be applied, and why not.
        measured: in words what is known of this machine in the window; empty unless it was the bottleneck.
        advice: what would get a quiet run, by what was measured; empty unless this machine was the bottleneck.
    """

    status: str
    reasons: tuple[Reason, ...] = ()
    not_judged: tuple[NotJudged, ...] = ()
    measured: str = ""
    advice: tuple[Advice, ...] = ()
