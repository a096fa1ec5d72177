"""`ombdriver calibrate`, with short trials: every figure is there, and the null server is one that a run accepts."""

from ombdriver.bench.report.calibration import describe_calibration
from ombdriver.bench.run.calibrate import FLOOR_RATES, calibrate
from ombdriver.bench.run.signals import Interrupt


async def test_a_calibration_measures_what_it_tells() -> None:
    """Rates and floors of the memory driver and of the null server; nothing in it is a server that does work."""
    said: list[str] = []
    with Interrupt() as stop:
        told = await calibrate(stop, said.append, trial_ms=300)

    figures = told["figures"]
    assert len(said) == 8
    assert all(
        figures[kind][where] > 100
        for kind in ("sendPerSecond", "receivePerSecond")
        for where in ("memory", "nullServer")
    )
    for where in ("memory", "nullServer"):
        floors = figures["floorMs"][where]
        assert list(floors) == [str(rate) for rate in FLOOR_RATES]
        assert all(0 < each["publish"]["p50"] <= each["publish"]["p99"] for each in floors.values())
    assert "endToEnd" in figures["floorMs"]["memory"]["1000"]
    assert "null server, 1,000 msg/s, publish" in describe_calibration(told)
