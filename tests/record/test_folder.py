"""The folder of a run: what a user brought lies in it as it was, and is read without being run."""

from __future__ import annotations

import json

import pytest

from evolve.config.presets import load_config
from evolve.plugins import read
from evolve.record.folder import NotARun, RunFolder

TEXT = "raise SystemExit('nobody executes this')\n"


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    (tmp_path / "mine.py").write_text(TEXT)
    config = load_config("smoke")
    inputs = {"initial": [], "references": {}}
    return RunFolder.create(tmp_path, config, {}, inputs, [read(tmp_path / "mine.py")])


def stored(folder: RunFolder) -> dict:
    return json.loads(folder.meta_file.read_text())


def test_a_plugin_is_kept_with_the_run(folder, tmp_path):
    (tmp_path / "mine.py").unlink()
    (plugin,) = RunFolder.open(folder.path).plugins()
    assert (plugin.name, plugin.source) == ("mine.py", TEXT)


def test_a_run_without_plugins_says_nothing_of_them(tmp_path):
    folder = RunFolder.create(tmp_path, load_config("smoke"), {}, {"initial": [], "references": {}})
    assert folder.plugins() == []
    assert "plugins" not in stored(folder)
    assert not folder.plugin_folder.exists()


def test_a_plugin_that_was_changed_is_refused(folder):
    (folder.plugin_folder / "mine.py").write_text(TEXT + "1\n")
    with pytest.raises(NotARun, match=r"mine\.py: was changed after the run began"):
        folder.plugins()


def test_a_plugin_that_is_missing_or_no_text_is_refused(folder):
    (folder.plugin_folder / "mine.py").write_bytes(b"\xff")
    with pytest.raises(NotARun, match=r"mine\.py: cannot be read"):
        folder.plugins()
    (folder.plugin_folder / "mine.py").unlink()
    with pytest.raises(NotARun, match=r"mine\.py: cannot be read: No such file"):
        folder.plugins()


@pytest.mark.parametrize("name", ["../mine.py", "/etc/passwd", "", ".", "..", 3, None])
def test_what_a_stranger_calls_a_plugin_leads_nowhere_else(folder, name):
    meta = stored(folder)
    meta["plugins"][0]["name"] = name
    folder.meta_file.write_text(json.dumps(meta))
    with pytest.raises(NotARun, match=r"meta\.json: is damaged"):
        folder.plugins()


@pytest.mark.parametrize("said", [3, {"mine.py": 1}, ["mine.py"], [[]], [{"name": "mine.py"}]])
def test_what_is_no_list_of_plugins_is_damage(folder, said):
    folder.meta_file.write_text(json.dumps(stored(folder) | {"plugins": said}))
    with pytest.raises(NotARun, match=r"meta\.json: is damaged"):
        folder.plugins()
