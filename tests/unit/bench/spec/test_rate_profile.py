"""`rateProfile`: how it is written, what it means over the measured time, and what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ombdriver.bench.load.profile import Stretch
from ombdriver.bench.spec.overrides import option_assignments
from ombdriver.bench.spec.rate_profile import parse_profile, profile_to_json, render_profile
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.units import SECOND
from ombdriver.errors import InputError

BASE = {
    "topics": 1,
    "partitionsPerTopic": 1,
    "messageSize": 100,
    "subscriptionsPerTopic": 1,
    "producersPerTopic": 1,
    "consumerPerSubscription": 1,
}
STAGES = [
    {"duration": "30s", "rate": 1000},
    {"duration": "10s", "to": 8000},
    {"duration": "500ms", "rate": 0},
    {"duration": "1m", "from": 2000, "to": 0},
]


def workload(options: dict[str, Any] | None = None, **fields: Any) -> Workload:
    """A workload of these fields besides the usual ones, with options of the command line."""
    text = "\n".join(f"{name}: {json.dumps(value)}" for name, value in (BASE | fields).items())
    return Workload.parse(text, "w.yaml", given=option_assignments(**(options or {})))


def stretches(**fields: Any) -> list[tuple[float, int, int]]:
    """The profile of such a workload: seconds, and the rates at both ends."""
    profile = workload(**fields).profile
    assert profile is not None
    return [(each.duration_ns / SECOND, each.first, each.last) for each in profile.stretches]


def test_stages_follow_each_other_and_make_the_measured_time() -> None:
    """A ramp goes on from the rate before it, as in k6, if it does not say from which; the mean is the rate."""
    made = workload(rateProfile=STAGES)

    assert stretches(rateProfile=STAGES) == [(30, 1000, 1000), (10, 1000, 8000), (0.5, 0, 0), (60, 2000, 0)]
    assert made.test_ns == 100_500_000_000
    assert made.producer_rate == round((30_000 + 45_000 + 60_000) / 100.5)


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ({"ramp": {"from": 0, "to": 6000}}, [(60, 0, 6000)]),
        ({"steps": [100, 300, 200]}, [(20, 100, 100), (20, 300, 300), (20, 200, 200)]),
        (
            {"spike": {"base": 100, "peak": 900, "at": "10s", "for": "500ms"}},
            [(10, 100, 100), (0.5, 900, 900), (49.5, 100, 100)],
        ),
        ({"spike": {"base": 0, "peak": 9, "at": "0s", "for": "1m"}}, [(60, 9, 9)]),
    ],
)
def test_shapes_are_laid_over_the_measured_time(form: dict[str, Any], found: list[tuple[float, int, int]]) -> None:
    """Which has to be given then, in one of its two forms."""
    assert stretches(rateProfile=form, testDuration="60s") == found
    assert stretches(rateProfile=form, testDurationMinutes=1) == found


def test_a_constant_rate_may_be_called_so() -> None:
    """It is that of `producerRate`, and the same load as without the word."""
    plain = workload(producerRate=5, testDuration="1s")
    made = workload(producerRate=5, testDuration="1s", rateProfile="constant")

    assert made.profile is None
    assert (made.sha256, made.spec()) == (plain.sha256, plain.spec())


def test_a_field_that_came_later_does_not_change_older_hashes() -> None:
    """A load whose arrivals are uniform is the one that it was before there were others."""
    made = workload(producerRate=5, testDuration="1s")

    assert made.sha256 == workload(producerRate=5, testDuration="1s", arrivals="uniform").sha256
    assert made.sha256 != workload(producerRate=5, testDuration="1s", arrivals="poisson").sha256


@pytest.mark.parametrize("form", [STAGES, {"ramp": {"from": 5, "to": 7}}, {"steps": [0, 9, 4]}])
def test_a_resolved_profile_reads_back_as_itself(form: Any) -> None:
    """So a run can be repeated from its result."""
    time = {} if isinstance(form, list) else {"testDuration": "7s"}
    made = workload(rateProfile=form, **time)
    again = Workload.parse(json.dumps(made.spec()), "result.json")

    assert (again.spec(), again.sha256, again.profile) == (made.spec(), made.sha256, made.profile)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"rateProfile": 5}, "rateProfile: 5 is no profile of rates; write ramp: {from: 1000, to: 10000}, steps: ["),
        ({"rateProfile": "wave"}, "'wave' is no profile of rates; write ramp"),
        ({"rateProfile": {}}, "{} is no profile of rates; write ramp"),
        ({"rateProfile": {"spkie": 1}}, "'spkie' is no profile of rates; did you mean spike?"),
        ({"rateProfile": {"ramp": 7}}, "ramp: 7 holds no settings; write ramp: {from: 1000, to: 10000}"),
        ({"rateProfile": {"ramp": {"from": 1}}}, "ramp: to is missing; write ramp: {from: 1000, to: 10000}"),
        ({"rateProfile": {"ramp": {"from": 1, "too": 2}}}, "ramp: too is unknown; did you mean to?"),
        ({"rateProfile": {"ramp": {"from": 0, "to": 0}}}, "ramp has no rate above 0, so nothing would be sent"),
        (
            {"rateProfile": {"ramp": {"from": -1, "to": 0}}},
            "ramp: from: -1 is no rate; write a whole number, 0 (a pause)",
        ),
        ({"rateProfile": {"steps": [5]}}, "steps: [5] is no list of two rates or more; write steps: [1000, 2000"),
        ({"rateProfile": {"steps": [5, "max"]}}, "steps: rate 2: 'max' is no rate"),
        (
            {"rateProfile": {"spike": {"base": 5, "peak": 5, "at": "1s", "for": "1s"}}},
            "spike: its peak, 5, is not above its base, 5; write a higher one",
        ),
        (
            {"rateProfile": {"spike": {"base": 1, "peak": 5, "at": "9s", "for": "2s"}}},
            "spike: ends after 11s, and the test after 10s; write an earlier at, a shorter for, or a longer",
        ),
        (
            {"rateProfile": {"spike": {"base": 1, "peak": 5, "at": "9s", "for": "0s"}}},
            "spike: for: 0s is too short; write 1ms or more",
        ),
        ({"rateProfile": []}, "has 0 stages; write 1 to 1,000, each as {duration: 30s, rate: 1000}"),
        ({"rateProfile": [7]}, "stage 1: 7 holds no settings; write it as {duration: 30s, rate: 1000}"),
        ({"rateProfile": [{"rate": 5}]}, "stage 1: duration is missing; write it as"),
        ({"rateProfile": [{"duration": 5, "rate": 5}]}, "stage 1: duration: 5 has no unit; write 5s for seconds"),
        ({"rateProfile": [{"duration": "5s", "to": 5}]}, "stage 1: from is missing; write it as"),
        ({"rateProfile": [{"duration": "5s", "rate": 5, "target": 9}]}, "stage 1: target is unknown"),
        ({"rateProfile": [{"duration": "5s", "rate": 5}, {"duration": "5s"}]}, "stage 2: rate is missing; write it as"),
        ({"rateProfile": [{"duration": "10s", "rate": 0}]}, "it has no rate above 0, so nothing would be sent"),
        (
            {"rateProfile": [{"duration": "5s", "rate": 5}]},
            "rateProfile: takes 5s in all, and the test 10s; change its stages, or leave testDuration out",
        ),
        (
            {"rateProfile": {"ramp": {"from": 0, "to": 10}}, "producerRate": 10},
            "rateProfile: has a mean of 5/s, and producerRate is 10; leave that out, or the profile",
        ),
        (
            {"rateProfile": {"ramp": {"from": 0, "to": 10}}, "producerRate": "max"},
            "rateProfile: is of given rates, and producerRate: max finds one; leave one of them out",
        ),
        ({"rateProfile": "constant"}, "producerRate: is missing; add a line producerRate: ..."),
        ({"producerRate": 1, "arrivals": "random"}, "arrivals: 'random' is not one of 'uniform' or 'poisson'"),
    ],
)
def test_what_is_no_profile_is_refused_with_the_way_out(fields: dict[str, Any], fault: str) -> None:
    """In one sentence, and nothing else is told of it."""
    with pytest.raises(InputError) as caught:
        workload(testDuration="10s", **fields)

    (told,) = caught.value.messages
    assert fault in told


def test_a_shape_without_a_time_is_refused() -> None:
    """It does not know how long it is."""
    with pytest.raises(InputError, match="testDuration: is missing; add a line testDuration: 30s"):
        workload(rateProfile={"ramp": {"from": 0, "to": 10}})


def test_faulty_stages_are_not_told_to_lack_a_time() -> None:
    """Which is their own."""
    with pytest.raises(InputError) as caught:
        workload(rateProfile=[{"duration": "5s", "rate": -5}])

    assert len(caught.value.messages) == 1


def test_another_time_gives_a_shape_another_length() -> None:
    """And its mean with it; stages have a length of their own, which the option contradicts."""
    spike = {"spike": {"base": 100, "peak": 900, "at": "1s", "for": "1s"}}
    long = workload(rateProfile=spike, testDuration="10s")
    short = workload({"duration": "4s"}, rateProfile=spike, testDuration="10s")

    assert (long.producer_rate, short.producer_rate) == (180, 300)
    with pytest.raises(InputError, match=r"w\.yaml:7 with --duration: rateProfile: takes 100500ms in all"):
        workload({"duration": "4s"}, rateProfile=STAGES)


@pytest.mark.parametrize(
    ("rate", "fault"),
    [
        (
            70,
            "has a mean of 1,343/s, and producerRate is 70; leave that out, or the profile",
        ),
        ("max", "is of given rates, and producerRate: max finds one; leave one of them out"),
    ],
)
def test_a_rate_of_the_command_line_does_not_go_with_a_profile(rate: int | str, fault: str) -> None:
    """Which of them is meant is not guessed."""
    with pytest.raises(InputError) as caught:
        workload({"rate": rate}, rateProfile=STAGES)

    assert list(caught.value.messages) == [f"w.yaml:7 with --rate: rateProfile: {fault}"]


def test_a_profile_is_told_in_words() -> None:
    """Of many stretches the first ones."""
    profile = workload(rateProfile=STAGES).profile
    assert profile is not None

    assert render_profile(profile_to_json(profile)) == (
        "1,000/s for 30 s, 1,000 to 8,000/s in 10 s, nothing for 0.5 s, 2,000 to 0/s in 60 s"
    )
    assert render_profile(profile_to_json(profile) * 2).endswith("1,000 to 8,000/s in 10 s, and 2 more stretches")


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 10**8), st.sampled_from(["1s", "0s", "constant", "x"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["duration", "rate", "from", "to", "ramp", "steps", "spike", "base", "peak", "at", "for", 7]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300)
@given(value=VALUES)
def test_whatever_is_given_is_taken_or_refused(value: object) -> None:
    """Never anything else than a sentence; and what is taken is taken again."""
    try:
        form = parse_profile(value, 10**7)
    except ValueError as error:
        told = str(error)
        form = None
    else:
        told = "it is taken; take it again"
    assert ";" in told
    assert form is None or parse_profile(form, 10**7) == form


def test_a_stretch_tells_its_messages() -> None:
    """The mean of both rates, for so long."""
    assert Stretch(2 * SECOND, 100, 300).parts == 400 * 2 * SECOND
