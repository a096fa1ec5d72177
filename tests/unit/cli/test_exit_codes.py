"""Exit codes: what a result is worth, and which code counts of several."""

import itertools

import pytest

from ombdriver.bench.spec.thresholds import Check
from ombdriver.bench.verdict.model import Reason, Verdict
from ombdriver.cli.exit_codes import GATES, for_error, for_result, warned_of, worst
from ombdriver.errors import InputError, RunError, WorkerError

PASSED = Check("publish.p99 < 5ms", 1.0, 5.0, "ms", True)
FAILED = Check("publish.p99 < 5ms", 6.0, 5.0, "ms", False)
VALID = Verdict("VALID")
INVALID = Verdict("INVALID", (Reason("scheduleLag", "INVALID", "late"),))
ABORTED = Verdict("PARTIAL", (Reason("thresholdFailed", "PARTIAL", "failed"),))
BOTH = Verdict("PARTIAL", (*ABORTED.reasons, *INVALID.reasons))


@pytest.mark.parametrize(
    ("verdict", "checks", "code"),
    [
        (VALID, [], 0),
        (VALID, [PASSED], 0),
        (VALID, [PASSED, FAILED], 4),
        (INVALID, [], 3),
        (INVALID, [FAILED], 3),
        (ABORTED, [FAILED], 4),
        (ABORTED, [PASSED], 4),  # it came right in the drain; the run is no whole one all the same
        (BOTH, [FAILED], 3),
        (None, [], 0),
    ],
)
def test_a_verdict_counts_before_a_threshold(verdict: Verdict | None, checks: list[Check], code: int) -> None:
    """But a run that a threshold ended is the threshold's."""
    assert for_result(verdict, checks) == code


STATUS_CODES = {"VALID": 0, "PARTIAL": 3, "LOSS": 3, "CORRUPT": 3, "INVALID": 3, "OVERLOADED": 3, "UNSTEADY": 3}


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("missed", [False, True])
@pytest.mark.parametrize("aborted", [False, True])
@pytest.mark.parametrize("status", STATUS_CODES)
def test_the_code_by_status_threshold_and_gate(status: str, aborted: bool, missed: bool, gate: str) -> None:
    """3 for what the gate counts, whether or not a threshold ended the run; else 4 for a threshold, else 0."""
    reasons = [Reason("thresholdFailed", "PARTIAL", "failed")] if aborted else []
    reasons += [] if status == "VALID" else [Reason("some", status, "for some reason")]
    verdict = Verdict(reasons[0].status if reasons else "VALID", tuple(reasons))
    warned = gate == "thresholds" and status in ("INVALID", "UNSTEADY")

    code = for_result(verdict, [PASSED, FAILED if missed else PASSED], gate)

    assert code == ((0 if warned else STATUS_CODES[status]) or (4 if aborted or missed else 0))
    assert warned_of(verdict, gate) == (status if warned else None)


def test_the_gravest_code_counts() -> None:
    """130 before 1, 2, 3, 4 and 0, in whatever order they come."""
    order = [130, 1, 2, 3, 4, 0]
    for codes in itertools.permutations(order):
        for length in range(1, len(codes) + 1):
            assert worst(codes[:length]) == min(codes[:length], key=order.index)
    assert worst([]) == 0


def test_an_error_of_the_input_is_told_from_one_of_the_run() -> None:
    """2, and 1 for all others."""
    assert [for_error(error) for error in (InputError("x"), RunError("x"), WorkerError("x"))] == [2, 1, 1]
