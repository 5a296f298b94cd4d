"""Tasks that a test of every task looks at.

What takes seconds a task is tried on one of each domain, and on all where TASKS=all says so: `make
tasks`.
"""

from __future__ import annotations

import os

import pytest

from proxy_tasks import TASKS
from proxy_tasks.catalogue import domain

ONE_A_DOMAIN = (
    "autoencoder", "cart_pole", "diabetes_regression", "digits_conv", "matrix_factorisation",
    "noisy_quadratic", "oscillator", "topics_recurrent", "zipf_softmax",
)  # fmt: skip
assert {domain(TASKS[kind]) for kind in ONE_A_DOMAIN} == {domain(task) for task in TASKS.values()}

every_task = pytest.mark.parametrize("kind", sorted(TASKS))
most_tasks = pytest.mark.parametrize(
    "kind", sorted(TASKS) if os.environ.get("TASKS") == "all" else ONE_A_DOMAIN
)
