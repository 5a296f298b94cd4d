"""Hostile files: programs and configurations that nobody should write, and ways to make more of
them.

An input is a function of its number: `Random(number)` decides all. Most are mutations of good
files, because what is nearly right gets farthest.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random

import baselines
from evolve.config.presets import presets_folder
from evolve.config.yaml import write_yaml

STEP = "def step(w, g, lr):\n    return g\n"


def _body(expression: str) -> str:
    return f"def step(w, g, lr):\n    u = {expression}\n    return u\n"


_PIECE = re.compile(r"\w+|[^\w\s]|\s+")

# --- programs -------------------------------------------------------------------------------------

PROGRAM_WORDS = [
    "__import__('os').system('true')", "exec('1')", "eval('1')", "import os\n",
    "from os import *\n", "open('/etc/passwd')", "lambda: g", "lambda:" * 100, "[" * 1000,
    "(" * 40, "{" * 40, "]" * 40, ")" * 40, "1e999", "-1e999", "nan", "inf", "-0.0", "9" * 400,
    "9" * 5000, "0x" + "f" * 500, "1_000", "1j", "0b2", "1e-400", "1e10", "1e11", "\0", "\ufeff",
    "\ud800", "\r", "\r\n", "\u2028", "\x0c", "\x1b[2J", "\u202e", "\t", "\xa0", "x" * 2000,
    "a" * 65, "µ", "ｓｉｎ", "𝐞", ":=", "(x := g)", "f'{g}'", "f'{g!r:{g}}'", "@g\n",
    "match g:\n    case _:\n        pass\n", "*args", "**kwargs", "*g", "# type: ignore\n",
    "# type: [", "- " * 40, "- " * 400, "-" * 900, "~", "not ", "not not " * 30, "a.b.c", ".x",
    "g ** g ** g", "**" * 3, "9 ** 9 ** 9", "1 < g < w", "g < w > g != g", "g if g else w",
    "[g for g in w]", "g[0]", "yield ", "await ", "async ", "return g", "global g\n", "del g\n",
    "class A: pass\n", "def step(w, g, lr):\n", "def fallback", "'''", '"""', "'", '"', "b'x'",
    "u'x'", "\\", "\\\n", "\\N{DASH}", ";", ",", "->", ":", "...", "=", "==", "+=", "@=", "//",
    "if g:\n", "else:\n", "while 1:\n", "try:\n", "with g:\n", "    ", "     ", "\n", "\n\n\n",
    "$", "?", "!", "`", "é", "🦁", "zeros_like(w)", "full_like(w, 1e400)", "copy(g)",
    "ring(zeros_like(w), 3)", "ring(copy(w), 1e9)", "ring(" * 20, "scalar(0.0)", "row(0.0)",
    "column(0.0)", "left(identity)", "right(identity)", "identity",
    "tunable(0.9, low=0.5, high=0.1)", 'tunable(0.9, low=0.5, high=0.999, scale="log1m")',
    'scale="log"', "low=1", "kernels = stack()", "kernels = fallback()", "kernels",
    "kernels = first_axis()",
    "learning_rate = 1.0\n", "loss", "noise", "rademacher", "hvp", "hvp(g)", "lr", "t", "w", "g",
    "m", "past1", "v1", "self", "print", "None", "True", "nonsuch(g)", "sin(sin(sin(g)))",
    "where(g > w, g, w)", "matmul(g, w)", "0.5", "2", "-1",
]  # fmt: skip

PROGRAMS: dict[str, str | bytes] = {
    "nothing": "", "a NUL byte": _body("g\0"),
    "Latin-1": "'''é'''\n".encode("latin-1") + STEP.encode(), "UTF-16": STEP.encode("utf-16"),
    "UTF-32": STEP.encode("utf-32"), "a cookie": b"# coding: utf-7\n+AG0- = 0.5\n" + STEP.encode(),
    "half a surrogate pair": _body("g + \ud800"),
    "half a surrogate pair as bytes": b"# \xed\xa0\x80\n" + STEP.encode(),
    "a byte order mark": "\ufeff" + STEP, "two of them": "\ufeff\ufeff" + STEP,
    "old line ends": STEP.replace("\n", "\r"), "deep brackets": _body("[" * 60_000),
    "deep parentheses": _body("(" * 31 + "g" + ")" * 31),
    "brackets over lines": _body("(\n" * 30_000),
    "deep calls": _body("sin(" * 32 + "g" + ")" * 32), "unary minus": _body("-" * 900 + "g"),
    "unary minus over lines": "a = " + "-\\\n" * 20_000 + "1\n",
    "spaced minus": _body("- " * 400 + "g"), "not not": _body("not " * 200 + "g"),
    "attributes": _body("g" + ".a" * 400), "sums over lines": _body("(g" + "\n+g" * 20_000 + ")"),
    "powers": _body("g" + "**g" * 300), "a huge power": _body("9**9**9**9"),
    "comparisons": _body("g" + "<g" * 400), "conditionals": _body("g if g else " * 80 + "g"),
    "lambdas": _body("lambda:" * 140 + "0"), "walruses": _body("(a:=" * 31 + "g" + ")" * 31),
    "f-strings": _body("f'" + "{g}" * 31 + "'"), "tuples": _body("g," * 400),
    "5,000 digits": _body("9" * 5000), "digits": "\n".join("a=" + "9" * 990 for _ in range(65)),
    "a long float": _body("1." + "9" * 900), "an infinity": "a = 1e999\n" + STEP,
    "a tiny number": "a = 1e-999\n" + STEP, "many numbers": "a=1\n" * 16_000,
    "many on a line": "\n".join("a=1;" * 240 for _ in range(65)),
    "many states": "".join(f"a{i}=copy(w)\n" for i in range(3900)) + STEP,
    "many rings": "".join(f"a{i}=ring(copy(w),64)\n" for i in range(2000)) + STEP,
    "a long ring": "a = ring(copy(w), 1e10)\n" + STEP,
    "long sums": "\n".join("a = " + "1+" * 480 + "1" for _ in range(60)),
    "strings": "'a'\n" * 3900, "decorators": "@a\n" * 3900 + STEP,
    "a long docstring": '"""' + "\n" * 3900 + '"""\n' + STEP,
    "a docstring of control characters": '"""' + "\x01" * 3900 + '"""\n' + STEP,
    "a docstring with code": '"""\\"\\"\\"\nimport os\n\\"\\"\\""""\n' + STEP,
    "an escape sequence": _body("g\x1b[2J"),
    "indentation": "".join(" " * i + "if g:\n" for i in range(99)),
    "branches": "if g:\n pass\n" + "elif g:\n pass\n" * 1900,
    "match": "match g:\n" + " case 1: pass\n" * 3000, "continued lines": "\\\n" * 3900,
    "form feeds": "\f" * 60_000, "open strings": "'\n" * 3900,
    "many primitives": "def step(w, g, lr):\n" + "    u = nonsuch(g)\n" * 1900 + "    return u\n",
    "long words": _body("a" * 900 + "(g)"), "a full-width name": _body("ｓｉｎ(g)"),
    "stars": "def step(*w, **g):\n return w\n",
    "named characters": _body("'\\N{LATIN SMALL LETTER A}'"), "imports": "import os\n" + STEP,
    "star imports": "from os import *\n" + STEP, "exec": "exec('raise SystemExit')\n" + STEP,
    "a default": "def step(w, g=exec('1'), lr=1):\n    return g\n",
    "an annotation": "def step(w: exec('1'), g, lr) -> exec('2'):\n    return g\n",
    "a class": "class A(exec('1')): pass\n" + STEP,
}  # fmt: skip

_texts = [
    path.read_text()
    for folder in (baselines.PROGRAMS, baselines.PROLOGUES)
    for path in sorted(folder.glob("*.py"))
]
_codes = [re.sub(r'^""".*?"""\n', "", text, flags=re.DOTALL) for text in _texts]
_SHORT = [_PIECE.findall(code) for code in sorted(_codes, key=len)[:40]]
_LONG = [_PIECE.findall(text) for text in _texts]
_NAMES = ["w", "g", "lr", "m", "v", "update", "beta1", "t", "u"]
_NUMBERS = ["0.0", "-0.0", "1", "0.9", "1e-8", "3", "1e10", "0.999"]
_CALLS = [
    "add",
    "sign",
    "square",
    "sqrt",
    "interp",
    "maximum",
    "norm",
    "dot",
    "where",
    "mean",
    "matmul",
    "exp",
]


def program(rng: Random) -> str | bytes:
    """A mutated program: pieces deleted, doubled, exchanged, spliced; bytes flipped."""
    chosen = rng.random()
    if chosen < 0.01:
        return rng.choice(list(PROGRAMS.values()))
    if chosen < 0.02:
        return "".join(rng.choices(PROGRAM_WORDS, k=rng.randint(1, 40)))
    pieces = rng.choice(_SHORT if chosen < 0.9 else _LONG).copy()
    if chosen < 0.3:  # a program that is nearly right: another word where a word was
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(pieces))
            if pieces[at].isidentifier():
                pieces[at] = rng.choice(_CALLS if pieces[at + 1 : at + 2] == ["("] else _NAMES)
            elif pieces[at].isdecimal():
                pieces[at] = rng.choice(_NUMBERS)
        return "".join(pieces)
    return _damaged(_mutated(pieces, rng, PROGRAM_WORDS, _SHORT), rng)


# --- configurations -------------------------------------------------------------------------------

CONFIG_WORDS = [
    "&a ", "*a", "&a [*a]", "!!python/object/apply:os.system ['true']", "!!python/name:os.system ",
    "!!str ", "!!float '.nan'", "!<tag:yaml.org,2002:int> ", "<<: ", "? ", "? [a, b]\n: ",
    "%YAML 1.1\n", "%TAG ! tag:x,2000:\n", "---\n", "...\n", "\t", "\0", "\ufeff", "\x85",
    "\u2028", "\r", "\r\n", "\ud800", "\x1b[2J", "{", "}", "[", "]", "{" * 20, "[" * 20,
    "[" * 3000, "- " * 20, "- - - ", ": ", ":", ",", "|", ">", "|-\n", ">+\n", "|9\n", "'", '"',
    "\\", '"\\Uffffffff"', '"\\U00110000"', '"\\ud800"', '"\\x00"', '"\\e[2J"', "#", " #", "1e-3",
    "1e999", "-1e999", ".nan", ".inf", "nan", "no", "yes", "on", "off", "true", "false", "null",
    "~", "010", "0x10", "0b1", "1_000", "12:30:45", "2024-01-01", "-0", "-1", "0", "1", "2", "1.5",
    "9" * 19, "9" * 5000, "1." + "0" * 3000, "1e" + "9" * 300, "x" * 3000, "../../x.yaml",
    "/etc/passwd", "nul\0.yaml", "CON", "..", ".", "name: ", "seed: ", "suite: ", "schedule: ",
    "search: ", "budget: ", "scoring: ", "confirm: ", "workers: ", "candidates: ", "seconds: ",
    "kind: ", "fields: ", "initial: ", "families: ", "population: ", "seeds: ", "bound: ",
    "early: ", "count: ", "auto", "local", "inline", "noisy_quadratic", "digits_dense", "smoke",
    "adamw", "lion", "evolution", "cosine", "step_decay(factor=0.5, every=0.25)",
    "cosine(end=1e999)", "(" * 90, "-" * 90, "9**9**9", "budget: {candidates: 10}\n", "\n", "\n  ",
    "\n    ", "  ", "=", "<<",
]  # fmt: skip

CONFIGS: dict[str, str | bytes] = {
    "nothing": "", "a number": "1", "a list": "[1]", "nulls": "~", "a NUL byte": "suite: \0",
    "Latin-1": b"suite: \xe9", "UTF-16": "suite: smoke\nbudget: {candidates: 1}".encode("utf-16"),
    "not UTF-16": b"\xff\xfe\x00", "a surrogate": "suite: \ud800",
    "an escaped one": 'suite: "\\ud800"\nbudget: {candidates: 1}',
    "no character": 'a: "\\Uffffffff"', "beyond characters": 'a: "\\U00110000"',
    "brackets": "[" * 60_000, "dashes": "- " * 30_000, "braces": "{a: " * 15_000,
    "keys without end": "? " * 30_000, "commas": "{" + "," * 60_000,
    "16 brackets": "a: " + "[" * 14 + "]" * 14,
    "an alias bomb": "a: &a [1,1]\n" + "".join(f"{c}: &{c} [*{b},*{b}]\n" for b, c in pairwise("abcdefghi")),
    "itself": "a: &a [*a]", "python": "!!python/object/apply:os.system ['true']",
    "a tagged nan": "a: !!float '.nan'", "a merge": "budget: {<<: {candidates: 3}}\nsuite: smoke",
    "a list as a key": "{[a]: 1}", "a mapping as a key": "? {a: 1}\n: 1",
    "twice": "seed: 1\nseed: 2", "a long key twice": f"{'a' * 900}: 1\n" * 2,
    "two documents": "a: 1\n---\nb: 2", "directives": "%YAML 1.1\n" * 6000,
    "many documents": "---\n" * 16_000, "tabs": "a:\n\tb: 1",
    "many keys": "".join(f"k{i}: 1\n" for i in range(6000)),
    "a long list": "suite: [" + "1," * 30_000 + "]", "wrong tasks": "suite: [" + "1," * 1900 + "]",
    "wrong words": "search: {initial: [" + "1," * 1900 + "]}",
    "many tasks": "suite:\n" + "- {kind: a, b: 1}\n" * 3000,
    "a long string": "suite: " + "x " * 30_000, "a long name": f"name: {'x' * 60_000}\n",
    "a long key": "x" * 60_000 + ": 1", "5,000 digits": f"seed: {'9' * 5000}",
    "infinity": "suite: smoke\nbudget: {seconds: 1e999}",
    "a huge exponent": f"seed: 1e{'9' * 60_000}",
    "a schedule of brackets": f'schedule: "{"(" * 190}"\nsuite: smoke\nbudget: {{candidates: 1}}',
    "a schedule of minus": f'schedule: "cosine(end={"-" * 180}1)"\nsuite: smoke\nbudget: {{candidates: 1}}',
    "a schedule of code": "schedule: \"__import__('os').system('true')\"\nsuite: smoke\nbudget: {candidates: 1}",
    "a name with ..": "name: ../../x\nsuite: smoke\nbudget: {candidates: 1}",
    "a name with a line end": 'name: "x\\n"\nsuite: smoke\nbudget: {candidates: 1}',
    "a device": "name: con\nsuite: smoke\nbudget: {candidates: 1}",
    "true for 1": "seed: true\nsuite: smoke\nbudget: {candidates: 1}",
    "a mebibyte": "# " + "x" * 2**20,
}  # fmt: skip

INLINE = {
    "name": "tiny",
    "suite": [
        {"kind": "noisy_quadratic", "dim": 32, "steps": 60},
        {"kind": "digits_dense", "width": 16},
    ],
    "search": {
        "kind": "evolution",
        "initial": ["adamw"],
        "population": 20,
        "tournament": 3,
        "insert": 0.5,
    },
    "budget": {"candidates": 1500, "seconds": 1.5},
    "schedule": "cosine",
    "workers": {"kind": "inline", "deadline": 3.0},
}
_presets = [path.read_text() for path in sorted(presets_folder().glob("**/*.yaml"))]
_FLOWS = [
    "suite: smoke\nbudget: {candidates: 3}\n",
    "suite: [{kind: a, b: 1}]\nbudget: {seconds: 3}\nseed: 1\n",
    "name: a\nsuite: smoke\nsearch: {population: 3}\nbudget: {candidates: 3}\n",
]
_CONFIGS = [
    _PIECE.findall(text)
    for text in (*_FLOWS * 5, *(re.sub("#.*", "", t) for t in _presets), write_yaml(INLINE))
]


def config(rng: Random) -> str | bytes:
    """A mutated configuration."""
    chosen = rng.random()
    if chosen < 0.01:
        return rng.choice(list(CONFIGS.values()))
    if chosen < 0.05:
        return "".join(rng.choices(CONFIG_WORDS, k=rng.randint(1, 40)))
    return _damaged(_mutated(rng.choice(_CONFIGS).copy(), rng, CONFIG_WORDS, _CONFIGS), rng)


# --- both -----------------------------------------------------------------------------------------


def _mutated(
    pieces: list[str], rng: Random, words: list[str], others: list[list[str]]
) -> list[str]:
    """With one to four pieces deleted, repeated, replaced, inserted or exchanged, or with another
    file's end.
    """
    for _ in range(rng.randint(1, 4)):
        at, to = rng.randrange(len(pieces)), rng.randrange(len(pieces))
        match rng.randrange(7):
            case 0:
                pieces[at] = ""
            case 1:
                pieces[at] *= rng.choice((2, 3, 50))
            case 2:
                pieces[at] = rng.choice(words)
            case 3:
                pieces.insert(at, rng.choice(words))
            case 4:
                pieces[at], pieces[to] = pieces[to], pieces[at]
            case 5:
                del pieces[at : at + rng.randint(1, 9)]
            case 6:
                other = rng.choice(others)
                pieces[at:] = other[rng.randrange(len(other)) :]
        pieces = pieces or [""]
    return pieces


def _damaged(pieces: list[str], rng: Random) -> str | bytes:
    """The text; one in eight as bytes of which a few are changed, cut or written in another
    encoding.
    """
    text = "".join(pieces)
    if rng.random() > 0.125:
        return text
    how = rng.random()
    if how < 0.1:
        return text.encode(rng.choice(("utf-16", "utf-32", "latin-1", "utf-7", "cp037")), "replace")
    return damaged_bytes(text.encode("utf-8", "surrogatepass"), rng)


def damaged_bytes(raw: bytes, rng: Random) -> bytes:
    """A few bytes flipped, deleted, doubled or inserted; or the end cut."""
    changed = bytearray(raw or b"\0")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(5):
            case 0 if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                del changed[at : at + rng.randint(1, 8)]
            case 2:
                changed[at:at] = changed[at : at + rng.randint(1, 64)]
            case 3:
                changed[at:at] = rng.randbytes(rng.randint(1, 8))
            case 4 if rng.random() < 0.3:
                del changed[at:]
    return bytes(changed)


# --- files of a run -------------------------------------------------------------------------------

JSON_WORDS = [
    b"null", b"[]", b"{}", b"NaN", b"Infinity", b"1e999", b"-1", b'""', b"[" * 100_000,
    b'{"a":' * 20_000, b"9" * 5000, b"\xff\xfe", b"\0", b'"\\ud800"', b'{"a": 1, "a": 2}', b"true",
    b"0.5", b'"' + b"x" * 3000 + b'"', b"!!python/name:os.system", b'"\\u001b[2J"',
]  # fmt: skip
Change = Callable[
    [Path, Random, Path], None
]  # of a file, by a generator, with a folder outside the run


def spoil(path: Path, rng: Random, outside: Path) -> None:
    """Damage one file of a run folder, or put something else in its place. It may not be there."""
    raw = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
    chosen = rng.random()
    if chosen < 0.45:
        path.write_bytes(damaged_bytes(raw, rng))
    elif chosen < 0.7:  # a value of a text, or a page of a database
        value = re.compile(rb'"[^"]*"|-?\d[\d.e+-]*|null|true|false|[{}\[\]]')
        places = [m.span() for m in value.finditer(raw)] or [(0, len(raw))]
        first, last = rng.choice(places)
        path.write_bytes(raw[:first] + rng.choice(JSON_WORDS) + raw[last:])
    else:
        path.unlink(missing_ok=True)
        rng.choice(SUBSTITUTES)(path, rng, outside)


def _linked(to: str) -> Change:
    return lambda path, rng, outside: path.symlink_to(to.format(outside=outside, name=path.name))


def _large(path: Path, rng: Random, outside: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)  # a hole: it takes no room


def _grown(path: Path, rng: Random, outside: Path) -> None:
    """A good database with a terabyte of nothing behind it."""
    _schemed("SELECT 1")(path, rng, outside)
    with path.open("ab") as file:
        file.truncate(2**40)


def _schemed(script: str) -> Change:
    """A database with another schema, which SQLite would follow: views and triggers are
    programs.
    """

    def write(path: Path, rng: Random, outside: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.executescript(script)

    return write


_ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT"
SUBSTITUTES: list[Change] = [
    lambda path, rng, outside: None,  # deleted
    lambda path, rng, outside: path.mkdir(),
    lambda path, rng, outside: os.mkfifo(path),
    lambda path, rng, outside: path.write_bytes(b""),
    _large,
    _grown,
    *map(_linked, ("{outside}/{name}", "../outside/{name}", "{outside}", "{outside}/missing")),
    *map(_linked, ("{name}", "/dev/zero", "/")),
    _schemed(f"CREATE VIEW meta AS {_ENDLESS} i AS name, i AS value FROM n"),
    _schemed(
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL); "
        f"CREATE VIEW candidate AS {_ENDLESS} i AS number, 0 AS phase, 0 AS parent, '' AS mutation, '' AS program, "
        "'' AS key, '' AS status, '' AS reason, 0 AS same_as, '' AS outcome, 0 AS score, 0 AS seconds, '' AS detail, "
        "x'' AS chain FROM n"
    ),
    _schemed(
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL); INSERT INTO meta VALUES ('status', '[[[');"
        "CREATE TABLE candidate (number, chain); INSERT INTO candidate VALUES ('x', 1.5), (NULL, NULL)"
    ),
]  # fmt: skip

STATEMENTS = [
    "UPDATE candidate SET {column} = {value} WHERE number = {row}",
    "UPDATE checkpoint SET {point} = {value}",
    "UPDATE meta SET value = {value}",
    "UPDATE meta SET value = {value} WHERE name = 'status'",
    "UPDATE meta SET value = {value} WHERE name = 'elapsed'",
    "DELETE FROM candidate WHERE number = {row}",
    "INSERT INTO checkpoint SELECT number + {row}, since, records, state, seal FROM checkpoint "
    "LIMIT 1",
    "DROP TABLE candidate",
    "DROP TABLE meta",
    "DROP TABLE checkpoint",
    f"ALTER TABLE candidate RENAME TO old; CREATE VIEW candidate AS {_ENDLESS} i AS number, o.* "
    f"FROM n, old o",
    f"CREATE TRIGGER t AFTER INSERT ON meta BEGIN INSERT INTO candidate (number) {_ENDLESS} i "
    f"FROM n; END",
    "CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM candidate; END",
    "PRAGMA page_size = 65536; VACUUM",
    "PRAGMA user_version = 7",
    "PRAGMA application_id = 7",
    "PRAGMA encoding = 'UTF-16'",
]
VALUES = [
    "NULL", "-1", "9223372036854775807", "1e999", "0.5", "''", "'x'", "x'ff'", "zeroblob(3000000)",
    "'[[[['", "'{{}}'", "'NaN'", "'1e999'", "printf('%.*c', 200000, '[')", "'\x1b[2J'",
    "CAST(x'ff' AS TEXT)", "'[]'", "'null'", "'0x1p+9999'", "'inf'",
]  # fmt: skip
_COLUMNS = (
    "number", "phase", "parent", "mutation", "program", "key", "status", "reason", "same_as",
    "outcome", "score", "seconds", "detail", "chain",
)  # fmt: skip


def leave_half_a_commit(path: Path, outside: Path) -> None:
    """Beside a database, what SQLite takes back when it opens it; it names another file, which
    SQLite then deletes.
    """
    magic = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
    name = str(outside / "precious").encode()
    size, lock_page = 4096, 2**30 // 4096 + 1
    head = magic + struct.pack(">5I", 0, 1, path.stat().st_size // size, 512, size)
    tail = struct.pack(">I", lock_page) + name + struct.pack(">2I", len(name), sum(name)) + magic
    path.with_name(path.name + "-journal").write_bytes(head.ljust(512, b"\0") + tail)


def spoil_rows(path: Path, rng: Random) -> None:
    """Change what a journal says, with SQLite's own means."""
    statement = rng.choice(STATEMENTS).format(
        column=rng.choice(_COLUMNS),
        point=rng.choice(("number", "since", "records", "state", "seal")),
        value=rng.choice(VALUES),
        row=rng.randrange(64),
    )
    with contextlib.closing(sqlite3.connect(path)) as db, contextlib.suppress(sqlite3.Error):
        db.executescript(statement.replace("{{}}", "{}"))
        db.commit()
