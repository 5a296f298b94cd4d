"""Programs converge as textbooks say, on quadratics ½ Σ hᵢ wᵢ² of a known condition number κ = L/μ.

All in float64 by the meaning on numpy. Rates are those of Nesterov 2004, Introductory Lectures on Convex
Optimization, sections 2.1 and 2.2, and Polyak 1987, Introduction to Optimization, section 3.2.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import baselines
from primitives import Program, meaning
from primitives.program import LEARNING_RATE

CONDITIONS = (2, 10, 100, 1000)
DIMENSION = 20
L = 3.0  # the largest curvature; not 1, so that a lost factor shows

TOLERANCE = 2e-4
"""Of rates measured over late steps: a double eigenvalue ρ gives (a + b·k) ρᵏ, of which k is divided out. What is
left falls as 1/k², so it is largest where a walk is short: 1.4e-4 after 188 steps at κ = 2."""

each_condition = pytest.mark.parametrize("kappa", CONDITIONS)


def curvatures(kappa: float) -> np.ndarray:
    """From L/κ to L, both included."""
    return np.geomspace(L / kappa, L, DIMENSION)


def start(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=DIMENSION)


def walk(name: str, values: dict[str, float], h: np.ndarray, w: np.ndarray, steps: int) -> np.ndarray:
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
    """The factor of one step, from the second half of a walk: the slope of a line through the logarithms."""
    late = np.log(sizes[len(sizes) // 2 :])
    return float(np.exp(np.polyfit(np.arange(len(late)), late, 1)[0]))


# --- gradient descent ---------------------------------------------------------------------------------


@each_condition
def test_gradient_descent_contracts_by_its_rate_and_in_no_step_by_less(kappa):
    """With the step 2/(L + μ) by (κ-1)/(κ+1), and by exactly that in the steepest and in the flattest direction."""
    h, rate = curvatures(kappa), (kappa - 1) / (kappa + 1)
    steps = math.ceil(-4.0 / math.log(rate)) + 20
    distance = np.linalg.norm(walk("sgd", {LEARNING_RATE: 2.0 / (L + L / kappa)}, h, start(), steps), axis=1)
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


# --- heavy ball ---------------------------------------------------------------------------------------


@each_condition
def test_heavy_ball_with_polyaks_constants_has_polyaks_rate(kappa):
    """(√κ-1)/(√κ+1) a step in the limit; at first k times that power, as the matrix of a step has a Jordan block."""
    h, root = curvatures(kappa), math.sqrt(kappa)
    rate = (root - 1.0) / (root + 1.0)
    values = {LEARNING_RATE: 4.0 / (math.sqrt(L) + math.sqrt(L / kappa)) ** 2, "momentum": rate**2}
    steps = math.ceil(math.log(1e-140) / math.log(rate))  # long, for k^(1/k) to be 1, and far above underflow
    w = walk("heavy_ball", values, h, start(), steps)
    distance = np.linalg.norm(w, axis=1)
    found = measured_rate(distance[1:] / np.arange(1, steps + 1))
    print(f"\nκ = {kappa}, {steps} steps: {found:.6f}, in theory {rate:.6f}, relative {found / rate - 1.0:.1e}")
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
        # each step rounds by 1e-16 of w, and a difference of two roundings that grow with k stays below this
        np.testing.assert_allclose(np.diff(scaled, 2), 0.0, atol=1e-9 * np.abs(scaled).max())


# --- Nesterov -----------------------------------------------------------------------------------------


def descended(h: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The sequence x behind the parameters y of Nesterov's method: x_{k+1} = y_k - ∇f(y_k) / L."""
    return w - h * w / L


@each_condition
@pytest.mark.parametrize("seed", [0, 1])
def test_nesterov_for_convex_functions_stays_under_its_bound(kappa, seed):
    """f(x_k) - f* <= 2 L |x_0 - x*|² / (k+1)², of the sequence x; the parameters hold y."""
    h, w = curvatures(kappa), start(seed)
    f = loss(h, descended(h, walk("nesterov_convex", {LEARNING_RATE: 1.0 / L}, h, w, 1000)))  # x_1, x_2, ...
    k = np.arange(1, len(f) + 1)
    bound = 2.0 * L * np.sum(w * w) / (k + 1.0) ** 2
    print(f"\nκ = {kappa}: at most {np.max(f / bound):.3f} of the bound")
    assert (f <= bound).all()


def test_the_bound_of_nesterov_is_met_up_to_a_constant_and_is_out_of_reach_of_gradient_descent():
    """After k steps, in the direction of the worst curvature: each coordinate is a quadratic of its own."""
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
    """f(x_k) - f* <= (1 - 1/√κ)ᵏ (f(x_0) - f* + μ/2 |x_0 - x*|²), with the momentum (√κ-1)/(√κ+1)."""
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
    print(f"\nκ = {kappa}: f / k² contracts by {found:.6f}; bound {factor:.6f}, eigenvalue squared {factor**2:.6f}")
    assert found == pytest.approx(factor**2, rel=TOLERANCE)
    assert found < factor


# --- one against the other ----------------------------------------------------------------------------


def test_acceleration_takes_the_root_of_the_steps():
    """To divide the distance by 10⁶: about κ/2 · log 10⁶ steps of gradient descent, √κ/2 · log 10⁶ of heavy ball."""
    counts = {}
    for kappa in (100, 1000):
        h, root = curvatures(kappa), math.sqrt(kappa)
        w = np.zeros(DIMENSION)
        w[0] = w[-1] = 1.0
        rate = (root - 1.0) / (root + 1.0)
        polyak = {LEARNING_RATE: 4.0 / (math.sqrt(L) + math.sqrt(L / kappa)) ** 2, "momentum": rate**2}
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
    assert counts["heavy_ball", 1000] / counts["heavy_ball", 100] == pytest.approx(math.sqrt(10.0), rel=0.15)
