"""What the kernel has booked, from the texts of its files and from this process."""

import sys
import time
from pathlib import Path

import pytest

from ombdriver.bench.telemetry.process import (
    RunDelay,
    resident_bytes,
    stat_paths,
    throttle_files,
    throttled_in,
    throttled_ns,
)

ROOT = Path("/cg")


def test_throttling_is_told_by_both_versions_of_cgroups() -> None:
    """In ns; a file without it, as that of a root, tells nothing."""
    assert throttled_in("usage_usec 5\nnr_throttled 2\nthrottled_usec 1500\n") == 1_500_000
    assert throttled_in("nr_periods 0\nnr_throttled 0\nthrottled_time 42\n") == 42
    assert throttled_in("usage_usec 5\n") is None
    assert throttled_in("") is None


def test_a_cgroup_is_looked_for_with_all_above_it() -> None:
    """A limit may be set anywhere up to the root; of version 1, under the controller's name."""
    assert list(stat_paths("0::/a/b\n", ROOT)) == [
        ROOT / "a/b/cpu.stat",
        ROOT / "a/cpu.stat",
        ROOT / "cpu.stat",
    ]
    assert list(stat_paths("4:memory:/x\n2:cpu,cpuacct:/a\n", ROOT)) == [
        ROOT / "cpu,cpuacct/a/cpu.stat",
        ROOT / "cpu,cpuacct/cpu.stat",
    ]
    assert list(stat_paths("0::/\n", ROOT)) == [ROOT / "cpu.stat"]


def test_throttling_of_several_levels_is_added(tmp_path: Path) -> None:
    """Each holds up all below it; without any file nothing is known."""
    files = [tmp_path / name for name in ("own", "above", "gone")]
    files[0].write_text("throttled_usec 3\n")
    files[1].write_text("throttled_usec 4\n")

    assert throttled_ns(files) == 7_000
    assert throttled_ns(files[2:]) is None


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_this_process_is_accounted_for() -> None:
    """As far as the kernel does it: neither time goes backwards, and memory is there."""
    run_delay = RunDelay()
    before, ran_ns, busy_ns = run_delay.ns(), time.thread_time_ns(), run_delay.busy_ns()
    while time.thread_time_ns() < ran_ns + 20_000_000:
        sum(range(100_000))
    now, peak = resident_bytes()

    assert run_delay.ns() >= before >= 0
    assert run_delay.busy_ns() >= busy_ns + 10_000_000  # told at the ticks of the kernel
    run_delay.close()
    assert run_delay.ns() == RunDelay(Path("/proc/self/none")).ns() == 0
    assert run_delay.busy_ns() > ran_ns  # what it has run, where nothing tells how long it waited
    assert 2**20 < now <= peak
    assert all(path.name == "cpu.stat" for path in throttle_files())
    assert (throttled_ns(throttle_files()) or 0) >= 0
