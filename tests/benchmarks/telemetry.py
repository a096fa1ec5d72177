"""What a look at a server costs: `python -m tests.benchmarks.telemetry`; the table of docs/explanation/telemetry.md.

The server is an idle Valkey of its own. Times are of the processor, of the server's process and of this one.
"""

import asyncio
import sys
import time

import psutil  # type: ignore[import-untyped]

from ombdriver.bench.drivers.api import TopicSpec
from ombdriver.bench.drivers.redis_streams.driver import open_driver
from ombdriver.testing import LocalServer, private_server

SHAPES = ((1, ("group-1",)), (64, ("group-1", "group-2", "group-3")))
LOOKS = 500


async def costs_ms(server: LocalServer, streams: int, groups: tuple[str, ...]) -> tuple[float, float]:
    """Processor time of the server and of this process for one look at so many streams, in ms, as a mean of many."""
    topic = TopicSpec("telemetry", streams)
    driver = await open_driver({"url": server.url, "run_id": f"looks{streams}"})
    await driver.create_topics([topic], groups)
    seen = [(topic.name, partition) for partition in range(streams)]
    await driver.observe(seen)  # connects
    process = psutil.Process(server.pid)
    before, own_before = process.cpu_times(), time.process_time()
    for _ in range(LOOKS):
        await driver.observe(seen)
    own, after = time.process_time() - own_before, process.cpu_times()
    await driver.delete_created()
    await driver.aclose()
    took = after.user + after.system - before.user - before.system
    return took * 1000 / LOOKS, own * 1000 / LOOKS


def main() -> None:
    """Prints a table."""
    lines = ["| streams | groups of each | processor time of the server | of the parent process |", "|---|---|---|---|"]
    with private_server() as server:
        for streams, groups in SHAPES:
            of_server, own = asyncio.run(costs_ms(server, streams, groups))
            lines.append(f"| {streams} | {len(groups)} | {of_server:.2f} ms | {own:.2f} ms |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
