"""A cluster with TLS and a user who may do no more than is needed: one primary with all slots, on Debian's redis."""

from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
import redis.asyncio
from topologies import free_port, until

from ombdriver import GroupManager, MessagingError, MQProducer, RedisPool, Topic
from ombdriver.bench.servers.configuration import TlsFiles
from ombdriver.bench.servers.private_server import PrivateServer

PASSWORD = "p@ss/w,rd"
MAY = "+xadd +xlen +xgroup +xreadgroup +xack +xinfo +cluster|slots +ping +asking +client|unblock +client|id"


async def _is_whole(raw: redis.asyncio.Redis) -> bool:
    info = await raw.execute_command("CLUSTER INFO")
    return bool(info["cluster_state"] == "ok")


@pytest.fixture
async def place(tls_files: TlsFiles) -> AsyncIterator[str]:
    """The host and port of the cluster's only server."""
    config = {"cluster-enabled": "yes", "tls-cluster": "yes", "cluster-port": str(free_port())}
    config["user"] = f"member on >{PASSWORD} ~* {MAY}"
    async with await PrivateServer.start("redis", config, tls=tls_files) as server:
        async with redis.asyncio.Redis.from_url(server.unix_url) as raw:
            await raw.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            await until(lambda: _is_whole(raw))
        yield f"127.0.0.1:{server.port}"


async def test_a_cluster_is_reached_by_tls_and_login(place: str, tls_files: TlsFiles) -> None:
    """The options of rediss:// hold for every connection, those to servers that only the map names too."""
    url = f"rediss+cluster://member:{quote(PASSWORD, safe='')}@{place}?ssl_ca_certs={tls_files.authority}"
    topic = Topic("t", 4)
    async with MQProducer(topic, redis_url=url) as producer, GroupManager(topic.key(0), redis_url=url) as manager:
        consumer = await (await manager.create_group("g")).create_consumer("c")
        assert isinstance(await producer.send_message({"f": 1}), str)
        ((_, entries),) = await consumer.block_read_messages()
        assert await consumer.ack_message(entries[0][0]) == 1
        assert await producer.get_stream_length(topic.key(0)) == 1


async def test_a_wrong_password_is_told_at_once_and_not_shown(place: str, tls_files: TlsFiles) -> None:
    """As on one server."""
    url = f"rediss+cluster://member:s3cr3t@{place}?ssl_ca_certs={tls_files.authority}"
    async with MQProducer("s", redis_url=url) as producer:
        for call in (producer.send_message({"f": 1}), producer.get_stream_length("s"), producer.check_health()):
            with pytest.raises(redis.exceptions.AuthenticationError) as caught:
                await call
            assert "s3cr3t" not in str(caught.value)
    with pytest.raises(MessagingError, match="no client named"):
        await RedisPool.init_redis("nobody")
