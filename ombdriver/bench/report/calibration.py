"""A calibration as text for the terminal. Pure."""

from collections.abc import Mapping
from typing import Any

from ombdriver.bench.metrics.latency import HEADLINE
from ombdriver.bench.report import units


def describe_calibration(calibration: Mapping[str, Any]) -> str:
    """The figures of `calibrate.calibrate`, a line each."""
    figures = calibration["figures"]
    cpu = calibration["host"]["cpu"]
    late = figures["tickerLatenessUs"]
    lines = [
        f"This harness on {cpu['model'] or 'this processor'}, {cpu['usableCores']} cores,"
        f" with messages of {units.count(calibration['messageSize'])} bytes",
        "",
        f"{'one worker at most':<46}{'sends':>11}{'receives':>11}",
    ]
    for where, name in (("memory", "  memory driver, both at once"), ("nullServer", "  null server")):
        sends, receives = (units.rate(figures[what][where]) for what in ("sendPerSecond", "receivePerSecond"))
        lines.append(f"{name:<46}{sends:>11}{receives:>11}")
    lines += ["", f"{'latency floor':<46}{''.join(f'{each:>11}' for each in HEADLINE)}"]
    for where, name in (("nullServer", "null server"), ("memory", "memory driver")):
        for rate, families in figures["floorMs"][where].items():
            for family, label in (("publish", "publish"), ("endToEnd", "end-to-end")):
                if family in families:
                    figures_ms = families[family]
                    columns = "".join(f"{units.latency(figures_ms[each]):>11}" for each in HEADLINE)
                    lines.append(f"  {name}, {int(rate):,} messages/s, {label}".ljust(46) + columns)
    lines += [
        "",
        f"wake-ups a millisecond apart are late by {units.latency(late['mean'] / 1e3)} on average,"
        f" p99 {units.latency(late['p99'] / 1e3)}",
        f"recording a sample takes {figures['recordNsPerSample']} ns",
        "",
    ]
    return "\n".join(lines)
