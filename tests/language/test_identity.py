"""Programs that compute the same have one key, programs that do not have two; and pruning changes
nothing.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from kit.strategies import AXES, FLAT, MATRICES, MORE, programs, random_program
from kit.walk import updates as walk_steps

import baselines
from primitives import SCALAR, TENSOR, Hyperparameter, Instruction, Program, State, meaning, parse
from primitives.canonical.graph import graph
from primitives.canonical.liveness import live_statements, prune
from primitives.canonical.probe import KNOWN, digest, updates
from primitives.canonical.probe import probe as probe_of
from primitives.canonical.values import TABLES
from primitives.statements import INPUTS, LEARNING_RATE

ROOT = Path(__file__).parents[2]


def read(text: str) -> Program:
    """A program from a few lines: declarations, a blank line, statements; the last statement is the
    update.
    """
    head, _, body = text.strip().rpartition("\n\n")
    lines = [line.strip() for line in body.splitlines()]
    step = "".join(f"    {line}\n" for line in lines)
    return parse(
        f"{head}\ndef step(w, g, lr, t):\n{step}    return {lines[-1].split('=')[0].strip()}\n"
    )


def key(program: Program) -> bytes:
    return graph(program).key


def probe(program: Program) -> bytes:
    return probe_of(graph(program)).key


# --- pairs that merge -----------------------------------------------------------------------------

SAME = {
    "names": (
        "beta = 0.9\nm = zeros_like(w)\n\nm = interp(g, m, beta)\nu = m * lr",
        "decay = 0.9\nmomentum = zeros_like(w)\n\nmomentum = interp(g, momentum, decay)\nupdate = momentum * lr",
    ),
    "the order of independent statements": ("a = sin(g)\nb = cos(w)\nu = a - b", "b = cos(w)\na = sin(g)\nu = a - b"),
    "commutativity": ("a = g + w\nb = g * a\nu = maximum(b, w)", "a = w + g\nb = a * g\nu = maximum(w, b)"),
    "commutativity of reductions": ("a = dot(g, w)\nu = a * g", "a = dot(w, g)\nu = g * a"),
    "dead code": ("u = g * 2.0", "a = exp(w)\nb = a / g\nu = g * 2.0"),
    "dead state": ("u = g * 2.0", "m = zeros_like(w)\n\nm = interp(g, m, 0.9)\nu = g * 2.0"),
    "code that is dead through several steps": (
        "u = g * 2.0",
        "a = zeros_like(w)\nb = zeros_like(w)\nc = scalar(1.0)\n\na = b + g\nb = a * c\nc = norm(a)\nu = g * 2.0",
    ),
    "overwritten before it is read": (
        "m = copy(w)\n\na = m + g\nm = g\nu = a",
        "m = copy(w)\n\na = m + g\nm = cosh(a)\nm = g\nu = a",
    ),
    "unused hyperparameters": ("u = g + w", "x = 3.0\n\nu = g + w"),
    "a literal or a hyperparameter": ("u = g * 0.25", "k = 0.25\n\nu = g * k"),
    "constant folding": ("u = g * 6.0", "a = 2.0 * 3.0\nu = g * a"),
    "folding of constants of the language": ("u = g * 1e-8", "a = get_eps()\nu = g * a"),
    "folding through a reassignment": ("u = g * 8.0", "k = 2.0\n\na = k + k\na = a * 2.0\nu = g * a"),
    "square(x) and x * x": ("u = square(g)", "u = g * g"),
    "double negation": ("u = g + w", "a = -g\na = -a\nu = a + w"),
    "x * 1": ("u = sin(g)", "a = g * 1.0\nu = sin(a)"),
    "1 * x": ("u = sin(g)", "a = 1.0 * g\nu = sin(a)"),
    "x + 0": ("u = sin(g)", "a = g + 0.0\nu = sin(a)"),
    "x - 0": ("u = sin(g)", "a = g - 0.0\nu = sin(a)"),
    "x / 1": ("u = sin(g)", "a = g / 1.0\nu = sin(a)"),
    "x ** 1": ("u = sin(g)", "a = g ** 1.0\nu = sin(a)"),
    "x - 2 and x + -2": ("u = g - 2.0", "u = g + -2.0"),
    "maximum(x, x)": ("u = sin(g)", "a = maximum(g, g)\nu = sin(a)"),
    "abs(abs(x))": ("u = abs(g)", "a = abs(g)\nu = abs(a)"),
    "greater and less, mirrored": ("a = g > w\nu = a * g", "a = w < g\nu = a * g"),
    "greater_equal and less_equal, mirrored": ("a = g >= w\nu = a * g", "a = w <= g\nu = a * g"),
    "a copy": ("u = sin(g)", "a = g\nb = a\nu = sin(b)"),
    "repeated work": ("a = sin(g)\nu = a + a", "a = sin(g)\nb = sin(g)\nu = a + b"),
    "where with one outcome": ("u = g + w", "a = g > 0.0\nb = where(a, w, w)\nu = g + b"),
    "the order of states": (
        "a = zeros_like(w)\nb = copy(w)\n\na = a + g\nb = b - g\nu = a / b",
        "b = copy(w)\na = zeros_like(w)\n\nb = b - g\na = a + g\nu = a / b",
    ),
    "two equal states": (
        "a = zeros_like(w)\n\na = interp(g, a, 0.9)\nx = sin(a)\nu = a + x",
        "a = zeros_like(w)\nb = zeros_like(w)\n\na = interp(g, a, 0.9)\nb = interp(g, b, 0.9)\nx = sin(b)\nu = a + x",
    ),
    "two equal states that feed each other": (
        "a = zeros_like(w)\n\na = a * 0.5 + g\nu = sin(a)",
        "a = zeros_like(w)\nb = zeros_like(w)\n\nc = a * 0.5 + g\na = b * 0.5 + g\nb = c\nu = sin(b)",
    ),
    "the first gradient, by start or by hand": (
        "m = copy(g)\n\nm = interp(g, m, 0.9)\nu = m * lr",
        "m = zeros_like(w)\n\nc = t == 1.0\nm = where(c, g, m)\nm = interp(g, m, 0.9)\nu = m * lr",
    ),
    "the default learning rate": ("u = g * lr", "learning_rate = 0.001\n\nu = g * lr"),
    "the learning rate of a program that reads no lr": ("u = g * 1.0", "learning_rate = 3.0\n\nu = g * 1.0"),
}  # fmt: skip

SAME_BY_PROBE = {
    "interp(x, x, a)": ("u = sin(g)", "a = interp(g, g, 0.7)\nu = sin(a)"),
    "associativity": ("a = g + w\na = a + lr\nu = sin(a)", "a = w + lr\na = g + a\nu = sin(a)"),
    "x / sqrt(x * x)": ("a = g * w\nu = sign(a)", "a = g * w\nb = a * a\nb = sqrt(b)\nu = a / b"),
    "two interps merged": (
        "m = zeros_like(w)\n\na = interp(g, m, 0.9)\nu = interp(g, a, 0.5)\nm = interp(g, m, 0.99)\nu = u * lr",
        "m = zeros_like(w)\n\nu = interp(g, m, 0.45)\nm = interp(g, m, 0.99)\nu = u * lr",
    ),
    "distributivity": ("a = g + w\nu = a * lr", "a = g * lr\nb = w * lr\nu = a + b"),
    "exp(x + y)": ("a = w + lr\na = exp(a)\nu = a * g", "a = exp(w)\nb = exp(lr)\na = a * b\nu = a * g"),
    "a one that is rounded": (
        "u = sign(g)",
        "a = sin(w)\na = a * a\nb = cos(w)\nb = b * b\na = a + b\nb = sign(g)\nu = b * a",
    ),
    "a number that a state holds": ("u = g * 0.25", "k = scalar(0.25)\n\nu = g * k"),
    "a product of two equal states": (
        "a = zeros_like(w)\n\na = a + g\nu = square(a)",
        "a = zeros_like(w)\nb = zeros_like(w)\n\na = a + g\nb = b + g\nu = a * b",
    ),
}  # fmt: skip


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_programs_that_say_the_same_have_one_key(pair):
    one, other = map(read, pair)
    assert graph(one) == graph(other)
    assert key(one) == key(other)
    assert probe(one) == probe(other)


@pytest.mark.parametrize("pair", SAME_BY_PROBE.values(), ids=SAME_BY_PROBE)
def test_the_probe_merges_what_is_equal_up_to_rounding(pair):
    one, other = map(read, pair)
    assert probe(one) == probe(other) != b""


@pytest.mark.parametrize("start", range(1, 30))
def test_equal_states_merge_whatever_their_hashes_are(start):
    """The order of commutative arguments comes from hashes; it must not depend on how many states
    are equal.
    """
    one = f"m = full_like(w, {start}.0)\n\nm = m * 0.5 + g\nx = sin(m)\nu = m + x\nu = u * g"
    two = f"m = full_like(w, {start}.0)\nn = m\n\nm = m * 0.5 + g\nn = n * 0.5 + g\nx = sin(n)\nu = m + x\nu = u * g"
    assert key(read(one)) == key(read(two.replace("n = m\n", f"n = full_like(w, {start}.0)\n")))


# --- pairs that do not ----------------------------------------------------------------------------

DIFFERENT = {
    "the seventh digit of a constant": ("u = g * 0.9", "u = g * 0.9000001"),
    "the learning rate": ("learning_rate = 0.1\n\nu = g * lr", "learning_rate = 0.2\n\nu = g * lr"),
    "beta1 and beta2 exchanged": (
        "m = zeros_like(w)\n\nu = interp(g, m, 0.9)\nm = interp(g, m, 0.99)\nu = sign(u)",
        "m = zeros_like(w)\n\nu = interp(g, m, 0.99)\nm = interp(g, m, 0.9)\nu = sign(u)",
    ),
    "eps": ("a = abs(g) + 1e-8\nu = g / a", "a = abs(g) + 1e-6\nu = g / a"),
    "where a state starts": (
        "m = zeros_like(w)\n\nm = m * 0.9 + g\nu = m * lr",
        "m = full_like(w, 0.1)\n\nm = m * 0.9 + g\nu = m * lr",
    ),
    "where a scalar state starts": (
        "m = scalar(0.0)\n\nm = m + 1.0\nu = g * m",
        "m = scalar(2.0)\n\nm = m + 1.0\nu = g * m",
    ),
    "a copy of w or zeros": (
        "m = copy(w)\n\nm = m * 0.9 + g\nu = m * lr",
        "m = zeros_like(w)\n\nm = m * 0.9 + g\nu = m * lr",
    ),
    "a copy of w or of g": ("m = copy(w)\n\nm = m * 0.9 + g\nu = m * lr", "m = copy(g)\n\nm = m * 0.9 + g\nu = m * lr"),
    "the norm of a leaf or of the model": ("a = norm(g)\nu = g / a", "a = global_norm(g)\nu = g / a"),
    "mean and total": ("a = mean(g)\nu = g * a", "a = total(g)\nu = g * a"),
    "w or g": ("u = sin(w)", "u = sin(g)"), "lr or t": ("u = g * lr", "u = g * t"),
    "old and new value of a state": (
        "m = zeros_like(w)\n\nu = m + 0.0\nm = interp(g, m, 0.9)\nu = u * lr",
        "m = zeros_like(w)\n\nm = interp(g, m, 0.9)\nu = m * lr",
    ),
    "two states that start apart": (
        "a = zeros_like(w)\nb = zeros_like(w)\n\na = a * 0.9 + g\nb = b * 0.9 + g\nu = a + b",
        "a = zeros_like(w)\nb = full_like(w, 1.0)\n\na = a * 0.9 + g\nb = b * 0.9 + g\nu = a + b",
    ),
    "two states that swap": (
        "a = zeros_like(w)\nb = full_like(w, 1.0)\n\nc = a\na = b\nb = c\nu = g * a",
        "a = zeros_like(w)\nb = full_like(w, 1.0)\n\nu = g * a",
    ),
    "a threshold on t": ("a = t > 5.0\nu = a * g", "a = t > 50.0\nu = a * g"),
    "a bound on a number": ("u = minimum(g, 3.0)", "u = minimum(g, 4.0)"),
    "a bound on a small number": ("u = minimum(w, 0.1)", "u = minimum(w, 0.2)"),
    "sign and its smooth cousin": ("u = sign(g)", "a = abs(g) + 1e-8\nu = g / a"),
    "the order of a difference": ("u = g - w", "u = w - g"),
    "the order of a comparison": ("a = g > w\nu = a * g", "a = g < w\nu = a * g"),
    "greater and greater_equal": ("a = g > g\nu = g + a", "a = g >= g\nu = g + a"),
    "the order of a quotient": ("u = g / lr", "a = lr / g\nu = a + 0.0"),
    "the ends of an interp": ("u = interp(g, w, 0.9)", "u = interp(w, g, 0.9)"),
    "square and cube": ("u = square(g)", "u = cube(g)"),
    "abs and x": ("u = abs(g)", "u = g + 0.0"),
    "a constant and its negative": ("u = g * 2.0", "u = g * -2.0"),
    "-1 and -2, whose hashes Python confuses": ("u = g * -1.0", "u = g * -2.0"),
    "the start -1 or -2": ("m = full_like(w, -1.0)\n\nu = m * g", "m = full_like(w, -2.0)\n\nu = m * g"),
    "x - y and x + y": ("u = g - w", "u = g + w"),
}  # fmt: skip


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_programs_that_differ_have_two_keys_and_two_probes(pair):
    one, other = map(read, pair)
    assert key(one) != key(other)
    assert probe(one) != probe(other) or probe(one) == b""  # nothing is merged by an empty one


@pytest.mark.parametrize("threshold", [4.0, 39.0, 60.0])
def test_the_probe_says_nothing_of_programs_that_may_change_their_mind_between_its_steps(threshold):
    assert probe(read(f"a = t > {threshold}\nu = a * g")) == b""
    assert probe(read(f"a = t - {threshold}\nb = sign(a)\nu = b * g")) == b""


@pytest.mark.parametrize(
    "program",
    [
        "n = scalar(0.0)\n\nn = n + 1.0\na = n > 60.0\nu = a * g",
        "n = scalar(1.0)\n\nn = n * 0.5\na = maximum(n, 1e-5)\nu = a * g",
        "a = minimum(t, 60.0)\nu = a * g",
    ],
)
def test_the_probe_says_nothing_of_programs_that_count_steps_by_other_means(program):
    assert probe(read(program)) == b""


def test_no_two_baselines_share_a_key():
    known = [baselines.get(name) for name in baselines.names()]
    assert len({key(p) for p in known}) == len(known)
    probes = [probe(p) for p in known]
    said = [p for p in probes if p]  # an empty one merges nothing
    looked_at = [p for p in known if not graph(p).unflat() and p.matrix_statement is None]
    assert len(set(said)) == len(said) > 0.6 * len(looked_at)


@pytest.mark.parametrize(
    "betas", [(0.95, 0.99), (0.85, 0.99), (0.9, 0.98), (0.9, 0.999), (0.99, 0.9), (0.9, 0.9)]
)
def test_the_probe_sees_the_betas_of_lion_through_its_sign(betas):
    """The signs of the probe's gradients change, or all of these would be one program."""
    other = baselines.get("lion").with_values(dict(zip(("beta1", "beta2"), betas, strict=True)))
    assert probe(other) != probe(baselines.get("lion"))


def test_the_zero_update_has_a_probe_like_any_other():
    assert probe(read("u = g - g")) == probe(read("a = g * 0.0\nu = -a")) != b""


def test_a_program_that_overflows_on_the_probe_has_no_probe_key_and_is_not_judged():
    overflow = probe_of(graph(read("a = exp(g)\na = exp(a)\na = exp(a)\nu = exp(a)")))
    assert (overflow.finite, overflow.key, overflow.descends) == (False, b"", True)


# --- properties -----------------------------------------------------------------------------------

many = settings(max_examples=250)
any_programs = (
    programs() | programs(features=MORE) | programs(features=AXES) | programs(features=MATRICES)
)


def renamed(program: Program, rng: Random) -> Program:
    """All names but those of the inputs and of the learning rate are new; an input stays an input
    when reassigned.
    """
    old = [h.name for h in program.hyperparameters if h.name != LEARNING_RATE]
    old += [i.target for body in program.bodies for i in body]
    old = sorted({*old, *(s.name for s in program.states)} - set(INPUTS))
    fresh = [f"n{i}_" for i in range(len(old))]
    rng.shuffle(fresh)
    new = dict(zip(old, fresh, strict=True))
    states = tuple(replace(s, name=new[s.name]) for s in program.states)
    for before, after in zip(program.states, states, strict=True):
        new |= dict(zip(before.slots, after.slots, strict=True))
    say = lambda name: new.get(name, name) if isinstance(name, str) else name  # noqa: E731

    def function(of) -> dict:
        body = tuple(Instruction(say(i.target), i.op, tuple(map(say, i.args))) for i in of.body)
        return {"body": body, "output": say(of.output), "evaluate_at": say(of.evaluate_at)}

    return replace(
        program,
        **function(program),
        states=states,
        hyperparameters=tuple(replace(h, name=say(h.name)) for h in program.hyperparameters),
        fallback=program.fallback and replace(program.fallback, **function(program.fallback)),
    )


def shuffled(program: Program, rng: Random) -> Program:
    """Neighbours that do not touch each other's names change places; declarations change places
    freely.
    """

    def function(of) -> dict:
        body = list(of.body)
        for _ in range(3 * len(body)):
            at = rng.randrange(max(1, len(body) - 1))
            if at + 1 < len(body):
                a, b = body[at : at + 2]
                if a.target != b.target and a.target not in b.args and b.target not in a.args:
                    body[at : at + 2] = b, a
        return {"body": tuple(body), "inputs": mixed(of.inputs)}

    mixed = lambda x: tuple(rng.sample(x, len(x)))  # noqa: E731
    return replace(
        program,
        **function(program),
        states=mixed(program.states),
        hyperparameters=mixed(program.hyperparameters),
        fallback=program.fallback and replace(program.fallback, **function(program.fallback)),
    )


def with_dead_code(program: Program, rng: Random) -> Program:
    """Statements with targets that nobody reads, and a state, a ring and a hyperparameter of their
    own.
    """

    def longer(body):
        body = list(body)
        for number in range(4):
            dead = Instruction(
                f"dead{number}", rng.choice(["sin", "exp", "norm", "negative"]), ("dead_state",)
            )
            body.insert(rng.randrange(len(body) + 1), dead)
        body.append(Instruction("dead_state", "multiply", ("dead_ring2", "dead_number")))
        return (*body, Instruction("dead_ring", "copy", ("dead_state",)))

    return replace(
        program,
        body=longer(program.body),
        fallback=program.fallback and replace(program.fallback, body=longer(program.fallback.body)),
        states=(
            State("dead_state", TENSOR, "w"),
            *program.states,
            State("dead_ring", TENSOR, "w", 2),
        ),
        hyperparameters=(*program.hyperparameters, Hyperparameter("dead_number", 3.5)),
    )


REWRITES = {
    "renamed": renamed,
    "shuffled": shuffled,
    "with dead code": with_dead_code,
    "pruned": lambda p, _: prune(p),
}


@pytest.mark.parametrize("rewrite", REWRITES.values(), ids=REWRITES)
def test_key_and_probe_do_not_see(rewrite):
    @many
    @given(any_programs, programs().map(lambda p: len(p.body)))
    def every(program, seed):
        other = rewrite(program, Random(seed))
        assert graph(program) == graph(other)
        assert key(program) == key(other)
        assert probe(program) == probe(other)

    every()


def walk(program: Program, steps: int = 4) -> list[bytes]:
    """The bits of the parameters, and of where the model is evaluated, after each step, in
    numpy.
    """
    rng = np.random.default_rng(5)
    shapes = [(3,), (2, 2), (2, 1, 3)]
    w = [rng.normal(size=shape) for shape in shapes]
    states, seen = meaning.init(program, w, np), []
    with np.errstate(all="ignore"):
        for t in range(steps):
            grads, noise, signs = ([rng.normal(size=shape) for shape in shapes] for _ in range(3))
            feed = {
                "loss": rng.uniform(),
                "noise": noise,
                "rademacher": [np.sign(x) for x in signs],
            }
            w, states = meaning.step(program, w, grads, states, 0.5 + t, t + 1, np, feed)
            seen += [x.tobytes() for x in (*w, *meaning.evaluation(program, w, states, np))]
    return seen


@many
@given(any_programs)
def test_pruning_keeps_every_bit_and_leaves_only_what_is_live(program):
    pruned = prune(program)
    assert walk(pruned) == walk(program)
    alive, states = live_statements(pruned)
    assert alive == frozenset(range(len(pruned.body)))
    assert states == {s.name for s in pruned.states}
    assert prune(pruned) == pruned


def test_a_name_that_only_the_other_body_needs_as_state_may_pass_through_pruning():
    program = parse(
        "m = scalar(1.0)\npast = ring(zeros_like(w), 2)\n\n"
        "def step(w, g):\n    m = m * 0.5\n    u = m * past2\n    past = mean_over_rows(g) + g\n "
        "   return u\n\n"
        "def fallback(w, g):\n    m = sin(g)\n    past = norm(m)\n    u = m * past\n    m = 1.0\n"
        "    past = g\n    return u\n"
    )
    pruned = prune(program)
    assert walk(pruned) == walk(program)
    assert str(pruned).endswith(
        "    kept1 = sin(g)\n    kept2 = norm(kept1)\n    u = kept1 * kept2\n    return u\n"
    )
    assert prune(pruned) == pruned


def test_pruning_keeps_what_only_the_evaluation_needs():
    text = (
        "mean_ = copy(w)\n\ndef step(w, g, lr):\n    dead = sin(g)\n    update = g * lr\n    "
        "after = w - update\n"
        "    mean_ = interp(after, mean_, 0.9)\n    return update, mean_\n"
    )
    assert str(prune(parse(text))) == text.replace("    dead = sin(g)\n", "")


def reaches(program: Program) -> tuple[set[int], set[str]]:
    """By brute force: the statements and states whose taint arrives at what is returned within
    enough steps.
    """
    slots = {s.name: s.slots for s in program.states}
    rings = [s for s in program.states if s.ring]
    live, live_states = set(), set()
    for source in [*range(len(program.body)), *slots]:
        tainted = set(slots.get(source, ()))
        for _ in range(sum(map(len, slots.values())) + 1):
            for number, line in enumerate(program.body):
                hit = number == source or any(a in tainted for a in line.args)
                tainted = tainted | {line.target} if hit else tainted - {line.target}
            if {program.output, program.evaluate_at} & tainted:
                (live_states if isinstance(source, str) else live).add(source)
                break
            moves = [pair for s in rings for pair in itertools.pairwise((s.name, *s.slots))]
            moved = {new for old, new in moves if old in tainted}
            tainted = (tainted & {s.name for s in program.states if not s.ring}) | moved
    return live, live_states


@many
@given(programs() | programs(features=MORE))
def test_liveness_is_what_a_taint_run_through_the_steps_finds(program):
    assert live_statements(program) == reaches(program)


@many
@given(programs() | programs(features=FLAT) | programs(features=AXES) | programs(calm=True))
def test_the_probe_runs_all_steps_at_once_to_the_bits_of_one_after_the_other(program):
    said = graph(program)
    if not said.unflat():
        found, expected = updates(said), walk_steps(said)
        if "power" in said.ops:  # numpy squares by x * x where one exponent serves a whole row
            found, expected = (
                digest(x) if np.isfinite(x).all() else b"" for x in (found, expected)
            )
        np.testing.assert_array_equal(found, expected)


@many
@given(any_programs, any_programs)
def test_graph_and_probe_do_not_depend_on_what_was_asked_before(program, other):
    def facts():
        said = graph(program)
        return (
            said,
            said.key,
            probe_of(said),
            "" if said.unflat() else updates(said).tobytes(),
        )

    def forget():
        TABLES.clear()
        KNOWN.clear()
        probe_of.cache_clear()

    forget()
    alone = facts()
    forget()
    probe_of(graph(other))
    assert facts() == alone


def test_threads_that_share_what_is_remembered_find_what_one_finds():
    known = [random_program(Random(seed), 15) for seed in range(60)]
    alone = [(key(p), probe(p)) for p in known]
    TABLES.clear()
    KNOWN.clear()
    probe_of.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(lambda p: (key(p), probe(p)), known)) == alone


def test_keys_are_the_same_in_another_process_with_other_string_hashes():
    code = (
        "import sys; sys.path[:0] = ['tests', 'tests/language']\n"
        "from random import Random\nfrom kit.strategies import random_program\nimport test_identity "
        "as t\n"
        "print([(t.key(p), t.probe(p)) for p in map(lambda s: random_program(Random(s), 15), "
        "range(40))])"
    )
    here = [(key(p), probe(p)) for p in (random_program(Random(seed), 15) for seed in range(40))]
    for seed in ("1", "2"):
        env = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        }
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == repr(here)


# --- the direction --------------------------------------------------------------------------------


NOT_ON_THE_PROBE = {"adashift": "its first moves come after more steps than the probe has"}
ASCENDING = ("adadelta_ascending",)


def opposite(program: Program) -> Program:
    """The program with its updates negated."""

    def negated(function):
        return replace(
            function,
            body=(*function.body, Instruction("up", "negative", (function.output,))),
            output="up",
        )

    return negated(replace(program, fallback=program.fallback and negated(program.fallback)))


@pytest.mark.parametrize("name", baselines.names())
def test_every_baseline_descends_on_the_probe_and_its_negative_does_not(name):
    program = baselines.get(name)
    down, up = probe_of(graph(program)), probe_of(graph(opposite(program)))
    if not (down.known and down.finite):  # programs over squares and the like are not run
        assert down.descends
        assert up.descends
    elif name in (*ASCENDING, *NOT_ON_THE_PROBE):
        assert not down.descends
    else:
        assert down.descends
        assert not up.descends


@pytest.mark.parametrize(
    ("name", "down"), [*((n, True) for n in NOT_ON_THE_PROBE), *((n, False) for n in ASCENDING)]
)
def test_what_the_probe_does_not_see_descends_where_the_weights_are_its_own(name, down):
    """On half a squared distance, whose gradient is w; a learning rate of 0.1 or less, as some
    start at 1.
    """
    program = baselines.get(name)
    program = program.with_values({LEARNING_RATE: min(program.learning_rate, 0.1)})
    w = [np.array([1.0, -2.0, 0.5]), np.array([[0.3, -1.0], [2.0, 0.7]])]
    first, states = w, meaning.init(program, w, np)
    loss = lambda w: sum(float(np.sum(x**2)) / 2 for x in w)  # noqa: E731
    with np.errstate(all="ignore"):
        for t in range(100):
            feed = {"loss": loss(w)} if "loss" in program.needs else {}
            at = meaning.evaluation(program, w, states, np)
            w, states = meaning.step(program, w, at, states, 1.0, t + 1, np, feed)
    assert (loss(w) < loss(first)) == down


def test_what_moves_nothing_does_not_descend():
    assert not probe_of(graph(read("u = g - g"))).descends


def test_a_graph_knows_which_inputs_reach_the_update():
    said = graph(read("m = zeros_like(w)\n\nd = sin(w)\nm = m + g\nu = m * lr"))
    assert [said.uses(name) for name in ("w", "g", "lr", "t")] == [False, True, True, False]
    assert SCALAR in {node.kind for node in said.nodes}


def test_a_bound_that_chose_the_same_side_everywhere_is_not_trusted():
    """The probe learnt nothing of the other side: a smaller bound would have looked alike."""
    text = "def step(g):\n    a = abs(g)\n    b = {} + a\n    c = maximum(a, b)\n    return c * g\n"
    same = [probe_of(graph(parse(text.format(bound)))) for bound in ("0.5", "square(g)")]
    assert [probe.key for probe in same] == [b"", b""]
    both = probe_of(
        graph(parse("def step(g):\n    a = abs(g)\n    c = maximum(a, 0.1)\n    return c * g\n"))
    )
    assert both.key
