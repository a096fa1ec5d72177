"""Shipped workloads are found by name, load, and say what they show."""

from pathlib import Path

import pytest

from ombdriver.bench.plan.plan import memory_estimate
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.spec import catalog
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.errors import InputError

PROMISED = {"1kb-3groups", "100b-1group", "1kb-16partitions", "1kb-keyed", "64kb-1group"}
SETUPS = {"1kb-failover": "valkey-sentinel", "1kb-slow-disk": "valkey-aof-always"}
"""Those that not every setup can run, and one that can."""


def test_the_promised_workloads_are_there() -> None:
    """The names that the documentation uses exist."""
    assert set(catalog.workload_names()) >= PROMISED


@pytest.mark.parametrize("name", catalog.workload_names())
def test_a_shipped_workload_loads_says_what_it_shows_and_fits_a_laptop(name: str) -> None:
    """Each bears its file's name, begins with a comment, and needs at most two cores and 1.25 GiB with its margin."""
    workload = Workload.load(catalog.workload_path(name))
    plan = make_plan(workload, Setup.load(SETUPS.get(name, "embedded")), "ab12cd34", workers=None, cores=2)

    assert workload.name == name
    assert 20 < len(catalog.workload_summary(name)) < 140
    assert len(plan.workers) <= 2
    assert memory_estimate(plan) < 5 << 28
    assert plan.rate * max(1, len(plan.subscriptions)) <= 50_000


def test_the_first_workload_takes_less_than_a_minute() -> None:
    """It is what a newcomer runs, and waits for."""
    workload = Workload.load(catalog.workload_path("1kb-3groups"))

    assert workload.warmup_ns + workload.test_ns <= 40 * 10**9
    assert (workload.subscriptions_per_topic, workload.message_size) == (3, 1024)


def test_a_name_or_a_path_is_resolved(tmp_path: Path) -> None:
    """A shipped name needs no path, and a path needs no place among the shipped ones."""
    own = tmp_path / "own.yaml"
    own.write_text("")

    assert catalog.find_workload("1kb-keyed") == catalog.workload_path("1kb-keyed")
    assert catalog.find_workload(str(own)) == own


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("1kb-3group", "there is no workload '1kb-3group'; did you mean 1kb-3groups?"),
        ("zzz", "there is no workload 'zzz'; `ombdriver workloads` lists them"),
        (
            "workloads/1kb-3groups.yaml",
            "workloads/1kb-3groups.yaml: there is no such file; to run the shipped workload, write 1kb-3groups",
        ),
        ("some/where.yaml", "some/where.yaml: there is no such file; check the path, or name a shipped workload"),
        ("../1kb-3groups", "../1kb-3groups: there is no such file; check the path, or name a shipped workload"),
    ],
)
def test_what_is_neither_is_told_with_the_nearest(
    given: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt name, or a path that leads nowhere, is answered with what was probably meant."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        catalog.find_workload(given)
    assert str(caught.value) == message


def test_an_installed_package_has_the_workloads_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside an installed package they lie in it; a checkout keeps them at its top."""
    (tmp_path / "ombdriver" / "workloads").mkdir(parents=True)
    (tmp_path / "ombdriver" / "workloads" / "inside.yaml").write_text("# Inside.\n")
    monkeypatch.setattr(catalog, "_PACKAGE", tmp_path / "ombdriver")
    assert catalog.workload_names() == ["inside"]

    (tmp_path / "ombdriver" / "workloads").rename(tmp_path / "workloads")
    assert catalog.workload_names() == ["inside"]

    (tmp_path / "workloads").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="the shipped workloads are missing"):
        catalog.workload_names()
