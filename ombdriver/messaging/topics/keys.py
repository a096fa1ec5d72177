"""The names of a partition's helper keys. They share the hash tag of its stream, so that one script can use them all.

Pure.
"""

from ombdriver.messaging.commands import Key, key_bytes


def helper_key(stream: Key, what: str, *more: str) -> bytes:
    """The key that serves `what` for a stream: `{orders:0}:dlq`, or with `more` `{orders:0}:sweep:billing`."""
    return b":".join((key_bytes(stream), what.encode(), *(part.encode("utf-8", "surrogateescape") for part in more)))
