"""Live figures for Prometheus: what is served, where, and what happens when it can't be."""

import builtins
import socket
import urllib.request
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ombdriver.bench.metrics.histogram import Histogram
from ombdriver.bench.report.progress import GroupProgress, Progress, ServerProgress, TotalsProgress
from ombdriver.bench.report.prometheus import BOUNDS_NS, ExposedView, Exposition, Labels, buckets
from ombdriver.bench.verdict.model import Verdict
from ombdriver.errors import InputError

LABELS = Labels("1kb-3groups", "embedded", 2)


def samples(*values_ns: int) -> Histogram:
    """A histogram of these."""
    return Histogram.of(np.array(values_ns, np.int64))


PROGRESS = Progress(
    "measure",
    12.0,
    target_rate=2000.0,
    groups={"group-1": GroupProgress(2000.0, 7, 5), "group-2": GroupProgress(2000.0, 3, None)},
    server=ServerProgress(0.25, 1_000_000),
    verdict=Verdict("VALID"),
    totals=TotalsProgress(
        "measure",
        {("published", None): 24_000, ("failed", None): 2, ("received", "group-1"): 23_990},
        {
            ("publishResponse", None): samples(90_000, 150_000, 3_000_000),
            ("endToEndResponse", "group-1"): samples(200_000),
        },
    ),
)


def scraped(exposition: Exposition) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What a scraper gets: (sample's name, its labels) -> value."""
    with urllib.request.urlopen(exposition.url) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_everything_that_is_known_is_served() -> None:
    """Counters and histograms of the phase, and gauges of now; what is not known is left out."""
    with Exposition(0) as exposition:
        with ExposedView(exposition, LABELS) as view:
            view.update(PROGRESS)
        found = scraped(exposition)

    def value(name: str, **labels: str) -> float | None:
        return found.get((name, frozenset(labels.items())))

    assert value("ombdriver_messages_published_total", phase="measure") == 24_000
    assert value("ombdriver_messages_failed_total", phase="measure") == 2
    assert value("ombdriver_messages_received_total", phase="measure", group="group-1") == 23_990
    assert value("ombdriver_backlog_messages", group="group-1") == 7
    assert value("ombdriver_lag_entries", group="group-1") == 5
    assert value("ombdriver_lag_entries", group="group-2") is None
    assert value("ombdriver_target_messages_per_second") == 2000
    assert value("ombdriver_server_cpu_cores") == 0.25
    assert value("ombdriver_server_memory_bytes") == 1_000_000
    assert value("ombdriver_verdict", status="VALID") == 1
    assert value("ombdriver_phase", phase="measure") == 1
    response = "ombdriver_publish_response_seconds"
    assert value(f"{response}_bucket", phase="measure", le="0.0001") == 1
    assert value(f"{response}_bucket", phase="measure", le="0.0002") == 2
    assert value(f"{response}_bucket", phase="measure", le="+Inf") == 3
    assert value(f"{response}_count", phase="measure") == 3
    assert value(f"{response}_sum", phase="measure") == pytest.approx(0.00324)
    assert value("ombdriver_end_to_end_response_seconds_count", phase="measure", group="group-1") == 1
    (about,) = [dict(labels) for name, labels in found if name == "ombdriver_run_info"]
    assert (about["workload"], about["setup"], about["run"]) == ("1kb-3groups", "embedded", "2")


def test_before_a_run_has_told_anything_nothing_is_served() -> None:
    """An empty page, no error."""
    with Exposition(0) as exposition:
        assert scraped(exposition) == {}


def test_only_this_machine_can_ask() -> None:
    """It listens on loopback."""
    with Exposition(0) as exposition:
        assert exposition.url == f"http://127.0.0.1:{exposition.port}/metrics"
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", exposition.port), timeout=5)


def test_the_port_is_free_again_afterwards() -> None:
    """For the next command."""
    with Exposition(0) as exposition:
        port = exposition.port
    with Exposition(port) as again:
        assert again.port == port


def test_a_port_in_use_is_told_with_the_way_out() -> None:
    """Before anything is started."""
    with Exposition(0) as taken, pytest.raises(InputError, match=f"--prometheus {taken.port}.*give a free port"):
        Exposition(taken.port).__enter__()


def test_without_the_client_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra, for who wants it."""
    really = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("prometheus_client"):
            raise ImportError(name)
        return really(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(InputError, match=r"pip install 'ombdriver\[prometheus\]'"):
        Exposition(0)


@given(st.lists(st.integers(0, 10**12)))
def test_buckets_rise_to_all_samples(values_ns: list[int]) -> None:
    """As Prometheus wants them; a bound counts what is surely at most that."""
    held = samples(*values_ns)
    counts = [count for _, count in buckets(held)]

    assert counts == sorted(counts)
    assert counts[-1] == len(values_ns)
    for bound_ns, count in zip(BOUNDS_NS, counts, strict=False):
        assert sum(value <= bound_ns * 0.998 for value in values_ns) <= count
        assert count <= sum(value <= bound_ns for value in values_ns)
