"""Both programs of the aio-redis-mq manual run with only the import changed, in a strict interpreter."""

import re
import subprocess
import sys
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"


def output_of(name: str, url: str, folder: Path) -> list[str]:
    """The lines that a program prints, its waits shortened: it is the text of the manual otherwise."""
    text = (PROGRAMS / name).read_text()
    for wait, shorter in (("sleep(1)", "sleep(0.01)"), ("sleep(0.05)", "sleep(0.001)"), ("block=1500", "block=200")):
        text = text.replace(wait, shorter)
    program = folder / name
    program.write_text(text)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program), url],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


def test_publish_and_subscribe(server_url: str, tmp_path: Path) -> None:
    """Three consumers read; each gets every message that was sent after its first read, in order, none twice."""
    lines = output_of("publish_subscribe.py", server_url, tmp_path)

    sent = [line.rpartition("=")[2] for line in lines if line.startswith("producer_task")]
    assert len(sent) == 10
    for index in (1, 2, 3):
        reads = [line for line in lines if line.startswith(f"consumer_{index} block read message")]
        received = re.findall(r"\('(\d+-\d+)', \{'msg': 'msg_\d', 'content'", "".join(reads))
        assert len(reads) == 10
        assert received == sent[-len(received) :]
        assert received, "nothing was read"


def test_consumer_groups(server_url: str, tmp_path: Path) -> None:
    """Two groups get all ten messages each, every one acknowledged, and the information shown agrees."""
    lines = output_of("consumer_groups.py", server_url, tmp_path)

    sent = [line.rpartition("=")[2] for line in lines if line.startswith("group_producer")]
    assert len(sent) == 10
    for group in ("group1", "group2"):
        acknowledged = [
            match[1] for line in lines if (match := re.search(rf"group={group} ack message id=(\S+) successful", line))
        ]
        assert sorted(acknowledged) == sent
        assert (
            f"group name: {group} pending info : {{'pending': 0, 'min': None, 'max': None, 'consumers': []}}" in lines
        )
    [info] = [line for line in lines if line.startswith("stream_key: group_stream1 stream info")]
    assert "'length': 10" in info
    assert f"'last-entry': ('{sent[-1]}', {{'msg': 'msg_9'" in info
    assert not [line for line in lines if "failed" in line]
