"""Programs that use a docker sandbox in a process of their own, which a test may kill."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLAYER = """
import sys, threading, time
from rsi.execution import Shape
from rsi.testing.sandbox_conformance import job, limits
from sandboxes.docker import DockerSandbox, owner
sandbox = DockerSandbox(pool=2)
sandbox.warm([Shape(limits=limits())] * 2)
print(owner.this_process(), flush=True)
for number in range(int(sys.argv[1])):
    sandbox.sweep()
    print(sandbox.run(job("print(1)")).execution.kind, flush=True)
    sandbox.sweep()
sandbox.close()
"""
HOLDER = """
import sys, time
from rsi.execution import Shape
from rsi.testing.sandbox_conformance import limits
from sandboxes.docker import DockerSandbox, owner
sandbox = DockerSandbox(pool=1)
sandbox._make(Shape(limits=limits()), None)
print(owner.this_process(), flush=True)
time.sleep(120)
"""
STARTER = """
import time
from rsi.execution import Shape
from rsi.testing.sandbox_conformance import limits
from sandboxes.docker import DockerSandbox
sandbox = DockerSandbox(pool=1)
sandbox.warm([Shape(limits=limits())])
time.sleep(120)
"""


@contextmanager
def program(
    code: str, *arguments: str, before: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A Python program of this checkout in a process of its own, killed at the end; its first line names its owner."""
    command = [*before, sys.executable, "-c", code, *arguments]
    settings = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=settings) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
