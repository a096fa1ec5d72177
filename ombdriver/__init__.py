"""ombdriver: a load harness for Redis Streams, and the asyncio messaging library under it."""

__version__ = "0.1.0.dev0"
