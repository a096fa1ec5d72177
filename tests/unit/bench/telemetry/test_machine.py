"""What a container may use: cgroup 2 and 1, of the own group and of those above it."""

from pathlib import Path

import pytest

from ombdriver.bench.telemetry.machine import available_memory, cpu_limit, limits, memory_limit


def made(folder: Path, own: str, files: dict[str, str]) -> tuple[float | None, int | None]:
    """The limits where the kernel shows these files."""
    for name, text in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    (folder / "own").write_text(own)
    return limits(folder / "cgroup", folder / "own")


def test_limits_are_in_cores_and_bytes() -> None:
    """`max`, -1 and the largest number of pages mean none."""
    assert cpu_limit("150000 100000") == 1.5
    assert cpu_limit("max 100000") is cpu_limit("-1 100000") is cpu_limit("") is cpu_limit(" ") is None
    assert memory_limit("1073741824") == 2**30
    assert memory_limit("max") is memory_limit("9223372036854771712") is memory_limit("") is None


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "50000 100000", "memory.max": "1000"}, (0.5, 1000)),
        ("0::/outside/view\n", {"cpu.max": "50000 100000", "memory.max": "1000"}, (0.5, 1000)),
        (
            "0::/a/b\n",
            {"a/cpu.max": "100000 100000", "a/b/cpu.max": "max 100000", "a/memory.max": "7", "a/b/memory.max": "9"},
            (1.0, 7),
        ),
        (
            "4:memory:/box\n3:cpu,cpuacct:/box\n0::/box\n",
            {
                "cpu/box/cpu.cfs_quota_us": "200000",
                "cpu/box/cpu.cfs_period_us": "100000",
                "memory/box/memory.limit_in_bytes": "4096",
                "memory/memory.limit_in_bytes": "9223372036854771712",
            },
            (2.0, 4096),
        ),
        ("", {}, (None, None)),
        ("nonsense\n", {}, (None, None)),
    ],
)
def test_the_least_limit_of_the_groups_counts(
    tmp_path: Path, own: str, files: dict[str, str], expected: tuple[float | None, int | None]
) -> None:
    """Of the own group and of those above it; a container may not see its own path."""
    assert made(tmp_path, own, files) == expected


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    """Elsewhere than on Linux there are none."""
    assert limits(tmp_path / "nowhere", tmp_path / "none") == (None, None)


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        (
            "0::/\n",
            {"memory.max": "1000", "memory.current": "900", "memory.stat": "file 50\ninactive_file 30"},
            (130, 1000),
        ),
        ("0::/a\n", {"memory.max": "1000", "memory.current": "999", "a/memory.max": "max"}, (1, 1000)),
        ("0::/\n", {"memory.max": "1000", "memory.current": "2000"}, (0, 1000)),
        (
            "4:memory:/box\n",
            {
                "memory/box/memory.limit_in_bytes": "1000",
                "memory/box/memory.usage_in_bytes": "600",
                "memory/box/memory.stat": "total_inactive_file 100",
            },
            (500, 1000),
        ),
    ],
)
def test_a_container_has_what_its_limit_leaves(
    own: str, files: dict[str, str], expected: tuple[int, int], tmp_path: Path
) -> None:
    """Files that were read count as available; where the machine has less, that is what there is."""
    made(tmp_path, own, files)

    assert available_memory(tmp_path / "cgroup", tmp_path / "own") == expected


def test_without_a_container_the_machine_says_what_is_left(tmp_path: Path) -> None:
    """Of all that it has."""
    found = available_memory(tmp_path / "nowhere", tmp_path / "none")

    assert found is not None
    assert 0 < found.available <= found.total
