"""What all commands share: options, exit codes, and errors that are one clear message.

Exit codes: 0, 1 a failed run, 2 wrong input, 130/143 stopped.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NoReturn, get_args

import click

from evolve.config.errors import ConfigError
from evolve.config.schema import WorkerSettings
from evolve.interrupt import Interrupted, StopSignal
from evolve.plugins import PluginError
from evolve.record.errors import JournalError
from evolve.record.lock import RunIsLive
from evolve.reporting.printing import say
from evolve.workers.errors import WorkerFailure
from primitives import ProgramError
from primitives.errors import nearest, plain

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Commands(click.Group):
    """Turns the errors of the library into one clear message and an exit code, no traceback."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as fault:
            raise _plain(fault) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            _ready_to_print()
            return super().invoke(ctx)
        except click.UsageError as fault:
            raise _plain(fault) from None
        except (ProgramError, ConfigError, PluginError, RunIsLive) as fault:
            fail(str(fault), 2)
        except (JournalError, WorkerFailure) as fault:
            fail(str(fault), 1)
        except MemoryError:
            fail("there is not enough memory; see to `ulimit -v` and to the size of the tasks", 1)
        except KeyboardInterrupt:
            sys.exit(130)
        except BrokenPipeError:
            sys.exit(1)
        except OSError as fault:
            fail(f"{fault.filename or 'the disk'}: {fault.strerror or fault}", 1)
        except Exception:
            if why := _no_device():
                fail(why, 2)
            raise
        finally:
            for stream in filter(None, (sys.stdout, sys.stderr)):
                try:
                    stream.flush()
                except OSError:
                    # Nobody reads it any more; at exit Python would try again, and end with 120.
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as fault:
            near = nearest(args[0], self.commands) if args else ""
            # Newer versions of click say it themselves.
            if not near or "Did you mean" in fault.format_message():
                raise
            words = f"{fault.message} Did you mean {near!r}?"
            raise click.UsageError(words, fault.ctx) from None


def _plain(fault: click.UsageError) -> click.UsageError:
    """Return an error of click's, which repeats what was typed, so that it steers no terminal."""
    said = fault.format_message()
    return fault if plain(said) == said else click.UsageError(plain(said), fault.ctx)


def _ready_to_print() -> None:
    """See that there is somewhere to print, before anything is worked for."""
    # Whatever is opened next would take the place of a stream that is closed, and get its text.
    while (free := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(free)
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]  (it was closed: >&-)
        fail("standard output is closed; let it be a file, or /dev/null", 2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what is shown does not fit every locale
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _no_device() -> str:
    """Say that jax has no device to compute with, where that is why a command failed."""
    import jax

    platforms = os.environ.get("JAX_PLATFORMS", "")
    try:
        jax.devices()  # pyright: ignore[reportUnknownMemberType]
    except Exception:  # of any kind, by the platform
        return (
            f"JAX_PLATFORMS={platforms}: jax finds no such device here. Unset it to compute on the "
            "CPU, or install jax for that platform."
        )
    return ""


def fail(message: str, code: int) -> NoReturn:
    """Say what went wrong, and leave."""
    say(message)
    sys.exit(code)


def example(text: str) -> str:
    """Write the end of a command's help: an example of it."""
    return f"Example:  {text}"


json_flag = click.option("--json", "as_json", is_flag=True, help="Print facts for machines.")
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key, such as search.population=200. Repeatable.",
)
workers_option = click.option(
    "--workers",
    metavar="KIND|N",
    help="auto, inline, local, devices, ray, or a number of local workers.",
)
address_option = click.option(
    "--address",
    metavar="auto|HOST:PORT",
    help="Ray cluster of --workers ray; without it, one on this machine.",
)
output_option = click.option(
    "--output",
    "root",
    default="runs",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for run folders.",
)
suite_option = click.option(
    "--suite",
    "suite_name",
    default="quickstart",
    show_default=True,
    help="Tasks: a preset's name, or a YAML file.",
)
plugin_option = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    metavar="FILE.py|NAME",
    help="Python file with tasks, primitives, mutations or optimizers of your own. It is executed. "
    "Repeatable.",
)
trust_option = click.option(
    "--trust", is_flag=True, help="Execute the plug-ins that a run's folder names."
)


def worker_settings(workers: str | None, address: str | None) -> dict[str, Any] | None:
    """Read the keys of a config that the options stand for. Raises `ConfigError`."""
    if address is not None and workers not in (None, "ray"):
        raise ConfigError(f"--address {address} is for --workers ray, not for --workers {workers}")
    where = {} if address is None else {"kind": "ray", "address": address}
    if workers is None:
        return where or None
    if workers.isdecimal() and int(workers) > 0:
        return {"kind": "local", "count": int(workers)}
    kinds = get_args(WorkerSettings.model_fields["kind"].annotation)
    if workers not in kinds:
        raise ConfigError(
            f"--workers {workers}: write {', '.join(kinds)}, or a number of local workers"
        )
    return {"kind": workers} | where


@contextlib.contextmanager
def stopped_by_signal(how: Callable[[], str] | None = None) -> Generator[StopSignal]:
    """Let a signal end what can go on later, and say how.

    how: what to say; without it, the same command goes on when it is given again.
    """

    def how_to_go_on() -> None:
        same = "stopped; what was finished is kept, and the same command goes on from there"
        say(how() if how else same)

    stop = StopSignal(how_to_go_on)
    try:
        with stop.watching():
            yield stop
    except Interrupted:
        how_to_go_on()
        sys.exit(128 + stop.number)
