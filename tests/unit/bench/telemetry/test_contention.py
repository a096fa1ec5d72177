"""What a whole machine did not get: processor time that its host took, and the pressure on its cores."""

import sys
from pathlib import Path

import pytest

from ombdriver.bench.telemetry.contention import (
    Contention,
    busy_ns,
    pressure_ns,
    read_contention,
    stolen_ns,
    usable_processors,
)

STAT = """cpu  107053 15002 25423 125578 428 0 6758 145 0 0
cpu0 47861 7138 11399 70434 59 0 3225 120 0 0
cpu1 59192 7863 14024 55144 368 0 3533 25 0 0
cpu10 1 0 0 0 0 0 0 7 0 0
intr 114930548 113199788 3 0
"""
PRESSURE = """some avg10=77.02 avg60=65.57 avg300=50.35 total=324382892
full avg10=0.00 avg60=0.00 avg300=0.00 total=17
"""


def test_stolen_time_is_told_of_each_processor_that_is_meant() -> None:
    """In ns, from the kernel's ticks; the sum over all is none of them, and cpu1 is not cpu10."""
    assert stolen_ns(STAT, {0, 1}, 100) == (1_200_000_000, 250_000_000)
    assert stolen_ns(STAT, {1}, 250) == (100_000_000,)


@pytest.mark.parametrize("text", ["", "cpu0 1 2 3 4 5 6 7\n", "cpux 1 2 3 4 5 6 7 8\n", "intr 3\n"])
def test_an_older_kernel_tells_of_no_stolen_time(text: str) -> None:
    """The column came with Linux 2.6.11; what is missing is no zero."""
    assert stolen_ns(text, {0}, 100) == ()


def test_a_processor_works_for_users_the_kernel_and_interrupts() -> None:
    """Neither idle nor waiting for a disk, nor while its host ran others; guests are in the users' time."""
    guests = "cpu0 10 1 2 50 5 1 1 9 4 0\n"

    assert busy_ns(guests, {0}, 100) == 150_000_000
    assert busy_ns(STAT, {0, 1}, 100) == (47861 + 7138 + 11399 + 3225 + 59192 + 7863 + 14024 + 3533) * 10_000_000
    assert busy_ns("cpu0 1 2 3\n", {0}, 100) is busy_ns(STAT, {2}, 100) is None


def test_pressure_is_the_time_in_which_some_process_waited() -> None:
    """In ns; without PSI, or where it is switched off, nobody knows."""
    assert pressure_ns(PRESSURE) == 324_382_892_000
    assert pressure_ns("") is pressure_ns("full avg10=0 total=5\n") is pressure_ns("some total=?\n") is None


def test_what_the_kernel_does_not_tell_is_missing(tmp_path: Path) -> None:
    """As on another system."""
    assert read_contention({0}, tmp_path) == Contention()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_this_machine_tells() -> None:
    """One counter for each processor that may be used; counters don't go back."""
    processors = usable_processors()
    before, after = read_contention(processors), read_contention(processors)

    assert len(before.stolen_ns) == len(processors)
    assert all(then <= now for then, now in zip(before.stolen_ns, after.stolen_ns, strict=True))
    assert (before.pressure_ns is None) == (after.pressure_ns is None)
    assert before.busy_ns is not None
    assert after.busy_ns is not None
    assert before.busy_ns <= after.busy_ns
