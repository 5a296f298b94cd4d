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


ORDER = (
    {"compiled", "environment", "interrupt", "files", "plugins"},
    {"config"},
    {"scoring"},
    {"search"},
    {"record"},
    {"workers"},
    {"tuning"},
    {"comparison"},
    {"running"},
    {"validation"},
    {"reporting"},
    {"given"},
    {"api"},
    {"commands"},
    {"__main__"},
)
"""The rooms of `evolve`, from the ground up: each knows those below it, and itself."""


def modules(path: Path) -> set[str]:
    """Full names of all modules that a file imports, wherever in it, but for those that only a
    type checker reads.
    """
    tree = ast.parse(path.read_text(), str(path))
    seen = {
        part
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for part in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if node in seen:
            continue
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "evolve").parts[0].removesuffix(".py")


def test_every_room_of_evolve_stands_in_the_order():
    rooms = {room_of(p) for p in files("evolve")} - {"__init__"}
    assert rooms == set().union(*ORDER)


def test_each_room_of_evolve_knows_only_what_stands_below_it():
    rank = {room: number for number, rooms in enumerate(ORDER) for room in rooms}
    wrong = []
    for path in files("evolve"):
        here = room_of(path)
        for module in modules(path) if here != "__init__" else ():
            parts = module.split(".")
            if parts[0] == "evolve" and len(parts) > 1 and parts[1] in rank and parts[1] != here:
                below = rank[parts[1]] < rank[here] or (rank[parts[1]] == rank[here] == 0)
                wrong += [] if below else [f"{path.relative_to(ROOT)} imports {module}"]
    assert not wrong


def test_only_what_people_see_knows_terminals():
    for package in OURS:
        for path in files(package):
            if package != "evolve" or room_of(path) not in ("commands", "reporting"):
                assert not imports(path) & {"click", "rich"}, path


def test_all_that_is_printed_goes_through_the_gate():
    gate, said = ROOT / "evolve" / "reporting" / "printing.py", []
    for path in files("evolve"):
        tree = ast.parse(path.read_text())
        pages = [n for n in tree.body if isinstance(n, ast.If)]  # what a module prints of itself
        tree.body = [n for n in tree.body if n not in pages]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and path != gate:
                call = ast.unparse(node.func)
                said += [f"{path}: {call}"] if call in PRINTING else []
    # Lines of our own, and one that is made plain there.
    before = ("api.py", "compiled.py", "environment.py")
    assert sorted(said) == [f"{ROOT / 'evolve' / name}: print" for name in before]


PRINTING = ("print", "click.echo", "click.secho", "Console", "sys.stdout.write", "sys.stderr.write")


def test_ray_is_known_to_few_files_that_are_imported_where_it_is_asked_for():
    knowing = [str(p.relative_to(ROOT)) for o in OURS for p in files(o) if "ray" in imports(p)]
    assert knowing == [
        "evolve/tuning/asha.py",
        "evolve/workers/ray_actors.py",
        "evolve/workers/ray_session.py",
    ]
    code = "import sys, evolve.__main__, evolve.api; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "False\n"


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


SLOW_TO_IMPORT = {"ray", "sklearn", "pandas", "matplotlib", "scipy.stats"}
"""Libraries for which no command waits that does not need them: half a second and more each."""


@pytest.mark.parametrize("package", OURS)
def test_importing_a_package_imports_no_other_that_it_may_not(package):
    door = "evolve.api" if package == "evolve" else package
    code = f"import sys, {door}; print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout
    assert set(said.split()) & set(OURS) <= MAY[package] | {package}
    assert not SLOW_TO_IMPORT & set(said.split())


def test_the_command_line_pins_the_environment_before_jax_is_imported():
    """An import hook that stops at jax says what the environment was at that moment."""
    code = """
import os, sys
class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "jax":
            print(*map(os.environ.get, ("NPROC", "PJRT_NPROC", "XLA_FLAGS")))
            sys.meta_path.remove(self)
sys.meta_path.insert(0, Look())
import evolve.__main__
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
