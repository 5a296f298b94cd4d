"""The long proofs of the promises, one after the other: `make chaos`.

Prints `promise N: kept` or `promise N: broken` with the figures, and writes them to
tests/promises/results.json and, as a table, results.md. Exit code 1 if a promise is broken.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from promises import PROMISES, WITHOUT_SHORT  # noqa: E402

from evolve.environment import pin  # noqa: E402


def kept(name: str, long: bool) -> dict[str, Any]:
    """Whether a promise is kept, its figures, and the seconds that the proof took."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as place, quiet(Path(place) / "said") as said:
        try:
            figures = importlib.import_module(f"promises.{name}").keep(Path(place) / "here", long)
            result: dict[str, Any] = {"kept": True, "figures": figures}
        except Exception as fault:  # a proof that fails is a result, and the next one still counts
            traceback.print_exc()
            result = {
                "kept": False,
                "figures": {"because": f"{type(fault).__name__}: {fault}"[:2000]},
            }
            sys.stderr.flush()
            os.write(said, (Path(place) / "said").read_bytes()[-20_000:])
    return result | {"seconds": round(time.monotonic() - begun)}


@contextlib.contextmanager
def quiet(path: Path) -> Iterator[int]:
    """Put all that is printed into a file: Ray says much of nodes that were killed.

    Yields what stderr was.
    """
    streams = (1, 2)
    path.with_name("here").mkdir()
    kept = [os.dup(stream) for stream in streams]
    with path.open("wb") as file:
        for stream in streams:
            os.dup2(file.fileno(), stream)
    try:
        yield kept[1]
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, was in zip(streams, kept, strict=True):
            os.dup2(was, stream)
            os.close(was)


def line(number: int, result: dict[str, Any]) -> str:
    """`promise 1: kept (kills 200, lost 0, ...; 431 s)`"""
    figures = ", ".join(f"{name} {shown(value)}" for name, value in result["figures"].items())
    said = "kept" if result["kept"] else "broken"
    return f"promise {number}: {said} ({figures}; {result['seconds']} s)"


def shown(value: Any) -> str:
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:,.4g}"
        if isinstance(value, float)
        else str(value)
    )


def table(results: dict[str, Any]) -> str:
    rows = [
        f"| {number} | {text} | {'yes' if results[name]['kept'] else '**no**'} | "
        + ", ".join(f"{what} {shown(value)}" for what, value in results[name]["figures"].items())
        + f" | {results[name]['seconds']:,} |"
        for number, (name, text) in enumerate(PROMISES.items(), 1)
        if name in results
    ]
    return "\n".join(["| | promise | kept | figures | s |", "|---|---|---|---|---|", *rows]) + "\n"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "promises", nargs="*", metavar="NAME|N", help="some of them, by name or number"
    )
    parser.add_argument(
        "--short", action="store_true", help="the forms of `make test`; nothing is written"
    )
    options = parser.parse_args(arguments)
    names = list(PROMISES)
    unknown = [
        one for one in options.promises if one not in (*names, *map(str, range(1, len(names) + 1)))
    ]
    if unknown:
        parser.error(f"there is no promise {unknown[0]!r}; there are: {', '.join(names)}")
    wanted = [names[int(one) - 1] if one.isdecimal() else one for one in options.promises]
    wanted = wanted or [n for n in names if not (options.short and n in WITHOUT_SHORT)]
    file = HERE / "results.json"
    results = json.loads(file.read_text()) if file.is_file() else {}
    whole = True
    for number, name in enumerate(names, 1):
        if name in wanted:
            results[name] = kept(name, not options.short)
            whole &= results[name]["kept"]
            print(line(number, results[name]), flush=True)
            if not options.short:
                file.write_text(json.dumps(results, indent=1) + "\n")
                (HERE / "results.md").write_text(table(results))
    return 0 if whole else 1


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    pin()
    sys.exit(main(sys.argv[1:]))
