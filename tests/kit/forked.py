"""The command `evolve`, each call in a process of its own that costs no import.

What a plug-in registers stays in its process, so calls cannot share one. They are forked from a
process that has imported everything and has started nothing of jax.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVER = """
import io, json, os, sys, traceback, warnings
import evolve.__main__, evolve.api
from evolve.commands.main import main

warnings.filterwarnings("ignore", r"os\\.fork\\(\\) was called", RuntimeWarning)
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        code = 1
        for number, path in ((1, asked["out"]), (2, asked["err"])):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(asked["place"])
        os.environ.update(asked["env"])
        try:
            main(asked["arguments"])
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    status = os.waitpid(child, 0)[1]
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@dataclass(frozen=True)
class Done:
    """What a call came to."""

    returncode: int
    stdout: str
    stderr: str


class Evolve:
    """Calls the command, again and again."""

    def __init__(self) -> None:
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def __call__(self, *arguments: object, place: Path, **env: str) -> Done:
        """Call it in a folder, with changes to the environment."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        out, err = place / ".out", place / ".err"
        asked: dict[str, Any] = {
            "arguments": list(map(str, arguments)),
            "place": str(place),
            "env": {"XDG_STATE_HOME": str(place / "state")} | env,
            "out": str(out),
            "err": str(err),
        }
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        code = int(self.server.stdout.readline())
        return Done(code, out.read_text(), err.read_text())

    def close(self) -> None:
        """End the process that calls are forked from."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.close()
        self.server.stdout.close()
        self.server.wait()
