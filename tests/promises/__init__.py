"""The promises of the README, each with its proof: `keep(place, long)` of a module asserts it and
returns its figures.

`make test` runs the short forms (`test_promises.py`), `make chaos` the long ones.
"""

from __future__ import annotations

PROMISES = {
    "resume": "exact resume: a run that is killed at any moment ends in the hash chain of the "
    "undisturbed one",
    "anywhere": "the same result anywhere: inline, local, Ray, one node or several",
    "dying": "workers, actors and nodes may die: every candidate gets exactly one outcome, no "
    "innocent is blamed",
    "poison": "what hangs, crashes or eats the memory gets its outcome in time, and hurts nobody "
    "else",
    "exploits": "programs that try to win without optimizing do not win",
    "disk": "full disks, second drivers, moved, old and damaged runs are handled and said",
    "strangers": "files from strangers give clear errors; nothing in them is executed",
    "signals": "Ctrl-C and its relatives save, say how to go on, and leave within ten seconds",
    "long_runs": "a million candidates cost as much each, and as much memory, as the first ones",
    "surroundings": "what lies around a run, or was changed in it, neither steers nor harms",
}
WITHOUT_SHORT = ("surroundings",)  # whose parts are tests of the suite
