"""`ombdriver` whose probes are judged without what else this machine does: tests of a search hold on a busy one, too.

A probe settles for less long as well, since nothing in these tests takes long to settle. Run as a program it is the
command; a test that runs a search within its own process calls `leave_out_the_machine` itself.
"""

from collections.abc import Callable

from rig import OF_THE_MACHINE

from ombdriver.bench.run import rate_search
from ombdriver.bench.units import SECOND
from ombdriver.bench.verdict import probe
from ombdriver.bench.verdict.facts import Facts
from ombdriver.bench.verdict.model import Verdict
from ombdriver.bench.verdict.rules import judge
from ombdriver.cli import main

LEFT_OUT = OF_THE_MACHINE | {"scheduleLag", "collections"}


def leave_out_the_machine(put: Callable[[object, str, object], None] = setattr) -> None:
    """Changes how this process judges probes, by `put`: the object, the name of its attribute, and the new value."""

    def judged(facts: Facts) -> Verdict:
        verdict = judge(facts)
        return Verdict(verdict.status, tuple(each for each in verdict.reasons if each.rule not in LEFT_OUT))

    put(probe, "judge", judged)
    put(rate_search, "SETTLE_NS", SECOND)


if __name__ == "__main__":
    leave_out_the_machine()
    main()
