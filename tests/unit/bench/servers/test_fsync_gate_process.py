"""What a loss of power leaves of files: what the fsyncs have covered, and no byte more or less."""

import errno
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.servers.fsync_gate_process import FsyncGate

NAMES = ("a.aof", "b.aof")
STEP = st.one_of(
    st.tuples(st.just("append"), st.sampled_from(NAMES), st.binary(min_size=1, max_size=5)),
    st.tuples(st.sampled_from(["fsync", "fdatasync", "remove"]), st.sampled_from(NAMES), st.just(b"")),
    st.tuples(st.just("rename"), st.just(NAMES[0]), st.just(b"")),
)


def cut(gate: FsyncGate, folder: Path, *kept: str) -> int:
    """The bytes that it took away."""
    return int(gate.obey(b" ".join([b"cut", os.fsencode(folder).hex().encode(), *map(os.fsencode, kept)])))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has the gate")
@given(st.lists(STEP, max_size=20))
def test_a_file_is_left_with_what_its_last_fsync_had_covered(steps: list[tuple[str, str, bytes]]) -> None:
    """Whatever is written, removed and renamed between; a new file has nothing of an old one that had its number."""
    gate, written, covered = FsyncGate(), dict[str, bytes](), dict[str, int]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, file, data in steps:
            match what:
                case "append":
                    with (folder / file).open("ab") as opened:
                        opened.write(data)
                    written[file] = written.get(file, b"") + data
                    covered.setdefault(file, 0)
                case "remove" if file in written:
                    (folder / file).unlink()
                    del written[file], covered[file]
                case "rename" if file in written:
                    (folder / NAMES[0]).rename(folder / NAMES[1])
                    written[NAMES[1]], covered[NAMES[1]] = written.pop(NAMES[0]), covered.pop(NAMES[0])
                case "fsync" | "fdatasync" if file in written:
                    assert gate.sync(os.open(folder / file, os.O_RDONLY), is_data=what == "fdatasync") == 0
                    covered[file] = len(written[file])

        gone = cut(gate, folder)

        assert gone == sum(len(data) - covered[file] for file, data in written.items())
        assert {each.name: each.read_bytes() for each in folder.iterdir()} == {
            file: data[: covered[file]] for file, data in written.items()
        }


def test_what_is_named_is_kept(tmp_path: Path) -> None:
    """A log is no data, and a link is no file."""
    (tmp_path / "appendonlydir").mkdir()
    for name in ("server.log", "appendonlydir/one.aof"):
        (tmp_path / name).write_bytes(b"1234")
    (tmp_path / "link").symlink_to("server.log")

    assert cut(FsyncGate(), tmp_path, "server.log") == 4

    assert (tmp_path / "server.log").read_bytes() == b"1234"
    assert (tmp_path / "appendonlydir" / "one.aof").read_bytes() == b""


def test_what_can_not_be_synced_is_told_by_its_error(tmp_path: Path) -> None:
    """As to who has called; a folder can be."""
    gate = FsyncGate()
    reading, writing = os.pipe()

    assert gate.sync(reading, is_data=False) == errno.EINVAL
    assert gate.sync(os.open(tmp_path, os.O_RDONLY), is_data=False) == 0
    os.close(writing)


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        (b"delay 5", b"0"),
        (b"fail 28", b"0"),
        (b"delay 0", b"0"),
        (b"cut", b"not known: cut"),
        (b"fill 1", b"not known: fill 1"),
    ],
)
def test_each_order_has_an_answer(order: bytes, answer: bytes) -> None:
    """One that is not known too."""
    assert FsyncGate().obey(order) == answer
