"""The driver `redis-streams`: topics on Redis or Valkey, each partition a stream, on the messaging library."""

from ombdriver.bench.drivers.redis_streams.driver import open_driver

__all__ = ["open_driver"]
