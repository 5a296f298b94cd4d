"""A worker whose scores come out of a hash: process, pipes and protocol are real, and nothing is
trained.

Started as `python synthetic.py DRIVER`, where a run starts `evolve.workers.serve`.
"""

from __future__ import annotations

import hashlib
import math
import sys

from evolve.environment import software
from evolve.scoring.job import DIVERGED, HURDLE, OK, Job, Outcome, mean
from evolve.workers import serve


def scored(job: Job) -> Outcome:
    """A score with heavy tails, from a hash of the program; some diverge."""
    digest = hashlib.sha256(job.program.encode()).digest()
    if digest[0] < 13:
        return Outcome(DIVERGED)
    middle = math.tan(math.pi * (int.from_bytes(digest[1:7], "big") / 2**48 - 0.5)) / 10  # Cauchy
    rows = tuple((middle + digest[n % 32] / 2560,) for n in range(len(job.seeds) + len(job.select)))
    scores, selected = rows[: len(job.seeds)], rows[len(job.seeds) :]
    if mean(scores[:1]) < job.hurdle:
        return Outcome(HURDLE, scores[:1])
    return Outcome(OK, scores, selected if mean(scores) > job.bar else ())


class Hashed:
    """Stands for the scorer of a worker."""

    def try_to_score(self, job: Job) -> Outcome:
        return scored(job)


if __name__ == "__main__":
    serve._start = lambda setup: (Hashed(), {"fingerprint": software() | {"platform": "none"}})
    serve.main(int(sys.argv[1]))
