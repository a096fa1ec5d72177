"""What an acknowledgement of a setup means: where a message is then, and what faults it survives by that. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from ombdriver.bench.faults.api import Endangers


@dataclass(frozen=True, slots=True)
class Durability:
    """What an acknowledgement means.

    Attributes:
        kind: `memory`, `everysec` or `fsync`; `unknown` where the server does not tell.
        replicas: that have the message besides.
        replicas_sync: on their disks.
    """

    kind: str
    replicas: int = 0
    replicas_sync: bool = False

    @classmethod
    def of(cls, config: Mapping[str, str], wait_replicas: int, wait_aof: str = "none") -> "Durability":
        """By the server's options, and by how many replicas and whose disks (`none`, `primary`, `all`) a producer
        waits for.
        """
        if wait_aof != "none":
            return cls("fsync", wait_replicas, replicas_sync=wait_aof == "all")
        if "appendonly" not in config:
            return cls("unknown", wait_replicas)
        if config["appendonly"] != "yes":
            return cls("memory", wait_replicas)
        return cls(
            {"always": "fsync", "everysec": "everysec"}.get(config.get("appendfsync", ""), "memory"), wait_replicas
        )

    def __str__(self) -> str:
        """For people."""
        where = {
            "memory": "in the memory of a server",
            "everysec": "in the memory of a server, which writes it to its disk within about a second",
            "fsync": "on the disk of a server",
            "unknown": "with a server that does not tell where it keeps it",
        }[self.kind]
        if not self.replicas:
            return where
        kept = "on the disk" if self.replicas_sync else "in the memory"
        return f"{where}, and {kept} of {self.replicas} replica{'s' if self.replicas > 1 else ''}"

    def survives(self, endangers: Endangers, *, data_lost: bool) -> bool:
        """Whether it promises that a fault loses nothing that was acknowledged.

        Args:
            endangers: what the fault can make a system forget.
            data_lost: whether a server came back without anything of before.
        """
        match endangers:
            case "nothing":
                return True
            case "memory":
                return self.kind == "fsync" and not data_lost
            case "failover":
                return self.replicas > 0 and not data_lost
        return False
