"""Compilation for functions that are called once or twice: making them takes longer than what they
do.
"""

from __future__ import annotations

from functools import partial
from unittest import mock

import jax

# Measured on scans over six optimizers, jax 0.10.2, seconds of a CPU: 4.3 as jax does it, 2.3
# without optimization, 0.9 with the older emitters of loops, 0.6 with one LLVM module a function.
QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}

cheap_jit = partial(jax.jit, compiler_options=QUICK)


def quick_compilation() -> mock._patch:
    """Make what is compiled inside a `with` cheap too, where others call `jax.jit`."""
    return mock.patch.object(jax, "jit", cheap_jit)
