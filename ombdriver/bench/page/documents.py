"""The texts that are folded away: setups, workloads, and what each run ran on. Pure.

What is alike in several results stands once, under the names of all its runs.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ombdriver.bench.page.arrangement import Repeats, Run

_MOST_NAMES = 6
"""Of more runs their number is told."""


@dataclass(frozen=True, slots=True)
class Document:
    """A title, and a text with lines of its own."""

    title: str
    text: str


def documents(setups: Sequence[Repeats]) -> list[Document]:
    """Setups first, then workloads, then fingerprints."""
    runs = [run for setup in setups for run in setup.runs]
    return [
        *_once("Setup", {run.name: run.result.setup for run in runs}),
        *_once("Workload", {run.name: run.result.workload_spec for run in runs}),
        *(Document(f"Fingerprint of {run.name}", _text(_fingerprint(run))) for run in runs),
    ]


def _fingerprint(run: Run) -> dict[str, Any]:
    result = run.result
    own = {
        "file": run.source,
        "runId": result.run_id,
        "ombdriver": result.version,
        "beginTime": result.begin_time,
        "endTime": result.end_time,
        "workloadSha256": result.workload_sha256,
        "setupSha256": result.setup_sha256,
        "overrides": list(result.overrides),
        "tags": result.tags,
    }
    return own | {"environment": result.environment}


def _once(kind: str, by_run: Mapping[str, Mapping[str, Any]]) -> list[Document]:
    together: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for run, data in by_run.items():
        text = _text(data)
        together.setdefault(text, []).append(run)
        names.setdefault(text, str(data.get("name", "")))
    return [Document(f"{kind} {names[text]} ({_named(runs)})", text) for text, runs in together.items()]


def _named(runs: Sequence[str]) -> str:
    return ", ".join(runs) if len(runs) <= _MOST_NAMES else f"{len(runs)} runs"


def _text(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False)
