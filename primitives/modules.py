"""Modules from text: Python source that is imported without a file."""

from __future__ import annotations

import importlib.abc
import importlib.util
import linecache
import sys
from types import ModuleType


def import_text(source: str, name: str, file: str) -> ModuleType:
    """Import a text as a module, and execute it.

    name: of the module, by which it is found again in `sys.modules`, and its objects are pickled
    within this process. file: what tracebacks call the text; no file on the disk has this name.
    `inspect.getsource` and tracebacks find the lines.

    Raises  whatever the text raises; the module is not there then.
    """
    loader = _Text(source, file)
    spec = importlib.util.spec_from_loader(name, loader, origin=file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = file

    # An entry without a time is never compared with a file.
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


class _Text(importlib.abc.ExecutionLoader):
    """Loads one module from its text."""

    def __init__(self, source: str, file: str):
        self.source, self.file = source, file

    def get_source(self, fullname: str) -> str:
        return self.source

    def get_filename(self, fullname: str) -> str:
        return self.file
