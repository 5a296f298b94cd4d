"""What must be set before jax is imported, so that a score has the same bits in every process.

On a CPU the number of threads and the instruction set change float32 results in
the last bits, and training amplifies them. One XLA thread a process also is the
fastest way to use several cores for many small trainings.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import platform
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

MAX_ISA = "--xla_cpu_max_isa=AVX2"
# The machine's loop over instructions is compiled into one function instead of a kernel a step of
# it: 1.27 instead of 1.37 times the run time of hand-written AdamW on the digits network.
SMALL_LOOPS = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=3000000"

CACHE_BYTES = (
    1 << 29
)  # of compiled loops that are kept from process to process; the oldest go first
CACHE_SECONDS = 0.1  # what compiles faster is compiled again


def pinned() -> dict[str, str]:
    """Environment variables of every process that scores programs."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    wanted_flags = [SMALL_LOOPS] + [MAX_ISA] * (platform.machine() in ("x86_64", "AMD64"))
    for flag in wanted_flags:
        if not any(given.split("=")[0] == flag.split("=")[0] for given in flags):
            flags.append(flag)
    # The proxy tasks are small, and several workers would fight over one accelerator: the CPU,
    # unless asked.
    platforms = os.environ.get("JAX_PLATFORMS", "cpu")
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(cache_folder()),
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(
            CACHE_BYTES
        ),  # with a bound, jax also locks what it writes
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": str(CACHE_SECONDS),
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    return {name: os.environ.get(name, value) for name, value in cache.items()} | {
        "JAX_PLATFORMS": platforms,
        "NPROC": "1",
        "PJRT_NPROC": "1",
        "OMP_NUM_THREADS": "1",
        "XLA_FLAGS": " ".join(flags),
    }


def cache_folder() -> Path:
    """Where compiled loops are kept: a folder of the user's cache, of its own for each kind of
    processor.
    """
    try:
        flags = next(
            line
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("flags")
        )
    except (OSError, StopIteration):
        flags = platform.processor()
    kind = hashlib.sha256(f"{platform.machine()} {flags}".encode()).hexdigest()[:8]
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home, as in some containers
        home = Path(tempfile.gettempdir())
    return home / "pride" / f"compiled-{kind}"


def pin() -> None:
    """Set them in this process. Has no effect on a jax that has started already."""
    os.environ.update(pinned())


IN_A_LIBRARY = ("XLA_FLAGS", "NPROC", "PJRT_NPROC")
"""What is set where somebody imports us: what bits depend on, and no more.

The platform stays theirs, and so do the threads of other libraries and the folder of what jax has
compiled.
"""


def pin_on_import() -> None:
    """Set in this process what the bits of a score depend on; warn where it comes too late.

    Whoever calls `pin` before jax computes has nothing left to do here.
    """
    wanted = {name: value for name, value in pinned().items() if name in IN_A_LIBRARY}
    if all(os.environ.get(name) == value for name, value in wanted.items()):
        return
    os.environ.update(wanted)

    bridge = sys.modules.get("jax._src.xla_bridge")  # jax has no public way to ask
    if bridge is not None and getattr(bridge, "backends_are_initialized", bool)():
        warnings.warn(
            "jax has computed before `evolve` was imported, so its instruction set and threads are "
            "no longer ours to set: what is scored in this process (workers of kind inline or "
            "devices) has other bits than what workers of kind local or ray score. Import evolve "
            "first to avoid that.",
            stacklevel=3,
        )


def available_memory() -> int:
    """Bytes of memory that this machine, or the container that it is, gives to processes."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # no container, or "max"
            limits.append(int(Path(path).read_text()))
    return min(limits)


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def collect_rarely() -> None:
    """Let Python look for garbage in cycles a thirtieth as often, and not among what was imported.

    Breeding makes many tuples and next to no cycles: the looks took a twentieth of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def fingerprint() -> dict[str, Any]:
    """What the bits of a score depend on, beside the program and the task."""
    import jax
    import jaxlib.version
    import numpy

    import evolve
    from evolve import plugins

    device = jax.devices()[0]
    guests = {plugin.name: plugin.sha256 for plugin in plugins.loaded()}
    return {
        "pride": evolve.__version__,
        "jax": jax.__version__,
        "jaxlib": jaxlib.version.__version__,
        "numpy": numpy.__version__,
        "platform": device.platform,
        "device": device.device_kind,
        "machine": platform.machine(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "threads": os.environ.get("NPROC", ""),
    } | ({"plugins": guests} if guests else {})
