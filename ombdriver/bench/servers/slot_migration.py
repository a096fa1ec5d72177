"""Moves slots of a running cluster from one primary to another, as before a server is added or taken away.

Knows the two ways that servers have for it. Which slots, and why, is for others.
"""

from collections.abc import Sequence

from ombdriver.bench.servers.formation import NotReadyError, ServerNode, slot_owner, wait_until
from ombdriver.bench.servers.resp_client import Login
from ombdriver.errors import ServerError

KEYS_AT_ONCE = 16
"""Keys that one MIGRATE brings over; both servers stand still for so long."""
MIGRATE_S = 30.0
"""How long one MIGRATE may take."""
MOVED_S = 30.0
"""How long it may take until all primaries know, and a migration in the background."""


async def migrate_by_keys(
    source: ServerNode, target: ServerNode, primaries: Sequence[ServerNode], slots: Sequence[int]
) -> None:
    """Moves slots one after the other by CLUSTER SETSLOT and MIGRATE: key by key, while both serve the slot.

    Args:
        source: who has them.
        target: who gets them.
        primaries: all of them.
        slots: which.

    Raises:
        ServerError: if it takes too long.
        RefusedError: what a server says; slots before that have moved.
        NodeLostError: if one does not answer.
    """
    (source_id,), (target_id,) = await source.ask(("CLUSTER", "MYID")), await target.ask(("CLUSTER", "MYID"))
    others = [node for node in primaries if node not in (source, target)]
    for slot in map(str, slots):
        await target.ask(("CLUSTER", "SETSLOT", slot, "IMPORTING", str(source_id)))
        await source.ask(("CLUSTER", "SETSLOT", slot, "MIGRATING", str(target_id)))
        while keys := (await source.ask(("CLUSTER", "GETKEYSINSLOT", slot, str(KEYS_AT_ONCE))))[0]:
            assert isinstance(keys, list)
            migrate = ("MIGRATE", target.server.reached_at, str(target.port), "", "0", str(round(MIGRATE_S * 1000)))
            await source.ask((*migrate, *_login(target.login), "KEYS", *map(str, keys)), timeout_s=2 * MIGRATE_S)
        for node in (target, source, *others):
            await node.ask(("CLUSTER", "SETSLOT", slot, "NODE", str(target_id)))
    await _until_moved(target, primaries, slots)


async def migrate_at_once(
    source: ServerNode, target: ServerNode, primaries: Sequence[ServerNode], slots: Sequence[int]
) -> None:
    """Moves slots together by CLUSTER MIGRATESLOTS (Valkey 9): in the background, and then all of them in one step.

    Args and errors are those of `migrate_by_keys`; a server that has no such command says so.
    """
    (target_id,) = await target.ask(("CLUSTER", "MYID"))
    ranges = [word for slot in slots for word in (str(slot), str(slot))]
    await source.ask(("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", *ranges, "NODE", str(target_id)))
    await _until_moved(target, primaries, slots)


async def _until_moved(target: ServerNode, primaries: Sequence[ServerNode], slots: Sequence[int]) -> None:
    """Returns when all primaries say that the target has the slots: else two may claim one that moves on."""

    async def check() -> str | None:
        for node in primaries:
            (nodes,) = await node.ask(("CLUSTER", "NODES"))
            if any(slot_owner(str(nodes), slot)[0] != target.port for slot in slots):
                return f"{node.name} does not know that they have moved"
        return None

    try:
        await wait_until(check, primaries, MOVED_S)
    except NotReadyError as error:
        raise ServerError(str(error)) from error


def _login(login: Login | None) -> Sequence[str]:
    if login is None:
        return ()
    return ("AUTH", login.password) if login.user == "default" else ("AUTH2", login.user, login.password)
