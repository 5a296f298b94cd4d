"""A worker: reads jobs as lines of JSON, answers in order.

Started by `evolve.workers.local`, never by people. The first line is the `Setup`.
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
from typing import TYPE_CHECKING, Any, BinaryIO

from evolve.compiled import forget_damaged
from evolve.interrupt import STOPPING
from evolve.workers.setup import Setup

if TYPE_CHECKING:
    from evolve.scoring.scorer import Scorer


def main(driver: int) -> None:
    """Serve until the input ends, which it does when the driver is gone."""
    # A terminal, Slurm and systemd send these to all processes; the driver ends its workers.
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    die_with(driver)

    jobs, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what libraries print must not mix with the answers ...
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # ... and what they read is no job

    line = jobs.readline()
    if not line:
        return
    forget_damaged()
    setup = Setup.read(line)
    with contextlib.suppress(OSError):  # another machine need not have the folder
        os.chdir(setup.folder)
    _bound(setup.memory)
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


def _start(setup: Setup) -> tuple[Scorer | None, dict[str, Any]]:
    """Make the scorer, and let it score a program that is known to be good: the reference.

    Returns it with the answer for the driver: its fingerprint, or why there is none.
    """
    from evolve.config.errors import ConfigError
    from evolve.plugins import PluginError
    from evolve.scoring.scorer import Scorer

    logging.basicConfig(format="%(message)s")  # to the worker's log
    logging.getLogger("evolve").setLevel(logging.INFO)
    try:
        scorer = Scorer(setup.suite(), setup.workers, all_ours=True)
        scorer.check(setup.order)
    except (ConfigError, PluginError, RuntimeError) as fault:
        return None, {"failure": str(fault)}
    return scorer, {"fingerprint": scorer.fingerprint()}


def _say(answers: BinaryIO, said: dict[str, Any]) -> None:
    """Send an answer to the driver."""
    answers.write(json.dumps(said).encode() + b"\n")


def _bound(memory: int) -> None:
    """Bound what a program may use: so much memory that other workers have room, and no disk.

    On an accelerator the driver of the device maps far more than it uses, and bounds its own memory
    itself. On other systems than Linux the limit does nothing.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no file with the remains of a crash
    if sys.platform == "linux" and os.environ.get("JAX_PLATFORMS") == "cpu":
        given = (n for n in resource.getrlimit(resource.RLIMIT_DATA) if n != resource.RLIM_INFINITY)
        least = min([memory, *given])  # the user's `ulimit -d` may be lower
        resource.setrlimit(resource.RLIMIT_DATA, (least, least))


def _refuse_forks(event: str, arguments: tuple) -> None:
    """Refuse to copy this process: the copy would hang, for jax has threads, or answer too."""
    if event in ("os.fork", "os.forkpty"):
        raise RuntimeError("a worker cannot be forked")


def die_with(driver: int) -> None:
    """Ask the kernel to kill this process when the driver dies, also in the middle of a long
    computation.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
        if os.getppid() != driver:  # it died before the line above
            os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
