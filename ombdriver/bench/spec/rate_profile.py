"""How a profile of rates is written in a workload file, and what it becomes. Pure.

A list of stages is one thing after the other, with durations of its own; the shapes `ramp`, `steps` and `spike` are
laid over the measured time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ombdriver.bench.load.profile import Profile, Stretch
from ombdriver.bench.units import MS, SECOND, format_duration, nearest, parse_duration, parse_rate, quoted

MOST_STAGES = 1_000
_MOST_RENDERED = 6
CONSTANT = "constant"
_STAGE = "{duration: 30s, rate: 1000} or {duration: 30s, from: 1000, to: 5000}"
_SHAPES = {
    "ramp": "{from: 1000, to: 10000}",
    "steps": "[1000, 2000, 4000]",
    "spike": "{base: 1000, peak: 10000, at: 10s, for: 5s}",
}
_FORMS = f"write {', '.join(f'{name}: {form}' for name, form in _SHAPES.items())}, or a list of stages as {_STAGE}"

RateProfile = list[dict[str, Any]] | dict[str, Any]
"""As in a file, valid: stages with `duration`, `from` and `to`, or one of the shapes."""


def parse_profile(given: object, most_rate: int) -> RateProfile | None:
    """What YAML has of a profile, checked, with every stage written out; None for `constant`.

    Args:
        given: a list of stages, a mapping with one shape, or `constant`.
        most_rate: messages per second that a rate may be.

    Raises:
        ValueError: if it is not that; the message says what is.
    """
    if given == CONSTANT:
        return None
    if isinstance(given, list):
        return _stages(given, most_rate)
    if not isinstance(given, Mapping) or len(given) != 1:
        raise ValueError(f"{quoted(given)} is no profile of rates; {_FORMS}")
    ((shape, value),) = given.items()
    if shape not in _SHAPES:
        near = nearest(str(shape), _SHAPES)
        raise ValueError(f"{quoted(shape)} is no profile of rates; {f'did you mean {near}?' if near else _FORMS}")
    if shape == "steps":
        if not isinstance(value, list) or len(value) < 2:
            raise ValueError(f"steps: {quoted(value)} is no list of two rates or more; write steps: {_SHAPES['steps']}")
        steps = [_rate(rate, f"steps: rate {at}", most_rate) for at, rate in enumerate(value, start=1)]
        return {"steps": _with_a_rate(steps, "steps")}
    names = ("from", "to") if shape == "ramp" else ("base", "peak", "at", "for")
    fields = _keys(value, names, names, f"{shape}: ", f"write {shape}: {_SHAPES[shape]}")
    rates = {name: _rate(fields[name], f"{shape}: {name}", most_rate) for name in names[:2]}
    _with_a_rate(list(rates.values()), shape)
    if shape == "spike" and rates["peak"] <= rates["base"]:
        raise ValueError(
            f"spike: its peak, {rates['peak']}, is not above its base, {rates['base']}; write a higher one"
        )
    return {
        shape: rates | {name: _duration(fields[name], f"{shape}: {name}", int(name == "for")) for name in names[2:]}
    }


def profile_of(form: RateProfile, test_ns: int) -> Profile:
    """The rates over a measured time of `test_ns` nanoseconds.

    Raises:
        ValueError: if the profile does not fit into that time; the message says what does.
    """
    if isinstance(form, list):
        stages = [Stretch(parse_duration(each["duration"]), each["from"], each["to"]) for each in form]
        return Profile(tuple(stages))
    ((shape, value),) = form.items()
    if shape == "ramp":
        return Profile((Stretch(test_ns, value["from"], value["to"]),))
    if shape == "steps":
        ends = [test_ns * at // len(value) for at in range(len(value) + 1)]
        return Profile(tuple(Stretch(ends[at + 1] - ends[at], rate, rate) for at, rate in enumerate(value)))
    begin, length = parse_duration(value["at"]), parse_duration(value["for"])
    if (end := begin + length) > test_ns:
        late = f"ends after {format_duration(end)}, and the test after {format_duration(test_ns)}"
        raise ValueError(f"spike: {late}; write an earlier at, a shorter for, or a longer testDuration")
    lengths = ((begin, value["base"]), (length, value["peak"]), (test_ns - end, value["base"]))
    return Profile(tuple(Stretch(each, rate, rate) for each, rate in lengths if each))


def own_duration(form: RateProfile | None) -> int | None:
    """How long stages take together, in nanoseconds; None for a shape, which lasts as long as the test."""
    return sum(parse_duration(each["duration"]) for each in form) if isinstance(form, list) else None


def _stages(given: list[Any], most_rate: int) -> list[dict[str, Any]]:
    if not given or len(given) > MOST_STAGES:
        raise ValueError(f"has {len(given):,} stages; write 1 to {MOST_STAGES:,}, each as {_STAGE}")
    stages: list[dict[str, Any]] = []
    before: int | None = None
    for number, each in enumerate(given, start=1):
        where, way_out = f"stage {number}: ", f"write it as {_STAGE}"
        ramps = isinstance(each, Mapping) and "to" in each
        names = ("duration", "from", "to") if ramps else ("duration", "rate")
        must = tuple(name for name in names if name != "from" or before is None)
        fields = _keys(each, names, must, where, way_out)
        if ramps:
            first = _rate(fields["from"], f"{where}from", most_rate) if "from" in fields else before
            last = _rate(fields["to"], f"{where}to", most_rate)
        else:
            first = last = _rate(fields["rate"], f"{where}rate", most_rate)
        stages.append({"duration": _duration(fields["duration"], f"{where}duration", 1), "from": first, "to": last})
        before = last
    _with_a_rate([rate for each in stages for rate in (each["from"], each["to"])], "it")
    return stages


def _keys(
    given: object, names: tuple[str, ...], must: tuple[str, ...], where: str, way_out: str
) -> Mapping[str, object]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{where}{quoted(given)} holds no settings; {way_out}")
    if unknown := [str(name) for name in given if name not in names]:
        near = nearest(unknown[0], names)
        raise ValueError(f"{where}{unknown[0]} is unknown; {f'did you mean {near}?' if near else way_out}")
    if missing := [name for name in must if name not in given]:
        raise ValueError(f"{where}{missing[0]} is missing; {way_out}")
    return given


def _rate(value: object, what: str, most: int) -> int:
    try:
        rate = parse_rate(value)
    except ValueError:
        rate = -1
    if not 0 <= rate <= most:
        raise ValueError(f"{what}: {quoted(value)} is no rate; write a whole number, 0 (a pause) to {most:,}")
    return rate


def _duration(value: object, what: str, least_ms: int) -> str:
    try:
        duration_ns = parse_duration(value)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    if duration_ns < least_ms * MS:
        raise ValueError(f"{what}: {format_duration(duration_ns)} is too short; write 1ms or more")
    return format_duration(duration_ns)


def _with_a_rate(rates: list[int], what: str) -> list[int]:
    if not any(rates):
        raise ValueError(f"{what} has no rate above 0, so nothing would be sent; write one of 1 or more")
    return rates


def profile_to_json(profile: Profile) -> list[Mapping[str, float]]:
    """The `rateProfile` of a result: of each stretch the `seconds`, and the rates `from` and `to` at its ends."""
    return [{"seconds": each.duration_ns / SECOND, "from": each.first, "to": each.last} for each in profile.stretches]


def render_profile(stretches: Sequence[Mapping[str, float]]) -> str:
    """For people: `1,000/s for 10 s, 1,000 to 5,000/s in 20 s, nothing for 5 s`; of many stretches the first ones."""
    words = [_render_stretch(each["seconds"], each["from"], each["to"]) for each in stretches[:_MOST_RENDERED]]
    more = len(stretches) - _MOST_RENDERED
    return ", ".join([*words, f"and {more:,} more stretches"] if more > 0 else words)


def _render_stretch(seconds: float, first: float, last: float) -> str:
    if first != last:
        return f"{first:,} to {last:,}/s in {seconds:,.6g} s"
    return f"{first:,}/s for {seconds:,.6g} s" if first else f"nothing for {seconds:,.6g} s"
