"""Stopping a run from outside: the first signal asks for it, the second leaves at once.

Ten seconds after the first one the process is left in any case. A computation inside XLA holds up
the handlers of Python until it returns, which may take minutes. So the signals are read by a
thread, from the pipe that the interpreter writes them to when they come, and the thread can end the
process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

# Ctrl-C, a polite kill, a closed terminal, and what batch systems send when the time is nearly
# over.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGXCPU")
STOPPING = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
LIMIT = 9.0  # seconds from the first signal until the process is left; the tenth is for last words
AGAIN = 0.5  # seconds in which a second signal does not count: shells and wrappers repeat the first
WORDS = 0.5  # seconds for the last words, which a terminal or pipe may not take


class Interrupted(Exception):
    """The user asked to stop. Everything that was committed is recorded."""


class StopSignal:
    """The answer to whether a signal has asked the run to stop: call it.

    A process that has not ended by itself in time is left. What is committed stays, and the kernel
    ends the workers.
    """

    def __init__(self, last_words: Callable[[], None]):
        """`last_words` is called in a thread, before the process is left."""
        self.last_words = last_words
        self.number = 0  # of the last signal

    def __call__(self) -> bool:
        return self.number != 0

    @contextlib.contextmanager
    def watching(self) -> Iterator[StopSignal]:
        """Take the signals meanwhile, but for those that were ignored so far (`nohup`).

        Outside the main thread no signal can be taken.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        read, write = socket.socketpair()
        write.setblocking(False)
        thread = threading.Thread(target=self._watch, args=(read,), daemon=True)
        thread.start()
        fd = signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)

        handlers = {s: signal.getsignal(s) for s in STOPPING}
        taken = {s: h for s, h in handlers.items() if h not in (signal.SIG_IGN, None)}
        for s in taken:
            signal.signal(s, lambda number, frame: None)  # the thread has it
        try:
            yield self
        finally:
            for s, handler in taken.items():
                # After a first signal the process is ending: a further one must not end it earlier,
                # with another exit status.
                signal.signal(s, signal.SIG_IGN if self.number else handler)
            signal.set_wakeup_fd(fd)
            write.close()  # ends the thread
            thread.join()
            read.close()

    def _watch(self, read: socket.socket) -> None:
        """Read signals until the other end is closed, or leave the process when it is time to."""
        first, end = 0.0, None
        while True:
            read.settimeout(None if end is None else max(1e-3, end - time.monotonic()))
            try:
                heard = read.recv(1)
            except TimeoutError:
                break
            if not heard:
                return
            if heard[0] in STOPPING:
                first = first or time.monotonic()
                end = first + (AGAIN if self.number else LIMIT)
                self.number = heard[0]

        words = threading.Thread(target=self.last_words, daemon=True)
        words.start()
        words.join(WORDS)
        os._exit(128 + self.number)


@contextlib.contextmanager
def ctrl_c() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C was pressed.

    Without it, Ctrl-C is an exception between any two instructions; the second time it still is.
    This is for a run that is called from Python, as in a notebook, which must live on. Where
    somebody else handles Ctrl-C, or outside the main thread, nothing changes.
    """
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    pressed = threading.Event()

    def press(number: int, frame: object) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if ours:
        signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
