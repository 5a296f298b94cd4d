"""What can be wrong with workers, where no program is at fault."""

from __future__ import annotations


class WorkerFailure(RuntimeError):
    """No worker can be started, or one differs from the others: the machine is at fault."""


class Outage(WorkerFailure):
    """On this machine no worker starts any more; another machine may do."""
