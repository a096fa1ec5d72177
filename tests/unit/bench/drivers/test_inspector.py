"""Reading what servers of different versions say of themselves."""

from ombdriver.bench.drivers.redis_streams.inspector import read_groups, read_info
from ombdriver.bench.drivers.sample import (
    COUNTERS,
    EVENT_FIGURES,
    GAUGES,
    RATES,
    CommandSample,
    GroupSample,
    ServerSample,
)

VALKEY = """# Server\r
redis_version:7.2.4\r
valkey_version:9.1.2\r
run_id:fa80fd23124d\r
uptime_in_seconds:12\r
listener0:name=tcp,bind=127.0.0.1,port=49273\r
\r
# Memory\r
used_memory:1163744\r
used_memory_rss:6516736\r
\r
# Persistence\r
rdb_bgsave_in_progress:1\r
rdb_saves:2\r
aof_rewrite_in_progress:0\r
aof_rewrites:0\r
\r
# Stats\r
total_forks:3\r
latest_fork_usec:312\r
evicted_keys:0\r
\r
# Replication\r
connected_slaves:1\r
master_repl_offset:400\r
\r
# CPU\r
used_cpu_sys:0.5\r
used_cpu_user:1.25\r
used_cpu_sys_children:0.25\r
used_cpu_user_children:0.5\r
\r
# Commandstats\r
cmdstat_xgroup|create:calls=1,usec=4,usec_per_call=4.00,rejected_calls=0,failed_calls=0\r
cmdstat_xadd:calls=2,usec=27,usec_per_call=13.50,rejected_calls=0,failed_calls=0\r
\r
# Latencystats\r
latency_percentiles_usec_xadd:p50=3.007,p99=24.063,p99.9=24.063\r
\r
# Keyspace\r
db0:keys=3,expires=1,avg_ttl=0\r
db11:keys=4,expires=0,avg_ttl=0\r
"""


def test_info_becomes_figures_under_our_names() -> None:
    """Whole numbers, seconds with decimals, and the keys of all databases together."""
    look = read_info(VALKEY)

    assert look.server_id == "fa80fd23124d"
    assert look.figures == {
        "usedMemoryBytes": 1163744,
        "memoryRssBytes": 6516736,
        "saving": 1,
        "rewriting": 0,
        "lastForkMicros": 312,
        "replicas": 1,
        "replicationOffset": 400,
        "cpuUserSeconds": 1.25,
        "cpuSystemSeconds": 0.5,
        "childrenCpuSeconds": 0.75,
        "evictedKeys": 0,
        "uptimeSeconds": 12,
        "forks": 3,
        "saves": 2,
        "rewrites": 0,
        "keys": 7,
    }
    assert look.figures.keys() <= {*GAUGES, *RATES, *COUNTERS, *EVENT_FIGURES}


def test_statistics_of_commands_are_by_name() -> None:
    """With the name of a subcommand; percentiles where the server has them."""
    look = read_info(VALKEY)

    assert look.commands == {"xgroup|create": CommandSample(1, 4), "xadd": CommandSample(2, 27)}
    assert look.command_latency == {"xadd": {"p50": 3.007, "p99": 24.063, "p99.9": 24.063}}


def test_what_an_older_or_stranger_server_says_is_taken_as_far_as_it_goes() -> None:
    """Missing lines are missing figures; a value that is no number is no figure."""
    look = read_info("used_memory:10\r\nconnected_clients:many\r\ncmdstat_xadd:calls=1\r\n# nothing\r\ngarbage")

    assert look.figures == {"usedMemoryBytes": 10, "keys": 0}
    assert look.commands == {}
    assert read_info("") == ServerSample()


def test_groups_are_read_with_lag_without_and_with_a_lost_one() -> None:
    """Servers before 7.0 know no lag, and after XDEL it may be lost: both are unknown, not 0."""
    older = [b"name", b"g", b"consumers", 1, b"pending", 3, b"last-delivered-id", b"0-0"]
    newer = [*older, b"entries-read", 5, b"lag", 2]
    lost = [*older, b"entries-read", None, b"lag", None]

    assert read_groups([newer]) == {"g": GroupSample(2, 3)}
    assert read_groups([older]) == read_groups([lost]) == {"g": GroupSample(None, 3)}
    assert read_groups([]) == {}
