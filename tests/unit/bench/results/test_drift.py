"""What of a fingerprint is no longer what it was."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.results.environment import VOLATILE, Drift, drift

plain = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
facts = st.dictionaries(
    st.text("abc", min_size=1, max_size=3),
    st.recursive(plain, lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)),
    max_size=5,
)

THEN = {
    "versions": {"ombdriver": "0.1.0", "numpy": "2.4"},
    "cpu": {"model": "old", "coresLimit": None, "cores": 2},
    "loadAverage": [0.1, 0.2, 0.3],
    "commandLine": ["ombdriver", "run"],
    "workers": [{"role": "both"}],
    "server": {"version": "9.1", "usedMemoryBytes": 1, "config": {"hz": "10", "save": "", "io-threads": "1"}},
    "forgotten": 1,
}
NOW = {
    "versions": {"ombdriver": "0.2.0", "numpy": "2.4", "new": "1"},
    "cpu": {"model": "old", "coresLimit": 1.5, "cores": 2},
    "loadAverage": [9.0, 9.0, 9.0],
    "commandLine": ["ombdriver", "rerun"],
    "workers": [],
    "server": {"version": "9.1", "usedMemoryBytes": 2, "config": {"hz": "10", "save": "1 1", "io-threads": "1"}},
}


def test_facts_that_differ_are_told_by_name_with_both_values() -> None:
    """In the order of the first; what is of a moment, or told by one side only, is not."""
    found = drift(THEN, NOW)

    assert [str(each) for each in found] == [
        "versions.ombdriver was 0.1.0, is 0.2.0",
        "cpu.coresLimit was nothing, is 1.5",
        "server.config.save was '', is 1 1",
    ]
    assert found[1] == Drift("cpu.coresLimit", None, 1.5)


def test_a_server_that_told_its_settings_once_only_has_not_changed() -> None:
    """CONFIG may be refused to one user and not to another."""
    assert drift({"config": None}, {"config": {"hz": "10"}}) == []
    assert drift({"config": {"hz": "10"}}, {"config": None}) == []


@pytest.mark.parametrize("key", VOLATILE)
def test_figures_of_a_moment_do_not_count(key: str) -> None:
    """They differ from run to run."""
    *above, name = key.split(".")
    then: dict[str, Any] = {name: 1}
    now: dict[str, Any] = {name: {"deep": 2}}
    for each in reversed(above):
        then, now = {each: then}, {each: now}

    assert drift(then, now) == []


@given(facts, facts)
def test_drift_is_the_same_seen_from_both_sides(one: dict[str, Any], other: dict[str, Any]) -> None:
    """And nothing drifts from itself."""
    assert drift(one, one) == []
    there, back = drift(one, other), drift(other, one)
    assert {each.key for each in there} == {each.key for each in back}
    assert sorted((each.key, str(each.then), str(each.now)) for each in there) == sorted(
        (each.key, str(each.now), str(each.then)) for each in back
    )


@pytest.mark.parametrize("earlier", [{"maxMemoryByDefault": True, "maxMemoryBytes": 7}, {"maxMemoryBytes": 0}])
def test_a_limit_on_memory_that_nobody_chose_does_not_count(earlier: dict[str, Any]) -> None:
    """Private servers get half of what a machine has left, another figure for each run; older versions gave none."""
    then = {"server": {**earlier, "config": {"maxmemory": str(earlier["maxMemoryBytes"]), "hz": "10"}}}
    now = {"server": {"maxMemoryByDefault": True, "maxMemoryBytes": 9, "config": {"maxmemory": "9", "hz": "20"}}}
    chosen = {"server": {"maxMemoryBytes": 9, "config": {"maxmemory": "9", "hz": "20"}}}

    assert [each.key for each in drift(then, now)] == ["server.config.hz"]
    assert [each.key for each in drift(now, then)] == ["server.config.hz"]
    assert [each.key for each in drift(now, chosen)] == ["server.maxMemoryBytes", "server.config.maxmemory"]
