"""Results on disk: their names, whole or not at all, and what is said when the disk refuses."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_result import SPEC, result

from ombdriver.bench.results import store
from ombdriver.bench.results.result import Result
from ombdriver.errors import RunError


def test_a_saved_result_is_found_under_its_name(tmp_path: Path) -> None:
    """UTC, workload, setup and run id; the folder is made when it is absent."""
    path = store.save(result(), tmp_path / "new" / "results")

    assert path == tmp_path / "new" / "results" / "20260301T120010Z-1kb-3groups-embedded-k3v9qz.json"
    assert Result.loads(path.read_text(), str(path)) == result()
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_saved_result_can_be_read_by_others(tmp_path: Path) -> None:
    """A temporary file's narrow rights do not stay."""
    assert store.save(result(), tmp_path).stat().st_mode & 0o777 == 0o644


def test_a_result_is_never_replaced(tmp_path: Path) -> None:
    """The one that is there stays as it was, and no temporary file is left."""
    path = store.save(result(), tmp_path)
    before = path.read_text()

    with pytest.raises(RunError, match=r"exists already and is not replaced; move it away"):
        store.save(result(tags={"other": "run"}), tmp_path)

    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message tells the folder, the system's reason and the way out."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(RunError, match=r"can't be written to .* \(No space left on device\); .*--output"):
        store.save(result(), tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_found_before_the_run(tmp_path: Path) -> None:
    """Here a file stands where the folder should be."""
    (tmp_path / "results").write_text("in the way")

    with pytest.raises(RunError, match=r"results can't be written to .*results \(File exists\); .*--output"):
        store.prepare(tmp_path / "results")
    with pytest.raises(RunError, match="Not a directory"):
        store.prepare(tmp_path / "results" / "deeper")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unwritable for root")
def test_an_unwritable_folder_is_found_before_the_run(tmp_path: Path) -> None:
    """A folder without the right to write."""
    tmp_path.chmod(0o500)

    with pytest.raises(RunError, match="Permission denied"):
        store.prepare(tmp_path)


def test_preparing_leaves_an_empty_folder(tmp_path: Path) -> None:
    """The trial file has no name and is gone."""
    store.prepare(tmp_path / "a" / "b")
    store.prepare(tmp_path / "a" / "b")

    assert list((tmp_path / "a" / "b").iterdir()) == []


@given(name=st.text(), setup=st.text())
def test_any_names_make_a_safe_file_name(name: str, setup: str) -> None:
    """No path, no hidden file, no character that a shell or another system would mind, and short enough."""
    made = store.file_name(result(workload_spec=SPEC | {"name": name}, setup={"name": setup}))

    assert made.startswith("20260301T120010Z-")
    assert made.endswith("-k3v9qz.json")
    assert all(mark.isascii() and (mark.isalnum() or mark in "._-") for mark in made)
    assert len(made) < 200
