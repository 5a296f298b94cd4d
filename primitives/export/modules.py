"""Modules from text: an exported file that is imported without being written."""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import linecache
import sys
from functools import lru_cache
from types import ModuleType


@lru_cache(256)
def module_from_text(source: str, name: str) -> ModuleType:
    """Import Python source that stands in no file; the same text is imported once.

    name: a Python name, which becomes part of the module's. Tracebacks show the lines of the text,
    `inspect.getsource` finds them, and objects of the module can be pickled within this process.
    """
    digest = hashlib.blake2b(source.encode(), digest_size=8).hexdigest()
    loader = _Text(source, f"pride_exported_{name}_{digest}")
    spec = importlib.util.spec_from_loader(loader.module, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)

    # An entry without a time is never compared with a file.
    linecache.cache[loader.file] = len(source), None, source.splitlines(keepends=True), loader.file
    sys.modules[loader.module] = module
    loader.exec_module(module)
    return module


class _Text(importlib.abc.ExecutionLoader):
    """Loads one module from its text."""

    def __init__(self, source: str, module: str):
        self.source, self.module, self.file = source, module, f"<{module}>"

    def get_source(self, fullname: str) -> str:
        return self.source

    def get_filename(self, fullname: str) -> str:
        return self.file
