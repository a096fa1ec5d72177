"""OMB's own driver file for Redis is a setup too."""

import pytest

from ombdriver.bench.spec.credentials import connect_url
from ombdriver.bench.spec.overrides import parse_all
from ombdriver.bench.spec.setup import Setup
from ombdriver.errors import InputError

OMB = """name: Redis Cloud
driverClass: io.openmessaging.benchmark.driver.redis.RedisBenchmarkDriver
redisHost: redis.example
redisPort: 6380
redisUser: ann
redisPass: hunter2
jedisPoolMaxTotal: 8
"""


def test_a_driver_file_of_omb_is_read_as_a_setup() -> None:
    """Its server and its login are taken, what has no meaning here is told, and the password is not shown."""
    setup = Setup.parse(OMB, "redis.yaml")

    assert setup.server is not None
    assert (setup.name, setup.driver, setup.is_users_server) == ("Redis-Cloud", "redis-streams", True)
    assert connect_url(setup.server, {}) == "redis://ann:hunter2@redis.example:6380"
    assert [note.partition(":")[0] for note in setup.notes] == ["redis.yaml"]
    assert "jedisPoolMaxTotal has no meaning here" in setup.notes[0]
    assert "hunter2" not in f"{setup!r}{setup.spec()}{setup.notes}"


def test_values_are_set_in_what_a_driver_file_becomes() -> None:
    """OMB's file has no word for streams; so `--set` names the keys of a setup, and a fault names the option."""
    setup = Setup.parse(OMB, "redis.yaml", parse_all(["setup.streams.ack=each", "setup.name=lab"]))

    assert (setup.name, setup.streams.ack, setup.is_users_server) == ("lab", "each", True)
    with pytest.raises(InputError, match=r"^--set setup\.streams\.ack: 'all' is not one of"):
        Setup.parse(OMB, "redis.yaml", parse_all(["setup.streams.ack=all"]))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("driverClass: io.openmessaging.benchmark.driver.kafka.KafkaBenchmarkDriver", "is for another system"),
        ("redisHost:", "redisHost: is missing"),
        ("redisPort: x", "redisPort: 'x' is no port"),
        ("redisHos: x", "redisHos: unknown key in a driver file of OMB"),
    ],
)
def test_faults_of_a_driver_file_are_told(line: str, fault: str) -> None:
    """With the file and the line."""
    key = line.partition(":")[0]
    text = "\n".join([each for each in OMB.splitlines() if not each.startswith(key + ":")] + [line])
    with pytest.raises(InputError, match=r"^redis\.yaml:\d+: ") as caught:
        Setup.parse(text, "redis.yaml")
    assert fault in str(caught.value)
    assert "hunter2" not in str(caught.value)
