"""What is said when Dask fails, in whatever way; without Dask."""

import asyncio
import sys
import warnings
from collections.abc import Generator
from types import ModuleType

import pytest

from ombdriver.bench.hosts.cluster import Cluster
from ombdriver.bench.hosts.dask_hosts import Choice, chosen_hosts, connected, peer_elsewhere
from ombdriver.bench.plan.host_layout import HostLayout
from ombdriver.errors import RunError


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError("Timed out trying to connect\nafter 10 s"), "OSError: Timed out trying to connect"),
        (FileNotFoundError(2, "No such file", "ca.pem"), "FileNotFoundError: [Errno 2] No such file: 'ca.pem'"),
        (TimeoutError(), "TimeoutError"),
        (ImportError("Mismatched versions found"), "ImportError: Mismatched versions found"),
    ],
)
async def test_a_client_that_can_not_be_made_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    """Whatever Dask raises: it reads certificates, connects, waits and compares versions. Its warnings are not told."""

    def make(*_: object, **__: object) -> None:
        warnings.warn_explicit("Mismatched versions found", UserWarning, "client.py", 1, module="distributed.client")
        raise error

    dask = ModuleType("distributed")
    dask.Client = make  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "distributed", dask)

    with warnings.catch_warnings(record=True) as told_by_dask, pytest.raises(RunError) as raised:
        async with connected(Cluster("tls://10.0.0.1:8786", HostLayout(2, 2, "mixed"))):
            pass
    assert str(raised.value).startswith(f"no scheduler of Dask answers at tls://10.0.0.1:8786 ({told}); see whether")
    assert told_by_dask == []


async def test_a_scheduler_that_does_not_let_go_of_its_client_hides_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run fails with is told, and not that its connection to Dask did not close in time."""

    class Client:
        """Has a scheduler without workers, and can't be closed."""

        def __init__(self, *_: object, **__: object) -> None:
            self.scheduler = self

        def __await__(self) -> Generator[None, None, "Client"]:
            yield from asyncio.sleep(0).__await__()
            return self

        async def identity(self, n_workers: int) -> dict[str, object]:
            return {"workers": {}}

        async def close(self, timeout: float) -> None:
            raise TimeoutError

    dask = ModuleType("distributed")
    dask.Client = Client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "distributed", dask)

    with pytest.raises(RunError, match="has no workers"):
        async with connected(Cluster("tls://10.0.0.1:8786", HostLayout(2, 2, "mixed"))):
            pass


@pytest.mark.parametrize(
    ("scheduler", "workers", "peer"),
    [
        ("tls://10.0.0.1:8786", ["tls://10.0.0.2:4000"], "tls://10.0.0.1:8786"),
        ("tcp://127.0.0.1:8786", ["tcp://127.0.0.1:4000", "tcp://10.0.0.2:4000"], "tcp://10.0.0.2:4000"),
        ("tcp://localhost:8786", ["tcp://127.0.0.2:4000", "tcp://127.0.0.3:4000"], "tcp://localhost:8786"),
    ],
)
def test_agents_are_given_an_address_that_they_can_reach(scheduler: str, workers: list[str], peer: str) -> None:
    """Of a scheduler on this machine with workers elsewhere, too: a loopback address would lead them to themselves."""
    assert peer_elsewhere(scheduler, workers) == peer


WORKERS = {
    "tcp://10.0.0.2:4000": "beta",
    "tcp://10.0.0.1:4000": "alpha",
    "tcp://10.0.0.1:4001": "alpha-2",
    "tcp://10.0.0.3:4000": "gamma",
}
A, B, C = "tcp://10.0.0.1:4000", "tcp://10.0.0.2:4000", "tcp://10.0.0.3:4000"


@pytest.mark.parametrize(
    ("hosts", "server_host", "chosen"),
    [
        (2, None, Choice([A, B])),
        (3, None, Choice([A, B, C])),
        (2, "first", Choice([B, C, A], 2)),
        (2, "10.0.0.2", Choice([A, C, B], 2)),
        (1, "gamma", Choice([A, C], 1)),
        (3, "first", Choice([A, B, C], 0)),
        (3, "alpha-2", Choice([A, B, C], 0)),
        (3, "tcp://10.0.0.3:4000", Choice([A, B, C], 2)),
    ],
)
def test_a_server_has_a_host_of_its_own_where_there_is_one_to_spare(
    hosts: int, server_host: str | None, chosen: Choice
) -> None:
    """Named by its address or by any worker of Dask on it; else workers of the run are beside it."""
    assert chosen_hosts(WORKERS, hosts, "tcp://10.0.0.9:8786", server_host) == chosen


@pytest.mark.parametrize(
    ("workers", "hosts", "server_host", "told"),
    [
        ({}, 1, None, "the scheduler at tcp://s:1 has no workers"),
        (WORKERS, 4, None, "--hosts: 4 asked for, and the scheduler has workers on 3 (10.0.0.1, 10.0.0.2, 10.0.0.3);"),
        (WORKERS, 4, "first", "--hosts: 4 asked for"),
        (
            WORKERS,
            2,
            "delta",
            "--server-host: the scheduler has no host or worker called delta; write one of 10.0.0.1, 10.0.0.2,"
            " 10.0.0.3, or first",
        ),
    ],
)
def test_hosts_that_are_not_there_are_refused_with_those_that_are(
    workers: dict[str, str], hosts: int, server_host: str | None, told: str
) -> None:
    """Before anything is started."""
    with pytest.raises(RunError) as raised:
        chosen_hosts(workers, hosts, "tcp://s:1", server_host)

    assert str(raised.value).startswith(told)
