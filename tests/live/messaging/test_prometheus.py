"""The figures for Prometheus: those of `statistics()`, summed by topic and group, asked for from any thread."""

import asyncio
import threading
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from ombdriver import Message, MQClient
from ombdriver.messaging import prometheus
from ombdriver.messaging.prometheus import PrometheusCollector


def told(registry: CollectorRegistry) -> dict[str, float]:
    """What a scrape gives, by name and labels."""
    lines = generate_latest(registry).decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


async def test_a_scrape_gives_what_statistics_give(server_url: str) -> None:
    """Of two producers together, a consumer and a runner with the consumer underneath."""
    registry = CollectorRegistry()
    collector = PrometheusCollector()
    registry.register(collector)
    async with MQClient(redis_url=server_url) as client:
        async with client.producer("t") as one, client.producer("t") as two:
            collector.watch(one)
            collector.watch(two)
            for producer in (one, one, two):
                await producer.send_and_wait(b"v")
            assert told(registry)['ombdriver_producer_sent_total{topic="t"}'] == 3
            assert told(registry)['ombdriver_producer_buffered_messages{topic="t"}'] == 0
        async with client.consumer("t", "c") as consumer:
            collector.watch(consumer)
            message = await consumer.getone()
            while consumer.statistics().received < 3:  # noqa: ASYNC110 - a first read is of one message
                await asyncio.sleep(0.002)
            figures = told(registry)
            assert figures['ombdriver_consumer_received_total{group="c",topic="t"}'] == 3
            assert figures['ombdriver_consumer_held{group="c",topic="t"}'] == 3
            await message.ack()
        runner = client.runner("t", "r")
        collector.watch(runner)

        @runner.handler
        async def handle(message: Message[bytes]) -> None:
            if runner.statistics().handled == 2:
                runner.stop()

        await runner.run(signals=False)
        figures = told(registry)
        assert figures['ombdriver_runner_handled_total{group="r",topic="t"}'] == 3
        assert figures['ombdriver_consumer_acknowledged_total{group="r",topic="t"}'] == 3
        assert figures['ombdriver_runner_in_hand{group="r",topic="t"}'] == 0


async def test_what_is_forgotten_stays_counted(server_url: str) -> None:
    """A counter never goes back; a gauge of what is gone does."""
    registry = CollectorRegistry()
    collector = PrometheusCollector()
    registry.register(collector)
    async with MQClient(redis_url=server_url) as client:
        for _ in range(2):
            async with client.producer("t") as producer:
                collector.watch(producer)
                await producer.send_and_wait(b"v")
            collector.forget(producer)
            collector.forget(producer)
    figures = told(registry)
    assert figures['ombdriver_producer_sent_total{topic="t"}'] == 2
    assert not any("buffered" in name for name in figures)


async def test_a_scrape_comes_from_another_thread(server_url: str) -> None:
    """As with prometheus_client's own server, while the loop is at work."""
    registry = CollectorRegistry()
    collector = PrometheusCollector()
    registry.register(collector)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    url = f"http://127.0.0.1:{server.server_port}/metrics"
    try:
        async with MQClient(redis_url=server_url) as client, client.producer("t") as producer:
            collector.watch(producer)
            scrape = asyncio.create_task(asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode()))
            while not scrape.done():
                await producer.send_and_wait(b"v")
            assert 'ombdriver_producer_sent_total{topic="t"}' in await scrape
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_a_loop_that_hangs_fails_the_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not hang with it."""
    monkeypatch.setattr(prometheus, "SCRAPE_TIMEOUT_S", 0.05)
    collector = PrometheusCollector()
    errors: list[BaseException] = []

    def scrape() -> None:
        try:
            collector.collect()
        except TimeoutError as error:
            errors.append(error)

    thread = threading.Thread(target=scrape)
    thread.start()
    thread.join(10)
    assert len(errors) == 1


def test_what_ran_in_a_loop_that_has_ended_is_still_told() -> None:
    """As at the end of a program that pushes its figures; and it is made in a loop."""

    async def made() -> PrometheusCollector:
        collector = PrometheusCollector()
        collector.watch(MQClient(redis_url="redis://127.0.0.1:1").producer("t"))
        return collector

    registry = CollectorRegistry()
    registry.register(asyncio.run(made()))
    assert told(registry)['ombdriver_producer_sent_total{topic="t"}'] == 0
    with pytest.raises(RuntimeError, match="no running event loop"):
        PrometheusCollector()


async def test_only_what_has_such_figures_is_watched(server_url: str) -> None:
    """A client has others."""
    async with MQClient(redis_url=server_url) as client:
        with pytest.raises(TypeError, match="no producer"):
            PrometheusCollector().watch(client)  # type: ignore[arg-type]


def test_every_gauge_is_a_figure() -> None:
    """So that a renamed one is noticed; all others are counters."""
    for kind, names in prometheus.GAUGES.items():
        assert names <= set(prometheus._names(kind))
