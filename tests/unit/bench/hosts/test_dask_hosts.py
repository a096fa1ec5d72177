"""What is said when Dask fails, in whatever way; without Dask."""

import sys
import warnings
from types import ModuleType

import pytest

from ombdriver.bench.hosts.cluster import Cluster
from ombdriver.bench.hosts.dask_hosts import connected, peer_elsewhere
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
