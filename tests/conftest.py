"""Settings of the suite: one thread, the CPU, a pinned instruction set, and strict arithmetic.

The environment is read when jax is imported, so it comes first. `setdefault` leaves a user's own choice.
"""

from __future__ import annotations

import os
import platform

for _name in ("NPROC", "PJRT_NPROC", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
if platform.machine().lower() in ("x86_64", "amd64"):
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_max_isa=AVX2")  # the same bits on every machine

import hypothesis  # noqa: E402
import jax  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("suite")
