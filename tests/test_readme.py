"""What the README shows is run as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from kit.documents import ROOT, commands, documents

from evolve.commands.main import main

README = (ROOT / "README.md").read_text()


def block(heading: str, language: str) -> str:
    """The text of the first code block in a language below a heading."""
    part = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", part, re.DOTALL | re.MULTILINE)
    return next(text for said, text in blocks if said == language)


def run(*command: str, place: Path) -> str:
    """Run a command in a folder of its own; what it prints."""
    env = os.environ | {"XDG_STATE_HOME": str(place / "state")}
    done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_of_a_document_is_one_that_there_is(path):
    """`make readme` runs those of the README."""
    for name, *words in commands(path.read_text()):
        command = main.commands[name]
        if words:  # else it is named within a sentence
            command.make_context(name, words, parent=click.Context(main))


def test_the_ten_lines_of_python(tmp_path):
    (tmp_path / "script.py").write_text(block("From Python", "python"))
    out = run(sys.executable, "script.py", place=tmp_path)
    assert "400 candidates, hash chain" in out
    assert "│ adamw " in out
    assert '"""Lion' in out


def test_a_task_of_ones_own_from_the_file_to_the_score(tmp_path):
    source = block("A task of your own", "python")
    assert len([line for line in source.splitlines() if line.strip()]) <= 27
    (tmp_path / "my_task.py").write_text(source)
    lines = block("A task of your own", "").strip().splitlines()
    assert len(lines) == 4
    said = []
    for line in lines:
        name, *arguments = shlex.split(line)
        assert name == "evolve"
        said.append(run(sys.executable, "-m", "evolve", *arguments, place=tmp_path))
    assert said[0] == "my_task.py: fine\n"
    assert "references/spirals-" in said[1]
    folder = tmp_path / said[2].splitlines()[-1]
    assert (folder / "plugins" / "my_task.py").read_text() == source
    assert "│ adamw " in said[3]
    assert "untuned" in said[3], "nobody has tuned lion on this task"
