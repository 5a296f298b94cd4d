"""What a seed draws anew: scales, horizon, batch; and parameters that are stored in few bits."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evolve.scoring.loops import as_bfloat16, machine_loop
from evolve.scoring.trial import Trials, last_step, seed_key, tail
from primitives import parse
from primitives.machine.step import Bank
from proxy_tasks import make_task, oracles
from proxy_tasks.augmentation import SCALE, drawn_steps, scales, seen, smaller_batches
from proxy_tasks.contract import faults

SMALL = {"width": 4, "batch": 8, "steps": 12, "schedule": "constant"}
VARIED = {"vary_scale": 1.0, "vary_leaves": 1.0}

SIGNS = """
learning_rate = 0.01
def step(w, g, lr):
    d = sign(g)
    return d * lr
"""
RELATIVE = """
learning_rate = 0.01
def step(w, g, lr):
    size = norm(w)
    slope = norm(g)
    d = g / slope
    d = d * size
    return d * lr
"""


@functools.cache
def dense(**more) -> Trials:
    return Trials(make_task("digits_dense", **SMALL, **more))


def loss(trials: Trials, text: str, seed: str, rate: float = 0.01) -> float:
    """Train call by call, which compiles nothing for a program."""
    program, begin = parse(text).with_values({"learning_rate": rate}), trials.begin(seed)
    ((w, finite),) = trials.stepwise(program).segments(
        program, begin, trials.schedule, [last_step(trials.task, begin)]
    )
    assert finite
    return trials.evaluate(w, begin.data)


def test_a_task_that_does_not_vary_is_seen_as_it_is():
    task = make_task("digits_dense", **SMALL)
    assert seen(task) is task
    assert drawn_steps(task, jax.random.key(0)) is None
    off = dataclasses.replace(task, vary_scale=0.0, vary_steps=0.0, storage="float32")
    assert off.fingerprint == task.fingerprint
    for name, value in (*VARIED.items(), ("vary_steps", 0.5), ("vary_batch", 1)):
        assert dataclasses.replace(task, **{name: value}).fingerprint != task.fingerprint


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"vary_steps": 1}, "vary_steps must be below 1, a share of the steps, not 1"),
        ({"vary_batch": 4}, "cannot halve the batch so often: there is a batch of 8"),
        ({"storage": "int8"}, "storage must be one of float32 and bfloat16, not 'int8'"),
    ],
)
def test_what_cannot_vary_is_said_in_one_sentence(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_task("digits_dense", **SMALL, **fields)
    with pytest.raises(ValueError, match="there is no field `batch`"):
        make_task("noisy_quadratic", vary_batch=1)


def test_scales_do_not_change_the_function_and_multiply_the_gradient():
    plain, varied = dense(), dense(**VARIED)
    p, w = (t.layout.unflatten(t.begin("1").w) for t in (plain, varied))
    data, draw = varied.begin("1").data, plain.begin("1").draws.task[0]
    scale = data[SCALE]
    assert len({float(s) for s in jax.tree.leaves(scale)}) == 4
    before, slope = jax.value_and_grad(plain.task.loss)(p, plain.begin("1").data, draw)
    after, steeper = jax.value_and_grad(varied.seen.loss)(w, data, draw)
    np.testing.assert_allclose(after, before, rtol=1e-5)
    for s, g, h in zip(*map(jax.tree.leaves, (scale, slope, steeper)), strict=True):
        np.testing.assert_allclose(h, s * g, rtol=1e-4, atol=1e-5 * float(s))


def test_scales_are_log_uniform_over_the_decades_asked_for():
    task, params = make_task("digits_dense", **SMALL, vary_scale=2.0), {"a": {"w": np.zeros(1)}}
    draw = jax.vmap(lambda seed: scales(task, jax.random.key(seed), params)["a"]["w"])
    decades = np.sort(np.log10(draw(np.arange(2000))))
    np.testing.assert_allclose(decades, np.linspace(-2, 2, 2000), atol=0.2)


def test_an_optimizer_of_signs_meets_another_learning_rate_and_a_relative_one_meets_the_same_task():
    plain, varied = dense(), dense(vary_scale=0.5)
    factor = float(jax.tree.leaves(varied.begin("3").data[SCALE])[0])
    assert abs(np.log(factor)) > 0.1
    same = loss(plain, SIGNS, "3", 0.01 * factor)
    assert loss(varied, SIGNS, "3") == pytest.approx(same, rel=1e-3)
    assert loss(plain, SIGNS, "3") != pytest.approx(same, rel=1e-2)
    assert loss(varied, RELATIVE, "3") == pytest.approx(loss(plain, RELATIVE, "3"), rel=1e-3)


def test_what_goes_into_a_scaled_layer_and_comes_back_makes_its_gradient():
    varied = dense(**VARIED)
    begin, key = varied.begin("2"), jax.random.key(5)
    w, draw = varied.layout.unflatten(begin.w), begin.draws.task[0]
    found = oracles.layers(varied.seen, w, begin.data, draw, key)

    def penalty(w):
        predictions = varied.seen.predict(w, begin.data, draw)
        targets = varied.task.sample(key, jax.lax.stop_gradient(predictions))
        return varied.task.penalty(predictions, targets)

    for name, layer in jax.grad(penalty)(w).items():
        inputs, signals = found[name]
        kernel = np.einsum("ri,ro->io", inputs, signals) / len(inputs)
        size = float(np.abs(layer["kernel"]).max())
        np.testing.assert_allclose(kernel, layer["kernel"], rtol=1e-3, atol=1e-4 * size)


def test_a_smaller_batch_is_the_mean_of_its_first_rows():
    task = make_task("digits_dense", **SMALL, vary_batch=2)
    draws = np.arange(2 * 8).reshape(2, 8)
    sizes = {len(np.unique(smaller_batches(task, jax.random.key(k), draws)[1])) for k in range(20)}
    assert sizes == {8, 4, 2}
    with pytest.raises(ValueError, match=r"vary_batch needs draws of shape \[steps, batch"):
        smaller_batches(task, jax.random.key(0), np.zeros(8))


def test_nothing_compiles_anew_from_seed_to_seed_and_a_share_of_a_horizon_stays_a_share():
    everything = VARIED | {"vary_steps": 0.75, "vary_batch": 1, "storage": "bfloat16"}
    trials = Trials(make_task("digits_dense", **SMALL | {"schedule": "cosine"}, **everything))
    program = parse(SIGNS)
    run, args = trials.compiled(program)
    ends = set()
    for seed in "0123456":
        begin = trials.begin(seed)
        ends.add(end := last_step(trials.task, begin))
        rates = np.asarray(trials.rates("", end))
        shorter = dataclasses.replace(trials.task, steps=end).learning_rates()
        np.testing.assert_array_equal(rates[:end], shorter)
        assert not rates[end:].any()
        assert len(rates) == 12
        for w, _ in run.segments(args, begin, trials.rates("", end), [end // 2, end]):
            np.testing.assert_array_equal(w, as_bfloat16(w))
    assert run.compiled._cache_size() == trials._start._cache_size() == 1
    assert len(ends) > 2
    assert ends <= set(range(3, 13))


def test_a_step_below_the_last_bit_is_lost_in_bfloat16_and_kept_in_float32():
    task = make_task("noisy_quadratic", dim=8, steps=5, schedule="constant")
    for storage, moves in (("float32", True), ("bfloat16", False)):
        trials = Trials(dataclasses.replace(task, storage=storage))
        begin, tiny = trials.begin("0"), parse(SIGNS).with_values({"learning_rate": 1e-6})
        run, args = trials.compiled(tiny)
        ends = [run(args, begin, trials.schedule)[0]]
        ends += [w for w, _ in trials.stepwise(tiny).segments(tiny, begin, trials.schedule, [5])]
        assert all(bool((w != begin.w).any()) is moves for w in ends)


def test_a_final_loss_is_the_mean_of_the_evaluations_at_the_end():
    task = make_task("noisy_quadratic", dim=8, steps=40, schedule="constant")
    program = parse(SIGNS)
    once = Trials(task, memory=1.0)
    often = Trials(dataclasses.replace(task, evaluations=4), memory=1.0)
    assert tail(often.task, 40) == [37, 38, 39, 40]
    assert tail(task, 40) == [40]
    apart = list(once.losses(program, "0", [20, 37, 38, 39, 40]))
    half, final = often.losses(program, "0", [20, 40])
    assert half == apart[0]
    assert final == pytest.approx(np.mean(apart[1:]), rel=1e-12)
    assert often.loss(program, "0") == final != apart[-1]


def test_every_loop_rounds_the_parameters_and_nothing_else():
    x = jnp.array([1.0 + 2.0**-9, -3.14159265], jnp.float32)
    np.testing.assert_array_equal(as_bfloat16(x), x.astype(jnp.bfloat16).astype(jnp.float32))
    layout = dense().layout
    bank = machine_loop(layout).change(as_bfloat16, Bank(x, x[None], x))
    np.testing.assert_array_equal(bank.w, as_bfloat16(x))
    np.testing.assert_array_equal(bank.vectors, x[None])


def test_a_task_that_varies_keeps_its_contract():
    assert faults(make_task("noisy_quadratic", dim=4, steps=3, **VARIED)) == []


def test_the_scales_of_a_seed_come_from_its_key_alone():
    varied = dense(**VARIED)
    params = varied.task.init(jax.random.split(seed_key("1"), 3)[0])
    expected = scales(varied.task, jax.random.fold_in(seed_key("1"), 4), params)
    for a, b in zip(*map(jax.tree.leaves, (varied.begin("1").data[SCALE], expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
