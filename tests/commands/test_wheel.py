"""The wheel holds what a run needs and nothing else, and works where nothing of the checkout is in
reach.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("primitives", "baselines", "proxy_tasks", "evolve")
SHIPPED = {".py", ".typed", ".json", ".yaml", ".jinja", ".md", ".sh", ".gz", ".txt"}


def call(*command: str | Path, cwd: Path | None = None) -> str:
    """Standard output of a command, away from any environment that is active here."""
    unwanted = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    env = {name: value for name, value in os.environ.items() if name not in unwanted}
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, cwd=cwd, env=env, timeout=300
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    call(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-qq",
        "--disable-pip-version-check",
        "--no-deps",
        "-w",
        folder,
        ROOT,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel, and with the dependencies of the environment that runs the
    tests.

    A line of a .pth file puts a folder on the path, behind the environment's own, and does not read
    the .pth files in that folder. So numpy and jax come from there, and the editable install there,
    which is such a .pth file, has no effect: our packages can come from the wheel only.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    call(*pip, "install", "-qq", "--no-deps", "--no-index", wheel)
    site = Path(
        call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    )
    others = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    (site / "dependencies.pth").write_text("".join(f"{path}\n" for path in others))
    return python


def test_the_wheel_holds_the_packages_the_presets_the_references_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    facts = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in SHIPPED and path.parent.name not in ("trials", "check")
    }
    configs = [path for path in (ROOT / "configs").rglob("*") if path.suffix in SHIPPED]
    presets = {f"evolve/{path.relative_to(ROOT).as_posix()}" for path in configs}
    assert names - facts == expected | presets
    assert {"evolve/configs/quickstart.yaml", "evolve/configs/suites/quickstart.yaml"} <= presets
    assert {"baselines/programs/lion.py", "primitives/export/templates/optax.py.jinja"} <= expected
    assert any(name.startswith("evolve/references/") for name in expected)


def test_the_wheel_carries_the_licence(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/licenses/LICENSE")]
    assert archive.read(name) == (ROOT / "LICENSE").read_bytes()
    assert b"Apache License" in archive.read(name)


def test_our_packages_come_from_the_wheel_and_not_from_the_checkout(installed, tmp_path):
    lines = call(
        installed,
        "-c",
        f"import {','.join(PACKAGES)}\nfor m in {','.join(PACKAGES)}: print(m.__file__)",
        cwd=tmp_path,
    )
    environment = installed.parent.parent
    for name, line in zip(PACKAGES, lines.splitlines(), strict=True):
        assert Path(line).is_relative_to(environment), f"{name} comes from {line}"


def test_a_run_from_the_wheel_in_another_folder_ends_with_an_optimizer(installed, tmp_path):
    changes = ("--set", "budget.candidates=60", "--set", "search.lag=4", "--workers", "inline")
    output = call(installed.parent / "evolve", "run", "smoke", *changes, cwd=tmp_path)
    run = tmp_path / output.splitlines()[-1]
    assert run.is_dir(), output
    assert (run / "journal.sqlite").is_file()
    assert (run / "best" / "optax.py").is_file()
