"""Programs converge as textbooks say, on quadratics ½ Σ hᵢ wᵢ² of a known condition number κ = L/μ.

All in float64 by the meaning on numpy. Rates are those of Nesterov 2004, Introductory Lectures on
Convex Optimization, sections 2.1 and 2.2, and Polyak 1987, Introduction to Optimization, section
3.2. What ends after a known number of steps is in Nocedal and Wright 2006, Numerical Optimization,
chapters 3, 5 and 7.
"""

from __future__ import annotations

import math
from dataclasses import replace

import jax
import numpy as np
import optax
import pytest

import baselines
from primitives import Program, meaning
from primitives.statements import LEARNING_RATE

CONDITIONS = (2, 10, 100, 1000)
DIMENSION = 20
L = 3.0  # the largest curvature; not 1, so that a lost factor shows

TOLERANCE = 2e-4
"""Of rates measured over late steps: a double eigenvalue ρ gives (a + b·k) ρᵏ, of which k is
divided out. What is left falls as 1/k², so it is largest where a walk is short: 1.4e-4 after 188
steps at κ = 2.
"""

each_condition = pytest.mark.parametrize("kappa", CONDITIONS)


def curvatures(kappa: float) -> np.ndarray:
    """From L/κ to L, both included."""
    return np.geomspace(L / kappa, L, DIMENSION)


def start(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=DIMENSION)


def walk(
    name: str, values: dict[str, float], h: np.ndarray, w: np.ndarray, steps: int
) -> np.ndarray:
    """Parameters before the first step and after each: [steps + 1, dimension]."""
    program: Program = baselines.get(name).with_values(values)
    states, seen = meaning.init(program, w, np), [w]
    for t in range(1, steps + 1):
        w, states = meaning.step(program, w, h * w, states, 1.0, t, np)
        seen.append(w)
    return np.stack(seen)


def loss(h: np.ndarray, w: np.ndarray) -> np.ndarray:
    return 0.5 * np.sum(h * w * w, axis=-1)


def measured_rate(sizes: np.ndarray) -> float:
    """The factor of one step, from the second half of a walk: the slope of a line through the
    logarithms.
    """
    late = np.log(sizes[len(sizes) // 2 :])
    return float(np.exp(np.polyfit(np.arange(len(late)), late, 1)[0]))


# --- gradient descent -----------------------------------------------------------------------------


@each_condition
def test_gradient_descent_contracts_by_its_rate_and_in_no_step_by_less(kappa):
    """With the step 2/(L + μ) by (κ-1)/(κ+1), and by exactly that in the steepest and in the
    flattest direction.
    """
    h, rate = curvatures(kappa), (kappa - 1) / (kappa + 1)
    steps = math.ceil(-4.0 / math.log(rate)) + 20
    distance = np.linalg.norm(
        walk("sgd", {LEARNING_RATE: 2.0 / (L + L / kappa)}, h, start(), steps), axis=1
    )
    contraction = distance[1:] / distance[:-1]
    assert (contraction <= rate * (1.0 + 1e-12)).all()  # rounding
    for worst in (0, -1):
        w = np.zeros(DIMENSION)
        w[worst] = 1.0
        alone = np.abs(walk("sgd", {LEARNING_RATE: 2.0 / (L + L / kappa)}, h, w, 20)[:, worst])
        np.testing.assert_allclose(alone[1:] / alone[:-1], rate, rtol=1e-12)
    error = contraction[-1] / rate - 1.0
    print(f"\nκ = {kappa}: {contraction[-1]:.9f}, in theory {rate:.9f}, relative {error:.1e}")
    assert -1e-3 < error <= 1e-12  # other directions still hold a little of the distance


@each_condition
def test_gradient_descent_with_the_step_1_over_l_meets_the_bound_of_convex_functions(kappa):
    """f(w_k) - f* <= L |w_0 - w*|² / (2 k): holds for any convex function of smoothness L."""
    h, w = curvatures(kappa), start()
    f = loss(h, walk("sgd", {LEARNING_RATE: 1.0 / L}, h, w, 200))
    assert (f[1:] <= L * np.sum(w * w) / (2.0 * np.arange(1, 201))).all()
    assert (np.diff(f) <= 0.0).all()


def test_gradient_descent_diverges_beyond_2_over_l_and_not_before():
    h, w = curvatures(10), start()
    for factor, grows in ((1.99, False), (2.01, True)):
        distance = np.linalg.norm(walk("sgd", {LEARNING_RATE: factor / L}, h, w, 2000), axis=1)
        assert (distance[-1] > 1e3 * distance[0]) == grows


# --- heavy ball -----------------------------------------------------------------------------------


@each_condition
def test_heavy_ball_with_polyaks_constants_has_polyaks_rate(kappa):
    """(√κ-1)/(√κ+1) a step in the limit; at first k times that power, as the matrix of a step has a
    Jordan block.
    """
    h, root = curvatures(kappa), math.sqrt(kappa)
    rate = (root - 1.0) / (root + 1.0)
    values = {LEARNING_RATE: 4.0 / (math.sqrt(L) + math.sqrt(L / kappa)) ** 2, "momentum": rate**2}
    steps = math.ceil(
        math.log(1e-140) / math.log(rate)
    )  # long, for k^(1/k) to be 1, and far above underflow
    w = walk("heavy_ball", values, h, start(), steps)
    distance = np.linalg.norm(w, axis=1)
    found = measured_rate(distance[1:] / np.arange(1, steps + 1))
    print(
        f"\nκ = {kappa}, {steps} steps: {found:.6f}, in theory {rate:.6f}, relative "
        f"{found / rate - 1.0:.1e}"
    )
    assert found == pytest.approx(rate, rel=TOLERANCE)
    assert found < (kappa - 1) / (kappa + 1)  # faster than gradient descent at its best


@each_condition
def test_heavy_ball_is_a_jordan_block_at_both_ends_of_the_spectrum(kappa):
    """There w_k = (a + b k) ρᵏ, up to the sign: the second difference of w_k / (±ρ)ᵏ is 0."""
    h, root = curvatures(kappa), math.sqrt(kappa)
    rate = (root - 1.0) / (root + 1.0)
    values = {LEARNING_RATE: 4.0 / (math.sqrt(L) + math.sqrt(L / kappa)) ** 2, "momentum": rate**2}
    w = walk("heavy_ball", values, h, np.ones(DIMENSION), 30)
    for end, sign in ((0, 1.0), (-1, -1.0)):
        scaled = w[:, end] / (sign * rate) ** np.arange(31)
        # each step rounds by 1e-16 of w, and a difference of two roundings that grow with k stays
        # below this
        np.testing.assert_allclose(np.diff(scaled, 2), 0.0, atol=1e-9 * np.abs(scaled).max())


# --- Nesterov -------------------------------------------------------------------------------------


def descended(h: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The sequence x behind the parameters y of Nesterov's method: x_{k+1} = y_k - ∇f(y_k) / L."""
    return w - h * w / L


@each_condition
@pytest.mark.parametrize("seed", [0, 1])
def test_nesterov_for_convex_functions_stays_under_its_bound(kappa, seed):
    """f(x_k) - f* <= 2 L |x_0 - x*|² / (k+1)², of the sequence x; the parameters hold y."""
    h, w = curvatures(kappa), start(seed)
    f = loss(
        h, descended(h, walk("nesterov_convex", {LEARNING_RATE: 1.0 / L}, h, w, 1000))
    )  # x_1, x_2, ...
    k = np.arange(1, len(f) + 1)
    bound = 2.0 * L * np.sum(w * w) / (k + 1.0) ** 2
    print(f"\nκ = {kappa}: at most {np.max(f / bound):.3f} of the bound")
    assert (f <= bound).all()


def test_the_bound_of_nesterov_is_met_up_to_a_constant_and_is_out_of_reach_of_gradient_descent():
    """After k steps, in the direction of the worst curvature: each coordinate is a quadratic of its
    own.
    """
    h = np.geomspace(1e-7 * L, L, 2000)
    w, k = np.ones_like(h), 200
    bound = 2.0 * L / (k + 1) ** 2  # of a function of one number that starts at 1
    accelerated = descended(h, walk("nesterov_convex", {LEARNING_RATE: 1.0 / L}, h, w, k - 1)[-1])
    plain = walk("sgd", {LEARNING_RATE: 1.0 / L}, h, w, k)[-1]
    reached, left = (np.max(0.5 * h * x * x) / bound for x in (accelerated, plain))
    print(f"\nof the bound: {reached:.3f}, gradient descent {left:.3f}")
    assert 0.1 < reached <= 1.0
    # gradient descent leaves max h/2 (1 - h/L)^2k = L/(4 e k), at h = L/(2k)
    assert left == pytest.approx(L / (4.0 * math.e * k) / bound, rel=1e-2)
    assert left > 5.0


@each_condition
def test_nesterov_with_constant_momentum_contracts_f_by_1_minus_the_root(kappa):
    """f(x_k) - f* <= (1 - 1/√κ)ᵏ (f(x_0) - f* + μ/2 |x_0 - x*|²), with the momentum
    (√κ-1)/(√κ+1).
    """
    h, w, root = curvatures(kappa), start(), math.sqrt(kappa)
    values = {LEARNING_RATE: 1.0 / L, "momentum": (root - 1.0) / (root + 1.0)}
    factor = 1.0 - 1.0 / root
    steps = min(3000, math.ceil(math.log(1e-100) / math.log(factor)))
    y = walk("nesterov", values, h, w, steps)
    f = loss(h, np.concatenate([w[None], descended(h, y)]))  # x_0 = y_0, x_1, ...
    constant = loss(h, w) + 0.5 * L / kappa * np.sum(w * w)
    assert (np.log(f) <= np.log(constant) + np.arange(len(f)) * math.log(factor) + 1e-9).all()
    found = measured_rate(f[1:] / np.arange(1.0, len(f)) ** 2)
    # on a quadratic the flattest direction has the double eigenvalue 1 - 1/√κ, and f is its square
    print(
        f"\nκ = {kappa}: f / k² contracts by {found:.6f}; bound {factor:.6f}, eigenvalue squared "
        f"{factor**2:.6f}"
    )
    assert found == pytest.approx(factor**2, rel=TOLERANCE)
    assert found < factor


# --- one against the other ------------------------------------------------------------------------


def test_acceleration_takes_the_root_of_the_steps():
    """To divide the distance by 10⁶: about κ/2 · log 10⁶ steps of gradient descent, √κ/2 · log 10⁶
    of heavy ball.
    """
    counts = {}
    for kappa in (100, 1000):
        h, root = curvatures(kappa), math.sqrt(kappa)
        w = np.zeros(DIMENSION)
        w[0] = w[-1] = 1.0
        rate = (root - 1.0) / (root + 1.0)
        polyak = {
            LEARNING_RATE: 4.0 / (math.sqrt(L) + math.sqrt(L / kappa)) ** 2,
            "momentum": rate**2,
        }
        for name, values, most in (
            ("sgd", {LEARNING_RATE: 2.0 / (L + L / kappa)}, 8 * kappa),
            ("heavy_ball", polyak, 1000),
        ):
            distance = np.linalg.norm(walk(name, values, h, w, most), axis=1)
            counts[name, kappa] = int(np.argmax(distance < 1e-6 * distance[0]))
    log = math.log(1e6)
    assert counts["sgd", 1000] == pytest.approx(500 * log, rel=0.01)
    assert counts["sgd", 1000] / counts["sgd", 100] == pytest.approx(10.0, rel=0.01)
    # k ρᵏ instead of ρᵏ: log k more steps of √κ/2, some 6 of 14
    assert 1.0 < counts["heavy_ball", 1000] / (math.sqrt(1000) / 2 * log) < 1.6
    assert counts["heavy_ball", 1000] / counts["heavy_ball", 100] == pytest.approx(
        math.sqrt(10.0), rel=0.15
    )


# --- second order: helpers ------------------------------------------------------------------------


def rotated(h: np.ndarray, seed: int = 0) -> np.ndarray:
    """A symmetric matrix with the eigenvalues h, whose directions are no axes."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(h), len(h))))
    matrix = (q * h) @ q.T
    return (matrix + matrix.T) / 2.0


def even(kappa: float, n: int = DIMENSION) -> np.ndarray:
    """Curvatures from L/κ to L at equal distances: conjugate gradients lose less to rounding than
    at equal ratios.
    """
    return np.linspace(L / kappa, L, n)


def next_step(program: Program, a: np.ndarray, w: np.ndarray, states: dict, shape: float, t: int):
    """A step on ½ wᵀ A w, whose Hessian and Gauss-Newton matrix are A."""
    product = lambda x: a @ x  # noqa: E731
    return meaning.step(program, w, a @ w, states, shape, t, np, {"hvp": product, "gnvp": product})


def walk_on(
    program: Program, a: np.ndarray, w: np.ndarray, steps: int, line_search: bool = False
) -> np.ndarray:
    """Parameters before the first step and after each: [steps + 1, dimension].

    line_search: each step goes to the lowest point on its line; the rate is found by a trial step,
    which is thrown away. Right for programs whose update is the learning rate times a direction
    that does not depend on it.
    """
    states, seen, rate = meaning.init(program, w, np), [w], 1.0
    for t in range(1, steps + 1):
        if line_search:
            d = w - next_step(program, a, w, states, 1.0, t)[0]
            rate = d @ a @ w / (d @ a @ d) if d.any() else 0.0
        w, states = next_step(program, a, w, states, rate, t)
        seen.append(w)
    return np.stack(seen)


def at_rate_1(name: str, **values: float) -> Program:
    return baselines.get(name).with_values({LEARNING_RATE: 1.0, **values})


def with_inner_steps(program: Program, count: int) -> Program:
    """The same program with another number of inner steps: its body holds one inner step over and
    over.
    """
    calls = [n for n, line in enumerate(program.body) if line.op in ("hvp", "gnvp")]
    start, one, last = (
        program.body[: calls[0]],
        program.body[calls[0] : calls[1]],
        program.body[calls[-1] :],
    )
    assert program.body == (*start, *one * (len(calls) - 1), *last)
    return replace(program, body=(*start, *one * (count - 1), *last))


def energy(a: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The length of w in the metric of A, in which conjugate gradients are the best of all methods
    of their kind.
    """
    return np.sqrt(np.einsum("...i,ij,...j->...", w, a, w))


# --- Newton ---------------------------------------------------------------------------------------

NEWTON = {"newton_cg": {}, "natural_gradient": {"damping": 0.0}}
ROUNDING = 1e-15
"""Times κ, and relative to the start: what n steps of conjugate gradients leave of it in float64.

Seen were 2.3e-16.
"""

each_newton = pytest.mark.parametrize("name", NEWTON)


@each_condition
@pytest.mark.parametrize("n", [5, 15])
@each_newton
def test_newton_ends_a_quadratic_in_one_step(name, n, kappa):
    """With as many inner steps as there are dimensions: 5, as the files have them, and 15, as many
    as fit a program.
    """
    program = with_inner_steps(at_rate_1(name, **NEWTON[name]), n)
    w = start()[:n]
    left = np.linalg.norm(walk_on(program, rotated(even(kappa, n)), w, 1)[1]) / np.linalg.norm(w)
    print(f"\n{name}, n = {n}, κ = {kappa}: {left:.1e} of the distance is left")
    assert left <= ROUNDING * kappa


@each_newton
def test_newton_with_four_inner_steps_does_not_end_a_quadratic_of_five_dimensions(name):
    program = with_inner_steps(at_rate_1(name, **NEWTON[name]), 4)
    w = walk_on(program, rotated(np.geomspace(L / 100, L, 5)), start()[:5], 1)
    assert np.linalg.norm(w[1]) > 1e-3 * np.linalg.norm(w[0])


def test_damping_of_the_natural_gradient_is_added_to_the_curvature():
    a, w = rotated(np.geomspace(0.01, L, 5)), start()[:5]
    after = walk_on(at_rate_1("natural_gradient", damping=0.3), a, w, 1)[1]
    np.testing.assert_allclose(w - after, np.linalg.solve(a + 0.3 * np.eye(5), a @ w), rtol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_newton_goes_downhill_where_some_directions_curve_downwards(seed):
    """Without its guard it would go to the saddle point; cut off by it, its direction still has a
    positive slope.
    """
    rng = np.random.default_rng(seed)
    a = rotated(rng.normal(size=20), seed)
    w = rng.normal(size=20)
    assert (w - walk_on(at_rate_1("newton_cg"), a, w, 1)[1]) @ (a @ w) > 0.0


def test_newton_takes_the_gradient_where_that_curves_downwards():
    a, w = -np.eye(5), start()[:5]
    np.testing.assert_array_equal(walk_on(at_rate_1("newton_cg"), a, w, 1)[1], w - a @ w)


# --- lines: Cauchy, Polyak ------------------------------------------------------------------------


@each_condition
def test_cauchys_gradient_descent_has_the_rate_of_kantorovich(kappa):
    """The energy contracts by (κ-1)/(κ+1) or better; by exactly that in each step from the worst
    start.
    """
    h, rate = curvatures(kappa), (kappa - 1) / (kappa + 1)
    a = rotated(h)
    lengths = energy(a, walk_on(at_rate_1("cauchy_gradient_descent"), a, start(), 50))
    assert (lengths[1:] <= rate * lengths[:-1] * (1.0 + 1e-12)).all()
    worst = np.zeros(DIMENSION)
    worst[0], worst[-1] = 1.0 / h[0], 1.0 / h[-1]
    lengths = energy(
        np.diag(h), walk_on(at_rate_1("cauchy_gradient_descent"), np.diag(h), worst, 20)
    )
    np.testing.assert_allclose(
        lengths[1:] / lengths[:-1], rate, rtol=1e-9
    )  # the start is not exactly the worst


@pytest.mark.parametrize("name", ["cauchy_gradient_descent", "conjugate_gradient_quadratic"])
def test_a_line_that_curves_downwards_is_followed_downwards(name):
    """As far as to the lowest point of one that curves upwards as much."""
    a, w = -rotated(even(10)), start()
    down, up = (walk_on(at_rate_1(name), x, w, 1)[1] - w for x in (a, -a))
    np.testing.assert_allclose(down, -up, rtol=1e-12)
    assert down @ (a @ w) < 0.0


def test_polyaks_step_ends_a_quadratic_of_one_dimension():
    """Its c = ½ makes it f / (½ |f'|²) = 1 / h."""
    program, w = baselines.get("polyak_sgd").with_values({LEARNING_RATE: 100.0}), np.array([-3.0])
    feed = {"loss": float(loss(np.array([0.2]), w))}
    after, _ = meaning.step(program, w, 0.2 * w, meaning.init(program, w, np), 1.0, 1, np, feed)
    assert abs(after[0]) <= 1e-15


# --- conjugate gradients --------------------------------------------------------------------------

CONJUGATE = [name for name in baselines.names() if name.startswith("conjugate_gradient")]

each_conjugate = pytest.mark.parametrize("name", CONJUGATE)


def conjugate_walk(name: str, a: np.ndarray, w: np.ndarray, steps: int) -> np.ndarray:
    """The linear one knows its step; the others are given a line search."""
    return walk_on(at_rate_1(name), a, w, steps, line_search=name != "conjugate_gradient_quadratic")


@each_condition
@pytest.mark.parametrize("n", [5, 20])
@each_conjugate
def test_conjugate_gradients_end_a_quadratic_in_as_many_steps_as_it_has_dimensions(name, n, kappa):
    w = conjugate_walk(name, rotated(even(kappa, n)), start()[:n], n)
    distance = np.linalg.norm(w, axis=1) / np.linalg.norm(w[0])
    print(
        f"\n{name}, n = {n}, κ = {kappa}: {distance[-1]:.1e} of the distance is left, "
        f"{distance[-2]:.1e} before"
    )
    assert distance[-1] <= ROUNDING * kappa
    if kappa >= 100:
        assert distance[-2] > 1e-7  # and not a step sooner


@each_conjugate
def test_conjugate_gradients_need_a_step_for_each_curvature_and_not_for_each_dimension(name):
    a = rotated(np.repeat(even(100, 5), 4))
    distance = np.linalg.norm(conjugate_walk(name, a, start(), 5), axis=1)
    assert distance[-1] <= ROUNDING * 100 * distance[0]
    assert distance[-2] > 1e-4 * distance[0]


@each_condition
@each_conjugate
def test_conjugate_gradients_stay_below_the_bound_of_chebyshev(name, kappa):
    """|e_k| <= 2 ((√κ-1)/(√κ+1))^k |e_0| in the energy, and no step leads away."""
    a = rotated(curvatures(kappa))
    lengths = energy(a, conjugate_walk(name, a, start(), 15))
    rate = (math.sqrt(kappa) - 1.0) / (math.sqrt(kappa) + 1.0)
    floor = 1e-13 * lengths[0]  # rounding
    assert (lengths <= 2.0 * rate ** np.arange(16) * lengths[0] + floor).all()
    assert (np.diff(lengths) <= floor).all()


@each_conjugate
def test_directions_of_conjugate_gradients_are_conjugate_and_gradients_orthogonal(name):
    a = rotated(curvatures(100))
    w = conjugate_walk(name, a, start(), 8)
    for vectors, metric in ((np.diff(w, axis=0), a), (w[:-1] @ a, np.eye(DIMENSION))):
        gram = vectors @ metric @ vectors.T
        size = np.sqrt(np.diag(gram))
        # each step adds rounding to the directions of those before
        np.testing.assert_allclose(gram / np.outer(size, size), np.eye(len(gram)), atol=1e-8)


@each_conjugate
def test_all_conjugate_gradients_are_one_on_a_quadratic(name):
    a = rotated(curvatures(100))
    ours, linear = (
        conjugate_walk(n, a, start(), 12) for n in (name, "conjugate_gradient_quadratic")
    )
    np.testing.assert_allclose(ours, linear, atol=1e-9)


# --- L-BFGS ---------------------------------------------------------------------------------------


@each_condition
def test_lbfgs_with_a_line_search_takes_the_steps_of_conjugate_gradients(kappa):
    """As long as its memory of five holds all steps (Nocedal and Wright 2006, theorem 6.4 and
    section 7.2).
    """
    a, w = rotated(curvatures(kappa)), start()
    ours = walk_on(at_rate_1("lbfgs"), a, w, 6, line_search=True)
    np.testing.assert_allclose(
        ours, conjugate_walk("conjugate_gradient_quadratic", a, w, 6), atol=1e-9
    )


@each_condition
def test_lbfgs_with_the_fixed_step_1_is_faster_than_the_best_gradient_descent(kappa):
    """To a millionth of the distance gradient descent needs log 10⁶ over -log (κ-1)/(κ+1) steps."""
    distance = np.linalg.norm(
        walk_on(at_rate_1("lbfgs"), rotated(curvatures(kappa)), start(), 500), axis=1
    )
    steps = int(np.argmax(distance <= 1e-6 * distance[0]))
    theirs = math.log(1e-6) / math.log((kappa - 1) / (kappa + 1))
    print(f"\nκ = {kappa}: {steps} steps, gradient descent {theirs:.0f}")
    assert 0 < steps < theirs / (5 if kappa >= 100 else 1)
    assert distance[-1] <= 1e-12 * distance[0]


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_lbfgs_grows_faster_from_step_to_step_in_fewer_dimensions_than_it_remembers(seed, n):
    """With the fixed step 1 its contraction falls, as that of BFGS does; a linear rate would
    stay.
    """
    w = walk_on(at_rate_1("lbfgs"), rotated(np.geomspace(0.1, L, n), seed), start(seed)[:n], 60)
    distance = np.linalg.norm(w, axis=1) / np.linalg.norm(w[0])
    end = int(np.argmax(distance <= 1e-13))
    third = end // 3
    early = distance[third] ** (1 / third)
    late = (distance[end] / distance[end - third]) ** (1 / third)
    print(f"\n{end} steps, contraction {early:.3f} at first, {late:.3f} at last")
    assert end > 0
    assert late < early / 4


def test_lbfgs_takes_optaxs_steps_on_a_quadratic():
    """Where the changes of gradients are those of a curved function; those of tests/opinions are
    random.
    """
    a, w = rotated(curvatures(100)), start()
    ours = walk_on(at_rate_1("lbfgs"), a, w, 60)
    with (
        jax.enable_x64(True),
        jax.numpy_dtype_promotion("standard"),
    ):  # optax adds counts of two kinds
        optimizer = optax.lbfgs(1.0, memory_size=5, linesearch=None)
        theirs, x = [w], jax.numpy.asarray(w)
        kept, update = optimizer.init(x), jax.jit(optimizer.update)
        for _ in range(60):
            change, kept = update(jax.numpy.asarray(a @ np.asarray(x)), kept, x)
            x = x + change
            theirs.append(np.asarray(x))
    # each step multiplies the rounding of those before; 2e-12 was seen
    np.testing.assert_allclose(ours, np.stack(theirs), atol=1e-10)


# --- averages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["schedule_free_sgd", "schedule_free_adamw"])
def test_schedule_free_programs_are_evaluated_at_a_mean_that_weighs_the_warm_up_less(name):
    """By the square of the largest rate so far; z is read off y = (1 - β) z + β x, where the
    gradients are taken.
    """
    program, h, y = baselines.get(name), curvatures(10), start()
    beta = program.values["beta" if name == "schedule_free_sgd" else "beta1"]
    states, weighted, weights = meaning.init(program, y, np), np.zeros(DIMENSION), 0.0
    for t in range(1, 31):
        rate = min(t / 10.0, 1.0) if t < 20 else 0.5  # up, level, down
        y, states = meaning.step(program, y, h * y, states, rate, t, np)
        x = meaning.evaluation(program, y, states, np)
        weight = min(t / 10.0, 1.0) ** 2
        weighted, weights = weighted + weight * (y - beta * x) / (1.0 - beta), weights + weight
        np.testing.assert_allclose(
            x, weighted / weights, rtol=1e-9
        )  # the difference y - β x loses a digit


def test_averaged_gradient_descent_forgets_its_noise():
    """Around the minimum of ½ w² under noise of size 1, w keeps the variance η / (2 - η); the mean
    of many steps n has 1 / n whatever the rate (Polyak and Juditsky 1992).
    """
    n, runs, rate = 1000, 2000, 0.5
    rng = np.random.default_rng(0)
    program, w = baselines.get("averaged_sgd").with_values({LEARNING_RATE: rate}), np.zeros(runs)
    states = meaning.init(program, w, np)
    for t in range(1, n + 1):
        w, states = meaning.step(program, w, w + rng.normal(size=runs), states, 1.0, t, np)
    # a variance over 2000 runs has a relative deviation of √(2 / 2000) = 3 %
    assert np.var(w) == pytest.approx(rate / (2.0 - rate), rel=0.1)
    assert np.var(meaning.evaluation(program, w, states, np)) * n == pytest.approx(1.0, rel=0.1)
