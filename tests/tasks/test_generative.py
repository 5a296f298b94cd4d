"""Second opinions on what imitates data, on word vectors and on the cart and its pole."""

import functools
import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from kit.compiling import cheap_jit

from proxy_tasks import TASKS, make_task
from proxy_tasks.control import cart_pole
from proxy_tasks.data.digits import digits
from proxy_tasks.data.topics import topics
from proxy_tasks.data.words import words
from proxy_tasks.generative.adversarial_pair import energy_distance


@functools.cache
def begun(kind):
    """Build a small task, with parameters away from zero biases, and the draw of a step."""
    task = make_task(kind, **TASKS[kind].small)
    rng = np.random.default_rng(1)
    params = jax.tree.map(
        lambda w: w + 0.1 * rng.standard_normal(w.shape, np.float32),
        cheap_jit(task.init)(jax.random.key(0)),
    )
    draws = cheap_jit(task.draws)(jax.random.key(1))
    return task, params, jax.tree.map(jnp.asarray, task.data()), draws


def images(part):
    return jnp.asarray(digits()[part]["image"]).reshape(-1, 64)


# Autoencoders and diffusion.


def test_the_mean_image_costs_an_autoencoder_all_of_the_variance():
    task, params, data, _ = begun("autoencoder")
    blind = jax.tree.map(jnp.zeros_like, params)
    blind["image"]["bias"] = images("test").mean(axis=0)
    np.testing.assert_allclose(task.evaluate(blind, data, "test"), 1.0, rtol=1e-6)


def test_a_silent_encoder_costs_no_divergence_and_a_mean_what_it_is_squared():
    task, params, data, _ = begun("variational_autoencoder")
    plain = jax.tree.map(jnp.zeros_like, params)
    missed = 0.5 * np.sum(np.square(images("test"), dtype=np.float64), axis=1).mean() / 0.2**2
    np.testing.assert_allclose(task.evaluate(plain, data, "test"), missed, rtol=1e-6)

    last, told = task.names("encoder")[-1], np.array([0.5, -1.0, 0.3, -0.7])  # means, log variances
    plain[last]["bias"] = jnp.asarray(told, jnp.float32)
    mean, spread = told[:2], np.exp(0.5 * told[2:])
    # KL(N(m, s) || N(0, 1)) = E log density ratio, by quadrature
    ways = [scipy.stats.norm(m, s) for m, s in zip(mean, spread, strict=True)]
    told_by = sum(w.expect(lambda x, w=w: w.logpdf(x) - scipy.stats.norm.logpdf(x)) for w in ways)
    np.testing.assert_allclose(task.evaluate(plain, data, "test"), missed + told_by, rtol=1e-6)


def test_saying_nothing_about_noise_costs_its_variance():
    task, params, data, _ = begun("diffusion")
    silent = jax.tree.map(jnp.zeros_like, params)
    # 360 images at 16 times, 64 pixels: the standard error of the mean square is 0.002
    np.testing.assert_allclose(task.evaluate(silent, data, "test"), 1.0, atol=0.01)


# The adversarial pair.


def test_the_energy_distance_is_that_of_scipy_on_a_line():
    x, y = np.random.default_rng(2).normal([[[0]], [[1]]], 1, (2, 60, 1)).astype(np.float32)
    theirs = scipy.stats.energy_distance(x[:, 0], y[:, 0]) ** 2
    ours = energy_distance(jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)  # |x - y| as a root of float32 squares


def test_neither_one_image_many_times_nor_noise_comes_near_real_digits():
    real = cheap_jit(energy_distance)
    test, train = images("test"), images("train")[:360]
    honest = float(real(test, train))
    assert 0 < honest < 0.03
    for fake in (
        jnp.broadcast_to(train[0], train.shape),
        jnp.broadcast_to(train.mean(axis=0), train.shape),
        jnp.asarray(np.random.default_rng(3).uniform(size=train.shape), jnp.float32),
        jnp.concatenate([train[:10]] * 36),  # ten images, that is a collapse to a few modes
    ):
        assert float(real(test, fake)) > 5 * honest


def test_each_of_the_pair_follows_its_own_loss():
    task, params, data, draws = begun("adversarial_pair")
    draw = jax.tree.map(lambda leaf: leaf[0], draws)
    real = images("train")[draw["rows"]]
    made = task.generate(params, draw["codes"])

    def of_generator(w):
        return task.loss_of_generator(params, task.generate(params | w, draw["codes"]))

    def part(network):
        return {name: params[name] for name in task.names(network)}

    both = cheap_jit(jax.grad(lambda w: task.loss(w, data, draw)))(params)
    critic = cheap_jit(jax.grad(lambda w: task.loss_of_critic(params | w, real, made)))
    theirs = critic(part("critic")) | cheap_jit(jax.grad(of_generator))(part("generator"))
    assert both.keys() == theirs.keys()
    for name, layer in both.items():
        for leaf, gradient in layer.items():
            np.testing.assert_allclose(gradient, theirs[name][leaf], rtol=1e-4, atol=1e-6)


# Word vectors.


def test_words_are_numbered_by_frequency_and_rarer_ones_are_left_out():
    number = words(50)
    counts = np.bincount(number["train"])
    assert len(counts) == 50
    assert (np.diff(counts) <= 0).all()
    text = re.findall("[a-z]+", topics().lower())
    assert Counter(text).most_common(1)[0][0] == "the"
    assert sum(np.sum(part == 0) for part in number.values()) == text.count("the")


def test_the_evaluation_of_word_vectors_is_what_their_loss_is_on_average():
    task, params, data, draws = begun("skip_gram")
    each = cheap_jit(jax.vmap(lambda draw: task.loss(params, data, draw)))(draws)
    error = np.std(each) / np.sqrt(len(each))
    assert error < 0.01
    np.testing.assert_allclose(task.evaluate(params, data, "train"), np.mean(each), atol=4 * error)


def test_words_that_a_step_does_not_look_up_have_no_gradient():
    task, params, data, draws = begun("skip_gram")
    draw = jax.tree.map(lambda leaf: leaf[0], draws)
    gradient = cheap_jit(jax.grad(lambda w: task.loss(w, data, draw)))(params)
    text = np.asarray(data["train"])
    looked_up = {
        "word": set(text[draw["place"]].tolist()),
        "neighbour": {*text[draw["place"] + draw["aside"]].tolist(), *draw["random"].tolist()},
    }
    for name, rows in looked_up.items():
        moved = np.flatnonzero(np.any(np.asarray(gradient[name]["table"]) != 0, axis=1))
        assert set(moved.tolist()) == rows
        assert len(rows) < task.vocabulary


# The cart and its pole.


def test_the_cart_and_its_pole_obey_their_equations():
    states = np.random.default_rng(4).uniform(-1, 1, (20, 4)).astype(np.float32)
    force = np.linspace(-10, 10, 20, dtype=np.float32)
    after = np.asarray(cart_pole.moved(jnp.asarray(states), jnp.asarray(force)), np.float64)
    _, speed, angle, turning = states.T.astype(np.float64)
    push, twist = (after[:, 1] - speed) / 0.04, (after[:, 3] - turning) / 0.04
    # Lagrange's equations of the two, with a uniform pole of half-length 0.5
    along = 1.1 * push + 0.1 * 0.5 * (twist * np.cos(angle) - turning**2 * np.sin(angle))
    np.testing.assert_allclose(along, force, atol=1e-3)  # float32 differences over 0.04 s
    around = 4 / 3 * 0.5 * twist + push * np.cos(angle)
    np.testing.assert_allclose(around, 9.8 * np.sin(angle), atol=1e-3)
    np.testing.assert_allclose(after[:, 2], angle + 0.04 * after[:, 3], rtol=1e-5, atol=1e-6)


def test_the_policy_gradient_is_that_of_log_probabilities_times_the_cost_to_come():
    task, params, data, draws = begun("cart_pole")
    draw = jax.tree.map(lambda leaf: leaf[0], draws)
    value, gradient = cheap_jit(jax.value_and_grad(lambda w: task.loss(w, data, draw)))(params)
    seen, costs = task.play(params, draw["start"], draw["noise"])
    costs, up = np.asarray(costs, np.float64), ~np.asarray(cart_pole.fallen(seen))
    assert 0 < up.mean() < 1
    np.testing.assert_allclose(value, costs.mean(), rtol=1e-5)

    ticks = np.arange(task.ticks)
    ahead = ticks - ticks[:, None]
    to_come = np.where(ahead >= 0, 0.95 ** np.abs(ahead), 0.0) @ costs
    blame = np.where(up, to_come - to_come.mean(axis=1, keepdims=True), 0)
    # the last bias moves every action alike: d log p / d bias = (action - policy) / σ²
    expected = np.mean(blame * np.asarray(draw["noise"], np.float64) / 0.5**2)
    np.testing.assert_allclose(gradient["layer_1"]["bias"][0], expected, rtol=1e-3)


@pytest.mark.parametrize("state", [(2.5, 0, 0, 0), (0, 0, -0.21, 0)])
def test_a_pole_that_has_fallen_stays_down_and_costs_one(state):
    task, params, _, _ = begun("cart_pole")
    start = jnp.asarray([state], jnp.float32)
    seen, costs = task.play(params, start, jnp.zeros((5, 1), jnp.float32))
    np.testing.assert_array_equal(seen, np.broadcast_to(start, seen.shape))
    np.testing.assert_array_equal(costs, 1)
