"""Latency against load on a page: of runs that searched for the highest rate."""

from sample_page import files, run
from sample_search import SEARCH, UNKNOWN

from ombdriver.bench.report.page.content import content
from ombdriver.bench.report.page.load import LoadLine, load_lines
from ombdriver.bench.report.page.runs import group_runs


def lines(*runs: str) -> list[LoadLine]:
    """Of runs of these setups that searched."""
    results = [run(number, setup, search=SEARCH) for number, setup in enumerate(runs)]
    return load_lines([each for setup in group_runs(files(*results)) for each in setup.runs])


def test_each_percentile_is_a_line_over_the_rates_that_held() -> None:
    """Of a rate that was tried again the last probe counts; those that did not hold stand apart."""
    p50, p99, *_ = lines("embedded")

    assert p50.name == "embedded, publish p50"
    assert (p50.rates, p50.values_ms) == ((1000, 2000, 4000), (0.1, 0.12, 0.21))
    assert (p50.failed_rates, p50.failed_values_ms) == ((5656,), (60.0,))
    assert p99.values_ms == (0.1 * 3, 0.12 * 3, 0.21 * 3)


def test_a_percentile_without_samples_has_no_point() -> None:
    """There is nothing to draw at that rate."""
    (tail,) = [line for line in lines("embedded") if line.name.endswith("end-to-end p99.9")]

    assert tail.rates == (2000, 4000)


def test_every_run_that_searched_has_its_lines() -> None:
    """Told apart by the setup's name; a run with a given rate has none."""
    found = lines("embedded", "redis-local")

    assert [line.run for line in found] == [0] * 6 + [1] * 6
    assert len({line.name for line in found}) == 12
    assert content(files(run(1))).load_plot is None


def test_of_many_runs_only_p99_is_shown_at_first() -> None:
    """A hundred lines show nothing; the legend has a button for each of the others."""
    figures = [content(files(*(run(at, f"s{at}", search=SEARCH) for at in range(count)))).load_plot for count in (2, 3)]
    shown = [[series.get("visible", True) for series in figure["data"]] for figure in figures if figure]

    assert [(all(each), sum(each)) for each in shown] == [(True, 24), (False, 12)]


def test_the_figure_has_a_series_for_what_held_and_one_for_what_did_not() -> None:
    """Each with its name for the legend, and the rate on the horizontal axis."""
    figure = content(files(run(1, search=SEARCH))).load_plot

    assert figure is not None
    names = [series["meta"]["name"] for series in figure["data"]]
    assert names[:2] == ["embedded, publish p50", "embedded, publish p50, not sustained"]
    held, failed = figure["data"][:2]
    assert (held["x"], failed["x"]) == ([1000, 2000, 4000], [5656])
    assert failed["marker"]["symbol"] == "circle-open"


def test_rates_that_this_machine_kept_from_being_judged_are_not_claimed() -> None:
    """Beside those that the system did not sustain, each mark says which it is."""
    figure = content(files(run(1, search=UNKNOWN))).load_plot

    assert figure is not None
    held, failed = figure["data"][:2]
    assert (held["x"], failed["x"]) == ([], [1000, 2000])
    assert failed["meta"]["name"] == "embedded, publish p50, not claimed or not sustained"
    assert [said for _, said in failed["customdata"]] == ["not claimed", "not sustained"]
