"""In a sandbox, before a run: which modules a task's code imports that are not here, and whether held-out data is.

Input: `request.json` with `modules` (to be imported ahead), `code` (paths below the inputs) and `source` (the path of
the raw data below some importable package, or ""). Output: `lacking.json` with `missing` (module, and file and line of
its import) and `within_reach` (where the raw data lies, or ""). The code is parsed, never run. Standard library only.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

MOST_TOLD = 20


def main() -> None:
    """Look, and write down what was found."""
    inputs, outputs = Path(os.environ["RSI_IN"]), Path(os.environ["RSI_OUT"])
    request = json.loads((inputs / "request.json").read_bytes())
    code = {path: (inputs / path).read_bytes() for path in request["code"]}
    wanted = [(module, "", 0) for module in request["modules"]]
    wanted += [(module, path, line) for path, text in code.items() for module, line in imported(text)]
    own = {part for path in code for part in own_modules(path)}
    missing: dict[str, tuple[str, str, int]] = {}
    for module, path, line in wanted:
        top = module.partition(".")[0]
        if top not in own and top not in missing and not is_here(top):
            missing[top] = (top, path, line)
    found = {"missing": list(missing.values())[:MOST_TOLD], "within_reach": within_reach(request["source"])}
    (outputs / "lacking.json").write_text(json.dumps(found))


def imported(text: bytes) -> Iterator[tuple[str, int]]:
    """Module and line of each import that always happens; one within `try`, `if` or a function may be meant to fail."""
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # told when the code is first used
    for statement in statements:
        if isinstance(statement, ast.Import):
            yield from ((name.name, statement.lineno) for name in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            yield statement.module, statement.lineno


def own_modules(path: str) -> Iterator[str]:
    """What the task's own file may be imported as: its stem, and the folders that it lies in."""
    yield Path(path).stem
    yield from Path(path).parent.parts


def is_here(module: str) -> bool:
    """Whether an import would find it; nothing is imported."""
    if module in sys.stdlib_module_names:
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def within_reach(source: str) -> str:
    """Where the raw data lies that held-out data is made from, if a candidate could read it here."""
    package, _, rest = source.partition("/")
    folders = [*sys.path, *(getattr(sys.modules.get(package), "__path__", ()))]
    found = (Path(folder) / package / rest for folder in folders if source and folder)
    return next((str(path) for path in found if path.exists()), "")


if __name__ == "__main__":
    main()
