"""Programs over matrices: rows, columns and squares, a fallback for other leaves, rules for kernels; rings and points.

The judge is that of `test_agreement.py`, which sees the leaves as each body does by lines of its own.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from strategies import AXES, MATRICES, parameter_trees, programs
from test_agreement import (
    DTYPES,
    TREES,
    Judge,
    Tally,
    assert_close,
    graph_trajectory,
    machine_trajectory,
    many,
    meaning_trajectory,
    random_feed,
    random_inputs,
)

from primitives import Program, ProgramError, identity, machine, meaning, parse
from primitives.graph import graph

NETWORK = "a network"  # a kernel, a number, a vector, a matrix, a vector of one

# --- random programs -------------------------------------------------------------------------------


@DTYPES
def test_the_machine_does_what_a_program_over_rows_and_columns_means(dtype):
    tally = Tally()

    @many(150)
    @given(programs(calm=True, features=AXES))
    def every(program):
        w, gradients = random_inputs(TREES[NETWORK], tally.all, dtype)
        feed = random_feed(program, TREES[NETWORK], tally.all, dtype)
        judge = Judge(program, w, gradients, dtype, feed)
        if tally.add(judge.usable):
            assert_close(judge, machine_trajectory(program, NETWORK, w, gradients, dtype, feed), "the machine")

    with jax.enable_x64(dtype is np.float64):
        every()
    tally.check(f"machine, {dtype.__name__}")


def test_the_meaning_and_the_graph_agree_on_programs_over_rows_and_columns():
    tally = Tally()

    @many(150)
    @given(programs(calm=True, features=AXES), parameter_trees())
    def every(program, tree):
        w = jax.tree.leaves(tree)
        shapes = [x.shape for x in w]
        _, gradients = random_inputs(shapes, tally.all, np.float64)
        feed = random_feed(program, shapes, tally.all, np.float64)
        judge = Judge(program, w, gradients, np.float64, feed)
        if tally.add(judge.usable):
            assert_close(judge, meaning_trajectory(program, w, gradients, np, feed=feed), "the meaning in numpy")
            assert_close(judge, graph_trajectory(program, w, gradients, feed), "the graph")

    every()
    tally.check("axes in numpy")


def test_the_meaning_in_numpy_is_what_a_program_over_matrices_says():
    tally = Tally()

    @many(200)
    @given(programs(calm=True, features=MATRICES), parameter_trees())
    def every(program, tree):
        w = jax.tree.leaves(tree)
        shapes = [x.shape for x in w]
        _, gradients = random_inputs(shapes, tally.all, np.float64)
        feed = random_feed(program, shapes, tally.all, np.float64)
        judge = Judge(program, w, gradients, np.float64, feed)
        if tally.add(judge.usable):
            assert_close(judge, meaning_trajectory(program, w, gradients, np, feed=feed), "the meaning in numpy")

    every()
    tally.check("matrices in numpy")


@DTYPES
def test_the_meaning_traced_by_jit_is_a_compiler_of_programs_over_matrices(dtype):
    tally = Tally()

    @many(12)
    @given(programs(calm=True, features=MATRICES))
    def every(program):
        shapes = [(2, 3, 3), (4,), (3, 2)]
        w, gradients = random_inputs(shapes, tally.all, dtype)
        feed = random_feed(program, shapes, tally.all, dtype)
        judge = Judge(program, w, gradients, dtype, feed)
        if tally.add(judge.usable):
            got = meaning_trajectory(program, w, gradients, jnp, compiled=True, feed=feed)
            assert_close(judge, got, "the compiler")

    with jax.enable_x64(dtype is np.float64):
        every()
    tally.check(f"compiler, {dtype.__name__}")
