"""`Recorder` and `Metrics`: latencies go by the intended time of their message, counts by the time of the event."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.bench.load.phase import Phase
from ombdriver.bench.metrics.recorder import AFTER_END, Metrics, Recorder

INTERVAL = 1_000
WARM_UP = Phase(0, "warm-up", 10_000, 5_000, 1)
MEASURE = Phase(1, "measure", 20_000, 3_500, 1)
"""Three intervals and a half."""


def recorder() -> Recorder:
    """A recorder of both phases."""
    made = Recorder(INTERVAL)
    made.begin_phase(WARM_UP)
    made.begin_phase(MEASURE)
    return made


def latency_counts(figures: Metrics) -> dict[tuple[int, str, str | None, int], int]:
    """How many samples stand where."""
    return {key: histogram.count for key, histogram in figures.histograms.items()}


def test_a_latency_belongs_to_the_phase_of_its_intended_time() -> None:
    """What was intended in the warm-up stays there, however late its reply came: nothing is ever reset."""
    intended = np.array([14_999, 20_000, 20_999, 21_000, 23_499], np.int64)
    made = recorder()

    made.record("g", intended, {"endToEnd": np.full(5, 10**9, np.int64)})

    assert latency_counts(made.take()) == {
        (0, "endToEnd", "g", 4): 1,
        (1, "endToEnd", "g", 0): 2,
        (1, "endToEnd", "g", 1): 1,
        (1, "endToEnd", "g", 3): 1,
    }


def test_what_was_intended_before_every_phase_is_left_out() -> None:
    """Probes bear the intended time 0, and belong to no phase; without phases nothing does."""
    made = recorder()
    made.record(None, np.array([0, 9_999], np.int64), {"publish": np.array([1, 2], np.int64)})
    made.count("published", None, [9_999], [7])
    early = Recorder(INTERVAL)
    early.count("published", None, [1], [1])

    assert made.take() == early.take() == Metrics()


def test_an_event_belongs_to_the_interval_in_which_it_happened() -> None:
    """A rate counts what happened in its interval, by blocks of any size."""
    made = recorder()

    made.count("published", None, [20_000, 20_999, 21_000, 22_500], [10, 1, 5, 100])

    assert made.take().counts == {
        (1, "published", None, 0): 11,
        (1, "published", None, 1): 5,
        (1, "published", None, 2): 100,
    }


def test_an_event_after_the_end_of_a_phase_is_in_none_of_its_intervals() -> None:
    """What comes in the drain is no part of the achieved rate, even where the last interval is a short one."""
    made = recorder()

    made.count("published", None, [15_000, 19_999, 23_499, 23_500, 23_999, 50_000], [1, 1, 1, 10, 100, 1000])

    assert made.take().counts == {
        (0, "published", None, AFTER_END): 2,
        (1, "published", None, 3): 1,
        (1, "published", None, AFTER_END): 1110,
    }


def test_a_phase_that_is_cut_has_no_events_after_that() -> None:
    """An interrupted window ends where it was interrupted; a cut after its end changes nothing."""
    made = recorder()
    made.end_phase(21_500)
    made.end_phase(60_000)

    made.count("received", "g", [14_000, 21_400, 21_500, 21_600], [1, 1, 10, 10])

    assert made.take().counts == {
        (0, "received", "g", 4): 1,
        (1, "received", "g", 1): 1,
        (1, "received", "g", AFTER_END): 20,
    }
    Recorder(INTERVAL).end_phase(5)  # before any phase there is nothing to cut


def test_a_sample_may_stand_for_many_messages() -> None:
    """`repeats` follows its sample into the interval."""
    made = recorder()
    intended, values = np.array([20_000, 21_000], np.int64), np.array([50, 60], np.int64)

    made.record(None, intended, {"unsent": values}, np.array([3, 4], np.int64))

    assert latency_counts(made.take()) == {(1, "unsent", None, 0): 3, (1, "unsent", None, 1): 4}


def test_figures_are_handed_out_once() -> None:
    """What was taken is not told again."""
    made = recorder()
    made.count("received", "g", [20_001], [1])

    assert made.take().counts
    assert made.take() == Metrics()


samples = st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 10**9)), max_size=30)


@settings(deadline=None)
@given(samples, st.integers(0, 30))
def test_taking_in_parts_adds_up_to_the_whole(given_samples: list[tuple[int, int]], cut: int) -> None:
    """Wherever the polls fall, the sum of the reports is one report of everything; and no sample is lost."""
    whole, parts = recorder(), recorder()
    total = Metrics()
    for made, pieces in ((whole, [given_samples]), (parts, [given_samples[:cut], given_samples[cut:]])):
        for piece in pieces:
            times = np.array([time for time, _ in piece], np.int64)
            made.record("g", times, {"endToEnd": np.array([value for _, value in piece], np.int64)})
            made.count("received", "g", times, np.ones(len(piece), np.int64))
            if made is parts:
                total += made.take()
    expected = whole.take()

    assert total.counts == expected.counts
    assert latency_counts(total) == latency_counts(expected)
    in_phases = sum(time >= WARM_UP.start_ns for time, _ in given_samples)
    assert sum(total.counts.values()) == sum(latency_counts(total).values()) == in_phases


def test_what_happens_in_what_a_phase_was_prolonged_by_belongs_to_it() -> None:
    """And no longer to the time after it."""
    made = recorder()
    made.extend_phase(Phase(1, "measure", 20_000, 5_000, 1))
    made.count("published", None, [23_600, 24_999, 25_000], [1, 2, 4])

    assert made.take().counts == {
        (1, "published", None, 3): 1,
        (1, "published", None, 4): 2,
        (1, "published", None, AFTER_END): 4,
    }


def test_moments_of_events_unite_without_loss() -> None:
    """Whoever reports them, and in whatever order; without a length of moments there are none."""
    first, second = Recorder(INTERVAL, 10), Recorder(INTERVAL, 10)
    for made in (first, second):
        made.begin_phase(MEASURE)
    first.count("published", None, [20_001, 20_009, 20_030], [1, 2, 3])
    second.count("published", None, [20_011, 20_031], [1, 1])
    second.count("received", "g", [20_055], [4])

    both = Metrics()
    both += second.take()
    both += first.take()

    assert {which: moments.tolist() for which, moments in both.moments.items()} == {
        ("published", None): [2000, 2001, 2003],
        ("received", "g"): [2005],
    }
    assert first.take().moments == {}
    plain = recorder()
    plain.count("published", None, [20_001], [1])
    assert plain.take().moments == {}
