"""hgrm and hlog: HdrHistogram's own texts, held against its Python package's reader and iterator."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_result import PER_INTERVAL, recorded, without_intervals

from ombdriver.bench.metrics.histogram import HIGHEST_NS, SIGNIFICANT_DIGITS, Histogram
from ombdriver.bench.results.export import hdr_histogram
from ombdriver.bench.results.export.formats import export
from ombdriver.bench.results.result import Result

LINE = re.compile(r"Tag=([^,\s]+),(\d+\.\d{3}),(\d+\.\d{3}),(\d+\.\d{3}),(HIST[A-Za-z0-9+/=]+)")


def read(text: str, folder: Path) -> list[HdrHistogram]:
    """What HdrHistogram's own reader makes of a log."""
    path = folder / "run.hlog"
    path.write_text(text)
    reader = HistogramLogReader(str(path), HdrHistogram(1, HIGHEST_NS, SIGNIFICANT_DIGITS))
    found = []
    while (histogram := reader.get_next_interval_histogram()) is not None:
        found.append(histogram)
    reader.close()
    return found


# -- hgrm ------------------------------------------------------------------------------------------------------------


def test_the_percentile_text_is_hdrhistograms(golden: Callable[[str, str], None]) -> None:
    """Head, rows and footer, with values in ms."""
    golden("export.hgrm", export(recorded(3), "r.json", "hgrm", "publish")["publish"])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, HIGHEST_NS) | st.integers(0, 10**6), min_size=1, max_size=300))
def test_each_row_is_a_percentile_of_hdrhistogram(values: list[int]) -> None:
    """From 0 to 100 and rising, with the value that its Python package has for that count."""
    histogram = Histogram.of(np.array(values, np.int64))
    theirs = HdrHistogram.decode(histogram.encode())

    rows = list(hdr_histogram.percentile_rows(histogram))

    levels = [level for _, level, _ in rows]
    assert (levels[0], levels[-1]) == (0.0, 100.0)
    assert levels == sorted(set(levels))
    for value, level, count in rows:
        assert count >= len(values) * level / 100
        assert value == theirs.get_value_at_percentile(100 * count / len(values))


def test_the_text_is_the_java_librarys_to_the_last_digit() -> None:
    """This was written by version 2.2.2 from 0, 1, 1,500 and 2,000,500 ns and 10,000 times 62,500 ns.

    It rounds halves up and drops fractions of a step, unlike the Python package.
    """
    values = np.array([0, 1, 1_500, 2_000_500, *[62_500] * 10_000], np.int64)

    ours = hdr_histogram.render_hgrm(Histogram.decode(Histogram.of(values).encode()))

    assert ours == (Path(__file__).parent / "hdrhistogram" / "java-2.2.2.hgrm").read_text()


# -- hlog ------------------------------------------------------------------------------------------------------------


def test_the_log_has_comments_a_legend_and_a_tag_in_each_line(golden: Callable[[str, str], None]) -> None:
    """The payload is left out here: what deflate makes of it differs from one zlib to another."""
    text = export(recorded(3, last_s=0.5, silent=(1,)), "r.json", "hlog")[""]

    golden("export.hlog", re.sub(r"HIST.*", "...", text))


def test_hdrhistograms_reader_finds_every_sample_at_its_time_under_its_tag(tmp_path: Path) -> None:
    """Nothing is lost on the way, whoever reads it."""
    result = recorded(3, last_s=0.5, groups=("group-1", "a, b\n"), silent=(1,))

    found = read(hdr_histogram.render_hlog(result), tmp_path)

    tags = [each.get_tag() for each in found]
    one = ["publish", "publishDelay", "endToEnd", "publishResponse", "endToEndResponse"]
    one += [f"{family}.{group}" for group in ("group-1", "a%2C%20b%0A") for family in ("endToEnd", "endToEndResponse")]
    assert tags == one * 2
    assert {each.get_total_count() for each in found} == {PER_INTERVAL}
    begin_ms = 1772366410_500
    assert [each.get_start_time_stamp() for each in found] == [begin_ms] * 9 + [begin_ms + 2000] * 9
    assert found[-1].get_end_time_stamp() == begin_ms + 2500
    publish = [each for each in found if each.get_tag() == "publish"]
    assert [each.get_max_value() // 1000 for each in publish] == [100, 2101]


def test_lines_are_as_the_java_library_documents_them() -> None:
    """Three decimals, the greatest value in ms, in the order of time."""
    lines = hdr_histogram.render_hlog(recorded(3)).splitlines()

    assert [line for line in lines if line.startswith("#")] == lines[:4]
    found = [LINE.fullmatch(line) for line in lines[5:]]
    assert all(found)
    starts = [float(each[2]) for each in found if each]
    assert starts == sorted(starts)
    for each in found:
        assert each is not None
        greatest_ms = HdrHistogram.decode(each[5]).get_max_value() / 1e6
        assert float(each[4]) == pytest.approx(greatest_ms, abs=0.0006)


def test_an_older_result_is_one_interval(tmp_path: Path) -> None:
    """The whole window, with all samples."""
    older = without_intervals(recorded(3, last_s=0.5))

    found = read(hdr_histogram.render_hlog(older), tmp_path)

    assert [(each.get_total_count(), each.get_end_time_stamp() - each.get_start_time_stamp()) for each in found] == [
        (3 * PER_INTERVAL, 2500)
    ] * 7


def test_names_in_comments_stay_on_their_line(tmp_path: Path) -> None:
    """A file may hold anything."""
    data = recorded(1).to_json() | {"workload": "x\n1,2,3,HISTFAAA"}

    assert len(read(hdr_histogram.render_hlog(Result._from_json(data)), tmp_path)) == 7
