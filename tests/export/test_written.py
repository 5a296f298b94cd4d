"""What an export leaves on the disk: a file that runs, or the file that was there."""

from __future__ import annotations

import keyword
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

import baselines
import evolve
from evolve.commands.main import main
from evolve.config.errors import ConfigError
from evolve.running import confirmation
from primitives import ProgramError, parse
from primitives.export import optax, optax_file

AWKWARD = [
    *(f"_{word}" for word in (*keyword.kwlist, *keyword.softkwlist) if word != "_"),
    *(f"{word}_" for word in keyword.kwlist[3:]),
    *("_", "_1", "_2fast", "_x", "_x1", "x1", "c1", "index", "jnp", "optax", "mask"),
    *("state_dtype", "learning_rate_", "asked", "held", "tree", "path", "dtype", "leaves"),
    *(name.strip("_") for name in optax_file._OURS if name != "_copy"),
    *optax_file._OURS,
]
"""Names that a program may give, and a Python file may not, or has given already."""


@pytest.mark.parametrize("kind", ["hyperparameters", "states", "variables"])
def test_every_name_of_a_program_is_exported_as_one_that_python_can_use(kind):
    assert len(AWKWARD) > 120
    for first in range(0, len(AWKWARD), 10):
        names = list(dict.fromkeys(AWKWARD[first : first + 10]))
        head = {"hyperparameters": "{} = 0.5\n", "states": "{} = zeros_like(w)\n", "variables": ""}
        lines = {"hyperparameters": "d = d * {}", "states": "{0} = {0} + g\n    d = d + {0}"}
        line = lines.get(kind, "{0} = g + 1.0\n    d = d + {0}")
        program = parse(
            "".join(head[kind].format(name) for name in names)
            + "\ndef step(w, g):\n    d = g * w\n"
            + "".join(f"    {line.format(name)}\n" for name in names)
            + "    return d\n",
            name="awkward",
        )
        optax.tried_optax_source(program)


def test_a_file_that_does_not_run_replaces_nothing(tmp_path, monkeypatch):
    path = tmp_path / "mine.py"
    path.write_text("good = True\n")
    whole = optax_file.OptaxFile.text
    for broken in (
        lambda file: "def lion(:\n",
        lambda file: whole(file).replace("jnp.sign(", "jnp.sing("),
        lambda file: whole(file)[: len(whole(file)) // 2],
    ):
        monkeypatch.setattr(optax_file.OptaxFile, "text", broken)
        with pytest.raises(ProgramError, match="lion cannot be exported: its file does not run"):
            evolve.export("lion", path=path, overwrite=True)
        assert path.read_text() == "good = True\n"
        # A run ends all the same; what it leaves says why
        with pytest.raises(ImportError, match="lion cannot be exported"):
            exec(confirmation._optax_source(baselines.get("lion")))


def test_a_disk_that_is_full_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "mine.py"
    path.write_text("good = True\n")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="cannot be written: No space left on device"):
        evolve.export("lion", path=path, overwrite=True)
    assert [f.name for f in tmp_path.iterdir()] == ["mine.py"]
    assert path.read_text() == "good = True\n"


@pytest.mark.parametrize(("path", "what"), [(os.devnull, "is no file"), (".", "is a folder")])
def test_what_is_no_file_is_never_replaced(path, what):
    with pytest.raises(ConfigError, match=what):
        evolve.export("lion", path=path, overwrite=True)


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "link.py").symlink_to(tmp_path / "there.py")
    evolve.export("lion", path=tmp_path / "link.py")
    assert (tmp_path / "link.py").is_symlink()
    assert "def lion(" in (tmp_path / "there.py").read_text("utf-8")


@pytest.mark.parametrize("name", ["optax.py", "jax.py", "numpy.py", "typing.py", "types.py"])
def test_a_name_under_which_a_file_cannot_be_imported_is_refused(name, tmp_path):
    with pytest.raises(ConfigError, match=f"{name}: Python would import it in place of"):
        evolve.export("lion", path=tmp_path / name)
    assert not (tmp_path / name).exists()


def test_what_is_written_and_shown_is_utf_8_in_any_locale(tmp_path):
    ascii_only = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "evolve", "export", "adamw", "-o", str(tmp_path / "mine.py")]
    subprocess.run(command, env=ascii_only, check=True, capture_output=True, timeout=60)
    written = (tmp_path / "mine.py").read_text("utf-8")
    assert written == evolve.export("adamw").source
    assert not written.isascii()
    for shown in (["show", "adamw"], ["list", "optimizers"], ["export", "adamw"]):
        result = CliRunner(charset="ascii").invoke(main, shown)
        assert result.exit_code == 0, result.exc_info
        assert not result.stdout_bytes.decode("utf-8").isascii()
