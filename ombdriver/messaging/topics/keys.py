"""Names of the keys that belong to a partition. Pure. All share the partition's hash tag, and so its slot."""


def helper_key(stream: str | bytes, what: str, *more: str) -> bytes:
    """The key of a thing of partition `stream`: `{topic:p}:what`, and a part `:more` for each of the others."""
    key = stream.encode() if isinstance(stream, str) else stream
    return b":".join((key, what.encode(), *(each.encode() for each in more)))
