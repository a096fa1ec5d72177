"""docs/result.md is made from the types of a result, and what is written has their keys, no more and no fewer."""

import json
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from documented_types import differences, is_document, keys, rows, without_meaning
from sample_drain import measured_drain
from sample_faults import sample_faults
from sample_result import figures, result

from ombdriver.bench.load.profile import Stretch
from ombdriver.bench.metrics.summary import MessagesPerWrite, StretchMetrics, WindowDelivery
from ombdriver.bench.results import document
from ombdriver.bench.results.build import worker_to_json
from ombdriver.bench.results.result import Result, Standing, Subscription
from ombdriver.bench.spec.thresholds import Check
from ombdriver.bench.telemetry.server import EVENTS
from ombdriver.bench.verdict.facts import WorkerFacts
from ombdriver.bench.verdict.model import Advice, Caveat, NotJudged, Reason, Verdict
from ombdriver.bench.verdict.probe import Probe, SearchResult

GoldenTable = Callable[[str, str, Sequence[str]], None]
READ_ON = {
    "standing": "; [below](#the-document)",
    "verdict": "; [below](#the-document), and [all verdicts](verdict.md)",
    "atHarnessFloor": "; [why](verdict.md#at-the-harness-floor)",
    "ownParts": "; [why](verdict.md#the-harnesss-own-share)",
    "clockErrorMs": "; [why](cluster.md#clocks)",
    "caveats": "; [below](#caveats)",
    "search": "; [below](#the-search)",
    "backlogDrain": "; [below](#the-backlog)",
    "totals": "; [below](#counts)",
    "delivery": "; [below](#delivery)",
    "faults": "; [below](#the-faults)",
    "counters": "; [below](#counts)",
    "subscriptions": "; [below](#per-consumer-group)",
    "latency": "; [below](#summaries)",
    "confidence": "; [below](#intervals)",
    "delayParts": "; [below](#summaries)",
    "rates": "; [below](#series)",
    "environment": "; [below](#what-it-ran-on)",
    "telemetry": "; [below](#telemetry)",
    "histograms": "; [below](#histograms)",
    "advice": "; [each advice](verdict.md#how-to-get-a-quiet-run)",
}
FLAT = ("rates", "series", "quantiles")
"""Attributes of a result whose keys stand at its top; the page has them under their own headings."""
TABLES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "key": (Result, FLAT),
    "key of `standing`": (Standing, ()),
    "key of `verdict`": (Verdict, ()),
    "key of a threshold": (Check, ()),
    "key of a stretch": (document.Stretch, ()),
    "key of `search`": (document.Search, ()),
    "key of a probe": (document.Probe, ()),
    "key of `backlogDrain`": (document.BacklogDrain, ()),
    "key of one of its groups": (document.BacklogOfGroup, tuple(keys(document.Drained))),
    "key of `faults`": (document.Faults, ()),
    "key of the `totals` of faults": (document.FaultTotals, ()),
    "key of an injection": (document.Injection, ()),
    "key of its groups": (document.FaultOfGroup, ()),
    "key of `totals`": (document.Totals, ()),
    "counter": (document.Counters, ()),
    "key of `delivery`": (WindowDelivery, ()),
    "key of a group": (Subscription, ("latency",)),
    "series": (document.Rates, ()),
    "key of `environment`": (document.Environment, ()),
    "key of its `cpu`": (document.Cpu, ()),
    "key of its `server`": (document.Server, ()),
    "key of its `workers`": (document.WorkerOfRun, ()),
    "key of its `layout`": (document.Layout, ()),
    "key of its `hosts`": (document.HostOfRun, tuple(keys(document.Machine))),
    "key of a `clock`": (document.Clock, ()),
    "key of a kernel's clock": (document.KernelClock, ()),
    "key of a witness": (document.Witness, ()),
    "key of `telemetry`": (document.Telemetry, ()),
    "key of its `summary`": (document.TelemetrySummary, ()),
    "key of its `server` over time": (document.ServerOverTime, ()),
    "key of its `streams`": (document.StreamsOverTime, ()),
    "key of its `processes`": (document.ProcessesOverTime, ()),
    "key of its `machine`": (document.MachineOverTime, ()),
    "key of a process": (document.ProcessOverTime, ()),
    "key of a process of the harness": (document.OwnProcessOverTime, tuple(keys(document.ProcessOverTime))),
    "key of one of its `hosts`": (document.HostTelemetry, ()),
    "key of its `cost`": (document.Cost, ()),
    "key of `histograms`": (document.Histograms, ()),
    "key of its `intervals`": (document.HistogramIntervals, ()),
}
"""Each table of the page by the first words of its head: whose keys it has, and which of these stand elsewhere."""
TOLD_BY_KEYS = {
    *(Reason, NotJudged, Advice, Caveat, MessagesPerWrite),
    *(document.StretchOfProfile, document.Event, document.BacklogDelivery, document.Drained),
}
"""Types without a table: their few keys stand in the row of who has them, or in a sentence of the page."""


@pytest.mark.parametrize("head", TABLES)
def test_a_table_of_the_page_is_the_type(head: str, golden_table: GoldenTable) -> None:
    """Key, type or unit, and meaning: GOLDEN=write writes it anew."""
    cls, elsewhere = TABLES[head]

    golden_table(
        "result.md", f"| {head} | type | meaning |", rows(cls, READ_ON if cls in (Result, Verdict) else {}, elsewhere)
    )


def test_the_kinds_of_events_are_the_codes(golden_table: GoldenTable) -> None:
    """Those that there are, in the order of the code."""
    golden_table(
        "result.md", "| kind of event | meaning |", [f"| `{kind}` | {what} |" for kind, what in EVENTS.items()]
    )


def types_within(annotation: Any) -> Iterator[Any]:
    """The types with keys that a type holds, with those that these hold."""
    if is_document(annotation):
        yield annotation
        for hint in keys(annotation).values():
            yield from types_within(hint)
    for inner in (*typing.get_args(annotation), *getattr(annotation, "__metadata__", ())):
        if not isinstance(inner, str):
            yield from types_within(inner)


def test_every_type_of_a_result_has_a_table() -> None:
    """Or is told by its few keys; so none is forgotten."""
    held = {each for each in types_within(Result) if each.__name__ != "LatencySummary"}
    tables = {cls for cls, _ in TABLES.values()}

    assert held - tables - TOLD_BY_KEYS == set()
    assert tables - held == set()


@pytest.mark.parametrize("cls", dict.fromkeys(cls for cls, _ in TABLES.values()))
def test_every_key_of_a_type_has_a_meaning(cls: Any) -> None:
    """In the section `Attributes` of its docstring, which is where the page has it from."""
    assert without_meaning(cls) == []


PROBE = Probe(1000, 5.0, {"published": 1000.0}, {}, figures(1), figures(2), 0.2, held=True)
STRETCH = StretchMetrics(Stretch(10**9, 1, 2), 0, 10**9, 1.0, 1.0, 1.0, 0, figures(1), figures(2))


def test_what_is_built_for_a_result_has_the_keys_of_the_types() -> None:
    """Of all parts that few runs have; what every run has is held on a real one, in `tests/live/test_run.py`."""
    told = result(
        backlog_drain=measured_drain(),
        search_result=SearchResult((PROBE,), 1000, None),
        stretches=(STRETCH,),
        messages_per_write=MessagesPerWrite(1, 1.0, 1),
        verdict=Verdict("INVALID", (Reason("r", "INVALID", ""),), (NotJudged("n", ""),), "", (Advice("a", ""),)),
        thresholds=[Check("publish.p99 < 1ms", 1.0, 1.0, "ms", False)],
        caveats=[Caveat("c", "")],
        delivery=(WindowDelivery("group-1", 1, 1),),
        standing=Standing("s"),
    )
    data = json.loads(told.dumps()) | {"faults": sample_faults()}
    told_elsewhere = {"counters", "environment", "telemetry", "histograms", "subscriptions", *FLAT}
    hints = {key: hint for key, hint in keys(Result).items() if key not in told_elsewhere}

    assert [each for key, hint in hints.items() for each in differences(data[key], hint, key)] == []
    assert [*differences({key: data[key] for key in keys(document.Rates)}, document.Rates)] == []
    assert [*differences(worker_to_json(WorkerFacts(0, "produce")), document.WorkerOfRun)] == []


INTERVALS = {"seconds": 1.0, "families": {}, "subscriptionSeconds": 1.0, "subscriptions": {}}


def test_a_key_too_many_or_too_few_is_found() -> None:
    """By the walk that these tests take over what is written."""
    too_few = {"unit": "ns", "families": {}, "intervals": INTERVALS}
    too_many = {"unit": "ns", "families": {}, "subscriptions": {}, "intervals": INTERVALS | {"n": 1}}

    assert list(differences(too_few, document.Histograms)) == [".subscriptions is not there"]
    assert list(differences(too_many, document.Histograms)) == [".intervals.n is in no type"]
