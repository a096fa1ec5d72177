"""`ombdriver calibrate`, with short trials: every figure is there, and the null server is one that a run accepts."""

from ombdriver.bench.report.calibration import describe_calibration
from ombdriver.bench.run.calibrate import CORES_TO_SPIN, FLOOR_RATES, calibrate, least
from ombdriver.bench.run.signals import Interrupt
from ombdriver.bench.telemetry.installation import usable_cores


async def test_a_calibration_measures_what_it_tells() -> None:
    """Rates and floors of the memory driver and of the null server; nothing in it is a server that does work."""
    said: list[str] = []
    with Interrupt() as stop:
        told = await calibrate(stop, said.append, trial_ms=300, rounds=1)

    figures = told["figures"]
    assert len(said) == (10 if usable_cores() >= CORES_TO_SPIN else 8)
    assert all(
        figures[kind][where] > 100
        for kind in ("sendPerSecond", "receivePerSecond")
        for where in ("memory", "nullServer")
    )
    for where in ("memory", "nullServer"):
        floors = figures["floorMs"][where]
        assert list(floors) == [str(rate) for rate in FLOOR_RATES]
        assert all(each["publish"]["p50"] > 0 for each in floors.values())
    assert "endToEnd" in figures["floorMs"]["memory"]["1000"]
    assert figures["floorMs"]["nullServer"]["1000"]["publish"]["p99"] is None  # 300 samples are too few
    assert "null server, 1,000 messages/s, publish" in describe_calibration(told)


def test_a_floor_is_the_least_of_several_runs() -> None:
    """Of each percentile by itself; what no run has enough samples for is not told."""
    calm = {"publish": {"p50": 0.05, "p99": 0.9, "p99.9": None}}
    busy = {"publish": {"p50": 0.06, "p99": 0.4, "p99.9": None}, "endToEnd": {"p50": 0.1, "p99": 0.2, "p99.9": 0.3}}

    assert least([calm, busy]) == {
        "publish": {"p50": 0.05, "p99": 0.4, "p99.9": None},
        "endToEnd": {"p50": 0.1, "p99": 0.2, "p99.9": 0.3},
    }
