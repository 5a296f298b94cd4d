"""A run: its plan is found out once, and listeners hear what happens in it.

Scores come from a hash of the program, so these tests train nothing.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import numpy as np
import pytest
from kit.doubles import Pool

import baselines
from evolve.config.errors import ConfigError
from evolve.config.presets import load_config, load_suite, preset_names
from evolve.config.schema import SearchSettings
from evolve.config.validation import overridden, validated
from evolve.config.yaml import write_yaml
from evolve.given import with_lifted_budget
from evolve.interrupt import Interrupted
from evolve.record.folder import NotARun, RunFolder
from evolve.record.journal import Journal
from evolve.reporting.progress import print_status
from evolve.running import facts, life
from evolve.running.facts import Plan, Result
from evolve.running.listeners import Listener, Listeners, Printer
from evolve.running.sentences import tally_words
from evolve.scoring.job import CRASH, DIVERGED, EARLY, ERROR, HURDLE, OK, OOM, TIMEOUT, Outcome
from evolve.scoring.suite import suite_of
from evolve.search.candidate import ASCENT, CACHED, NO_GRADIENT, REJECTED

CANDIDATES = 150


class Scorer(Pool):
    """The executor of a run."""

    def ready(self, *stop: object) -> dict[str, str]:
        return {"platform": "a hash"}

    def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]:
        return super().arrivals(timeout) if self.queue else []

    def close(self) -> None:
        self.queue.clear()


class Heard(Listener):
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.numbers: list[int] = []
        self.replayed = 0
        self.result: Result | None = None

    def note(self, line: str) -> None:
        self.events.append(f"note {line.split()[0]}")

    def started(self, plan: Plan, machine: dict[str, Any], seconds: float) -> None:
        assert seconds >= 0.0
        self.events.append(f"started {plan.suite.name} on {machine['platform']}")

    def replaying(self, first: int, last: int, sound: bool) -> None:
        self.events.append(f"replaying {first} to {last}, sound: {sound}")

    def committed(self, committed, search, clock, replayed) -> None:
        assert search.commits == committed.candidate.number + 1
        assert clock.elapsed >= 0.0
        self.numbers.append(committed.candidate.number)
        self.replayed += replayed

    def searched(self, search, clock) -> None:
        self.events.append(f"searched {search.commits}")

    def confirming(self) -> None:
        self.events.append("confirming")

    def ended(self, result: Result) -> None:
        self.events.append("ended")
        self.result = result


@pytest.fixture(autouse=True)
def hashed(monkeypatch):
    monkeypatch.setattr(life, "make_executor", lambda settings, suite, log: Scorer())
    monkeypatch.setattr(life, "collect_rarely", lambda: None)


def begun(place, *changes: str) -> tuple[RunFolder, Plan]:
    base = ("name=mine", f"budget={{candidates: {CANDIDATES}}}", "workers.kind=inline")
    given = load_config("smoke", (*base, *changes))
    plan = Plan.of(given)
    return RunFolder.create(place, plan.config, given.model_dump(mode="json"), plan.inputs), plan


# --- the plan -------------------------------------------------------------------------------------


def test_a_plan_knows_the_suite_by_its_name_and_writes_its_tasks_out(tmp_path):
    _, plan = begun(tmp_path)
    assert (plan.config.name, plan.suite.name, plan.suite_given) == ("mine", "smoke", "smoke")
    assert [task.kind for task in plan.suite] == [task.kind for task in plan.config.suite]
    assert [program.name for program in plan.initial] == ["adamw"]
    assert plan.initial[0] != baselines.get("adamw"), "it is tuned"
    assert set(plan.references) == set(plan.suite.fingerprints)
    assert set(plan.inputs) == {"suite", "initial", "references"}
    inline = load_config("smoke").model_copy(update={"suite": plan.config.suite, "name": "own"})
    assert (Plan.of(inline).suite.name, Plan.of(inline).suite_given) == ("own", "")


def test_a_run_goes_on_with_the_plan_that_it_began_with(tmp_path):
    folder, plan = begun(tmp_path)
    again = Plan.from_folder(folder)
    assert (again.config, again.suite_given) == (plan.config, plan.suite_given)
    assert (again.suite.name, again.suite.tasks) == (plan.suite.name, plan.suite.tasks)
    assert list(map(str, again.initial)) == list(map(str, plan.initial))
    assert [p.name for p in again.initial] == [p.name for p in plan.initial]
    assert again.references == plan.references


def test_a_suite_in_a_file_is_given_by_its_path_and_named_by_its_stem(tmp_path):
    path = tmp_path / "four.yaml"
    tasks = [{"kind": task.kind} | task.fields for task in load_suite("smoke")[1]]
    path.write_text(write_yaml({"tasks": tasks}))
    plan = Plan.of(load_config("smoke").model_copy(update={"suite": str(path)}))
    assert (plan.suite.name, plan.suite_given) == ("four", str(path))
    assert plan.suite.tasks == begun(tmp_path)[1].suite.tasks


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"suite": "smoke"}, "smoke"),
        ({"suite": "some/where/four.yaml"}, "four"),
        ({"suite": [{"kind": "digits_dense"}]}, "mine"),
        ("no mapping", "mine"),
        (None, "mine"),
    ],
)
def test_an_older_run_says_in_its_config_what_its_suite_is_called(tmp_path, config, name):
    folder, _ = begun(tmp_path)
    meta = json.loads(folder.meta_file.read_text())
    del meta["inputs"]["suite"]
    folder.meta_file.write_text(json.dumps(meta))
    folder.given_config.unlink() if config is None else folder.given_config.write_text(
        write_yaml(config)
    )
    assert Plan.from_folder(folder).suite.name == name


def test_a_suite_that_is_no_text_is_refused(tmp_path):
    folder, _ = begun(tmp_path)
    meta = json.loads(folder.meta_file.read_text())
    meta["inputs"]["suite"] = ["smoke"]
    folder.meta_file.write_text(json.dumps(meta))
    with pytest.raises(NotARun, match="is damaged: inputs"):
        Plan.from_folder(folder)


def test_the_suite_is_built_once_in_the_life_of_a_run(tmp_path, monkeypatch):
    built = []
    make = facts.make_suite
    monkeypatch.setattr(facts, "make_suite", lambda *given: built.append(given[0]) or make(*given))
    folder, plan = begun(tmp_path)
    life.execute(folder, plan)
    assert built == ["smoke"]


def test_a_search_starts_from_no_program_that_is_longer_than_its_limit():
    suite, tried = suite_of("smoke"), 0
    for name in baselines.names():
        if "run_progress" in baselines.get(name).needs:  # refused for that, whatever its size
            continue
        size = len(baselines.get(name).body)
        for most, kind, refused in (
            (size, "evolution", False),
            (size - 1, "evolution", True),
            (size - 1, "constants", True),
            (size - 1, "random", False),
        ):
            if most < 2:
                continue
            search = SearchSettings(initial=[name], max_statements=most, kind=kind)
            config = load_config("smoke").model_copy(update={"search": search})
            with pytest.raises(ConfigError) if refused else contextlib.nullcontext() as caught:
                facts._initial_programs(config, suite)
            if caught is not None:
                said = f"search.max_statements: {most} is less than the {size} statements of {name}"
                assert str(caught.value).startswith(said)
            tried += 1
    assert tried > 400


# --- listeners ------------------------------------------------------------------------------------


def test_a_listener_hears_a_run_from_its_beginning_to_its_end(tmp_path):
    folder, plan = begun(tmp_path)
    heard = Heard()
    result = life.execute(folder, plan, [heard])
    searched = ["started smoke on a hash", f"searched {CANDIDATES}"]
    assert heard.events == [*searched, "confirming", "ended"]
    assert heard.numbers == list(range(CANDIDATES))
    assert heard.replayed == 0
    assert heard.result is result
    assert (result.folder, result.plan, result.suite) == (folder, plan, "smoke")
    assert f"{CANDIDATES} candidates" in result.tally

    again = Heard()
    assert life.execute(folder, Plan.from_folder(folder), [again]).chain == result.chain
    replaying = f"replaying 0 to {CANDIDATES - 1}, sound: True"
    assert again.events == [searched[0], replaying, searched[1], "ended"]
    assert again.replayed == CANDIDATES


def test_the_summary_names_the_best_program_that_was_written(tmp_path):
    folder, plan = begun(tmp_path)
    result = life.execute(folder, plan)
    said = json.loads(folder.summary.read_text())
    assert result.best is not None
    assert said["best"] == result.best.name
    assert re.fullmatch(r"found_\d+", said["best"])
    assert said["best"] in {v.name for v in result.verdicts}
    assert folder.best_program.read_text() == str(result.best)
    assert "0 is tuned AdamW" in result.best.doc


def test_what_a_listener_raises_ends_the_run_with_everything_recorded(tmp_path):
    class Broken(Listener):
        def committed(self, committed, search, clock, replayed):
            if committed.candidate.number == 77:
                raise ZeroDivisionError("of the user's own")

    whole, plan = begun(tmp_path)
    chain = life.execute(whole, plan).chain
    folder, plan = begun(tmp_path)
    before, after = Heard(), Heard()
    with pytest.raises(ZeroDivisionError, match="of the user's own"):
        life.execute(folder, plan, [before, Broken(), after])
    assert (before.numbers[-1], after.numbers[-1]) == (77, 76)
    with contextlib.closing(Journal(folder.journal)) as journal:
        assert journal.count() == 78
    assert life.execute(folder, Plan.from_folder(folder)).chain == chain


def test_a_listener_may_stop_a_run_as_ctrl_c_does(tmp_path):
    class Enough(Listener):
        def committed(self, committed, search, clock, replayed):
            if committed.status == OK and search.commits > 20:
                raise Interrupted

    folder, plan = begun(tmp_path)
    with pytest.raises(Interrupted):
        life.execute(folder, plan, [Enough()])
    entries = json.loads(folder.hall_of_fame.read_text())
    assert entries, "the hall of fame is written for whoever looks"


def test_a_listener_hears_only_what_it_asks_for_and_several_hear_in_their_order():
    said = []

    class One(Listener):
        def confirming(self):
            said.append("one")

    class Two(Listener):
        def confirming(self):
            said.append("two")

        def note(self, line):
            said.append(line)

    both = Listeners([One(), Two()])
    both.note("a note")
    both.confirming()
    assert said == ["a note", "one", "two"]


def test_the_printer_says_how_a_run_goes(tmp_path, monkeypatch):
    monkeypatch.setattr("evolve.running.listeners.PROGRESS", 0.0)
    folder, plan = begun(tmp_path, "search.order=arrival")
    lines: list[str] = []
    life.execute(folder, plan, [Printer(lines.append)])
    tally = [line for line in lines if re.match(r"\d+ s: [\d,]+ candidates = ", line)]
    assert len(tally) == CANDIDATES + 1, "after each, and at the end"
    best = [line for line in lines if " s: found so far: " in line]
    assert best
    than = r"[+-]\d\.\d{4} \(\d+\.\d% (less|more) loss than tuned AdamW on \d+ selection seeds\), "
    assert all(
        re.fullmatch(rf"\d+ s: found so far: {than}\d+ statements, candidate \d+", line)
        for line in best
    )
    patterns = [
        r"outcomes are committed in the order of their arrival: .* and seed will differ",
        r"workers ready after \d\.\d s \(a hash\)",
        rf"\d+ s: the start scores: {than}\d+ statements, candidate 0",
        r"the budget of 150 candidates is spent",
        r"\d+ first trainings ended after 25% of their steps; rank correlation of scores there "
        r"with those at the end, in the population: digits_dense: .*, noisy_quadratic: .*",
        r"confirming the best on fresh seeds and the test part",
    ]
    others = [line for line in lines if line not in tally + best]
    assert len(others) == len(patterns)
    for line, pattern in zip(others, patterns, strict=True):
        assert re.fullmatch(pattern, line)


# --- the tally ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_the_words_of_a_tally_add_up_for_a_reader(seed, capsys):
    rng = np.random.default_rng(seed)
    known = [OK, EARLY, HURDLE, DIVERGED, ERROR, CRASH, TIMEOUT, OOM, "of another software"]
    statuses = {s: int(n) for s in known if (n := rng.integers(0, 4000)) % 3}
    rejected = {
        r: int(n) for r in (ASCENT, NO_GRADIENT, "other") if (n := rng.integers(0, 900)) % 2
    }
    trained, cached = sum(statuses.values()), int(rng.integers(0, 9000))
    found = {
        "run": "runs/x",
        "state": "stopped",
        "candidates": trained + cached + sum(rejected.values()),
        "evaluated": trained,
        "cached": cached,
        "rejected": rejected,
        "statuses": statuses | {CACHED: cached, REJECTED: sum(rejected.values())},
        "seconds": 60.0,
        "best": None,
        "hash_chain": "",
        "repeatable": True,
    }

    def numbers(text: str) -> list[int]:
        return [int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", text)]

    whole, *parts = tally_words(found).removeprefix("60 s: ").split("; of those ")
    total, *split = numbers(whole)
    assert total == found["candidates"] == sum(split)
    said = dict(zip(re.findall(r"\d (trained|known already|rejected)", whole), split, strict=True))
    assert list(said) == ["trained", "known already", "rejected"]
    for part in parts:
        what, _, ends = part.partition(": ")
        assert sum(numbers(ends)) == said[what]

    print_status(found)
    lines = capsys.readouterr().out.splitlines()[2:]
    outer = [numbers(line)[0] for line in lines if re.match(r"  \d", line)]
    assert sum(outer) == total
    assert sum(numbers(line)[0] for line in lines if re.match(r"    \d", line)) == total - cached


# --- budgets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "ended", "said"),
    [
        ("{candidates: 20}", "candidates", "the budget of 20 candidates is spent"),
        ("{candidates: 20, seconds: 900}", "candidates", "the budget of 20 candidates is spent"),
        (
            "{candidates: 20, seconds: 1e-9}",
            "seconds",
            "the budget of 1e-09 s is spent, after 0 of 20 candidates: another run of this config "
            "and seed may end earlier or later",
        ),
        ("{seconds: 1e-9}", "seconds", "the budget of 1e-09 s is spent, after 0 candidates: "),
    ],
)
def test_the_end_of_a_run_and_its_record_say_which_budget_ended_it(budget, ended, said, tmp_path):
    folder, plan = begun(tmp_path, f"budget={budget}")
    lines: list[str] = []
    life.execute(folder, plan, [Printer(lines.append)])
    assert next(line for line in lines if line.startswith("the budget of")).startswith(said)
    found = json.loads(folder.summary.read_text())["budget"]
    assert found == plan.config.budget.model_dump() | {"ended_by": ended}


def test_a_preset_ends_at_the_same_candidate_on_every_machine():
    """But for the one that is meant to fill a night."""
    by_clock = [n for n in preset_names() if load_config(n).budget.seconds is not None]
    assert by_clock == ["overnight"]
    assert len(preset_names()) == 4


@pytest.mark.parametrize(
    ("before", "change", "after", "lifted"),
    [
        ((120, 60.0), "budget.candidates=240", (240, None), "seconds=60.0"),
        ((120, 60.0), "budget.seconds=90", (None, 90.0), "candidates=120"),
        ((120, 60.0), "budget.candidates=60", (60, 60.0), ""),
        ((120, 60.0), "budget.seconds=30", (120, 30.0), ""),
        ((120, 60.0), "budget.candidates=240 budget.seconds=60", (240, 60.0), ""),
        ((120, 60.0), "budget.candidates=240 budget.seconds=null", (240, None), ""),
        ((120, 60.0), "budget={candidates: 240}", (240, None), ""),
        ((120, 60.0), "workers.count=2", (120, 60.0), ""),
        ((120, None), "budget.candidates=240", (240, None), ""),
        ((120, None), "budget.seconds=30", (120, 30.0), ""),
        ((None, 60.0), "budget.seconds=90", (None, 90.0), ""),
    ],
)
def test_a_longer_budget_lifts_the_other_end_of_it(before, change, after, lifted):
    budget = dict(zip(("candidates", "seconds"), before, strict=True))
    begun = load_config("smoke", (f"budget={json.dumps(budget)}",))
    changes = change.split(" ") if change.count("=") > 1 and "{" not in change else [change]
    changed = validated(overridden(begun.model_dump(mode="json"), tuple(changes)), "--set")
    said: list[str] = []
    found = with_lifted_budget(begun, changed, changes, said.append).budget
    assert (found.candidates, found.seconds) == after
    assert len(said) == bool(lifted)
    assert all(line.startswith(f"budget.{lifted} is lifted, because budget.") for line in said)
