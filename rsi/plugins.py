"""Implementations by name: looked up by entry point, or by path for what a lab has not packaged.

A name on the command line is a registered name (`docker`), or a path: `folder/module.py:Class`.
"""

from __future__ import annotations

import difflib
import importlib.util
import sys
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from rsi.errors import UsageError

MOST_NAMED = 20
"""Of the names that are known, where none is near."""

Group = Literal["proposers", "sandboxes", "verifiers", "policies", "tasks", "sources"]


def names(group: Group) -> tuple[str, ...]:
    """The registered names of a group, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=f"rsi.{group}")}))


def nearest(wanted: str, known: Iterable[str]) -> str:
    """A half-sentence that helps with a name that is not known."""
    known = sorted(known)
    close = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return f"known are {', '.join(known[:MOST_NAMED])}{more}." if known else "none is known."


def load(group: Group, name: str) -> Any:
    """The object registered under that name, or the one that `path.py:Name` points at; UsageError for neither."""
    if ".py:" in name:
        return _load_path(group, name)
    for entry in entry_points(group=f"rsi.{group}"):
        if entry.name == name:
            return entry.load()
    singular = {"policies": "policy", "sandboxes": "sandbox"}.get(group, group.removesuffix("s"))
    raise UsageError(f"There is no {singular} called {name!r}: {nearest(name, names(group))}")


def _load_path(group: Group, name: str) -> Any:
    file, _, attribute = name.rpartition(":")
    path = Path(file).resolve()
    if not path.is_file():
        raise UsageError(f"{file} is not a file; name a {group} module as path/to/module.py:Name.")
    module_name = f"rsi_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a plug-in's file raises, a syntax error included
        raise UsageError(f"{file} cannot be loaded: {type(error).__name__}: {error}; mend it.") from error
    found = getattr(module, attribute, None)
    if found is None:
        raise UsageError(f"{file} defines no {attribute!r}: {nearest(attribute, vars(module))}")
    return found
