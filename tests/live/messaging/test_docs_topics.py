"""The examples of the pages on partitions, clusters and operation run as they are printed, but for addresses."""

import asyncio
import re
from dataclasses import fields

import pytest
from printed import LIBRARY, examples_of, output_of
from topologies import Cluster, sentinel

from ombdriver import ConnectionStatistics, ConsumerStatistics, ProducerStatistics, RunnerStatistics, TrimStatistics

PAGES = {name: examples_of(LIBRARY / f"{name}.md") for name in ("partition", "cluster", "operate")}
PLAIN = [text for texts in PAGES.values() for text in texts if '"redis://' in text]
CLUSTERED = [text for texts in PAGES.values() for text in texts if "redis+cluster://" in text]
WATCHED = [text for texts in PAGES.values() for text in texts if "redis+sentinel://" in text]


@pytest.mark.timeout(240)
def test_the_examples_run_in_their_order(server_url: str) -> None:
    """On one server, which is empty at first; each holds by itself what it says."""
    for text in PLAIN:
        output_of(text, server=server_url)


async def test_the_examples_for_a_cluster_run_in_their_order(three: Cluster) -> None:
    """Of three primaries."""
    for text in CLUSTERED:
        await asyncio.to_thread(output_of, text, cluster=three.url)


async def test_an_example_runs_behind_sentinels(engine: str) -> None:
    """With a replica."""
    (text,) = WATCHED
    async with sentinel(engine, 1) as watched:
        await asyncio.to_thread(output_of, text, sentinel=watched.url)


def test_there_are_examples() -> None:
    """The pages have not been emptied."""
    assert {name: len(texts) for name, texts in PAGES.items()} == {"partition": 4, "cluster": 2, "operate": 5}
    assert len(PLAIN) + len(CLUSTERED) + len(WATCHED) == 11


def test_every_kind_of_statistics_is_told() -> None:
    """And what is worth an alert are figures that there are."""
    page = (LIBRARY / "operate.md").read_text(encoding="utf-8")
    kinds = (ProducerStatistics, ConsumerStatistics, RunnerStatistics, TrimStatistics, ConnectionStatistics)
    for kind in kinds:
        (alerts,) = re.findall(rf"^\| `\w+` \| `{kind.__name__}`[^|]*\|(.*)\|$", page, re.M)
        if kind is not ConnectionStatistics:  # its figures are those of its channels
            assert set(re.findall(r"`(\w+)`", alerts)) <= {field.name for field in fields(kind)} | {"received"}


@pytest.mark.parametrize("page", sorted(LIBRARY.glob("*.md")), ids=lambda page: page.stem)
def test_links_lead_somewhere(page) -> None:  # type: ignore[no-untyped-def]
    """To a file that is there, and to a heading in it."""
    for target, _, heading in re.findall(r"\]\(([^)#:]*)(#([^)]*))?\)", page.read_text(encoding="utf-8")):
        other = (page.parent / target).resolve() if target else page
        assert other.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", other.read_text(encoding="utf-8"), re.M)
            assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_index_names_every_page() -> None:
    """In its table of tasks."""
    table = (LIBRARY / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\|.*\]\((\w+\.md)\)", table, re.M)) == {
        page.name for page in LIBRARY.glob("*.md") if page.name != "README.md"
    }
