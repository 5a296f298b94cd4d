"""Products with curvature matrices, against the matrices themselves and against differences of
gradients.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from kit.compiling import cheap_jit

from proxy_tasks import TASKS, make_task
from proxy_tasks.kit import networks
from proxy_tasks.language import char_transformer
from proxy_tasks.oracles import gnvp, hvp, layers
from proxy_tasks.sentences import listed
from proxy_tasks.task import DenseTask, PredictionTask, Task

TINY = {
    "width": 4,
    "channels": 1,
    "heads": 2,
    "layers": 1,
    "context": 3,
    "dim": 12,
    "batch": 5,
    "steps": 4,
}
# One of each sort; that the others can be differentiated so is in the contract of a task.
KINDS = (
    "char_transformer", "diabetes_regression", "digits_conv", "digits_dense", "noisy_quadratic",
)  # fmt: skip
PREDICTING = [kind for kind in KINDS if issubclass(TASKS[kind], PredictionTask)]

DENSE = [kind for kind in KINDS if issubclass(TASKS[kind], DenseTask)]

every_task = pytest.mark.parametrize("kind", KINDS)
every_predicting_task = pytest.mark.parametrize("kind", PREDICTING)
both = pytest.mark.parametrize(
    ("oracle", "kind"), [(hvp, k) for k in KINDS] + [(gnvp, k) for k in PREDICTING]
)


@pytest.fixture(autouse=True)
def strict_jax():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@functools.cache
def tiny(kind):
    """Build a task with some hundred parameters, and a point, data and a draw in float64."""
    task = make_task(
        kind, **{name: TINY[name] for name in TASKS[kind].__dataclass_fields__ if name in TINY}
    )
    start, draws = cheap_jit(task.init)(jax.random.key(1)), cheap_jit(task.draws)(jax.random.key(2))
    rng = np.random.default_rng(3)

    def wide(x):
        return np.asarray(x, np.float64 if x.dtype == np.float32 else x.dtype)

    # Away from the initial biases of 0, where an empty patch of an image sits on the kink of its
    # relu.
    params = jax.tree.map(lambda w: wide(w) + 0.1 * rng.standard_normal(w.shape), start)
    return task, params, jax.tree.map(wide, task.data()), jax.tree.map(lambda d: wide(d[0]), draws)


@functools.cache
def dense(oracle, kind):
    """Stack the products with every unit vector: the whole matrix."""
    task, params, data, draw = tiny(kind)
    with jax.enable_x64(True):
        flat, tree = ravel_pytree(params)

        def column(v):
            return ravel_pytree(oracle(task, params, data, draw)(tree(v)))[0]

        return np.asarray(cheap_jit(jax.vmap(column))(jnp.eye(flat.size)))


@pytest.fixture
def plain_products(monkeypatch):
    """Forward mode cannot pass the gradient that `matmul` states, so a second opinion does without
    it.
    """
    for module in (networks, char_transformer):
        monkeypatch.setattr(module, "matmul", lambda x, kernel: x @ kernel)


def assert_close(ours, theirs):
    """Compare to 1e-13: sums of float64 products in another order, 1e-15 where this was
    measured.
    """
    assert ours.dtype == theirs.dtype == np.float64
    assert np.abs(theirs).max() > 1e-4
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13 * np.abs(theirs).max())


@every_task
def test_products_with_the_hessian_are_those_of_forward_over_reverse(kind, plain_products):
    task, params, data, draw = tiny(kind)
    with jax.enable_x64(True):
        flat, tree = ravel_pytree(params)
        theirs = cheap_jit(jax.hessian(lambda w: task.loss(tree(w), data, draw)))(flat)
    assert_close(dense(hvp, kind), np.asarray(theirs))


@every_task
def test_products_with_the_hessian_are_differences_of_gradients(kind):
    task, params, data, draw = tiny(kind)
    rng = np.random.default_rng(4)
    way = jax.tree.map(lambda w: rng.standard_normal(w.shape), params)
    with jax.enable_x64(True):
        ours = ravel_pytree(cheap_jit(lambda v: hvp(task, params, data, draw)(v))(way))[0]
        slope = cheap_jit(jax.grad(lambda w: task.loss(w, data, draw)))
        ahead, behind = (
            slope(jax.tree.map(lambda w, d, s=s: w + s * d, params, way)) for s in (1e-6, -1e-6)
        )
        theirs = (ravel_pytree(ahead)[0] - ravel_pytree(behind)[0]) / 2e-6
    # A difference of 1e-6 leaves 1e-16 / 1e-6 of rounding and (1e-6)² of third derivatives.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-8 * np.abs(theirs).max())


@every_predicting_task
def test_products_with_the_gauss_newton_matrix_are_those_of_its_three_factors(kind, plain_products):
    task, params, data, draw = tiny(kind)
    with jax.enable_x64(True):
        flat, tree = ravel_pytree(params)
        predictions, shaped = ravel_pytree(task.predict(params, data, draw))
        jacobian = cheap_jit(
            jax.jacfwd(lambda w: ravel_pytree(task.predict(tree(w), data, draw))[0])
        )(flat)
        bend = cheap_jit(jax.hessian(lambda p: task.judge(shaped(p), data, draw)))(predictions)
    assert_close(
        dense(gnvp, kind), np.asarray(jacobian).T @ np.asarray(bend) @ np.asarray(jacobian)
    )


@both
def test_the_matrices_are_symmetric(oracle, kind):
    matrix = dense(oracle, kind)
    assert_close(matrix, matrix.T)


@every_predicting_task
def test_no_eigenvalue_of_a_gauss_newton_matrix_is_below_zero(kind):
    values = np.linalg.eigvalsh(dense(gnvp, kind))
    assert values[-1] > 1e-3
    assert values[0] > -1e-13 * values[-1]  # float64 rounding


@pytest.mark.parametrize("kind", [kind for kind in PREDICTING if kind != "noisy_quadratic"])
def test_the_hessian_of_a_network_is_not_its_gauss_newton_matrix(kind):
    ours, theirs = dense(gnvp, kind), dense(hvp, kind)
    assert np.abs(ours - theirs).max() > 1e-3 * np.abs(theirs).max()


@pytest.mark.parametrize("oracle", [hvp, gnvp])
def test_both_matrices_of_the_quadratic_are_its_curvatures(oracle):
    curvature = tiny("noisy_quadratic")[2]["train"]["curvature"]
    np.testing.assert_allclose(dense(oracle, "noisy_quadratic"), np.diag(curvature), rtol=1e-15)


@both
def test_products_can_be_asked_for_inside_a_compiled_loop_over_seeds(oracle, kind):
    """Power iteration in float32, as a trial would run it, finds the largest eigenvalue in size."""
    task, params, data, draw = tiny(kind)
    params, data, draw = jax.tree.map(
        lambda x: jnp.asarray(x, jnp.float32 if x.dtype == np.float64 else x.dtype),
        (params, data, draw),
    )

    def largest(v):
        def go_on(state):
            return state[0] < 300

        def advance(state):
            i, v, _ = state
            product = oracle(task, params, data, draw)(v)
            size = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(product)))
            return i + 1, jax.tree.map(lambda leaf: leaf / size, product), size

        return jax.lax.while_loop(go_on, advance, (jnp.int32(0), v, jnp.float32(0)))[2]

    rng = np.random.default_rng(5)
    starts = jax.tree.map(
        lambda w: jnp.asarray(rng.standard_normal((2, *w.shape)), jnp.float32), params
    )
    found = cheap_jit(jax.vmap(largest))(starts)
    # 300 rounds leave a percent where two eigenvalues are close.
    np.testing.assert_allclose(
        found, np.abs(np.linalg.eigvalsh(dense(oracle, kind))).max(), rtol=1e-2
    )


# Inside layers.


def gradients_by_row(found):
    """Multiply what goes into layers, with a 1 for the bias, by what comes back; in the order of
    `ravel_pytree`.
    """
    rows = {
        name: {"kernel": jnp.einsum("ri,ro->rio", inputs, signals), "bias": signals}
        for name, (inputs, signals) in found.items()
    }
    return jax.vmap(lambda row: ravel_pytree(row)[0])(rows)


@pytest.mark.parametrize("kind", DENSE)
def test_inputs_and_signals_of_layers_make_the_gradient_when_targets_are_those_of_the_data(kind):
    task, params, data, draw = tiny(kind)

    class Knowing(type(task), base=True):
        def sample(self, key, predictions):
            return jnp.asarray(
                data["train"][{"digits_dense": "label", "diabetes_regression": "y"}[kind]]
            )[draw]

    knowing = Knowing(**{name: getattr(task, name) for name in ("width", "batch", "steps")})
    with jax.enable_x64(True):
        ours = gradients_by_row(layers(knowing, params, data, draw, jax.random.key(0))).mean(axis=0)
        theirs = ravel_pytree(jax.grad(lambda w: task.loss(w, data, draw))(params))[0]
    assert_close(np.asarray(ours), np.asarray(theirs))


@pytest.mark.parametrize("kind", DENSE)
def test_gradients_for_targets_drawn_from_the_model_have_the_gauss_newton_matrix_as_their_moment(
    kind,
):
    """For a cross-entropy and a squared error it is the Fisher matrix, so this tests what targets
    are drawn from.
    """
    task, params, data, draw = tiny(kind)
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(6), 4000)
        one = cheap_jit(
            jax.vmap(lambda key: gradients_by_row(layers(task, params, data, draw, key)))
        )
        rows = np.asarray(one(keys)).reshape(-1, ravel_pytree(params)[0].size)
    theirs = dense(gnvp, kind)
    # 20,000 products leave a percent of the largest; another variance of the targets would be a
    # factor
    np.testing.assert_allclose(
        rows.T @ rows / len(rows), theirs, rtol=0, atol=0.05 * np.abs(theirs).max()
    )


# What a task offers.


@every_task
def test_a_task_offers_gauss_newton_products_when_it_predicts(kind):
    usual = {"loss", "hvp", "noise", "rademacher", "run_progress"}
    assert TASKS[kind].offers == (usual | {"gnvp"} if kind in PREDICTING else usual)


@every_predicting_task
def test_the_loss_judges_the_predictions(kind):
    task, params, data, draw = tiny(kind)
    with jax.enable_x64(True):
        judged = task.judge(task.predict(params, data, draw), data, draw)
        np.testing.assert_array_equal(task.loss(params, data, draw), judged)


def test_a_task_that_predicts_nothing_has_no_gauss_newton_matrix():
    class Silent(Task, base=True):
        data = init = draws = loss = evaluate = None

    Silent.kind = "silent"  # its own, without an entry in the registry
    others = listed(k for k in sorted(TASKS) if issubclass(TASKS[k], PredictionTask))
    sentence = f"silent has no Gauss-Newton matrix, because it predicts nothing; {others} do."
    with pytest.raises(ValueError, match="Gauss-Newton") as error:
        gnvp(Silent(steps=1), {}, {}, None)
    assert str(error.value) == sentence
