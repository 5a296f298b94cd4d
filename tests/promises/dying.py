"""Promise 3, workers die: while processes, actors and whole nodes are killed, every candidate gets
its one outcome.

The kills come between two looks at an interrupt, at moments that a seeded generator draws; what is
hit is then in the middle of some candidate.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from promises import nodes
from promises.anywhere import ran, rows

from evolve.record.folder import RunFolder
from evolve.scoring.job import MACHINE

PROCESS, ACTOR = b"evolve.workers.serve", b"ray::Agent"


class Killer:
    """Asked by a run whether it should stop; kills something instead, now and then."""

    def __init__(
        self, kills: int, every: tuple[float, float], seed: int, *others: Callable[[], None]
    ):
        """every: seconds from one kill to the next, at least and at most; others: what else
        happens, once each.
        """
        self.rng = random.Random(seed)
        self.plan: list[Callable[[], None]] = [self.kill] * kills
        for number, other in enumerate(others, 1):
            self.plan.insert(number * len(self.plan) // (len(others) + 1), other)
        self.every, self.killed = every, {PROCESS: 0, ACTOR: 0}
        self.next: float | None = None

    def __call__(self) -> bool:
        now = time.monotonic()
        if self.next is None:
            self.next = now + self.rng.uniform(*self.every)
        if self.plan and now > self.next:
            self.plan.pop(0)()
            self.next = time.monotonic() + self.rng.uniform(*self.every)
        return False

    def kill(self) -> None:
        """A worker process, or the actor above it, if there is one."""
        kind = self.rng.choice([PROCESS, ACTOR])
        found = nodes.below(os.getpid(), kind) or nodes.below(os.getpid(), PROCESS)
        if not found:  # all of them are being replaced: later
            self.plan.insert(0, self.kill)
            return
        victim = self.rng.choice(found)
        kind = ACTOR if found == nodes.below(os.getpid(), ACTOR) else PROCESS
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            self.killed[kind] += 1


def compared(folder: RunFolder, undisturbed: RunFolder) -> int:
    """How many candidates of a run have the outcome, and the link, of the undisturbed one: all, or
    this raises.
    """
    ours, theirs = rows(folder), rows(undisturbed)
    blamed = [row.number for row in ours if row.status in MACHINE]
    assert not blamed, f"innocent candidates were blamed: {blamed}"
    assert [row.number for row in ours] == list(range(len(theirs))), "one outcome each"
    assert ours[-1].chain == theirs[-1].chain
    return len(ours)


def keep(place: Path, long: bool) -> dict[str, object]:
    """Kills on local workers; then on Ray, where a node is taken away as well and another one
    joins.
    """
    candidates, kills, every = (10_000, 30, (0.5, 2.5)) if long else (400, 2, (0.1, 0.3))
    undisturbed = ran(place / "undisturbed", candidates, kind="local", count=2)

    local = Killer(kills // 2, every, seed=1)
    outcomes = compared(ran(place / "local", candidates, local, kind="local", count=2), undisturbed)
    assert not local.plan, "all kills came while the run was going on"

    with nodes.cluster() as cluster:
        there: list[Any] = [nodes.node(cluster, cpus=1)]

        def join() -> None:
            there.append(nodes.node(cluster, cpus=1))

        def leave() -> None:
            cluster.remove_node(there.pop(0), allow_graceful=False)

        remote = Killer(kills, every, 2, join, leave)
        folder = ran(place / "ray", candidates, remote, kind="ray", count=2)
        outcomes += compared(folder, undisturbed)
        assert not remote.plan, "all kills came while the run was going on"
        lost = folder.workers_log.read_text().count("an actor was lost")
    killed = {kind: local.killed[kind] + remote.killed[kind] for kind in (PROCESS, ACTOR)}
    assert sum(killed.values()) >= kills
    assert killed[ACTOR] < lost + 1
    return {
        "candidates": candidates,
        "kills of processes": killed[PROCESS],
        "kills of actors": killed[ACTOR],
        "nodes removed": 1,
        "nodes joined": 1,
        "outcomes": outcomes,
        "lost": 0,
        "duplicated": 0,
        "innocents blamed": 0,
    }
