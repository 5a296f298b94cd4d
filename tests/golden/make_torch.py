"""Writes `tests/golden/torch`: the walk of each optimizer of torch that one of our programs states.

    pip install torch
    python tests/golden/make_torch.py             all files
    python tests/golden/make_torch.py adam sgd    some

Torch runs in float64 on the start and the gradients of `opinions.harness`, with the hyperparameters
of our program and with `param_group["lr"]` set to the schedule's value before each step.

Absent: LBFGS, which asks for the loss, and ASGD, whose point is an average beside the parameters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from opinions.harness import SHAPES, Walk, sequence  # noqa: E402
from opinions.torch_golden import AGAIN, FOLDER, digest  # noqa: E402

import baselines  # noqa: E402
from primitives.statements import LEARNING_RATE  # noqa: E402

KEPT = (1, 2, 3, 10, 30, 100)


def adam(**more: Any) -> Callable[..., dict[str, Any]]:
    return lambda beta1, beta2, eps: {"betas": (beta1, beta2), "eps": eps, **more}


def adamw(beta1: float, beta2: float, eps: float, weight_decay: float) -> dict[str, Any]:
    return {"betas": (beta1, beta2), "eps": eps, "weight_decay": weight_decay}


def radam(beta1: float, beta2: float, threshold: float, eps: float) -> dict[str, Any]:
    assert threshold == 5.0, "torch rectifies where rho > 5 and offers no other threshold"
    return {"betas": (beta1, beta2), "eps": eps}


TORCH: dict[str, tuple[str, Callable[..., dict[str, Any]]]] = {
    "sgd": ("SGD", lambda: {}),
    "heavy_ball": ("SGD", lambda momentum: {"momentum": momentum}),
    "nesterov": ("SGD", lambda momentum: {"momentum": momentum, "nesterov": True}),
    # Where all gradients so far are 0, torch computes 0 / eps: nan if eps is 0, and 0, as ours, if
    # it is tiny.
    "adagrad": ("Adagrad", lambda eps: {"eps": max(eps, 1e-300)}),
    "adadelta": ("Adadelta", lambda rho, eps: {"rho": rho, "eps": eps}),
    "rmsprop": ("RMSprop", lambda decay, eps: {"alpha": decay, "eps": eps}),
    "rmsprop_centered_torch": (
        "RMSprop",
        lambda decay, eps: {"alpha": decay, "eps": eps, "centered": True},
    ),
    "rmsprop_momentum": (
        "RMSprop",
        lambda decay, momentum, eps: {"alpha": decay, "momentum": momentum, "eps": eps},
    ),
    "adam": ("Adam", adam()),
    "adamw": ("AdamW", adamw),
    "adamax_optax": ("Adamax", adam()),
    "amsgrad_torch": ("Adam", adam(amsgrad=True)),
    "nadam_scheduled": (
        "NAdam",
        lambda beta1, beta2, eps, momentum_decay: {
            "betas": (beta1, beta2),
            "eps": eps,
            "momentum_decay": momentum_decay,
        },
    ),
    "radam_torch": ("RAdam", radam),
    "rprop": (
        "Rprop",
        lambda eta_minus, eta_plus, min_step_size, max_step_size: {
            "etas": (eta_minus, eta_plus),
            "step_sizes": (min_step_size, max_step_size),
        },
    ),
    "adafactor_torch": (
        "Adafactor",
        lambda beta2_decay, eps1, eps2, clip, weight_decay: {
            "beta2_decay": -beta2_decay,
            "eps": (eps1, eps2),
            "d": clip,
            "weight_decay": weight_decay,
        },
    ),
    "muon_torch": (
        "Muon",
        lambda momentum, weight_decay, a, b, c, eps, **of_others: {
            "momentum": momentum,
            "weight_decay": weight_decay,
            "ns_coefficients": (a, b, c),
            "eps": eps,
        },
    ),
}
"""By program: the optimizer of torch, and its arguments from the hyperparameters of the program."""

UNSTATED = {
    "rmsprop_centered_torch": {LEARNING_RATE: 0.003, "decay": 0.9, "eps": 1e-8},
}
"""Hyperparameters of the rules that no program of ours states."""


@contextmanager
def in_float64() -> Iterator[None]:
    """Torch counts steps in its default dtype and orthogonalises in bfloat16: here both happen in
    float64.
    """
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with mock.patch.object(torch.Tensor, "bfloat16", torch.Tensor.clone):
            yield
    finally:
        torch.set_default_dtype(default)


def make(name: str) -> dict[str, Any]:
    """The golden file of a program."""
    values = baselines.get(name).values if name in baselines.names() else UNSTATED[name]
    kind, arguments = TORCH[name]
    more = arguments(**{k: v for k, v in values.items() if k != LEARNING_RATE})
    said = "".join(f", {k}={v!r}" for k, v in more.items())
    return {
        "made by": AGAIN,
        "torch": torch.__version__,
        "optimizer": f"torch.optim.{kind}(params, lr={values[LEARNING_RATE]!r}{said})",
        "values": values,
        "sequence": digest(),
        "parameters": {
            t: {leaf: x.ravel().tolist() for leaf, x in tree.items()}
            for t, tree in walk(kind, values[LEARNING_RATE], more).items()
        },
    }


def walk(kind: str, learning_rate: float, more: dict[str, Any]) -> Walk:
    """The parameters after the steps that are kept."""
    start, grads = sequence(np.float64)
    # Muon takes matrices only. Torch keeps them as out × in, our leaves are in × out.
    # Adafactor reads a kernel as a stack of matrices, our program flattens it to one.
    axes = {"Muon": (2,), "Adafactor": (0, 1, 2)}.get(kind, range(5))
    leaves = [name for name, x in start.items() if x.ndim in axes]
    turned = (lambda x: x.T) if kind == "Muon" else (lambda x: x)
    with in_float64():
        params = {name: torch.tensor(turned(start[name])) for name in leaves}
        optimizer = getattr(torch.optim, kind)(list(params.values()), lr=learning_rate, **more)
        walked = {}
        for t, g in enumerate(grads, 1):
            for name, w in params.items():
                w.grad = torch.tensor(turned(g[name]))
            for group in optimizer.param_groups:
                group["lr"] = float(SHAPES[t - 1] * learning_rate)
            optimizer.step()
            if t in KEPT:
                walked[t] = {name: turned(w.numpy().copy()) for name, w in params.items()}
    return walked


def text(golden: dict[str, Any]) -> str:
    """JSON with one line a leaf; a float prints as the shortest decimal that reads back to its
    bits.
    """
    steps = [
        f'  "{t}": {{\n'
        + ",\n".join(f'   "{leaf}": {json.dumps(x)}' for leaf, x in tree.items())
        + "\n  }"
        for t, tree in golden["parameters"].items()
    ]
    lines = [f' "{k}": {json.dumps(v)}' for k, v in golden.items() if k != "parameters"]
    lines.append(' "parameters": {\n' + ",\n".join(steps) + "\n }")
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or TORCH:
        (FOLDER / f"{name}.json").write_text(text(make(name)))
        print(name)
