"""The figures that channels give: plain numbers of one moment. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """What a channel has done, and what it waits for.

    Attributes:
        connected: whether there is a connection now.
        in_flight: commands without a reply.
        replies: replies received over all connections.
        reconnects: connections made after the first.
        idle_ns: time since the last reply, or since the line stopped being empty; 0 when nothing is in flight.
            A large value means that the peer stalls (or blocks, on a blocking read).
    """

    connected: bool
    in_flight: int
    replies: int
    reconnects: int
    idle_ns: int

    @classmethod
    def together(cls, parts: "Iterable[ChannelStatistics]") -> "ChannelStatistics":
        """Several channels seen as one: connected if all are, idle as long as the idlest."""
        parts = tuple(parts)
        return cls(
            connected=bool(parts) and all(part.connected for part in parts),
            in_flight=sum(part.in_flight for part in parts),
            replies=sum(part.replies for part in parts),
            reconnects=sum(part.reconnects for part in parts),
            idle_ns=max((part.idle_ns for part in parts), default=0),
        )


@dataclass(frozen=True, slots=True)
class ConnectionStatistics:
    """What the channels of one client have done.

    Attributes:
        bulk: the channel that sends messages; in a cluster those of all primaries together.
        control: the channel of acknowledgements and other small commands; likewise.
        blocking: one per reader that is in use.
    """

    bulk: ChannelStatistics
    control: ChannelStatistics
    blocking: tuple[ChannelStatistics, ...]
