"""Comparisons for programs: as JSON, whole, and as CSV, one line for each metric of each setup. Pure.

What is not known is null in JSON and empty in CSV. Latencies are in ms, rates in messages per second, ratios to the
baseline.
"""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from ombdriver.bench.results.compare.comparison import Comparison, Effect, SetupComparison, Spread
from ombdriver.bench.results.compare.conditions import Outcome
from ombdriver.bench.results.compare.faults import FaultEffect, FaultSpread
from ombdriver.bench.results.compare.statistics import ALPHA
from ombdriver.bench.results.compare.trial import Trial

KIND = "comparison"
FORMAT_VERSION = 1
COLUMNS = (
    "workload",
    "baseline",
    "setup",
    "paired",
    "metric",
    "unit",
    "baselineRuns",
    "baselineMedian",
    "baselineLeast",
    "baselineMost",
    "runs",
    "median",
    "least",
    "most",
    "ratio",
    "low",
    "high",
    "tested",
    "p",
    "correctedP",
    "word",
    "baselineOfHarness",
    "ofHarness",
)


def to_json(comparisons: Sequence[Comparison], left_out: Sequence[Trial], outcomes: Sequence[Outcome]) -> str:
    """As JSON text, ended by a line feed.

    Args:
        comparisons: what was found.
        left_out: the runs that were not compared.
        outcomes: of the conditions.
    """
    data = {
        "kind": KIND,
        "formatVersion": FORMAT_VERSION,
        "confidence": 1 - ALPHA,
        "comparisons": [_comparison(each) for each in comparisons],
        "leftOut": [
            {"source": each.source, "workload": each.workload, "setup": each.setup, "reason": each.excluded}
            for each in left_out
        ],
        "conditions": [
            {"condition": each.condition.expression, "workload": each.workload, "setup": each.setup, "met": each.met}
            for each in outcomes
        ],
    }
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """As CSV text with the columns of `COLUMNS`; lines end with a line feed."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for comparison in comparisons:
        for compared in comparison.setups:
            for effect in compared.effects:
                writer.writerow(_cells(comparison, compared, effect))
            for of_faults in compared.faults:
                writer.writerow(_fault_cells(comparison, compared, of_faults))
    return stream.getvalue()


def _cells(comparison: Comparison, compared: SetupComparison, effect: Effect) -> list[Any]:
    base, other = effect.baseline, effect.other
    values = [
        *(base.count, _rounded(base.median), _rounded(base.least), _rounded(base.most)),
        *(other.count, _rounded(other.median), _rounded(other.least), _rounded(other.most)),
        *map(_rounded, (effect.ratio, effect.low, effect.high)),
        _bool(effect.p is not None),
        *map(_rounded, (effect.p, effect.corrected_p)),
        effect.conclusion,
        base.harness_share,
        other.harness_share,
    ]
    return _line(comparison, compared, str(effect.figure), _unit(effect), values)


def _fault_cells(comparison: Comparison, compared: SetupComparison, effect: FaultEffect) -> list[Any]:
    sides = [
        value
        for each in (effect.baseline, effect.other)
        for value in (each.count, _rounded(each.median), _rounded(each.least), _rounded(each.most))
    ]
    values = [*sides, *[None] * 3, _bool(value=False), *[None] * 5]
    return _line(comparison, compared, effect.name, effect.unit, values)


def _line(
    comparison: Comparison, compared: SetupComparison, metric: str, unit: str, values: Sequence[Any]
) -> list[Any]:
    head = [comparison.workload, comparison.baseline, compared.setup, _bool(compared.paired), metric, unit]
    return [*head, *("" if each is None else each for each in values)]


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "workload": comparison.workload,
        "baseline": comparison.baseline,
        "differences": [
            {
                "key": each.key,
                "setup": each.setup,
                "values": [{"value": value, "sources": list(sources)} for value, sources in each.values],
            }
            for each in comparison.differences
        ],
        "unjudged": list(comparison.without_verdict),
        "messagesPerWrite": dict(comparison.messages_per_write),
        "setups": [
            {
                "setup": each.setup,
                "paired": each.paired,
                "runs": each.runs,
                "baselineRuns": each.baseline_runs,
                "alone": each.without_partner,
                "noClaim": each.no_claim,
                "forced": each.forced,
                "metrics": [_effect(effect) for effect in each.effects],
                "faults": [_fault_effect(effect) for effect in each.faults],
            }
            for each in comparison.setups
        ],
    }


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        "metric": str(effect.figure),
        "unit": _unit(effect),
        "baseline": _spread(effect.baseline),
        "setup": _spread(effect.other),
        "ratio": _rounded(effect.ratio),
        "low": _rounded(effect.low),
        "high": _rounded(effect.high),
        "tested": effect.p is not None,
        "p": _rounded(effect.p),
        "correctedP": _rounded(effect.corrected_p),
        "word": effect.conclusion,
    }


def _fault_effect(effect: FaultEffect) -> dict[str, Any]:
    return {
        "metric": effect.name,
        "unit": effect.unit,
        "baseline": _fault_spread(effect.baseline),
        "setup": _fault_spread(effect.other),
    }


def _fault_spread(spread: FaultSpread) -> dict[str, Any]:
    return {
        "runs": spread.count,
        "unended": spread.unended,
        "median": _rounded(spread.median),
        "least": _rounded(spread.least),
        "most": _rounded(spread.most),
    }


def _spread(spread: Spread) -> dict[str, Any]:
    return {
        "runs": spread.count,
        "median": _rounded(spread.median),
        "least": _rounded(spread.least),
        "most": _rounded(spread.most),
        "ofHarness": spread.harness_share,
    }


def _unit(effect: Effect) -> str:
    return "messages/s" if effect.figure.kind == "rate" else "ms"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _bool(value: bool) -> str:
    return "true" if value else "false"
