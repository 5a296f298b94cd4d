"""Compilation for functions that are called once or twice: making them takes longer than what they
do.
"""

from __future__ import annotations

from functools import partial

import jax

cheap_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
