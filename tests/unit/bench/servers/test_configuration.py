"""What each server of a plan is told in its configuration."""

from pathlib import Path

import pytest

from ombdriver.bench.servers.configuration import (
    TlsFiles,
    data_configuration,
    login_of,
    render_configuration,
    sentinel_configuration,
)
from ombdriver.bench.servers.options import hide_secrets
from ombdriver.bench.servers.resp_client import Login
from ombdriver.bench.servers.topology import Place, ServerPlan

PRIMARY = Place("primary-1", "primary")
REPLICA = Place("replica-1-1", "replica", "primary-1")


def test_a_single_server_has_only_what_the_plan_says() -> None:
    """Names in small letters, values as they are."""
    plan = ServerPlan(config={"Save": ["1 1", "2 2"], "maxmemory": "1gb"}, tls=True)

    assert data_configuration(plan, PRIMARY) == {"save": ["1 1", "2 2"], "maxmemory": "1gb"}


def test_replicas_follow_their_primary_and_primaries_nobody() -> None:
    """By the replica's configuration."""
    plan = ServerPlan(topology="replicated")

    assert data_configuration(plan, REPLICA, 6000)["replicaof"] == "127.0.0.1 6000"
    assert "replicaof" not in data_configuration(plan, PRIMARY)


def test_nodes_of_a_cluster_find_each_other_later() -> None:
    """The plan's own options win."""
    lines = data_configuration(ServerPlan(topology="cluster", config={"cluster-node-timeout": "500"}), REPLICA)

    assert lines["cluster-enabled"] == "yes"
    assert lines["cluster-node-timeout"] == "500"
    assert "replicaof" not in lines
    assert "cluster-require-full-coverage" not in lines


def test_with_tls_servers_speak_it_among_each_other() -> None:
    """Replication, the bus of a cluster, and Sentinels."""
    assert data_configuration(ServerPlan(topology="replicated", tls=True), PRIMARY)["tls-replication"] == "yes"
    cluster = data_configuration(ServerPlan(topology="cluster", tls=True), PRIMARY)
    assert (cluster["tls-replication"], cluster["tls-cluster"]) == ("yes", "yes")
    assert sentinel_configuration(ServerPlan(topology="sentinel", tls=True), 1)["tls-replication"] == "yes"


def test_a_password_is_also_for_replicas_and_sentinels() -> None:
    """Quoted as the plan has it; one that the plan has for replicas already is kept."""
    config = {"requirepass": '"open sesame"'}
    plan = ServerPlan(topology="sentinel", config=config)

    assert data_configuration(plan, PRIMARY)["masterauth"] == '"open sesame"'
    assert 'auth-pass ombdriver "open sesame"' in sentinel_configuration(plan, 1)["sentinel"]
    own = ServerPlan(topology="replicated", config=config | {"primaryauth": "x"})
    assert "masterauth" not in data_configuration(own, PRIMARY)
    assert "masterauth" not in data_configuration(ServerPlan(config=config), PRIMARY)


def test_a_sentinel_watches_the_primary_by_its_name() -> None:
    """With a quorum of two, and quickly."""
    lines = sentinel_configuration(ServerPlan(topology="sentinel"), 6000)

    assert lines == {
        "sentinel": [
            "monitor ombdriver 127.0.0.1 6000 2",
            "down-after-milliseconds ombdriver 1000",
            "failover-timeout ombdriver 5000",
        ]
    }


@pytest.mark.parametrize(
    ("config", "login"),
    [
        ({}, None),
        ({"requirepass": '""'}, None),
        ({"user": ["ann on >x"]}, None),
        ({"masterauth": "x"}, None),
        ({"requirepass": "sesame"}, Login("default", "sesame")),
        ({"RequirePass": "'open sesame'"}, Login("default", "open sesame")),
        ({"user": ["ann on >x", "default on >sesame ~* +@all"]}, Login("default", "sesame")),
        ({"user": "default off", "masteruser": "ann", "masterauth": "x"}, Login("ann", "x")),
    ],
)
def test_whom_servers_are_asked_as(config: dict[str, str | list[str]], login: Login | None) -> None:
    """The default user when its password is known, else the one of the replicas."""
    assert login_of(config) == login


def test_neither_a_login_nor_a_log_shows_the_password() -> None:
    """A Sentinel's log quotes its own faulty lines."""
    lines = sentinel_configuration(ServerPlan(topology="sentinel", config={"requirepass": "sesame"}), 1)

    assert hide_secrets("sentinel auth-pass ombdriver sesame", lines) == "sentinel auth-pass ombdriver ***"
    assert repr(Login("default", "sesame")) == "<Login default>"


def test_settings_of_the_caller_win_over_the_embedded_ones() -> None:
    """An empty value is quoted, and a key with several values has several lines."""
    text = render_configuration({"appendonly": "yes", "user": ["a on", "b on"]}, 6000)

    lines = text.splitlines()
    assert 'save ""' in lines
    assert "appendonly yes" in lines
    assert "appendonly no" not in lines
    assert {"user a on", "user b on", "port 6000", "bind 127.0.0.1"} <= set(lines)


def test_with_tls_there_is_no_plain_port() -> None:
    """The port speaks TLS alone."""
    lines = render_configuration({}, 6000, TlsFiles(Path("/c"), Path("/k"), Path("/a"))).splitlines()

    assert {"port 0", "tls-port 6000", 'tls-cert-file "/c"', 'tls-key-file "/k"', 'tls-ca-cert-file "/a"'} <= set(lines)


def test_a_setting_cannot_smuggle_in_another_line() -> None:
    """A line break in a value would be another setting."""
    with pytest.raises(ValueError, match="'save' holds a line break"):
        render_configuration({"save": "1 1\nport 0"}, 6000)


def test_passwords_of_the_configuration_are_hidden() -> None:
    """Those of users and those of the server itself."""
    config = {"requirepass": "open sesame", "user": ["bob on >shut <old #abc ~* +@all"]}

    shown = hide_secrets("requirepass open sesame; user bob on >shut <old #abc ~*", config)

    assert shown == "requirepass ***; user bob on >*** <*** #*** ~*"
