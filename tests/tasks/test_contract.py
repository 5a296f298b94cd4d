"""The contract of a task: no task of this package breaks it, and each way to break it is found."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Literal
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kit.kinds import most_tasks

from proxy_tasks import TASKS, Task, make_task
from proxy_tasks.contract import faults
from proxy_tasks.kit.parts import PARTS, frozen
from proxy_tasks.registry import hash_of_file, snake_case
from proxy_tasks.task import setting

GRADIENT = "the gradient of loss"


@pytest.fixture(autouse=True)
def registry():
    """Tasks of a test are forgotten with it."""
    with mock.patch.dict(TASKS):
        yield


@most_tasks
def test_a_task_of_this_package_has_no_fault(kind):
    assert faults(make_task(kind, **TASKS[kind].small | {"steps": 20})) == []


def declared(annotation: object, value: object) -> type[Task]:
    """A task with a field `mode` that is annotated so."""
    own = {
        "__annotations__": {"mode": annotation, "steps": "int"},
        "mode": value,
        "steps": 30,
        "init": lambda self, key: {"point": {"w": jnp.ones(2)}},
        "evaluate": lambda self, params, data, part: 1.0 + jnp.sum(params["point"]["w"] ** 2),
    }
    return dataclass(frozen=True)(type("Declared", (Task,), own))


@pytest.mark.parametrize("postponed", [False, True])
@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (str, "hard"), (bool, True), (complex, 1j), (bytes, b""), (list[int], ()), (dict, ()),
        (int | None, None), (tuple[int, int], (1, 2)), (None, None), (object, 1), (np.float32, 1.0),
    ],
)  # fmt: skip
def test_a_field_that_is_no_number_is_refused_in_one_sentence(annotation, value, postponed):
    written = getattr(annotation, "__name__", None) if isinstance(annotation, type) else None
    written = written or str(annotation)
    declared(written if postponed else annotation, value)
    with pytest.raises(
        ValueError,
        match="declared: mode must be declared as int, float or a Literal of words, not ",
    ) as f:
        make_task("declared")
    assert "<class" not in str(f.value)


@pytest.mark.parametrize("postponed", [False, True])
def test_a_field_is_a_word_of_those_that_it_names(postponed):
    words = Literal["relu", "tanh"]
    declared("Literal['relu', 'tanh']" if postponed else words, "tanh")
    assert make_task("declared").mode == "tanh"
    assert make_task("declared").fingerprint != make_task("declared", mode="relu").fingerprint
    with pytest.raises(ValueError, match=r"mode must be one of relu and tanh, not 'selu'\.$"):
        make_task("declared", mode="selu")
    with pytest.raises(ValueError, match="mode must be one of relu and tanh, not True"):
        make_task("declared", mode=True)


def test_a_field_may_be_zero_where_it_says_so_and_stay_out_of_older_fingerprints():
    declared(float, setting(0.0, from_zero=True))
    with pytest.raises(ValueError, match=r"mode must be at least 0, not -0\.1\."):
        make_task("declared", mode=-0.1)
    before = make_task("declared").fingerprint
    declared(float, setting(0.0, from_zero=True, later=True))
    assert (
        make_task("declared", mode=0.5).fingerprint != before != make_task("declared").fingerprint
    )


@pytest.mark.parametrize("postponed", [False, True])
@pytest.mark.parametrize(("kind", "value"), [(int, 60), (float, 60.0), (float, 60)])
def test_a_number_stays_what_it_is_declared_as_where_annotations_are_postponed(
    kind, value, postponed
):
    declared(kind.__name__ if postponed else kind, value)
    made = make_task("declared", mode=value)
    assert type(made.mode) is kind  # pyright: ignore[reportAttributeAccessIssue]
    assert type(made.steps) is int


# Writing one.


def rosenbrock() -> type[Task]:
    @dataclass(frozen=True)
    class RosenbrocksValley(Task):
        """Follow a curved valley.

        It has a floor of 0.01.
        """

        steps: int = 30

        def init(self, key):
            return {"point": {"w": 0.1 * jax.random.normal(key, (2,))}}

        def evaluate(self, params, data, part):
            x, y = params["point"]["w"]
            return 0.01 + (1 - x) ** 2 + 100 * (y - x**2) ** 2

    return RosenbrocksValley


def test_parameters_and_an_evaluation_are_enough_for_a_task():
    cls = rosenbrock()
    assert (cls.kind, cls.measures) == ("rosenbrocks_valley", "Follow a curved valley.")
    assert isinstance(make_task("rosenbrocks_valley", steps=5), cls)
    assert faults("rosenbrocks_valley") == []


def test_a_task_that_is_defined_again_replaces_the_one_it_was():
    first, second = rosenbrock(), rosenbrock()
    assert first is not TASKS["rosenbrocks_valley"] is second


def test_a_base_of_tasks_is_none_itself():
    class Valley(Task, base=True):
        pass

    assert "valley" not in TASKS
    assert not hasattr(Valley, "kind")


@pytest.mark.parametrize("kind", ["", "a-b", "../secret", "1st", 7])
def test_a_kind_is_a_name(kind):
    with pytest.raises(TypeError, match="a kind is a name of letters, digits and underscores"):
        type("Nameless", (Task,), {"kind": kind})


def test_the_file_that_defines_a_task_belongs_to_its_fingerprint(tmp_path, monkeypatch):
    text = (
        "from dataclasses import dataclass\n"
        "from proxy_tasks.vision.digits_dense import DigitsDense\n"
        "@dataclass(frozen=True)\nclass Digits(DigitsDense):\n    steps: int = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    prints = []
    for number, extra in enumerate(("", "# another word\n", "")):
        (tmp_path / f"plugged_{number}.py").write_text(text + extra)
        with mock.patch.dict(TASKS):
            module = __import__(f"plugged_{number}")
            prints.append(module.Digits().fingerprint)
            assert TASKS["digits"] is module.Digits
            (tmp_path / f"plugged_{number}.py").write_text("# what is imported stays what it was")
            assert module.Digits().fingerprint == prints[-1]
    assert prints[0] == prints[2] != prints[1]
    assert hash_of_file("proxy_tasks.vision.digits_dense") == hash_of_file("no_such_module") == ""


def test_classes_are_named_as_kinds_are_written():
    names = ["DigitsDense", "XORTask", "Lunar2", "MyMLP2Deep", "plain"]
    assert [snake_case(n) for n in names] == [
        "digits_dense", "xor_task", "lunar2", "my_mlp2_deep", "plain",
    ]  # fmt: skip


def test_numbers_may_be_declared_in_text():
    assert make_task(type(sound()).kind, size=np.int64(3)).size == 3  # annotations of this file are


# Breaking it.


def sound() -> Task:
    """Build a task that keeps the contract in every method; those below break one each."""
    table = {part: {"x": frozen(np.arange(12.0).reshape(4, 3), np.float32)} for part in PARTS}

    @dataclass(frozen=True)
    class Sound(Task):
        steps: int = 4
        size: int = 3

        def data(self):
            return table

        def init(self, key):
            return {"layer": {"w": jax.random.normal(key, (self.size,), jnp.float32)}}

        def draws(self, key):
            return jax.random.randint(key, (self.steps, 2), 0, 4, jnp.int32)

        def loss(self, params, data, draw):
            return self.distance(params, jnp.asarray(data["train"]["x"])[draw])

        def evaluate(self, params, data, part):
            return self.distance(params, jnp.asarray(data[part]["x"]))

        def distance(self, params, x):
            return 1.0 + jnp.mean((x - params["layer"]["w"][None]) ** 2)

    return Sound()


def test_the_task_that_the_others_break_is_sound():
    assert faults(sound()) == []
    assert faults(replace(sound(), steps=1)) == []


clock = itertools.count()
noise = np.random.default_rng(0)


def w_of(params):
    return params["layer"]["w"]


def of_train(data, shift):
    return data | {"train": {"x": jnp.asarray(data["train"]["x"]) + jnp.float32(shift)}}


BROKEN = {
    "steps below 1": ({"steps": 0}, "steps must be a whole number of at least 1, not 0."),
    "a schedule of another length": (
        {"learning_rates": lambda self: np.ones(3, np.float32)},
        "learning_rates is float32[3]: return 4 finite numbers, one a step.",
    ),
    "no parts": ({"data": lambda self: np.ones(3)}, "data has ndarray: return a dict with train, "),
    "two parts": ({"data": lambda self: {"train": {}, "test": {}}}, "data has train and test: "),
    "data in lists": (
        {"data": lambda self: {part: [1.0] for part in PARTS}},
        "data['test'][0] is a float: make it an array with np.asarray.",
    ),
    "data in float64": (
        {"data": lambda self: dict.fromkeys(PARTS, np.ones(2))},
        "data['test'] is float64[2]: make it np.float32 or np.int32.",
    ),
    "data that are not finite": (
        {"data": lambda self: dict.fromkeys(PARTS, np.float32([1, np.nan]))},
        "data['test'] is not finite: ",
    ),
    "data that change": (
        {"data": lambda self: dict.fromkeys(PARTS, np.float32([next(clock)]))},
        "data changes from one call to the next: ",
    ),
    "data that are not there": (
        {"data": lambda self: np.load("/nowhere/at/all")},
        "data raises FileNotFoundError ([Errno 2] No such file or directory: '/nowhere/at/all'): ",
    ),
    "no parameters": ({"init": lambda self, key: {}}, "init gives no number to train: "),
    "parameters of whole numbers": (
        {"init": lambda self, key: {"w": jnp.arange(3, dtype=jnp.int32)}},
        "init['w'] is int32[3]: make it jnp.float32.",
    ),
    "parameters that are not finite": (
        {"init": lambda self, key: {"w": jnp.full(3, jnp.inf)}},
        "init['w'] is not finite: ",
    ),
    "parameters from elsewhere": (
        {"init": lambda self, key: {"w": jnp.float32(noise.normal(size=3))}},
        "init differs between two calls with the same key: draw everything from the key.",
    ),
    "draws from elsewhere": (
        {"draws": lambda self, key: jax.random.normal(jax.random.key(next(clock)), (4, 1))},
        "draws differs between two calls with the same key: ",
    ),
    "a wrong number of draws": (
        {"draws": lambda self, key: jax.random.normal(key, (3, 4))},
        "draws is float32[3, 4]: give it a leading axis of steps = 4, one slice a step.",
    ),
    "draws that are not finite": (
        {"draws": lambda self, key: {"noise": jnp.full((4, 2), jnp.nan)}},
        "draws['noise'] is not finite: ",
    ),
    "a deal from elsewhere": (
        {"deal": lambda self, key, data: of_train(data, noise.normal(size=(4, 3)))},
        "deal differs between two calls with the same key: ",
    ),
    "a deal of fewer rows": (
        {"deal": lambda self, key, data: data | {"train": {"x": data["train"]["x"][:2]}}},
        "deal changes the shape or dtype of the data: ",
    ),
    "a deal of the test part": (
        {"deal": lambda self, key, data: data | {"test": {"x": data["test"]["x"][::-1]}}},
        "deal changes the test part: ",
    ),
    "a deal of rows that nobody has": (
        {"deal": lambda self, key, data: of_train(data, 0.5)},
        "deal puts rows into ['x'] that are neither in train nor in validation: ",
    ),
    "a loss for every row": (
        {"loss": lambda self, params, data, draw: w_of(params) ** 2},
        "loss is float32[3]: return one float32, such as a mean over the rows.",
    ),
    "a loss that counts": (
        {"loss": lambda self, params, data, draw: jnp.sum(w_of(params) > 0)},
        "loss is int32[]: return one float32, ",
    ),
    "an evaluation for every row": (
        {"evaluate": lambda self, params, data, part: w_of(params) ** 2},
        "evaluate on test is float32[3]: ",
    ),
    "a loss that looks at numbers": (
        {"loss": lambda self, params, data, draw: 1.0 if w_of(params)[0] > 0 else 2.0},
        "loss or evaluate raises TracerBoolConversionError (Attempted boolean conversion of",
    ),
    "a loss that is not finite": (
        {"loss": lambda self, params, data, draw: jnp.sum(jnp.log(-(w_of(params) ** 2)))},
        "loss is nan at the start: choose an init where it is finite.",
    ),
    "an evaluation that is not finite": (
        {"evaluate": lambda self, params, data, part: jnp.sum(w_of(params)) / 0},
        "evaluate on test is ",
    ),
    "a loss that cannot be differentiated": (
        {"loss": lambda self, params, data, draw: jax.lax.while_loop(
            lambda x: x < 9, lambda x: x + 1 + jnp.abs(x), jnp.sum(w_of(params)))},
        f"{GRADIENT} raises ValueError (Reverse-mode differentiation does not",
    ),
    "a loss with a flat gradient": (
        {"loss": lambda self, params, data, draw: jnp.sum(jnp.round(w_of(params)))},
        f"{GRADIENT} is 0 everywhere: ",
    ),
    "a gradient that is not finite": (
        {"loss": lambda self, params, data, draw: jnp.sqrt(jnp.sum(0 * w_of(params)))},
        f"{GRADIENT} is not finite at the start: ",
    ),
    "a loss of the test part": (
        {"loss": lambda self, params, data, draw: self.evaluate(params, data, "test")},
        "loss reads the validation or the test part: train on data['train'] alone.",
    ),
    "a loss that counts its calls": (
        {"evaluate": lambda self, params, data, part: jnp.sum(w_of(params) ** 2) + next(clock)},
        "evaluate on test differs between two calls with the same arguments: ",
    ),
    "a loss below 0": (
        {"evaluate": lambda self, params, data, part: -1.0 - jnp.sum(w_of(params) ** 2)},
        "evaluate on test is -",
    ),
    "a loss that is tiny": (
        {"evaluate": lambda self, params, data, part: 1e-32 + 0 * jnp.sum(w_of(params))},
        "evaluate on test is 1e-32 at the start: a score is a logarithm of it, so add what ",
    ),
    "a loss that becomes 0": (
        {"steps": 90, "draws": Task.draws, "loss": Task.loss,
         "evaluate": lambda self, params, data, part: jax.nn.relu(1 + jnp.mean(w_of(params)))},
        "evaluate on test is 0 after 90 steps of training: a score is a logarithm of it, ",
    ),
    "products that cannot be offered": (
        {"loss": lambda self, params, data, draw: once_only(jnp.sum(w_of(params) ** 2))},
        "hvp, which the task offers, raises ",
    ),
}  # fmt: skip


@jax.custom_vjp
def once_only(x):
    return x


def no_second_time(scale, slope):
    def refuse(*_):
        raise TypeError("no second derivative")

    passed = jax.custom_vjp(lambda s: s)
    passed.defvjp(lambda s: (s, None), refuse)
    return (passed(slope * scale),)


once_only.defvjp(lambda x: (x, x), no_second_time)


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_is_found_and_said_with_the_remedy(name):
    changes, sentence = BROKEN[name]
    fields = {k: changes[k] for k in changes if k == "steps"}
    methods = {k: changes[k] for k in changes if k != "steps"}
    broken = dataclass(frozen=True)(type("Broken", (type(sound()),), methods))()
    for field, value in fields.items():
        object.__setattr__(broken, field, value)  # past the checks of the class
    found = faults(broken)
    assert found
    assert all(fault.startswith("broken: ") and fault.endswith(".") for fault in found)
    assert found[0].startswith(f"broken: {sentence}")


def test_a_class_that_is_no_complete_task_is_said_before_it_is_built():
    class Unfinished(Task):
        steps: int = 3

        def init(self, key):
            return {}

    class Undeclared(Unfinished):
        def evaluate(self, params, data, part):
            return jnp.float32(1)

    @dataclass(frozen=True)
    class Endless(Undeclared):
        depth: int

    @dataclass(frozen=True)
    class Worded(Undeclared):
        steps: int = 3
        activation: str = "relu"

    assert faults("unfinished") == ["unfinished does not define evaluate: write Unfinished's own."]
    assert faults("undeclared") == [
        "undeclared is no dataclass: write @dataclass(frozen=True) above its class."
    ]
    assert faults("endless") == [
        "endless has no value for steps and depth: give a default in its class, such as "
        "steps: int = 100, or a value in the suite."
    ]
    assert faults("worded") == [
        "worded: activation must be declared as int, float or a Literal of words, not str; what "
        "never changes is a ClassVar."
    ]
    assert faults("ended")[0].startswith("no task is called 'ended'")
