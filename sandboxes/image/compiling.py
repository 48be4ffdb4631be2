"""Runs inside a helper container, with the image's own interpreter: compiles Python files, the same way each time.

`python3 compiling.py OUT LIST FOLDER…` writes, for every source named in the file LIST or lying below a folder, its
compiled form below OUT. A compiled file names no time (`UNCHECKED_HASH`: the root is read-only, so no source changes
under it). What an interpreter writes also depends on what it compiled before, so the files are dealt to a fixed number
of processes in a fixed order, and the caller sets PYTHONHASHSEED. Standard library only.
"""

import importlib.util
import os
import py_compile
import sys
from pathlib import Path

PROCESSES = 4
"""Not the number of cores: it decides the bytes."""


def main(out: str, listed: str, folders: list[str]) -> int:
    """The number of processes that failed."""
    below = [str(path) for folder in folders for path in Path(folder).rglob("*.py")]
    sources = sorted({*Path(listed).read_text().splitlines(), *below})
    children = []
    for number in range(PROCESSES):
        child = os.fork()
        if child == 0:
            compile_all(sources[number::PROCESSES], out)
            os._exit(0)
        children.append(child)
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


def compile_all(sources: list[str], out: str) -> None:
    """Compile one process's share; templates that are no Python yet do not compile, and need not."""
    for source in sources:
        try:
            py_compile.compile(
                source,
                cfile=out + importlib.util.cache_from_source(source),
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except py_compile.PyCompileError:
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
