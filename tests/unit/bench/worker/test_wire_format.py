"""`wire_format`: everything that crosses between parent and workers comes out as it went in, or is refused by name."""

import dataclasses
import pickle
import types
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ombdriver import __version__
from ombdriver.bench.drivers.api import TopicSpec
from ombdriver.bench.load.profile import Profile, Stretch
from ombdriver.bench.metrics.histogram import HIGHEST_NS, Histogram
from ombdriver.bench.metrics.recorder import Metrics
from ombdriver.bench.metrics.report import Report, SentReport
from ombdriver.bench.plan.planner import make_plan
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.worker import protocol, wire_format
from ombdriver.bench.worker.serializer import FormatError, _plain
from ombdriver.bench.worker.wire_format import Decoder, Version, VersionMismatch, decode, encode, greeting

# -- values of everything that crosses ---------------------------------------------------------------------------------

TEXTS = st.text(max_size=8)
NUMBERS = st.integers(-(2**70), 2**70)
SAMPLES = st.lists(st.integers(-(10**6), 2 * HIGHEST_NS), max_size=30)
HISTOGRAMS = st.builds(
    lambda values, weight: Histogram.of(np.array(values, np.int64), np.full(len(values), weight, np.int64)),
    SAMPLES,
    st.sampled_from([1, 300, 70_000, 2**33]),
)
STRETCHES = st.builds(Stretch, st.integers(1, 2**40), st.integers(0, 2**30), st.integers(1, 2**30))
PROFILES = st.lists(STRETCHES, max_size=3).map(lambda some: Profile(tuple(some)))
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS | st.binary(max_size=8), lambda x: st.lists(x).map(tuple)
)


def values_of(of: Any) -> st.SearchStrategy[Any]:
    """Values of a type, as a type hint has it."""
    of = _plain(of)
    origin, arguments = get_origin(of), get_args(of)
    simple = {int: NUMBERS, str: TEXTS, bool: st.booleans(), bytes: st.binary(max_size=20), object: PLAIN}
    simple |= {float: st.floats(allow_nan=False), type(None): st.none(), Histogram: HISTOGRAMS, Profile: PROFILES}
    if of in simple:
        return simple[of]
    if dataclasses.is_dataclass(of):
        hints = get_type_hints(of)
        return st.builds(of, **{each.name: values_of(hints[each.name]) for each in dataclasses.fields(of)})
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of([values_of(each) for each in arguments])
    if origin is np.ndarray:
        return arrays(np.int64, st.tuples(st.integers(0, 12), st.just(3)))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return st.tuples(*[values_of(each) for each in arguments])
    if origin in (tuple, Sequence):
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if origin is frozenset:
        return st.frozensets(values_of(arguments[0]), max_size=3)
    assert origin in (dict, Mapping), of
    return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=3)


def parts(value: Any) -> Any:
    """A value taken apart, so that two of them can be compared down to the types of their arrays."""
    if dataclasses.is_dataclass(value):
        fields = [parts(getattr(value, each.name)) for each in dataclasses.fields(value)]
        return (type(value).__name__, *fields)
    if isinstance(value, np.ndarray):
        return (value.dtype, value.shape, value.tolist())
    if isinstance(value, dict):
        return {name: parts(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(parts(each) for each in value)
    return (type(value), value)


@pytest.mark.parametrize("kind", get_args(wire_format.Message), ids=lambda kind: kind.__name__)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_everything_that_crosses_comes_out_as_it_went_in(kind: type, data: st.DataObject) -> None:
    """Every kind of message, with any values that its fields may have, down to the types of its arrays."""
    message = data.draw(values_of(kind))

    assert parts(decode(encode(message))) == parts(message)


def test_histograms_that_crossed_merge_as_those_that_did_not() -> None:
    """Buckets, counts and sums are exact."""
    random = np.random.default_rng(1)
    some, others = (Histogram.of(random.integers(0, 10**9, 5_000)) for _ in range(2))
    messages = [
        Report(Metrics({(0, "publish", None, 0): each}), 0, 0, 0, 0, {}, frozenset(), 0, {}, {})
        for each in (some, others)
    ]
    crossed = [decode(encode(each)).metrics.histograms[0, "publish", None, 0] for each in messages]

    assert parts(crossed[0] + crossed[1]) == parts(some + others)


def test_a_report_takes_a_fraction_of_what_it_took_as_a_pickle() -> None:
    """Of a second at 10,000 messages/s with three groups."""
    random = np.random.default_rng(1)
    metrics = Metrics()
    families = [("publish", None), ("publishDelay", None), ("publishResponse", None), ("scheduleLag", None)]
    families += [(name, f"group-{at}") for name in ("endToEnd", "endToEndResponse") for at in (1, 2, 3)]
    for family, group in families:
        samples = random.lognormal(13, 0.5, 10_000).astype(np.int64)
        metrics.add_histogram((1, family, group, 7), Histogram.of(samples))
    report = Report(metrics, 10, 10, 0, 0, {"group-1": 5}, frozenset(), 0, {}, {}, SentReport())

    assert len(encode(report)) < 0.6 * len(pickle.dumps(report))


def test_a_plan_of_many_topics_names_each_of_them_once() -> None:
    """A topic is written once, however many producers and consumers have it."""
    text = "{topics: 1000, partitionsPerTopic: 1, messageSize: 100, subscriptionsPerTopic: 3, producersPerTopic: 1,"
    workload = Workload.parse(text + "consumerPerSubscription: 1, producerRate: 1000, testDuration: 1s}", "w")
    plan = make_plan(workload, Setup.load("embedded"), "RUNID", workers=4, cores=2)
    job = protocol.Job(plan, plan.workers[-1], "redis-streams", {"url": "redis://127.0.0.1:6379", "block_ms": 1000})

    frame = encode(job)

    assert decode(frame) == job
    assert frame.count(b"ombdriver-RUNID-") == 1000
    assert len(frame) < 0.6 * len(pickle.dumps(job))


def test_what_a_driver_answers_has_to_be_plain_data() -> None:
    """The way out is in the error, which ends the worker with its name."""
    report = Report(Metrics(), 0, 0, 0, 0, {}, frozenset(), 0, {}, {}, SentReport(checkpoints=[(0, 0, object())]))

    with pytest.raises(FormatError, match="object can't go from process to process; give None, a flag, a number, text"):
        encode(report)


# -- versions ----------------------------------------------------------------------------------------------------------


def test_both_sides_of_one_version_read_each_other() -> None:
    """The greeting is no message; after it each frame is one."""
    decoder = Decoder()

    assert decoder.decode(greeting()) is None
    assert decoder.decode(encode(protocol.Connected())) == protocol.Connected()
    assert wire_format.OWN.program == __version__


@pytest.mark.parametrize("changed", [{"program": "0.0.1"}, {"form": "00000000"}])
def test_another_version_is_refused_with_both_in_the_error(
    changed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the program, or of one of the types that cross; before anything else is read."""
    own = wire_format.OWN
    other: Version = replace(own, **changed)
    with monkeypatch.context() as patched:
        patched.setattr(wire_format, "OWN", other)
        frame = greeting()

    with pytest.raises(VersionMismatch) as raised:
        Decoder().decode(frame)

    assert (
        str(raised.value)
        == f"is of {other}, and what started it of {own}; install one version on both sides, and start again"
    )


@pytest.mark.parametrize("frame", [b"", b"HTTP/1.1 400 Bad Request", b"ombdriver", encode(protocol.Connected())])
def test_what_does_not_greet_is_no_side_of_a_link(frame: bytes) -> None:
    """Nothing of it is taken for a message."""
    with pytest.raises(FormatError, match="no ombdriver; look at what listens there"):
        Decoder().decode(frame)


def test_a_type_that_crosses_can_not_change_without_a_new_form() -> None:
    """The form follows from the types down to their last field."""
    codecs = wire_format._CODECS
    schema = codecs.of(wire_format.Message).schema

    assert "#TopicSpec(name:text,partitions:int,existing:flag)" in schema
    assert [each.__name__ for each in get_args(wire_format.Message) if f"{each.__name__}(" not in schema] == []
    assert TopicSpec in codecs._numbered
