"""What crosses between coordinator and agent: however its bytes are cut, the same messages come out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ombdriver.bench.hosts import agent_protocol as protocol
from ombdriver.bench.servers.topology import TOPOLOGIES, ServerPlan
from ombdriver.bench.worker.serializer import FormatError

NUMBERS = st.integers(-(2**63), 2**63)
PLANS = st.builds(
    ServerPlan,
    engine=st.text(),
    topology=st.sampled_from(TOPOLOGIES),
    primaries=st.none() | st.integers(3, 100),
    config=st.dictionaries(st.text(), st.text() | st.lists(st.text()).map(tuple)),
    cpus=st.lists(st.integers(0, 255)).map(tuple),
    address=st.text(),
)
MESSAGES = st.one_of(
    st.builds(protocol.Launch, st.integers(0, 300), st.lists(st.binary(), max_size=3).map(tuple)),
    st.builds(protocol.Forward, st.integers(0, 300), st.binary(max_size=3000)),
    st.builds(protocol.Signal, st.integers(0, 300), st.integers(1, 64)),
    st.builds(protocol.Ask, NUMBERS),
    st.builds(protocol.Hello, st.integers(0, 1000), st.text()),
    st.builds(protocol.Started, st.integers(0, 300), st.integers(1, 2**22)),
    st.builds(protocol.Said, st.integers(0, 300), st.binary(max_size=3000)),
    st.builds(protocol.Gone, st.integers(0, 300), st.text()),
    st.builds(protocol.Answer, NUMBERS, NUMBERS, NUMBERS),
    st.builds(protocol.StartServers, PLANS),
    st.builds(protocol.TellLogs),
    st.builds(protocol.StopServers),
    st.builds(
        protocol.ServersStarted,
        st.text(),
        st.lists(st.builds(protocol.ServerProcess, st.text(), st.integers(1, 65535), st.integers(1, 2**22))).map(tuple),
        st.booleans(),
        st.dictionaries(st.text(), st.binary()),
    ),
    st.builds(protocol.ServersFailed, st.text()),
    st.builds(protocol.ServerEnded, st.text(), st.text()),
    st.builds(protocol.ServerLogs, st.text()),
    st.builds(protocol.ServersStopped),
)


@given(st.lists(MESSAGES, max_size=10), st.lists(st.integers(1, 500), min_size=1))
def test_messages_come_out_as_they_went_in(messages: list[Any], cuts: list[int]) -> None:
    """In their order, whatever part of the bytes a read brings."""
    data, found = b"".join(map(protocol.pack, messages)), []
    unpacker = protocol.Unpacker(found.append)
    at = 0
    while at < len(data):
        cut = cuts[at % len(cuts)]
        unpacker.feed(data[at : at + cut])
        at += cut

    assert found == messages


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\x00\x00\xff", b"\x00\x00\x00\x00"])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    """Whoever dials in by mistake, or on purpose."""
    with pytest.raises(FormatError):
        protocol.Unpacker(lambda _: None).feed(data)


def test_whoever_has_not_said_hello_is_kept_no_bytes() -> None:
    """A stranger's first frame is short, or refused by its length alone; after it frames are as long as jobs are."""
    found: list[object] = []
    stranger = protocol.Unpacker(found.append, protocol.HELLO_BYTES)
    with pytest.raises(FormatError, match="the other side is no ombdriver"):
        stranger.feed(protocol.LENGTH.pack(protocol.HELLO_BYTES + 1))

    agent = protocol.Unpacker(found.append, protocol.HELLO_BYTES)
    said = [protocol.Hello(0, "x" * 64), protocol.Said(0, b"y" * 10 * protocol.HELLO_BYTES)]
    agent.feed(b"".join(protocol.pack(each) for each in said))
    assert found == said
