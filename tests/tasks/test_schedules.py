"""Learning-rate schedules: against formulas in float64, against optax, and in words."""

import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.kinds import most_tasks

from proxy_tasks import make_task
from proxy_tasks.schedules import CURVES, Schedule, declared, parse_schedule

ULP = 1.2e-7  # of float32, in which a shape is returned


@pytest.fixture(autouse=True)
def strict_jax():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


def fall(x):
    """Half a cosine from 1 at 0 to 0 at 1."""
    return 0.5 * (1 + np.cos(np.pi * x))


def swing(x, valley):
    """Lines between `valley` at whole numbers and 1 halfway between them."""
    return 1 - (1 - valley) * np.abs(1 - 2 * (x - np.floor(x)))


def corners(*points):
    """Lines through points (count, value)."""
    return lambda k: np.interp(k, *zip(*points, strict=True))


# What is written, the steps it is asked for, and the value at count k = t - 1 (0..steps-1) as a
# formula.
FORMULAS = [
    ("constant", 37, lambda k: np.ones(37)),
    ("step_decay(factor=0.5, every=0.25)", 200, lambda k: 0.5 ** (k // 50)),
    (
        "step_decay(factor=0.1, every=0.3)",
        33,
        lambda k: np.select([k < 10, k < 20, k < 30], [1, 0.1, 0.01], 0.001),
    ),
    ("step_decay(factor=0.9, every=0.001)", 100, lambda k: 0.9**k),  # never less than one step
    ("exponential_decay(factor=0.5, every=0.25)", 200, lambda k: 2 ** (-k / 50)),
    ("exponential_decay(factor=0.001, every=1)", 120, lambda k: 10 ** (-3 * k / 120)),
    ("cosine", 150, lambda k: fall(k / 150)),
    ("cosine(end=0.1)", 19, lambda k: 0.1 + 0.9 * fall(k / 19)),
    ("linear_warmup", 100, lambda k: np.where(k < 5, (k + 1) / 5, (100 - k) / 96)),
    ("linear_warmup(warmup=0.5, end=0.2)", 40, corners((-1, 0), (19, 1), (40, 0.2))),
    ("linear_warmup(warmup=1)", 8, lambda k: (k + 1) / 8),
    ("warmup_cosine", 100, lambda k: np.where(k < 4, (k + 1) / 5, fall((k - 4) / 96))),
    (
        "warmup_cosine(warmup=0.1, end=0.01)",
        50,
        lambda k: np.where(k < 5, (k + 1) / 5, 0.01 + 0.99 * fall((k - 4) / 46)),
    ),
    ("triangular(low=0.1, half_period=0.1)", 200, lambda k: swing(k / 40, 0.1)),
    ("triangular(low=0, half_period=0.5)", 30, lambda k: swing(k / 30, 0.0)),
    (
        "one_cycle",
        100,
        lambda k: np.where(
            k < 30, 1 - 0.96 * fall(k / 30), 4e-6 + (1 - 4e-6) * fall((k - 30) / 70)
        ),
    ),
    (
        "one_cycle(pct_start=0.5, div_factor=4, final_div_factor=10)",
        60,
        lambda k: np.where(k < 30, 1 - 0.75 * fall(k / 30), 0.025 + 0.975 * fall((k - 30) / 30)),
    ),
    ("linear_one_cycle", 100, corners((0, 0.04), (30, 1), (85, 0.04), (100, 4e-6))),
    (
        "linear_one_cycle(pct_start=0.2, pct_final=0.4, div_factor=2, final_div_factor=5)",
        50,
        corners((0, 0.5), (10, 1), (20, 0.5), (50, 0.1)),
    ),
    ("linear_one_cycle", 1, lambda k: np.ones(1)),  # all corners are one step, and the peak stays
    ("cosine_restarts(period=0.25)", 80, lambda k: fall(k / 20 % 1)),
    (
        "cosine_restarts(period=0.1, growth=2, min=0.05)",
        100,  # cycles of 10, 20, 40 and the first 30 of 80
        lambda k: (
            0.05
            + 0.95
            * fall(
                np.select(
                    [k < 10, k < 30, k < 70], [k / 10, (k - 10) / 20, (k - 30) / 40], (k - 70) / 80
                )
            )
        ),
    ),
    ("cosine_restarts(period=0.5, growth=1e308)", 20, lambda k: np.where(k < 10, fall(k / 10), 1)),
]


@pytest.mark.parametrize(
    ("text", "steps", "formula"), FORMULAS, ids=[f"{text}-{n}" for text, n, _ in FORMULAS]
)
def test_a_schedule_is_its_formula_in_float64(text, steps, formula):
    shape = parse_schedule(text)(steps)
    assert (shape.shape, shape.dtype) == ((steps,), np.float32)
    np.testing.assert_allclose(
        shape, formula(np.arange(steps, dtype=np.float64)), rtol=ULP, atol=1e-16
    )


OPTAX = [
    ("constant", 20, 0, lambda: optax.constant_schedule(1.0)),
    (
        "step_decay(factor=0.5, every=0.25)",
        40,
        0,
        lambda: optax.piecewise_constant_schedule(1.0, {10: 0.5, 20: 0.5, 30: 0.5}),
    ),
    (
        "exponential_decay(factor=0.3, every=0.5)",
        40,
        0,
        lambda: optax.exponential_decay(1.0, 20, 0.3),
    ),
    ("cosine(end=0.1)", 33, 0, lambda: optax.cosine_decay_schedule(1.0, 33, alpha=0.1)),
    (
        "linear_warmup(warmup=0.05)",
        20,
        1,
        lambda: optax.linear_schedule(1.0, 0.0, 20, transition_begin=1),
    ),
    ("warmup_cosine", 60, 1, lambda: optax.warmup_cosine_decay_schedule(0.0, 1.0, 3, 61)),
    ("one_cycle", 57, 0, lambda: optax.cosine_onecycle_schedule(57, 1.0)),
    (
        "one_cycle(pct_start=0.7, div_factor=3, final_div_factor=2)",
        9,
        0,
        lambda: optax.cosine_onecycle_schedule(9, 1.0, 0.7, 3, 2),
    ),
    ("linear_one_cycle", 57, 0, lambda: optax.linear_onecycle_schedule(57, 1.0)),
    (
        "linear_one_cycle(pct_start=0.1, pct_final=0.5)",
        31,
        0,
        lambda: optax.linear_onecycle_schedule(31, 1.0, 0.1, 0.5),
    ),
    (
        "cosine_restarts(period=0.1, growth=1.5, min=0.2)",
        100,
        0,
        lambda: optax.sgdr_schedule(
            [
                {
                    "init_value": 1.0,
                    "peak_value": 1.0,
                    "warmup_steps": 0,
                    "decay_steps": n,
                    "end_value": 0.2,
                }
                for n in (10, 15, 22, 34, 51)
            ]
        ),
    ),
]


@pytest.mark.parametrize(
    ("text", "steps", "first", "theirs"), OPTAX, ids=[f"{text}-{n}" for text, n, _, _ in OPTAX]
)
def test_a_schedule_is_that_of_optax_step_by_step(text, steps, first, theirs):
    """`first` is the count at t = 1."""
    with (
        jax.enable_x64(True),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        walked = [float(theirs()(k)) for k in range(first, first + steps)]
    np.testing.assert_allclose(parse_schedule(text)(steps), walked, rtol=ULP, atol=1e-16)


def test_every_schedule_has_a_formula_and_all_but_the_triangle_a_second_opinion_in_optax():
    assert {parse_schedule(text).name for text, _, _ in FORMULAS} == set(CURVES)
    assert {parse_schedule(text).name for text, _, _, _ in OPTAX} == set(CURVES) - {"triangular"}


# A text for each, with its required parameters.
NAMED = [
    str(
        Schedule(
            name,
            tuple((p, 0.25) for p, known in declared(name).items() if known.default is known.empty),
        )
    )
    for name in CURVES
]


@pytest.mark.parametrize("text", NAMED)
@pytest.mark.parametrize("steps", [1, 2, 3, 20, 1001])
def test_a_shape_is_finite_at_most_one_and_above_zero_at_any_number_of_steps(text, steps):
    shape = parse_schedule(text)(steps)
    assert (shape.shape, shape.dtype) == ((steps,), np.float32)
    assert (shape > 0).all()
    assert (shape <= 1).all()
    if steps >= 20:
        assert shape.max() == 1


@pytest.mark.parametrize("name", ["cosine", "warmup_cosine"])
def test_a_long_cosine_ends_just_above_zero(name):
    assert 0 < parse_schedule(name)(100_000)[-1] < 1e-9


def test_a_schedule_can_be_asked_for_inside_a_traced_function():
    for text in NAMED:
        traced = jax.jit(lambda text=text: jnp.asarray(parse_schedule(text)(20)))()
        np.testing.assert_array_equal(traced, parse_schedule(text)(20))


# Text.


@st.composite
def schedules(draw):
    """Any schedule with any numbers in it that its limits allow."""
    given_ = {}
    name = draw(st.sampled_from(sorted(CURVES)))
    for parameter, known in declared(name).items():
        limits = known.annotation.__metadata__[0]
        numbers = st.floats(allow_nan=False, allow_infinity=False) | st.floats(0, 1)
        if known.default is known.empty or draw(st.booleans()):
            given_[parameter] = draw(numbers.filter(limits.hold))
    if name == "linear_one_cycle" and given_.get("pct_final", 0.85) <= given_.get("pct_start", 0.3):
        given_ |= {"pct_start": 0.1, "pct_final": 0.2}
    return Schedule(name, tuple(given_.items()))


@given(schedules())
def test_printing_then_parsing_returns_the_same_schedule(schedule):
    again = parse_schedule(str(schedule))
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert str(again) == str(schedule)
    assert pickle.loads(pickle.dumps(schedule)) == schedule


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("cosine", "cosine"),
        ("  cosine(  ) ", "cosine"),
        ("cosine(end=0)", "cosine"),
        ("cosine(end=1e-1,)", "cosine(end=0.1)"),
        ("step_decay(every=.25, factor=5e-1)", "step_decay(factor=0.5, every=0.25)"),
        ("warmup_cosine(warmup=0.05)", "warmup_cosine"),
        ("exponential_decay(factor=1, every=1)", "exponential_decay(factor=1.0, every=1.0)"),
        ("one_cycle(div_factor=10)", "one_cycle(div_factor=10.0)"),
    ],
)
def test_a_schedule_is_printed_in_its_shortest_form(written, canonical):
    assert str(parse_schedule(written)) == canonical


ALL = (
    "constant, step_decay, exponential_decay, cosine, linear_warmup, warmup_cosine, triangular, "
    "one_cycle, "
    "linear_one_cycle and cosine_restarts"
)
EXAMPLE = "write one such as cosine or step_decay(factor=0.5, every=0.25)."
REFUSED = [
    ("cosin", f"no schedule is called 'cosin' (did you mean 'cosine'?); there are {ALL}."),
    ("Wsd(x=1)", f"no schedule is called 'Wsd'; there are {ALL}."),
    ("cosine(edn=0.1)", "cosine has no parameter 'edn' (did you mean 'end'?); it has end."),
    ("cosine(steps=3)", "cosine has no parameter 'steps'; it has end."),
    ("constant(value=1)", "constant has no parameter 'value'; it has none."),
    ("cosine(**{})", "cosine has no parameter '**'; it has end."),
    (
        "cosine_restarts(perod=1)",
        "cosine_restarts has no parameter 'perod' (did you mean 'period'?); it has period, "
        "growth and min.",
    ),
    ("step_decay", "step_decay needs factor and every; write step_decay(factor=..., every=...)."),
    (
        "cosine_restarts(growth=2)",
        "cosine_restarts needs period; write cosine_restarts(period=..., growth=1.0, min=0.0).",
    ),
    ("step_decay(factor=2, every=0.1)", "step_decay: factor must be above 0 and at most 1, not 2."),
    (
        "step_decay(factor=0.5, every=100)",
        "step_decay: every must be a share of the run, above 0 and at most 1, not 100.",
    ),
    (
        "step_decay(factor=0.5, every=0)",
        "step_decay: every must be a share of the run, above 0 and at most 1, not 0.",
    ),
    (
        "linear_warmup(warmup=-0.1)",
        "linear_warmup: warmup must be a share of the run, above 0 and at most 1, not -0.1.",
    ),
    (
        "triangular(low=0.1, half_period=0.6)",
        "triangular: half_period must be a share of the run, above 0 and at most 0.5, not 0.6.",
    ),
    (
        "one_cycle(pct_start=1)",
        "one_cycle: pct_start must be a share of the run, above 0 and below 1, not 1.",
    ),
    ("one_cycle(div_factor=0.5)", "one_cycle: div_factor must be at least 1, not 0.5."),
    (
        "linear_one_cycle(pct_start=0.9)",
        "linear_one_cycle: pct_final must be above pct_start, 0.9, not 0.85.",
    ),
    ("cosine(end=1)", "cosine: end must be at least 0 and below 1, not 1."),
    ("cosine(end=1e999)", "cosine: end must be at least 0 and below 1, not inf."),
    ("cosine(end='0.1')", "cosine: end must be at least 0 and below 1, not '0.1'."),
    ("cosine(end=True)", "cosine: end must be at least 0 and below 1, not True."),
    ("cosine(end=None)", "cosine: end must be at least 0 and below 1, not None."),
    ("cosine(end=0.1, end=0.2)", "'cosine(end=0.1, end=0.2)' gives a parameter twice."),
    ("", f"'' is no schedule; {EXAMPLE}"),
    ("cosine(0.1)", f"'cosine(0.1)' is no schedule; {EXAMPLE}"),
    ("cosine(end=nan)", f"'cosine(end=nan)' is no schedule; {EXAMPLE}"),
    ("cosine(end=1/3)", f"'cosine(end=1/3)' is no schedule; {EXAMPLE}"),
    ("step_decay(factor=0.5", f"'step_decay(factor=0.5' is no schedule; {EXAMPLE}"),
    ("optax.cosine()", f"'optax.cosine()' is no schedule; {EXAMPLE}"),
    ("cosine(end=open('x'))", f"\"cosine(end=open('x'))\" is no schedule; {EXAMPLE}"),
    ("cosine; cosine", f"'cosine; cosine' is no schedule; {EXAMPLE}"),
    ("\0", f"'\\x00' is no schedule; {EXAMPLE}"),
    ("(" * 200, f"'{'(' * 200}' is no schedule; {EXAMPLE}"),
    ("a" * 201, f"a schedule has at most 200 characters, not 201; {EXAMPLE}"),
    (0.1, f"a schedule is text, not 0.1; {EXAMPLE}"),
    (None, f"a schedule is text, not None; {EXAMPLE}"),
]


@pytest.mark.parametrize(
    ("text", "sentence"), REFUSED, ids=lambda value: str(value)[:40].replace("\0", "NUL")
)
def test_what_is_no_schedule_is_refused_with_one_sentence(text, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as error:
        parse_schedule(text)
    assert str(error.value) == sentence


@given(st.text(max_size=60) | st.text("cosine(),=.0123456789e-+*[]{}'\" _\n", max_size=60))
def test_any_other_text_is_refused_with_a_sentence_too(text):
    with pytest.raises(ValueError, match=r"\.\Z"):
        parse_schedule(text)


# In a task.


@most_tasks
@pytest.mark.parametrize("text", NAMED)
def test_every_task_can_have_every_schedule(kind, text):
    task = make_task(kind, steps=12, schedule=text)
    assert task.schedule == text
    np.testing.assert_array_equal(task.learning_rates(), parse_schedule(text)(12))


@most_tasks
def test_a_schedule_changes_the_fingerprint_however_it_is_written(kind):
    plain = make_task(kind)
    ways = ["step_decay(factor=0.5, every=0.25)", " step_decay( every=.25, factor=5e-1 )"]
    usual = {make_task(kind, schedule="warmup_cosine(warmup=5e-2)").fingerprint}
    other = {make_task(kind, schedule=text).fingerprint for text in ways}
    assert usual == {plain.fingerprint}
    assert len(other) == 1
    assert other != usual


# As they were when a task had no choice of schedule: references are stored under them.
BEFORE = {
    "diabetes_regression": "3eeb5b56015868eb",
    "digits_conv": "c7e20aeaa40ef88c",
    "digits_dense": "6b981ec966cdf8ab",
    "noisy_quadratic": "14de9ae5b3125f49",
}


@pytest.mark.parametrize("kind", BEFORE)
def test_the_usual_schedule_leaves_the_fingerprint_as_it_was(kind):
    assert make_task(kind).fingerprint == BEFORE[kind]


def test_a_schedule_that_is_none_is_refused_in_the_words_of_the_task():
    sentence = (
        "digits_dense: step_decay: every must be a share of the run, above 0 and at most 1, "
        "not 100."
    )
    with pytest.raises(ValueError, match="share of the run") as error:
        make_task("digits_dense", schedule="step_decay(factor=0.5, every=100)")
    assert str(error.value) == sentence
