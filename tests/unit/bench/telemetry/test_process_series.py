"""What processes take becomes series and sums."""

from ombdriver.bench.metrics.report import ProcessUsage
from ombdriver.bench.telemetry.contention import Contention
from ombdriver.bench.telemetry.processes import MACHINE_CPU, PRESSURE, STEAL, ProcessSample, ProcessSeries
from ombdriver.bench.telemetry.summary import CpuShare, OuterUsage
from ombdriver.bench.telemetry.window import Window

SECOND = 10**9
MS = 10**6
START = 100 * SECOND


def sample(at_s: float, own: ProcessUsage | None = None, **cpu_s: float | None) -> ProcessSample:
    """All processes `at_s` seconds after the start of the window, each with so much processor time behind it."""
    outer = {name: None if each is None else OuterUsage(round(each * SECOND), 1000) for name, each in cpu_s.items()}
    return ProcessSample(START + round(at_s * SECOND), outer, {} if own is None else {"w": own})


def series(*samples: ProcessSample) -> ProcessSeries:
    """The series of a window of two seconds."""
    made = ProcessSeries()
    made.begin(Window(START, START + 2 * SECOND))
    for each in samples:
        made.add(each)
    return made


def test_shares_of_a_core_are_told_from_tick_to_sample() -> None:
    """The first one has none; a process that can't be seen has none either."""
    made = series(
        sample(-1, server=0.0, parent=0.0, w=5.0),
        sample(0, server=0.5, parent=0.0, w=5.5),
        sample(2, server=None, parent=0.1, w=8.5),
    )

    told = made.to_json("server", "parent", {"w": "produce"})
    assert told["t"] == [-1.0, 0.0, 2.0]
    assert told["server"] == {
        "cpu": [None, 0.5, None],
        "waiting": [None, None, None],
        "rssBytes": [1000, 1000, None],
    }
    assert told["workers"][0]["role"] == "produce"
    assert told["workers"][0]["cpu"] == [None, 0.5, 1.5]
    assert told["parent"]["cpu"] == [None, 0.0, 0.05]


def test_a_run_without_a_process_of_the_server_says_so() -> None:
    """It may run on another machine."""
    assert series(sample(0, parent=0.0)).to_json("server", "parent", {})["server"] is None


def test_mean_and_peak_are_of_the_window() -> None:
    """Neither the warm-up nor the drain count, nor a process that nobody saw."""
    made = series(*(sample(at, w=cpu) for at, cpu in ((-1, 0.0), (0, 1.0), (1, 1.2), (2, 1.6), (3, 2.6))))

    assert made.cpu("w").to_json() == {"mean": 0.3, "peak": 0.4}
    assert made.cpu("server") == CpuShare()


def test_what_a_process_waits_and_the_machine_lacks_is_told_beside() -> None:
    """Waits of a process, the worst processor's stolen time, the pressure, and what all worked: per time."""

    def at(second: int, waited_ms: int, stolen_ms: tuple[int, int], pressure_ms: int) -> ProcessSample:
        outer = {"server": OuterUsage(0, 1000, waited_ms * MS)}
        busy_ns = 1500 * MS * (second + 1)
        contention = Contention(tuple(each * MS for each in stolen_ms), pressure_ms * MS, busy_ns)
        return ProcessSample(START + second * SECOND, outer, {}, contention)

    made = series(at(-1, 0, (0, 0), 0), at(0, 10, (5, 0), 20), at(1, 60, (6, 40), 320), at(2, 360, (8, 50), 420))

    told = made.to_json("server", "parent", {})
    assert told["server"]["waiting"] == [None, 0.01, 0.05, 0.3]
    assert told["machine"] == {
        "steal": [None, 0.005, 0.04, 0.01],
        "pressure": [None, 0.02, 0.3, 0.1],
        "cpu": [None, 1.5, 1.5, 1.5],
    }
    assert made.waiting("server") == CpuShare(0.175, 0.3)
    assert (made.share(STEAL), made.share(PRESSURE)) == (CpuShare(0.025, 0.04), CpuShare(0.2, 0.3))
    assert made.share(MACHINE_CPU) == CpuShare(1.5, 1.5)


def test_what_the_kernel_does_not_tell_is_no_share() -> None:
    """Neither zero nor full."""
    made = series(*(sample(at, w=0.0) for at in range(3)))

    shares = [made.waiting("w"), *map(made.share, (STEAL, PRESSURE, MACHINE_CPU))]
    assert shares == [CpuShare()] * 4
    assert made.to_json("server", "parent", {})["machine"] == dict.fromkeys(("steal", "pressure", "cpu"), [None] * 3)


def test_samples_too_close_together_tell_no_share() -> None:
    """Processor time comes in steps of 10 ms."""
    assert series(sample(0, w=0.0), sample(0.01, w=0.01)).to_json("s", "p", {"w": "produce"})["workers"][0]["cpu"] == [
        None,
        None,
    ]


def test_stalls_and_collections_are_told_as_they_grow() -> None:
    """Counts begin anew with a phase."""
    reports = [
        ProcessUsage(stalls=1, stalled_ns=7_000_000, since_ns=1),
        ProcessUsage(stalls=3, stalled_ns=20_000_000, gc_pauses=1, gc_ns=500_000, since_ns=1),
        ProcessUsage(stalls=2, stalled_ns=12_000_000, since_ns=2),
    ]
    made = series(*(sample(at, own, w=0.0) for at, own in enumerate([None, *reports])))

    worker = made.to_json("server", "parent", {"w": "consume"})["workers"][0]
    assert worker["loopStalls"] == [None, 1, 2, 2]
    assert worker["stalledMs"] == [None, 7.0, 13.0, 12.0]
    assert worker["collections"] == [None, 0, 1, 0]
    assert worker["collectingMs"] == [None, 0.0, 0.5, 0.0]
