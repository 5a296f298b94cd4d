"""Whether a task keeps its contract: the list that `Task` states, checked by trying it.

    faults("my_task")  →  ["my_task: loss is float32[16]: return one float32, such as a mean ..."]

Each stage needs what the stages before it found to be sound, so the first one with faults is the
last. Whatever is random must come out of keys. So every method is traced twice, and computed twice
with the same arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from proxy_tasks import oracles
from proxy_tasks.augmentation import SeenTask, seen
from proxy_tasks.kit.parts import PARTS
from proxy_tasks.registry import make_task
from proxy_tasks.sentences import listed
from proxy_tasks.task import LEAST_LOSS, DenseTask, Task

SEEDS = 3
DTYPES = ("float32", "int32", "int16", "int8", "uint32", "uint16", "uint8", "bool")
TRAINED = 100  # steps, at most, after which a loss must still be above 0
RATE = 0.03  # how far every parameter moves in each of them


class Broken(Exception):
    """A method that raises instead of computing; its text is the sentence about it."""


def faults(task: Task | str) -> list[str]:
    """Tell what is wrong with a task, a sentence with the remedy for each fault; nothing if sound.

    It starts the task from three seeds and trains it for up to 100 steps, which takes seconds.

    task: a task, or the kind of one that is built with the defaults of its fields.
    """
    if isinstance(task, str):
        try:
            task = make_task(task)
        except ValueError as fault:
            return [str(fault)]

    attempt = Attempt(task)
    for stage in (of_the_fields, of_the_data, of_what_is_drawn, of_the_losses, of_training):
        found: list[str] = []
        try:
            found.extend(stage(attempt))
        except Broken as fault:
            found.append(str(fault))
        if found:
            return [f"{task.kind}: {fault}." for fault in found]
    return []


class Attempt:
    """A task with its methods compiled, each once for all stages that use it."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.seen = seen(task)  # by an optimizer, in one seed

    @cached_property
    def data(self) -> Any:
        """The data as `data` gives them."""
        return call(self.task, "data")

    @cached_property
    def init(self) -> tuple[Callable[[Array], Any], ...]:
        """key -> first parameters; twice."""
        return twice("init", lambda: lambda key: self.task.init(key), PLAIN, jax.random.key(0))

    @cached_property
    def draws(self) -> tuple[Callable[[Array], Any], ...]:
        """key -> what is random in training; twice."""
        return twice("draws", lambda: lambda key: self.task.draws(key), PLAIN, jax.random.key(1))

    @cached_property
    def deal(self) -> tuple[Callable[[Array, Any], Any], ...]:
        """(key, data) -> the data as one seed sees them; twice."""
        key, make = jax.random.key(2), lambda: lambda key, data: self.task.deal(key, data)
        return twice("deal", make, PLAIN, key, self.data)

    @cached_property
    def losses(self) -> tuple[Callable[..., dict[str, Array]], ...]:
        """(params, data, draw) -> the loss of a step and the evaluation of every part; twice."""

        def make() -> Callable[..., dict[str, Array]]:
            def all_losses(params: Any, data: Any, draw: Any) -> dict[str, Array]:
                evaluate = self.seen.evaluate
                parts = {f"evaluate on {part}": evaluate(params, data, part) for part in PARTS}
                return {"loss": self.seen.loss(params, data, draw)} | parts

            return all_losses

        remedy = "keep both to operations of jax.numpy, without `if` or float() on arrays"
        return twice("loss or evaluate", make, remedy, *self.begin(0))

    @cached_property
    def slope(self) -> Callable[..., tuple[Array, Any]]:
        """(params, data, draw) -> the loss of a step and its gradient."""
        remedy = "keep it to operations of jax.numpy that can be differentiated"
        return compiled("the gradient of loss", jax.value_and_grad(self.seen.loss), remedy)

    def begin(self, seed: int) -> tuple[Any, Any, Any]:
        """Return the parameters, the data and the draw of the first step of one run."""
        key, draw, deal = jax.random.split(jax.random.key(seed), 3)
        began = self.init[0](key), self.draws[0](draw), self.deal[0](deal, self.data)
        if isinstance(self.seen, SeenTask):
            began = self.seen.varied(jax.random.key(seed), *began)
        params, draws, data = began
        return params, data, slice_of(draws, 0)


def of_the_fields(attempt: Attempt) -> Iterator[str]:
    """Check the number of steps and the schedule of the learning rate."""
    steps = attempt.task.steps
    if not isinstance(steps, int) or steps < 1:
        yield f"steps must be a whole number of at least 1, not {steps!r}"
        return
    rates = call(attempt.task, "learning_rates")
    if shown(rates) != f"float32[{steps}]" or not np.isfinite(rates).all():
        yield f"learning_rates is {shown(rates)}: return {steps} finite numbers, one a step"


def of_the_data(attempt: Attempt) -> Iterator[str]:
    """Check the three parts of the data."""
    data = attempt.data
    if not isinstance(data, dict) or sorted(map(str, data)) != sorted(PARTS):
        has = listed(map(str, data)) if isinstance(data, dict) and data else type(data).__name__
        yield f"data has {has}: return a dict with {listed(PARTS)}"
        return
    for place, leaf in places(data):
        if not isinstance(leaf, (np.ndarray, jax.Array)):
            yield f"data{place} is a {type(leaf).__name__}: make it an array with np.asarray"
        elif str(leaf.dtype) not in DTYPES:
            yield f"data{place} is {shown(leaf)}: make it np.float32 or np.int32"
        elif not np.isfinite(leaf).all():
            yield f"data{place} is not finite: replace or drop what is nan or inf"
    if not same(data, call(attempt.task, "data")):
        yield (
            "data changes from one call to the next: draw them from a generator with a fixed seed"
        )


def of_what_is_drawn(attempt: Attempt) -> Iterator[str]:
    """Check the first parameters, what is random in training, and what a seed sees of the data."""
    steps, key = attempt.task.steps, jax.random.key(0)

    params = [init(key) for init in attempt.init]
    yield from repeated("init", *params)
    if not sum(np.size(leaf) for leaf in jax.tree.leaves(params[0])):
        yield "init gives no number to train: return a tree of arrays such as {'point': {'w': w}}"
    for place, leaf in places(params[0]):
        if leaf.dtype != np.float32:
            yield f"init{place} is {shown(leaf)}: make it jnp.float32"
        elif not np.isfinite(leaf).all():
            yield f"init{place} is not finite: start from numbers that are"

    draws = [draw(key) for draw in attempt.draws]
    yield from repeated("draws", *draws)
    for place, leaf in places(draws[0]):
        if leaf.ndim == 0 or leaf.shape[0] != steps:
            yield (
                f"draws{place} is {shown(leaf)}: give it a leading axis of steps = {steps}, one "
                f"slice a step"
            )
        elif jnp.issubdtype(leaf.dtype, jnp.floating) and not np.isfinite(leaf).all():
            yield f"draws{place} is not finite: draw from a law with finite values"

    dealt = [deal(key, attempt.data) for deal in attempt.deal]
    yield from repeated("deal", *dealt)
    yield from of_the_deal(attempt.data, dealt[0])


def of_the_deal(data: dict[str, Any], dealt: dict[str, Any]) -> Iterator[str]:
    """Check that a deal is one: of the same rows, between train and validation, beside test."""
    if [(p, shown(x)) for p, x in places(dealt)] != [(p, shown(x)) for p, x in places(data)]:
        yield (
            "deal changes the shape or dtype of the data: deal as many rows to each part as it had"
        )
        return
    if same(dealt, data):
        return
    if not same(dealt["test"], data["test"]):
        yield "deal changes the test part: leave data['test'] as it is"
    for (place, train), validation, *new in zip(
        places(data["train"]),
        jax.tree.leaves(data["validation"]),
        jax.tree.leaves(dealt["train"]),
        jax.tree.leaves(dealt["validation"]),
        strict=True,
    ):
        if not rows(*new) <= rows(train, validation):
            yield (
                f"deal puts rows into {place} that are neither in train nor in validation: deal "
                f"the rows of these two"
            )


def of_the_losses(attempt: Attempt) -> Iterator[str]:
    """Check the loss of a step, its gradient and the evaluations, at the start of some runs."""
    for name, value in attempt.losses[0](*attempt.begin(0)).items():
        if shown(value) != "float32[]":
            yield f"{name} is {shown(value)}: return one float32, such as a mean over the rows"
            return

    steep = False
    for seed in range(SEEDS):
        params, data, draw = attempt.begin(seed)
        found = list(at_the_start(*(losses(params, data, draw) for losses in attempt.losses)))
        value, gradient = attempt.slope(params, data, draw)
        steep |= any(np.any(leaf) for leaf in jax.tree.leaves(gradient))
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient)):
            found.append(
                "the gradient of loss is not finite at the start: see to roots, logarithms and "
                "divisions at 0"
            )
        without = {p: jax.tree.map(jnp.zeros_like, data[p]) for p in PARTS if p != "train"}
        if not same(value, attempt.slope(params, data | without, draw)[0]):
            found.append("loss reads the validation or the test part: train on data['train'] alone")
        if found:
            yield from found
            return
    if not steep:
        yield (
            "the gradient of loss is 0 everywhere: let it depend smoothly on the parameters, "
            "without rounding, argmax or stop_gradient"
        )


def at_the_start(once: dict[str, Array], again: dict[str, Array]) -> Iterator[str]:
    """Check the losses at the start of one run, computed twice."""
    for name, value in once.items():
        if not np.isfinite(value):
            yield f"{name} is {value} at the start: choose an init where it is finite"
        elif not same(value, again[name]):
            yield f"{name} differs between two calls with the same arguments: draw in draws"
        elif name != "loss" and value <= LEAST_LOSS:
            yield f"{name} is {value:.3g} at the start: {POSITIVE}"


def of_training(attempt: Attempt) -> Iterator[str]:
    """Check what a task offers beyond its gradient, and that its loss stays above 0."""
    task, (params, data, draw) = attempt.seen, attempt.begin(0)
    for name, product in (("hvp", oracles.hvp), ("gnvp", oracles.gnvp)):
        if name in task.offers:
            traced(
                f"{name}, which the task offers,",
                lambda w, product=product: product(task, w, data, draw)(w),
                "keep loss and predict to operations that can be differentiated twice in reverse",
                params,
            )
    if isinstance(task, DenseTask):
        traced(
            "what K-FAC asks of the layers",
            lambda w: oracles.layers(task, w, data, draw, jax.random.key(3)),
            "name the inputs of layers as the parameters are, each with a kernel and a bias",
            params,
        )
    traced(
        "training several seeds at once",
        jax.vmap(lambda w, d: task.loss(w, data, d)),
        "keep to operations that jax.vmap can take",
        *jax.tree.map(lambda x: jnp.stack([x, x]), (params, draw)),
    )

    end = trained(attempt, params, data)
    for name, value in attempt.losses[0](end, data, draw).items():
        if name != "loss" and value <= LEAST_LOSS:
            steps = min(task.steps, TRAINED)
            yield f"{name} is {value:.3g} after {steps} steps of training: {POSITIVE}"


POSITIVE = f"a score is a logarithm of it, so add what keeps it above {LEAST_LOSS:g}"
PLAIN = "keep it to operations of jax.numpy"


# How a task is tried.


def trained(attempt: Attempt, params: Any, data: Any) -> Any:
    """Descend for some steps by the sign of the gradient, and return the parameters.

    Every parameter moves by `RATE` a step, whatever the scale of the loss. It ends where a gradient
    is not finite: that the step was too long for the task is no fault of the task's.
    """
    draws = attempt.draws[0](jax.random.key(1))
    for step in range(min(attempt.task.steps, TRAINED)):
        _, gradient = attempt.slope(params, data, slice_of(draws, step))
        gradient = jax.tree.map(np.asarray, gradient)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient)):
            break
        params = jax.tree.map(
            lambda w, g: np.asarray(w) - np.float32(RATE) * np.sign(g), params, gradient
        )
    return params


def slice_of(draws: PyTree[Array], step: int) -> PyTree[Array]:
    """Return the draw of one step."""
    return jax.tree.map(lambda leaf: leaf[step], draws)


def call(task: Task, method: str) -> Any:
    """Call a method without arguments; one that raises is `Broken`."""
    try:
        return getattr(task, method)()
    except Exception as error:
        raise Broken(f"{method} raises {said(error)}: mend it") from error


def twice(
    what: str, make: Callable[[], Callable[..., Any]], remedy: str, *arguments: Any
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Compile a function, and once more where a second tracing finds another computation.

    What it draws from outside its arguments when it is traced is a constant of the computation.
    Where the two tracings are the same, one compilation does for both.
    """
    first, second = make(), make()
    one, other = (traced(what, function, remedy, *arguments) for function in (first, second))
    fast = compiled(what, first, remedy)
    return fast, fast if one == other else compiled(what, second, remedy)


def traced(what: str, function: Callable[..., Any], remedy: str, *arguments: Any) -> bytes:
    """Trace a function without running it, and return the computation that it is, as bytes.

    One that raises is `Broken`, a sentence that ends with the remedy.
    """
    try:
        computation = jax.make_jaxpr(function)(*arguments)
    except Exception as error:
        raise Broken(f"{what} raises {said(error)}: {remedy}") from error
    text = re.sub(r"0x[0-9a-f]+", "", str(computation.jaxpr))  # without addresses of functions
    return text.encode() + b"".join(bits(constant) for constant in computation.consts)


def compiled(what: str, function: Callable[..., Any], remedy: str) -> Callable[..., Any]:
    """Compile a function, quickly rather than well; one that raises is `Broken`."""
    fast = jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})

    def run(*arguments: Any) -> Any:
        try:
            return fast(*arguments)
        except Exception as error:
            raise Broken(f"{what} raises {said(error)}: {remedy}") from error

    return run


# Words and comparisons.


def repeated(method: str, once: PyTree, again: PyTree) -> Iterator[str]:
    """Say that two results for the same key differ."""
    if not same(once, again):
        yield f"{method} differs between two calls with the same key: draw everything from the key"


def said(error: Exception) -> str:
    """Return the name of an error and its first line."""
    first = (str(error).strip() or "nothing more").splitlines()[0]
    return f"{type(error).__name__} ({first[:120].rstrip('.:')})"


def shown(value: Any) -> str:
    """Write dtype and shape: `float32[16, 10]`."""
    dtype = getattr(value, "dtype", type(value).__name__)
    return f"{dtype}[{', '.join(map(str, np.shape(value)))}]"


def places(tree: PyTree) -> list[tuple[str, Any]]:
    """List the leaves of a tree with where they are: `['train']['image']`."""
    found = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in found]


def same(a: PyTree, b: PyTree) -> bool:
    """Tell whether two trees are equal bit by bit; random keys too."""
    first, second = places(a), places(b)
    return [place for place, _ in first] == [place for place, _ in second] and all(
        shown(x) == shown(y) and bits(x) == bits(y)
        for (_, x), (_, y) in zip(first, second, strict=True)
    )


def bits(leaf: Any) -> bytes:
    """Return the bytes of an array, or of the numbers behind random keys."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf).tobytes()


def rows(*arrays: Any) -> set[bytes]:
    """Collect the rows of arrays."""
    return {row.tobytes() for array in arrays for row in np.asarray(array)}
