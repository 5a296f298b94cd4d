"""What a worker is told before its first job: all that it does not find in its own installation."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evolve.scoring.suite import Suite

# Nothing here imports jax before it is called: a worker reads its setup before jax is imported.


@dataclass(frozen=True)
class Setup:
    """Plain data, which travels as one line of JSON: a worker may be on another machine."""

    tasks: list[dict[str, Any]]  # `TaskSettings`, every field stated
    reference: str  # what scores are relative to: the name of a known optimizer
    references: dict[str, Any]  # tuned values of known optimizers, by fingerprint of the task
    folder: str  # where the command was run: paths in tasks count from there
    workers: int  # how many share the machine
    memory: int = 0  # bytes that one may allocate; filled in on the machine
    order: list[int] | None = None  # in which a worker compiles the tasks; None for theirs
    plugins: list[dict[str, Any]] = field(default_factory=list)  # `evolve.plugins.to_send`

    @classmethod
    def of(cls, suite: Suite, workers: int) -> Setup:
        """Describe what scores on a suite here, so that workers elsewhere give the same."""
        from evolve import plugins

        return cls(
            tasks=[task.model_dump() for task in suite.settings],
            reference=suite.reference,
            references=suite.references,
            folder=os.getcwd(),
            workers=workers,
            plugins=plugins.to_send(),
        )

    def line(self) -> bytes:
        """Write it as a worker reads it."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Setup:
        """Read the line that a driver wrote."""
        return cls(**json.loads(line))

    def suite(self) -> Suite:
        """Build the suite that it describes, in a worker.

        Loads the plug-ins first, and takes the tuned values of whoever asks instead of those that
        lie on this machine. Raises `ConfigError`, and `PluginError` for a plug-in that fails here.
        """
        from evolve.config.errors import ConfigError
        from evolve.config.schema import TaskSettings
        from evolve.scoring.suite import make_suite

        if self.plugins:
            from evolve.plugins import load_sources

            load_sources(self.plugins)
        tasks = [TaskSettings(**task) for task in self.tasks]
        suite = make_suite("run", tasks, self.reference, self.references)
        for task in suite:
            if task.fingerprint not in self.references:
                raise ConfigError(
                    f"{task.kind}: its data on this machine (under {os.getcwd()}, or the libraries "
                    f"that bring them) are not those of the run, so its fingerprint is "
                    f"{task.fingerprint} here; put the same files in the same places"
                )
        return suite


def shared_order(worker: int, workers: int, tasks: int) -> list[int]:
    """Return the order in which one of some workers begins with tasks, so that they share the work.

    What one has compiled the others find in the cache: two each go through the same stretch of the
    tasks from its two ends until they meet, and then on through the others'.

    >>> shared_order(0, 2, 5), shared_order(1, 2, 5)
    ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0])
    """
    stretches = (workers + 1) // 2
    at, to = ((worker // 2 + n) * tasks // stretches for n in (0, 1))
    numbers = range(to - 1, to - 1 - tasks, -1) if worker % 2 else range(at, at + tasks)
    return [number % tasks for number in numbers]
