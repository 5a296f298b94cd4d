"""What must be set before jax is imported, so that a score has the same bits in every process.

On a CPU the number of threads and the instruction set change float32 results in
the last bits, and training amplifies them. One XLA thread a process also is the
fastest way to use several cores for many small trainings.
"""

from __future__ import annotations

import os
import platform
from typing import Any

MAX_ISA = "--xla_cpu_max_isa=AVX2"
# The machine's loop over instructions is compiled into one function instead of a kernel a step of it:
# 1.27 instead of 1.37 times the run time of hand-written AdamW on the digits network.
SMALL_LOOPS = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=3000000"


def pinned() -> dict[str, str]:
    """Environment variables of every process that scores programs."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    wanted_flags = [SMALL_LOOPS] + [MAX_ISA] * (platform.machine() in ("x86_64", "AMD64"))
    for flag in wanted_flags:
        if not any(given.split("=")[0] == flag.split("=")[0] for given in flags):
            flags.append(flag)
    # The proxy tasks are small, and several workers would fight over one accelerator: the CPU, unless asked.
    platforms = os.environ.get("JAX_PLATFORMS", "cpu")
    return {
        "JAX_PLATFORMS": platforms,
        "NPROC": "1",
        "PJRT_NPROC": "1",
        "OMP_NUM_THREADS": "1",
        "XLA_FLAGS": " ".join(flags),
    }


def pin() -> None:
    """Set them in this process. Has no effect on a jax that has started already."""
    os.environ.update(pinned())


def fingerprint() -> dict[str, Any]:
    """What the bits of a score depend on, beside the program and the task."""
    import jax
    import jaxlib
    import numpy

    import evolve

    device = jax.devices()[0]
    return {
        "pride": evolve.__version__,
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "numpy": numpy.__version__,
        "platform": device.platform,
        "device": device.device_kind,
        "machine": platform.machine(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "threads": os.environ.get("NPROC", ""),
    }
