"""`bgrewriteaof`: a server forks and writes its append-only file anew (BGREWRITEAOF)."""

from ombdriver.bench.faults.save_snapshot import SaveSnapshot


class RewriteAof(SaveSnapshot):
    """`bgrewriteaof: primary`."""

    COMMAND = ("BGREWRITEAOF",)
    KEY = "bgrewriteaof"
