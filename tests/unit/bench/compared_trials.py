"""Runs of setups that never were, for the tests of comparisons: figures with a known variation and a known shift."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ombdriver.bench.results.compare.metrics import RATES, overall
from ombdriver.bench.results.compare.trial import Trial
from ombdriver.bench.results.result import Standing

SCALES = {"publish": 0.061, "endToEnd": 0.18, "publishResponse": 0.095, "endToEndResponse": 0.212}
"""The median of each latency in ms."""
TIMES = {"p50": 1.0, "p95": 3.0, "p99": 5.0, "p99.9": 9.0, "max": 40.0}
FACTS: Mapping[str, Any] = {
    "workload.producerRate": 2000,
    "workload.payloadFile": "some.data",
    "workloadSha256": "ab" * 32,
    "versions.ombdriver": "1.0",
    "kernel": "Linux 6.1",
}


def trials(
    setup: str,
    repeats: int,
    *,
    seed: int,
    shift: float = 1.0,
    variation: float = 0.08,
    series: str | None = "ab12cd34",
    **changed: Any,
) -> list[Trial]:
    """Runs of one setup, one in each block.

    Args:
        setup: its name.
        repeats: how many.
        seed: of the variation.
        shift: what each latency is multiplied by.
        variation: the standard deviation of a figure's logarithm from run to run; half of its square is common to all
            figures of a run, so they are correlated.
        series: of which they are; None for none.
        changed: other attributes of each.
    """
    generator = np.random.default_rng(seed)
    latencies = [str(figure) for figure in overall() if figure.kind == "latency"]
    found = []
    for block in range(1, repeats + 1):
        common, own = generator.normal(), generator.normal(size=len(latencies))
        factors = shift * np.exp(variation * (common + own) / np.sqrt(2))
        figures = {
            name: float(factor) * SCALES[name.partition(".")[0]] * TIMES.get(name.partition(".")[2], 2.0)
            for name, factor in zip(latencies, factors, strict=True)
        }
        figures |= dict.fromkeys(RATES, 2000.0 + 0.01 * block)
        run = Trial(f"{setup}-{block}.json", "1kb-3groups", setup, figures, run_id=f"{setup}{block}", facts=FACTS)
        begun = datetime(2026, 11, 1, 12, tzinfo=UTC) + timedelta(minutes=2 * block, seconds=seed % 60)
        standing = None if series is None else Standing(series, block, 2 * repeats, block, 1, repeats)
        found.append(replace(run, **({"standing": standing, "begun": begun} | changed)))
    return found
