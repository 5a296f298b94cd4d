"""Ray nodes on this machine, and the processes below this one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Everything listens on 127.0.0.1; read when Ray is imported. Memory is not what these tests are
# about.
os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_memory_monitor_refresh_ms": "0"}


@contextlib.contextmanager
def cluster() -> Iterator[Any]:
    """A head without room for workers, and the driver connected to it; nodes are added by
    `node`.
    """
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def node(made: Any, cpus: int) -> Any:
    return made.add_node(num_cpus=cpus, object_store_memory=100 << 20)


def below(ancestor: int, *words: bytes) -> list[int]:
    """Process ids of those that descend from a process and have one of the words in their command
    line.
    """
    parents, lines = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rpartition(")")[2].split()[1]
                )
                lines[int(entry.name)] = (entry / "cmdline").read_bytes()
    found = []
    for process, line in lines.items():
        above = process
        while above not in (0, ancestor):
            above = parents.get(above, 0)
        if above == ancestor and process != ancestor and any(word in line for word in words):
            found.append(process)
    return sorted(found)
