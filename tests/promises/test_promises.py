"""The short forms of the promises; `make chaos` runs the long ones."""

from __future__ import annotations

import importlib
import shutil
import sys

import pytest
from promises import PROMISES, WITHOUT_SHORT, chaos


@pytest.mark.skipif(sys.platform != "linux", reason="kills and looks for processes in /proc")
@pytest.mark.filterwarnings(
    "ignore"
)  # Ray's own: files that it leaves open, and what it will change
@pytest.mark.parametrize("name", [name for name in PROMISES if name not in WITHOUT_SHORT])
def test_promise(name, tmp_path, record_property):
    figures = importlib.import_module(f"promises.{name}").keep(tmp_path, long=False)
    record_property("figures", figures)
    print(", ".join(f"{what} {chaos.shown(value)}" for what, value in figures.items()))
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_a_broken_promise_is_said_and_fails(monkeypatch, capsys):
    broken = type(sys)("promises.resume")
    broken.keep = lambda place, long: 1 / 0
    monkeypatch.setitem(sys.modules, "promises.resume", broken)
    assert chaos.main(["1", "--short"]) == 1
    assert capsys.readouterr().out.startswith(
        "promise 1: broken (because ZeroDivisionError: division by zero; 0 s)"
    )
