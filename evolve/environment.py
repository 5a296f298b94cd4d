"""What must be set before jax is imported, so that a score has the same bits in every process.

On a CPU the number of threads and the instruction set change float32 results in
the last bits, and training amplifies them. One XLA thread a process also is the
fastest way to use several cores for many small trainings.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import os
import platform
import sys
import warnings
from pathlib import Path
from typing import Any

from evolve import compiled
from primitives.errors import plain

MAX_ISA = "--xla_cpu_max_isa=AVX2"
# The machine's loop over instructions is compiled into one function instead of a kernel a step of
# it: 1.27 instead of 1.37 times the run time of hand-written AdamW on the digits network.
SMALL_LOOPS = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=3000000"

# What jax computes depends on these, and a user may have set them for other programs.
JAX_SETTINGS = {
    "jax_random_seed_offset": "0",
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": "true",
    "jax_enable_custom_prng": "false",
    "jax_high_dynamic_range_gumbel": "false",
    "jax_softmax_custom_jvp": "true",
    "jax_enable_x64": "false",
    "jax_disable_jit": "false",
    "jax_debug_nans": "false",  # what diverges would be an error
    "jax_debug_infs": "false",
}
# On these too, but their defaults cannot be written into the environment.
JAX_UNPINNED = (
    "jax_default_matmul_precision",
    "jax_optimization_level",
    "jax_memory_fitting_level",
)

CAME_LATER = ("processor", "jax_settings", "code")
"""Keys of the fingerprint that older runs did not write down."""

CODE = ("primitives", "baselines", "proxy_tasks", "evolve/scoring")
"""Where all that decides a score is defined."""


def pinned() -> dict[str, str]:
    """Environment variables of every process that scores programs."""
    return _decisive() | compiled.variables()


def _decisive() -> dict[str, str]:
    """Those that bits depend on."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    wanted_flags = [SMALL_LOOPS] + [MAX_ISA] * (platform.machine() in ("x86_64", "AMD64"))
    for flag in wanted_flags:
        if not any(given.split("=")[0] == flag.split("=")[0] for given in flags):
            flags.append(flag)
    # The proxy tasks are small, and several workers would fight over one accelerator: the CPU,
    # unless asked.
    platforms = os.environ.get("JAX_PLATFORMS", "cpu")
    return {name.upper(): value for name, value in JAX_SETTINGS.items()} | {
        "JAX_PLATFORMS": platforms,
        "NPROC": "1",
        "PJRT_NPROC": "1",
        "OMP_NUM_THREADS": "1",
        "XLA_FLAGS": " ".join(flags),
    }


def pin() -> None:
    """Set them in this process, which is ours. Has no effect on a jax that has started already."""
    wanted = pinned()
    if wanted.get(compiled.ENABLED) == "false":
        why = compiled.why_unsafe(compiled.folder())
        print(plain(f"compiled code is not kept: {why}"), file=sys.stderr)
    os.environ.update(wanted)
    compiled.forget_half_written()
    compiled.forget_damaged()


IN_A_LIBRARY = ("XLA_FLAGS", "NPROC", "PJRT_NPROC")
"""What is set where somebody imports us: what bits depend on, and no more.

The platform stays theirs, and so do the threads of other libraries and the folder of what jax has
compiled.
"""


def pin_on_import() -> None:
    """Set in this process what the bits of a score depend on; warn where it comes too late.

    Whoever calls `pin` before jax computes has nothing left to do here.
    """
    wanted = {name: value for name, value in _decisive().items() if name in IN_A_LIBRARY}
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


# --- what bits depend on --------------------------------------------------------------------------


def fingerprint() -> dict[str, Any]:
    """What the bits of a score depend on, beside the program and the task."""
    import jax

    device = jax.devices()[0]
    return software() | {
        "platform": device.platform,
        "device": device.device_kind,
        "machine": platform.machine(),
        "processor": processor(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "threads": os.environ.get("NPROC", ""),
        "jax_settings": {
            name: getattr(jax.config, name, None) for name in (*JAX_SETTINGS, *JAX_UNPINNED)
        },
    }


def software() -> dict[str, Any]:
    """What of it is installed or loaded: a driver has the same as its workers. Starts no device."""
    import jax
    import jaxlib.version
    import numpy

    import evolve
    from evolve import plugins

    guests = {plugin.name: plugin.sha256 for plugin in plugins.loaded()}
    return {
        "pride": evolve.__version__,
        "jax": jax.__version__,
        "jaxlib": jaxlib.version.__version__,
        "numpy": numpy.__version__,
        "code": code(),
    } | ({"plugins": guests} if guests else {})


@functools.cache
def code(root: Path = Path(__file__).parents[1]) -> dict[str, str]:
    """Hash the text of what decides a score: it may have been changed under the same version."""
    hashes = {}
    for package in CODE:
        digest = hashlib.sha256()
        for path in sorted((root / package).rglob("*.py")):
            text = path.read_bytes()
            digest.update(f"{path.relative_to(root).as_posix()} {len(text)}\n".encode() + text)
        hashes[package] = digest.hexdigest()[:16]
    return hashes


def processor() -> str:
    """Name the kind of processor, as far as the bits of a score may depend on it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in pairs}
    names = ("vendor_id", "cpu family", "model")
    if names[0] not in facts:  # ARM
        names = ("CPU implementer", "CPU architecture", "CPU part")
    return " ".join(facts.get(name, "?") for name in names)


def differences(before: dict[str, Any], now: dict[str, Any], of: str = "") -> list[str]:
    """Say what of two fingerprints differs, a fact each; what an older one did not hold does not.

    of: the fact that the two are about, where they are facts themselves.
    """
    said = []
    for name in sorted(before.keys() | now.keys()):
        was, became = before.get(name), now.get(name)
        if was == became or (name in CAME_LATER and name not in before):
            continue
        if isinstance(was, dict) and isinstance(became, dict):
            said += differences(was, became, f"{of}{name}.")
        else:
            said.append(f"{of}{name}: {was!r} → {became!r}")
    return said


def not_recorded(before: dict[str, Any]) -> list[str]:
    """List the facts that an older fingerprint does not hold."""
    return [name for name in CAME_LATER if name not in before]
