"""What a run that ended becomes: an exit code, its outcome in a word, and what is told as an error."""

from pathlib import Path
from typing import Any

import pytest
from sample_result import result

from ombdriver.bench.run.request import Request, build_requests
from ombdriver.bench.spec.thresholds import Check
from ombdriver.bench.verdict.model import Reason, Verdict
from ombdriver.cli.run import Repetitions, RunOutcome, print_errors, run_outcome
from ombdriver.errors import LINE, InputError, OmbdriverError, WorkerError

VALID: dict[str, Any] = {"verdict": Verdict("VALID")}
MISSED: dict[str, Any] = VALID | {"thresholds": [Check("publish.p99 < 5ms", 6.0, 5.0, "ms", False)]}
PARTIAL: dict[str, Any] = {
    "verdict": Verdict("PARTIAL", (Reason("interrupted", "PARTIAL", "it was"),)),
    "partial_reason": "interrupted by SIGINT",
}
DIED = WorkerError("worker 1 died; see the log")


@pytest.mark.parametrize(
    ("found", "failure", "interrupted", "code", "outcome", "messages"),
    [
        (VALID, None, False, 0, "VALID", []),
        (MISSED, None, False, 4, "VALID, threshold missed", []),
        (PARTIAL, None, False, 3, "PARTIAL", []),
        (PARTIAL, DIED, False, 1, "PARTIAL, FAILED", ["worker 1 died; see the log"]),
        (None, DIED, False, 1, "FAILED", ["worker 1 died; see the log"]),
        (None, InputError(["a; mend it", "b; mend it"]), False, 2, "FAILED", ["a; mend it", "b; mend it"]),
        # A signal counts, whatever else came of it: no other run is to begin.
        (PARTIAL, DIED, True, 130, "PARTIAL, FAILED", ["worker 1 died; see the log"]),
        (PARTIAL, None, True, 130, "PARTIAL, interrupted", ["interrupted by SIGINT; the result is partial"]),
        (VALID, None, True, 130, "VALID, interrupted", ["interrupted when the result was stored; it is complete"]),
        (None, None, True, 130, "interrupted", ["interrupted before anything was measured; there is no result"]),
    ],
)
def test_how_a_run_ended_is_told(
    found: dict[str, Any] | None,
    failure: OmbdriverError | None,
    interrupted: bool,
    code: int,
    outcome: str,
    messages: list[str],
) -> None:
    """With the result that there is, also of a run that failed."""
    ended = run_outcome(None if found is None else result(**found), failure, interrupted)

    assert (ended.code, ended.status, list(ended.messages)) == (code, outcome, messages)
    assert ended.run_id == (None if found is None else "k3v9qz")


INVALID: dict[str, Any] = {"verdict": Verdict("INVALID", (Reason("coreBusy", "INVALID", "it was"),))}
LOSS: dict[str, Any] = {"verdict": Verdict("LOSS", (Reason("loss", "LOSS", "some"),))}


@pytest.mark.parametrize(
    ("found", "gate", "code"),
    [
        (VALID, "thresholds", 0),
        (MISSED, "thresholds", 4),
        (INVALID, "verdict", 3),
        (INVALID, "thresholds", 0),
        (INVALID | {"thresholds": MISSED["thresholds"]}, "verdict", 3),
        (INVALID | {"thresholds": MISSED["thresholds"]}, "thresholds", 4),
        (LOSS, "thresholds", 3),
        (PARTIAL, "thresholds", 3),
    ],
)
def test_a_gate_on_thresholds_warns_of_a_busy_machine(found: dict[str, Any], gate: str, code: int) -> None:
    """INVALID and UNSTEADY are of the machine and of the length of the run; what the system did wrong still counts."""
    ended = run_outcome(result(**found), None, False, gate)

    assert ended.gate_code == code
    assert [each for each in ended.messages if each.startswith("warning: ")] == (
        list(ended.messages) if found["verdict"].status == "INVALID" and gate == "thresholds" else []
    )
    assert ended.is_to_be_repeated == (found["verdict"].status != "VALID")


def carried_out(most: int, codes: dict[tuple[int, int], int]) -> tuple[list[tuple[int, int]], Repetitions]:
    """Run number and attempt of each run of two setups, twice each; `codes` are the exit codes that are not 0."""
    requests: list[Request] = build_requests(
        workloads=["1kb-3groups"],
        setups=["embedded", "memory"],
        url=None,
        workers=None,
        output=Path(),
        tags={},
        repeats=2,
    )
    repetitions = Repetitions(requests, most)
    done = []
    for request in repetitions:
        assert request.standing is not None
        done.append((request.standing.run, request.standing.attempt))
        code = codes.get(done[-1], 0)
        repetitions.ended(request, RunOutcome(code, code, "", None))
    return done, repetitions


@pytest.mark.parametrize(
    ("most", "codes", "done", "last", "told"),
    [
        (10, {}, [(1, 1), (2, 1), (3, 1), (4, 1)], [0, 0, 0, 0], "0 times, at most 10; every run is VALID"),
        (
            10,
            {(1, 1): 3, (1, 2): 3, (2, 1): 1},
            [(1, 1), (2, 1), (1, 2), (2, 2), (1, 3), (3, 1), (4, 1)],
            [0, 0, 0, 0],
            "3 times, at most 10; every run is VALID",
        ),
        (
            1,
            {(1, 1): 3, (1, 2): 3, (4, 1): 3},
            [(1, 1), (2, 1), (1, 2), (3, 1), (4, 1)],
            [3, 0, 0, 3],
            "1 times, at most 1; 2 of 4 runs are still not VALID",
        ),
        (10, {(1, 1): 4, (2, 1): 2}, [(1, 1), (2, 1), (3, 1), (4, 1)], [4, 2, 0, 0], "0 times, at most 10"),
    ],
)
def test_what_was_not_valid_is_repeated_at_the_end_of_its_block(
    most: int, codes: dict[tuple[int, int], int], done: list[tuple[int, int]], last: list[int], told: str
) -> None:
    """Until it is, so often at most; a missed threshold and a mistake in a file are not mended by repeating."""
    ran, repetitions = carried_out(most, codes)

    assert ran == done
    assert repetitions.codes == last
    assert told in repetitions.describe()


def test_a_traceback_keeps_its_lines_and_no_other_message_breaks_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever writes a driver reads it; what is foreign in a message can't pass for a message of ours."""
    fault = (
        "worker 1 (consume): an unexpected fault:\nTraceback (most recent call last):\n  File \x1b[31m\nTypeError: no"
    )
    print_errors([fault, "a\nombdriver: all is well", f"two reasons:{LINE}one{LINE}\x1b[2Jtwo"])

    assert capsys.readouterr().err.splitlines() == [
        "ombdriver: worker 1 (consume): an unexpected fault:",
        "  Traceback (most recent call last):",
        "    File \\x1b[31m",
        "  TypeError: no",
        "ombdriver: a\\x0aombdriver: all is well",
        "ombdriver: two reasons:",
        "  one",
        "  \\x1b[2Jtwo",
    ]
