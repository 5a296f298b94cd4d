"""A worker with poison in it: primitives that do what no primitive should, and a task that does it
where asked to.

Started as `python poisoned.py DRIVER`, where a run starts `evolve.workers.serve`. A deed is done by
a program in one of three ways: while its primitive `traced_DEED` is traced, in a step by its
primitive `called_DEED`, or by the task, when it evaluates a program that has brought all weights to
the place of the deed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from evolve.scoring.job import CRASH, DIVERGED, ERROR, OK, OOM, TIMEOUT
from evolve.workers.setup import Setup
from primitives.kinds import Tensor
from primitives.registry import COMPILER, LEAF, MEANING, PRIMITIVES, READINGS, primitive

Deed = Callable[[Any], Any]

TRACED, CALLED, EVALUATED = "traced", "called", "evaluated"
DEEDS: dict[
    str, tuple[Deed, str, tuple[str, ...]]
] = {}  # with what becomes of a program that does it, and the ways
FAR = 1_000_000.0  # all weights at FAR + 3: the task does the fourth deed
HUGE = 50 * 10**9  # bytes
SOON = 1000.0  # seconds
STARTS = "starts.txt"  # in the folder of the run: seconds that each worker took to start


def deed(
    outcome: str, ways: tuple[str, ...] = (TRACED, CALLED, EVALUATED)
) -> Callable[[Deed], Deed]:
    def enter(function: Deed) -> Deed:
        DEEDS[function.__name__] = function, outcome, ways
        return function

    return enter


# --- what does not end ----------------------------------------------------------------------------


@deed(TIMEOUT)
def hang(x):
    while True:
        pass


@deed(TIMEOUT)
def sleep(x):
    time.sleep(SOON)


@deed(TIMEOUT)
def ignore_sigterm(x):
    ctypes.CDLL(None).signal(signal.SIGTERM, 1)  # 1 is SIG_IGN; this one works in every thread
    time.sleep(SOON)


@deed(TIMEOUT, ways=(TRACED,))
def spin(x):
    """In XLA, where no signal of Python arrives."""
    import jax
    import jax.numpy as jnp

    return jax.lax.while_loop(lambda y: jnp.any(y == y), lambda y: 0.5 * (y + x), x)


# --- what raises ----------------------------------------------------------------------------------


class Unprintable(Exception):
    """Neither its text nor a copy of it can be had."""

    def __str__(self):
        raise self

    def __repr__(self):
        raise self

    def __reduce__(self):
        raise self


@deed(ERROR)
def fail(x):
    raise ValueError("it does not work")


@deed(ERROR, ways=(TRACED,))  # out of a call, XLA dies of it
def fail_without_words(x):
    raise Unprintable


@deed(ERROR, ways=(TRACED,))  # the same
def fail_with_bad_words(x):
    raise ValueError("\ud800\0\x1b[2J" + 10**6 * "long ")


@deed(ERROR)
def wrong_shape(x):
    return np.zeros(x.size + 1, np.float32)


@deed(ERROR)
def fork(x):
    os.fork()


@deed(DIVERGED)
def not_a_number(x):
    return x * np.float32(np.nan)


# --- what ends the process ------------------------------------------------------------------------


@deed(CRASH)
def leave(x):
    os._exit(3)


@deed(CRASH)
def segfault(x):
    ctypes.string_at(0)


@deed(CRASH)
def abort(x):
    os.abort()


@deed(CRASH)
def stop(x):
    os.kill(os.getpid(), signal.SIGSTOP)


@deed(CRASH)
def leave_a_process(x):
    """It lives on, and holds the pipes open."""
    subprocess.Popen(["sleep", str(SOON)])
    os._exit(4)


@deed(CRASH)
def leave_a_copy(x):
    """No hook of Python sees this fork."""
    libc = ctypes.PyDLL(None)  # holds the lock of the interpreter, so that the copy has it
    if libc.fork() == 0:
        libc.pause()
    os._exit(5)


# --- what takes the memory ------------------------------------------------------------------------


@deed(OOM)
def allocate(x):
    np.zeros(HUGE, np.uint8)


@deed(OOM)
def allocate_bit_by_bit(x):
    """No part is too much for the machine, and none is touched: only a limit of the worker ends
    it.
    """
    parts = []
    while True:
        parts.append(np.zeros(1 << 26, np.uint8))


@deed(OOM, ways=(TRACED,))
def allocate_in_xla(x):
    import jax.numpy as jnp

    rows = jnp.broadcast_to(x[:1], (1000, HUGE // 4000))
    return x + jnp.sort(rows + jnp.arange(1000, dtype=x.dtype)[:, None])[0, 0]


# --- what talks too much, or listens where it should not ------------------------------------------


@deed(OK)
def print_a_line(x):
    print("a stray line")
    os.write(1, b"and another one, without an end")


@deed(OK)
def read_a_line(x):
    os.read(0, 1 << 16)


@deed(CRASH)
def print_without_end(x):
    while True:
        os.write(1, b"a line of many\n" * 4096)


@deed(CRASH)
def close_all(x):
    os.closerange(0, 1024)
    time.sleep(SOON)


def answers() -> list[int]:
    """Pipes that somebody made private: the answers are among them."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        if (
            int(name) > 2
            and os.path.exists(f"/proc/self/fd/{name}")
            and stat.S_ISFIFO(os.fstat(int(name)).st_mode)
        ):
            found.append(int(name))
    return found


def say(words: bytes) -> None:
    for pipe in answers():
        with contextlib.suppress(OSError):  # one to read from
            os.write(pipe, words)


@deed(CRASH)
def say_nonsense(x):
    say(b'\xff\0{"number": \n')


@deed(CRASH)
def say_something_deep(x):
    say(b"[" * 50_000 + b"\n")


@deed(CRASH)
def say_something_huge(x):
    say(b'{"number": 0, "outcome": {"status": "ok", "scores": [["0x1p99999"]]}, "seconds": 0.0}\n')


@deed(CRASH)
def say_without_end(x):
    while True:
        say(b"0" * 4096)


# --- how it gets into a program -------------------------------------------------------------------


def programs() -> dict[str, tuple[str, str]]:
    """Name -> the text of a poisonous program, and what becomes of it: every deed in every way."""
    found = {}
    for number, (name, (_, outcome, ways)) in enumerate(DEEDS.items()):
        for way in ways:
            body = (
                f"u = w - {FAR + number}"
                if way == EVALUATED
                else f"u = {way}_{name}(g)\n    u = u * lr"
            )
            found[f"{way}_{name}"] = f"def step(w, g, lr):\n    {body}\n    return u\n", outcome
    return found


# A scope of our own: such a primitive is called on any leaf, by itself, so that its deed is done
# for no other program.
OFF_THE_MACHINE = "off the machine"


def register() -> None:
    """Enter the primitives and the task into the registries of this process."""
    import jax
    import jax.numpy as jnp

    from proxy_tasks.landscapes.noisy_quadratic import NoisyQuadratic

    READINGS[OFF_THE_MACHINE] = (MEANING, COMPILER)
    deeds = [act for act, _, _ in DEEDS.values()]

    def done(act: Deed, x: Any) -> Any:
        found = act(x)
        return x if found is None else found

    def called(act: Deed, x: jax.Array) -> jax.Array:
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.pure_callback(lambda given: done(act, np.asarray(given)), shape, x)

    def define(name: str, strike: Callable[[Deed, Any], Any], act: Deed) -> None:
        def poison(xp, x: Tensor) -> Tensor:
            """x, and a deed."""
            return strike(act, x)

        poison.__name__ = name
        entered = primitive(family="poison", scope=LEAF)(poison)
        PRIMITIVES[name] = replace(entered, scope=OFF_THE_MACHINE)

    for name, (act, _, ways) in DEEDS.items():
        for way, strike in ((TRACED, done), (CALLED, called)):
            if way in ways:
                define(f"{way}_{name}", strike, act)

    @dataclass(frozen=True)
    class Poisoned(NoisyQuadratic):
        """Its loops are those of its parent, bit by bit; evaluating it does a deed at some
        places.
        """

        kind: ClassVar[str] = "poisoned"

        def evaluate(self, params, data, part):
            w = params["point"]["w"]
            number = jnp.round(w[0] - FAR)
            here = (number >= 0) & (number < len(deeds)) & jnp.all(jnp.abs(w - FAR - number) < 0.3)

            def strike(number):
                loss = jax.ShapeDtypeStruct((), np.float32)
                return jax.pure_callback(
                    lambda n: done(deeds[int(n)], np.float32(0.0)), loss, number
                )

            trouble = jax.lax.cond(here, strike, jnp.zeros_like, number)
            return super().evaluate(params, data, part) + trouble


def age() -> float:
    """Seconds since this process was started."""
    with open("/proc/self/stat") as stat:
        ticks = int(stat.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def main(driver: int) -> None:
    from evolve.workers import serve

    start = serve._start

    def poisoned(setup: Setup) -> tuple[Any, dict[str, Any]]:
        register()
        started = start(setup)
        with open(STARTS, "a") as file:
            file.write(f"{age():.2f}\n")
        return started

    serve._start = poisoned
    serve.main(driver)


if __name__ == "__main__":
    main(int(sys.argv[1]))
