"""Measures every known program against its second opinions, and writes baselines/agreement.json.

make agreement              all of them; some minutes
make agreement ARGS=adam    only these, the others stay as they are
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from kit.compiling import cheap_jit
from opinions.harness import (
    OPINIONS,
    SHAPES,
    STEPS,
    Opinion,
    Tree,
    extras,
    furthest,
    gnvp,
    hvp,
    sequence,
    stack,
    unstacked,
    with_points,
)

import baselines
from baselines.catalogue import AGREEMENT, program_key
from primitives import Program, meaning
from primitives.canonical.graph import graph
from primitives.machine import step as machine
from primitives.machine.layout import Layout

for _path in sorted(Path(__file__).parent.glob("*.py")):
    if _path.stem not in ("__init__", "measure"):
        importlib.import_module(f"opinions.{_path.stem}")


def opinions_on(name: str) -> list[Opinion]:
    return [opinion for opinion in OPINIONS.values() if opinion.name == name]


def by_meaning(program: Program, dtype: Any) -> list[Tree]:
    """The meaning as it stands, step by step in numpy."""
    w, grads = sequence(dtype)
    offered = extras(dtype)
    states = meaning.init(program, w, np)
    walked = []
    with np.errstate(all="ignore"):
        for t, (g, shape) in enumerate(zip(grads, SHAPES, strict=True), 1):
            feed = jax.tree.map(lambda x, t=t: x[t - 1], offered) | {"hvp": hvp, "gnvp": gnvp}
            w, states = meaning.step(program, w, g, states, shape, t, np, feed)
            points = meaning.evaluation(program, w, states, np) if program.evaluate_at else {}
            walked.append(with_points(w, points))
    return walked


def by_compiler(program: Program, dtype: Any) -> list[Tree]:
    """The meaning, traced and compiled."""
    w, grads = stack(dtype)

    def step(carry, now):
        g, shape, t, more = now
        feed = more | {"hvp": hvp, "gnvp": gnvp}
        w, states = meaning.step(program, carry[0], g, carry[1], shape, t, feed=feed)
        return (w, states), with_points(
            w, meaning.evaluation(program, w, states) if program.evaluate_at else {}
        )

    steps = jnp.arange(1, STEPS + 1, dtype=dtype)
    start = (w, meaning.init(program, w))
    along = (grads, jnp.asarray(SHAPES, dtype), steps, jax.tree.map(jnp.asarray, extras(dtype)))
    return unstacked(cheap_jit(lambda: jax.lax.scan(step, start, along)[1])())


def by_machine(program: Program, dtype: Any) -> list[Tree]:
    w, grads = stack(dtype)
    layout = Layout.of(w)
    code = machine.load(graph(program, dtype), dtype)
    given = (
        code,
        layout.flatten(w),
        jax.vmap(layout.flatten)(grads),
        jnp.asarray(SHAPES, dtype),
        jnp.asarray(extras(dtype)["loss"]),
    )
    asked = (layout, np.dtype(dtype), code.opcodes)
    if asked not in COMPILED:
        COMPILED[asked] = jax.jit(hundred_steps(layout, dtype)).lower(*given).compile()
    walked, evaluated = (unstacked(jax.vmap(layout.unflatten)(x)) for x in COMPILED[asked](*given))
    return [
        with_points(w, x if program.evaluate_at else {})
        for w, x in zip(walked, evaluated, strict=True)
    ]


COMPILED: dict[Any, Any] = {}
"""Machines by what they are for. What `jax.jit` keeps is forgotten when the suite needs room, and a
machine takes longer to compile than a hundred programs take to run."""


def hundred_steps(layout: Layout, dtype: Any) -> Any:
    """The machine in a loop, for any program."""

    def run(code, w, grads, shapes, losses):
        def step(bank, now):
            g, shape, t, loss = now
            bank = machine.step(code, layout, bank, g, shape, t, loss)
            return bank, (bank.w, machine.point(code, bank))

        steps = jnp.arange(1, STEPS + 1, dtype=dtype)
        return jax.lax.scan(step, machine.start(code, layout, w), (grads, shapes, steps, losses))[1]

    return run


def readings(program: Program, dtype: Any) -> list[Any]:
    """Those that can run a program; in float64 the meaning itself, which need not be compiled."""
    first = by_meaning if dtype is np.float64 else by_compiler
    return [first] if graph(program).unflat() else [first, by_machine]


def errors(program: Program, dtype: Any) -> dict[str, float]:
    """By opinion, the largest error of all readings."""
    with jax.enable_x64(dtype is np.float64):
        walks = [reading(program, dtype) for reading in readings(program, dtype)]
        return {
            opinion.by: max(furthest(walk, said) for walk in walks)
            for opinion in opinions_on(program.name)
            for said in [opinion.walk(program, dtype)]
        }


def measured(name: str) -> dict[str, Any]:
    """The entry of one program."""
    program = baselines.get(name)
    single, double = errors(program, np.float32), errors(program, np.float64)
    found = [
        {
            "by": o.by,
            "float32": float(f"{single[o.by]:.2g}"),
            "float64": float(f"{double[o.by]:.2g}"),
            "why": o.why,
        }
        for o in opinions_on(name)
    ]
    return {"key": program_key(program), "opinions": found} | differs(program)


def differs(program: Program) -> dict[str, Any]:
    """How far a convention leads from the one it departs from: adan_optax from adan, with the same
    values.
    """
    plain, _, library = program.name.rpartition("_")
    if (
        library not in ("optax", "torch", "scheduled", "ascending")
        or plain not in baselines.names()
    ):
        return {}
    other = baselines.get(plain)
    shared = {k: v for k, v in other.values.items() if k in program.values}
    walks = [by_meaning(p, np.float64) for p in (program.with_values(shared), other)]
    return {"differs": {"from": plain, "by": float(f"{furthest(*walks):.2g}")}}


def main(names: list[str]) -> None:
    stored = json.loads(AGREEMENT.read_text()) if AGREEMENT.is_file() else {}
    for name in names or baselines.names():
        stored[name] = measured(name)
        print(
            name,
            ", ".join(
                f"{o['by']}: {o['float32']:.1e} {o['float64']:.1e}"
                for o in stored[name]["opinions"]
            ),
        )
    kept = {name: stored[name] for name in baselines.names() if name in stored}
    AGREEMENT.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
