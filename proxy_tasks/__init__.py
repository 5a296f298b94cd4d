"""What an optimizer is tried on. Read `task.py` first."""

import importlib
import pkgutil

from proxy_tasks.registry import TASKS, make_task
from proxy_tasks.task import Task

# Every module here is imported, so that adding a task is adding one class in one file.
for _module in pkgutil.walk_packages(__path__, f"{__name__}."):
    if not _module.name.endswith(".__main__"):
        importlib.import_module(_module.name)

__all__ = ["TASKS", "Task", "make_task"]
