"""Settings of the suite: the environment that scores are made in, the CPU, strict arithmetic, and
arrays of the stated shapes.

jax reads the environment when it is imported, so `pin` comes first: scores in this process then
have the bits of those in workers. A user's own JAX_PLATFORMS and XLA_FLAGS stay.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from evolve.environment import pin, pinned

pin()

from kit.checking import check_arrays  # noqa: E402

check_arrays()

import hypothesis  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402
from kit.compiling import compile_small_quickly  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
compile_small_quickly()

hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("suite")


LONGEST = (
    "test_promises.py", "test_pins.py", "test_export.py", "test_baselines.py", "test_search.py",
    "test_agreement.py", "test_trial.py", "test_handwritten.py", "test_racing.py",
    "test_tune.py", "test_cli.py",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Put the longest files first: two processes share the files, and neither should wait for one
    at the end.
    """
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory, worker_id):
    """Compiled loops are shared by the processes of one run of the suite, and leave nothing in the
    user's cache.
    """
    folder = tmp_path_factory.getbasetemp()
    folder = (folder if worker_id == "master" else folder.parent) / "compiled"
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    folder = pinned()["JAX_COMPILATION_CACHE_DIR"]  # as workers name it
    jax.config.update("jax_compilation_cache_dir", folder)
    # Most is compiled once, and not worth a file.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


ROOM = 500  # MiB that a process of the suite may hold before it forgets what it has compiled
STEP = 250  # MiB more than were left, before it does so again
kept = 0  # MiB that were left


def pytest_runtest_teardown():
    """Release compiled functions once they fill the room.

    jax keeps all of them, and this suite compiles thousands: 4 GiB in one process at its end.
    """
    global kept
    if resident() > max(ROOM, kept + STEP):
        jax.clear_caches()
        ctypes.CDLL(None).malloc_trim(0)  # else the allocator keeps most of it
        kept = resident()


def resident() -> int:
    """Return the MiB of memory that this process holds; 0 where only Linux could say so."""
    statm = Path("/proc/self/statm")
    pages = int(statm.read_text().split()[1]) if statm.exists() else 0
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20
