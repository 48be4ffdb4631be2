"""The options that docs/sandboxes.md promises are those of a container that runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import docker
import pytest

from rsi.execution import Limits, Shape
from sandboxes.bell import Bell
from sandboxes.docker import DockerSandbox

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sandboxes.md"
LIMITS = Limits(cpus=0.5, processes=7, open_files=77, disk_bytes=3 * 2**20, memory_bytes=300 * 2**20)


def documented() -> dict[str, str]:
    """Option → value, as the page has them."""
    section = PAGE.read_text().split("### The options of a running container", 1)[1].split("\n### ", 1)[0]
    return dict(re.findall(r"^\| `([A-Z][\w.]+)` \| `(.+)` \|$", section, re.MULTILINE))


def value_of(text: str) -> Any:
    """A JSON value, or a limit by its name, with what is added to it or what it is multiplied by."""
    name, _, rest = text.partition(" ")
    if name not in Limits.model_fields:
        return json.loads(text)
    sign, _, number = rest.partition(" ")
    limit = getattr(LIMITS, name)
    return limit + int(number) if sign == "+" else limit * int(number) if sign == "*" else limit


def found_at(inspected: dict[str, Any], path: str) -> Any:
    """What the engine says there; the limits of the shell's `ulimit` by their names."""
    value: Any = inspected
    for part in path.split("."):
        if isinstance(value, list):
            limit = next(entry for entry in value if entry["Name"] == part)
            assert limit["Soft"] == limit["Hard"]
            value = limit["Hard"]
        else:
            value = value[part]
    return value


def test_the_page_tells_the_options_that_matter() -> None:
    wanted = {"NetworkMode", "CapDrop", "SecurityOpt", "ReadonlyRootfs", "Memory", "MemorySwap", "PidsLimit", "Binds"}
    assert wanted <= {path.split(".")[1] for path in documented()}


@pytest.mark.docker
def test_a_running_container_has_every_documented_option() -> None:
    sandbox, bell, client = DockerSandbox(pool=0), Bell(), docker.from_env()
    try:
        sandbox.describe()
        cell = sandbox._make(Shape(limits=LIMITS), bell)
        try:
            inspected = client.api.inspect_container(cell.worker)
            assert inspected["State"]["Running"]
            wrong = {
                path: (found, value_of(text))
                for path, text in documented().items()
                if (found := found_at(inspected, path)) != value_of(text)
            }
            assert wrong == {}
        finally:
            cell.destroy()
    finally:
        bell.close()
        sandbox.close()
        client.close()
