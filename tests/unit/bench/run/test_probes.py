"""When a run is ready: which probes have arrived, which are sent again, and when that is given up."""

import pytest

from ombdriver.bench.metrics.report import ProbeFailure
from ombdriver.bench.run.phases import PROBE_AGAIN_S, PROBE_LOST_S, PROBE_REFUSED_S, READY_TIMEOUT_S, _Probes
from ombdriver.errors import RunError

MISSING = {("g", "t", 0), ("g", "t", 1)}
BUSY = ProbeFailure(0, 1, "ResponseError: BUSY", may_pass=True)


def probes() -> _Probes:
    """Of two producers of one topic of two partitions, with the first look at 0 s."""
    made = _Probes({0: "t", 1: "t"}, set(MISSING))
    made.add(0.0, [], [])
    return made


def test_ready_is_when_all_have_arrived_and_none_has_failed() -> None:
    """A partition that another producer's probe has reached does not make up for one that was refused."""
    made = probes()
    made.add(0.1, [("g", 1, 0), ("g", 1, 1)], [BUSY])

    assert not made.is_ready
    assert made.again(0.3, is_idle=True) == {(0, 1)}
    assert made.is_ready
    assert made.refused_s == pytest.approx(PROBE_AGAIN_S)


def test_a_probe_that_fails_is_sent_again_and_not_at_once() -> None:
    """As often as it fails."""
    made = probes()
    made.add(0.1, [], [BUSY])

    assert made.again(0.1, is_idle=True) == frozenset()
    assert made.again(0.1 + PROBE_AGAIN_S, is_idle=False) == {(0, 1)}
    assert made.again(0.2 + 2 * PROBE_AGAIN_S, is_idle=True) == frozenset()
    made.add(1.0, [], [BUSY])
    assert made.again(1.0, is_idle=True) == {(0, 1)}


def test_a_probe_that_was_acknowledged_and_came_nowhere_is_sent_again() -> None:
    """A server that began anew, or a failover, has lost it; one for each partition is enough."""
    made = probes()
    made.add(1.0, [("g", 1, 0)], [])

    assert made.again(1.0 + PROBE_LOST_S, is_idle=True) == frozenset()
    assert made.again(1.1 + PROBE_LOST_S, is_idle=False) == frozenset()
    assert made.again(1.1 + PROBE_LOST_S, is_idle=True) == {(0, 1)}
    assert made.again(1.2 + PROBE_LOST_S, is_idle=True) == frozenset()
    assert made.again(1.2 + 2 * PROBE_LOST_S, is_idle=True) == {(0, 1)}


def test_what_is_refused_for_good_ends_the_run_at_once() -> None:
    """A permission does not come by waiting."""
    with pytest.raises(RunError, match="a probe was refused: NOPERM"):
        probes().add(0.1, [], [ProbeFailure(0, 0, "NOPERM", may_pass=False)])


def test_what_is_refused_for_too_long_ends_the_run_with_the_servers_words() -> None:
    """So does what never arrives, with what was met on the way."""
    made = probes()
    made.add(1.0, [], [BUSY])
    with pytest.raises(RunError, match="a probe was refused: ResponseError: BUSY"):
        made.add(1.1 + PROBE_REFUSED_S, [], [BUSY])

    made = probes()
    made.add(1.0, [], [BUSY])
    with pytest.raises(RunError, match=r"2 of 2 pairs .* \(one met ResponseError: BUSY\)"):
        made.add(READY_TIMEOUT_S + 0.1, [], [])
