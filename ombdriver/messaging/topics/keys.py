"""Names of the keys that stand beside a partition's stream. Pure.

They share its hash tag, so that a script or a transaction may cover both in a cluster.
"""


def helper_key(stream: str | bytes, what: str, *more: str) -> bytes:
    """The key beside `stream` for `what`: `{t:p}:what:more`.

    Args:
        stream: key of the partition's stream.
        what: `dlq`, `delayed`, `dedupe`, ...
        more: what tells several of one kind apart.
    """
    name = stream.encode() if isinstance(stream, str) else stream
    return b":".join([name, what.encode(), *(each.encode() for each in more)])
