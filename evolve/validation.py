"""Checks before anything runs: programs, configurations, and what plug-ins bring.

A plug-in's primitives, tasks, mutations and optimizers are held against what the rest of the system
relies on. Nothing here trains.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

import baselines
from evolve import plugins as guests
from evolve.config.errors import ConfigError
from evolve.config.presets import is_suite, preset_names, read_config
from evolve.config.validation import validated
from evolve.plugins import Plugin, PluginError
from evolve.running.facts import Plan
from evolve.scoring.optax_optimizer import OPTIMIZERS, OptaxOptimizer
from evolve.scoring.suite import Suite, suite_of
from evolve.search.mutation import MUTATIONS, Mutation, Space
from primitives import PRIMITIVES, Program, ProgramError
from primitives.canonical.question import question
from primitives.conformance import faults as faults_of_primitive
from primitives.files import read_file
from proxy_tasks import TASKS, make_task
from proxy_tasks.contract import faults as faults_of_task

MAX_BYTES = 2**20  # of a file that is looked into
CHILDREN = 20  # that a mutation of a user's is asked for


@dataclass(frozen=True)
class Checked:
    """Whether a file can be used.

    `error` says why not, in one sentence; `question` is asked where it can be used, and may not do
    what its author means.
    """

    file: str
    error: str = ""
    question: str = ""

    @property
    def valid(self) -> bool:
        return not self.error

    def facts(self) -> dict[str, object]:
        """Return plain data, which JSON can hold."""
        return {
            "file": self.file,
            "valid": self.valid,
            "error": self.error,
            "question": self.question,
        }

    def __str__(self) -> str:
        fine = f"{self.file}: fine"
        return f"{fine}. {self.question}".removesuffix(". ") if self.valid else self.error


def check_file(name: str) -> Checked:
    """Check a program, or a configuration, without executing anything in it."""
    try:
        if name.endswith((".yaml", ".yml")) or name in preset_names():
            if is_suite(name):
                suite_of(name)
                return Checked(name)
            where, given = read_config(name)
            for plugin in given.get("plugins") or ():
                _refuse_to_execute(str(plugin), where)
            Plan.of(validated(given, where))
            return Checked(name)
        return Checked(name, question=question(program_in(name)))
    except (ProgramError, ConfigError) as fault:
        return Checked(name, str(fault))


def program_in(name_or_file: str) -> Program:
    """Return a known program or that of a file; a file of another kind is called what it is.

    Raises `ProgramError`.
    """
    path = Path(name_or_file)
    if path.suffix in (".yaml", ".yml"):
        raise ProgramError(f"{name_or_file}: is YAML; an optimizer is a known name or a .py file")
    if path.is_dir() and name_or_file not in baselines.names():
        raise ProgramError(
            f"{name_or_file}: is a folder; an optimizer is a known name or a .py file"
        )
    try:
        return baselines.find(name_or_file)
    except ProgramError:
        with contextlib.suppress(OSError):
            if b"import optax" in read_file(path, MAX_BYTES):
                raise ProgramError(
                    f"{name_or_file}: is Python that uses Optax, as `evolve export` writes it, "
                    "and no program",
                    hint="Give the program that was exported; an optimizer of your own that is "
                    "written with Optax comes with --plugin.",
                ) from None
        raise


def _refuse_to_execute(plugin: str, where: str) -> None:
    """Raise `ConfigError` for a config with a plug-in that this process has not loaded."""
    if plugin not in {loaded.name for loaded in guests.loaded()}:
        raise ConfigError(
            f"{where}: names the plug-in {plugin}, which would be executed; say that it may be: "
            f"evolve validate --plugin {plugin} {where}"
        )


def check_plugin(plugin: Plugin, suite: Suite | None = None) -> None:
    """Hold what a loaded plug-in brings against what is relied on.

    suite: check only the tasks that it has; None for all that the plug-in brings.
    Raises `PluginError` for the first fault: what is wrong, where, what to do.
    """
    for fault in _faults(plugin, suite):
        raise PluginError(f"{plugin.name}: {fault}")


def _faults(plugin: Plugin, suite: Suite | None) -> Iterator[str]:
    for primitive in PRIMITIVES.values():
        if primitive.apply.__module__ == plugin.module:
            yield from faults_of_primitive(primitive)
    for mutation in MUTATIONS.values():
        if mutation.make.__module__ == plugin.module:
            yield from _faults_of_mutation(mutation)
    for optimizer in OPTIMIZERS.values():
        if optimizer.factory.__module__ == plugin.module:
            yield from _faults_of_optimizer(optimizer)

    for kind, task in TASKS.items():
        if task.__module__ != plugin.module:
            continue
        if suite is None:
            try:
                made = make_task(kind)
            except (TypeError, ValueError) as fault:
                yield f"{kind}: cannot be made with its defaults: {fault}"
                continue
            yield from faults_of_task(made)
    for made in suite.tasks if suite is not None else ():
        if type(made).__module__ == plugin.module:
            yield from faults_of_task(made)


def _faults_of_mutation(mutation: Mutation) -> Iterator[str]:
    """Ask for some children: each must be a program, or none, and the same again."""
    space = Space(tuple(sorted({p.family for p in PRIMITIVES.values()})))
    parent, children = baselines.get("adamw"), 0
    for number in range(CHILDREN):
        draws = [np.random.default_rng(number) for _ in range(2)]
        try:
            one, two = (mutation.child(parent, space, rng) for rng in draws)
        except ConfigError as fault:
            yield str(fault)
            return
        except Exception as fault:  # of the user's own code
            yield f"mutation {mutation.name}: fails on adamw: {type(fault).__name__}: {fault}"
            return
        if one != two:
            yield (
                f"mutation {mutation.name}: gives two children for one generator; draw with the "
                "generator that it is given, and with nothing else"
            )
            return
        children += one is not None
    if not children:
        yield (
            f"mutation {mutation.name}: gives no child of adamw in {CHILDREN} tries; return a "
            "legal Program (a call of an unknown primitive, for instance, is none)"
        )


def _faults_of_optimizer(optimizer: OptaxOptimizer) -> Iterator[str]:
    """Take a step with its defaults, without computing it."""
    params = {"w": jax.ShapeDtypeStruct((3, 4), np.float32)}
    try:
        optimizer.try_step(params, traced=False)
    except Exception as fault:  # of the user's own code
        yield f"optimizer {optimizer.name}: cannot take a step: {type(fault).__name__}: {fault}"
