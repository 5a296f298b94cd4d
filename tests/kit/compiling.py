"""Compilation for functions that are called once or twice: making them takes longer than what they
do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest import mock

import jax
from jax._src import compiler

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


SMALL = 12  # operations: what jax compiles for one call outside of a compiled function
LOSES_DIGITS = "stablehlo.cbrt"  # where QUICK compiles it


def compile_small_quickly() -> None:
    """Make small modules cheap too, in this process and from now on.

    Tests compute much outside of compiled functions, and there jax compiles call by call: most of
    the suite's compilations. It has no setting for that.
    """
    compiled = compiler.backend_compile_and_load

    def quickly(backend: Any, module: Any, devices: Any, settings: Any, *rest: Any) -> Any:
        if _hasty and not settings.env_option_overrides:
            called = operations(module)
            if len(called) <= SMALL and LOSES_DIGITS not in called:
                settings.env_option_overrides = list(QUICK.items())
        return compiled(backend, module, devices, settings, *rest)

    compiler.backend_compile_and_load = quickly


_hasty = True


@contextlib.contextmanager
def as_in_production() -> Iterator[None]:
    """Compile all as processes of a user do, and forget what was compiled before.

    Programs that run call by call are small modules: here their bits are those of any worker.
    """
    global _hasty
    jax.clear_caches()
    _hasty = False
    try:
        yield
    finally:
        _hasty = True
        jax.clear_caches()


def operations(module: Any) -> list[str]:
    """Return the names of the operations of a module."""
    return [
        operation.name
        for function in module.body.operations
        for region in function.regions
        for block in region.blocks
        for operation in block.operations
    ]
