"""The house: imports run one way, every room has a sign at its door."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("primitives", "baselines", "proxy_tasks", "evolve")
MAY = {"primitives": set(), "proxy_tasks": set(), "baselines": {"primitives"}, "evolve": set(OURS)}


def imports(path: Path) -> set[str]:
    """First names of all modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: an import says where from in full"
            found.add(node.module.split(".")[0])
    return found


def files(package: str) -> list[Path]:
    return [p for p in sorted((ROOT / package).rglob("*.py")) if "programs" not in p.parts]


@pytest.mark.parametrize("package", OURS)
def test_imports_run_one_way(package):
    for path in files(package):
        assert imports(path) & set(OURS) <= MAY[package] | {package}, path


def test_only_what_people_see_knows_terminals():
    for package in OURS:
        for path in files(package):
            if path not in (ROOT / "evolve" / "cli.py", ROOT / "evolve" / "report.py"):
                assert not imports(path) & {"click", "rich"}, path


def test_ray_is_known_to_two_files_that_are_imported_where_it_is_asked_for():
    """That they are, the last test of importing says: `ray` is not there after `import evolve`."""
    knowing = [p.name for package in OURS for p in files(package) if "ray" in imports(p)]
    assert knowing == ["cluster.py", "tune.py"]
    code = "import sys, evolve.commands.main, evolve.running.life, evolve.workers.executor; print('ray' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
        ).stdout
        == "False\n"
    )


def test_nothing_reads_pickles_or_evaluates_text():
    for package in OURS:
        for path in files(package):
            calls = {
                n.func.id
                for n in ast.walk(ast.parse(path.read_text()))
                if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
            }
            assert not calls & {"eval", "exec"}, path
            assert not imports(path) & {"pickle", "cloudpickle", "marshal", "shelve"}, path


@pytest.mark.parametrize("package", OURS)
def test_importing_a_package_imports_no_other_that_it_may_not(package):
    code = f"import sys, {package}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout
    assert set(said.split()) & set(OURS) <= MAY[package] | {package}
    assert "ray" not in said.split()


def test_the_command_line_pins_the_environment_before_jax_is_imported():
    """An import hook that stops at jax says what the environment was at that moment."""
    code = """
import os, sys
class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "jax":
            print(os.environ.get("NPROC"), os.environ.get("PJRT_NPROC"), os.environ.get("XLA_FLAGS"))
            sys.meta_path.remove(self)
sys.meta_path.insert(0, Look())
import evolve.commands.main
import jax
"""
    env = {
        k: v
        for k, v in os.environ.items()
        if k not in ("NPROC", "PJRT_NPROC", "OMP_NUM_THREADS", "XLA_FLAGS")
    }
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=ROOT, check=True
    )
    assert said.stdout.startswith("1 1 --xla_")


@pytest.mark.parametrize(
    "folder", ["baselines", "configs", "evolve", "primitives", "proxy_tasks", "tests", "runs"]
)
def test_every_folder_says_what_it_is_for(folder):
    text = (ROOT / folder / "README.md").read_text()
    assert 3 <= len(text.splitlines()) <= 60
