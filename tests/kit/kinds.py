"""Tasks that a test of every task looks at.

What takes seconds a task is tried on some that are unlike; on all where TASKS=all says so, as
in `make tasks`.
"""

from __future__ import annotations

import os

import pytest

from proxy_tasks import TASKS

UNLIKE = (
    "cart_pole", "diabetes_regression", "digits_dense", "matrix_factorisation", "noisy_quadratic",
    "oscillator",
)  # fmt: skip

every_task = pytest.mark.parametrize("kind", sorted(TASKS))
most_tasks = pytest.mark.parametrize(
    "kind", sorted(TASKS) if os.environ.get("TASKS") == "all" else UNLIKE
)
