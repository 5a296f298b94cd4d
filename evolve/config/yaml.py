"""Strict YAML: numbers as JSON writes them, and no surprises.

YAML's own rules read 1e-3 as a string, `no` as false, and keep the last of two equal keys. The
loader below reads numbers as JSON does and refuses the rest; the dumper writes what it reads.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

from evolve.config.errors import ConfigError
from primitives.errors import printable

MAX_BYTES = 64 * 1024
MAX_VALUES = 4000  # of a configuration; its loader takes 20 microseconds each
MAX_DEPTH = 16

_HALF = re.compile("[\ud800-\udfff]")
_WHOLE = r"-?(0|[1-9][0-9]{0,18})"
_NUMBER = _WHOLE + r"(\.[0-9]+)?([eE][-+]?[0-9]+)?"
_DIGITS = list("-0123456789")  # what a number begins with


_COLUMN = (
    "the line is indented otherwise than those above it; keys that belong together begin in one "
    "column"
)
_IN_OUR_WORDS = {
    "mapping values are not allowed": "a ': ' where none can be: the line is indented further than "
    "the one above it, or that one lacks its ': ', or a text with ': ' needs quotes",
    "expected <block end>": _COLUMN,
    "expected '<document start>'": _COLUMN,
    "could not find expected ':'": "a line without ': '; write `key: value`",
    "expected ',' or ']'": "a list in [ ] is not closed, or lacks a comma",
    "expected ',' or '}'": "a mapping in { } is not closed, or lacks a comma",
    "expected the node content": "something is missing in a list in [ ] or a mapping in { }",
    "found unexpected end of stream": "a text in quotes is not closed",
    "found unexpected document separator": "a text in quotes is not closed",
    "found character '\\t'": "a tab; indent with spaces",
    "found character": "a text that begins with this character needs quotes",
    "found unknown escape character": "an unknown escape in a text in quotes; a backslash itself "
    "is written twice",
    "expected a single document": "a second document after ---; a configuration is one",
    "but found another document": "a second document after ---; a configuration is one",
}
"""How PyYAML begins to say what is wrong, and what we say."""


class _Loader(yaml.SafeLoader):
    """Reads plain data: no anchors, no tags, no repeated keys, numbers as JSON writes them."""

    # PyYAML makes the same attribute of the class itself.
    yaml_implicit_resolvers: ClassVar[dict] = {}  # pyright: ignore[reportIncompatibleVariableOverride]
    depth = values = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        self.depth += 1
        self.values += 1
        if problem := self._problem(event):
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _problem(self, event: yaml.Event) -> str:
        """Say why what comes next is refused, or return an empty string."""
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            return "anchors, aliases and tags are not allowed"
        if self.depth > MAX_DEPTH:
            return "nested too deeply"
        if self.values > MAX_VALUES:
            return f"more than {MAX_VALUES} keys and values; a configuration fits into a page"
        if _HALF.search(getattr(event, "value", "")):
            return "a text with one half of a surrogate pair, which no file can hold"
        return ""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem="a key must be plain text", problem_mark=key.start_mark
                )
            if key.value in seen:
                word = printable(key.value, 60)
                raise yaml.MarkedYAMLError(
                    problem=f"the key '{word}' is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
            key.tag = "tag:yaml.org,2002:str"  # `1: x` has the key "1"
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes the strings that our loader, unlike YAML's own rules, reads as numbers: 1e3."""


for _kind, _pattern, _first in [
    ("null", "null|~|", ["n", "~", ""]),
    ("bool", "true|false", ["t", "f"]),
    ("int", _WHOLE, _DIGITS),
    ("float", _NUMBER, _DIGITS),
]:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), _first
    )
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(rf"(?:{_NUMBER})\Z"), _DIGITS)


def read_yaml(text: str | bytes, where: str) -> Any:
    """Read plain data. `where` is what an error calls the text. Raises `ConfigError`."""
    if len(text) > MAX_BYTES:
        raise ConfigError(
            f"{where}: larger than {MAX_BYTES} bytes; a configuration fits into a page"
        )
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark
        place = f"{where}:{mark.line + 1}" if mark else where
        theirs = fault.problem or "not valid YAML"
        ours = (said for begin, said in _IN_OUR_WORDS.items() if theirs.startswith(begin))
        raise ConfigError(f"{place}: {next(ours, theirs)}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as fault:
        raise ConfigError(f"{where}: not valid YAML: {str(fault).splitlines()[0]}") from None


def write_yaml(content: Any) -> str:
    """Write the text from which `read_yaml` reads the same."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False)
