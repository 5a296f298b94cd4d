"""The ways to train a program say the same: the machine, one call after the other, many at once, on
any device.
"""

from __future__ import annotations

import functools
import logging
import math
import os
import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kit.compiling import cheap_jit, quick_compilation

import baselines
from evolve.config.schema import TaskSettings, WorkerSettings
from evolve.scoring import scorer as scoring
from evolve.scoring import stepwise
from evolve.scoring.job import Job
from evolve.scoring.loops import Batch, offer
from evolve.scoring.scorer import ReferenceDiverged, Scorer
from evolve.scoring.stepwise import Stepwise
from evolve.scoring.suite import make_suite, suite_of
from evolve.scoring.trial import SHARE, Runner, Trials, memory_of
from evolve.workers import executor as workers
from evolve.workers.errors import WorkerFailure
from primitives import Program, meaning, parse
from primitives.machine import step as machine
from primitives.machine.layout import Layout
from primitives.machine.step import DoesNotFit
from primitives.registry import oracles
from primitives.statements import KERNELS
from proxy_tasks import Task, make_task

SEED = "0:trial:0"
STEPS = 4
BANK = 4 * machine.VECTORS * 8  # bytes of the machine's registers for 8 parameters

# One of every form: matrices and squares beside a fallback, rows and columns, a first gradient,
# signs, both oracles, the loss, a point to evaluate at, norms of a leaf, scalars that are states.
# Programs that use the eigenvectors of matrices of low rank are left out: there they are any, and
# numpy finds others.
FORMS = ("muon", "shampoo", "adafactor", "sm3", "adan", "adahessian", "natural_gradient", "momo",
         "schedule_free_adamw", "lamb", "demon_sgd")  # fmt: skip

TWICE = "    update = update * 2.0\n    update = update * 0.5\n"
LARGE = parse(str(baselines.get("lion")).replace("    return", TWICE * 80 + "    return"))
DIVERGING = parse("def step(g):\n    u = g * -10000000000.0\n    return u\n")


@pytest.fixture(scope="module")
def dense() -> Trials:
    return Trials(make_task("digits_dense", width=4, batch=8, steps=STEPS))


@pytest.fixture(scope="module")
def quadratic() -> Trials:
    return Trials(make_task("noisy_quadratic", dim=8, steps=5))


@functools.cache
def asked(task: Task, layout: Layout, name: str):
    """Something that a program may ask of a task, compiled.

    Given its parameters, a batch, and an oracle's argument.
    """
    if name == "g":
        return cheap_jit(
            lambda params, batch: jax.value_and_grad(task.loss)(params, batch.data, batch.draw)
        )

    def answer(params, batch, *x):
        found = offer(task, layout, name, params, batch)
        return found(*x) if x else found

    return cheap_jit(answer)


def plainly(trials: Trials, program: Program) -> np.ndarray:
    """f32[size]: where the model is evaluated after all steps, by the definition of what a program
    means, in numpy.
    """
    task, layout, begin = trials.task, trials.layout, trials.begin(SEED)
    params = in_numpy(layout.unflatten(begin.w))
    states = meaning.init(program, params, np)
    for number in range(task.steps):
        draw = jax.tree.map(lambda d, number=number: d[number], begin.draws.task)
        key, done = jax.random.fold_in(begin.draws.key, number), np.float32(number / task.steps)
        batch = Batch(jnp.nan, draw, begin.data, key, done)
        loss, gradient = asked(task, layout, "g")(params, batch)
        batch = batch._replace(loss=loss)
        asks = {
            name: functools.partial(asked(task, layout, name), params, batch)
            for name in program.needs
        }
        feed = {
            n: (lambda x, ask=a: in_numpy(ask(x))) if n in oracles() else in_numpy(a())
            for n, a in asks.items()
        }
        shape = float(trials.schedule[number])
        params, states = meaning.step(
            program, params, in_numpy(gradient), states, shape, number + 1.0, np, feed
        )
    return np.asarray(layout.flatten(meaning.evaluation(program, params, states, np)))


def in_numpy(tree):
    return jax.tree.map(np.asarray, tree)


@pytest.fixture(scope="module")
def called() -> Trials:
    """What is compiled for it are calls, as cheaply as can be: the numbers are compared with what a
    program means, and not with those of other trials.
    """
    with quick_compilation():
        return Trials(make_task("digits_dense", width=4, batch=8, steps=STEPS))


@pytest.mark.parametrize("name", FORMS)
def test_calls_one_by_one_do_what_the_program_means(called, name):
    check_calls(called, baselines.get(name))


KERNEL = """
kernels = {}()

def step(w, g, lr):
    middle = mean_over_columns(g)
    update = g - middle
    return update

def fallback(w, g, lr):
    update = g * lr
    return update
"""


def test_calls_one_by_one_see_kernels_as_the_program_says():
    """Leaves of one, two and four axes: stacks of matrices beside what is none, then matrices."""
    with quick_compilation():
        trials = Trials(make_task("digits_conv", batch=8, steps=2))
    for kernels in ("stack", "first_axis"):
        check_calls(trials, parse(KERNEL.format(kernels)))


def test_calls_are_shared_by_the_rules_for_kernels_that_say_the_same_of_a_task(dense):
    programs = [parse(KERNEL.format(kernels)) for kernels in KERNELS]
    with quick_compilation():
        conv = Trials(make_task("digits_conv", batch=8, steps=2))
    assert len({id(conv.stepwise(program)) for program in programs}) == len(KERNELS)
    assert len({id(dense.stepwise(program)) for program in programs}) == 1


def check_calls(trials: Trials, program: Program) -> None:
    begin = trials.begin(SEED)
    with quick_compilation():
        ((found, finite),) = trials.stepwise(program).segments(
            program, begin, trials.schedule, [trials.task.steps]
        )
    assert bool(finite)
    expected = plainly(trials, program)
    # The seventh digit differs, and square roots of what is nearly 0 amplify it: 1e-3 of the way
    # that was walked.
    way = np.abs(expected - np.asarray(begin.w)).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * way)


def test_a_training_in_segments_is_the_same_training(dense):
    program = baselines.get("muon")
    begin, way = dense.begin(SEED), dense.stepwise(baselines.get("muon"))
    (straight,) = way.segments(program, begin, dense.schedule, [STEPS])
    *_, last = way.segments(program, begin, dense.schedule, [1, 3, STEPS])
    np.testing.assert_array_equal(straight[0], last[0])


@pytest.mark.slow
def test_a_score_depends_on_no_program_that_was_scored_before(dense):
    kron = baselines.get("psgd_kron")
    dense.loss(baselines.get("adafactor"), SEED, once=True)
    assert dense.loss(kron, SEED, once=True) == Trials(dense.task).loss(kron, SEED, once=True)


def test_a_program_that_diverges_stops_soon_after(quadratic, monkeypatch):
    monkeypatch.setattr(stepwise, "PATIENCE", 1)
    way, begin, steps = quadratic.stepwise(DIVERGING), quadratic.begin(SEED), []
    gradient = way.gradient
    monkeypatch.setattr(way, "gradient", lambda *args: steps.append(1) or gradient(*args))
    ((_, finite),) = way.segments(DIVERGING, begin, quadratic.schedule, [quadratic.task.steps])
    assert not bool(finite)
    assert len(steps) < quadratic.task.steps


def test_what_is_trained_once_is_not_compiled_and_what_is_known_is(dense):
    kron, lion, muon = (baselines.get(name) for name in ("psgd_kron", "lion", "muon"))
    assert isinstance(dense.runner(kron, once=True)[0], Stepwise)
    assert isinstance(dense.runner(kron)[0], Runner)
    for known in (lion, muon):
        assert dense.runner(known)[0] is dense.runner(known, once=True)[0] is dense.machine
    assert math.isclose(dense.loss(kron, SEED, once=True), dense.loss(kron, SEED), rel_tol=1e-3)


def test_a_program_that_does_not_fit_says_why_once(dense, caplog):
    trials = Trials(dense.task)
    with caplog.at_level(logging.INFO, "evolve"):
        for program in (baselines.get("soap"), LARGE, baselines.get("soap"), LARGE):
            trials.runner(program, once=True)
    assert caplog.messages == [
        "digits_dense: not for the machine, because transpose is no operation of the machine",
        "digits_dense: not for the machine, because too many instructions",
    ]


# --- many at once ---------------------------------------------------------------------------------


def test_programs_that_are_trained_together_end_as_they_do_alone(quadratic):
    by_two = Trials(quadratic.task, 2.5 * BANK / SHARE)  # no more banks than that
    programs = [baselines.get("adamw"), DIVERGING, baselines.get("lion"), baselines.get("sgd")]
    together = by_two.losses_together(programs, SEED)
    alone = [quadratic.loss(program, SEED) for program in programs]
    np.testing.assert_allclose(together, alone, rtol=1e-5)  # the order of a sum may differ
    assert math.isnan(together[1])
    with pytest.raises(DoesNotFit):
        by_two.losses_together([LARGE], SEED)


# --- memory ---------------------------------------------------------------------------------------


def test_a_task_too_large_for_the_machine_is_trained_without_it_and_says_so(quadratic, caplog):
    small = Trials(quadratic.task, 0.9 * BANK / SHARE)
    assert caplog.messages == [
        "noisy_quadratic is too large for the machine: its registers take 0.0 GiB, and 0.0 GiB "
        "are there for them. "
        "All programs run without it."
    ]
    lion = baselines.get("lion")
    assert isinstance(small.runner(lion, once=True)[0], Stepwise)
    assert isinstance(small.runner(lion)[0], Runner)
    assert math.isclose(small.loss(lion, SEED, once=True), quadratic.loss(lion, SEED), rel_tol=1e-5)
    assert (
        Trials(quadratic.task, 1.1 * BANK / SHARE).runner(lion, once=True)[0] is not small.machine
    )


def test_memory_is_the_devices_own_or_a_share_of_the_machines():
    assert memory_of(SimpleNamespace(memory_stats=lambda: {"bytes_limit": 10**9}), 4) == 10**9
    for said in (None, {}):
        whole, quarter = (
            memory_of(SimpleNamespace(memory_stats=lambda said=said: said), n) for n in (1, 4)
        )
        assert whole == 4 * quarter > 2**28


def test_scores_without_the_machine_are_of_another_fingerprint(monkeypatch):
    """The memory must not decide a bit unseen: a run is resumed on a machine with the same one
    only.
    """
    tasks = suite_of("smoke")
    usual = Scorer(tasks).fingerprint()
    monkeypatch.setattr(scoring, "memory_of", lambda device, workers: 10**5 / workers)
    assert Scorer(tasks).fingerprint() == usual | {"too large for the machine": ["digits_dense"]}
    assert Scorer(tasks, workers=8).fingerprint()["too large for the machine"] == [
        "digits_dense",
        "noisy_quadratic",
    ]


# --- devices --------------------------------------------------------------------------------------

ON_DEVICES = """
from evolve.environment import pin; pin()
import contextlib, pathlib, sys
import jax
import baselines
from evolve.config.presets import load_config
from evolve.running.drive import Clock, Driver
from evolve.record.journal import Journal
from evolve.scoring.scorer import Scorer
from evolve.scoring.suite import make_suite
from evolve.search.search import Search
from evolve.workers.executor import make_executor

usual = Scorer.try_to_score
def noticed(self, job):
    used.update(device.id for device in jax.tree.leaves(self.trials[0].data)[0].devices())
    return usual(self, job)
Scorer.try_to_score = noticed

suite = "suite=[{kind: noisy_quadratic, dim: 32, steps: 60}]"
for kind in ("inline", "devices"):
    used = set()
    config = load_config("smoke", (suite, "budget={candidates: 60}", f"workers.kind={kind}"))
    executor = make_executor(config.workers, make_suite("run", config.suite))
    executor.ready()
    with contextlib.closing(Journal(pathlib.Path(sys.argv[1], kind))) as journal:
        driver = Driver(Search(config, [baselines.get("adamw")]), executor, journal, config.budget, Clock())
        assert len(list(driver.run())) == 60
    executor.close()
    print(driver.chain.hex(), *sorted(used))
"""


@pytest.mark.slow
def test_threads_on_two_devices_give_the_chain_of_one(tmp_path):
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    command = [sys.executable, "-c", ON_DEVICES, str(tmp_path)]
    done = subprocess.run(
        command, env=os.environ | {"XLA_FLAGS": flags}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    inline, devices = (line.split() for line in done.stdout.splitlines())
    assert inline[0] == devices[0]
    assert (inline[1:], devices[1:]) == (["0"], ["0", "1"])


@pytest.fixture
def devices():
    executor = workers.make_executor(
        WorkerSettings(kind="devices"),
        make_suite("run", [TaskSettings(kind="noisy_quadratic", fields={"dim": 32, "steps": 60})]),
    )
    yield executor
    executor.close()
    assert not any(thread.is_alive() for thread in executor.threads)


def test_on_devices_a_fault_of_a_program_is_an_outcome_and_one_of_the_reference_ends_the_run(
    devices, monkeypatch
):
    assert devices.ready()["platform"] == "cpu"
    assert devices.arrivals(0.0) == []
    devices.submit(3, Job("this is no program", ("s",)))
    ((number, outcome),) = devices.arrivals(60.0)
    assert (number, outcome.status) == (3, "error")
    assert outcome.detail.startswith("ProgramError")

    def diverged(self, job):
        raise ReferenceDiverged("tune it again")

    monkeypatch.setattr(Scorer, "score", diverged)
    devices.submit(4, Job("whatever", ("s",)))
    with pytest.raises(WorkerFailure, match="tune it again"):
        devices.arrivals(60.0)


@pytest.mark.parametrize(("on_cpu", "kind"), [(True, "Local"), (False, "Devices")])
def test_a_cpu_is_shared_by_processes_and_accelerators_by_threads(monkeypatch, on_cpu, kind):
    made = []
    monkeypatch.setattr(workers, "_on_cpu", lambda: on_cpu)
    for name in ("Local", "Devices"):
        monkeypatch.setattr(workers, name, lambda *args, name=name: made.append(name))
    workers.make_executor(WorkerSettings(), suite_of("smoke"))
    assert made == [kind]
