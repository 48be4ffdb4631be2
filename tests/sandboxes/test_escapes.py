"""Nothing gets out of the docker sandbox; and whatever is stopped would get out without what stops it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from escape_ground import Ground
from weakened import HOST_OPTIONS, JOB_LIMITS, OUTPUT_VOLUME, ObservedSandbox, WeakSandbox, end, patched

from rsi.execution import Job
from rsi.protocols import Sandbox
from rsi.testing.escapes import ATTEMPTS, LOOK, Attempt, Protection, Scene
from rsi.testing.sandbox_conformance import job
from sandboxes.docker import DockerSandbox, policy
from sandboxes.docker.cell import Cell
from sandboxes.process import ProcessSandbox

Without = Callable[[Attempt, tuple[Protection, ...]], tuple[bool, Scene]]
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "sandboxes.md"


@pytest.fixture(scope="module")
def api() -> Iterator[Any]:
    client = docker.from_env()
    yield client.api
    client.close()


@pytest.fixture(scope="module")
def ground(api: Any) -> Iterator[Ground]:
    if os.geteuid() != 0:
        pytest.skip("the host looks into containers through /proc, which takes root")
    with Ground(Path(tempfile.mkdtemp()), api) as ground:
        yield ground


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ObservedSandbox]:
    sandbox = ObservedSandbox(pool=3)
    sandbox.warm([job("").shape] * 3)
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="module")
def other(ground: Ground) -> Iterator[policy.CellPlan]:
    """A trial that waits beside the attempt, with something secret in its inputs."""
    sandbox = ObservedSandbox(pool=0)
    cell = None
    try:
        with sandbox._belfry.execution() as bell:
            cell = sandbox._make(job("").shape, bell)
        cell.fill({"other-trial": ground.secret.encode()})
        ground.facts["other"] = cell.plan.name
        yield cell.plan
    finally:
        if cell is not None:
            cell.destroy()
        sandbox.close()


@pytest.fixture(scope="module")
def setuid_image(api: Any) -> Iterator[str]:
    """The sandbox's image with one setuid file in it."""
    sandbox = DockerSandbox(pool=0)
    source = sandbox.describe().image_digest
    sandbox.close()
    command = ["chmod", "u+s", "/bin/sleep"]
    options = {"Image": source, "Entrypoint": command, "User": "0", "HostConfig": {"NetworkMode": "none"}}
    container = api.create_container_from_config(options)["Id"]
    image = None
    try:
        api.start(container)
        assert api.wait(container)["StatusCode"] == 0
        image = api.commit(container)["Id"]
        yield image
    finally:
        api.remove_container(container, force=True)
        if image is not None:
            api.remove_image(image, noprune=True)


def asked(attempt: Attempt, scene: Scene, without: tuple[Protection, ...] = ()) -> Job:
    lifted = {name: value for one in without for name, value in JOB_LIMITS.get(one, {}).items()}
    return job(attempt.program, json.dumps(scene.facts), **{**attempt.limits, **lifted})


def had_effect(attempt: Attempt, scene: Scene, sandbox: Sandbox, asked: Job, surround: Callable[[], None]) -> bool:
    """Run it; `surround` tells the scene, once the program waits, where it is to be looked for."""
    printed = bytearray()
    looks: list[bool] = []

    def watch(_stream: str, data: bytes) -> None:
        printed.extend(data)
        if LOOK in printed and not looks:
            surround()
            looks.append(attempt.effect(scene) if attempt.seen == "during" else False)
            end([*scene.numbers()][1:])

    try:
        scene.outcome = sandbox.run(asked, watch)
    except ValueError:  # pydantic's: what came out cannot be recorded
        scene.broke = True
    if attempt.seen == "during":
        return looks == [True]
    return attempt.effect(scene)


def ask_engine(scene: Scene, api: Any, sandbox: ObservedSandbox, other: policy.CellPlan) -> None:
    """The questions of the attempts that only the engine can answer."""

    def run(*command: str) -> str:
        made = api.exec_create(sandbox.cell.worker, list(command))
        return str(api.exec_start(made["Id"]).decode())

    def process_limit() -> str:
        return (group(sandbox.cell) / "pids.max").read_text()

    def log_size() -> int:
        path = api.inspect_container(sandbox.cell.worker)["LogPath"]
        return Path(path).stat().st_size if path else 0

    def volume_made() -> bool:
        with contextlib.suppress(docker.errors.NotFound):
            api.inspect_volume(scene.token)
            api.remove_volume(scene.token)
            return True
        return False

    def left_at_other() -> bool:
        listing, _ = api.get_archive(f"{other.name}-holder", "/out/.")
        return scene.token.encode() in b"".join(listing)

    scene.engine = {
        **scene.engine,
        "host name": lambda: run("hostname"),
        "process limit": process_limit,
        "log size": log_size,
        "volume made": volume_made,
        "left at the other trial": left_at_other,
    }


def group(cell: Cell) -> Path:
    """The control group that counts a cell's processes."""
    assert cell._group is not None, "the suite looks into containers of this machine's engine"
    return cell._group._members.parent


def look_into(scene: Scene, api: Any, sandbox: ObservedSandbox) -> None:
    first = int(api.inspect_container(sandbox.cell.worker)["State"]["Pid"])
    listed = group(sandbox.cell) / "cgroup.procs"
    scene.root = Path(f"/proc/{first}/root")
    scene.numbers = lambda: [first, *(number for number in map(int, listed.read_text().split()) if number != first)]


@pytest.mark.docker
@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_an_attempt_has_no_effect(
    attempt: Attempt, ground: Ground, api: Any, sandbox: ObservedSandbox, other: policy.CellPlan
) -> None:
    scene = ground.scene(attempt)
    ask_engine(scene, api, sandbox, other)
    looked: list[None] = []

    def surround() -> None:
        look_into(scene, api, sandbox)
        looked.append(None)

    assert not had_effect(attempt, scene, sandbox, asked(attempt, scene), surround)
    assert scene.outcome is not None
    if attempt.seen == "during" and not looked:
        assert scene.outcome.execution.kind != "completed"  # it was ended before it could be looked at


@pytest.fixture
def without(
    ground: Ground, api: Any, other: policy.CellPlan, setuid_image: str, monkeypatch: pytest.MonkeyPatch
) -> Without:
    """Make an attempt with some protections taken away: whether it had its effect."""

    def make(attempt: Attempt, lacks: tuple[Protection, ...]) -> tuple[bool, Scene]:
        patched(lacks, monkeypatch)
        scene = ground.scene(attempt)
        if Protection.SANITISED in lacks:
            scene.show = lambda text: text
        WeakSandbox.looked.clear()
        sandbox = WeakSandbox(lacks, ground, other, setuid_image)
        ask_engine(scene, api, sandbox, other)
        program = asked(attempt, scene, lacks)
        try:
            return had_effect(attempt, scene, sandbox, program, lambda: look_into(scene, api, sandbox)), scene
        finally:
            WeakSandbox.looked.set()
            sandbox.close()

    return make


@pytest.mark.docker
@pytest.mark.long
@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_an_attempt_has_its_effect_without_what_stops_it(attempt: Attempt, without: Without) -> None:
    succeeded, scene = without(attempt, attempt.stopped_by)
    assert succeeded, scene.outcome


SEVERAL = [(attempt, kept) for attempt in ATTEMPTS if len(attempt.stopped_by) > 1 for kept in attempt.stopped_by]


@pytest.mark.docker
@pytest.mark.long
@pytest.mark.parametrize(("attempt", "kept"), SEVERAL, ids=lambda value: getattr(value, "name", None))
def test_where_several_stop_an_attempt_any_one_of_them_does(
    attempt: Attempt, kept: Protection, without: Without
) -> None:
    succeeded, scene = without(attempt, tuple(one for one in attempt.stopped_by if one is not kept))
    assert not succeeded, scene.outcome
    assert scene.outcome is not None
    assert scene.outcome.execution.kind != "lost"


def test_every_protection_can_be_taken_away_and_is_what_stops_something() -> None:
    elsewhere = {
        Protection.ENVIRONMENT,
        Protection.UNPRIVILEGED_USER,
        Protection.OWN_USER,
        Protection.NO_SETUID_FILES,
        Protection.KILLED_AS_A_WHOLE,
        Protection.KILLED_OUTRIGHT,
        Protection.NEVER_EXTRACTED,
        Protection.NAME_RULES,
        Protection.SANITISED,
    }
    assert {*HOST_OPTIONS, *OUTPUT_VOLUME, *JOB_LIMITS, *elsewhere} == set(Protection)
    assert {protection for attempt in ATTEMPTS for protection in attempt.stopped_by} == set(Protection)
    assert len({attempt.name for attempt in ATTEMPTS}) == len(ATTEMPTS) >= 40


def test_what_the_process_sandbox_does_not_stop_is_what_its_documentation_says(tmp_path: Path) -> None:
    section = DOCUMENTATION.read_text("utf-8").split("### What it does not stop", 1)[1].split("\n#", 1)[0]
    documented = re.findall(r"^- `([^`]+)`$", section, re.MULTILINE)
    sandbox = ProcessSandbox()
    found = []
    with Ground(tmp_path / "ground") as ground:
        for attempt in ATTEMPTS:
            if attempt.harmless:
                scene = ground.scene(attempt)
                if had_effect(attempt, scene, sandbox, asked(attempt, scene), lambda: None):
                    found.append(attempt.name)
                ground.ledger.write_text(ground.secret)
    sandbox.close()
    assert found == documented
