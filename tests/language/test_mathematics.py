"""The rule of a program as mathematics: what is written is what the program computes."""

from __future__ import annotations

import re
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from kit.strategies import random_program

import baselines
from primitives import (
    PRIMITIVES,
    SCALAR,
    TENSOR,
    Hyperparameter,
    Instruction,
    Program,
    State,
    meaning,
    parse,
)
from primitives.canonical.liveness import prune
from primitives.registry import ELEMENTWISE, LEAF, MODEL
from primitives.statements import LEARNING_RATE
from primitives.writing.listing import Number
from primitives.writing.mathematics import CLEAR, IDENTITY, T, W, latex_rule, rule, unicode_rule
from primitives.writing.notation import (
    FORMS,
    GREEK,
    KNOWN_TO_LATEX,
    SAME_AS,
    Latex,
    Name,
    Operation,
    Symbol,
    Unicode,
)

UNICODE, LATEX = Unicode(), Latex()

# --- what people read -----------------------------------------------------------------------------

RULES = {
    "adam": """
m₀ = 0, v₀ = 0
mₜ = (1 - β₁)·gₜ + β₁·mₜ₋₁
vₜ = (1 - β₂)·gₜ² + β₂·vₜ₋₁
m̂ₜ = mₜ / (1 - β₁ᵗ)
v̂ₜ = vₜ / (1 - β₂ᵗ)
wₜ = wₜ₋₁ - ηₜ·m̂ₜ / (√v̂ₜ + ε)

β₁ = 0.9, β₂ = 0.999, ε = 10⁻⁸, ηₜ = 0.003 at its peak
x / y; 0 where y is exactly 0.
√x: Square root of |x|.
""",
    "lion": """
m₀ = 0
cₜ = (1 - β₁)·gₜ + β₁·mₜ₋₁
mₜ = (1 - β₂)·gₜ + β₂·mₜ₋₁
wₜ = wₜ₋₁ - ηₜ·(sign(cₜ) + λ·wₜ₋₁)

β₁ = 0.9, β₂ = 0.99, λ = 0.001 (weight_decay), ηₜ = 0.0003 at its peak
""",
    "adagrad": """
total_square₀ = 0
total_squareₜ = total_squareₜ₋₁ + gₜ²
wₜ = wₜ₋₁ - ηₜ·gₜ / (√total_squareₜ + ε)

ε = 0, ηₜ = 0.05 at its peak
x / y; 0 where y is exactly 0.
√x: Square root of |x|.
""",
    "heavy_ball": """
m₀ = 0
mₜ = gₜ + μ·mₜ₋₁
wₜ = wₜ₋₁ - ηₜ·mₜ

μ = 0.9 (momentum), ηₜ = 0.05 at its peak
""",
}


@pytest.mark.parametrize("name", RULES)
def test_a_known_rule_reads_as_in_its_paper(name):
    assert unicode_rule(baselines.get(name)) == RULES[name].lstrip("\n")


def test_the_latex_of_adam():
    assert latex_rule(baselines.get("adam")) == (
        r"""\begin{align*}
m_{0} &= 0 \\
v_{0} &= 0 \\
m_{t} &= (1 - \beta_{1})\, g_{t} + \beta_{1}\, m_{t-1} \\
v_{t} &= (1 - \beta_{2})\, g_{t}^{2} + \beta_{2}\, v_{t-1} \\
\hat{m}_{t} &= \frac{m_{t}}{1 - \beta_{1}^{t}} \\
\hat{v}_{t} &= \frac{v_{t}}{1 - \beta_{2}^{t}} \\
w_{t} &= w_{t-1} - \eta_{t}\, \frac{\hat{m}_{t}}{\sqrt{\hat{v}_{t}} + \varepsilon}
\end{align*}
% β₁ = 0.9, β₂ = 0.999, ε = 10⁻⁸, ηₜ = 0.003 at its peak
% x / y; 0 where y is exactly 0.
% √x: Square root of |x|.
"""
    )


PIECES = {
    "a choice": (
        "a1 = g > w\na2 = where(a1, g, w)\nupdate = where(g, a2, 0.0)",
        "wₜ = wₜ₋₁ - {{gₜ if gₜ > wₜ₋₁, else wₜ₋₁} if gₜ ≠ 0, else 0}",
    ),
    "a condition as a number": ("a1 = t >= 3.0\nupdate = g * a1", "wₜ = wₜ₋₁ - [t ≥ 3]·gₜ"),
    "norms and inner products": (
        "a1 = norm(g)\na2 = global_norm(g)\na3 = dot(w, g)\na4 = a1 / a2\na5 = a4 * a3\nupdate = "
        "a5 * g",
        "wₜ = wₜ₋₁ - ‖gₜ‖·⟨wₜ₋₁, gₜ⟩·gₜ / ‖gₜ‖ₐₗₗ",
    ),
    "bars within bars": (
        "a1 = norm(g)\na2 = a1 * g\na3 = norm(a2)\nupdate = a3 * g",
        "wₜ = wₜ₋₁ - norm(‖gₜ‖·gₜ)·gₜ",
    ),
    "a minus after a minus": (
        "a1 = g * -0.5\na2 = w - a1\na3 = -a2\na4 = g - a3\na5 = power(-2.0, g)\nupdate = a4 + a5",
        "wₜ = wₜ₋₁ - (gₜ + (wₜ₋₁ + 0.5·gₜ) + (-2)^gₜ)",
    ),
    "powers and roots": (
        "a1 = g ** 0.5\na2 = cube(a1)\na3 = sqrt(w)\na4 = square(a3)\nupdate = a2 + a4",
        "wₜ = wₜ₋₁ - ((gₜ^0.5)³ + (√wₜ₋₁)²)",
    ),
    "a root of a power": (
        "a1 = square(w)\na2 = sqrt(a1)\nupdate = a2 * lr",
        "wₜ = wₜ₋₁ - ηₜ·√(wₜ₋₁²)",
    ),
    "numbers": (
        "a1 = get_pi()\na2 = g * a1\na3 = a2 * 3e-05\na4 = a3 / 1e-08\nupdate = a4 * 1.5",
        "wₜ = wₜ₋₁ - 3·10⁻⁵·1.5·π·gₜ / 10⁻⁸",
    ),
    "what has no sign is a function": (
        "a1 = soft_threshold(g, 0.1)\nupdate = tanh(a1)",
        "wₜ = wₜ₋₁ - tanh(soft_threshold(gₜ, 0.1))",
    ),
    "an update that says where to go": (
        "a1 = g * lr\na2 = w * a1\nupdate = w - a2",
        "wₜ = ηₜ·wₜ₋₁·gₜ",
    ),
}


@pytest.mark.parametrize("name", PIECES)
def test_a_piece_of_mathematics_is_written_in_its_notation(name):
    body, text = PIECES[name]
    statements = "".join(f"    {line}\n" for line in body.splitlines())
    program = parse(f"def step(w, g, lr, t):\n{statements}    return update\n")
    assert unicode_rule(program).splitlines()[0] == text


def test_a_state_that_keeps_another_is_that_one_step_earlier():
    program = parse("""
before = zeros_like(w)
older = copy(w)
start = copy(w)
fixed = full_like(w, 0.25)

def step(w, g, lr):
    x1 = before + older
    x2 = x1 - start
    x3 = x2 * fixed
    older = before
    before = g
    update = x3 * lr
    return update
""")
    assert unicode_rule(program).splitlines()[:2] == [
        "g₀ = 0, g₋₁ = w₀, fixed = 0.25",
        "wₜ = wₜ₋₁ - ηₜ·fixed·(gₜ₋₁ + gₜ₋₂ - w₀)",
    ]


def test_a_state_that_keeps_w_is_w_two_steps_back():
    program = parse("""
before = copy(w)

def step(w, g, lr):
    a1 = w - before
    a2 = a1 + g
    before = w
    update = a2 * lr
    return update
""")
    assert unicode_rule(program).splitlines()[:2] == [
        "w₋₁ = w₀",
        "wₜ = wₜ₋₁ - ηₜ·(wₜ₋₁ - wₜ₋₂ + gₜ)",
    ]


def test_a_program_of_matrices_has_a_rule_for_each_of_its_bodies():
    program = parse("""
learning_rate = 0.1
beta = 0.9
past = ring(zeros_like(w), 3)
l = left(identity)
m = zeros_like(w)

def step(w, g, lr):
    a1 = past1 + past3
    g2 = gram_left(g)
    l = l + g2
    p = inverse_root(l, 4.0)
    u = p @ g
    u = u + a1
    past = g
    update = u * lr
    x = w - update
    return update, x

def fallback(w, g, lr):
    m = interp(g, m, beta)
    update = m * lr
    return update, w
""")
    assert (
        unicode_rule(program)
        == """\
For matrices:
    g₀ = 0, g₋₁ = 0, g₋₂ = 0, l₀ = I
    lₜ = lₜ₋₁ + gₜ gₜᵀ
    pₜ = lₜ^(-1 / 4)
    uₜ = pₜ gₜ + gₜ₋₁ + gₜ₋₃
    xₜ = wₜ₋₁ - ηₜ·uₜ
    wₜ = wₜ₋₁ - ηₜ·uₜ
    evaluated at xₜ
For other leaves:
    m₀ = 0
    mₜ = (1 - β)·gₜ + β·mₜ₋₁
    wₜ = wₜ₋₁ - ηₜ·mₜ
    evaluated at wₜ₋₁

β = 0.9, ηₜ = 0.1 at its peak
x^(-1 / p): x^(-1/p) of a symmetric x by its eigenvalues; those that are not above 0 give 0.
A leaf of two axes or more is a matrix; the rows of a kernel are all
its axes but the last.
"""
    )
    assert latex_rule(program).count(r"\text{") == 4


def test_states_that_follow_each_other_in_a_circle_end_somewhere():
    program = parse("""
a = copy(w)
b = zeros_like(w)

def step(w, g, lr):
    update = a * lr
    x = a
    a = b
    b = x
    return update
""")
    assert unicode_rule(program).splitlines()[:3] == [
        "b₀ = 0, b₋₁ = w₀",
        "bₜ = bₜ₋₂",
        "wₜ = wₜ₋₁ - ηₜ·bₜ₋₂",
    ]


def test_two_names_that_share_a_letter_stay_apart():
    program = parse("""
eta = 0.5
beta1 = 0.9
beta_1 = 0.8
d0 = 0.1
d = zeros_like(w)

def step(g, lr):
    d = interp(g, d, d0)
    d = d * beta1
    d = d * beta_1
    a1 = d * lr
    update = a1 * eta
    return update
""")
    assert unicode_rule(program).splitlines()[:3] == [
        "d₀ = 0",
        "dₜ = β₁·β₁′·((1 - d0)·gₜ + d0·dₜ₋₁)",
        "wₜ = wₜ₋₁ - η′·ηₜ·dₜ",
    ]


def test_lines_stay_readable():
    for name in baselines.names():
        for line in unicode_rule(baselines.get(name)).split("\n\n")[0].splitlines():
            # A window over a ring takes all of its values, by name.
            assert len(line) <= 80 or "window_" in line, line


# --- the rule computes what the program computes --------------------------------------------------

OURS = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "negative": np.negative}
"""Arithmetic by numpy itself: primitives that are written out, as interp, become these."""


def walk_of_rule(program: Program, w, gradients, shapes) -> list:
    """The parameters after each step, by the equations and their indices alone."""
    (program,) = program.parts  # a ring is written out
    said = rule(program)
    values: dict = {}  # by name and step
    walk = []
    for name, symbol in said.given.items():
        if name in program.values:
            values[symbol.name, None] = meaning.constant(program.values[name], w, np)
    by_name = {symbol.name: name for name, symbol in said.given.items()}
    values[W.name, 0] = w

    def evaluate(e, t):
        if isinstance(e, Number):
            return meaning.constant(e.value, w, np)
        if e == T:
            return meaning.constant(t, w, np)
        if isinstance(e, Symbol):
            return values[e.name, e.at if e.step is None else t + e.step]
        args = [evaluate(a, t) for a in e.args]
        if e.op in OURS:
            return tuple(OURS[e.op](*leaf) for leaf in zip(*args, strict=True))
        return meaning.apply(PRIMITIVES[e.op], np, *args)

    g = next((s.name for n, s in said.given.items() if n == "g"), Name("g"))
    for t, (gradient, shape) in enumerate(zip(gradients, shapes, strict=True), 1):
        values[g, t] = gradient
        for name in (n for n, called in by_name.items() if called == "lr"):
            rate = zip(
                meaning.constant(shape, w, np),
                meaning.constant(program.learning_rate, w, np),
                strict=True,
            )
            values[name, t] = tuple(a * b for a, b in rate)
        if t == 1:
            for symbol, start in said.starts:
                value = evaluate(start, 1)
                if not symbol.scalar:
                    value = tuple(
                        np.broadcast_to(x, leaf.shape) for x, leaf in zip(value, w, strict=True)
                    )
                values[symbol.name, symbol.at] = value
        for symbol, right in said.equations:
            values[symbol.name, None if symbol.step is None else t + symbol.step] = evaluate(
                right, t
            )
        update = evaluate(said.update, t)
        values[W.name, t] = tuple(a - b for a, b in zip(values[W.name, t - 1], update, strict=True))
        walk.append(values[W.name, t])
    return walk


def walk_of_meaning(program: Program, w, gradients, shapes) -> list:
    states, walk = meaning.init(program, w, np), []
    for t, (g, shape) in enumerate(zip(gradients, shapes, strict=True), 1):
        w, states = meaning.step(program, w, g, states, shape, t, np)
        walk.append(w)
    return walk


def leaves(rng):
    return tuple(rng.normal(size=shape) for shape in ((3,), (2, 2), ()))


PLAIN = (ELEMENTWISE, LEAF, MODEL)


def plain_programs(count: int):
    """Random programs on leaves of every shape, that ask nothing of the task."""
    seed = 0
    while count:
        seed += 1
        program = random_program(Random(seed), length=1 + seed % 20, calm=True)
        inputs = set(program.inputs) <= {"w", "g", "lr", "t"}
        if (
            inputs
            and len(program.parts) == 1
            and all(PRIMITIVES[i.op].scope in PLAIN for i in program.body)
        ):
            count -= 1
            yield seed, program


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_rule_of_a_random_program_takes_its_steps_bit_by_bit():
    """The tree has the operations of the program in their order, so nothing rounds differently."""
    moved = 0
    for seed, program in plain_programs(250):
        rng = np.random.default_rng(seed)
        w, gradients, shapes = leaves(rng), [leaves(rng) for _ in range(4)], (1.0, 0.9, 0.5, 0.1)
        for ours, theirs in zip(
            walk_of_rule(program, w, gradients, shapes),
            walk_of_meaning(program, w, gradients, shapes),
            strict=True,
        ):
            for a, b in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(
                    a, b, err_msg=f"{seed}\n{program}\n{unicode_rule(program)}"
                )
        moved += len(rule(program).equations) > 1
    assert moved > 50


@pytest.mark.parametrize("name", baselines.names())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_rule_of_a_baseline_takes_its_steps_bit_by_bit(name):
    program = baselines.get(name)
    plain = len(program.parts) == 1 and all(PRIMITIVES[i.op].scope in PLAIN for i in program.body)
    if not plain or not set(program.inputs) <= {"w", "g", "lr", "t"}:
        assert unicode_rule(program)
        return
    rng = np.random.default_rng(1)
    w, gradients, shapes = leaves(rng), [leaves(rng) for _ in range(4)], (1.0, 0.9, 0.5, 0.1)
    ours, theirs = (walk(program, w, gradients, shapes) for walk in (walk_of_rule, walk_of_meaning))
    for a, b in zip(ours, theirs, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


# --- what is written can be read in one way only --------------------------------------------------
#
# Programs of sums, products, quotients and powers are written, read again by the grammar below, and
# executed in the field of integers modulo a prime, where all laws of arithmetic hold exactly.
# x / 0 is 0 there, too.

PRIME = 2**61 - 1


def number(x) -> int:
    fraction = Fraction(repr(x) if isinstance(x, float) else x)
    return fraction.numerator * pow(fraction.denominator, -1, PRIME) % PRIME


def raised(x: int, y: int) -> int:
    y = y - PRIME if y > PRIME // 2 else y
    return 0 if x == 0 and y else pow(x, y, PRIME)


ARITHMETIC = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x * raised(y, -1),
    "negative": lambda x: -x,
    "square": lambda x: x * x,
    "cube": lambda x: x * x * x,
    "reciprocal": lambda x: raised(x, -1),
    "interp": lambda x, y, a: (1 - a) * x + a * y,
    "power": raised,
}


def arithmetic_program(rng: Random) -> Program:
    """A program of arithmetic, with names that need all kinds of letters."""
    kinds = {
        "w": TENSOR,
        "g": TENSOR,
        "lr": SCALAR,
        "t": SCALAR,
        "beta1": SCALAR,
        "weight_decay": SCALAR,
        "d0": SCALAR,
    }
    hyperparameters = tuple(
        Hyperparameter(n, rng.choice([0.5, -0.25, 3.0, 1e-8])) for n in list(kinds)[4:]
    )
    states = tuple(
        State(n, TENSOR, rng.choice([0.0, -0.5, "w", "g"]))
        for n in rng.sample(["m", "d", "v1", "old", "rho_hat"], 3)
    )
    kinds |= {s.name: TENSOR for s in states}
    body = []

    def emit(target, op, *args):
        body.append(Instruction(target, op, args))
        kinds[target] = PRIMITIVES[op].kind(
            *(kinds[a] if isinstance(a, str) else SCALAR for a in args)
        )

    def argument(kind=None):
        if kind is not TENSOR and rng.random() < 0.2:
            return rng.choice([1.0, 2.0, -0.5, -1.0, 0.1, 2e-5])
        recent = [i.target for i in body[-3:] if kind in (None, kinds[i.target])]
        return rng.choice(
            recent
            if recent and rng.random() < 0.7
            else [n for n, k in kinds.items() if kind in (None, k)]
        )

    for _ in range(rng.randrange(1, 14)):
        op = rng.choice(list(ARITHMETIC))
        target = rng.choice(
            ["x", "y1", "m_hat", "size", "c", "update", "lr2", *(s.name for s in states)]
        )
        if op == "power":
            args = (argument(), rng.choice([2.0, 3.0, -1.0, -2.0, "t", 0.0]))
        else:
            args = tuple(argument(slot) for slot in PRIMITIVES[op].slots)
        if target in {s.name for s in states}:
            emit("x", op, *args)
            emit(target, "multiply", "x", "g")
        else:
            emit(target, op, *args)
    emit("last", "multiply", rng.choice([i.target for i in body]), "g")
    return Program(("w", "g", "lr", "t"), tuple(body), "last", states, hyperparameters)


def steps_of_program(program: Program, w: int, gradients: list[int], rates: list[int]) -> list[int]:
    given = {"w": w, "g": gradients[0]}
    states = {s.name: given[s.start] if isinstance(s.start, str) else number(s.start)
              for s in program.states}  # fmt: skip
    walk = []
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        env = {"w": w, "g": g, "lr": rate, "t": t, **states}
        env |= {h.name: number(h.value) for h in program.hyperparameters if h.name != LEARNING_RATE}
        for i in program.body:
            args = [env[a] if isinstance(a, str) else number(a) for a in i.args]
            env[i.target] = ARITHMETIC[i.op](*args) % PRIME
        states = {name: env[name] for name in states}
        w = (w - env[program.output]) % PRIME
        walk.append(w)
    return walk


SYMBOL = "[A-Za-zα-ω][A-Za-z0-9_]*[\u0302\u0303\u0304]?[₀-₉]*(?:,?[ₜ₋₊₀-₉]+)?(?:′+|⁽[⁰¹²³⁴-⁹]+⁾)?"
TOKENS = re.compile(rf"\s*(\d+(?:\.\d+)?|{SYMBOL}|[⁰¹²³⁴-⁹ᵗ⁻⁺]+|[-+·/^()])")
LOWER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹ᵗ⁻⁺", "0123456789t-+")
RAISE = str.maketrans("₀₁₂₃₄₅₆₇₈₉₋", "0123456789-")


class Reader:
    """The grammar of arithmetic as people read it: powers before products before quotients before
    sums.
    """

    def __init__(self, text: str, env: dict[str, int]):
        self.tokens, self.env = TOKENS.findall(text), env
        assert "".join(self.tokens) == text.replace(" ", ""), text

    def value(self) -> int:
        value = self.sum()
        assert not self.tokens, self.tokens
        return value

    def next(self, *wanted: str) -> str:
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in wanted else ""

    def sum(self) -> int:
        value = -self.quotient() if self.next("-") else self.quotient()
        while sign := self.next("+", "-"):
            value = value + self.quotient() if sign == "+" else value - self.quotient()
        return value % PRIME

    def quotient(self) -> int:
        value = self.product()
        if self.next("/"):
            value = value * raised(self.power() % PRIME, -1)
        return value % PRIME

    def product(self) -> int:
        value = self.power()
        while self.next("·"):
            value = value * self.power()
        return value % PRIME

    def power(self) -> int:
        value = self.atom()
        if self.next("^"):
            return raised(value, self.atom())
        if self.tokens and self.tokens[0][0] in "⁰¹²³⁴⁵⁶⁷⁸⁹ᵗ⁻⁺":
            return raised(value, Reader(self.tokens.pop(0).translate(LOWER), self.env).value())
        return value

    def atom(self) -> int:
        if self.next("("):
            value = self.sum()
            assert self.next(")")
            return value
        token = self.tokens.pop(0)
        return number(token) if token[0].isdigit() else self.env[token]


class Memory(dict):
    """Values by what is written: `mₜ₋₁` is what `mₜ` was in the step before, and `m₀` what it was
    before all.
    """

    time = 1
    marks = "(′*|⁽[⁰¹²³⁴-⁹]+⁾)"

    def place(self, text: str) -> tuple[str, int] | str:
        if found := re.fullmatch(rf"(.+)ₜ(₋[₁-₉])?{self.marks}", text):
            return found[1] + found[3], self.time + int((found[2] or "0").translate(RAISE))
        return text

    def __setitem__(self, text: str, value: int) -> None:
        super().__setitem__(self.place(text), value)
        if found := re.fullmatch(rf"(.+?)(₋?[₀-₉]){self.marks}", text):
            super().__setitem__((found[1] + found[3], int(found[2].translate(RAISE))), value)

    def __getitem__(self, text: str) -> int:
        return super().__getitem__(self.place(text))


def steps_of_text(
    program: Program, text: str, w: int, gradients: list[int], rates: list[int]
) -> list[int]:
    """Executes the lines of a rule."""
    rows = [row.split(" = ") for row in re.split(", |\n", text.split("\n\n")[0].rstrip())]
    memory = Memory()
    memory["w₀"], memory["g₁"] = w, gradients[0]
    for name, symbol in rule(program).given.items():
        if name in program.values:
            dict.__setitem__(memory, UNICODE.write(symbol), number(program.values[name]))
    walk = []
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        memory.time = t
        memory["t"], memory["gₜ"], memory["ηₜ"] = t, g, rate
        for left, right in rows:
            if "ₜ" in left or t == 1:
                memory[left] = Reader(right, memory).value()
        walk.append(memory["wₜ"])
    return walk


@pytest.mark.parametrize("notation", ["unicode", "latex"])
def test_what_is_written_reads_back_to_the_program(notation):
    for seed in range(400):
        rng = Random(seed)
        program = arithmetic_program(rng)
        text = unicode_rule(program) if notation == "unicode" else plain_text(latex_rule(program))
        w, *given = (number(rng.randrange(1, 100)) for _ in range(9))
        expected = steps_of_program(prune(program), w, given[:4], given[4:])
        assert steps_of_text(program, text, w, given[:4], given[4:]) == expected, (
            f"{seed}\n{program}\n{text}"
        )


def plain_text(latex: str) -> str:
    """LaTeX of arithmetic as text in one line an equation, from the innermost braces outwards."""
    lines = latex.split(r"\end{align*}")[0].splitlines()[1:]
    lowered = str.maketrans("0123456789t-+", "₀₁₂₃₄₅₆₇₈₉ₜ₋₊")
    small = str.maketrans("0123456789t-+", "⁰¹²³⁴⁵⁶⁷⁸⁹ᵗ⁻⁺")
    accents = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303"}
    text = "\n".join(line.removesuffix(r" \\") for line in lines).replace("&=", "=")
    text = (
        text.replace(r"\left", "")
        .replace(r"\right", "")
        .replace(r"\_", "_")
        .replace(r"\varepsilon", "ε")
    )
    for word, letter in GREEK.items():
        text = re.sub(rf"\\{word}\b|\\{word}(?=_)", letter, text)
    text = re.sub(r"\\mathrm\{(\w+)\}", r"\1", text)
    text = re.sub(r"\\(hat|bar|tilde)\{(\w)\}", lambda m: m[2] + accents[m[1]], text)
    text = re.sub(r"_\{([-+,t0-9]+)\}", lambda m: m[1].translate(lowered), text)
    text = re.sub(r"\^\{((?:\\prime)+)\}", lambda m: "′" * (len(m[1]) // 6), text)
    text = re.sub(r"\^\{\((\d+)\)\}", lambda m: "⁽" + m[1].translate(small) + "⁾", text)
    text = re.sub(r" ?(?:\\cdot|\\odot|\\,) ?", "·", text)
    while True:
        new = re.sub(r"\^\{([-+t0-9]+)\}", lambda m: m[1].translate(small), text)
        new = re.sub(r"\^\{([^{}]*)\}", r"^(\1)", new)
        new = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1) / (\2))", new)
        if new == text:
            assert not set(text) & set("\\{}"), text
            return text
        text = new


# --- both notations are well formed ---------------------------------------------------------------


def test_the_tables_name_primitives_that_exist():
    assert {*FORMS, *SAME_AS, *CLEAR, *KNOWN_TO_LATEX} <= PRIMITIVES.keys()


@pytest.mark.parametrize("primitive", PRIMITIVES.values(), ids=lambda p: p.name)
def test_every_primitive_can_be_written(primitive):
    args = tuple(Symbol(Name(letter), step=0) for letter in "abcdef"[: primitive.arity])
    for notation in (UNICODE, LATEX):
        if primitive.arity:
            text = notation.write(Operation(primitive.name, args))
            assert all(notation.write(a) in text for a in args)
            assert_balanced(text)


COMMANDS = {
    "alpha", "beta", "gamma", "delta", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi",
    "rho", "sigma", "tau", "varphi", "chi", "psi", "omega", "varepsilon", "pi", "frac", "sqrt",
    "left", "right", "hat", "bar", "tilde", "mathrm", "operatorname", "text", "begin", "end",
    "prime", "cdot", "odot", "bmod", "infty", "langle", "rangle", "lfloor", "rfloor", "sum", "max",
    "min", "ln", "log", "angle", "top", "ge", "le", "ne", *KNOWN_TO_LATEX,
}  # fmt: skip
"""All that the LaTeX of a rule uses; each is in LaTeX or in amsmath."""


def assert_balanced(text: str) -> None:
    for left, right in ("()", "[]", "{}"):
        assert text.count(left) == text.count(right), text
    commands = re.findall(r"\\([A-Za-z]+)", text)
    assert set(commands) <= COMMANDS, set(commands) - COMMANDS
    assert commands.count("left") == commands.count("right")
    opened = []
    for word, name in re.findall(r"\\(begin|end)\{(\S+?)\}", text):
        if word == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    assert set(re.findall(r"\\([^A-Za-z])", text)) <= set("\\,_|{}"), text


def test_latex_is_well_formed():
    programs = [baselines.get(name) for name in baselines.names()]
    programs += [random_program(Random(seed), length=1 + seed % 25) for seed in range(150)]
    for program in programs:
        text = latex_rule(program)
        assert text.isascii() or "%" in text
        body = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("%"))
        assert body.isascii()
        assert_balanced(body)
        depth = 0
        for character in re.sub(r"\\[{}]", "", body):
            depth += (character == "{") - (character == "}")
            assert depth >= 0
        inside = re.sub(r"(?s)\\begin\{cases\}.*\\end\{cases\}", "", body)
        rows = inside.split(r"\begin{align*}")[1].split(r"\end{align*}")[0].split("\\\\\n")
        assert all(row.count("&") == 1 for row in rows)


def test_different_variables_look_different():
    for seed in range(150):
        program = random_program(Random(seed), length=1 + seed % 40)
        for part in program.parts:
            said = rule(part)
            symbols = (
                {s for s, _ in (*said.starts, *said.equations)}
                | set(said.given.values())
                | {T, W, IDENTITY}
            )
            for notation in (UNICODE, LATEX):
                assert len({notation.write(s) for s in symbols}) == len(symbols)
