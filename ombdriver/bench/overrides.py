"""What the command line gives in place of a workload's own values, or besides them; faults are named by its options.

Pure; knows how a workload is written in a file, and not how it is validated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ombdriver.bench.faults import Fault
from ombdriver.bench.text import format_duration

_OPTIONS = {
    "testDuration": "--duration",
    "warmupDuration": "--warmup",
    "producerRate": "--rate",
    "probeRates": "--rates",
    "probeSteps": "--steps",
    "thresholds": "--threshold",
}


@dataclass(frozen=True, slots=True)
class Overrides:
    """What was given; None leaves a field as it is.

    Attributes:
        duration_ns: the measured time.
        warmup_ns: the warm-up.
        rate: messages per second; 0 finds the highest that is sustained.
        probe_rates: rates to try in place of a search.
        probe_steps: how many rates are tried after one.
        thresholds: conditions besides the workload's own.
        abort_on_fail: the run ends as soon as a threshold fails, even if the workload does not say so.
    """

    duration_ns: int | None = None
    warmup_ns: int | None = None
    rate: int | None = None
    probe_rates: Sequence[int] = ()
    probe_steps: int | None = None
    thresholds: Sequence[str] = ()
    abort_on_fail: bool = False

    def fields(self) -> set[str]:
        """The fields of a workload that are given another value."""
        given = {"testDuration": self.duration_ns, "warmupDuration": self.warmup_ns, "producerRate": self.rate}
        return {name for name, value in given.items() if value is not None}

    def applied(self, spec: dict[str, Any], own_interval: bool) -> dict[str, Any]:
        """`spec` with what was given; with `own_interval` the workload says itself how long a sample is."""
        data = dict(spec)
        if self.duration_ns is not None:
            data["testDuration"] = format_duration(self.duration_ns)
            if not own_interval:
                del data["sampleInterval"]
        if self.warmup_ns is not None:
            data["warmupDuration"] = format_duration(self.warmup_ns)
        if self.rate is not None:
            data["producerRate"] = self.rate
            if self.rate:  # how the highest one was to be found has no meaning any longer
                for name in ("slo", "probeDuration", "probeRates", "probeSteps"):
                    data.pop(name, None)
        if self.probe_rates or self.probe_steps:
            data = {name: value for name, value in data.items() if name not in ("probeRates", "probeSteps")}
            data |= {"probeRates": list(self.probe_rates)} if self.probe_rates else {"probeSteps": self.probe_steps}
        data["thresholds"] = [*spec["thresholds"], *self.thresholds]
        data["abortOnFail"] = spec["abortOnFail"] or self.abort_on_fail
        return data

    def told(self, faults: Sequence[Fault], workload: str) -> list[str]:
        """`faults` as sentences, each beginning with the option, or with the workload, the options and the field."""
        given = (("--duration", self.duration_ns), ("--warmup", self.warmup_ns), ("--rate", self.rate))
        names = ", ".join(option for option, value in given if value is not None)
        others = f"{workload} with {names}: "
        return [f"{_OPTIONS.get(each.field, others + each.field)}: {each.message}" for each in faults]
