"""optax's own tests, taken from the installed wheel, judge our exported optimizers: python
tests/export/optax_own_tests.py

Their tables of optimizers are constants that decorators read when the classes are made, and
factories are looked up by name in `alias` and `contrib`. So the test module is read as a tree, its
tables are replaced just before the class, and it is run with ours in the places of `alias` and
`contrib`. What a test skips is counted and printed: a class that skips everything is green as well.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import sys
import time
import unittest
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace

os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).parents[2]))

import optax

import baselines
from primitives.export.optax import to_optax_source

TABLES = ("_OPTIMIZERS_UNDER_TEST", "_MAIN_OPTIMIZERS_UNDER_TEST", "_ALL_OPTIMIZERS_UNDER_TEST")
ALIAS = {  # optax's own names where its tests give such an optimizer what it asks for
    "pride_adam": {"learning_rate": 0.1},
    # a sign stalls at a distance of the learning rate: optax leaves signs out of the valley, or
    # adds decay
    "pride_lion": {"learning_rate": optax.cosine_decay_schedule(1e-2, 10_000)},
    "pride_adafactor": {"learning_rate": optax.cosine_decay_schedule(1e-2, 10_000)},
    "polyak_sgd": {"learning_rate": 1.0},
}
CONTRIB = {
    "pride_muon": {"learning_rate": 1e-2, "others_rate": 1.0, "weight_decay": 0.0},
    "pride_adafactor": {"learning_rate": optax.cosine_decay_schedule(1e-2, 30_000)},
    "schedule_free_adamw": {
        "learning_rate": optax.linear_schedule(0.0, 1e-2, 5000),
        "weight_decay": 0.0,
    },
    "momo": {"learning_rate": 0.1},
}


def left_out(test: unittest.TestCase) -> str:
    """Why a test does not apply; empty where it does."""
    if "test_explicit_dtype" in test.id():
        return "asks for mu_dtype; ours is state_dtype, of all states like parameters"
    if "inject_hyperparams" in test.id() and "pride_lion" in str(test):
        return (
            "an injected schedule is a number for the optimizer inside, so its state has another "
            "structure"
        )
    return ""


@functools.cache
def exported(name: str) -> ModuleType:
    """The module that a program is exported to."""
    program = baselines.get(name.removeprefix("pride_"))
    module = ModuleType(program.name)
    exec(
        compile(to_optax_source(program), program.name, "exec", dont_inherit=True), module.__dict__
    )
    return module


def factory(name: str):
    """The exported optimizer; complex parameters as its error message advises."""
    make = getattr(exported(name), name.removeprefix("pride_"))

    @functools.wraps(make)
    def split(**keywords):
        return optax.with_extra_args_support(
            optax.contrib.split_real_and_imaginary(make(**keywords))
        )

    return make if name in ("polyak_sgd", "momo") else split  # it passes no loss on


def tests(path: str, wanted: str, rows: dict) -> list[unittest.TestCase]:
    """One class of a test module of optax, on our optimizers."""
    folder = importlib.util.find_spec("optax").submodule_search_locations[0]
    tree = ast.parse((Path(folder) / path).read_text("utf-8"))
    body = []
    for node in tree.body:
        imported = getattr(node, "module", "") or "".join(
            a.name for a in getattr(node, "names", []) if a
        )
        if isinstance(node, ast.Import | ast.ImportFrom) and imported.startswith(
            ("scipy", "sklearn")
        ):
            continue  # of the class on L-BFGS
        if isinstance(node, ast.If) or (isinstance(node, ast.ClassDef) and node.name != wanted):
            continue
        if isinstance(node, ast.ClassDef):
            body += ast.parse("\n".join(f"{table} = _ours" for table in TABLES)).body
        body.append(node)
    table = [{"opt_name": name, "opt_kwargs": keywords} for name, keywords in rows.items()]
    if wanted == "ContribTest":
        table = [row | {"wrapper_name": None, "wrapper_kwargs": None} for row in table]
    module = ModuleType(f"optax_{wanted}")
    sys.modules[module.__name__] = module
    module._ours = tuple(table)
    exec(compile(ast.Module(body, []), path, "exec", dont_inherit=True), module.__dict__)
    ours = {name: factory(name) for name in rows}
    if "schedule_free_adamw" in rows:
        ours["schedule_free_eval_params"] = exported(
            "schedule_free_adamw"
        ).schedule_free_adamw_eval_params
    module.alias = module.contrib = SimpleNamespace(**ours)
    return list(unittest.defaultTestLoader.loadTestsFromTestCase(getattr(module, wanted)))


def main() -> int:
    failed = 0
    for path, wanted, rows in (
        ("_src/alias_test.py", "AliasTest", ALIAS),
        ("contrib/_common_test.py", "ContribTest", CONTRIB),
    ):
        started = time.monotonic()
        given = tests(path, wanted, rows)
        suite = unittest.TestSuite(test for test in given if not left_out(test))
        count = suite.countTestCases()
        result = unittest.TextTestRunner(stream=sys.stderr, verbosity=0).run(suite)
        wrong = {test.id(): trace for test, trace in (*result.failures, *result.errors)}
        failed += len(wrong) + (count == 0)
        seconds = time.monotonic() - started
        print(
            f"{wanted}: {count} tests, {len(wrong)} failed, {len(result.skipped)} skipped, "
            f"{seconds:.0f} s"
        )
        reasons = [reason for _, reason in result.skipped] + [x for x in map(left_out, given) if x]
        for reason, times in Counter(reasons).items():
            print(f"    {times} not run: {reason}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
