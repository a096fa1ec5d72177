"""A loopback address of its own for each server of a run, by which it is known who calls whom.

A server listens there alone, and calls others from there. At its port of 127.0.0.1, where all others believe it to be,
a link stands in its place.
"""

import functools
import ipaddress
import socket

_FIRST = ipaddress.IPv4Address("127.1.0.1")


def own_address(place: int) -> str:
    """Of the server in that place of its plan, from 0; servers of other runs may have the same, with other ports."""
    return str(_FIRST + place)


@functools.cache
def lacks_own_addresses() -> str | None:
    """Why servers can't have such addresses here, with the way out; None where they can."""
    try:
        with socket.socket() as probe:
            probe.bind((own_address(0), 0))
    except OSError:
        return (
            "servers would be told apart by loopback addresses of their own, and this system has but 127.0.0.1; leave"
            " this fault out, or use Linux"
        )
    return None
