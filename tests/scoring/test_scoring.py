"""Scores: what 0 means, what is spent on whom, and that tricks do not pay."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from unittest import mock

import numpy as np
import pytest

import baselines
from evolve.comparison.contest import Contestant, judge
from evolve.comparison.statistics import interval
from evolve.config.errors import ConfigError
from evolve.config.presets import load_config, load_suite, preset_names
from evolve.config.schema import TaskSettings
from evolve.scoring.job import (
    DIVERGED,
    EARLY,
    ERROR,
    HURDLE,
    OK,
    WORST,
    Job,
    Outcome,
    ReferenceDiverged,
    mean,
)
from evolve.scoring.optimizers import known
from evolve.scoring.references import SHIPPED, file_name, reference, tuned, tuned_values
from evolve.scoring.scorer import Scorer
from evolve.scoring.suite import make_suite, suite_of
from evolve.scoring.trial import Trials, seed_key
from evolve.search.mutation import Child
from evolve.search.search import Search
from evolve.workers.errors import WorkerFailure
from evolve.workers.inline import Inline
from primitives import Program, parse
from primitives.canonical.graph import graph
from primitives.machine import step as machine
from proxy_tasks import make_task
from proxy_tasks.catalogue import domain
from proxy_tasks.task import LEAST_LOSS

ONE = suite_of("quickstart")  # a suite of one task
SEEDS = ("0:search:0", "0:search:1", "0:search:2")


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    """The tasks of the smoke suite, compiled."""
    return Scorer(suite_of("smoke"))


def text(name: str, scorer: Scorer) -> str:
    return str(tuned(name, scorer.suite.tasks[0]))


def test_tuned_adamw_against_itself_is_exactly_0_on_both_parts(scorer):
    for part in ("validation", "test"):
        outcome = scorer.score(Job(str(baselines.get("adamw")), SEEDS, part=part, known="adamw"))
        assert outcome.scores == ((0.0, 0.0),) * 3
        assert (outcome.status, outcome.fitness) == (OK, 0.0)


def test_a_score_is_the_log_of_a_ratio_of_losses_by_hand(scorer):
    outcome = scorer.score(Job(text("lion", scorer), SEEDS[:2]))
    lion = parse(text("lion", scorer))
    for seed, row in zip(SEEDS, outcome.scores, strict=False):
        for task, trials, score in zip(scorer.suite.tasks, scorer.trials, row, strict=True):
            ours, theirs = trials.loss(lion, seed), trials.loss(reference("adamw", task), seed)
            assert math.isclose(score, math.log(theirs) - math.log(ours), rel_tol=0, abs_tol=1e-12)
    flat = [s for row in outcome.scores for s in row]
    assert math.isclose(outcome.fitness, sum(flat) / 4, rel_tol=1e-12)


def test_the_same_job_gives_the_same_bits_again_and_in_a_new_scorer(scorer):
    job = Job(text("lion", scorer), SEEDS[:1])
    fresh = Scorer(dataclasses.replace(scorer.suite, tasks=scorer.suite.tasks[1:]))
    assert scorer.score(job) == scorer.score(job)
    assert fresh.score(job).scores[0] == scorer.score(job).scores[0][1:]


def test_programs_of_one_identity_score_the_same_bits(scorer):
    lion = tuned("lion", scorer.suite.tasks[0])
    other = parse(
        str(lion).replace(
            "    return update", "    unused = sin(w)\n    again = update * 1.0\n    return again"
        )
    )
    assert other != lion
    assert graph(other).key == graph(lion).key
    assert scorer.score(Job(str(other), SEEDS)) == scorer.score(Job(str(lion), SEEDS))


@pytest.mark.parametrize(
    "body",
    ["u = w * -10000000000.0", "u = g * 10000000000.0\n    u = u * u\n    u = u * u"],
)
def test_a_program_that_diverges_is_a_result_and_the_worst_one(scorer, body):
    outcome = scorer.score(Job(f"def step(w, g):\n    {body}\n    return u\n", SEEDS))
    assert outcome.status == DIVERGED
    assert outcome.fitness == outcome.search_score == WORST == -math.inf
    assert outcome.select_score is None


def test_a_program_below_the_hurdle_stops_after_one_seed(scorer):
    job = Job(text("lion", scorer), SEEDS, hurdle=10.0, select=("x",), bar=WORST)
    stopped = scorer.score(job)
    full = scorer.score(dataclasses.replace(job, hurdle=WORST))
    assert (stopped.status, len(stopped.scores), stopped.selected) == (HURDLE, 1, ())
    assert stopped.scores == full.scores[:1]
    at = mean(full.scores[:1])  # the hurdle itself is cleared
    assert scorer.score(dataclasses.replace(job, hurdle=at)).status == OK


def test_a_training_stops_early_on_the_first_task_below_its_bound_and_else_ends_as_if_never_seen(
    scorer,
):
    plain = scorer.score(Job(text("lion", scorer), SEEDS))
    job = Job(text("lion", scorer), SEEDS, at=0.25, early=(WORST, WORST))
    looked = scorer.score(job)
    assert len(looked.early) == 2
    assert dataclasses.replace(looked, early=()) == plain
    for task, (trials, score) in enumerate(zip(scorer.trials, looked.early, strict=True)):
        ours, theirs = (
            next(trials.losses(optimizer, SEEDS[0], [15, 60]))
            for optimizer in (parse(text("lion", scorer)), reference("adamw", trials.task))
        )
        assert math.isclose(score, math.log(theirs / ours), abs_tol=1e-12)
        bounds = [WORST, WORST]
        bounds[task] = math.nextafter(score, 9)
        stopped = scorer.score(dataclasses.replace(job, early=tuple(bounds)))
        assert (stopped.status, stopped.scores, stopped.early) == (
            EARLY,
            (),
            looked.early[: task + 1],
        )
        assert stopped.fitness == WORST
        bounds[task] = score  # the bound itself is cleared
        assert scorer.score(dataclasses.replace(job, early=tuple(bounds))) == looked


def test_known_optimizers_lie_at_0_early_and_at_the_end(scorer):
    outcome = scorer.score(
        Job(text("adamw", scorer), SEEDS[:1], at=0.5, early=(WORST, WORST), known="adamw")
    )
    assert outcome.early == (0.0, 0.0)


def test_seeds_for_the_hall_of_fame_are_spent_above_the_bar_only(scorer):
    job = Job(text("lion", scorer), SEEDS[:2], select=("x", "y"), bar=WORST)
    chosen = scorer.score(job)
    assert len(chosen.selected) == 2
    assert chosen.select_score == mean(chosen.selected)
    assert chosen.fitness == mean(chosen.scores + chosen.selected)
    at = mean(chosen.scores)
    assert scorer.score(dataclasses.replace(job, bar=at)).selected == ()
    assert (
        scorer.score(dataclasses.replace(job, bar=math.nextafter(at, -9))).selected
        == chosen.selected
    )
    assert scorer.score(dataclasses.replace(job, select=())).selected == ()


def test_the_mean_does_not_depend_on_the_order_and_one_infinity_decides():
    rows = ((0.1, 1e16), (-1e16, 0.2), (0.3, 1 / 3))
    assert mean(rows) == mean(rows[::-1]) == math.fsum((0.1, 0.2, 0.3, 1 / 3)) / 6
    assert mean(((1.0, -math.inf),)) == WORST
    assert mean(()) == WORST
    assert (
        Outcome("timeout").fitness == Outcome("crash").fitness == Outcome("error").fitness == WORST
    )


def test_seeds_are_names_and_nothing_else():
    import jax

    bits = [
        jax.random.key_data(seed_key(s)).tolist()
        for s in ("0:search:0", "0:search:0", "0:search:1", "1:search:0")
    ]
    assert bits[0] == bits[1]
    assert len({tuple(b) for b in bits}) == 3


# --- machine and compiled path --------------------------------------------------------------------


@pytest.mark.parametrize(("name", "task"), [("adamw", 0), ("lion", 1)])
def test_the_machine_and_the_compiled_path_end_in_nearly_the_same_loss(scorer, name, task):
    """Sixty steps amplify the last bits of float32; 1e-3 is a hundred times what was seen."""
    trials: Trials = scorer.trials[task]
    program = tuned(name, trials.task)
    begin = trials.begin(SEEDS[0])
    run, args = trials.compiled(program)
    final, finite = run(args, begin, trials.schedule)
    assert bool(finite)
    loss = trials.evaluate(final, begin.data)
    assert math.isclose(loss, trials.loss(program, SEEDS[0]), rel_tol=1e-3)


def test_a_program_too_large_for_the_machine_is_compiled_and_scores_the_same(scorer):
    lion = tuned("lion", scorer.suite.tasks[1])
    doubled = "    update = update * 2.0\n    update = update * 0.5\n" * 80
    large = parse(str(lion).replace("    return update", f"{doubled}    return update"))
    with pytest.raises(machine.DoesNotFit):
        machine.load(graph(large))
    trials = scorer.trials[1]
    assert math.isclose(trials.loss(large, SEEDS[0]), trials.loss(lion, SEEDS[0]), rel_tol=1e-3)


# --- tricks ---------------------------------------------------------------------------------------

TRICKS = {
    "nothing": "u = g * 0.0",
    "next to nothing": "u = g * 1e-08\n    u = u * 1e-08",
    "shrink": "u = w * 0.1",
    "shrink with a pretext": "z = g * 0.0\n    u = w * 0.1\n    u = u + z",
    "jump to the origin": "z = g * 1e-09\n    u = w + z",
    "a huge constant": "u = g * 10000000000.0",
    "a constant": "z = g * 0.0\n    u = z + 1.0",
    "uphill": "u = g * -0.1",
    "uphill by sign": "s = sign(g)\n    u = s * -0.01",
    "back to the start": "m = m * 1.0\n    z = g * 1e-09\n    u = w - m\n    u = u + z",
    "copy of the last parameters": "u = m - w\n    u = u + g\n    u = u * 0.0001\n    m = w",
    "only the gradient's size": "s = abs(g)\n    u = s * 0.01",
    "divide by nothing": "z = g * 0.0\n    u = g / z",
}


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_is_rejected_or_scores_far_below_tuned_adamw(scorer, trick):
    program = parse(f"m = copy(w)\n\ndef step(w, g):\n    {TRICKS[trick]}\n    return u\n")
    assert scored(program, scorer) < -0.2


def scored(program: Program, scorer: Scorer) -> float:
    """Fitness as the search sees it."""
    config = load_config("smoke").model_copy(update={"suite": load_suite("smoke")[1]})
    search = Search(config, [baselines.get("adamw")])
    candidate = search.judge(0, 0, None, Child(program, "x"))
    return WORST if candidate.reason else scorer.score(candidate.job).fitness


# --- references -----------------------------------------------------------------------------------

TASKS = {task.fingerprint: task for name in preset_names("suites") for task in suite_of(name)}


@pytest.mark.parametrize("fingerprint", TASKS, ids=lambda f: f"{TASKS[f].kind}-{f[:4]}")
def test_every_task_of_the_presets_has_an_honest_reference(fingerprint):
    """Equal budgets for all that were raced, values within what was searched, the learning rate off
    the edge.
    """
    stored = json.loads((SHIPPED / file_name(TASKS[fingerprint].kind, fingerprint)).read_text())
    assert stored["fingerprint"] == fingerprint
    assert stored["task"]["kind"] == TASKS[fingerprint].kind
    assert stored["machine"]["platform"] == "cpu"
    found = stored["optimizers"]
    assert "adamw" in found
    efforts = {entry["trainings"] for entry in found.values() if "trainings" in entry}
    assert len(efforts) == 1
    assert min(efforts) >= 128
    for name, entry in found.items():
        program = known(name)
        assert set(entry["values"]) == {
            h.name for h in program.hyperparameters if h.low is not None
        }
        for key, value in entry["values"].items():
            low, high = entry["ranges"][key]
            assert low <= value <= high
        assert entry["interior"]["learning_rate"] is True
        assert all(0 < loss < math.inf for loss in entry["validation"] + entry["test"])
        assert tuned(name, TASKS[fingerprint]).values.items() >= entry["values"].items()


def test_what_confirms_a_search_is_other_than_what_it_saw():
    search, confirm = (suite_of(name) for name in ("search", "confirm"))
    assert not {task.kind for task in search} & {task.kind for task in confirm}
    assert len(search) >= 10
    assert len(confirm) >= 6
    assert len({domain(type(task)) for task in search}) >= 6


def test_every_reference_file_belongs_to_a_task_of_a_preset():
    assert {path.name for path in SHIPPED.glob("*.json")} == {
        file_name(task.kind, fingerprint) for fingerprint, task in TASKS.items()
    }


def test_a_task_nobody_tuned_has_no_values():
    assert tuned_values(make_task("noisy_quadratic", dim=3, steps=7)) == {}


# --- the last word --------------------------------------------------------------------------------


def test_the_interval_is_that_of_the_closed_form_for_normal_data():
    """To a tenth: 60 seeds are not quite symmetric. Few seeds: comparison/test_statistics.py."""
    from scipy.stats import t

    for seed in range(3):
        scores = np.random.default_rng(seed).normal(0.1, 0.5, 60)
        for level in (0.95, 0.99):
            half = t.ppf(0.5 + level / 2, 59) * scores.std(ddof=1) / math.sqrt(60)
            low, high = interval(list(scores), level)
            assert math.isclose(low, scores.mean() - half, abs_tol=0.1 * half)
            assert math.isclose(high, scores.mean() + half, abs_tol=0.1 * half)


@pytest.mark.parametrize(
    "scores", [[0.1] * 5, [0.0, 1.0], [0.0] * 9 + [1.0], [1e-17, 2e-17, 3e-17], [-5.0, 5.0, 5.0]]
)
def test_the_interval_of_odd_data_is_finite_and_holds_the_mean(scores):
    low, high = interval(scores, 0.95)
    slack = 1e-12 * max(map(abs, scores))
    assert low - slack <= np.mean(scores) <= high + slack
    assert interval(scores, 0.95) == (low, high)
    wide = interval(scores, 0.99)
    assert wide[0] <= low
    assert wide[1] >= high


def test_more_finalists_need_a_clearer_win():
    lion = baselines.get("lion")
    seeds = (0.06, -0.02, 0.1, 0.04, 0.08, 0.002, -0.01, 0.12, 0.04, 0.02)
    scores = tuple((s,) for s in seeds)
    who = Contestant("x", lion, finalist=True)
    alone, many = (judge(who, ONE, Outcome(OK, scores), n) for n in (1, 100))
    assert alone.beats_reference
    assert not many.beats_reference
    assert (alone.low, alone.high, alone.score) == (many.low, many.high, many.score)


def test_whoever_diverges_comes_last_and_beats_nobody():
    verdict = judge(Contestant("x", baselines.get("lion")), ONE, Outcome(DIVERGED, ((9.0,),)), 1)
    assert (verdict.score, verdict.low, verdict.beats_reference) == (-math.inf, -math.inf, False)
    assert json.loads(json.dumps(verdict.facts(), allow_nan=False))["score"] is None


@pytest.mark.parametrize(
    ("reference_loss", "loss", "comes"),
    [
        (1.0, -1e-3, "the loss on .* is -0.001, and a score is a logarithm of it"),
        (-1.0, -1.0, "comes down to -1 in seed"),
        (-1.0, 0.5, "comes down to -1 in seed"),
        (0.0, 0.0, "comes down to 0 in seed"),
        (1e-32, 1e-32, "comes down to 1e-32 in seed"),
        (1.0, 0.0, None),  # what a float cannot tell from 0 has the best score there is
    ],
)
def test_a_loss_that_has_no_logarithm_gives_no_score(monkeypatch, reference_loss, loss, comes):
    fresh = Scorer(suite_of("noisy_quadratic"))
    reference_of = fresh.suite.reference_on(fresh.suite.tasks[0])

    def losses(optimizer, seed, stops, *rest):
        return [reference_loss if optimizer == reference_of else loss] * len(stops)

    monkeypatch.setattr(fresh.trials[0], "losses", losses)
    job = Job(str(baselines.get("lion")), ("0",))
    if comes is None:
        assert fresh.try_to_score(job).scores == ((-math.log(LEAST_LOSS),),)
    elif reference_loss > LEAST_LOSS:
        assert re.search(comes, fresh.try_to_score(job).detail)
    else:
        with pytest.raises(ReferenceDiverged, match=comes):
            fresh.try_to_score(job)


def test_a_process_that_can_score_nothing_says_so_and_records_nothing(monkeypatch):
    """As where what jax keeps of compiled loops was exchanged."""
    inline = Inline(suite_of("noisy_quadratic"))
    trials = inline.scorer.trials[0]
    monkeypatch.setattr(trials, "losses", mock.Mock(side_effect=TypeError("another executable")))
    inline.submit(0, Job(str(baselines.get("lion")), ("0",)))
    with pytest.raises(WorkerFailure, match="nothing can be scored in this process: TypeError: an"):
        inline.arrivals(0.0)


def test_a_process_whose_reference_can_be_scored_goes_on_after_a_program_that_fails(monkeypatch):
    inline = Inline(suite_of("noisy_quadratic"))
    monkeypatch.setattr(inline.scorer, "check", check := mock.Mock())
    monkeypatch.setattr(inline.scorer.trials[0], "losses", mock.Mock(side_effect=TypeError("odd")))
    for number in range(3):
        inline.submit(number, Job(str(baselines.get("lion")), ("0",)))
    assert [inline.arrivals(0.0)[0][1].status for _ in range(3)] == [ERROR] * 3
    assert check.call_count == 1


TOO_LARGE = [
    ("noisy_quadratic", "dim", 4 * 10**10), ("noisy_quadratic", "dim", 4e10),
    ("noisy_quadratic", "steps", 10**12), ("digits_dense", "width", 10**12),
    ("digits_conv", "channels", 10**9), ("char_transformer", "batch", 10**12),
    ("char_transformer", "layers", 10**9), ("char_transformer", "width", 10**12),
    ("diabetes_regression", "width", 10**15),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "field", "value"), TOO_LARGE)
def test_a_task_that_no_memory_holds_is_refused_before_it_is_built(kind, field, value):
    with pytest.raises(ConfigError, match=f"{kind}.*(GiB|must be)"):
        make_suite("mine", [TaskSettings(kind=kind, fields={field: value})])
