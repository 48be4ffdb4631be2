"""Dotted names: one for what has several, in the same order in every process; and calls as they take effect."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_SAME = {
    "posix": "os",
    "nt": "os",
    "posixpath": "os.path",
    "_io": "io",
    "io.open": "builtins.open",
    "_socket": "socket",
    "_pickle": "pickle",
    "_thread": "threading._thread",
    "_signal": "signal",
    "_ctypes": "ctypes",
    "_imp": "imp",
    "_posixsubprocess": "subprocess._posixsubprocess",
    "_frozen_importlib": "importlib._bootstrap",
    "codecs.open": "builtins.open",
    "torch.multiprocessing": "multiprocessing",
    "__builtins__": "builtins",
    "__builtin__": "builtins",
}
_REACHABLE = {
    *("os", "sys", "subprocess", "socket", "builtins", "importlib", "ctypes", "shutil", "inspect", "gc", "threading"),
    *("pickle", "marshal", "time", "types", "signal", "tempfile", "multiprocessing", "__builtins__", "posix"),
}
"""Modules that other modules hold as attributes: `pathlib.os.system` is `os.system`."""
_OWN_MEANING = {("torch", "types"), ("torch", "signal"), ("datetime", "time"), ("scipy", "signal")}


class NameSet(frozenset[str]):
    """Names in the order of the alphabet: what is read must not depend on the hashes of one process."""

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(super().__iter__()))


@dataclass(frozen=True)
class Called:
    """One call as it takes effect: `partial`, `methodcaller` and literal stars undone."""

    name: str
    arguments: tuple[ast.expr, ...]
    keywords: tuple[ast.keyword, ...]
    node: ast.Call

    def keyword(self, name: str) -> ast.expr | None:
        """The value given by that name."""
        return next((keyword.value for keyword in self.keywords if keyword.arg == name), None)

    def argument(self, position: int, name: str = "") -> ast.expr | None:
        """The value given at that position, or by name."""
        return self.arguments[position] if position < len(self.arguments) else self.keyword(name)


def canonical(name: str) -> str:
    """One name for what has several, and for modules that are reached through others."""
    parts = name.split(".")
    for index in range(len(parts) - 1, 0, -1):
        held = parts[index].removeprefix("_") if parts[index] != "__builtins__" else parts[index]
        before = parts[index - 1].removeprefix("_")
        held_by_module = before != held and parts[0] and not before.endswith(("()", "[]"))
        if held in _REACHABLE and held_by_module and (parts[0], held) not in _OWN_MEANING:
            parts = [held, *parts[index + 1 :]]
            break
    if "__self__" in parts[1:]:
        parts = parts[: max(1, parts.index("__self__") - 1)]  # a built-in function's is its module
    name = ".".join(parts)
    for old, new in _SAME.items():
        if name == old or name.startswith(f"{old}."):
            name = new + name[len(old) :]
    return name
