"""Exported optimizers as users of Optax set them up: 16 bits, frozen leaves, groups, masks."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from kit.compiling import cheap_jit

import baselines
from primitives import parse
from primitives.export.optax import OptaxFunctions, to_optax
from primitives.export.rule import exported_rule
from primitives.statements import KERNELS

FORMS = {  # each form of a file, by one program
    "adam": "each leaf, the rate outside",
    "averaged_sgd": "parameters to evaluate at beside the states",
    "schedule_free_adamw": "states that start at the parameters, the rate inside",
    "dadapt_adamw": "the whole model",
    "muon": "matrices and others",
}
each_form = pytest.mark.parametrize("name", FORMS)
PARAMS = {"a": jnp.linspace(0.5, 1.0, 6).reshape(3, 2), "b": jnp.full(2, -0.5, jnp.float32)}
GRADIENTS = {"a": jnp.linspace(-1.0, 0.25, 6).reshape(3, 2), "b": jnp.asarray([0.5, 2.0])}
GIVEN = {"value": 0.5, "hvp": lambda x: x, "gnvp": lambda x: x}

STACKS = """
learning_rate = 0.1
c = 0.5
left_side = left(0.0)
size = scalar(0.0)
kernels = stack()

def step(w, g, lr):
    now = gram_left(g)
    left_side = interp(now, left_side, 0.9)
    length = norm(g)
    size = interp(length, size, 0.5)
    d = left_side @ g
    d = d / size
    p = w * c
    d = d + p
    d = tanh(d)
    return d * lr

def fallback(w, g, lr):
    p = w * c
    d = g + p
    d = tanh(d)
    return d * lr
"""


@cache
def functions(name: str) -> OptaxFunctions:
    return to_optax(baselines.get(name))


def step(optimizer, gradients, params, state=None, times=1):
    """Updates and state after some steps."""
    optimizer = optax.with_extra_args_support(optimizer)

    @cheap_jit
    def walk(gradients, params, state):
        state = optimizer.init(params) if state is None else state
        updates = None
        for _ in range(times):
            updates, state = optimizer.update(gradients, state, params, **GIVEN)
        return updates, state

    return walk(gradients, params, state)


def assert_close(ours, theirs, rtol=1e-6):
    for x, y in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-7)


def as_dtype(tree, dtype):
    return jax.tree.map(lambda x: x.astype(dtype), tree)


# --- 16 bits --------------------------------------------------------------------------------------


@each_form
def test_numbers_of_16_bits_are_refused_with_a_remedy_that_works(name):
    dtype = {"adam": "float16"}.get(name, "bfloat16")
    params, gradients = as_dtype(PARAMS, dtype), as_dtype(GRADIENTS, dtype)
    make = partial(optax.inject_hyperparams, functions(name).optimizer)
    if not exported_rule(baselines.get(name)).inner:
        assert make()(learning_rate=1.0).init(params)
        return
    with pytest.raises(TypeError, match=f"in {dtype}, .* hyperparam_dtype=jnp.float32"):
        make()(learning_rate=1.0).init(params)
    injected = make(hyperparam_dtype=jnp.float32)(learning_rate=1.0)
    with jax.numpy_dtype_promotion("standard"):  # the rate is of float32, the gradient is not
        ours, _ = step(injected, gradients, params)
        theirs, _ = step(functions(name).optimizer(1.0), gradients, params)
    assert_close(as_dtype(ours, "float32"), as_dtype(theirs, "float32"), rtol=2e-2)  # rounded


DEGENERATE = {  # numbers of which a divisor is made, at the end of their range
    "adam": ("beta1", "beta2"),
    "adamw": ("beta1", "beta2"),
    "lamb": ("beta2",),
    "adan": ("beta1", "beta2", "beta3"),
    "schedule_free_adamw": ("beta2",),
    "muon": ("beta2",),
}


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, them in DEGENERATE.items() for number in them]
)
def test_a_number_outside_its_range_gives_nan_and_no_leap(name, number):
    updates, _ = step(functions(name).optimizer(1.0, **{number: 1.0}), GRADIENTS, PARAMS)
    assert np.isnan(updates["b"]).all()


@pytest.mark.parametrize("divisor", ["t - 3.0", "t % 3.0", "1.0 - p", "h - 0.5", "cos(t)"])
def test_a_divisor_that_is_0_in_some_step_stays_total(divisor):
    program = parse(
        "h = 0.5\n\ndef step(g, t):\n    s = t - 1.0\n    p = h ** s\n"
        f"    d = {divisor}\n    return g / d\n"
    )
    optimizer, state = to_optax(program).optimizer(), None
    plain = divisor == "cos(t)"  # changes its sign, and is never 0
    for _ in range(3):
        updates, state = step(optimizer, GRADIENTS, PARAMS, state)
        assert np.isfinite(updates["b"]).all()
    assert ("_quotient(g, d)" in to_optax(program).source) or plain


@each_form
def test_the_steps_of_16_bits_are_those_of_float32_on_the_same_gradients(name):
    """Parameters in float32, gradients in 16 bits: nothing is rounded that was not given so."""
    gradients = as_dtype(GRADIENTS, jnp.bfloat16)
    optimizer = functions(name).optimizer(0.1)
    ours, state = step(optimizer, gradients, PARAMS, times=2)
    theirs, same = step(optimizer, as_dtype(gradients, jnp.float32), PARAMS, times=2)
    for x, y in zip(jax.tree.leaves((ours, state)), jax.tree.leaves((theirs, same)), strict=True):
        assert x.dtype == y.dtype
        assert jnp.all(x == y)


@each_form
def test_states_are_in_float32_unless_another_dtype_is_asked_for(name):
    make, params = functions(name).optimizer, as_dtype(PARAMS, jnp.bfloat16)

    def dtypes(**asked):
        leaves = jax.tree.leaves(jax.eval_shape(make(0.1, **asked).init, params))
        return {str(x.dtype) for x in leaves if jnp.issubdtype(x.dtype, jnp.floating)}

    assert dtypes() == {"float32"}
    assert "bfloat16" in dtypes(state_dtype="bfloat16")
    assert dtypes(state_dtype="float16") <= {"float16", "float32"}


@each_form
def test_leaves_of_float32_are_never_cast(name):
    optimizer = optax.with_extra_args_support(functions(name).optimizer(0.1))
    update = partial(optimizer.update, **GIVEN)
    step = jax.make_jaxpr(update)(GRADIENTS, jax.eval_shape(optimizer.init, PARAMS), PARAMS)
    casts = [e.invars[0].aval for e in step.eqns if e.primitive.name == "convert_element_type"]
    assert not [x for x in casts if x.ndim and x.dtype == jnp.float32]


def test_an_average_does_not_stall_in_16_bits():
    """Of equal gradients, Adam's step is the learning rate for ever."""
    g = {"a": jnp.ones(2, jnp.bfloat16)}
    optimizer = functions("adam").optimizer(1.0)
    last = jax.jit(
        lambda: jax.lax.scan(
            lambda state, _: optimizer.update(g, state, g)[::-1], optimizer.init(g), None, 5000
        )[1]["a"][-1]
    )()
    np.testing.assert_array_equal(last, -jnp.ones(2, jnp.bfloat16))


# --- leaves that are not trained ------------------------------------------------------------------

FROZEN = {"buffer": jnp.arange(3), "frozen": jnp.ones((2, 3)), "part": {"x": jnp.ones(2)}}


@pytest.mark.parametrize("name", [*FORMS, "newton_cg"])  # the last asks for a whole matrix
def test_a_leaf_without_a_gradient_keeps_its_state_and_changes_no_other(name):
    optimizer = functions(name).optimizer(0.1)
    params = PARAMS | FROZEN
    gradients = GRADIENTS | dict.fromkeys(FROZEN)
    before = optimizer.init(params)
    updates, after = step(optimizer, gradients, params, before)
    assert jax.tree.structure(after) == jax.tree.structure(before)
    assert [updates[name] for name in FROZEN] == [None, None, None]
    expected, _ = step(optimizer, GRADIENTS, PARAMS)
    assert_close({name: updates[name] for name in PARAMS}, expected)


@each_form
def test_a_gradient_that_is_no_number_is_refused_by_the_name_of_its_leaf(name):
    optimizer, params = functions(name).optimizer(0.1), PARAMS | FROZEN
    zero = np.zeros(3, jax.dtypes.float0)  # what jax.grad(allow_int=True) gives
    gradients = GRADIENTS | dict.fromkeys(FROZEN) | {"buffer": zero}
    with pytest.raises(TypeError, match=r"\['buffer'\] is of dtype float0; give None"):
        step(optimizer, gradients, params)


# --- groups ---------------------------------------------------------------------------------------

AVERAGING = [name for name in baselines.names() if baselines.get(name).evaluate_at]


@pytest.mark.parametrize("name", AVERAGING)
def test_the_parameters_to_evaluate_at_come_from_the_group_that_holds_the_leaf(name):
    own = functions(name)
    params = PARAMS | {"c": jnp.ones(2), "d": {"e": jnp.ones(3)}}
    gradients = jax.tree.map(lambda p: 0.5 * p, params)
    groups = {"slow": own.optimizer(0.01), "fast": own.optimizer(0.5), "other": optax.sgd(0.1)}
    labels = {"a": "slow", "b": "fast", "c": "other", "d": {"e": "fast"}}
    _, state = step(optax.partition(groups, labels), gradients, params, times=2)
    points = own.eval_params(state, params)
    assert jax.tree.structure(points) == jax.tree.structure(params)
    assert points["c"] is params["c"]
    for leaf, group in (("a", "slow"), ("b", "fast"), ("d", "fast")):
        _, alone = step(groups[group], gradients[leaf], params[leaf], times=2)
        assert_close(points[leaf], own.eval_params(alone, params[leaf]))

    as_dicts = _restored(state)
    assert_close(own.eval_params(as_dicts, params), points)
    with pytest.raises(ValueError, match=f"finds no state of {name}"):
        own.eval_params(optax.sgd(0.1).init(params), params)


def _restored(state):
    """A state as orbax restores it without a target: named tuples are dicts, tuples are lists."""
    if hasattr(state, "_fields"):
        return {name: _restored(x) for name, x in zip(state._fields, state, strict=True)}
    if isinstance(state, dict):
        return {name: _restored(x) for name, x in state.items()}
    return [_restored(x) for x in state] if isinstance(state, tuple | list) else state


@pytest.mark.parametrize("name", AVERAGING)
def test_the_parameters_to_evaluate_at_have_the_dtype_of_the_parameters(name):
    params = as_dtype(PARAMS, jnp.bfloat16)
    points = functions(name).eval_params(functions(name).optimizer().init(params), params)
    assert {x.dtype for x in jax.tree.leaves(points)} == {jnp.bfloat16.dtype}


# --- weight decay ---------------------------------------------------------------------------------

DECAYS = ("weight_decay", "decay_ratio")
DECAYING = {
    "outside": "adamw",
    "in the norm": "lamb",
    "in the divisor of both": "lars",
    "in an average": "novograd",
    "in the step and its divisor": "adan",
    "times the rate": "schedule_free_adamw",
    "of matrices and others": "muon",
    "where leaves see each other": "dadapt_adamw",
}


def test_every_weight_decay_of_the_known_optimizers_can_be_masked():
    decaying = [name for name in baselines.names() if {*DECAYS} & {*baselines.get(name).values}]
    assert len(decaying) > 30
    for name in decaying:
        rule = exported_rule(baselines.get(name))
        [found] = rule.decays or {rule.decay}
        assert found in DECAYS, name


@pytest.mark.parametrize("name", DECAYING.values(), ids=DECAYING)
def test_a_masked_leaf_takes_the_step_of_a_leaf_without_decay(name):
    make, mask = partial(functions(name).optimizer, 0.1), {"a": True, "b": False}
    ours, _ = step(make(weight_decay=0.5, mask=mask), GRADIENTS, PARAMS)
    same, _ = step(make(weight_decay=0.5, mask=lambda p: mask), GRADIENTS, PARAMS)
    assert_close(ours, same)
    without, _ = step(make(weight_decay=0.0), GRADIENTS, PARAMS)
    decayed, _ = step(make(weight_decay=0.5), GRADIENTS, PARAMS)
    assert_close(ours, {"a": decayed["a"], "b": without["b"]})


def test_a_mask_of_stacks_of_matrices_is_one_of_leaves():
    make = partial(to_optax(parse(STACKS)).optimizer, 1.0)
    params = {"a": jnp.ones((2, 2, 3, 4)), "b": jnp.ones((3, 4)), "c": jnp.ones(2)}
    ours, _ = step(make(mask={"a": False, "b": True, "c": False}), params, params)
    zero, _ = step(make(c=0.0), params, params)
    full, _ = step(make(), params, params)
    assert_close(ours, zero | {"b": full["b"]})


# --- random numbers -------------------------------------------------------------------------------


def test_members_of_an_ensemble_draw_their_own_numbers_where_the_seed_is_mapped():
    make = functions("noisy_sgd").optimizer
    g = {"a": jnp.zeros(50)}

    def first(seed):
        optimizer = make(0.1, seed=seed)
        return optimizer.update(g, optimizer.init(g), g)[0]["a"]

    own = cheap_jit(jax.vmap(first))(jnp.arange(3))
    assert np.abs(np.corrcoef(own) - np.eye(3)).max() < 0.5
    assert "jax.vmap" in make.__doc__
    assert "jax.lax.axis_index" in make.__doc__


def test_a_rule_of_two_groups_says_that_global_is_of_one():
    said = "of the whole model is of all matrices here"
    program = parse(
        "def step(g):\n    return clip_by_global_norm(g, 1.0)\n\n"
        "def fallback(g):\n    return g * 0.1\n"
    )
    assert said in " ".join(to_optax(program).source.split())
    assert said not in " ".join(functions("muon").source.split())


def test_eigenvectors_that_rounding_chooses_are_told_in_the_file():
    assert "rounding chooses" in " ".join(functions("soap").source.split())


# --- layout ---------------------------------------------------------------------------------------

LAID = {  # by letters: the shape of a leaf, and how its matrices are found by hand
    "rc": ((4, 6), lambda x: x),
    "cr": ((4, 6), lambda x: x.T),
    "rcc": ((4, 3, 2), lambda x: x.reshape(4, 6)),  # attention, first axis | rest
    "rrc": ((2, 2, 6), lambda x: x.reshape(4, 6)),
    "crr": ((6, 2, 2), lambda x: x.reshape(6, 4).T),
    "crc": ((2, 4, 3), lambda x: x.transpose(1, 0, 2).reshape(4, 6)),
    "src": ((3, 4, 6), list),  # scanned layers
    "rsc": ((4, 3, 6), lambda x: list(x.transpose(1, 0, 2))),
    "scrs": ((2, 6, 4, 3), lambda x: list(x.transpose(0, 3, 2, 1).reshape(6, 4, 6))),
    "": ((4, 6), lambda x: x.reshape(-1)),
}


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_leaf_takes_the_steps_of_the_matrices_that_its_layout_says(kernels):
    own = to_optax(parse(STACKS.replace("stack()", f"{kernels}()")))
    rng = np.random.default_rng(0)
    params = {f"leaf {x}": np.float32(rng.normal(size=shape)) for x, (shape, _) in LAID.items()}
    layout = {f"leaf {x}": x for x in LAID}
    params["own"], layout["own"] = np.float32(rng.normal(size=3)), None
    by_hand = {f"leaf {x}": alone(params[f"leaf {x}"]) for x, (_, alone) in LAID.items()}
    by_hand["own"] = params["own"]
    mask = {leaf: leaf != "leaf src" for leaf in params}

    expected, _ = step(own.optimizer(0.1, mask=mask), by_hand, by_hand, times=2)
    make = partial(own.optimizer, 0.1, mask=lambda _: mask)
    found, state = step(make(layout=layout), params, params, times=2)
    for x, (shape, alone) in LAID.items():
        assert found[f"leaf {x}"].shape == shape
        assert_close(alone(found[f"leaf {x}"]), expected[f"leaf {x}"], rtol=1e-5)
    assert_close(found["own"], expected["own"])

    made = make(layout=lambda p: {leaf: layout[leaf] for leaf in p})
    abstract = jax.eval_shape(lambda: made.update(params, made.init(params), params)[1])
    assert jax.tree.structure(abstract) == jax.tree.structure(state)


def test_muon_takes_the_steps_of_attention_and_of_scanned_layers():
    optimizer = functions("muon").optimizer(0.1, layout={"heads": "rcc", "layers": "src"})
    rng = np.random.default_rng(0)
    heads, layers = (np.float32(rng.normal(size=shape)) for shape in ((16, 4, 8), (2, 8, 4)))
    params = {"heads": heads, "layers": layers}
    by_hand = {"heads": heads.reshape(16, 32), "layers": [*layers]}
    found, _ = step(optimizer, params, params)
    expected, _ = step(functions("muon").optimizer(0.1), by_hand, by_hand)
    assert_close(found["heads"].reshape(16, 32), expected["heads"], rtol=1e-5)
    assert_close([*found["layers"]], expected["layers"], rtol=1e-5)


def test_muon_of_first_axes_reads_every_leaf_so_that_has_no_layout():
    muon = baselines.get("muon")
    optimizer = to_optax(replace(muon, kernels="first_axis"))
    rng = np.random.default_rng(0)
    shapes = {"heads": (16, 4, 8), "dense": (8, 4), "conv": (2, 3, 4), "bias": (3,)}
    params = {name: np.float32(rng.normal(size=shape)) for name, shape in shapes.items()}
    by_hand = params | {
        "heads": params["heads"].reshape(16, 32),
        "conv": params["conv"].reshape(6, 4),
    }
    found, _ = step(
        optimizer.optimizer(0.1, layout=dict.fromkeys(shapes) | {"conv": "rrc"}), params, params
    )
    expected, _ = step(functions("muon").optimizer(0.1), by_hand, by_hand)
    for name, leaf in params.items():
        assert_close(found[name], expected[name].reshape(leaf.shape), rtol=1e-5)
    assert "the columns of a kernel are all its axes but the first" in " ".join(
        optimizer.source.split()
    )


@pytest.mark.parametrize("letters", ["r", "rrr", "rcx", "rc", "sss", "rcsc"])
def test_letters_that_do_not_fit_a_leaf_are_refused_with_what_to_write(letters):
    params = {"a": jnp.ones((2, 3, 4)), "b": jnp.ones(2)}
    optimizer = functions("muon").optimizer(layout={"a": letters, "b": None})
    with pytest.raises(ValueError, match=f"layout '{letters}' is not of a leaf .* with an r and"):
        optimizer.init(params)
