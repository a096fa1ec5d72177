"""What the fields of a workload must agree on, beyond what each of them may hold. Pure.

Each rule is of one field, which its error names, and reads whatever fields and properties it needs; see
`checked_model.Rules`.
"""

from typing import TYPE_CHECKING

from ombdriver.bench.load.message import mean_size
from ombdriver.bench.spec.checked_model import Rules
from ombdriver.bench.spec.fields import FIND_THE_MAXIMUM, MAX_READERS, MAX_STREAMS, check_conditions
from ombdriver.bench.spec.rate_profile import own_duration, profile_of
from ombdriver.bench.spec.thresholds import Threshold
from ombdriver.bench.units import SECOND, format_duration

if TYPE_CHECKING:
    from ombdriver.bench.spec.workload import Workload

RULES = Rules()

# -- topics, and who sends and reads ---------------------------------------------------------------------------------


@RULES.of("topics")
def _topics(workload: "Workload") -> None:
    if not workload.topics and not workload.existing:
        raise ValueError("0 is too small; write 1 or more, or name topics that exist (existingTopicList)")
    if workload.topics and workload.existing:
        raise ValueError("is given beside topics that exist; write 0, or remove their list")


@RULES.of("existing_topics_from")
def _existing_topics_from(workload: "Workload") -> None:
    if workload.existing_topics_from is not None and not workload.existing:
        raise ValueError("has no effect on new topics, which are empty; remove it, or name existingTopicList")


@RULES.of("partitions_per_topic")
def _partitions(workload: "Workload") -> None:
    _few_enough(workload.partitions_per_topic, workload)


@RULES.of("producers_per_topic")
def _producers(workload: "Workload") -> None:
    producers = workload.producers_per_topic
    _few_enough(producers, workload)
    if not producers and workload.topics and not workload.existing:
        raise ValueError(
            "0 leaves new topics empty; write 1 or more, or name topics that exist, which others send to"
            " (existingTopicList)"
        )
    if producers and workload.existing and not workload.sent_to:
        raise ValueError(f"{producers} have nowhere to send to; write 0, or name their topics in existingTopicList")
    if not producers and workload.existing_produce_topic_list:
        raise ValueError("0 leaves nobody who sends to existingProduceTopicList; write 1 or more, or remove the list")


def _few_enough(per_topic: int, workload: "Workload") -> None:
    if (total := per_topic * max(1, workload.topic_count)) > MAX_STREAMS:
        raise ValueError(f"times topics makes {total:,}; write fewer, at most {MAX_STREAMS:,} in all")


@RULES.of("consumer_per_subscription")
def _consumers(workload: "Workload") -> None:
    consumers = workload.consumer_per_subscription
    if (total := consumers * workload.subscriptions_per_topic) > MAX_READERS:
        raise ValueError(f"times subscriptionsPerTopic makes {total:,} readers; write fewer, at most {MAX_READERS:,}")


@RULES.of("consumer_per_subscription")
def _consumers_of_existing(workload: "Workload") -> None:
    if not workload.existing:
        return
    consumers, sends, reads = workload.consumer_per_subscription, workload.producers_per_topic, workload.groups
    if not sends and not reads:
        raise ValueError("0 leaves nobody who sends or reads; write 1 or more, or so many producersPerTopic")
    if reads and not workload.read:
        raise ValueError(f"{consumers} have nothing to read; write 0, or name their topics in existingTopicList")
    if not reads and workload.existing_consume_topic_list:
        raise ValueError("0 leaves nobody who reads existingConsumeTopicList; write 1 or more, or remove the list")
    if sends and reads and workload.sent_to and (only := sorted({*workload.sent_to} ^ {*workload.read})):
        raise ValueError(
            f"would leave messages of {only[0]!r} without an account, since it is not both sent to and read; name the"
            " same topics for both, or run one workload that sends (consumerPerSubscription: 0) beside one that reads"
            " (producersPerTopic: 0)"
        )


# -- what is sent ----------------------------------------------------------------------------------------------------


@RULES.of("message_size_distribution")
def _size_distribution(workload: "Workload") -> None:
    if workload.sizes and workload.message_size != (mean := mean_size(workload.sizes)):
        raise ValueError(f"has a mean of {mean}, and messageSize is {workload.message_size}; leave messageSize out")


@RULES.of("payload_file")
def _payload_file(workload: "Workload") -> None:
    if workload.payload_file is not None and workload.message_size_distribution is not None:
        raise ValueError("has one size, and messageSizeDistribution has several; leave one of them out")


@RULES.of("randomized_payload_pool_size")
def _payload_pool(workload: "Workload") -> None:
    if workload.use_randomized_payloads and not workload.randomized_payload_pool_size:
        raise ValueError("useRandomizedPayloads needs a pool of payloads; write 1 or more, for example 1000")


@RULES.of("checksum")
def _checksum(workload: "Workload") -> None:
    _only_where_somebody_sends(workload, bool(workload.checksum))


@RULES.of("max_in_flight")
def _max_in_flight(workload: "Workload") -> None:
    _only_where_somebody_sends(workload, workload.max_in_flight is not None)


def _only_where_somebody_sends(workload: "Workload", given: bool) -> None:
    if given and workload.only_reads:
        raise ValueError("has no effect where nobody sends (producersPerTopic: 0); leave it out")


# -- at which rate ---------------------------------------------------------------------------------------------------


@RULES.of("producer_rate")
def _rate(workload: "Workload") -> None:
    if workload.producer_rate and workload.only_reads:
        raise ValueError(f"{workload.producer_rate} has no meaning where nobody sends (producersPerTopic: 0); write 0")


@RULES.of("arrivals")
def _arrivals(workload: "Workload") -> None:
    if workload.arrivals != "uniform" and workload.only_reads:
        raise ValueError(f"{workload.arrivals} has no meaning where nobody sends (producersPerTopic: 0); write uniform")


@RULES.of("rate_profile")
def _rate_profile(workload: "Workload") -> None:
    form, rate, test_ns = workload.rate_profile, workload.producer_rate, workload.test_ns
    if form is None or not test_ns:
        return
    if workload.only_reads:
        raise ValueError("nobody sends, so there is no rate to change; leave this out, or write producersPerTopic")
    if rate == FIND_THE_MAXIMUM:
        raise ValueError("is of given rates, and producerRate: max finds one; leave one of them out")
    own = own_duration(form)
    if own not in (None, test_ns):
        takes = f"takes {format_duration(own)} in all, and the test {format_duration(test_ns)}"
        raise ValueError(f"{takes}; change its stages, or leave testDuration out, which is their sum then")
    usual = profile_of(form, test_ns).usual_rate
    if rate != usual:
        raise ValueError(f"has a mean of {usual:,}/s, and producerRate is {rate:,}; leave that out, or the profile")


@RULES.of("slo")
def _slo(workload: "Workload") -> None:
    if workload.slo is not None and not workload.finds_the_maximum:
        raise ValueError("has no effect on a given producerRate; write it under thresholds, or producerRate: max")


@RULES.of("slo")
def _slo_of_groups(workload: "Workload") -> None:
    if workload.slo is not None and workload.finds_the_maximum:
        check_conditions([workload.slo], workload.groups)


@RULES.of("probe_duration")
def _probe_duration(workload: "Workload") -> None:
    _only_for_the_maximum(workload, workload.probe_duration is not None)


@RULES.of("probe_rates")
def _probe_rates(workload: "Workload") -> None:
    rates = workload.probe_rates
    _only_for_the_maximum(workload, rates is not None)
    if rates is not None and sorted(set(rates)) != rates:
        raise ValueError(f"{rates} do not rise; write each rate once, the lowest first")


@RULES.of("probe_steps")
def _probe_steps(workload: "Workload") -> None:
    _only_for_the_maximum(workload, workload.probe_steps is not None)
    if workload.probe_steps is not None and workload.probe_rates is not None:
        raise ValueError("is for a search, which probeRates take the place of; leave one of them out")


def _only_for_the_maximum(workload: "Workload", given: bool) -> None:
    if given and not workload.finds_the_maximum:
        raise ValueError("has no effect on a given producerRate; write producerRate: max")


# -- the backlog -----------------------------------------------------------------------------------------------------


@RULES.of("consumer_backlog_size_gb")
def _backlog_arrivals(workload: "Workload") -> None:
    if workload.consumer_backlog_size_gb and workload.arrivals == "poisson":
        raise ValueError(
            "random arrivals are drawn for a time that is known, and a drain takes as long as it takes;"
            " write arrivals: uniform, or 0 here"
        )


@RULES.of("consumer_backlog_size_gb")
def _backlog_rate(workload: "Workload") -> None:
    if workload.consumer_backlog_size_gb and workload.producer_rate == FIND_THE_MAXIMUM:
        raise ValueError("a backlog is built at a rate that is given; write a producerRate above 0, or 0 here")


@RULES.of("rate_profile")
def _backlog_profile(workload: "Workload") -> None:
    if workload.consumer_backlog_size_gb and workload.rate_profile is not None:
        raise ValueError("a backlog is built and drained at one rate; leave this out, or consumerBacklogSizeGB")


@RULES.of("consumer_backlog_size_gb")
def _backlog_readers(workload: "Workload") -> None:
    if workload.consumer_backlog_size_gb and not workload.groups:
        raise ValueError("nobody reads, so nobody drains a backlog; write 0 here, or give the topics consumers")


# -- how long, and what is demanded ----------------------------------------------------------------------------------


@RULES.of("test_duration")
def _test_duration(workload: "Workload") -> None:
    if workload.test_duration is not None and workload.test_duration_minutes is not None:
        raise ValueError("is given beside testDurationMinutes; remove one of the two")
    if not workload.test_ns:
        raise ValueError("is missing; add a line testDuration: 30s, or testDurationMinutes: 5")


@RULES.of("warmup_duration")
def _warmup_duration(workload: "Workload") -> None:
    if workload.warmup_duration is not None and workload.warmup_duration_minutes is not None:
        raise ValueError("is given beside warmupDurationMinutes; remove one of the two")


@RULES.of("sample_interval")
def _sample_interval(workload: "Workload") -> None:
    interval, test_ns = workload.sample_interval_ns, workload.test_ns
    if test_ns and interval > test_ns:
        longer = f"{format_duration(interval)} is longer than the test ({format_duration(test_ns)})"
        raise ValueError(f"{longer}; write a shorter one, as 100ms")


@RULES.of("sample_interval")
def _sample_interval_of_a_search(workload: "Workload") -> None:
    if workload.sample_interval_ns > SECOND and workload.finds_the_maximum:
        text = format_duration(workload.sample_interval_ns)
        raise ValueError(f"{text} is too long to find the highest rate by; write 1s or less")


@RULES.of("thresholds")
def _thresholds(workload: "Workload") -> None:
    check_conditions(workload.thresholds, workload.groups)
    for text in workload.thresholds:
        if workload.only_reads and not (figure := Threshold.parse(text).figure).of_any_run:
            raise ValueError(
                f"{figure.family} is of messages that a run sends itself, and this one only reads; leave it out,"
                " or ask for consumeRate"
            )
