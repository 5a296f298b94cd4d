"""The table of mutations: a plug-in enters its own, the config weighs it by name, and what it
returns is a program for the same tasks, or one clear error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from kit.doubles import config, history

import baselines
from evolve.config.errors import ConfigError
from evolve.config.validation import validated
from evolve.search.candidate import generator
from evolve.search.mutation import (
    MUTATIONS,
    Space,
    delete,
    insert,
    modify,
    mutate,
    mutation,
    space_of,
    with_all_mutations,
)
from primitives import Program, parse
from primitives.statements import Instruction

LION = baselines.get("lion")


@pytest.fixture(autouse=True)
def table() -> Iterator[None]:
    """Mutations that a test enters are gone after it."""
    before = dict(MUTATIONS)
    yield
    MUTATIONS.clear()
    MUTATIONS.update(before)


def turned(program, space, rng):
    """Negate the update."""
    body = (*program.body, Instruction("turned", "negative", (program.output,)))
    return replace(program, body=body, output="turned")


def weighed(**weights: float) -> Space:
    names = ("insert", "delete", "modify")
    return Space(weights=dict.fromkeys(names, 0.0) | weights)


def test_the_three_of_lion_stand_in_the_table_in_the_order_that_they_are_drawn_in():
    assert list(MUTATIONS) == ["insert", "delete", "modify"]
    assert [m.make for m in MUTATIONS.values()] == [insert, delete, modify]
    assert all(m.summary and m.weight == 1.0 for m in MUTATIONS.values())
    assert Space().weights == dict.fromkeys(MUTATIONS, 1.0)


def test_a_mutation_that_comes_late_is_drawn_with_its_weight():
    assert mutation(weight=3.0)(turned) is turned, "it stays a function that can be called"
    assert MUTATIONS["turned"].summary == "Negate the update."
    drawn = Counter(mutate(LION, Space(), generator(0, n)).mutation for n in range(1200))
    assert drawn["turned"] / drawn.total() == pytest.approx(0.5, abs=0.1)
    child = mutate(LION, weighed(turned=1.0), generator(0, 0))
    assert child.program == turned(LION, Space(), None)


def test_a_search_draws_it_and_its_chain_is_that_of_before_where_its_weight_is_0(tmp_path):
    _, chain, _ = history(tmp_path, config())
    mutation()(turned)
    assert history(tmp_path, config())[1] == chain, "the config decides, not what is registered"
    off = config().model_copy(update={"search": config("search.mutations={turned: 0}").search})
    assert history(tmp_path, off)[1] == chain
    _, other, search = history(tmp_path, config("search.mutations={turned: 2}"))
    assert other != chain
    assert search.tally.mutations["turned"] > 50


def test_the_config_weighs_it_by_name_and_a_plan_writes_all_weights_out():
    mutation(weight=0.5)(turned)
    assert space_of(config().search).weights == {"insert": 1.0, "delete": 1.0, "modify": 1.0}
    assert with_all_mutations(config().search).mutations == {"turned": 0.5}
    given = config("search.insert=0", "search.mutations.turned=2").search
    assert with_all_mutations(given) == given
    assert space_of(given).weights == {"insert": 0.0, "delete": 1.0, "modify": 1.0, "turned": 2.0}

    @mutation()
    def a_later_one(program, space, rng):
        """Come late, and stand first in the order of names."""
        return None

    everything = space_of(with_all_mutations(given)).weights
    assert list(everything) == ["insert", "delete", "modify", "a_later_one", "turned"]


def test_a_config_says_nothing_of_mutations_where_nobody_brought_one():
    plain = config()
    assert "mutations" not in plain.model_dump(mode="json")["search"]
    assert "mutations" not in plain.decisive()["search"]
    assert validated(plain.model_dump(mode="json"), "x") == plain
    given = config("search.mutations={turned: 2}")
    assert given.decisive()["search"]["mutations"] == {"turned": 2.0}
    assert validated(given.model_dump(mode="json"), "x") == given


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("turnd: 1", "search.mutations: no mutation is called 'turnd'. Did you mean 'turned'?"),
        ("zzz: 1", "search.mutations: no mutation is called 'zzz'. Name the plug-in that brings"),
        ("insert: 2", "search.mutations: the weight of 'insert' is search.insert"),
    ],
)
def test_names_that_nobody_knows_are_refused_with_the_nearest(change, message):
    mutation()(turned)
    with pytest.raises(ConfigError, match=f"^{message}".replace("?", r"\?")):
        space_of(config(f"search.mutations={{{change}}}").search)


def test_a_search_without_the_three_of_lion_needs_another_mutation():
    off = ("search.insert=0", "search.delete=0", "search.modify=0")
    with pytest.raises(ConfigError, match="insert, delete and modify are all 0"):
        config(*off)
    assert config(*off, "search.mutations={turned: 1}").search.mutations == {"turned": 1.0}


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf"), "much"])
def test_a_weight_that_is_none_is_refused(weight):
    with pytest.raises(ValueError, match="a weight of 0 or more, not"):
        mutation(weight=weight)


@pytest.mark.parametrize("name", ["insert", "turned", "initial", "none"])
def test_a_name_that_is_taken_is_refused(name):
    mutation()(turned)

    def other(program, space, rng):
        return None

    other.__name__ = name
    with pytest.raises(ValueError, match=f"a mutation called {name!r} exists already"):
        mutation()(other)


def test_what_is_no_program_is_an_error_that_names_the_mutation():
    @mutation()
    def confused(program, space, rng):
        """Return the text in place of the program."""
        return str(program)

    with pytest.raises(
        ConfigError, match=r"^the mutation 'confused' must return a Program or None: "
    ):
        mutate(LION, weighed(confused=1.0), generator(0, 0))


def test_children_that_are_too_long_or_not_legal_are_drawn_again():
    calls = []

    @mutation()
    def growing(program, space, rng):
        """Double the program, or point at nothing."""
        calls.append(rng.random())
        if len(calls) % 2:
            return replace(program, output="nothing")
        return replace(program, body=program.body * 12)

    child = mutate(LION, weighed(growing=1.0), generator(0, 0))
    assert (child.program, child.mutation) == (LION, "none")
    assert len(calls) == 64


def test_a_child_of_a_program_that_is_too_long_already_may_be_as_long():
    mutation()(turned)
    space = replace(weighed(turned=1.0), max_statements=3)
    assert mutate(LION, space, generator(0, 0)).mutation == "none"
    long = replace(LION, body=(*LION.body, Instruction("unused", "negative", ("g",))))

    @mutation()
    def shorter(program, space, rng):
        """Leave the last statement out."""
        return replace(program, body=program.body[:-1])

    space = replace(weighed(shorter=1.0), max_statements=3)
    assert mutate(long, space, generator(0, 0)).program == LION


def test_a_child_asks_for_nothing_that_the_tasks_of_its_parent_may_lack():
    @mutation()
    def greedy(program, space, rng):
        """Ask for the loss."""
        return replace(program, inputs=(*program.inputs, "loss"))

    assert mutate(LION, weighed(greedy=1.0), generator(0, 0)).mutation == "none"
    asks = parse("def step(w, g, lr, loss):\n    u = g * loss\n    return u\n")

    @mutation()
    def modest(program, space, rng):
        """Ask for less."""
        less = Instruction("u", "multiply", ("g", "lr"))
        return replace(program, inputs=("w", "g", "lr"), body=(less,))

    assert isinstance(mutate(asks, weighed(modest=1.0), generator(0, 0)).program, Program)
    assert mutate(asks, weighed(modest=1.0), generator(0, 0)).mutation == "modest"
