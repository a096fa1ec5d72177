"""The course that a seed stands for: which servers, and what happens to them. Pure: the same seed, the same course."""

import random
from collections.abc import Mapping
from typing import Literal, NamedTuple

Topology = Literal["standalone", "sentinel", "cluster"]


class Step(NamedTuple):
    """One thing that happens.

    Attributes:
        do: what; the name of a method of the course, without its underscore.
        which: of what kind, or to whom; of lost replies, on which connections, or to which commands.
        count: how many messages, or replies to lose, or how many entries are left.
        for_s: for how long, in seconds, while the course goes on.
        by: the producer that sends; empty for each in turn.
        then_s: how long the course waits before the next step, in seconds.
    """

    do: str
    which: str = ""
    count: int = 0
    for_s: float = 0.0
    by: str = ""
    then_s: float = 0.0

    def __str__(self) -> str:
        told = [self.which] if self.which else []
        told += [f"{self.count}"] if self.count else []
        told += [f"for {self.for_s:g} s"] if self.for_s else []
        told += [f"by {self.by}"] if self.by else []
        return " ".join([self.do, *told])


class Motif(NamedTuple):
    """Steps that belong together.

    Attributes:
        steps: in order; the course waits a while after each.
        needs: what the rest of the course has to be like: `far` for failures that wait longer than the visibility
            time-out, `bounded` for a trimmer with a bound, `exact` for no trimmer.
        where: the topologies that it is for.
    """

    steps: tuple[Step, ...]
    needs: str = ""
    where: tuple[Topology, ...] = ("standalone",)


EVERYWHERE: tuple[Topology, ...] = ("standalone", "sentinel", "cluster")
MOTIFS: Mapping[str, Motif] = {
    "cut": Motif((Step("send", count=30), Step("cut"), Step("send", count=20))),
    "lost replies": Motif(
        (Step("send", "gives back", 30), Step("lose", "control", 4), Step("lose", "read", 2), Step("send", "fails", 20))
    ),
    "lost rejections": Motif(
        (
            Step("send", "rejects", 30),
            Step("lose", "control", 4),
            Step("send", "rejects", 20),
            Step("lose", "counts", 6, then_s=0.05),
            Step("send", "bad", 20),
        )
    ),
    "lost sends": Motif((Step("lose", "bulk"), Step("send", count=20, by="idempotent"), Step("send", count=20))),
    "half-open reads": Motif(
        (Step("halve", "read", then_s=0.15), Step("send", count=30), Step("halve", "read"), Step("send", count=30))
    ),
    "swallowed reads": Motif((Step("send", count=20), Step("swallow", "read"), Step("send", count=20))),
    "swallowed commands": Motif((Step("send", count=20), Step("swallow", "control"), Step("send", count=20))),
    "swallowed sends": Motif(
        (Step("send", count=20), Step("swallow", "bulk"), Step("send", count=20, then_s=11.0), Step("send", count=20))
    ),
    "hang": Motif(
        (Step("hang", for_s=5.0), Step("send", count=20, then_s=2.0), Step("send", count=20)), where=EVERYWHERE
    ),
    "busy": Motif((Step("send", count=20), Step("busy", for_s=1.0), Step("send", count=30))),
    "full": Motif((Step("full", for_s=1.0), Step("send", count=30), Step("send", count=30))),
    "no replica": Motif((Step("lonely", for_s=1.0), Step("send", "fails", 20), Step("send", count=20))),
    "small replies": Motif(
        (Step("squeeze", for_s=3.0), Step("send", "large", 20, then_s=0.5), Step("send", "large", 10))
    ),
    "stored, lost, refused": Motif(
        (Step("full", "after a loss", for_s=1.0), Step("send", count=20, by="idempotent"), Step("send", count=10))
    ),
    "no SET": Motif(
        (
            Step("refuse", "set", for_s=1.0),
            Step("lose", "bulk"),
            Step("send", count=20, by="idempotent"),
            Step("send", count=20, by="idempotent"),
        )
    ),
    "no ZADD": Motif((Step("refuse", "zadd", for_s=2.0), Step("send", "fails", 20, then_s=1.0)), "far"),
    "no XACK": Motif((Step("refuse", "xack", for_s=1.0), Step("send", "bad", 30))),
    "crash loop": Motif((Step("send", "kills", 40, then_s=0.5),), where=EVERYWHERE),
    "death": Motif((Step("send", "slow", 40), Step("kill", "any"), Step("send", count=20)), where=EVERYWHERE),
    "long death": Motif(
        (Step("send", "slow", 60), Step("kill", "keyed", for_s=1.5), Step("send", "slow", 30)), where=EVERYWHERE
    ),
    "stop in the replay": Motif(
        (
            Step("send", "slow", 60),
            Step("kill", "keyed", then_s=0.003),
            Step("stop", "keyed", then_s=0.006),
            Step("stop", "keyed", then_s=0.012),
            Step("stop", "keyed"),
            Step("send", count=10),
        ),
        where=EVERYWHERE,
    ),
    "cancel": Motif(
        (Step("send", count=60, then_s=0.01), Step("cancel", "pool"), Step("send", count=20)), where=EVERYWHERE
    ),
    "trimmed in hand": Motif((Step("send", "bad", 20), Step("trim", count=3), Step("send", "slow", 10)), "exact"),
    "trimmed while postponed": Motif((Step("send", "fails", 12, then_s=0.6), Step("trim")), "far exact"),
    "trimmed and rejected": Motif((Step("send", "rejects", 20), Step("trim"), Step("send", "rejects", 10)), "exact"),
    "destroyed while postponed": Motif(
        (Step("send", "fails", 20, then_s=0.6), Step("destroy", "pool"), Step("send", count=10)), "far exact"
    ),
    "destroyed": Motif((Step("send", "slow", 40), Step("destroy", "any"), Step("send", count=20)), "exact", EVERYWHERE),
    "redriven": Motif(
        (Step("send", "bad", 20, then_s=0.7), Step("redrive", "pool"), Step("send", count=10)), where=EVERYWHERE
    ),
    "paused": Motif((Step("pause", for_s=3.0, then_s=0.3), Step("send", count=200, then_s=2.0)), "bounded"),
    "later": Motif((Step("later", count=10), Step("send", count=10)), where=EVERYWHERE),
    "wide": Motif((Step("send", "wide", 10, by="idempotent"), Step("send", count=10))),
    "strangers": Motif((Step("misuse"), Step("send", count=10))),
    "hasty": Motif((Step("hasty", count=8), Step("send", count=10)), where=EVERYWHERE),
    "a fault of ours": Motif(
        (
            Step("send", "slow", 20),
            Step("falter", "renew", for_s=0.6),
            Step("falter", "look", for_s=1.0),
            Step("falter", "read", for_s=0.5),
            Step("send", count=20),
        ),
        where=EVERYWHERE,
    ),
    "a hung primary and little space": Motif((Step("narrow", count=20, for_s=5.0),), where=("cluster",)),
    "stall": Motif((Step("send", count=20, then_s=0.3), Step("stall", for_s=5.5), Step("send", count=10))),
    "come and go": Motif(
        (Step("join", "pool"), Step("send", "slow", 40), Step("leave", "pool"), Step("send", count=20)),
        where=EVERYWHERE,
    ),
    "failover": Motif((Step("send", count=20), Step("failover"), Step("send", count=30)), where=("sentinel",)),
    "moved slots": Motif((Step("send", count=20), Step("move"), Step("send", count=30)), where=("cluster",)),
    "slots long on their way": Motif(
        (Step("move", for_s=6.0), Step("newcomer", count=5), Step("send", "bad", 20)), where=("cluster",)
    ),
}
"""What may happen, by name. Each is one that a library gets wrong at first."""

SHAPES: tuple[tuple[Topology, str], ...] = (
    *(("standalone", "valkey"),) * 5,
    ("cluster", "valkey"),
    *(("standalone", "redis"),) * 2,
    ("sentinel", "valkey"),
    ("standalone", "valkey"),
)
"""Topologies and engines, one after the other by seed."""
HEALED = 0.7
"""The part of motifs after which the course waits until what they did for a time is over."""
STOPS_BY_SIGNAL = 3
"""One course of so many ends its runners by SIGTERM."""


class Plan(NamedTuple):
    """A course.

    Attributes:
        seed: what it was made of.
        topology: of its servers.
        engine: of its servers.
        motifs: the names of what happens.
        steps: all steps.
        far: failures wait longer than the visibility time-out, the second time.
        trimmer: `bounded`, `acknowledged`, or nothing.
        signal: runners are stopped by SIGTERM.
        named: the runners have names that stay over their deaths.
    """

    seed: int
    topology: Topology
    engine: str
    motifs: tuple[str, ...]
    steps: tuple[Step, ...]
    far: bool
    trimmer: str
    signal: bool
    named: bool

    def __str__(self) -> str:
        more = [each for each in (self.trimmer and f"{self.trimmer} trimmer", "far" * self.far) if each]
        head = f"seed {self.seed}: {self.topology}, {self.engine}; {', '.join([*self.motifs, *more])}"
        return head + "".join(f"\n  {step}" for step in self.steps)

    @property
    def may_miscount(self) -> bool:
        """Whether somebody may not know what became of a command: its reply is lost, or its caller dies."""
        return self.loses_connections or bool({step.do for step in self.steps} & UNTOLD)

    @property
    def counts_exactly(self) -> bool:
        """Whether deliveries that no handler began are only those of lost reads."""
        does = {step.do for step in self.steps}
        dies = any(step.which == "kills" for step in self.steps)
        return self.topology == "standalone" and not does & (UNTOLD | {"hang", "swallow", "leave"}) and not dies

    @property
    def keeps_sending(self) -> bool:
        """Whether nothing keeps a producer that sends again from storing a message in time."""
        return self.topology != "sentinel" and not {step.do for step in self.steps} & OUTAGES

    @property
    def loses_connections(self) -> bool:
        """Whether the connections of members are lost."""
        hit = {step.do for step in self.steps if step.which != "bulk"}
        return bool(hit & LOSING) or self.topology != "standalone"


LOSING = frozenset(["cut", "lose", "halve", "swallow", "hang", "narrow", "squeeze"])
"""Steps that take connections away, or hold them up for so long that they are given up."""
OUTAGES = frozenset(["full", "refuse", "hang", "narrow", "swallow", "stall"])
"""Steps in which the server refuses for good, or does not answer for as long as a message may take."""
UNTOLD = frozenset(["kill", "cancel", "busy", "full", "stall", "stop", "falter", "lonely"])
"""Steps after which nobody may know what became of a command, though no connection was lost."""


def plan(seed: int) -> Plan:
    """The course of a seed."""
    chance = random.Random(f"course {seed}")
    topology, engine = SHAPES[seed % len(SHAPES)]
    fitting = [name for name, motif in MOTIFS.items() if topology in motif.where]
    own = [name for name in fitting if len(MOTIFS[name].where) < len(EVERYWHERE)] or fitting
    # By turns, so that few seeds meet all, as far as they go together; the rest by chance.
    turn = sum(SHAPES[each % len(SHAPES)][0] == topology for each in range(seed))
    names = [own[turn % len(own)]]
    common = [name for name in fitting if name not in own] or fitting
    rounds = turn // len(own)  # so that others meet the next time
    others = own[(turn + len(own) // 2 + 5 * rounds) % len(own)], common[(seed + 3 * rounds) % len(common)]
    for name in (*others, *chance.sample(fitting, len(fitting))):
        if len(names) < 3 and name not in names and _go_together([*names, name]):
            names.append(name)
    chance.shuffle(names)
    needs = " ".join(MOTIFS[name].needs for name in names)
    steps: list[Step] = []
    for name in names:
        steps += [step._replace(then_s=step.then_s or chance.choice((0.05, 0.2, 0.5))) for step in MOTIFS[name].steps]
        if chance.random() < HEALED:
            steps.append(Step("heal", then_s=0.2))
    kills = any(step.which == "kills" for step in steps)
    trimmer = "bounded" if "bounded" in needs else "" if "exact" in needs else chance.choice(("", "acknowledged"))
    return Plan(
        seed,
        topology,
        engine,
        tuple(names),
        tuple(steps),
        far="far" in needs,
        trimmer=trimmer,
        signal=seed % STOPS_BY_SIGNAL == 0,
        named=kills or chance.random() < 0.5,
    )


def _go_together(names: list[str]) -> bool:
    """Whether none of them takes away what another one needs, or what is known of it."""
    steps = [step for name in names for step in MOTIFS[name].steps]
    does, needs = {step.do for step in steps}, " ".join(MOTIFS[name].needs for name in names)
    if "bounded" in needs and (
        "exact" in needs
        or does & {"kill", "cancel", "hang", "narrow", "swallow", "stop", "stall", "falter", "lonely", "squeeze"}
    ):
        return False  # a group without a live member may be cut into
    if sum(step.do == "move" for step in steps) > 1:
        return False  # the slot of the second may be on its way already
    # Each of these costs an innocent message an attempt.
    return sum(step.do in ("kill", "cancel") or step.which == "kills" for step in steps) <= 2
