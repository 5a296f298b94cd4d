"""The registry: whoever registers late, as a user's plug-in does, is treated as one of ours."""

from __future__ import annotations

import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kit.compiling import cheap_jit

import baselines
from evolve.search.mutation import Space, mutate
from primitives import PRIMITIVES, Program, ProgramError, meaning, parse
from primitives.canonical.cost import cost
from primitives.canonical.graph import graph
from primitives.canonical.probe import probe
from primitives.export.optax import to_optax_source
from primitives.kinds import Scalar, Tensor, Value
from primitives.machine import step as machine
from primitives.machine.code import opcodes
from primitives.machine.layout import Layout
from primitives.registry import (
    LEAF,
    MATRIX,
    of_matrices,
    oracles,
    per_registry,
    primitive,
    registered_for_a_while,
    signs,
)
from primitives.writing.mathematics import unicode_rule

TEXT = """
m = zeros_like(w)

def step(w, g, lr, t):
    m = interp(g, m, 0.9)
    bent = squash(m, t)
    width = width_of(g)
    update = bent * width
    update = update * lr
    return update
"""
COMMUTED = TEXT.replace("bent * width", "width * bent")
SHAPES = ((2, 3), (4,))
STEPS = 6
SOFT = 0.75


def softened(xp, x):
    return SOFT + xp.abs(x)


def register() -> None:
    """Two primitives of a user's own: elementwise, with a constant and a helper, and of a leaf."""

    @primitive(family="mine", flops=6, source="nobody yet")
    def squash(xp, x: Value, t: Scalar) -> Value:
        """x / (0.75 + |x|), bent further as t grows."""
        return x / softened(xp, x) ** (1.0 + 1.0 / t)

    @primitive(family="mine", scope=LEAF, flops=2)
    def width_of(xp, x: Tensor) -> Scalar:
        """The largest number of a leaf minus the smallest one."""
        return xp.max(x) - xp.min(x)


@pytest.fixture
def late():
    """Registers both after all tables were made, and takes them back."""
    tables()
    with registered_for_a_while():
        register()
        yield


def tables() -> tuple:
    """What is made from the whole registry, in all rooms."""
    adamw = baselines.get("adamw")
    code = machine.load(graph(adamw))
    return (
        list(PRIMITIVES),
        oracles(),
        of_matrices(),
        signs(),
        opcodes(),
        {name: value.tobytes() for name, value in vars(code).items() if name != "opcodes"},
        graph(adamw).serial,
        probe(graph(adamw)),
        unicode_rule(adamw),
        [bred.op for bred in drawn(("lion", "logic"), 40)],
    )


def drawn(families: tuple[str, ...], children: int) -> list:
    """The statements of programs that mutations made, each from the one before."""
    rng, program = np.random.default_rng(3), parse("def step(w, g, lr):\n    return g\n")
    for _ in range(children):
        program = mutate(program, Space(families, max_statements=12), rng).program
    return list(program.body)


def gradients() -> list[np.ndarray]:
    """[step][number]: gradients of all leaves."""
    rng = np.random.default_rng(11)
    size = sum(map(int, map(np.prod, SHAPES)))
    return [np.float32(rng.normal(size=size)) for _ in range(STEPS)]


def by_meaning(program: Program) -> list[np.ndarray]:
    """Parameters after each step, of the meaning in float64."""
    layout = Layout(SHAPES)
    w = layout.split(np.float64(np.linspace(-1, 1, layout.size)))
    states, after = meaning.init(program, w, np), []
    for t, g in enumerate(gradients(), 1):
        w, states = meaning.step(program, w, layout.split(np.float64(g)), states, 1.0, t, np)
        after.append(np.concatenate([leaf.ravel() for leaf in w]))
    return after


LAYOUT = Layout(SHAPES)


@functools.cache
def compiled_step():
    """The machine's step, compiled once for all programs, as in a trial."""
    return cheap_jit(lambda code, *rest: machine.step(code, LAYOUT, *rest))


def by_machine(program: Program) -> list[np.ndarray]:
    code = machine.load(graph(program))
    bank = machine.start(code, LAYOUT, jnp.asarray(np.float32(np.linspace(-1, 1, LAYOUT.size))))
    after = []
    for t, g in enumerate(gradients(), 1):
        bank = compiled_step()(code, bank, g, jnp.float32(1.0), jnp.float32(t))
        after.append(np.float64(bank.w))
    return after


def test_it_is_parsed_checked_and_printed(late):
    program = parse(TEXT)
    assert parse(str(program)) == program
    assert [str(kind) for kind in program.kinds][:3] == ["tensor", "tensor", "scalar"]
    with pytest.raises(ProgramError, match="squash takes 2 arguments, not 1"):
        parse(TEXT.replace("squash(m, t)", "squash(m)"))
    with pytest.raises(ProgramError) as fault:
        parse(TEXT.replace("squash", "sqash"))
    assert "Did you mean 'squash'?" in str(fault.value)
    with pytest.raises(ProgramError, match="'squash' is the name of a primitive"):
        parse("squash = 0.5\n\ndef step(w, g, lr):\n    return g\n")


def test_mutations_draw_it_where_its_family_is_asked_for_and_nowhere_else(late):
    assert {i.op for i in drawn(("mine",), 60)} == {"squash", "width_of"}
    assert {"squash", "width_of"}.isdisjoint(i.op for i in drawn(("lion", "logic"), 200))


def test_the_machine_steps_as_the_meaning_does_with_a_loop_that_was_compiled_before():
    adamw = baselines.get("adamw")
    before = by_machine(adamw)  # compiles the loop
    with registered_for_a_while():
        register()
        program = parse(TEXT)
        for ours, theirs in zip(by_machine(program), by_meaning(program), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)  # float32 against float64
        np.testing.assert_array_equal(by_machine(adamw), before)
    np.testing.assert_array_equal(by_machine(adamw), before)


def test_its_opcodes_come_after_all_others(late):
    codes = opcodes()
    mine = [(call, form) for call, form in codes.vectors if call in ("squash", "width_of")]
    assert mine == list(codes.vectors)[-len(mine) :]
    assert list(codes.vectors.values()) == list(range(len(codes.vectors)))


def test_one_that_the_machine_cannot_hold_runs_without_it(late):
    @primitive(family="mine", scope=LEAF)
    def of_nine(
        xp, a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor,
        f: Tensor, g: Tensor, h: Tensor, i: Tensor,
    ) -> Tensor:  # fmt: skip
        return a + b + c + d + e + f + g + h + i

    program = parse(f"def step(w, g, lr):\n    u = of_nine({', '.join('g' * 9)})\n    return u\n")
    with pytest.raises(machine.DoesNotFit, match="of_nine has no opcode"):
        machine.load(graph(program))
    assert len(by_meaning(program)) == STEPS

    @primitive(family="mine", scope=MATRIX)
    def turned(xp, x: Tensor) -> Tensor:
        return xp.flip(x)

    with pytest.raises(machine.DoesNotFit, match="turned is no operation of the machine"):
        machine.load(graph(parse("def step(w, g, lr):\n    u = turned(g)\n    return u\n")))


def test_it_is_identified_probed_and_priced(late):
    program, commuted = graph(parse(TEXT)), graph(parse(COMMUTED))
    assert program.serial == commuted.serial
    assert probe(program).known
    assert probe(program).finite
    assert probe(program).key
    # interp 3, squash 6, two products, and the update; what is a number a leaf is not counted
    assert cost(parse(TEXT)).operations == pytest.approx(3 + 6 + 2 + 1)


def test_one_that_jumps_is_not_named_by_a_probe_that_may_have_missed_the_jump(late):
    @primitive(family="mine", jumps=True)
    def late_in(xp, t: Scalar) -> Scalar:
        """1 from step 50 on, 0 before."""
        return xp.where(t < 50.0, 0.0, 1.0)

    text = "def step(w, g, lr, t):\n    on = late_in(t)\n    return g * on\n"
    assert not probe(graph(parse(text))).key


def test_it_is_exported_with_its_definition(late):
    program = parse(TEXT)
    source = to_optax_source(program, name="mine")
    assert "_SOFT = 0.75" in source
    assert "def _softened(x):" in source
    assert "SOFT" not in source.replace("_SOFT", "")
    namespace: dict = {"__name__": "exported"}
    exec(compile(source, "exported.py", "exec"), namespace)
    optimizer = namespace["mine"](1e-3)

    w = [jnp.asarray(x) for x in LAYOUT.split(np.float32(np.linspace(-1, 1, LAYOUT.size)))]
    state = optimizer.init(w)
    for g, theirs in zip(gradients(), by_meaning(program), strict=True):
        leaves = [jnp.asarray(x) for x in LAYOUT.split(g)]
        updates, state = optimizer.update(leaves, state, w)
        w = jax.tree.map(jnp.add, w, updates)
        ours = np.concatenate([np.ravel(leaf) for leaf in w])
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)  # float32 against float64


def test_constants_of_one_name_in_two_modules_stay_apart(late):
    @primitive(family="mine")
    def tiny_or_more(xp, x: Value) -> Value:
        """|x|, but 0.001 at least."""
        return xp.maximum(xp.abs(x), TINY)

    text = "def step(w, g, lr):\n    a = tiny_or_more(g)\n    b = log(a)\n    return b\n"
    source = to_optax_source(parse(text), name="mine")
    assert {"_TINY = 0.001", "_TINY_ = 2.0 ** (-126)"} <= set(source.splitlines())


TINY = 0.001  # as in `primitives.families.lion`, where it is another number


def test_its_rule_is_written_with_its_name_and_its_first_line(late):
    said = unicode_rule(parse(TEXT))
    assert "squash(mₜ, t)" in said
    assert "width_of(x): The largest number of a leaf minus the smallest one." in said


def test_what_is_taken_back_leaves_all_tables_as_they_were():
    before = tables()
    with registered_for_a_while():
        register()
        assert "squash" in PRIMITIVES
        parse(TEXT)
        assert opcodes() is not before[4]
        while_there = tables()
        assert [a for a, b in zip(before, while_there, strict=True) if a != b] == [
            before[0],
            before[4],
        ]
    assert tables() == before
    with pytest.raises(ProgramError, match="no primitive is called 'squash'"):
        parse(TEXT)


def test_another_definition_under_a_name_that_was_taken_back_is_read_anew():
    def along(xp, x: Value) -> Value:
        return 2.0 * x

    def against(xp, x: Value) -> Value:
        return -x

    found = []
    for definition in (along, against):
        with registered_for_a_while():
            primitive(family="mine")(named("turn", definition))
            found.append(probe(graph(parse("def step(w, g):\n    u = turn(g)\n    return u\n"))))
    assert found[0].descends
    assert not found[1].descends


def test_a_table_is_made_once_until_the_registry_changes():
    numbers = itertools.count()

    @per_registry
    def table(family: str) -> tuple[int, int]:
        return next(numbers), sum(p.family == family for p in PRIMITIVES.values())

    assert table("mine") == table("mine") == (0, 0)
    assert table("logic") != table("lion")
    with registered_for_a_while():
        register()
        assert table("mine")[1] == 2
    assert table("mine")[1] == 0


def unannotated(xp, x):
    return x


def without_xp(x: Tensor) -> Tensor:
    return x


def unary(xp, x: Value) -> Value:
    return x


def binary(xp, x: Value, y: Value) -> Value:
    return x


def named(name: str, function):
    copy = functools.wraps(function)(lambda *given: function(*given))
    copy.__name__ = name
    return copy


REFUSED = {
    "a taken name": (named("interp", unary), {}, "a primitive called 'interp' exists already"),
    "a word of the language": (
        named("tunable", unary),
        {},
        "tunable: this is a word of the language; give the primitive another name",
    ),
    "an input": (
        named("loss", unary),
        {},
        "loss: this is a word of the language; give the primitive another name",
    ),
    "an unknown scope": (unary, {"scope": "everywhere"}, "unary: no scope is called 'everywhere'"),
    "no annotations": (
        unannotated,
        {},
        "unannotated: its first argument must be xp, and all others and the result annotated with "
        "kinds, as in `def twice(xp, x: Tensor) -> Tensor`; primitives.kinds has them",
    ),
    "no xp": (
        without_xp,
        {},
        "without_xp: its first argument must be xp, and all others and the result annotated with "
        "kinds, as in `def twice(xp, x: Tensor) -> Tensor`; primitives.kinds has them",
    ),
    "a taken sign": (
        binary,
        {"infix": "+"},
        "binary: the sign + is that of add; leave infix out",
    ),
    "an unknown sign": (
        binary,
        {"infix": "&"},
        "binary: no program can be read with the sign &; leave infix out",
    ),
    "commutative, of one": (
        unary,
        {"commutative": True},
        "unary: commutative is said of 2 arguments, and it has 1; leave commutative out",
    ),
    "an involution of two": (
        binary,
        {"involution": True},
        "binary: involution is said of 1 arguments, and it has 2; leave involution out",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_program_could_call_is_refused_in_one_sentence(what):
    function, facts, sentence = REFUSED[what]
    before = list(PRIMITIVES)
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        primitive(family="mine", **facts)(function)
    assert list(PRIMITIVES) == before
