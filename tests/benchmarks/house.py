"""How the house is built, in figures: `python tests/benchmarks/house.py [CHECKOUT]`.

For each package: modules, lines of the median and of the largest, the share of functions whose
arguments and result are all annotated, and of public functions, methods and classes that have a
docstring. Programs, which are text of another language, are left out.
"""

from __future__ import annotations

import ast
import statistics
import sys
from pathlib import Path

PACKAGES = ("primitives", "proxy_tasks", "baselines", "evolve", "tests")


def modules(package: Path) -> list[Path]:
    left_out = {"programs", "prologues"}
    return [p for p in sorted(package.rglob("*.py")) if not left_out & set(p.parts)]


def is_annotated(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    a = function.args
    given = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
    bare = [x for x in given if x.annotation is None and x.arg not in ("self", "cls", "xp")]
    return not bare and (function.returns is not None or function.name == "__init__")


def figures(package: Path) -> tuple[str, ...]:
    """Modules, median, largest, share annotated, share documented."""
    lengths, annotated, documented = [], [], []
    for path in modules(package):
        text = path.read_text()
        lengths.append((len(text.splitlines()), path.name))
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                annotated.append(is_annotated(node))
        scopes = [tree, *(n for n in tree.body if isinstance(n, ast.ClassDef))]
        for scope in scopes:
            for node in scope.body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_":
                    documented.append(ast.get_docstring(node) is not None)
    largest, name = max(lengths)
    return (
        str(len(lengths)),
        f"{statistics.median(length for length, _ in lengths):.0f}",
        f"{largest} ({name})",
        f"{sum(annotated) / max(len(annotated), 1):.0%}",
        f"{sum(documented) / max(len(documented), 1):.0%}",
    )


def main() -> None:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2])
    print("| package | modules | median | largest | annotated | documented |")
    print("|---|---|---|---|---|---|")
    for package in PACKAGES:
        print(f"| {package} | {' | '.join(figures(root / package))} |")


if __name__ == "__main__":
    main()
