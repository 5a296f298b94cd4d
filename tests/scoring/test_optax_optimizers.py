"""Optimizers written with Optax are scored beside programs, by the same numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import baselines
from evolve.comparison.contest import Contestant, confirm
from evolve.config.schema import TaskSettings
from evolve.scoring.fit import check_fit
from evolve.scoring.job import OK, Job
from evolve.scoring.optax_optimizer import (
    OPTIMIZERS,
    OptaxOptimizer,
    optimizer,
    register_optimizer,
    tunable,
)
from evolve.scoring.optimizers import known, known_names
from evolve.scoring.scorer import Scorer
from evolve.scoring.suite import make_suite
from evolve.scoring.trial import Trials
from evolve.workers.inline import Inline
from primitives import ProgramError
from proxy_tasks import make_task

SEED = "0:optax:0"


@pytest.fixture(autouse=True)
def registry():
    """Nothing that a test registers is there for the next."""
    before = dict(OPTIMIZERS)
    OPTIMIZERS.clear()
    yield
    OPTIMIZERS.clear()
    OPTIMIZERS.update(before)


@pytest.fixture(scope="module")
def trials() -> Trials:
    return Trials(make_task("noisy_quadratic", dim=8, steps=20))


def adamw(learning_rate, beta1, beta2, eps, weight_decay):
    """AdamW of Optax: as a user would register it."""
    return optax.adamw(learning_rate, beta1, beta2, eps, weight_decay=weight_decay)


ADAMW = {
    "learning_rate": tunable(3e-3, 3e-5, 3e-1, "log"),
    "beta1": tunable(0.9, 0.5, 0.99, "log1m"),
    "beta2": tunable(0.999, 0.8, 0.9999, "log1m"),
    "eps": 1e-8,
    "weight_decay": tunable(1e-4, 1e-5, 3.0, "log"),
}


def test_adamw_of_optax_ends_where_our_program_does_with_the_same_values(trials):
    ours = baselines.get("adamw")
    theirs = register_optimizer(adamw, name="theirs", hyperparameters=ADAMW)
    for values in ({}, {"learning_rate": 0.1, "beta1": 0.7, "weight_decay": 0.5}):
        one, two = (end_of(trials, x.with_values(values)) for x in (ours, theirs))
        # The order of a product differs, and twenty steps amplify the last bits of float32.
        np.testing.assert_allclose(one, two, rtol=1e-5)


def end_of(trials: Trials, optimizer) -> np.ndarray:
    """Where the model is evaluated after all steps, in a loop compiled for this optimizer."""
    run, args = trials.compiled(optimizer)
    final, finite = run(args, trials.begin(SEED), trials.schedule)
    assert bool(finite)
    return np.asarray(final)


def test_the_learning_rate_follows_the_schedule_step_by_step(trials):
    @optimizer()
    def walk(learning_rate=1.0):
        """Walk: the learning rate in every step, whatever the gradient."""
        return optax.stateless(
            lambda updates, params: jax.tree.map(
                lambda g: jnp.ones_like(g) * learning_rate, updates
            )
        )

    way = end_of(trials, known("walk")) - np.asarray(trials.begin(SEED).w)
    np.testing.assert_allclose(way, np.sum(trials.schedule), rtol=1e-5)


def test_one_compiled_loop_serves_all_values_unless_a_factory_looks_at_them(trials):
    def looks(learning_rate, momentum):
        return optax.sgd(learning_rate, momentum if momentum > 0 else None)

    values = {"learning_rate": 0.01, "momentum": 0.5}
    for factory, one_for_all in ((optax.sgd, True), (looks, False)):
        first = OptaxOptimizer("x", "", *listed(factory, values))
        second = first.with_values({"learning_rate": 0.02, "momentum": 0.25})
        third = second.with_values({"learning_rate": 0.03})
        runs = [trials.compiled(x)[0] for x in (first, second, third)]
        assert (runs[0] is runs[1]) == one_for_all
        assert runs[1] is runs[2]  # the learning rate is always an argument
    for x in (first, second):
        same = OptaxOptimizer("x", "", *listed(optax.sgd, values)).with_values(x.values)
        assert math.isclose(trials.loss(x, SEED), trials.loss(same, SEED), rel_tol=1e-5)


def listed(factory, values):
    entry = register_optimizer(factory, name=f"x{len(OPTIMIZERS)}", hyperparameters=values)
    return entry.hyperparameters, entry.factory


@pytest.mark.parametrize(
    "factory",
    [
        optax.polyak_sgd,  # asks for the loss
        lambda learning_rate=0.1: optax.lbfgs(learning_rate),  # for the loss elsewhere, too
        lambda learning_rate=0.1: optax.chain(
            optax.add_noise(0.01, 0.5, key=jax.random.key(0)), optax.sgd(learning_rate)
        ),  # has a random key as its state
        lambda learning_rate=0.1: optax.MultiSteps(
            optax.adam(learning_rate), 2
        ).gradient_transformation(),
    ],
    ids=["polyak_sgd", "lbfgs", "noise", "multi_steps"],
)
def test_what_optax_has_of_odd_optimizers_runs_too(trials, factory):
    entry = register_optimizer(factory, name="odd")
    check_fit(entry, trials.task)
    assert math.isfinite(trials.loss(entry, SEED))


@pytest.fixture
def scorer() -> Scorer:
    """A suite of one task on which what is 0 is an optimizer of a plug-in, as if it were tuned."""
    register_optimizer(adamw, name="theirs", hyperparameters=ADAMW)
    values = {"theirs": {"learning_rate": 0.01}}
    tasks = [TaskSettings(kind="noisy_quadratic", fields={"dim": 8, "steps": 20})]
    suite = make_suite("small", tasks, reference="theirs")
    return Scorer(replace(suite, given=dict.fromkeys(suite.fingerprints, values)))


def test_scores_can_be_relative_to_it(scorer):
    scorer.check()
    assert scorer.suite.reference_label == "tuned AdamW of Optax"
    assert scorer.score(Job("", (SEED,), known="theirs")).scores == ((0.0,),)


def test_it_is_known_by_its_name_and_scored_by_it(scorer):
    register_optimizer(optax.sgd, name="plain", hyperparameters={"learning_rate": 0.1})
    assert {"theirs", "plain"} <= set(known_names())
    executor = Inline(scorer.suite)
    theirs, plain = confirm(
        executor,
        scorer.suite,
        [Contestant(name, known(name), known=name) for name in ("theirs", "plain")],
        seeds=2,
    )
    assert (theirs.score, theirs.beats_reference) == (0.0, False)
    assert plain.status == OK
    assert plain.score != 0.0
    assert (plain.statements, plain.state) == (0, "")


# --- what is refused ------------------------------------------------------------------------------


def grows(learning_rate=0.1):
    """A state that becomes longer from step to step."""
    return optax.GradientTransformation(
        lambda params: jnp.zeros(1), lambda g, s, p=None: (g, jnp.concatenate([s, s]))
    )


def fails_when_it_steps(learning_rate=0.1):
    def update(updates, state, params=None):
        raise RuntimeError("no step today")

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


REFUSED = {
    "no transformation": (
        lambda: 5.0,
        {},
        "odd gives a float and no optax.GradientTransformation\n"
        "Return what optax.adamw or optax.chain returns.",
    ),
    "fails": (
        lambda learning_rate: optax.sgd(learning_rate, momentm=1),
        {"learning_rate": 0.1},
        "odd(learning_rate=0.1) fails: TypeError: sgd() got an unexpected keyword argument",
    ),
    "unknown hyperparameter": (
        lambda learning_rate: optax.sgd(learning_rate),
        {"learning_rat": 0.1},
        "odd has no parameter called 'learning_rat'\nDid you mean 'learning_rate'?",
    ),
    "undeclared": (
        lambda learning_rate, b: optax.sgd(learning_rate),
        {"learning_rate": 0.1},
        "odd needs 'b', and no value of it is declared",
    ),
    "range": (
        lambda learning_rate: optax.sgd(learning_rate),
        {"learning_rate": tunable(0.1, 0.5, 0.2, "log")},
        "odd: 0.5 to 0.2 is no log range for 'learning_rate'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_factory_that_does_not_do_is_refused_in_one_sentence(case):
    factory, hyperparameters, said = REFUSED[case]
    with pytest.raises(ProgramError) as fault:
        register_optimizer(factory, name="odd", hyperparameters=hyperparameters)
    assert str(fault.value).startswith(said)
    assert "odd" not in OPTIMIZERS


@pytest.mark.parametrize("name", ["adamw", "kfac", "twice"])
def test_a_name_that_is_taken_is_refused(name):
    register_optimizer(optax.sgd, name="twice", hyperparameters={"learning_rate": 0.1})
    with pytest.raises(ProgramError, match=f"an optimizer called '{name}' exists already"):
        register_optimizer(optax.sgd, name=name, hyperparameters={"learning_rate": 0.1})


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (grows, "ValueError: an array becomes one of another shape: (1,), (2,)"),
        (fails_when_it_steps, "RuntimeError: no step today"),
    ],
)
def test_what_cannot_take_a_step_on_a_task_says_so_before_anything_runs(trials, factory, said):
    entry = register_optimizer(factory)
    with pytest.raises(ProgramError) as fault:
        check_fit(entry, trials.task)
    name = factory.__name__
    assert str(fault.value) == f"{name} cannot take a step on noisy_quadratic: {said}"
