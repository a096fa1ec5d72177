"""What `ombdriver export` makes of a result: which texts there are, the CSV, and what is refused."""

import csv
import io
import json
import re
from collections.abc import Callable

import pytest
from recorded_result import recorded, without_intervals
from sample_result import result as sample

from ombdriver.bench.results.export.formats import NAMES, caveats, export
from ombdriver.bench.results.omb_keys import SERIES
from ombdriver.bench.results.result import RATES, Result
from ombdriver.errors import InputError

RESULT = recorded(3, last_s=0.5, groups=("group-1", "group-2"), silent=(1,))


def test_the_csv_has_a_row_for_each_interval_and_the_unit_in_each_column(golden: Callable[[str, str], None]) -> None:
    """RFC 4180; the last row is of a shorter interval."""
    text = export(RESULT, "r.json", "csv")[""]

    assert text.count("\r\n") == text.count("\n") == 4
    golden("export.csv", text.replace("\r\n", "\n"))


def test_the_csv_holds_what_the_result_holds() -> None:
    """Number by number; where there was no sample the cell is empty."""
    first, second, last = csv.DictReader(io.StringIO(export(RESULT, "r.json", "csv")[""], newline=""))

    assert (first["start_s"], last["start_s"], last["length_s"]) == ("0.0", "2.0", "0.5")
    units = dict(zip(RATES, ("per_s", "per_s", "per_s", "messages"), strict=True))
    for name in (*RATES, *SERIES):
        unit = units.get(name) or ("us" if name.startswith("publishDelay") else "ms")
        values = RESULT.rates.get(name) or RESULT.series[name]
        assert [row[f"{name}_{unit}"] for row in (first, second, last)] == [
            "" if value is None else str(value) for value in values
        ]


def test_each_latency_and_group_with_samples_has_a_percentile_text() -> None:
    """By names that can be those of files; one latency can be chosen."""
    every = ["publish", "publishDelay", "endToEnd", "publishResponse", "endToEndResponse"]
    of_groups = [f"{family}-group-{n}" for n in (1, 2) for family in ("endToEnd", "endToEndResponse")]

    assert list(export(RESULT, "r.json", "hgrm")) == every + of_groups
    assert list(export(RESULT, "r.json", "hgrm", group="group-2")) == of_groups[2:]
    assert list(export(RESULT, "r.json", "hgrm", "endToEnd", "group-2")) == ["endToEnd-group-2"]
    odd = recorded(1, groups=("a/b c",))
    assert list(export(odd, "r.json", "hgrm", "endToEnd", "a/b c")) == ["endToEnd-a%2Fb%20c"]


def test_a_latency_without_samples_is_told_only_when_asked_for() -> None:
    """A run that only publishes has no end-to-end latency."""
    silent = recorded(1, silent=(0,))

    assert export(silent, "r.json", "hgrm") == {}
    assert "Total count    =            0]" in export(silent, "r.json", "hgrm", "publish")["publish"]


@pytest.mark.parametrize(
    ("name", "family", "group", "message"),
    [
        ("csv", "publish", None, "--family and --group choose one latency of hgrm; csv holds them all, leave both out"),
        ("hgrm", None, "group-9", "--group: r.json has no group 'group-9'; there are: group-1, group-2"),
        ("hgrm", "publish", "group-1", "--group: publish is not told by group; leave --group out, or take endToEnd"),
    ],
)
def test_what_can_not_be_chosen_is_refused(name: str, family: str | None, group: str | None, message: str) -> None:
    """With what there is."""
    with pytest.raises(InputError) as raised:
        export(RESULT, "r.json", name, family, group)
    assert str(raised.value) == message


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("publishRate", [1.0, "x", 3.0]),
        ("publishRate", None),
        ("publishLatencyMax", [1.0]),
        ("beginTime", "noon"),
        ("histograms", {"families": {}, "subscriptions": {}}),
        ("histograms", {"families": dict.fromkeys(("publish", "publishDelay"), "HISTF"), "subscriptions": {}}),
        ("backlog", [0, float("nan"), 1]),
        ("subscriptions", []),
    ],
)
def test_a_damaged_value_is_told_or_left_alone_but_never_a_crash(name: str, key: str, value: object) -> None:
    """The file may have been edited, or cut and mended."""
    try:
        damaged = Result.loads(json.dumps(RESULT.to_json() | {key: value}), "r.json")
        texts = export(damaged, "r.json", name)
    except InputError as error:
        assert re.fullmatch("r.json: .*; the file is damaged, run again", str(error))  # noqa: PT017
    else:
        assert texts


def test_an_older_result_and_a_long_run_come_with_a_remark() -> None:
    """What is coarser than the format has it is said, once."""
    assert [caveats(RESULT, name) for name in NAMES] == [[]] * len(NAMES)
    older = without_intervals(RESULT)
    assert [len(caveats(older, name)) for name in ("csv", "hgrm", "hlog", "omb")] == [0, 0, 1, 1]
    assert "each element has the latencies of the whole window" in caveats(older, "omb")[0]
    long = recorded(40, merged_by=20)
    assert caveats(long, "hlog") == []
    assert "its histograms are of 20 s: elements of 10 s" in caveats(long, "omb")[0]
    assert caveats(sample(partial_reason="interrupted"), "csv") == ["this result is partial: interrupted"]
