"""The runs of `ombdriver chaos`: a workload with one standard fault after the other, on each setup that can have it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ombdriver.bench.faults.spec import read_faults, unsupported
from ombdriver.bench.faults.standard import TAG, StandardFault
from ombdriver.bench.plan.planner import fault_site
from ombdriver.bench.run.request import Request, new_run_id, plan_of, repeats_errors
from ombdriver.bench.run.run_order import ordered
from ombdriver.bench.spec.sweep import build_each
from ombdriver.bench.spec.workload import Workload
from ombdriver.errors import InputError


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A fault that a setup can't have, and why."""

    setup: str
    fault: str
    why: str


def chaos_requests(
    base: Sequence[Request], faults: Sequence[StandardFault], repeats: int
) -> tuple[list[Request], list[LeftOut]]:
    """The runs in their order: fault by fault, the setups taking turns; and what is left out.

    Args:
        base: a run of one workload on each of the setups, without faults.
        faults: which.
        repeats: how often each fault meets each setup.

    Raises:
        InputError: if the workload can't have one of the faults, or has a sweep; with all that is wrong.
    """
    errors = repeats_errors(repeats)
    if swept := dict.fromkeys(path for one in base for path in one.sweep):
        errors.append(
            f"{base[0].workload.name}: sweeps {', '.join(swept)}, and the faults are what changes here; leave sweep out"
        )
    left_out: list[LeftOut] = []
    met: list[list[Request]] = []
    if errors:
        raise InputError(errors)
    for fault in faults:
        try:
            entry = fault.entry_in(base[0].workload.test_ns)
            workload = _with_fault(base[0].workload, fault, entry)
        except ValueError as error:
            errors.append(f"{base[0].workload.name}: {error}")
            continue
        except InputError as error:
            errors += error.messages
            continue
        specs, _ = read_faults([dict(entry)])
        found = []
        for one in base:
            if lacking := unsupported(specs, fault_site(one.setup)):
                left_out.append(LeftOut(one.setup.name, fault.name, lacking[0].partition("): ")[2]))
            else:
                found.append(replace(one, workload=workload, tags={**one.tags, TAG: fault.name}))
        if found:
            met.append(found)
    every = [request for some in met for request in some]
    build_each(every, lambda one: plan_of(one, "check"), errors, lambda one: f"{one.workload.name} x {one.setup.name}")
    if errors:
        raise InputError(list(dict.fromkeys(errors)))
    if not every:
        reasons = list(dict.fromkeys(f"{each.fault} on {each.setup}: {each.why}" for each in left_out))
        raise InputError(["no setup can have any of these faults", *reasons])
    standings = ordered(new_run_id(), [len(some) for some in met], repeats)
    return [replace(met[number][setup], standing=standing) for number, setup, standing in standings], left_out


def _with_fault(workload: Workload, fault: StandardFault, entry: object) -> Workload:
    """`workload` with that fault alone, under a name of its own.

    Raises:
        InputError: if it can't have it.
    """
    spec = {key: each for key, each in workload.spec().items() if key != "expect"}
    spec |= {"name": f"{workload.name}-{fault.name}", "faults": [entry]}
    return Workload.parse(json.dumps(spec), f"{workload.name} with {fault.name}")
