"""An exported optimizer takes the same steps as its program, and behaves as one of optax's own."""

from __future__ import annotations

import ast
import importlib.util
import math
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from random import Random
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from kit import strategies
from kit.compiling import cheap_jit
from opinions import harness

import baselines
from primitives import Hyperparameter, Instruction, Program, ProgramError, meaning, parse
from primitives.export.docstring import PROGRAM_HEADING
from primitives.export.optax import ASKED, to_optax_source

STEPS = 100
TOLERANCE = (
    1e-6  # the same float32 arithmetic up to the compiler's fused multiply-adds and the place of lr
)

ODD = {
    "inside": """
learning_rate = 0.01
m = zeros_like(w)

def step(g, lr):
    m = interp(g, m, 0.999)
    x = lr * m
    x = x / 0.02
    update = tanh(x)
    return update
""",
    "clipped": """
c = 0.5

def step(g, lr):
    small = clip_by_global_norm(g, c)
    update = lr * small
    return update
""",
    "anchored": '''
"""Pulls towards the start; the docstring has a \\\\ and a "quote"."""
learning_rate = 0.05
pull = tunable(0.1, low=0.01, high=1.0, scale="log")
first = copy(g)
start = copy(w)

def step(w, g, lr):
    away = w - start
    first = interp(g, first, 0.95)
    spring = away * pull
    both = first + spring
    update = both * lr
    return update
''',
    "counted": """
learning_rate = 0.1
length = scalar(0.0)
beta = 0.9

def step(g, lr, t):
    size = norm(g)
    length = interp(size, length, beta)
    p = beta ** t
    rest = 1.0 - p
    corrected = length / rest
    direction = g / corrected
    half = direction ** 0.5
    update = lr * direction
    return update
""",
    "chosen": """
learning_rate = 0.01
slow = full_like(w, 0.1)

def step(g, lr):
    agree = slow * g
    same = agree > 0.0
    direction = where(same, g, slow)
    slow = interp(g, slow, 0.9)
    update = direction * lr
    return update
""",
    "forgetful": """
unused = zeros_like(w)
idle = 0.5
m = zeros_like(w)

def step(w, g, lr, t):
    unused = interp(g, unused, idle)
    lost = w * unused
    m = interp(g, m, 0.9)
    old = m
    update = m * lr
    return update
""",
    "whole": """
learning_rate = 0.02
m = full_like(w, 0.01)
calm = scalar(1.0)

def step(w, g, lr, t):
    k = cosine_sim(m, g)
    size = global_norm(g)
    inner = dot(w, g)
    shrunk = tanh(inner)
    calm = interp(k, calm, 0.9)
    old = m
    m = interp(g, m, 0.9)
    direction = m / size
    change = m - old
    direction = direction + change
    direction = direction * calm
    early = t < 50.0
    direction = direction * early
    direction = direction + w * shrunk
    lr = lr * 0.5
    update = direction * lr
    return update
""",
    "distributed": """
learning_rate = 0.02
decay = 0.1

def step(w, g, lr):
    pulled = lr * w
    pulled = pulled * decay
    s = sign(g)
    pushed = lr * s
    update = pushed + pulled
    return update
""",
    "stubborn": """
def step(g):
    update = g * 0.01
    return update
""",
    "awkward": """
l = 0.9
updates = zeros_like(w)
_m = zeros_like(w)
state = scalar(0.0)
mask = 0.5
c1 = 0.25

def step(w, g, lr):
    max = interp(g, _m, l)
    params = max + updates
    jnp = params * mask
    jnp = jnp * state
    dtype = log(1.5)
    state = state + dtype
    _m = interp(g, max, 0.3)
    updates = updates + c1
    w = arctanh(jnp)
    update = w * lr
    return update
""",
    "asking": """
learning_rate = 0.1
value = 0.9
key = ring(scalar(0.0), 2)
evaluate_at = zeros_like(w)

def step(w, g, lr, loss):
    key = loss
    fall = key2 - key1
    fall = fall * value
    size = norm(g)
    rate = loss / size
    rate = rate + fall
    evaluate_at = interp(g, evaluate_at, 0.5)
    update = evaluate_at * lr
    update = update * rate
    there = w - update
    there = interp(there, w, value)
    return update, there
""",
    "drawn": """
learning_rate = 0.1
m = zeros_like(w)

def step(g, lr, noise, rademacher, hvp, gnvp):
    m = interp(g, m, 0.9)
    bend = hvp(rademacher)
    bend = bend * rademacher
    more = gnvp(m)
    shake = noise * bend
    direction = m + more
    direction = direction + shake
    update = direction * lr
    return update
""",
    "stacked": """
learning_rate = 0.1
l = left(identity)
r = right(0.5)
rows = row(0.25)
columns = column(0.0)
past = ring(zeros_like(w), 2)
calm = scalar(0.0)
m = full_like(w, 0.5)
slow = copy(w)
kernels = stack()

def step(w, g, lr, t):
    gram = gram_left(g)
    l = interp(gram, l, 0.9)
    gram = gram_right(g)
    r = interp(gram, r, 0.9)
    now = mean_over_rows(g)
    rows = interp(now, rows, 0.5)
    now = norm_over_columns(g)
    columns = columns + now
    past = g
    both = rows + columns
    direction = l @ past2
    direction = direction @ r
    size = norm(direction)
    calm = interp(size, calm, 0.5)
    direction = direction / calm
    direction = direction + both
    away = w - slow
    direction = direction + away
    update = direction * lr
    there = w - update
    slow = interp(there, slow, 0.9)
    return update, slow

def fallback(w, g, lr):
    m = interp(g, m, 0.9)
    both = m + past1
    past = m
    size = largest(g)
    calm = calm + size
    both = both / calm
    update = both * lr
    slow = interp(w, slow, 0.9)
    return update, slow
""",
    "stacked_whole": """
learning_rate = 0.1
weight_decay = 0.1
share = column(0.0)
length = scalar(1.0)
kernels = stack()

def step(w, g, lr):
    size = global_norm(g)
    now = mean_over_columns(g)
    share = interp(now, share, 0.5)
    length = interp(size, length, 0.5)
    direction = g + share
    direction = direction / length
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update

def fallback(w, g, lr):
    direction = sign(g)
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update
""",
    "apart": """
learning_rate = 0.1
basis = left(identity)
m = zeros_like(w)
kernels = fallback()

def step(w, g, lr):
    turned = orthonormal(basis)
    gram = gram_left(g)
    basis = basis + gram
    direction = turned @ g
    pull = w * 0.1
    direction = direction + pull
    update = direction * lr
    return update

def fallback(w, g, lr):
    m = interp(g, m, 0.9)
    size = global_norm(m)
    direction = m / size
    pull = w * 0.2
    direction = direction + pull
    update = direction * lr
    return update
""",
    "matrices": """
learning_rate = 0.1
m = zeros_like(w)

def step(g, lr):
    m = interp(g, m, 0.9)
    size = norm(m)
    unit = m / size
    direction = newton_schulz(unit, 1.5, -0.5, 0.0)
    update = direction * lr
    return update
""",
}


def _odd(name: str) -> Program:
    return parse(ODD[name], name=name)


PROGRAMS = {name: partial(baselines.get, name) for name in baselines.names()}
PROGRAMS |= {f"{name}_": partial(_odd, name) for name in ODD}
FEW = (
    "adamw",
    "sgd",
    "inside_",
    "anchored_",
    "whole_",
    "asking_",
    "drawn_",
    "adafactor",
    "stacked_",
)  # of each form
every_program = pytest.mark.parametrize("which", PROGRAMS)
# Two compilations each: the suite walks every form and every other known optimizer, `make slow` the
# rest.
LATER = {name for number, name in enumerate(baselines.names()) if number % 2 and name not in FEW}
walked = pytest.mark.parametrize(
    "which",
    [pytest.param(name, marks=pytest.mark.slow) if name in LATER else name for name in PROGRAMS],
)
each_form = pytest.mark.parametrize("which", FEW)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="session")
def exported(folder) -> Callable:
    """The module that a program is exported to, imported from a file."""

    @cache
    def load(which: str):
        program = PROGRAMS[which]()
        path = folder / f"pride_export_{which}.py"
        path.write_text(to_optax_source(program, found="Found in a test."), encoding="utf-8")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.optimizer = getattr(module, program.name)
        module.scale_by = getattr(module, f"scale_by_{program.name}")
        module.eval_params = getattr(module, f"{program.name}_eval_params", None)
        return module

    return load


SHAPES = {"scalar": (), "vector": (5,), "matrix": (4, 3), "kernel": (2, 2, 3, 4), "empty": (0, 3)}


def tree(seed: int, steps: int | None = None, dtype=jnp.float32) -> dict:
    """Normal numbers on every shape of leaf, for all steps at once where `steps` is given."""
    rng = np.random.default_rng(seed)
    lead = () if steps is None else (steps,)
    return {
        name: jnp.asarray(rng.normal(size=lead + shape), dtype) for name, shape in SHAPES.items()
    }


def shape_of_schedule(count):
    """A cosine from 1 to 0, in the widest float that is enabled."""
    return 0.5 * (1.0 + jnp.cos(jnp.asarray(count, float) * (math.pi / STEPS)))


def hvp(x):
    """A Hessian, for any tree."""
    return jax.tree.map(lambda leaf: leaf * jnp.asarray(0.7, leaf.dtype), x)


def gnvp(x):
    return jax.tree.map(lambda leaf: leaf * jnp.asarray(0.3, leaf.dtype), x)


ORACLES = {"hvp": hvp, "gnvp": gnvp}
GIVEN = {
    "value": np.float32(0.5),
    "progress": np.float32(0.25),
    **ORACLES,
}  # keywords of update; those that an optimizer does not know are ignored


def offered(seed: int, steps: int, dtype=jnp.float32) -> dict:
    """What a task offers beside gradients, for all steps at once."""
    losses = jnp.asarray(np.random.default_rng(seed).uniform(0.5, 2.0, steps), dtype)
    signs = jax.tree.map(
        lambda x: jnp.where(x < 0.0, -1.0, 1.0).astype(dtype), tree(seed + 1, steps, dtype)
    )
    progress = jnp.arange(steps, dtype=dtype) / steps
    given = {"loss": losses, "run_progress": progress}
    return given | {"noise": tree(seed, steps, dtype), "rademacher": signs}


@contextmanager
def drawing(module: ModuleType, now: dict):
    """The module draws these random numbers while it is traced."""
    own = getattr(module, "_draws", None)
    module._draws = lambda draw, key, like: now[
        "noise" if draw is jax.random.normal else "rademacher"
    ]
    yield
    module._draws = own


def walk(optimizer, params, gradients, more=None, module=None, oracles=ORACLES, jit=cheap_jit):
    """Parameters after every step; where a program has others to evaluate at, those too.

    more: what the task offers at each step. Without it, an optimizer draws its own random numbers.
    """
    module = ModuleType("optax") if module is None else module
    evaluated = getattr(module, "eval_params", None)
    optimizer = optax.with_extra_args_support(optimizer)

    def one(carry, now):
        params, state = carry
        g, more = now
        given = GIVEN | oracles
        if more is None:
            updates, state = optimizer.update(g, state, params, **given)
        else:
            with drawing(module, more):
                given |= {"value": more["loss"], "progress": more.get("run_progress", 0.0)}
                updates, state = optimizer.update(g, state, params, **given)
        params = optax.apply_updates(params, updates)
        return (params, state), (params, evaluated(state, params) if evaluated else ())

    if jit:
        run = jit(lambda p, *now: jax.lax.scan(one, (p, optimizer.init(p)), now)[1])
        return run(params, gradients, more)
    carry, seen = (params, optimizer.init(params)), []
    for number in range(jax.tree.leaves(gradients)[0].shape[0]):
        carry, new = one(carry, jax.tree.map(lambda g, n=number: g[n], (gradients, more)))
        seen.append(new)
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *seen)


def walk_of_meaning(program: Program, params, gradients, more=None, shapes=None, oracles=ORACLES):
    """The same of the reference interpreter."""

    def one(carry, now):
        params, states = carry
        g, more, count, shape = now
        new = meaning.step(
            program, params, g, states, shape, count + 1, feed=(more or {}) | oracles
        )
        return new, (new[0], meaning.evaluation(program, *new) if program.evaluate_at else ())

    def run(params, *now):
        return jax.lax.scan(one, (params, meaning.init(program, params)), now)[1]

    steps = jnp.arange(jax.tree.leaves(gradients)[0].shape[0])
    shapes = shape_of_schedule(steps) if shapes is None else shapes
    return cheap_jit(run)(params, gradients, more, steps, shapes)


def relative_error(ours, theirs) -> float:
    """Largest over leaves and steps of |ours - theirs| / |theirs|, in Euclidean norms.

    |theirs| is the largest so far: a leaf of one number passes through 0.
    """
    worst = 0.0
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        a, b = (np.asarray(x, np.float64).reshape(len(x), -1) for x in (a, b))
        assert np.isfinite(b).all()
        gap = np.linalg.norm(a - b, axis=1)
        size = np.maximum.accumulate(np.linalg.norm(b, axis=1))
        worst = max([worst, *(gap / np.where(size == 0.0, 1.0, size))])
    return worst


def described(values) -> tuple:
    """Structure, shapes and dtypes."""
    return jax.tree.structure(values), [(x.shape, x.dtype) for x in jax.tree.leaves(values)]


def scheduled(module, program: Program, make: Callable | None = None):
    return (make or module.optimizer)(
        lambda count: program.learning_rate * shape_of_schedule(count)
    )


# --- the file -------------------------------------------------------------------------------------


@every_program
def test_the_file_imports_only_jax_optax_and_typing(which):
    source = to_optax_source(PROGRAMS[which]())
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    assert found <= {"jax", "optax", "typing"}
    assert "__future__" not in found


@every_program
def test_the_docstring_holds_the_program_and_where_it_was_found(which, exported):
    program, doc = PROGRAMS[which](), exported(which).__doc__
    text = textwrap.dedent(doc.rsplit(PROGRAM_HEADING, 1)[1])
    assert parse(text) == replace(program, doc="")
    assert doc.startswith(program.doc.strip())
    assert "Found in a test." in doc
    assert "Learning rate" in doc


def test_every_file_passes_ruffs_default_rules(exported, folder):
    for which in PROGRAMS:
        exported(which)
    assert_ruff_is_content(folder)


def assert_ruff_is_content(folder):
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--no-cache",
        "--quiet",
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_optimizer_is_named_after_the_program(exported):
    module = exported("lion")
    assert module.lion.__name__ == "lion"
    assert module.scale_by_lion.__name__ == "scale_by_lion"
    assert module.scale_by_lion().init(jnp.ones(2))._fields == ("count", "m")
    assert "def scale_by_tiger(" in to_optax_source(baselines.get("lion"), name="tiger")


@pytest.mark.parametrize(
    "name", ["2fast", "no-name", "class", "", "jax", "max", "_hidden", "naïve"]
)
def test_a_name_that_python_cannot_use_is_refused_with_a_remedy(name):
    with pytest.raises(ProgramError, match="name") as refused:
        to_optax_source(baselines.get("lion"), name=name)
    assert refused.value.hint


@pytest.mark.parametrize(
    "doc", ['Ends badly \\"""\nimport os\x00\u2028"', '"""', 'a\\"', "\\", '""""']
)
def test_a_hostile_docstring_stays_a_docstring(doc):
    module = ast.parse(to_optax_source(replace(baselines.get("sgd"), doc=doc), found='"""\\'))
    assert doc.strip() in ast.get_docstring(module, clean=False)
    assert [type(n) for n in module.body[:2]] == [ast.Expr, ast.ImportFrom]


def test_the_learning_rate_is_annotated_as_optax_annotates_it(exported):
    for which in ("adam", "inside_"):
        assert exported(which).optimizer.__annotations__["learning_rate"] is optax.ScalarOrSchedule
    assert (
        exported("adam").optimizer.__annotations__["return"]
        is optax.GradientTransformationExtraArgs
    )


STAGES = {"sgd": 2, "lion": 3, "adam": 2, "lion_seed": 3, "distributed_": 3, "anchored_": 2}


@pytest.mark.parametrize(("which", "stages"), STAGES.items())
def test_the_learning_rate_and_the_decay_stand_outside_where_the_program_allows_it(
    which, stages, exported
):
    assert len(exported(which).optimizer().init(jnp.ones(2))) == stages


# --- the steps ------------------------------------------------------------------------------------


@walked
def test_the_exported_optimizer_takes_the_steps_of_the_program(which, exported):
    program, module = PROGRAMS[which](), exported(which)
    params, gradients = harness.stack(np.float32)
    more = jax.tree.map(jnp.asarray, harness.extras(np.float32))
    shapes = jnp.asarray(harness.SHAPES, np.float32)
    oracles = {"hvp": harness.hvp, "gnvp": harness.gnvp}
    if program.fallback is None and program.matrix_statement is not None:
        params, gradients, more = (_of_matrices(x) for x in (params, gradients, more))
    optimizer = module.optimizer(lambda count: program.learning_rate * shapes[count])
    ours = walk(optimizer, params, gradients, more, module, oracles)
    theirs = walk_of_meaning(program, params, gradients, more, shapes, oracles)
    error = relative_error(ours, theirs)
    print(f"\n{which}: {error:.1e}")
    assert error <= TOLERANCE
    moved = jax.tree.map(lambda a, b: jnp.any(a[-1] != b), ours[0], params)
    assert [bool(x) for x in moved.values()].count(False) <= 1  # a simplex of one number is a point


def _of_matrices(given: dict) -> dict:
    """Without the leaves that are no matrices."""
    cut = {name: _of_matrices(x) if isinstance(x, dict) else x for name, x in given.items()}
    return {name: x for name, x in cut.items() if name not in ("bias", "gain")}


@each_form
def test_in_float64_the_steps_agree_to_twelve_digits(which, exported):
    with jax.enable_x64(True):
        program, params, gradients = (
            PROGRAMS[which](),
            tree(0, dtype=float),
            tree(1, 20, dtype=float),
        )
        more = offered(2, 20, dtype=float)
        ours = walk(scheduled(exported(which), program), params, gradients, more, exported(which))
        error = relative_error(ours, walk_of_meaning(program, params, gradients, more))
    assert all(x.dtype == np.float64 for x in jax.tree.leaves(ours))
    print(f"\n{which}: {error:.1e}")
    assert error <= 1e-12


@pytest.mark.parametrize("which", ["anchored_", "whole_", "drawn_", "stacked_"])
def test_the_steps_are_the_same_without_compilation(which, exported):
    program, module, params, gradients = PROGRAMS[which](), exported(which), tree(0), tree(1, 2)
    optimizer, more = scheduled(module, program), offered(2, 2)
    eager = walk(optimizer, params, gradients, more, module, jit=None)
    error = relative_error(eager, walk(optimizer, params, gradients, more, module))
    print(f"\n{which}: {error:.1e}")
    assert error <= TOLERANCE


def _adam(h):
    return {"b1": h["beta1"], "b2": h["beta2"], "eps": h["eps"]}


OPTAX = {
    "nesterov": lambda lr, h: optax.sgd(lr, momentum=h["momentum"], nesterov=True),
    "adamw": lambda lr, h: optax.adamw(lr, **_adam(h), weight_decay=h["weight_decay"]),
    "lion": lambda lr, h: optax.lion(lr, h["beta1"], h["beta2"], weight_decay=h["weight_decay"]),
    "rmsprop": lambda lr, h: optax.rmsprop(lr, decay=h["decay"], eps=h["eps"], eps_in_sqrt=False),
}


@pytest.mark.parametrize("which", OPTAX)
def test_the_known_optimizers_take_the_steps_of_optaxs_own(which, exported):
    program, params, gradients = PROGRAMS[which](), tree(2), tree(3, STEPS)
    ours = walk(scheduled(exported(which), program), params, gradients, jit=jax.jit)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes integers and floats
        known = OPTAX[which](
            lambda count: program.learning_rate * shape_of_schedule(count), program.values
        )
        theirs = walk(known, params, gradients, jit=jax.jit)
    error = relative_error(ours, theirs)
    print(f"\n{which}: {error:.1e}")
    assert error <= TOLERANCE


@pytest.mark.parametrize("which", ["adamw", "lion", "rmsprop", "counted_", "clipped_"])
def test_the_exported_optimizer_finds_the_bottom_of_a_parabola(which, exported):
    goal = jnp.asarray([1.0, -1.0, 0.5])
    optimizer = exported(which).optimizer(optax.cosine_decay_schedule(0.03, 1500))

    def one(carry, _):
        params, state = carry
        updates, state = optimizer.update(2.0 * (params - goal), state, params)
        return (optax.apply_updates(params, updates), state), None

    with jax.numpy_dtype_promotion("standard"):
        start = jnp.asarray([-1.0, 2.0, 3.0])
        (params, _), _ = cheap_jit(lambda p: jax.lax.scan(one, (p, optimizer.init(p)), None, 1500))(
            start
        )
    # Decoupled decay moves the bottom by at most weight_decay / 2 for Adam; a sign step by lr.
    np.testing.assert_allclose(params, goal, atol=3e-2)


START = {
    "matrix": np.float32([[0.5, -1.5], [0.25, 2.0]]),
    "scalar": np.float32(-0.75),
    "stack": np.float32([[[1.5, -0.5], [0.75, 0.5]], [[0.25, -1.25], [2.0, 1.0]]]),
}


def _cosines(scale: float) -> dict:
    """Three steps of numbers like START."""
    return jax.tree.map(
        lambda w: jnp.stack([jnp.cos(w * scale * t) for t in (1.0, 2.0, 3.0)]), START
    )


def test_random_programs_take_the_same_steps_and_pass_ruff(tmp_path):
    """Half of the plain ones end with `lr · (update + w · c)`, the form that is split into
    stages.
    """
    kinds = []
    features = [strategies.PLAIN] * 10 + [strategies.MORE] * 3 + [strategies.MATRICES] * 5
    more = {"loss": jnp.asarray([1.0, 0.5, 0.75]), "noise": _cosines(5.0)}
    more["rademacher"] = jax.tree.map(jnp.sign, _cosines(7.0))
    for seed, said in enumerate(features):
        program = strategies.random_program(
            Random(seed), length=1 + seed % 11, calm=True, features=said
        )
        if (
            said is strategies.PLAIN
            and seed % 2
            and not {"w", "lr"} & {i.target for i in program.body}
        ):
            program = _decayed(program)
        source = to_optax_source(program, name="drawn")
        (tmp_path / f"drawn{seed}.py").write_text(source, encoding="utf-8")
        module = ModuleType("drawn")
        exec(compile(source, "drawn", "exec", dont_inherit=True), module.__dict__)
        module.eval_params = getattr(module, "drawn_eval_params", None)
        state = module.drawn().init(START)
        kinds.append("inside" if hasattr(state, "_fields") else "stages")
        optimizer, params = (
            scheduled(module, program, module.drawn),
            jax.tree.map(jnp.asarray, START),
        )
        ours = walk(optimizer, params, _cosines(1.0), more, module)
        theirs = walk_of_meaning(program, params, _cosines(1.0), more)
        for x, expected in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(
                x, expected, rtol=1e-5, atol=1e-6, err_msg=str(program)
            )  # equal_nan
    assert min(kinds.count("stages"), kinds.count("inside")) >= 4
    assert_ruff_is_content(tmp_path)


def _decayed(program: Program) -> Program:
    body = (
        Instruction("decay_", "multiply", ("w", "strength_")),
        Instruction("sum_", "add", (program.output, "decay_")),
        Instruction("final_", "multiply", ("lr", "sum_")),
    )
    return replace(
        program,
        inputs=tuple(dict.fromkeys((*program.inputs, "w", "lr"))),
        body=program.body + body,
        output="final_",
        hyperparameters=(*program.hyperparameters, Hyperparameter("strength_", 0.3)),
    )


# --- the learning rate ----------------------------------------------------------------------------


@each_form
def test_a_number_a_sweep_of_traced_numbers_and_a_schedule_are_the_same_learning_rate(
    which, exported
):
    module, params = exported(which), tree(0)
    given = tree(1, 4), offered(2, 4), module
    number = walk(module.optimizer(0.01), params, *given)
    schedule = walk(module.optimizer(optax.constant_schedule(0.01)), params, *given)
    swept = jax.vmap(lambda lr: walk(module.optimizer(lr), params, *given))(
        jnp.asarray([0.01, 0.02])
    )
    for other in (schedule, jax.tree.map(lambda x: x[0], swept)):
        assert relative_error(other, number) <= TOLERANCE


@each_form
def test_injected_hyperparameters_take_the_same_steps(which, exported):
    module, params, gradients = exported(which), tree(0), tree(1, 4)
    more = (
        None if which == "drawn_" else offered(2, 4)
    )  # without, it draws by itself: from the same key
    plain = walk(module.optimizer(0.01), params, gradients, more, module)
    optimizer = optax.inject_hyperparams(module.optimizer)(learning_rate=0.01)
    injected = walk(optimizer, params, gradients, more, module)
    assert relative_error(injected, plain) <= TOLERANCE


# --- what a program asks of the task --------------------------------------------------------------


def test_an_input_of_the_task_is_a_keyword_that_cannot_be_left_out(exported):
    optimizer, g = exported("asking_").optimizer(), jnp.ones(2)
    state = optimizer.init(g)
    with pytest.raises(TypeError, match="value"):
        optimizer.update(g, state, g)
    state = optimizer.update(g, state, g, value=2.5, unknown=1.0)[1]
    assert float(state.key1) == 2.5
    for wrong_dtype in (jnp.float16(2.5), np.float64(2.5), 3):  # the state keeps its own
        assert described(optimizer.update(g, state, g, value=wrong_dtype)[1]) == described(state)


def _lines_of_advice(module) -> list[str]:
    """What the docstring says of making an oracle."""
    return [
        line.strip()
        for line in module.optimizer.__doc__.splitlines()
        if " = " in line and "jax." in line
    ]


def _quadratic():
    a = jnp.asarray([[2.0, 0.5], [0.5, 1.0]])
    params = {"a": jnp.asarray([1.0, -2.0]), "b": jnp.asarray(3.0)}

    def model(p):
        return jnp.concatenate([a @ p["a"], p["b"][None]])

    def loss_of_y(y):
        return jnp.sum(y * y)

    return {
        "params": params,
        "model": model,
        "loss_of_y": loss_of_y,
        "loss": lambda p: loss_of_y(model(p)),
        "jax": jax,
    }


def test_the_advice_of_the_docstring_makes_a_product_with_the_hessian(exported):
    names, module = _quadratic(), exported("newton_cg")
    exec("\n".join(_lines_of_advice(module)), names)
    params, optimizer = names["params"], module.optimizer(1.0)
    g = jax.grad(names["loss"])(params)
    updates, _ = optimizer.update(g, optimizer.init(params), params, hvp=names["hvp"])
    for bottom in jax.tree.leaves(
        optax.apply_updates(params, updates)
    ):  # five steps solve three equations
        np.testing.assert_allclose(bottom, np.zeros(bottom.shape), atol=1e-5)


def test_the_advice_of_the_docstring_makes_a_product_with_the_gauss_newton_matrix(exported):
    names = _quadratic()
    for which in ("natural_gradient", "newton_cg"):
        exec("\n".join(_lines_of_advice(exported(which))), names)
    x = {"a": jnp.asarray([0.3, 0.7]), "b": jnp.asarray(-1.0)}
    for ours, theirs in zip(
        *map(jax.tree.leaves, (names["gnvp"](x), names["hvp"](x))), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)  # the same, as the model is linear


def test_oracles_are_given_trees_like_the_parameters_in_their_dtypes(exported):
    seen = []

    def watched(x):
        seen.append(described(x))
        return x

    params = {"a": jnp.ones((2, 3), jnp.bfloat16), "b": [None, jnp.ones((), jnp.float32)]}
    optimizer = exported("drawn_").optimizer()
    updates, _ = optimizer.update(params, optimizer.init(params), hvp=watched, gnvp=watched)
    assert seen == [described(params)] * 2
    assert described(updates) == described(params)


def test_random_numbers_differ_between_steps_leaves_seeds_and_kinds(exported):
    module = exported("noisy_sgd")
    g = {"a": jnp.zeros(1000), "b": jnp.zeros(1000)}
    update = cheap_jit(module.optimizer(1.0).update)
    state = module.optimizer(1.0).init(g)
    first, later = update(g, state, g)
    second, _ = update(g, later, g)
    other, _ = update(g, module.optimizer(1.0, seed=1).init(g), g)
    drawn = [np.asarray(x) / np.std(x) for x in (first["a"], first["b"], second["a"], other["a"])]
    assert np.all(np.abs(np.corrcoef(drawn) - np.eye(4)) < 0.15)
    assert all(abs(x.mean()) < 0.1 for x in drawn)
    np.testing.assert_array_equal(
        update(g, module.optimizer(1.0, seed=0).init(g), g)[0]["b"], first["b"]
    )

    seen = {}
    own = exported("drawn_")._draws

    def spy(draw, key, like):
        seen[draw] = own(draw, key, like)["a"]
        return {"a": seen[draw], "b": seen[draw]}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exported("drawn_"), "_draws", spy)
        optimizer = exported("drawn_").optimizer()
        optimizer.update(g, optimizer.init(g), **ORACLES)
    normal, signs = seen[jax.random.normal], seen[jax.random.rademacher]
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(np.corrcoef(normal, signs)[0, 1]) < 0.15


def test_an_input_that_optax_cannot_give_is_refused_with_a_remedy(monkeypatch):
    monkeypatch.delitem(ASKED, "hvp")
    with pytest.raises(ProgramError) as refused:
        to_optax_source(baselines.get("newton_cg"))
    assert str(refused.value) == (
        "optax gives an optimizer no 'hvp'\n"
        "Export a program that reads no more than w, g, lr, t, noise, rademacher, loss, gnvp, "
        "run_progress."
    )


# --- where the model is evaluated -----------------------------------------------------------------


@pytest.mark.parametrize("which", ["asking_", "averaged_sgd", "schedule_free_sgd"])
def test_the_parameters_to_evaluate_at_are_found_in_the_state_of_any_wrapper(which, exported):
    module, params, g = exported(which), tree(0), tree(1)
    plain = module.optimizer(0.1)
    state = plain.init(params)
    assert_trees_equal(module.eval_params(state, params), params)
    _, state = optax.with_extra_args_support(plain).update(g, state, params, **GIVEN)
    points = module.eval_params(state, params)
    assert described(points) == described(params)

    def after(wrapped):
        state = wrapped.update(g, wrapped.init(params), params, **GIVEN)[1]
        return module.eval_params(state, params)

    assert_trees_equal(after(optax.chain(optax.identity(), plain)), points)
    assert_trees_equal(after(optax.apply_if_finite(plain, 3)), points)
    masked = after(optax.masked(plain, {name: name != "matrix" for name in SHAPES}))
    assert_trees_equal(masked, points | {"matrix": params["matrix"]})


def assert_trees_equal(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE)


def test_a_state_that_holds_the_parameters_to_evaluate_at_is_not_kept_twice(exported):
    assert exported("schedule_free_sgd").scale_by().init(jnp.ones(2))._fields[1:3] == ("z", "x")
    assert "evaluate_at" not in exported("schedule_free_sgd").scale_by().init(jnp.ones(2))._fields
    assert exported("averaged_sgd").scale_by().init(jnp.ones(2))._fields == (
        "count",
        "average",
        "evaluate_at",
    )


# --- matrices -------------------------------------------------------------------------------------


def test_matrices_of_a_stack_are_leaves_of_their_own(exported):
    for which in ("stacked_", "stacked_whole_"):
        optimizer, g = exported(which).optimizer(0.1), tree(1, 6)["kernel"]  # [6, 2, 2, 3, 4]
        apart = [g[i, j, k] for i in range(6) for j in range(2) for k in range(2)]
        whole = cheap_jit(lambda o=optimizer, g=g: o.update([g], o.init([g]), [g])[0][0])()
        single = cheap_jit(lambda o=optimizer, a=apart: o.update(a, o.init(a), a)[0])()
        assert relative_error(whole.reshape(24, 3, 4), jnp.stack(single)) <= TOLERANCE


def test_states_beside_a_matrix_are_as_small_as_they_can_be_and_never_in_16_bits(exported):
    params = tree(0, dtype=jnp.bfloat16)
    state = exported("stacked_").scale_by().init(params)
    shapes = {
        field: {leaf: x.shape for leaf, x in getattr(state, field).items()}
        for field in state._fields[1:]
    }
    assert shapes["l_"] == {
        "scalar": (),
        "vector": (),
        "matrix": (4, 4),
        "kernel": (2, 2, 3, 3),
        "empty": (0, 0),
    }
    assert shapes["r"] == {
        "scalar": (),
        "vector": (),
        "matrix": (3, 3),
        "kernel": (2, 2, 4, 4),
        "empty": (3, 3),
    }
    assert shapes["rows"] == {
        "scalar": (),
        "vector": (),
        "matrix": (1, 3),
        "kernel": (2, 2, 1, 4),
        "empty": (1, 3),
    }
    assert shapes["columns"] == {
        "scalar": (),
        "vector": (),
        "matrix": (4, 1),
        "kernel": (2, 2, 3, 1),
        "empty": (0, 1),
    }
    assert shapes["calm"] == {
        "scalar": (),
        "vector": (),
        "matrix": (),
        "kernel": (2, 2),
        "empty": (),
    }
    assert shapes["m"] == {
        "scalar": (),
        "vector": (5,),
        "matrix": (),
        "kernel": (2, 2),
        "empty": (),
    }
    assert shapes["slow"] == SHAPES
    np.testing.assert_array_equal(state.l_["kernel"][1, 0], np.eye(3))
    assert {str(x.dtype) for x in jax.tree.leaves(state.l_)} == {"float32"}
    assert state.m["vector"].dtype == state.slow["kernel"].dtype == jnp.float32
    asked = exported("stacked_").scale_by(state_dtype=jnp.bfloat16).init(params)
    assert asked.m["vector"].dtype == asked.slow["kernel"].dtype == jnp.bfloat16
    assert {str(x.dtype) for x in jax.tree.leaves((asked.l_, asked.calm))} == {"float32"}
    flat = exported("adafactor").scale_by().init(params)
    assert (flat.r["kernel"].shape, flat.c["kernel"].shape) == ((12, 1), (1, 4))


def test_a_rule_for_matrices_alone_refuses_other_leaves_with_a_remedy(exported):
    module, params = exported("matrices_"), tree(0)
    with pytest.raises(ValueError, match="takes matrices; choose them with optax"):
        module.optimizer().update(params, module.optimizer().init(params))
    parts = {"matrix": module.optimizer(), "other": exported("sgd").optimizer()}
    both = optax.partition(
        parts, jax.tree.map(lambda x: "matrix" if x.ndim > 1 else "other", params)
    )
    updates, _ = both.update(params, both.init(params))
    np.testing.assert_allclose(updates["vector"], -0.1 * params["vector"], rtol=1e-6)


def test_one_decay_for_all_leaves_stands_outside_and_two_do_not(exported):
    assert len(exported("stacked_whole_").optimizer().init(jnp.ones(2))) == 3
    assert len(exported("apart_").optimizer().init(jnp.ones(2))) == 2


# --- wrappers -------------------------------------------------------------------------------------


@each_form
def test_wrappers_of_optax_accept_the_optimizer(which, exported):
    module, params = exported(which), tree(0)
    g = tree(1)
    optimizer = optax.with_extra_args_support(module.optimizer(0.01))
    mask = {name: name != "matrix" for name in SHAPES}

    def first_update(wrapped):
        return cheap_jit(
            lambda: wrapped.update(g, wrapped.init(params), params, **GIVEN, unknown=1.0)[0]
        )()

    plain = first_update(optimizer)

    chained = first_update(optax.chain(optimizer, optax.scale(2.0)))
    assert (
        relative_error(stacked(chained), stacked(jax.tree.map(lambda u: 2.0 * u, plain)))
        <= TOLERANCE
    )
    finite = first_update(optax.apply_if_finite(optimizer, 3))
    assert relative_error(stacked(finite), stacked(plain)) <= TOLERANCE
    masked = first_update(optax.masked(optimizer, mask))
    np.testing.assert_array_equal(masked["matrix"], g["matrix"])
    if which != "whole_":  # there, the leaves see each other
        np.testing.assert_allclose(masked["kernel"], plain["kernel"], rtol=TOLERANCE)

    steps = optax.MultiSteps(optimizer, every_k_schedule=2)
    state = steps.init(params)
    update = cheap_jit(partial(steps.update, **GIVEN))
    with jax.numpy_dtype_promotion(
        "standard"
    ):  # MultiSteps counts in int32 and averages in float32
        silent, state = update(g, state, params)
        emitted, _ = update(g, state, params)
    assert all(not np.any(u) for u in jax.tree.leaves(silent))
    assert relative_error(stacked(emitted), stacked(plain)) <= TOLERANCE


def stacked(values):
    return jax.tree.map(lambda x: x[None], values)


def test_a_mask_keeps_weight_decay_from_some_leaves(exported):
    params, g = {"a": jnp.ones(2), "b": jnp.ones(2)}, {"a": jnp.zeros(2), "b": jnp.zeros(2)}
    optimizer = exported("lion").lion(0.1, weight_decay=0.5, mask={"a": True, "b": False})
    updates, _ = optimizer.update(g, optimizer.init(params), params)
    np.testing.assert_allclose(updates["a"], -0.05, rtol=1e-6)
    np.testing.assert_array_equal(updates["b"], jnp.zeros(2))


# --- dtypes and trees -----------------------------------------------------------------------------


@pytest.mark.parametrize("of_grads", ["bfloat16", "float32"])
@each_form
def test_dtypes_never_change(which, of_grads, exported):
    of_params = "bfloat16"
    params, g = tree(0, dtype=of_params), tree(1, dtype=of_grads)
    mixed = (
        "strict" if of_params == of_grads else "standard"
    )  # add_decayed_weights adds w to the direction
    with jax.numpy_dtype_promotion(mixed):
        optimizer = exported(which).optimizer(0.01)
        state = optimizer.init(params)

        @cheap_jit
        def update(yes, state):
            updates, new = optax.with_extra_args_support(optimizer).update(
                g, state, params, **GIVEN
            )
            return updates, jax.lax.cond(yes, lambda: new, lambda: state)

        updates, new = update(True, state)
    assert all(u.dtype == of_grads for u in jax.tree.leaves(updates))
    assert described(new) == described(state)
    assert all(np.isfinite(np.asarray(u, np.float32)).all() for u in jax.tree.leaves(updates))


def _known(optimizer) -> dict:
    return GIVEN if isinstance(optimizer, optax.GradientTransformationExtraArgs) else {}


@each_form
def test_float64_leaves_stay_float64_beside_float32_ones(which, exported):
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        params = {"double": jnp.ones(3, jnp.float64), "single": jnp.ones(3, jnp.float32)}
        g = {"double": jnp.full(3, 0.1, jnp.float64), "single": jnp.full(3, 0.1, jnp.float32)}
        optimizer = exported(which).optimizer(0.01)
        before = optimizer.init(params)
        updates, after = jax.jit(partial(optimizer.update, **_known(optimizer)))(g, before, params)
        dtypes = {name: str(u.dtype) for name, u in updates.items()}
        assert dtypes == {"double": "float64", "single": "float32"}
        assert [x.dtype for x in jax.tree.leaves(before)] == [
            x.dtype for x in jax.tree.leaves(after)
        ]


def test_scalars_are_computed_in_float32_beside_low_precision_leaves(exported):
    optimizer = exported("adam").adam(1.0)
    g = jnp.full(3, 0.5, jnp.bfloat16)
    updates, _ = optimizer.update(g, optimizer.init(g))
    # 0.999 is 1 in bfloat16, where 1 - 0.999 would be 0
    np.testing.assert_array_equal(updates, jnp.full(3, -1.0, jnp.bfloat16))


def test_complex_parameters_are_refused_with_a_remedy(exported):
    with pytest.raises(TypeError, match="split_real_and_imaginary"):
        exported("adam").adam().init(jnp.ones(2, jnp.complex64))
    optimizer = exported("sgd").sgd()
    with pytest.raises(TypeError, match="split_real_and_imaginary"):
        optimizer.update(jnp.ones(2, jnp.complex64), optimizer.init(jnp.ones(2, jnp.complex64)))


@each_form
def test_none_leaves_empty_trees_and_python_numbers_are_parameters(which, exported):
    optimizer = exported(which).optimizer(0.01)
    holes = {"a": jnp.ones(3), "b": None, "c": {}, "d": [()]}
    for params, g in (
        (holes, holes),
        ({}, {}),
        ({"a": 1.0}, {"a": jnp.float32(0.5)}),
    ):
        state = optimizer.init(params)
        update = cheap_jit(partial(optimizer.update, **_known(optimizer)))
        updates, new = update(g, state, params)
        assert jax.tree.structure(updates) == jax.tree.structure(g)
        assert jax.tree.structure(new) == jax.tree.structure(state)
        update(g, new, params)


@each_form
def test_abstract_parameters_initialise_the_same_state(which, exported):
    optimizer, params = exported(which).optimizer(0.01), tree(0)
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), params)
    assert described(optimizer.init(abstract)) == described(optimizer.init(params))
    assert described(jax.eval_shape(optimizer.init, params)) == described(optimizer.init(params))


@each_form
def test_state_can_be_mapped_like_parameters(which, exported):
    optimizer, params = exported(which).optimizer(0.01), tree(0)
    state = optimizer.init(params)
    marked = optax.tree.map_params(
        optimizer,
        lambda _, name: name,
        state,
        {n: n for n in SHAPES},
        transform_non_params=lambda _: "count",
    )
    fields = exported(which).scale_by().init(params)._fields
    alone = [
        name
        for name in fields
        if name in ("count", "key") and not (which == "asking_" and name == "key")
    ]
    assert sorted(jax.tree.leaves(marked)) == sorted(
        [*SHAPES] * (len(fields) - len(alone)) + ["count"] * len(alone)
    )
    same = optax.tree.map_params(optimizer, lambda x: x, state)
    assert jax.tree.structure(same) == jax.tree.structure(state)


@pytest.mark.parametrize(
    ("which", "field"), [("anchored_", "start"), ("asking_", "evaluate_at_"), ("stacked_", "slow")]
)
def test_state_that_starts_at_the_parameters_is_a_copy(which, field, exported):
    params = {"a": jnp.ones(3)}
    state = exported(which).optimizer().init(params)
    assert (
        optax.tree.get(state, field)["a"].unsafe_buffer_pointer()
        != params["a"].unsafe_buffer_pointer()
    )


@each_form
def test_the_second_step_does_not_compile_again(which, exported):
    optimizer, compiled = exported(which).optimizer(0.01), []
    params = tree(0) | {"python": 0.5}
    g = tree(1) | {"python": jnp.float32(0.1)}

    @jax.jit
    def update(state):
        compiled.append(1)
        return optimizer.update(g, state, params, **_known(optimizer))[1]

    state = optimizer.init(params)
    for _ in range(3):
        state = update(state)
    assert len(compiled) == 1
    assert int(optax.tree.get(state, "count")) == 3


def test_parameters_are_asked_for_only_where_the_rule_reads_them(exported):
    g = {"a": jnp.ones(3)}
    for which in ("adam", "inside_", "forgetful_"):
        optimizer = exported(which).optimizer()
        optimizer.update(g, optimizer.init(g))
    optimizer = exported("anchored_").optimizer()
    with pytest.raises(ValueError, match="call update\\(updates, state, params\\)"):
        optimizer.update(g, optimizer.init(g))


def test_dead_state_and_dead_hyperparameters_are_left_out(exported):
    module = exported("forgetful_")
    assert module.scale_by().init(jnp.ones(2))._fields == ("count", "m")
    assert "idle" not in module.optimizer.__annotations__


def test_variables_with_names_that_the_file_needs_are_renamed(exported):
    state = exported("awkward_").scale_by().init(jnp.ones(2))
    assert state._fields == ("count", "updates_", "m", "state_")
    state = exported("asking_").scale_by().init(jnp.ones(2))
    assert state._fields == ("count", "key1", "key2", "evaluate_at", "evaluate_at_")
