"""Runs every command of the README as it stands there, one after the other: `make readme`.

In a fresh folder, as a reader would: the program and the task of the README are its files, and what
`evolve reference` tunes on the way stays there for all that comes later. A run of hours is stopped
by Ctrl-C once it has said what it does, which is what its reader would do.

Prints a line a command with its seconds, and what the failed ones said. Exit code 1 if one failed.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kit.documents import ROOT, commands

HOURS = ("overnight",)
PATIENCE = 60  # seconds that a run of hours has until it is stopped
LIMIT = 1800  # for any other
STOPPED = 130


def files(place: Path, text: str) -> None:
    """Write the files that the commands name."""
    blocks = text.split("```python\n")[1:]
    program = next(block for block in blocks if "warm heart" in block)
    task = next(block for block in blocks if "(Task)" in block)
    (place / "my_program.py").write_text(program.split("```")[0])
    (place / "my_task.py").write_text(task.split("```")[0])
    (place / "my_config.yaml").write_text("suite: quickstart\nbudget: {candidates: 100}\n")


def walk(place: Path, text: str) -> list[str]:
    """Run all commands of a document. Returns those that failed."""
    files(place, text)
    failed = []
    for words in commands(text):
        if len(words) < 2:  # the name of a command, within a sentence
            continue
        words = [_run_folder(place) if "..." in word and "/" in word else word for word in words]
        begun = time.monotonic()
        code, said = ended(words, place)
        fine = code in ((STOPPED,) if words[1] in HOURS else (0,))
        seconds = f"{time.monotonic() - begun:5.0f} s"
        print("ok" if fine else "FAILED", seconds, " evolve", *words)
        if not fine:
            failed.append(" ".join(words))
            print(f"exit code {code}\n{said[-4000:]}")
        sys.stdout.flush()
    return failed


def ended(words: list[str], place: Path) -> tuple[int, str]:
    """Run a command to its end. Returns its exit code and all that it said."""
    command = [sys.executable, "-m", "evolve", *words]
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=place, stdout=output, stderr=subprocess.STDOUT)
        if words[1] in HOURS:
            time.sleep(PATIENCE)
            process.send_signal(signal.SIGINT)
        code = process.wait(LIMIT)
        output.seek(0)
        return code, output.read()


def _run_folder(place: Path) -> str:
    """Name the run that was begun first: the one that later commands speak of."""
    runs = sorted((place / "runs").iterdir(), key=lambda path: path.stat().st_ctime)
    return str(next(run for run in runs if run.name.startswith("quickstart")).relative_to(place))


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="readme-") as place:
        return 1 if walk(Path(place), (ROOT / "README.md").read_text()) else 0


if __name__ == "__main__":
    sys.exit(main())
