"""Whom a fault hits: a role, as a workload names it; which process has it is found at the injection. Pure."""

import re
from dataclasses import dataclass
from typing import Self

from ombdriver.bench.units import nearest, quoted

SERVER_ROLES = ("primary", "replica", "sentinel", "node", "servers")
CLIENT_ROLES = ("producers", "consumers", "clients")
CONSUMER = "consumer"
"""The role of a single consumer of a group."""
_ROLES = (*SERVER_ROLES, *CLIENT_ROLES, CONSUMER)
_NUMBERED = ("primary", "replica", "sentinel", "node", CONSUMER)
_FORM = re.compile(r"(?P<role>[a-z]+)(?: (?P<number>[0-9]{1,4}))?(?: of (?P<group>\S.*))?")
_KNOWN = (
    "primary, primary N, primary of PARTITION, replica, replica N, sentinel N, node N, servers, producers, consumers,"
    " consumers of GROUP, consumer N of GROUP"
)


@dataclass(frozen=True, slots=True)
class Target:
    """A role.

    Attributes:
        role: one of `SERVER_ROLES` or `CLIENT_ROLES`, or `CONSUMER`.
        number: which of several, from 1; None means the first, or all where the role is of several.
        group: of `consumers`, whose; None means those of all groups. A single consumer is always of one.
        partition: of a `primary`, which partition it holds; from 0, and those of all topics in turn. None means any.
    """

    role: str
    number: int | None = None
    group: str | None = None
    partition: int | None = None

    def __str__(self) -> str:
        """As it is written."""
        which = self.role if self.number is None else f"{self.role} {self.number}"
        whose = self.group if self.partition is None else str(self.partition)
        return which if whose is None else f"{which} of {whose}"

    @property
    def is_client(self) -> bool:
        """Whether it is of the run's own worker processes."""
        return self.role in CLIENT_ROLES

    @property
    def is_consumer(self) -> bool:
        """Whether it is a single consumer, and no process."""
        return self.role == CONSUMER

    @property
    def is_server(self) -> bool:
        """Whether it is a server, or several."""
        return self.role in SERVER_ROLES

    @property
    def place(self) -> int:
        """Which of those that have the role, from 0."""
        return (self.number or 1) - 1

    @classmethod
    def parse(cls, value: object) -> Self:
        """Reads a target.

        Raises:
            ValueError: if it is none; the message has those that are known.
        """
        found = _FORM.fullmatch(value) if isinstance(value, str) else None
        if found is None or found["role"] not in _ROLES:
            near = nearest(found["role"], _ROLES) if found else None
            hint = f"did you mean {near}?" if near else f"known are: {_KNOWN}"
            raise ValueError(f"{quoted(value)} is nobody a fault can hit; {hint}")
        role, number, group = found["role"], found["number"], found["group"]
        if number is not None and (role not in _NUMBERED or not int(number)):
            raise ValueError(f"{quoted(value)}: {_advice(role)}")
        if role == "primary" and group is not None:
            if number is not None or not group.isdecimal() or not group.isascii():
                raise ValueError(f"{quoted(value)} names no partition; write primary of 0, for the first one")
            return cls(role, partition=int(group))
        if group is not None and role not in ("consumers", CONSUMER):
            raise ValueError(f"{quoted(value)}: only consumers are those of a group; write {role}")
        if role == CONSUMER and (number is None or group is None):
            raise ValueError(f"{quoted(value)} does not say which, or of which group; write consumer 1 of group-1")
        if number is None and role in ("sentinel", "node"):
            raise ValueError(f"{quoted(value)} does not say which; write {role} 1")
        return cls(role, None if number is None else int(number), group)


def _advice(role: str) -> str:
    return f"numbers begin at 1; write {role} 1" if role in _NUMBERED else f"{role} are all of them; write {role}"
