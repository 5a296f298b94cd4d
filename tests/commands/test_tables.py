"""Tables of scores: who was tuned and how, what came out on each task, for people and machines."""

from __future__ import annotations

import io
import json
import re
from collections import Counter

import pytest
from click.testing import CliRunner

import baselines
from evolve.commands.main import main
from evolve.comparison.contest import AS_IT_STANDS, UNTUNED, Contestant, Verdict, judge
from evolve.config.presets import preset_names
from evolve.reporting.lists import KINDS, listing
from evolve.reporting.printing import UNBOUNDED
from evolve.reporting.scores import Scores
from evolve.reporting.tables import Grid
from evolve.scoring.job import DIVERGED, OK, Outcome
from evolve.scoring.optimizers import known, known_names
from evolve.scoring.references import SHIPPED, file_name
from evolve.scoring.suite import Suite, suite_of

FILE = Contestant("mine", baselines.get("lion"))
FOUND = Contestant("found_7", baselines.get("lion"), finalist=True, tuning="24,000 candidates")
MIXED = Contestant("clip_by_norm+lion", baselines.find("clip_by_norm+lion"), tuning=UNTUNED)


def table(suite: Suite, contestants: list[Contestant]) -> Scores:
    """A table in which everybody scores 0.1 on the first task, 0.2 on the second, and so on."""
    row = tuple((n + 1) / 10 for n in range(len(suite)))
    verdicts = [judge(c, suite, Outcome(OK, (row, row)), 1) for c in contestants]
    return Scores(tuple(verdicts), suite.name, 2, "tuned AdamW", suite_given=suite.name)


@pytest.mark.parametrize("name", preset_names("suites"))
def test_every_contestant_says_how_it_was_tuned_on_every_task(name):
    suite = suite_of(name)
    everybody = [Contestant(n, known(n), known=n) for n in known_names()] + [FILE, FOUND, MIXED]
    scores = table(suite, everybody)
    stored = [
        json.loads((SHIPPED / file_name(t.kind, t.fingerprint)).read_text())["optimizers"]
        for t in suite
    ]
    said = {"mine": AS_IT_STANDS, "found_7": "24,000 candidates", MIXED.name: UNTUNED}
    cases = 0
    for who in scores:
        for tuned, on_task in zip(stored, who.tasks, strict=True):
            entry = tuned.get(who.name, {})
            trials = f"{entry['trials']:,} trials" if "trials" in entry else UNTUNED
            if "trainings" in entry:
                trials = f"{entry['trainings']:,} trainings"
            assert on_task.tuning == said.get(who.name, trials)
            cases += 1
    assert cases == len(everybody) * len(suite) > 100

    rows = {row[0]: row[3] for row in scores.grid().rows}
    assert all(rows.values())
    assert re.search("trials|trainings", rows["adamw"])
    assert rows["galore"] == UNTUNED
    tune = next(line for line in scores.grid().caption.splitlines() if "reference" in line)
    untuned = {who for who, cell in rows.items() if UNTUNED in cell} - {MIXED.name}
    assert set(tune.split()[-1].split(",")) == untuned
    assert f"tune {MIXED.name} --suite {name}" in scores.grid().caption
    assert f"tune FILE --suite {name}" in scores.grid().caption


def test_nobody_is_told_to_tune_where_all_are_tuned():
    both = [Contestant(n, known(n), known=n) for n in ("adamw", "lion")]
    caption = table(suite_of("smoke"), both).grid().caption
    assert not any(word in caption for word in (UNTUNED, AS_IT_STANDS, "evolve"))


def test_a_file_that_a_tuning_wrote_says_its_trials_and_a_changed_one_does_not(tmp_path):
    from evolve.reporting.tuned import tuning_of

    program = baselines.get("lion")
    assert tuning_of(tmp_path / "program.py", program) == AS_IT_STANDS
    found = {"values": {"beta1": program.values["beta1"]}, "trials": {"complete": 5, "stopped": 7}}
    (tmp_path / "tuned.json").write_text(json.dumps(found))
    assert tuning_of(tmp_path / "program.py", program) == "12 trials"
    assert tuning_of(tmp_path / "x.py", program.with_values({"beta1": 0.1})) == AS_IT_STANDS


@pytest.mark.parametrize("name", preset_names("suites"))
def test_the_scores_by_task_are_in_the_table_and_in_json(name):
    suite = suite_of(name)
    scores = table(suite, [FILE, FOUND])
    for verdict in scores.facts()["verdicts"]:
        assert [t["task"] for t in verdict["tasks"]] == suite.labels
        for number, task in enumerate(verdict["tasks"]):
            assert task["scores"] == [(number + 1) / 10] * 2
            assert task["score"] == pytest.approx((number + 1) / 10)
    grids = scores.grids()
    assert len(grids) == (2 if len(suite) > 1 else 1)
    if len(suite) > 1:
        assert grids[1].columns == ("program", *suite.labels)
        assert grids[1].rows[0][1:] == tuple(f"+{(n + 1) / 10:.4f}" for n in range(len(suite)))
        assert str(grids[1]) in repr(scores)


def test_tasks_of_one_kind_are_told_apart():
    one = suite_of("quickstart").tasks[0]
    assert Suite("twice", (one, *suite_of("smoke").tasks)).labels == [
        "digits_dense 1",
        "digits_dense 2",
        "noisy_quadratic",
    ]


@pytest.mark.parametrize("outcome", [Outcome(OK, ((0.1, 0.2),) * 2), Outcome(DIVERGED, ((0.1,),))])
def test_a_verdict_is_read_back_from_json_as_it_was(outcome):
    verdict = judge(FOUND, suite_of("smoke"), outcome, 1)
    facts = json.loads(json.dumps(verdict.facts(), allow_nan=False))
    assert Verdict.from_facts(facts) == verdict
    older = {k: v for k, v in facts.items() if k != "tasks"}
    assert Verdict.from_facts(older).tasks == []


# --- how wide ------------------------------------------------------------------------------------

BORDERS = set("┏━┳┓┃┡╇┩│└─┴┘├┼┤ \n")


def grids() -> list[Grid]:
    every = [listing(what).grid() for what in KINDS]
    for name in preset_names("suites"):
        every += table(suite_of(name), [FILE, FOUND, MIXED]).grids()
    return [grid for grid in every if grid.rows]


def printed(grid: Grid, width: int) -> str:
    out = io.StringIO()
    grid.print(out, width)
    return out.getvalue()


@pytest.mark.parametrize("width", [72, 80, 100, 200, UNBOUNDED])
def test_no_table_loses_a_character_at_any_width(width):
    for grid in grids():
        said = Counter(c for c in printed(grid, width) if c not in BORDERS)
        texts = [
            grid.title,
            grid.caption,
            *grid.columns,
            *(cell for row in grid.rows for cell in row),
        ]
        assert said == Counter(c for text in texts for c in text if c not in BORDERS)
    assert len(grids()) >= 14


def test_a_short_column_is_not_folded_for_a_long_one():
    lines = printed(listing("optimizers").grid(), 80).splitlines()
    assert max(map(len, lines[:20])) <= 80
    assert all(f"│ {row['year']:4} │" in "\n".join(lines) for row in listing("optimizers"))


def test_what_is_piped_has_a_line_for_each_row():
    """CliRunner's output is no terminal."""
    for what in KINDS:
        grid = listing(what).grid()
        lines = CliRunner().invoke(main, ["list", what]).stdout.splitlines()
        assert len(lines) == len(grid.rows) + 4 + len(grid.caption.splitlines())
        for row, line in zip(grid.rows, lines[3:], strict=False):
            assert [cell.strip() for cell in line.split("│")[1:-1]] == [
                cell.strip() for cell in row
            ]


def test_a_command_to_copy_is_never_broken():
    scores = table(suite_of("smoke"), [Contestant(n, known(n), known=n) for n in known_names()])
    lines = printed(scores.grid(), 72).splitlines()
    (line,) = [line for line in lines if "evolve reference smoke --optimizers" in line]
    assert len(line.split(",")) > 100
