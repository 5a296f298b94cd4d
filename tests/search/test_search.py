"""The search: mutations keep what they say they keep, and the sequence of candidates is a function
of config and seed.

Scores come from a hash of the program here, so these tests train nothing.
"""

from __future__ import annotations

import contextlib
import math
import random
import shutil
import sqlite3
from collections import Counter, deque
from dataclasses import replace

import numpy as np
import pytest
from kit.doubles import Life, Pool, config, hashed, history, remembered

import baselines
from evolve.record.errors import JournalError
from evolve.scoring.job import DIVERGED, EARLY, OK, WORST, Outcome, mean
from evolve.search.candidate import (
    ASCENT,
    CACHED,
    NO_GRADIENT,
    REJECTED,
    Committed,
    Member,
    generator,
)
from evolve.search.controls import random_program, tweak
from evolve.search.hurdles import ENOUGH, foresight
from evolve.search.mutation import Space, delete, insert, modify, mutate
from evolve.search.search import Search
from primitives import PRIMITIVES, Program, ProgramError, parse
from primitives.canonical.graph import graph
from primitives.canonical.probe import probe

# The first ones, and one of every form: rings, inputs, evaluation points, rows, squares, fallbacks,
# many statements.
SOME = ("sgd", "heavy_ball", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "lion", "lion_seed", "adashift",
        "sophia", "schedule_free_adamw", "momo", "adafactor", "muon", "soap", "lbfgs", "rprop")  # fmt: skip
ALL = [baselines.get(name) for name in SOME]
FAMILIES = tuple(sorted({p.family for p in PRIMITIVES.values()}))
SPACE = Space(FAMILIES, max_statements=24)
DRAWS = 250

by_name = pytest.mark.parametrize("program", ALL, ids=lambda p: p.name)


# --- mutations ------------------------------------------------------------------------------------


@by_name
def test_a_long_line_of_children_stays_legal_and_within_its_length(program):
    """A `Program` is checked as it is built; printing and reading it checks it again."""
    space = Space(FAMILIES, max_statements=max(24, len(program.body)))
    at = program
    kinds = Counter()
    for n in range(4 * DRAWS):
        child = mutate(at, space, generator(1, n))
        kinds[child.mutation] += 1
        at = child.program
        assert len(at.body) <= space.max_statements
        assert all(abs(h.value) <= 1e10 for h in at.hyperparameters)
        if n % 10 == 0:
            assert parse(str(at)) == at
    assert min(kinds[k] for k in ("insert", "delete", "modify")) > DRAWS


@by_name
def test_insert_adds_one_statement_and_touches_no_other(program):
    born = 0
    for n in range(DRAWS):
        child = insert(program, SPACE, generator(2, n))
        if child is not None:
            born += 1
            assert child.body in {
                (*program.body[:k], child.body[k], *program.body[k:])
                for k in range(len(program.body) + 1)
            }
            assert replace(child, body=program.body) == program
    assert born > DRAWS / 10


def test_insert_draws_only_from_the_families_it_is_given():
    drawn = set()
    for n in range(2000):
        child = insert(baselines.get("lion"), Space(("logic", "reduction")), generator(3, n))
        if child is not None:
            drawn |= {i.op for i in child.body} - {i.op for i in baselines.get("lion").body}
    assert drawn <= {p.name for p in PRIMITIVES.values() if p.family in ("logic", "reduction")}
    assert len(drawn) > 5


@by_name
def test_delete_reaches_every_legal_deletion_and_nothing_else(program):
    expected = set()
    for k in range(len(program.body)):
        with contextlib.suppress(ProgramError):
            expected.add(replace(program, body=program.body[:k] + program.body[k + 1 :]).body)
    draws = max(DRAWS, 14 * len(program.body))  # enough to draw each of 250 statements once
    found = {delete(program, SPACE, generator(4, n)) for n in range(draws)} - {None}
    assert {child.body for child in found} == expected
    assert {replace(child, body=program.body) for child in found} <= {program}


@by_name
def test_modify_changes_one_argument_or_one_hyperparameter(program):
    for n in range(DRAWS):
        child = modify(program, SPACE, generator(5, n))
        if child is None:
            continue
        before = [(i.target, i.op) for i in program.body]
        assert [(i.target, i.op) for i in child.body] == before
        pairs = zip(program.body, child.body, strict=True)
        changed = sum(a != b for old, new in pairs for a, b in zip(old.args, new.args, strict=True))
        pairs = zip(program.hyperparameters, child.hyperparameters, strict=True)
        changed += sum(old.value != new.value for old, new in pairs)
        assert changed == 1
        assert replace(child, body=program.body, hyperparameters=program.hyperparameters) == program


def test_modify_reaches_every_other_value_of_the_right_kind():
    program = parse(
        "m = zeros_like(w)\ndef step(w, g, lr):\n    m = interp(g, m, 0.9)\n    u = m * lr\n    "
        "return u\n"
    )
    expected = set()
    for line, instruction in enumerate(program.body):
        for slot in range(len(instruction.args)):
            for name in ("w", "g", "lr", "m", "u"):
                args = (*instruction.args[:slot], name, *instruction.args[slot + 1 :])
                if args != instruction.args:
                    body = (
                        *program.body[:line],
                        replace(instruction, args=args),
                        *program.body[line + 1 :],
                    )
                    with contextlib.suppress(ProgramError):
                        expected.add(replace(program, body=body))
    found = {modify(program, SPACE, generator(6, n)) for n in range(3000)} - {None}
    new = {
        (p, n, k)
        for p in found
        for n, i in enumerate(p.body)
        for k, a in enumerate(i.args)
        if a not in NAMED
    }
    assert found - {p for p, _, _ in new} == expected
    assert {(n, k) for _, n, k in new} == {
        (0, 0),
        (0, 1),
        (0, 2),
        (1, 1),
    }  # a number as (1, 0) makes no update


NAMED = ("w", "g", "lr", "m", "u", 0.9)


def structure(program: Program) -> Program:
    """The program with all its constants masked."""
    body = tuple(
        replace(i, args=tuple(0.0 if isinstance(a, float) else a for a in i.args))
        for i in program.body
    )
    return replace(
        program,
        body=body,
        hyperparameters=tuple(replace(h, value=0.0) for h in program.hyperparameters),
    )


@by_name
def test_tweak_changes_one_constant_and_nothing_else(program):
    at = program
    for n in range(DRAWS):
        child = tweak(at, generator(7, n))
        assert child.mutation == "constant"
        assert structure(child.program) == structure(program)
        at = child.program


def test_a_decay_stays_a_decay_however_long_it_is_tweaked():
    program = parse(
        'b = tunable(0.9, low=0.5, high=0.9999, scale="log1m")\nm = zeros_like(w)\n'
        "def step(w, g):\n    m = interp(g, m, b)\n    return m\n"
    )
    for start in (0.9, 1 - 2.0**-50, 1 - 2.0**-53):
        at = program.with_values({"b": start})
        for n in range(200):
            at = tweak(at, generator(8, n)).program
            assert at.values["b"] < 1.0


def test_constants_stay_within_the_bound_of_the_language():
    at = parse("def step(g):\n    u = g * 10000000000.0\n    return u\n")
    for n in range(100):
        at = tweak(at, generator(9, n)).program
        assert abs(at.body[0].args[1]) <= 1e10


@pytest.mark.parametrize("most", [2, 5, 24])
def test_random_programs_are_legal_and_keep_the_limit_of_length(most):
    like = baselines.get("adamw")
    lengths = Counter()
    for n in range(DRAWS):
        child = random_program(like, Space(FAMILIES, most), generator(10, n))
        assert child.mutation == "random"
        assert child.program.states == like.states
        assert parse(str(child.program)) == child.program
        lengths[len(child.program.body)] += 1
    assert max(lengths) <= most
    assert len(lengths) >= most / 2


def test_a_weight_of_zero_switches_a_mutation_off():
    for weights, name in (((1, 0, 0), "insert"), ((0, 1, 0), "delete"), ((0, 0, 1), "modify")):
        at, seen = baselines.get("lion"), set()
        space = Space(FAMILIES, 12, dict(zip(("insert", "delete", "modify"), weights, strict=True)))
        for n in range(60):
            child = mutate(at, space, generator(11, n))
            at = child.program
            seen.add(child.mutation)
            assert 1 <= len(at.body) <= 12
        assert seen <= {name, "none"}


def test_a_program_without_anything_to_change_is_its_own_child():
    bare = parse("def step(g):\n    return g\n")
    assert tweak(bare, generator(0, 0)).mutation == "none"
    assert modify(bare, SPACE, generator(0, 0)) is None
    assert {mutate(bare, SPACE, generator(0, n)).mutation for n in range(20)} == {"insert"}


@by_name
def test_the_same_generator_gives_the_same_child(program):
    for n in range(30):
        random.seed(n)
        np.random.seed(n)  # noqa: NPY002  # global generators must not matter
        assert mutate(program, SPACE, generator(12, n)) == mutate(program, SPACE, generator(12, n))
    assert len({str(mutate(program, SPACE, generator(12, n)).program) for n in range(30)}) > 15
    assert generator(1, 11).random() != generator(11, 1).random()


# --- the search, on scores that are a hash --------------------------------------------------------


STILL = parse("def step(w, lr):\n    u = w * lr\n    return u\n")


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> tuple[list[Committed], str, Search]:
    """The run that scores each candidate as soon as it is asked for."""
    return history(tmp_path_factory.mktemp("plain"), config())


@pytest.mark.parametrize(("seed", "slow"), [(1, 0.0), (2, 0.5), (3, 0.9), (4, 0.2)])
def test_the_order_of_arrival_changes_nothing(tmp_path, plain, seed, slow):
    pool = Pool(seed, slow)
    committed, chain, _ = history(tmp_path, config(), pool)
    assert pool.deepest > 8, "they were in flight together"
    assert [c.candidate for c in committed] == [c.candidate for c in plain[0]]
    assert chain == plain[1]


def test_another_seed_or_lag_is_another_run(tmp_path, plain):
    for change in (
        "seed=1",
        "search.lag=17",
        "search.tournament=4",
        "scoring.hurdle_percentile=50",
    ):
        assert history(tmp_path, config(change))[1] != plain[1]


@pytest.mark.parametrize("budget", [1, 17, 155, 320])
def test_a_budget_only_decides_where_the_sequence_stops(tmp_path, plain, budget):
    committed, _, search = history(tmp_path, config(f"budget.candidates={budget}"))
    assert len(committed) == budget == search.tally.candidates
    assert [(c.candidate, c.outcome) for c in committed] == [
        (c.candidate, c.outcome) for c in plain[0][:budget]
    ]


def test_a_candidate_depends_on_the_outcomes_before_its_number_less_the_lag_only(tmp_path, plain):
    committed, _, _ = plain
    settings = config()
    touched = 0
    for k in (40, 71, 230):
        victim = committed[k].candidate
        if victim.job is None:
            continue
        touched += 1
        spoilt = Outcome(OK, ((9.0, 9.0), (9.0, 9.0)), ((9.0, 9.0),) * 2)
        pool = Pool(
            score=lambda job, said=victim.job, spoilt=spoilt: (
                spoilt if job.program == said.program else hashed(job)
            )
        )
        other, _, _ = history(tmp_path, settings, pool)
        first = k + settings.search.lag + 1
        assert [c.candidate for c in other[:first]] == [c.candidate for c in committed[:first]]
        assert [c.candidate for c in other[first:]] != [c.candidate for c in committed[first:]]
    assert touched


def test_equal_programs_share_the_outcome_of_the_first_also_when_it_is_still_in_flight(plain):
    committed, _, _ = plain
    cached = [c for c in committed if c.status == CACHED]
    in_flight = [c for c in cached if c.candidate.number - c.candidate.same_as <= 16]
    assert len(cached) > 20
    assert len(in_flight) > 5
    for c in cached:
        first = committed[c.candidate.same_as]
        assert c.candidate.job is None
        assert c.outcome is None
        assert c.fitness == first.fitness
        assert first.candidate.job is not None
        values = [graph(x.candidate.program) for x in (c, first)]
        equal = values[0].key == values[1].key
        assert equal or probe(values[0]).key == probe(values[1]).key


def test_no_program_is_scored_twice(plain):
    asked = [c.candidate.job.program for c in plain[0] if c.candidate.job]
    assert len(asked) == len(set(asked)) == plain[2].tally.evaluated


def test_cheap_rejections_have_a_reason_that_is_true(plain):
    rejected = [c for c in plain[0] if c.status == REJECTED]
    reasons = Counter(c.candidate.reason for c in rejected)
    assert set(reasons) == {NO_GRADIENT, ASCENT}
    assert reasons == plain[2].tally.reasons
    for c in rejected:
        assert c.fitness == WORST
        assert c.candidate.job is None
        assert not graph(c.candidate.program).uses("g") or c.candidate.reason == ASCENT
    up = parse("def step(w, g, lr):\n    u = lr - g\n    u = u * 2.0\n    return u\n")
    search = Search(config(), [baselines.get("adamw")])
    from evolve.search.mutation import Child

    assert search.judge(0, 0, None, Child(up, "x")).reason == ASCENT
    assert search.judge(0, 0, None, Child(STILL, "x")).reason == NO_GRADIENT


def test_the_population_is_the_youngest_of_the_phase(tmp_path):
    settings = config("budget.candidates=140")
    committed, _, search = history(tmp_path, settings)
    kept = [c.candidate.number for c in committed if c.status != REJECTED]
    assert [m.number for m in search.population] == kept[-settings.search.population :]
    assert all(m.fitness == committed[m.number].fitness for m in search.population)


def test_the_tournament_picks_the_fittest_of_a_few_and_the_first_drawn_of_equals():
    search = Search(config("search.tournament=3", "search.population=20"), [baselines.get("lion")])
    search.population.extend(Member(n, search.like, float(n // 2), 0.0) for n in range(20))
    for n in range(200):
        picks = generator(0, n).integers(20, size=3)
        winner = search.tournament(generator(0, n))
        assert winner.fitness == max(p // 2 for p in picks)
        assert winner.number == next(p for p in picks if p // 2 == winner.fitness)


def test_the_first_phases_start_again_and_the_later_ones_from_the_best(plain):
    committed, _, _ = plain
    lag = 16
    for start in (0, 150):  # repeats
        assert {c.candidate.parent for c in committed[max(1, start) : start + lag + 1]} == {0}
    for start in (300, 450):
        best = max(
            (c for c in committed[: start - lag] if c.status == OK and c.outcome.selected),
            key=lambda c: (mean(c.outcome.selected), -c.candidate.number),
        )
        assert {c.candidate.parent for c in committed[start : start + lag + 1]} == {
            best.candidate.number
        }
    assert [c.candidate.phase for c in committed] == [n // 150 for n in range(500)]


def test_several_initial_programs_share_the_first_population_evenly(tmp_path):
    settings = config(
        "search.initial=[adamw, lion, sgd]", "search.tournament=1", "budget.candidates=18"
    )
    committed, _, search = history(tmp_path, settings, initial=("adamw", "lion", "sgd"))
    assert [c.candidate.mutation for c in committed[:3]] == ["initial"] * 3
    assert {c.candidate.parent for c in committed[3:]} == {0, 1, 2}
    search.begin(0)
    assert set(Counter(m.number for m in search.population).values()) == {6, 7}


def test_initial_programs_may_be_equal_or_rejected(tmp_path):
    for initial in (("lion", "lion"), (STILL,), (STILL, "lion")):
        committed, _, _ = history(tmp_path, config("budget.candidates=60"), initial=initial)
        assert len(committed) == 60
    assert (
        history(tmp_path, config("budget.candidates=60"), initial=(STILL, "lion"))[0][0].status
        == REJECTED
    )


def test_the_hall_of_fame_ranks_by_the_selection_seeds_alone(plain, tmp_path):
    """And holds one of a kind: programs of the same operations share the place of the best of
    them.
    """

    def entered(
        search: Search,
        scores: float,
        selected: float | None,
        number: int,
        status: str = OK,
        like=None,
    ) -> None:
        candidate = replace(first, number=number, program=ALL[number if like is None else like])
        chosen = () if selected is None else ((selected,),)
        search.commit(candidate, Outcome(status, ((scores,),), chosen))

    search = Search(config("scoring.hall_of_fame=3"), [baselines.get("lion")])
    first = search.draw(0)
    entered(search, 5.0, 0.1, 0)
    entered(search, 0.0, 0.3, 1)
    entered(search, 9.0, 0.2, 2)
    entered(search, 99.0, None, 3)
    entered(search, 99.0, 0.9, 4, DIVERGED)
    entered(search, 99.0, 0.05, 5)
    entered(search, 0.0, 0.2, 6)
    assert [(e.number, e.score) for e in search.hall_of_fame] == [(1, 0.3), (2, 0.2), (6, 0.2)]
    entered(search, 0.0, 0.3, 7, like=1)
    entered(search, 0.0, 0.25, 8, like=2)
    assert [(e.number, e.score) for e in search.hall_of_fame] == [(1, 0.3), (8, 0.25), (6, 0.2)]
    assert search.hall_of_fame.bar(start=WORST) == 0.2
    assert [e.number for e in search.hall_of_fame.found()] == [1, 8, 6]

    _, _, long = plain
    assert [e.score for e in long.hall_of_fame] == sorted(
        (e.score for e in long.hall_of_fame), reverse=True
    )
    assert not {e.number for e in long.hall_of_fame.found()} & {0}


@pytest.mark.parametrize("seed", range(20))
def test_finalists_are_distinct_in_behaviour_and_the_shorter_of_two_is_kept(seed):
    """Some score the same to the last bit in every seed: one program, found twice."""
    rng = np.random.default_rng(seed)
    names = [n for n in baselines.names() if n != "lion"]
    picked = [baselines.get(str(n)) for n in rng.choice(names, 8, replace=False)]
    search = Search(config("scoring.hall_of_fame=12"), [baselines.get("lion")])
    first = search.draw(0)
    behaviours = [((0.5,), (0.25,)), ((0.25,), (0.5,)), ((0.375,), (0.375,)), ((1.0,), (2.0,))]
    drawn = [behaviours[k] for k in rng.integers(len(behaviours), size=len(picked))]
    search.commit(first, Outcome(OK, ((0.0,),), ((0.0,), (0.0,))))
    for number, (program, selected) in enumerate(zip(picked, drawn, strict=True), 1):
        candidate = replace(first, number=number, program=program)
        search.commit(candidate, Outcome(OK, ((0.0,),), selected))
    entries, found = list(search.hall_of_fame), search.hall_of_fame.found()
    assert len(found) == len(set(drawn)) < len(entries) - 1
    assert [e.score for e in found] == sorted((e.score for e in found), reverse=True)
    for entry in found:
        alike = [e for e in entries if e.selected == entry.selected]
        assert len(entry.operations) == min(len(e.operations) for e in alike)


def test_the_bar_is_the_start_until_the_hall_of_fame_is_full(plain):
    committed, _, _ = plain
    start = committed[0].fitness
    assert committed[0].candidate.job.bar == WORST, "the start itself is always measured"
    hall = Search(config(), [baselines.get("adamw")])  # a second one, which only watches
    raised = 0
    for c in committed:
        while len(hall.scores) < hall.needed(c.candidate.number):
            done = committed[len(hall.scores)]
            hall.commit(done.candidate, done.outcome)
        if c.candidate.job is not None and c.candidate.number:
            full = len(hall.hall_of_fame) == 4
            raised += full
            assert c.candidate.job.bar == (hall.hall_of_fame.entries[-1].score if full else start)
    assert raised > 50


def test_the_hurdle_is_a_percentile_of_first_seeds_in_the_population():
    search = Search(config("scoring.hurdle_percentile=25"), [baselines.get("lion")])
    assert search.hurdles.first_seed(search.population) == WORST
    search.population.extend(
        Member(n, search.like, 9.0, float(n)) for n in (3, 1, 4, 0, 5, 2, 7, 6)
    )
    assert search.hurdles.first_seed(search.population) == 2.0
    low = Search(config("scoring.hurdle_percentile=0"), [baselines.get("lion")])
    low.population.extend(search.population)
    assert low.hurdles.first_seed(low.population) == 0.0


def member(number: int, early: tuple[float, ...], scores: tuple[float, ...]) -> Member:
    return Member(
        number,
        baselines.get("lion"),
        0.0,
        float(np.mean(scores)) if scores else math.inf,
        early,
        scores,
    )


def test_early_bounds_are_percentiles_where_early_scores_tell_the_end_and_the_bound_elsewhere():
    """Task 0: the early score tells the end. Task 1: it says nothing."""
    search = Search(
        config("scoring.hurdle_percentile=25", "scoring.bound=20"), [baselines.get("lion")]
    )
    lost = -math.log(20)
    assert search.hurdles.early(search.population) == (lost, lost)
    rng = np.random.default_rng(0)
    ends = rng.normal(size=(ENOUGH, 2))
    full = [
        member(n, (end[0] / 2, float(rng.normal())), tuple(map(float, end)))
        for n, end in enumerate(ends)
    ]
    search.population = deque(full[1:], maxlen=100)
    assert search.hurdles.early(search.population) == (lost, lost)  # one too few
    search.population = deque(full, maxlen=100)
    assert foresight(search.population, 0) == pytest.approx(1.0)
    assert abs(foresight(search.population, 1)) < 0.5
    assert search.hurdles.early(search.population) == (
        sorted(m.early[0] for m in full)[ENOUGH // 4],
        lost,
    )
    stopped = [member(100 + n, (-2.0,), ()) for n in range(ENOUGH)]  # they count where they came to
    search.population.extend(stopped)
    assert search.hurdles.early(search.population) == (-2.0, lost)
    assert (
        search.hurdles.first_seed(search.population) == sorted(m.first for m in full)[ENOUGH // 4]
    )  # they never came to the end
    search.population.extend(
        Member(200 + n, search.like, WORST, WORST, (-9.0,)) for n in range(40)
    )  # diverged later
    assert search.hurdles.early(search.population) == (lost, lost)


def test_searches_stop_trainings_early_and_tell_the_workers_where(tmp_path):
    committed, _, search = history(tmp_path, config("search.population=100"))
    stopped = [c for c in committed if c.status == EARLY]
    assert len(stopped) > 10
    assert all(c.fitness == WORST for c in stopped)
    for c in committed:
        if c.candidate.job is not None:
            assert c.candidate.job.at == 0.25
            assert len(c.candidate.job.early) == 2
    assert search.tally.statuses[EARLY] == len(stopped)


# --- going on -------------------------------------------------------------------------------------

SEARCHES = {
    "restarts": (("search.phase=90",), ("adamw",)),
    "one phase": (("search.phase=100000", "scoring.hurdle_percentile=60"), ("lion",)),
    "nothing early": (("scoring.early=0",), ("lion",)),
    "equal and rejected starts": (
        ("search.phase=120", "search.lag=40"),
        ("lion", STILL, "lion", "sgd"),
    ),
    "more starts than in flight": (
        ("search.lag=1", "search.repeats=9"),
        ("sgd", "lion", "adam", "rmsprop", "adamw"),
    ),
    "random": (("search.kind=random", "search.lag=5"), ("adamw",)),
    "constants": (("search.kind=constants", "search.phase=77"), ("adamw",)),
    "matrices": (
        ("search.families=[arithmetic, matrix]", "search.max_statements=40", "search.lag=3"),
        ("muon",),
    ),
}


@pytest.fixture
def often(monkeypatch):
    """Checkpoints every few candidates, so that short runs have many."""
    monkeypatch.setattr("evolve.running.drive.EVERY", 32)
    monkeypatch.setattr("evolve.running.drive.BRED_AGAIN", 8)


@pytest.mark.parametrize("name", SEARCHES)
def test_going_on_from_a_checkpoint_is_going_on_from_a_replay(tmp_path, name, often, monkeypatch):
    """Killed again and again: who follows, what the search knows, the chain and later checkpoints
    are the same.
    """
    changes, initial = SEARCHES[name]
    settings = config(*changes, "budget.candidates=420")
    undisturbed = Life(tmp_path / "undisturbed", settings, initial).until(None)
    assert len(undisturbed.checkpoints) > 10
    rng = random.Random(name)
    path, restored, replayed = tmp_path / "disturbed", 0, 0
    for stop in sorted(rng.sample(range(1, 420), 12)):
        monkeypatch.setattr("evolve.running.drive.ROWS", rng.choice([1, 7, 256]))
        life = Life(path, settings, initial)
        if life.driver.began and stop % 3 == 0 and replayed < 2:
            replayed += 1
            shutil.copyfile(path, tmp_path / "replayed")
            replay = Life(tmp_path / "replayed", settings, initial, begin=0)
            assert replay.driver.began == 0
            assert replay.driver.replaying == life.driver.replaying
            replay.until(None)
            assert remembered(replay.search) == remembered(undisturbed.search)
            assert replay.checkpoints == undisturbed.checkpoints
        assert (
            life.driver.began == 0
            or life.driver.replaying - life.driver.began >= 8 + settings.search.lag
        )
        restored += life.driver.began > 0
        life.until(stop, killed=rng.random() < 0.5)
        assert [c.candidate for c in life.committed] == [
            c.candidate for c in undisturbed.committed[life.driver.began : len(life.search.scores)]
        ]
    life = Life(path, settings, initial).until(None)
    assert restored > 5
    assert life.driver.began > 0
    assert life.driver.chain == undisturbed.driver.chain
    assert remembered(life.search) == remembered(undisturbed.search)
    assert life.checkpoints == undisturbed.checkpoints


def test_a_resume_breeds_some_candidates_again_and_finds_out_software_that_breeds_others(
    tmp_path, often, monkeypatch
):
    changes, initial = SEARCHES["restarts"]
    Life(tmp_path / "run", config(*changes), initial).until(400)
    monkeypatch.setattr(
        "evolve.search.search.generator", lambda seed, number: generator(seed + 1, number)
    )
    life = Life(tmp_path / "run", config(*changes), initial)
    assert life.driver.began > 300
    with pytest.raises(JournalError, match="comes out as another program than the one recorded"):
        life.until(None)


@pytest.mark.parametrize("budget", [300, 340, 352, 385])
def test_a_budget_that_ends_among_those_in_flight_at_a_checkpoint_ends_there(
    tmp_path, often, budget
):
    changes, initial = SEARCHES["restarts"]
    whole = Life(tmp_path / "whole", config(*changes, "budget.candidates=500"), initial).until(None)
    Life(tmp_path / "run", config(*changes), initial).until(
        352 + 16 + 8
    )  # the checkpoint at 352 is just in reach
    life = Life(tmp_path / "run", config(*changes, f"budget.candidates={budget}"), initial)
    assert life.driver.began == 352
    life.until(None)
    assert len(life.search.scores) == max(budget, 352 + 16 + 8)
    life = Life(tmp_path / "run", config(*changes, "budget.candidates=500"), initial).until(None)
    assert life.driver.chain == whole.driver.chain
    assert life.checkpoints == whole.checkpoints


DAMAGE = {
    "records": "UPDATE checkpoint SET records = zeroblob(length(records)) WHERE number = 64",
    "state": "UPDATE checkpoint SET state = replace(state, '1', '2') WHERE number = 320",
    "no text": "UPDATE checkpoint SET state = CAST(x'ff' AS TEXT) WHERE number = 96",
    "no blob": "UPDATE checkpoint SET records = 'words' WHERE number = 96",
    "seal": "UPDATE checkpoint SET seal = zeroblob(32) WHERE number = 320",
    "missing": "DELETE FROM checkpoint WHERE number = 128",
    "from elsewhere": "UPDATE checkpoint SET since = 0 WHERE number = 128",
    "moved": "UPDATE checkpoint SET number = 129 WHERE number = 128",
    "all missing": "DROP TABLE checkpoint",  # as in journals of older versions
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_checkpoint_costs_time_and_nothing_else(tmp_path, often, plain, what):
    Life(tmp_path / "run", config(), ("adamw",)).until(400)
    with contextlib.closing(sqlite3.connect(tmp_path / "run")) as db:
        db.execute(DAMAGE[what])
        db.commit()
    life = Life(tmp_path / "run", config(), ("adamw",))
    assert life.driver.began == 0
    assert life.driver.sound == (what == "all missing")
    assert life.until(None).driver.chain.hex() == plain[1]
    again = Life(tmp_path / "run", config(), ("adamw",))
    assert again.driver.began > 400, "the checkpoints were made again"


def test_checkpoints_may_lie_elsewhere_than_in_the_life_before(tmp_path, often, plain, monkeypatch):
    """As those of other versions of this software do."""
    for every, end in ((48, 250), (20, 330), (150, 420), (7, None)):
        monkeypatch.setattr("evolve.running.drive.EVERY", every)
        life = Life(tmp_path / "run", config(), ("adamw",))
        assert life.driver.sound
        assert life.driver.began > 0 or end == 250
        life.until(end)
    assert life.driver.chain.hex() == plain[1]
    replay = Life(tmp_path / "run", config(), ("adamw",), begin=0).until(None)
    assert remembered(replay.search) == remembered(life.search)
    assert {point.number for point in replay.checkpoints} == set(range(7, 485, 7))


@pytest.mark.parametrize("number", [0, 100, 340, 399])
@pytest.mark.parametrize("column", ["program", "same_as", "chain", "outcome"])
def test_a_damaged_row_is_named_before_anything_goes_on(tmp_path, often, number, column):
    Life(tmp_path / "run", config(), ("adamw",)).until(400)
    with contextlib.closing(sqlite3.connect(tmp_path / "run")) as db:
        db.execute(f"UPDATE candidate SET {column} = 7 WHERE number = {number}")
        db.commit()
    with pytest.raises(JournalError, match=rf"row {number} is damaged: its hash does not follow"):
        Life(tmp_path / "run", config(), ("adamw",)).until(None)


# --- controls -------------------------------------------------------------------------------------


def test_the_random_control_contains_no_mutation(tmp_path):
    committed, chain, search = history(
        tmp_path, config("search.kind=random", "budget.candidates=320")
    )
    assert search.tally.mutations == {"random": 320}
    assert {c.candidate.parent for c in committed} == {None}
    assert len(search.hall_of_fame.found()) == len(search.hall_of_fame) > 0
    assert (
        history(tmp_path, config("search.kind=random", "budget.candidates=320"), Pool(5, 0.5))[1]
        == chain
    )


def test_the_control_of_constants_keeps_the_structure_of_the_start(tmp_path):
    committed, chain, search = history(
        tmp_path, config("search.kind=constants", "budget.candidates=320")
    )
    assert set(search.tally.mutations) == {"initial", "constant"}
    shape = structure(committed[0].candidate.program)
    assert all(structure(c.candidate.program) == shape for c in committed)
    assert len({c.candidate.key for c in committed}) > 200
    assert (
        history(tmp_path, config("search.kind=constants", "budget.candidates=320"), Pool(6, 0.5))[1]
        == chain
    )


@pytest.mark.parametrize("name", ["adashift", "lbfgs", "schedule_free_adamw", "adamw"])
def test_a_search_can_start_from_any_program_also_one_that_does_not_descend_on_the_probe(name):
    search = Search(config(), [baselines.get(name)])
    first = search.draw(0)
    assert first.reason == ""
    assert first.job is not None
    assert search.rejects_ascent == (name != "adashift")
