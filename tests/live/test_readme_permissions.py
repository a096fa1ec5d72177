"""The permissions that README gives a benchmark's user are enough for `retention: acknowledged`."""

import re
from pathlib import Path

import pytest
import redis.asyncio
from seam import ONE, ONE_KEY, RUN_ID

from ombdriver.bench.drivers.redis_streams import open_driver

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
RULE = r"\+[a-z]+(?:\\?\|[a-z]+)?"
EVERYBODY = re.findall(RULE, re.findall(r"^    ACL SETUSER bench .*$", README, re.M)[0])
TRIMMING, BOUNDS = (
    re.findall(RULE, part)
    for part in re.findall(r"^\| `retention: acknowledged` \| (.*?); with a bound also (.*) \|$", README, re.M)[0]
)


@pytest.mark.parametrize("bounds", [{}, {"bound_entries": 5, "bound_age_ms": 3_600_000}], ids=["none", "both"])
async def test_retention_acknowledged(server_url: str, bounds: dict[str, int]) -> None:
    """Without a bound, and with both."""
    rules = [rule.replace("\\", "") for rule in EVERYBODY + TRIMMING + (BOUNDS if bounds else [])]
    async with redis.asyncio.Redis.from_url(server_url) as raw:
        keys = ("~{ombdriver-*", "~ombdriver:*")
        await raw.execute_command("ACL", "SETUSER", "bench", "reset", "on", ">s3cret", *keys, *rules)  # type: ignore[no-untyped-call]
        options = {"url": server_url.replace("redis://", "redis://bench:s3cret@"), "run_id": RUN_ID}
        driver = await open_driver({**options, "keep_unacknowledged": True, "exact_trim": True, **bounds})
        try:
            await driver.create_topics([ONE], ["g"])
            for _ in range(20):
                await raw.xadd(ONE_KEY, {"n": 0})
            await raw.xreadgroup("g", "c", {ONE_KEY: ">"}, count=3, noack=True)
            assert driver._trimmer is not None
            await driver._trimmer.trim()
            assert "failedTrims" not in driver.statistics()
            assert await raw.xlen(ONE_KEY) == 17, "somebody reads, and has had three"
            await driver.delete_created()
        finally:
            await driver.aclose()
            await raw.execute_command("ACL", "DELUSER", "bench")  # type: ignore[no-untyped-call]
