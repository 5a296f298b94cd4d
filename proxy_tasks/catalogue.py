"""The catalogue: a row for every task, read from its class.

`python -m proxy_tasks` prints the page that stands in TASKS.md.
"""

from __future__ import annotations

import dataclasses
import inspect
from itertools import groupby

import proxy_tasks
from proxy_tasks.task import Task

HEAD = """# The tasks

What `python -m proxy_tasks` prints. Sizes are fields, with the defaults of the `search` size;
every task has `schedule` beside them. What a task is worth to a search: `evolve list tasks`.
"""


def domain(task: type[Task]) -> str:
    """Return the folder of a task, which is its domain; empty for one of a user's own."""
    package, _, rest = task.__module__.partition(".")
    return rest.partition(".")[0] if package == proxy_tasks.__name__ else ""


def fields(task: type[Task]) -> str:
    """Write the fields of a task with their defaults, but for the schedule."""
    found = [f for f in dataclasses.fields(task) if f.name != "schedule"]
    return ", ".join(f"{f.name}={f.default}" for f in found)


def page() -> str:
    """Write the page: a table for each domain."""
    tasks = [cls for cls in proxy_tasks.TASKS.values() if domain(cls)]
    lines = [HEAD]
    for name, group in groupby(sorted(tasks, key=lambda t: (domain(t), t.kind)), domain):
        about = inspect.getdoc(getattr(proxy_tasks, name)) or ""
        lines += [f"## {name}", "", about, ""]
        lines += [
            "| kind | measures | cannot | fields | data and licence |",
            "|---|---|---|---|---|",
        ]
        for t in group:
            lines.append(f"| `{t.kind}` | {t.measures} | {t.cannot} | {fields(t)} | {t.source} |")
        lines.append("")
    return "\n".join(lines)
