"""Second opinions on layers that recur, attend and normalise, and on the text they read."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kit.compiling import cheap_jit

from proxy_tasks import make_task
from proxy_tasks.data.topics import topics
from proxy_tasks.kit.characters import in_symbols
from proxy_tasks.kit.networks import attention, batch_norm, xavier
from proxy_tasks.kit.recurrent import CELLS, cell_init, unroll
from proxy_tasks.language.topics_state_space import decayed_attention
from proxy_tasks.vision.digits_transformer import patches

KEY = jax.random.key(0)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_recurrent_layer_shows_what_equinox_computes_step_by_step(kind):
    layer = cheap_jit(partial(cell_init, cell=kind, width=3))(KEY)
    x = jax.random.normal(KEY, (4, 2, 3))  # time, row, width
    theirs = {"gru": eqx.nn.GRUCell, "lstm": eqx.nn.LSTMCell}[kind](3, 3, key=KEY)
    said = (layer["kernel"].T, layer["recurrent"].T, layer["bias"])
    theirs = eqx.tree_at(lambda cell: (cell.weight_ih, cell.weight_hh, cell.bias), theirs, said)
    if kind == "gru":
        theirs = eqx.tree_at(lambda cell: cell.bias_n, theirs, jnp.zeros(3))
    state = jnp.zeros((2, 3)) if kind == "gru" else (jnp.zeros((2, 3)), jnp.zeros((2, 3)))
    update, shown = cheap_jit(jax.vmap(theirs)), []
    for position in x:
        state = update(position, state)
        shown.append(state if kind == "gru" else state[0])
    ours = cheap_jit(lambda layer, x: unroll(CELLS[kind], layer, x))(layer, x)
    np.testing.assert_allclose(ours, np.stack(shown), atol=1e-6)  # float32 rounding


@pytest.mark.parametrize("causal", [True, False])
def test_attention_is_that_of_jax(causal):
    qkv = jax.random.normal(KEY, (2, 5, 3 * 4))
    apart = (part.reshape(2, 5, 2, 2) for part in np.split(np.asarray(qkv), 3, axis=-1))
    theirs = cheap_jit(partial(jax.nn.dot_product_attention, is_causal=causal))(*apart)
    ours = cheap_jit(lambda qkv: attention(qkv, 2, causal))(qkv)
    np.testing.assert_allclose(ours, theirs.reshape(2, 5, 4), atol=1e-6)  # float32 rounding


def test_decayed_attention_is_a_state_that_decays_and_is_written_to_and_read_from():
    rng = np.random.default_rng(1)
    query, key, value = rng.standard_normal((3, 1, 6, 1, 2))  # one row, six positions, one head
    decay = rng.uniform(0.1, 1, (1, 6, 1))
    state, read = np.zeros((2, 2)), []
    for t in range(6):
        state = decay[0, t, 0] * state + np.outer(key[0, t, 0], value[0, t, 0])
        read.append(state.T @ query[0, t, 0])
    seen = [np.float32(x) for x in (query, key, value, np.log(decay))]
    ours = cheap_jit(decayed_attention)(*seen)
    np.testing.assert_allclose(ours[0, :, 0], read, atol=1e-5)  # float32 rounding


@pytest.mark.parametrize("kind", ["topics_state_space", "topics_transformer", "topics_recurrent"])
def test_no_language_model_looks_ahead(kind):
    chosen = make_task(kind, width=4, context=6, **({} if "recurrent" in kind else {"heads": 2}))
    params, logits = cheap_jit(chosen.init)(KEY), cheap_jit(chosen.logits)
    window = jnp.arange(6, dtype=jnp.int32)[None]
    before, after = logits(params, window), logits(params, window.at[0, 3].set(40))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert (np.abs(before[:, 3:] - after[:, 3:]).max(axis=-1) > 1e-5).all()


def test_a_batch_norm_centres_and_scales_every_channel_by_the_rows_it_is_given():
    rng = np.random.default_rng(2)
    x = rng.normal(5, 3, (40, 2, 3)).astype(np.float32)
    layer = {"scale": jnp.float32([1, 2, 3]), "shift": jnp.float32([0, 1, -1])}
    known = x[:30].astype(np.float64)
    spread = np.sqrt(known.var(axis=(0, 1)) + 1e-5)
    expected = (x - known.mean(axis=(0, 1))) / spread * [1, 2, 3] + [0, 1, -1]
    ours = batch_norm(layer, jnp.asarray(x), jnp.asarray(x[:30]))
    np.testing.assert_allclose(ours, expected, atol=1e-5)  # float32 rounding


def test_what_is_said_of_an_image_does_not_depend_on_those_it_is_evaluated_with():
    chosen = make_task("digits_normed_conv", width=2, depth=1)
    params, data = cheap_jit(chosen.init)(KEY), chosen.data()
    evaluate = cheap_jit(chosen.evaluate, static_argnums=2)
    whole = evaluate(params, data, "test")
    halves = [
        evaluate(
            params, data | {"test": jax.tree.map(lambda x, h=h: x[h::2], data["test"])}, "test"
        )
        for h in (0, 1)
    ]
    assert len(data["test"]["label"]) % 2 == 0
    np.testing.assert_allclose(np.mean(halves), whole, rtol=1e-5)  # float32 sums


def test_patches_are_squares_of_the_image_row_by_row():
    image = np.arange(64, dtype=np.float32).reshape(1, 8, 8)
    cut = patches(jnp.asarray(image), 4)
    np.testing.assert_array_equal(cut[0, 1].reshape(4, 4), image[0, :4, 4:])


def test_xavier_counts_what_goes_in_and_what_comes_out():
    drawn = xavier(KEY, (3, 3, 20, 30))
    assert float(jnp.std(drawn)) == pytest.approx((2 / (9 * 50)) ** 0.5, rel=0.05)  # 5,400 draws


# The practices that are fields.


def test_a_share_of_train_labels_is_wrong_and_a_row_is_wrong_alike_in_every_epoch():
    noisy = make_task("digits_transformer", label_noise=0.25, batch=1078, steps=2)
    draw = cheap_jit(noisy.draws)(KEY)
    row, offset = np.asarray(draw["row"]), np.asarray(draw["offset"])
    assert np.mean(offset != 0) == pytest.approx(0.25, abs=0.05)  # 1,078 rows
    assert offset.min() == 0
    assert offset.max() == 9
    first, second = (offset[epoch][np.argsort(row[epoch])] for epoch in (0, 1))
    np.testing.assert_array_equal(first, second)


def test_characters_to_be_predicted_are_wrong_by_the_share_stated():
    noisy = make_task("topics_recurrent", label_noise=0.1, steps=20)
    offset = np.asarray(cheap_jit(noisy.draws)(KEY)["offset"])
    assert np.mean(offset != 0) == pytest.approx(0.1, abs=0.02)  # 5,120 characters
    assert offset.max() == 63


@pytest.fixture(scope="module")
def fitted():
    """A convolutional task's parts of a loss at one point, by its fields."""
    sizes = {"width": 2, "depth": 1, "batch": 8, "steps": 2}
    plain = make_task("digits_normed_conv", **sizes)
    params, data = cheap_jit(plain.init)(KEY), plain.data()

    def loss(**fields):
        chosen = make_task("digits_normed_conv", **sizes, **fields)
        draw = jax.tree.map(lambda x: x[0], cheap_jit(chosen.draws)(KEY))
        return float(cheap_jit(chosen.loss)(params, data, draw)), draw

    return params, loss


def test_penalties_weigh_the_kernels_in_training(fitted):
    params, loss = fitted
    kernels = np.concatenate([np.ravel(layer["kernel"]) for layer in params.values()])
    plain, _ = loss()
    added = 0.5 * np.abs(kernels).sum() + 0.25 / 2 * (kernels**2).sum()
    assert loss(l1=0.5, l2=0.25)[0] == pytest.approx(plain + added, rel=1e-5)  # float32


def test_dropout_sets_a_share_of_channels_to_0_and_changes_the_loss(fitted):
    _, loss = fitted
    plain, dropped = loss()[0], loss(dropout=0.5)
    assert dropped[1]["kept"].shape == (8, 2)
    assert dropped[0] != plain


def test_a_scale_of_the_start_multiplies_all_parameters():
    tasks = [make_task("topics_recurrent", width=4, init_scale=scale) for scale in (1, 3)]
    usual, wide = (cheap_jit(task.init)(KEY) for task in tasks)
    for w, v in zip(jax.tree.leaves(wide), jax.tree.leaves(usual), strict=True):
        np.testing.assert_allclose(w, 3.0 * np.asarray(v), rtol=1e-6)  # the compiler folds scales


def test_smoothed_labels_are_missed_by_a_divergence_that_scipy_computes():
    special = pytest.importorskip("scipy.special")
    logits = np.random.default_rng(5).standard_normal((6, 10)).astype(np.float32)
    labels = np.arange(6, dtype=np.int32)
    chosen = make_task("digits_transformer", smoothing=0.2)
    targets = 0.8 * np.eye(10)[labels] + 0.02
    expected = special.rel_entr(targets, special.softmax(np.float64(logits), axis=1)).sum(1).mean()
    assert float(chosen.miss(jnp.asarray(logits), jnp.asarray(labels))) == pytest.approx(
        expected, rel=1e-5
    )


# The text.


def test_no_paragraph_of_the_text_occurs_twice_and_it_is_the_one_that_was_scored():
    assert len(topics()) == 373_215
    paragraphs = topics().split("\n\n")
    assert len(paragraphs) == len(set(paragraphs))
    assert 'The "for" statement is used to iterate' in topics()


def test_symbols_are_ranked_by_how_common_they_are_and_the_last_is_for_all_others():
    # of ten characters the fifth validates and the tenth tests
    coded = in_symbols("bbbbaaacdd", alphabet=3, block=1)
    assert coded["train"].tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    assert (coded["validation"].tolist(), coded["test"].tolist()) == ([1], [2])
