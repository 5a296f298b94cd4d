"""A worker: reads jobs as lines of JSON, answers in order.

Started by `pool.Local`, never by people.

The first line is the setup: {"tasks": [...], "references": {fingerprint: tuned values}, "folder":
where the command was run, "workers": how many share this machine, "memory": bytes that this one may
allocate}.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import resource
import signal
import sys
from typing import Any, BinaryIO

from evolve.interrupt import STOPPING


def main(driver: int) -> None:
    """Serve until the input ends, which it does when the driver is gone."""
    for number in (
        STOPPING
    ):  # sent to all processes by a terminal, Slurm, systemd; the driver ends its workers
        signal.signal(number, signal.SIG_IGN)
    _die_with(driver)
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what libraries print must not mix with the answers ...
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # ... and what they read is no job
    setup = json.loads(jobs.readline() or b"{}")
    if not setup:
        return
    with contextlib.suppress(OSError):  # another machine need not have it
        os.chdir(setup["folder"])  # of the user: paths in tasks count from there
    _bound(setup["memory"])
    scorer, started = _start(setup)
    _say(answers, started)
    if scorer is None:
        return
    sys.addaudithook(_refuse_forks)
    from evolve.scoring.job import ReferenceDiverged
    from evolve.scoring.wire import decode_job, encode_outcome

    for line in jobs:
        asked = json.loads(line)
        try:
            outcome = scorer.try_to_score(decode_job(asked["job"]))
        except ReferenceDiverged as fault:
            _say(answers, {"failure": str(fault)})
            return
        answer = {
            "outcome": encode_outcome(outcome),
            "seconds": outcome.seconds,
            "detail": outcome.detail,
        }
        _say(answers, {"number": asked["number"]} | answer)


def _start(setup: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The scorer, after it has scored a program that is known to be good: the reference."""
    from evolve.config.errors import ConfigError
    from evolve.config.schema import TaskSettings
    from evolve.scoring.scorer import Scorer
    from evolve.scoring.suite import make_suite, take_references

    logging.basicConfig(format="%(message)s")  # to the worker's log
    logging.getLogger("evolve").setLevel(logging.INFO)
    take_references(setup["references"])
    try:
        scorer = Scorer(
            make_suite("run", [TaskSettings(**task) for task in setup["tasks"]]), setup["workers"]
        )
        scorer.check()
    except (ConfigError, RuntimeError) as fault:
        return None, {"failure": str(fault)}
    return scorer, {"fingerprint": scorer.fingerprint()}


def _say(answers: BinaryIO, said: dict[str, Any]) -> None:
    answers.write(json.dumps(said).encode() + b"\n")


def _bound(memory: int) -> None:
    """What a program may use: so much memory that another worker has room, and no disk for its
    remains.

    On an accelerator the driver of the device maps far more than it uses, and bounds its own memory
    itself.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if (
        sys.platform == "linux" and os.environ.get("JAX_PLATFORMS") == "cpu"
    ):  # elsewhere the limit does nothing
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _refuse_forks(event: str, arguments: tuple) -> None:
    """A copy of this process would hang, for jax has threads; and would answer too."""
    if event in ("os.fork", "os.forkpty"):
        raise RuntimeError("a worker cannot be forked")


def _die_with(driver: int) -> None:
    """Ask the kernel to kill this process when the driver dies, also in the middle of a long
    computation.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
        if os.getppid() != driver:  # it died before the line above
            os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
