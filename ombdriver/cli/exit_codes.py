"""Exit codes: what a command ends with, and which code counts when there is reason for several. Pure."""

from collections.abc import Sequence

from ombdriver.bench.spec.thresholds import Check
from ombdriver.bench.verdict.model import INVALID, THRESHOLD_FAILED, UNSTEADY, VALID, Verdict
from ombdriver.errors import InputError, OmbdriverError

EXIT_VALID = 0
EXIT_FAILED = 1
EXIT_INPUT = 2
EXIT_VERDICT = 3
EXIT_THRESHOLD = 4
EXIT_INTERRUPTED = 130

MEANINGS = {
    EXIT_VALID: "every verdict is `VALID`, every threshold was met, and no `--fail-if`",
    EXIT_FAILED: "failed: the server can't be reached or refuses, a worker died, the result can't be written; when a"
    " worker died during the measurement there is a partial result",
    EXIT_INPUT: "something in the files or on the command line is wrong; nothing was started",
    EXIT_VERDICT: "a verdict is not `VALID`; with `--gate thresholds` only one that is neither `INVALID` nor"
    " `UNSTEADY`",
    EXIT_THRESHOLD: "a threshold was missed, or a `--fail-if` was met",
    EXIT_INTERRUPTED: "interrupted by Ctrl-C, SIGTERM, SIGHUP, SIGUSR1 or another signal that ends a process; the"
    " result, if there is one, is partial",
}
"""As docs/reference/exit-codes.md tells them."""

SEVERITY = (EXIT_INTERRUPTED, EXIT_FAILED, EXIT_INPUT, EXIT_VERDICT, EXIT_THRESHOLD, EXIT_VALID)
"""The earlier one counts: whoever was interrupted has not got what was asked for; a run that failed, or could not be
started as asked, has no whole result; a result that can't be trusted says nothing of its thresholds.
What is wrong with files and options is reported before anything runs; what a run alone finds out (that the machine has
no such engine) may meet the codes of the runs around it.
"""


def for_error(error: OmbdriverError) -> int:
    """The code for what a command, or one of its runs, failed with."""
    return EXIT_INPUT if isinstance(error, InputError) else EXIT_FAILED


GATES = ("verdict", "thresholds")
"""What an exit code is to tell: whether a result can be trusted, or whether its thresholds were met."""
WARNINGS = (INVALID, UNSTEADY)
"""Statuses of which a gate on thresholds only warns: they are of the machine and of the length of the run."""


def _own_status(verdict: Verdict | None) -> str:
    """The status of a verdict but for a failed threshold that ended the run, which is the thresholds' to tell."""
    if verdict is None:
        return VALID
    if not verdict.reasons:
        return verdict.status
    return next((reason.status for reason in verdict.reasons if reason.rule != THRESHOLD_FAILED), VALID)


def warned_of(verdict: Verdict | None, gate: str) -> str | None:
    """The status that is none of the gate's business, and is told as a warning; None when there is none."""
    status = _own_status(verdict)
    return status if gate == "thresholds" and status in WARNINGS else None


def for_result(verdict: Verdict | None, thresholds: Sequence[Check], gate: str = "verdict") -> int:
    """The code for one result.

    With the gate `thresholds`, a result that is INVALID or UNSTEADY counts by its thresholds alone.

    A run that a failed threshold ended is PARTIAL; that is the threshold's, whatever else the verdict has to say.
    """
    if _own_status(verdict) != VALID and warned_of(verdict, gate) is None:
        return EXIT_VERDICT
    was_aborted = verdict is not None and any(reason.rule == THRESHOLD_FAILED for reason in verdict.reasons)
    return EXIT_THRESHOLD if was_aborted or not all(check.passed for check in thresholds) else EXIT_VALID


def worst(codes: Sequence[int]) -> int:
    """The code of a command whose parts ended so."""
    return min(codes, key=SEVERITY.index, default=EXIT_VALID)
