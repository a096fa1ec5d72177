"""What the fields of a workload must agree on, beyond what each of them may hold. Pure."""

from typing import TYPE_CHECKING

from ombdriver.bench.load.message import mean_size
from ombdriver.bench.metrics.figures import OF_FAULTS
from ombdriver.bench.spec.checked_model import FieldRule
from ombdriver.bench.spec.fields import FIND_THE_MAXIMUM, MAX_READERS, MAX_STREAMS, check_conditions
from ombdriver.bench.spec.rate_profile import own_duration, profile_of
from ombdriver.bench.spec.thresholds import Threshold
from ombdriver.bench.units import SECOND, format_duration

if TYPE_CHECKING:
    from ombdriver.bench.spec.workload import Workload

_NOBODY_SENDS = "has no effect where nobody sends (producersPerTopic: 0); leave it out"
_RATE_IS_GIVEN = "has no effect on a given producerRate; write producerRate: max"


def _too_many(per_topic: int, workload: "Workload") -> str | None:
    total = per_topic * max(1, workload.topic_count)
    return f"times topics makes {total:,}; write fewer, at most {MAX_STREAMS:,} in all" if total > MAX_STREAMS else None


def _producers(workload: "Workload") -> str | None:
    producers = workload.producers_per_topic
    if not producers and workload.topics and not workload.existing:
        return (
            "0 leaves new topics empty; write 1 or more, or name topics that exist, which others send to"
            " (existingTopicList)"
        )
    if producers and workload.existing and not workload.sent_to:
        return f"{producers} have nowhere to send to; write 0, or name their topics in existingTopicList"
    if not producers and workload.existing_produce_topic_list:
        return "0 leaves nobody who sends to existingProduceTopicList; write 1 or more, or remove the list"
    return None


def _consumers(workload: "Workload") -> str | None:
    if not workload.existing:
        return None
    sends, reads = workload.producers_per_topic, workload.groups
    if not sends and not reads:
        return "0 leaves nobody who sends or reads; write 1 or more, or so many producersPerTopic"
    if reads and not workload.read:
        consumers = workload.consumer_per_subscription
        return f"{consumers} have nothing to read; write 0, or name their topics in existingTopicList"
    if not reads and workload.existing_consume_topic_list:
        return "0 leaves nobody who reads existingConsumeTopicList; write 1 or more, or remove the list"
    if sends and reads and workload.sent_to and (only := sorted({*workload.sent_to} ^ {*workload.read})):
        return (
            f"would leave messages of {only[0]!r} without an account, since it is not both sent to and read; name the"
            " same topics for both, or run one workload that sends (consumerPerSubscription: 0) beside one that reads"
            " (producersPerTopic: 0)"
        )
    return None


def _rate_profile(workload: "Workload") -> str | None:
    form, rate, test_ns = workload.rate_profile, workload.producer_rate, workload.test_ns
    if form is None or not test_ns:
        return None
    if workload.only_reads:
        return "nobody sends, so there is no rate to change; leave this out, or write producersPerTopic"
    if rate == FIND_THE_MAXIMUM:
        return "is of given rates, and producerRate: max finds one; leave one of them out"
    own = own_duration(form)
    if own not in (None, test_ns):
        takes = f"takes {format_duration(own)} in all, and the test {format_duration(test_ns)}"
        return f"{takes}; change its stages, or leave testDuration out, which is their sum then"
    usual = profile_of(form, test_ns).usual_rate
    if rate != usual:
        return f"has a mean of {usual:,}/s, and producerRate is {rate:,}; leave that out, or the profile"
    return None


def _thresholds(workload: "Workload") -> str | None:
    check_conditions(workload.thresholds, workload.groups)
    for text in workload.thresholds:
        if workload.only_reads and not (figure := Threshold.parse(text).figure).of_any_run:
            return (
                f"{figure.family} is of messages that a run sends itself, and this one only reads; leave it out,"
                " or ask for consumeRate"
            )
    return None


def _of_faults(workload: "Workload") -> str | None:
    """Figures of faults are those of a run that has some."""
    if workload.faults:
        return None
    for text in workload.thresholds:
        if (figure := Threshold.parse(text).figure).family in OF_FAULTS:
            return f"{figure.family} is what faults do, and there are none; leave it out, or add faults"
    return None


def _fault_targets(workload: "Workload") -> str | None:
    partitions = workload.topic_count * workload.partitions_per_topic
    for spec, target in [(each, target) for each in workload.fault_specs for target in each.make().targets]:
        if target.partition is not None and target.partition >= partitions:
            return f"fault {spec.number}: there is no partition {target.partition}; write 0 to {partitions - 1}"
        if target.is_server:
            continue
        if target.is_consumer and target.place >= workload.consumer_per_subscription:
            return (
                f"fault {spec.number}: there is no {target}; write 1 to {workload.consumer_per_subscription}, or a"
                " larger consumerPerSubscription"
            )
        if target.group is not None and target.group not in workload.groups:
            known = ", ".join(workload.groups) or "none"
            return f"fault {spec.number}: there is no group {target.group!r}; there are: {known}"
        if target.role == "consumers" and not workload.groups:
            return f"fault {spec.number}: nobody reads, so there are no consumers; name another target"
        if target.role == "producers" and not workload.producers_per_topic:
            return f"fault {spec.number}: nobody sends, so there are no producers; name another target"
    return None


def _expect(workload: "Workload") -> str | None:
    if workload.expect is None:
        return None
    check_conditions(workload.expect, workload.groups)
    if not workload.faults:
        return "is of what faults do, and there are none; add faults, or write it under thresholds"
    return None


def _slo(workload: "Workload") -> None:
    if workload.slo is not None and workload.finds_the_maximum:
        check_conditions([workload.slo], workload.groups)


RULES: tuple[FieldRule["Workload"], ...] = (
    # -- topics, and who sends and reads
    FieldRule(
        "topics",
        lambda w: not w.topics and not w.existing,
        "0 is too small; write 1 or more, or name topics that exist (existingTopicList)",
    ),
    FieldRule(
        "topics",
        lambda w: w.topics and w.existing,
        "is given beside topics that exist; write 0, or remove their list",
    ),
    FieldRule(
        "existing_topics_from",
        lambda w: w.existing_topics_from is not None and not w.existing,
        "has no effect on new topics, which are empty; remove it, or name existingTopicList",
    ),
    FieldRule("partitions_per_topic", lambda w: _too_many(w.partitions_per_topic, w)),
    FieldRule("producers_per_topic", lambda w: _too_many(w.producers_per_topic, w)),
    FieldRule("producers_per_topic", _producers),
    FieldRule(
        "consumer_per_subscription",
        lambda w: w.consumer_per_subscription * w.subscriptions_per_topic > MAX_READERS,
        lambda w: (
            f"times subscriptionsPerTopic makes {w.consumer_per_subscription * w.subscriptions_per_topic:,} readers;"
            f" write fewer, at most {MAX_READERS:,}"
        ),
    ),
    FieldRule("consumer_per_subscription", _consumers),
    # -- what is sent
    FieldRule(
        "message_size_distribution",
        lambda w: w.sizes and w.message_size != mean_size(w.sizes),
        lambda w: f"has a mean of {mean_size(w.sizes)}, and messageSize is {w.message_size}; leave messageSize out",
    ),
    FieldRule(
        "payload_file",
        lambda w: w.payload_file is not None and w.message_size_distribution is not None,
        "has one size, and messageSizeDistribution has several; leave one of them out",
    ),
    FieldRule(
        "randomized_payload_pool_size",
        lambda w: w.use_randomized_payloads and not w.randomized_payload_pool_size,
        "useRandomizedPayloads needs a pool of payloads; write 1 or more, for example 1000",
    ),
    FieldRule("checksum", lambda w: w.checksum and w.only_reads, _NOBODY_SENDS),
    FieldRule("max_in_flight", lambda w: w.max_in_flight is not None and w.only_reads, _NOBODY_SENDS),
    # -- at which rate
    FieldRule(
        "producer_rate",
        lambda w: w.producer_rate and w.only_reads,
        lambda w: f"{w.producer_rate} has no meaning where nobody sends (producersPerTopic: 0); write 0",
    ),
    FieldRule(
        "arrivals",
        lambda w: w.arrivals != "uniform" and w.only_reads,
        lambda w: f"{w.arrivals} has no meaning where nobody sends (producersPerTopic: 0); write uniform",
    ),
    FieldRule("rate_profile", _rate_profile),
    FieldRule(
        "slo",
        lambda w: w.slo is not None and not w.finds_the_maximum,
        "has no effect on a given producerRate; write it under thresholds, or producerRate: max",
    ),
    FieldRule("slo", _slo),
    FieldRule("probe_duration", lambda w: w.probe_duration is not None and not w.finds_the_maximum, _RATE_IS_GIVEN),
    FieldRule("probe_rates", lambda w: w.probe_rates is not None and not w.finds_the_maximum, _RATE_IS_GIVEN),
    FieldRule(
        "probe_rates",
        lambda w: w.finds_the_maximum and sorted({*(w.probe_rates or ())}) != (w.probe_rates or []),
        lambda w: f"{w.probe_rates} do not rise; write each rate once, the lowest first",
    ),
    FieldRule("probe_steps", lambda w: w.probe_steps is not None and not w.finds_the_maximum, _RATE_IS_GIVEN),
    FieldRule(
        "probe_steps",
        lambda w: w.probe_steps is not None and w.probe_rates is not None,
        "is for a search, which probeRates take the place of; leave one of them out",
    ),
    # -- the backlog
    FieldRule(
        "consumer_backlog_size_gb",
        lambda w: w.consumer_backlog_size_gb and w.arrivals == "poisson",
        "random arrivals are drawn for a time that is known, and a drain takes as long as it takes;"
        " write arrivals: uniform, or 0 here",
    ),
    FieldRule(
        "consumer_backlog_size_gb",
        lambda w: w.consumer_backlog_size_gb and w.producer_rate == FIND_THE_MAXIMUM,
        "a backlog is built at a rate that is given; write a producerRate above 0, or 0 here",
    ),
    FieldRule(
        "consumer_backlog_size_gb",
        lambda w: w.consumer_backlog_size_gb and not w.groups,
        "nobody reads, so nobody drains a backlog; write 0 here, or give the topics consumers",
    ),
    FieldRule(
        "rate_profile",
        lambda w: w.consumer_backlog_size_gb and w.rate_profile is not None,
        "a backlog is built and drained at one rate; leave this out, or consumerBacklogSizeGB",
    ),
    # -- how long, and what is demanded
    FieldRule(
        "test_duration",
        lambda w: w.test_duration is not None and w.test_duration_minutes is not None,
        "is given beside testDurationMinutes; remove one of the two",
    ),
    FieldRule(
        "test_duration",
        lambda w: not w.test_ns,
        "is missing; add a line testDuration: 30s, or testDurationMinutes: 5",
    ),
    FieldRule(
        "warmup_duration",
        lambda w: w.warmup_duration is not None and w.warmup_duration_minutes is not None,
        "is given beside warmupDurationMinutes; remove one of the two",
    ),
    FieldRule(
        "sample_interval",
        lambda w: w.test_ns and w.sample_interval_ns > w.test_ns,
        lambda w: (
            f"{format_duration(w.sample_interval_ns)} is longer than the test ({format_duration(w.test_ns)}); write a"
            " shorter one, as 100ms"
        ),
    ),
    FieldRule(
        "sample_interval",
        lambda w: w.sample_interval_ns > SECOND and w.finds_the_maximum,
        lambda w: f"{format_duration(w.sample_interval_ns)} is too long to find the highest rate by; write 1s or less",
    ),
    FieldRule("thresholds", _thresholds),
    FieldRule("thresholds", _of_faults),
    # -- what is broken
    FieldRule("faults", _fault_targets),
    FieldRule(
        "faults",
        lambda w: w.faults and w.only_reads,
        "nobody sends, so nothing is known of what is lost; leave them out, or write producersPerTopic",
    ),
    FieldRule(
        "faults",
        lambda w: w.faults and w.consumer_backlog_size_gb,
        "times are of a measured window, which has no fixed length while a backlog is drained; leave this out, or"
        " consumerBacklogSizeGB",
    ),
    FieldRule("expect", _expect),
)
