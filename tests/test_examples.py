"""The examples in docstrings show what they say, in every module that has one."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
MODULES = [
    ".".join(path.relative_to(HOUSE).with_suffix("").parts).removesuffix(".__init__")
    for package in ("primitives", "baselines", "proxy_tasks", "evolve")
    for path in sorted(HOUSE.glob(f"{package}/**/*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_show_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )
    assert tried
    assert not failed
