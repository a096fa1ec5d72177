"""examples/kubernetes.yaml: objects that hang together, and programs that take their arguments. No cluster is asked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

HOUSE = Path(__file__).parents[2]
OBJECTS = list(yaml.safe_load_all((HOUSE / "examples" / "kubernetes.yaml").read_text(encoding="utf-8")))
DEPLOYMENTS = {each["metadata"]["name"]: each["spec"] for each in OBJECTS if each["kind"] == "Deployment"}
(SERVICE,) = [each for each in OBJECTS if each["kind"] == "Service"]
(POLICY,) = [each for each in OBJECTS if each["kind"] == "NetworkPolicy"]


def container(name: str) -> Mapping[str, Any]:
    """The one container of a deployment."""
    (found,) = DEPLOYMENTS[name]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_every_object_says_what_it_is() -> None:
    """By the group and version that has such objects; no two have one name."""
    groups = {
        "Service": "v1",
        "Deployment": "apps/v1",
        "NetworkPolicy": "networking.k8s.io/v1",
    }
    assert {each["kind"]: each["apiVersion"] for each in OBJECTS} == groups
    names = [(each["kind"], each["metadata"]["name"]) for each in OBJECTS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_what_selects_pods_selects_those_that_are_meant(name: str) -> None:
    """A selector that fits no pod is taken by Kubernetes, or refused only by its own deployment."""
    spec = DEPLOYMENTS[name]
    labels = spec["template"]["metadata"]["labels"].items()

    assert spec["selector"]["matchLabels"].items() <= labels
    assert (SERVICE["spec"]["selector"].items() <= labels) == (name == "ombdriver-scheduler")
    assert POLICY["spec"]["podSelector"]["matchLabels"].items() <= labels
    (ingress,) = POLICY["spec"]["ingress"]
    assert [each["podSelector"]["matchLabels"].items() <= labels for each in ingress["from"]] == [True]


def test_workers_find_the_scheduler_by_its_service() -> None:
    """At the port that it listens at; as docs/cluster.md says."""
    (port,) = SERVICE["spec"]["ports"]
    (of_container,) = container("ombdriver-scheduler")["ports"]
    address = f"tcp://{SERVICE['metadata']['name']}:{port['port']}"

    assert port["targetPort"] == of_container["name"]
    assert str(of_container["containerPort"]) in container("ombdriver-scheduler")["command"]
    assert address in container("ombdriver-hosts")["command"]
    assert f"--scheduler {address}" in (HOUSE / "docs" / "cluster.md").read_text(encoding="utf-8")
    (apart,) = DEPLOYMENTS["ombdriver-hosts"]["template"]["spec"]["affinity"]["podAntiAffinity"].popitem()[1]
    assert apart["labelSelector"] == DEPLOYMENTS["ombdriver-hosts"]["selector"]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_commands_are_what_dask_takes(name: str) -> None:
    """Each option is one of its own."""
    scheduler = pytest.importorskip("distributed.cli.dask_scheduler", reason="Dask is not installed")
    worker = pytest.importorskip("distributed.cli.dask_worker", reason="Dask is not installed")
    program, what, *arguments = container(name)["command"]

    assert program == "dask"
    command = {"scheduler": scheduler, "worker": worker}[what].main
    parser = command.make_parser(click.Context(command))
    parser.parse_args(list(arguments))
    with pytest.raises(click.NoSuchOption):
        parser.parse_args([*arguments, "--no-such-option"])
