"""A plan as text, for `ombdriver plan`. Pure; connects to nothing."""

from ombdriver.bench.faults.spec import schedule
from ombdriver.bench.plan.plan import Plan, memory_estimate
from ombdriver.bench.report.units import many
from ombdriver.bench.spec.rate_profile import profile_to_json, render_profile
from ombdriver.bench.spec.setup import Setup
from ombdriver.bench.spec.setup_server import Server
from ombdriver.bench.spec.workload import Workload
from ombdriver.bench.units import MS, SECOND, format_duration, format_size

SHOWN_WORKERS = 16
"""Of more workers only the numbers are shown."""
SHOWN_INJECTIONS = 50
"""Of more faults the first ones are shown."""


def describe(plan: Plan, workload: Workload, setup: Setup) -> str:
    """What would run: one fact per line, the last one ended by a line feed."""
    facts = [
        ("workload", f"{workload.name} (sha256 {workload.sha256[:12]})"),
        ("setup", _setup(setup)),
        ("topics", _topics(plan)),
        ("stream keys", _keys(plan)),
        ("subscriptions", _subscriptions(plan, workload)),
        ("messages", f"{_sizes(plan)}, {_payload(workload)}, {_keyed(workload)}"),
        ("rate", _rate(plan)),
        ("producers", _producers(plan)),
        *_backlog(plan),
        ("phases", _phases(plan)),
        ("expected", _expected(plan)),
        ("workers", f"{len(plan.workers)}"),
        *_workers(plan),
        *_latencies(plan),
    ]
    if not setup.loopback:
        facts += [
            ("retention", _retention(plan)),
            ("memory", f"about {format_size(memory_estimate(plan))} on the server"),
        ]
    facts += _faults(plan)
    if workload.thresholds:
        facts += zip(["thresholds", *[""] * len(workload.thresholds)], _thresholds(workload), strict=True)
    if workload.expect:
        rows = [f"{many(len(workload.expect), 'condition')} on what the faults do", *workload.expect]
        facts += zip(["expected then", *[""] * len(workload.expect)], rows, strict=True)
    return "".join(f"{name:<14} {fact}\n" for name, fact in facts)


def _sizes(plan: Plan) -> str:
    return f"{plan.payload.size:,} bytes{' on average' if plan.payload.sizes else ''}"


def _topics(plan: Plan) -> str:
    topics = f"{len(plan.topics):,} x {many(plan.topics[0].partitions, 'partition')}"
    if not plan.existing:
        return topics
    where = "from their beginning" if plan.from_beginning else "from where they end"
    read = f", read {where}" if plan.readers else ""
    return f"{topics}, which exist and are others': never probed, trimmed or deleted{read}"


def _rate(plan: Plan) -> str:
    if not plan.producers:
        return "none, nothing is sent"
    bytes_per_second = format_size(plan.rate * plan.payload.size)
    random = "" if plan.poisson is None else "; random arrivals (Poisson)"
    if plan.profile is not None:
        mean = f"a mean of {plan.profile.mean:,.6g} messages/s, at most {plan.rate:,} messages/s, {bytes_per_second}/s"
        return f"{mean}: {render_profile(profile_to_json(plan.profile))}{random}"
    if plan.search is None:
        return f"{plan.rate:,} messages/s in all, {bytes_per_second}/s{random}"
    slo = f" with {plan.search.slo}" if plan.search.slo else ""
    return (
        f"the highest that is sustained{slo}, from {plan.search.start:,} messages/s on; laid out for"
        f" {plan.rate:,} messages/s in all, {bytes_per_second}/s{random}"
    )


MANY = 100_000
"""Messages per second from which on a part of one is not told."""


def _producers(plan: Plan) -> str:
    if not plan.producers:
        return "none"
    rate = plan.rate if plan.profile is None else plan.profile.mean
    of_one = rate / plan.producers
    shown = f"{of_one:,.0f}" if of_one >= MANY else f"{of_one:,.6g}"
    each = "" if plan.search else f", {shown} messages/s each"
    batches = f", in batches every {format_duration(plan.batch_ns)}" if plan.batch_ns else ""
    spins = ", in processes that spin" if any(worker.spins for worker in plan.workers) else ""
    return f"{plan.producers:,}{each}{batches}{spins}"


def _setup(setup: Setup) -> str:
    return f"{setup.name}: driver {setup.driver_used}, {_where(setup.server)}"


def _where(server: Server | None) -> str:
    if server is None:
        return "no server"
    if server.url is not None:
        return f"the server at {', '.join([url] if isinstance(url := server.spec()['url'], str) else url)}"
    nodes = ""
    if server.topology == "cluster":
        nodes = f" cluster of {many(server.primaries, 'primary').replace('primarys', 'primaries')}"
        nodes += f" with {many(server.replicas_started, 'replica')} each" if server.replicas_started else ""
    elif server.topology != "standalone":
        nodes = f" primary with {many(server.replicas_started, 'replica')}"
        nodes += " and 3 Sentinels" if server.topology == "sentinel" else ""
    how = [" with TLS"] * bool(server.tls) + [" by its unix socket"] * server.unix_socket
    return f"a private {server.engine}{nodes or ' server'}{''.join(how)}"


def _keys(plan: Plan) -> str:
    def key(topic: int, partition: int) -> str:
        spec = plan.topics[topic]
        return spec.name if spec.existing and spec.partitions == 1 else f"{{{spec.name}:{partition}}}"

    if plan.partitions == 1:
        return key(0, 0)
    if plan.existing:
        return f"{key(0, 0)} and {many(plan.partitions - 1, 'other')}"
    return f"{key(0, 0)} to {key(-1, plan.topics[-1].partitions - 1)}, {plan.partitions:,} in all"


def _subscriptions(plan: Plan, workload: Workload) -> str:
    if not plan.subscriptions:
        return "none, nothing is read"
    names = " to ".join(dict.fromkeys([plan.subscriptions[0], plan.subscriptions[-1]]))
    if plan.plain:
        return f"{names}, plain reads without groups, {many(plan.readers, 'reading connection')}"
    consumers = many(workload.consumer_per_subscription, "consumer")
    dealt = ", partitions dealt out" if any(c.partitions for w in plan.workers for c in w.consumers) else ""
    return f"{names}, {consumers} each{dealt}, {many(plan.readers, 'reading connection')}"


def _payload(workload: Workload) -> str:
    if workload.use_randomized_payloads:
        pool = many(workload.randomized_payload_pool_size, "payload")
        return f"{pool}, {workload.random_bytes_ratio:.0%} of each random"
    return f"from {workload.payload_file}" if workload.payload_file else "a fixed payload"


def _keyed(workload: Workload) -> str:
    return "no keys" if workload.key_distributor == "NO_KEY" else f"keys {workload.key_distributor}"


def _backlog(plan: Plan) -> list[tuple[str, str]]:
    if plan.backlog is None:
        return []
    built, level = plan.backlog, plan.backlog.level
    size = format_size(built.size_bytes)
    return [
        ("backlog", f"{size} over all groups: {built.messages:,} messages before each when consumers resume"),
        ("", f"drained when no more than {level:,} are before any; the measured time goes on until then"),
    ]


def _phases(plan: Plan) -> str:
    warmup = f"warm-up {format_duration(plan.warmup_ns)}" if plan.warmup_ns else "no warm-up"
    if plan.warmup_ns and plan.profile is not None:
        warmup += f" at {plan.warmup_rate:,} messages/s"
    test, drain = format_duration(plan.test_ns), format_duration(plan.drain_timeout_ns)
    search = "" if plan.search is None else f"search by probes of {format_duration(plan.search.probe_ns)}, "
    build = "" if plan.backlog is None else f"build {_rounded(plan.build_ns)}, "
    samples = f"in samples of {format_duration(plan.sample_interval_ns)}"
    return f"{warmup}, {search}{build}measured {test} {samples}, drain up to {drain}"


def _rounded(duration_ns: int) -> str:
    """In whole seconds, or tenths where these are few."""
    step_ns = SECOND if duration_ns >= 10 * SECOND else 100 * MS
    return format_duration(max(1, round(duration_ns / step_ns)) * step_ns)


def _expected(plan: Plan) -> str:
    if plan.search is not None:
        return "what the rate that is found makes"
    if not plan.producers:
        return "what others send, or have sent"
    measured, groups = plan.measured_messages, len(plan.subscriptions)
    about = "about " if plan.poisson is not None else ""
    received = f"{measured * groups:,} received ({many(groups, 'group')})"
    return f"{about}{measured:,} published in the measured time, {received}"


def _workers(plan: Plan) -> list[tuple[str, str]]:
    if len(plan.workers) > SHOWN_WORKERS:
        producing = sum(worker.role == "produce" for worker in plan.workers)
        return [("", f"{producing} produce, {len(plan.workers) - producing} consume")]
    rows = []
    for worker in plan.workers:
        work = [many(len(worker.producers), "producer")] if worker.producers else []
        work += [many(len(worker.consumers), "reader")] if worker.consumers else []
        where = f", on host {worker.host + 1}" if max(each.host for each in plan.workers) else ""
        rows.append(("", f"worker {worker.index}: {worker.role}, {' and '.join(work)}{where}"))
    return rows


def _latencies(plan: Plan) -> list[tuple[str, str]]:
    if all(worker.counted is None for worker in plan.workers):
        return []
    told = "end-to-end ones of messages alone that a host has sent to itself; of the others their count"
    return [("latencies", told)]


def _faults(plan: Plan) -> list[tuple[str, str]]:
    """The timeline: each injection with its heal, from the beginning of the measured time."""
    found = schedule(plan.faults, plan.test_ns)
    if not found:
        return []
    rows = [f"{many(len(found), 'injection')}, at times of the measured window; all is healed when it ends"]
    for each in found[:SHOWN_INJECTIONS]:
        heal = f", healed at {format_duration(each.heal_ns)}" if each.heal_ns is not None else ""
        rows.append(f"{format_duration(each.at_ns)}: {each.spec}{heal}")
    if (left := len(found) - SHOWN_INJECTIONS) > 0:
        rows.append(f"and {left:,} more")
    return list(zip(["faults", *[""] * (len(rows) - 1)], rows, strict=True))


def _thresholds(workload: Workload) -> list[str]:
    ends = "the run ends as soon as one fails" if workload.abort_on_fail else "told at the end of the run"
    return [f"{len(workload.thresholds)}, {ends}", *workload.thresholds]


def _retention(plan: Plan) -> str:
    trimming = plan.trimming
    if plan.existing:
        return "none, topics of others are never trimmed" + (": what is sent stays there" if plan.producers else "")
    if trimming.acknowledged:
        bounds = []
        if trimming.bound_entries is not None:
            bounds.append(f"{trimming.bound_entries:,} entries per partition at most")
        if trimming.bound_age_ms is not None:
            bounds.append(f"none older than {format_duration(trimming.bound_age_ms * MS)}")
        return "what not every group has acknowledged" + "".join(f", {bound}" for bound in bounds)
    if trimming.max_entries is None:
        return "none, nothing is trimmed"
    if trimming.by_age_ms is not None:
        return f"{format_duration(trimming.by_age_ms * MS)}, about {trimming.max_entries:,} entries per partition"
    share = plan.rate / plan.partitions
    seconds = trimming.max_entries / share
    text = f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.3g}"
    about = "" if trimming.exact else "about "
    if plan.profile is not None:
        return f"{about}{trimming.max_entries:,} entries per partition, {text} s of its even share at the highest rate"
    of = "its even share of the traffic" if plan.search is None else f"its even share of {plan.rate:,} messages/s"
    return f"{about}{trimming.max_entries:,} entries per partition, {text} s of {of}"
