"""The programs in `examples/` run, in a strict interpreter; two are the manual's, with only the import changed."""

import asyncio
import re
import signal
import subprocess
import sys
from pathlib import Path

import redis.asyncio
from topologies import until

from ombdriver import Topic

HOUSE = Path(__file__).parents[3]
EXAMPLES = HOUSE / "examples"


def output_of(name: str, url: str, folder: Path) -> list[str]:
    """The lines that a program prints, its waits shortened: it is the text of the manual otherwise."""
    text = (EXAMPLES / name).read_text()
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
        env={"PYTHONPATH": str(HOUSE)},
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
        assert sorted(acknowledged) == sorted(sent)
        assert (
            f"group name: {group} pending info : {{'pending': 0, 'min': None, 'max': None, 'consumers': []}}" in lines
        )
    [info] = [line for line in lines if line.startswith("stream_key: group_stream1 stream info")]
    assert "'length': 10" in info
    assert f"'last-entry': ('{sent[-1]}', {{'msg': 'msg_9'" in info
    assert not [line for line in lines if "failed" in line]


def test_a_publisher_and_two_workers(server_url: str) -> None:
    """Each order is billed or given up; on SIGTERM the workers end by themselves, well, and leave the group empty."""
    count = 200
    published = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "publisher.py"), server_url, str(count)],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
        env={"PYTHONPATH": str(HOUSE)},
    )
    assert sum(int(number) for number in re.findall(r"partition \d: (\d+) orders", published.stdout)) == count
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", str(EXAMPLES / "worker.py"), server_url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(HOUSE)},
        )
        for _ in range(2)
    ]
    try:
        asyncio.run(_until_done(server_url, count))
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        told = [worker.communicate(timeout=50) for worker in workers]
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.kill()
                worker.communicate()

    assert [worker.returncode for worker in workers] == [0, 0]
    billed = re.findall(r"^billed order (\d+)$", "".join(out for out, _ in told), re.M)
    assert sorted(int(number) for number in billed) == [number for number in range(count) if number % 50]
    figures = re.findall(r"(\d+) handled, (\d+) failed, (\d+) given up, 0 left", "".join(out for out, _ in told))
    assert [sum(map(int, each)) for each in zip(*figures, strict=True)] == [196, 12, 4]
    assert "".join(err for _, err in told).count("is for nothing") == 4, "each dead letter is told in the log"


async def _until_done(url: str, count: int) -> None:
    """Until every order is acknowledged."""
    topic = Topic("orders", 4)
    async with redis.asyncio.Redis.from_url(url, protocol=2) as raw:

        async def done() -> bool:
            groups = [group for key in topic.keys for group in await raw.xinfo_groups(key)]
            if len(groups) < len(topic.keys):
                return False
            infos = [await raw.xinfo_stream(key) for key in topic.keys]
            assert sum(info["length"] for info in infos) == count
            return all(
                group["pending"] == 0 and group["last-delivered-id"] == info["last-generated-id"]
                for group, info in zip(groups, infos, strict=True)
            )

        await until(done, within_s=50)
