"""`ombdriver clean`: deletes what runs that were killed outright left on a server, and nothing else."""

from urllib.parse import urlsplit

from ombdriver.bench.drivers.redis_streams.driver import RedisStreamsDriver, open_driver
from ombdriver.bench.drivers.redis_streams.runs import Created, OrphanedRun
from ombdriver.bench.run.preflight import missing_requirements
from ombdriver.bench.servers.url import CLUSTER, scheme_kind
from ombdriver.bench.spec.credentials import connect_url
from ombdriver.bench.spec.setup import Requirements, Setup
from ombdriver.errors import RunError


async def clean(url: str, run_id: str | None, *, dry_run: bool) -> list[str]:
    """Deletes the streams and the record of every run that is not alive, or of the run `run_id`, alive or not.

    Returns a line for each run, and one that says so when there is none.

    Raises:
        InputError: if `url` names no Redis server.
        RunError: if the server can't be used, or has no run `run_id`.
    """
    setup = Setup.load("embedded").with_url(url)
    assert setup.server is not None
    driver = await open_driver({"url": connect_url(setup.server), "run_id": "clean"})
    try:
        is_cluster = scheme_kind(urlsplit(url).scheme) == CLUSTER
        if found := missing_requirements(await driver.describe(), Requirements(cluster=is_cluster)):
            raise RunError(f"{driver.server}: {found[0]}")  # a server of a cluster knows its own keys alone
        runs = await driver.orphaned_runs()
        chosen = [run for run in runs if run_id in (None, run.run_id)]
        if run_id is not None and not chosen:
            known = ", ".join(run.run_id for run in runs) or "none"
            raise RunError(f"{driver.server} has no record of run {run_id}; it knows: {known}")
        if not chosen:
            return [f"{driver.server}: no run has left anything"]
        return [await _clean(driver, run, forced=run_id is not None, dry_run=dry_run) for run in chosen]
    finally:
        await driver.aclose()


async def _clean(driver: RedisStreamsDriver, run: OrphanedRun, *, forced: bool, dry_run: bool) -> str:
    about = f"run {run.run_id} (on {run.host}, {run.started})"
    if run.alive and not forced:
        return f"{about}: left alone, {run.alive}; --run-id {run.run_id} deletes it anyway"
    if dry_run:
        return f"{about}: {_summary(run.created)} would be deleted"
    return f"{about}: {_summary(run.created, f'{await driver.delete_orphaned(run)} of ')} deleted"


def _summary(made: Created, how_many: str = "") -> str:
    streams = len(made.joined) or sum(topic.partitions for topic in made.topics)
    text = f"{how_many}{streams} stream{'' if streams == 1 else 's'}"
    return f"the run's groups on {text} of others" if made.joined else text
