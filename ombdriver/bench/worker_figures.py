"""What worker processes took in the measured window, as a result tells it. Pure."""

from collections.abc import Sequence

from ombdriver.bench.plan import WorkerPlan
from ombdriver.bench.worker_report import ProcessFigures


def told_workers(
    workers: Sequence[WorkerPlan], before: Sequence[ProcessFigures], after: Sequence[ProcessFigures]
) -> list[dict[str, object]]:
    """The `environment.workers` of a result, from the figures at the beginning and at the end of the window."""
    return [
        {
            "role": worker.role,
            "windowCpuSeconds": (now.cpu_ns - then.cpu_ns) / 1e9,
            "peakRssBytes": now.peak_rss_bytes,
            "rssGrowthBytes": now.rss_bytes - then.rss_bytes,
            "garbageCollections": now.gc_pauses,
            "longestCollectionMs": now.gc_longest_ns / 1e6,
            "collectingMs": now.gc_ns / 1e6,
            "runDelayMs": (now.run_delay_ns - then.run_delay_ns) / 1e6,
            "loopStalls": now.stalls,
            "longestStallMs": now.longest_stall_ns / 1e6,
            "stalledMs": now.stalled_ns / 1e6,
            "throttledMs": _ms_between(then.throttled_ns, now.throttled_ns),
        }
        for worker, then, now in zip(workers, before, after, strict=True)
    ]


def _ms_between(then_ns: int | None, now_ns: int | None) -> float | None:
    return None if then_ns is None or now_ns is None else (now_ns - then_ns) / 1e6
