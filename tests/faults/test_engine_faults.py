"""The engine dies, hangs or loses its image under a run: nothing counts against a candidate, and the run goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from private_engine import IMAGE, PrivateEngine, private_engine
from sandbox_programs import HOLDER, STARTER, first_line, program

from rsi.execution import ExitKind
from rsi.review.verify import verify
from rsi.runs import ReadRun, read
from tasks.skeleton import make

pytestmark = pytest.mark.docker
ROOT = Path(__file__).resolve().parents[2]
SLOW = '\nif __name__ == "__main__":\n    import time\n    print("training", flush=True)\n    time.sleep({seconds})\n'


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    with private_engine() as engine:
        yield engine


class Place:
    """Folders for one test, and the command line on the private engine."""

    def __init__(self, folder: Path, engine: PrivateEngine) -> None:
        self.runs = folder / "runs"
        self.engine = engine
        self.folder = folder
        self.environment = {
            **os.environ,
            "DOCKER_HOST": engine.address,
            "RSI_IMAGE": IMAGE,
            "RSI_RUNS": str(self.runs),
            "RSI_STATE": str(folder / "state"),
            "RSI_CACHE": str(folder / "cache"),
            "PYTHONPATH": str(ROOT),
        }

    def task(self, seconds: float = 0.0, **replace: str) -> str:
        """The skeleton, whose training takes that much longer."""
        task = make("small", self.folder)
        script = task / "train.py"
        script.write_text(script.read_text().replace('\nif __name__ == "__main__":\n', SLOW.format(seconds=seconds)))
        for old, new in replace.items():
            specification = task / "task.toml"
            specification.write_text(re.sub(rf"{old} = \S+", f"{old} = {new}", specification.read_text()))
        return str(task)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """`rsi` with these arguments, going on in the background."""
        command = [sys.executable, "-W", "error", "-m", "cli", *arguments]
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**self.environment, **environment},
            cwd=self.folder,
        )

    def rsi(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """The exit code and all that was said."""
        with self.start(*arguments, **environment) as process:
            said = process.communicate(timeout=120)[0]
        return process.returncode, said

    def ledger(self) -> list[dict[str, Any]]:
        """The events of the one run, as far as they are written."""
        for path in self.runs.glob("*/ledger.jsonl"):
            lines = path.read_text().split("\n")[:-1]
            return [json.loads(line) for line in lines]
        return []

    def wait_for(self, what: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not what():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def wait_for_event(self, kind: str, times: int = 1) -> None:
        self.wait_for(lambda: sum(event["kind"] == kind for event in self.ledger()) >= times)

    def wait_for_program(self) -> None:
        """Until a program runs in a cell: the worker has a child."""
        self.wait_for(lambda: any("train" in name for name in self.names()))
        time.sleep(0.3)

    def names(self) -> list[str]:
        form = ["--filter", "label=rsi.owner", "--format", "{{.Names}}"]
        return self.engine.docker("ps", *form, check=False).stdout.split()

    def left(self) -> list[str]:
        """Containers and volumes of ours at the engine."""
        kinds = (("ps", "--all", "--format", "{{.Names}}"), ("volume", "ls", "--format", "{{.Name}}"))
        asked = (self.engine.docker(*kind, "--filter", "label=rsi.owner").stdout for kind in kinds)
        return [name for names in asked for name in names.split()]

    def record(self) -> ReadRun:
        (folder,) = self.runs.iterdir()
        return read(folder)


@pytest.fixture
def place(tmp_path: Path, engine: PrivateEngine) -> Place:
    return Place(tmp_path, engine)


def kinds(record: ReadRun) -> list[str]:
    """How each trial ended: `scored` or the kind of its failure."""
    return [trial.failed.kind.value if trial.failed else "scored" for trial in record.state.trials.values()]


@pytest.mark.parametrize(
    "with_containers",
    [
        pytest.param(False, id="containers-survive", marks=pytest.mark.long),
        pytest.param(True, id="containers-die-too"),
    ],
)
def test_a_run_goes_on_by_itself_after_its_engine_was_killed_and_started_again(
    place: Place, with_containers: bool
) -> None:
    with place.start("run", place.task(seconds=2), "--experiments", "0", "--seed", "3") as process:
        try:
            place.wait_for_program()
            place.engine.kill(with_containers=with_containers)
            place.wait_for_event("trial.failed")
            time.sleep(1.5)
            place.engine.start()
            said = process.communicate(timeout=120)[0]
        finally:
            process.kill()
    assert process.returncode == 0, said
    assert "The engine is gone" in said
    assert "The engine is back" in said
    record = place.record()
    assert kinds(record) == ["lost", "scored"]
    lost, again = record.state.trials["0.1"], record.state.trials["0.2"]
    assert lost.screened is None
    assert lost.started.seed == again.started.seed
    assert verify(record.folder).ok
    assert place.left() == []


@pytest.mark.long
def test_an_engine_that_does_not_come_back_pauses_the_run_and_resuming_goes_on(place: Place) -> None:
    arguments = ("run", place.task(seconds=2), "--experiments", "0", "--seed", "3")
    with place.start(*arguments, RSI_ENGINE_PATIENCE="2") as process:
        try:
            place.wait_for_program()
            place.engine.kill(with_containers=True)
            said = process.communicate(timeout=60)[0]
        finally:
            process.kill()
            place.engine.start()
    assert process.returncode == 3, said
    assert "did not come back within 2 s" in said
    assert f"resume {place.record().folder.name}" in said
    assert kinds(place.record()) == ["lost"]
    assert place.left() != []  # nobody could remove it
    code, said = place.rsi("resume", "latest")
    assert code == 0, said
    assert kinds(place.record()) == ["lost", "scored"]
    assert verify(place.record().folder).ok
    assert place.left() == []


@pytest.mark.long
def test_an_engine_that_hangs_makes_no_timeout_of_a_program_that_ended(place: Place) -> None:
    task = place.task(seconds=1.5, wall_seconds="4.0")
    with place.start("run", task, "--experiments", "0", "--seed", "3") as process:
        try:
            place.wait_for_program()
            place.engine.signal(signal.SIGSTOP)
            place.wait_for_event("trial.failed")
            place.engine.signal(signal.SIGCONT)
            said = process.communicate(timeout=120)[0]
        finally:
            place.engine.signal(signal.SIGCONT)
            process.kill()
    assert process.returncode == 0, said
    assert kinds(place.record()) == ["lost", "scored"]
    assert place.left() == []


@pytest.mark.long
def test_an_engine_that_tells_late_of_a_program_that_ended_in_time_costs_nothing(place: Place) -> None:
    task = place.task(seconds=1.5, wall_seconds="4.0")
    with place.start("run", task, "--experiments", "0", "--seed", "3") as process:
        try:
            place.wait_for_program()
            place.engine.signal(signal.SIGSTOP)
            time.sleep(6)  # past the deadline, and not so long that nobody listens any more
            place.engine.signal(signal.SIGCONT)
            said = process.communicate(timeout=120)[0]
        finally:
            place.engine.signal(signal.SIGCONT)
            process.kill()
    assert process.returncode == 0, said
    assert kinds(place.record()) == ["scored"]


@pytest.mark.long
def test_a_run_whose_image_was_removed_pauses_and_goes_on_once_the_same_image_is_back(place: Place) -> None:
    digest = place.engine.load_small_image()
    saved = place.folder / "image.tar"
    place.engine.docker("save", "--output", str(saved), IMAGE)
    with place.start("run", place.task(), "--experiments", "30", "--seed", "3") as process:
        try:
            place.wait_for_event("experiment.closed", 2)
            process.send_signal(signal.SIGSTOP)
            place.engine.docker("rm", "--force", *place.engine.docker("ps", "--all", "--quiet").stdout.split())
            place.engine.docker("rmi", "--force", digest)
            process.send_signal(signal.SIGCONT)
            said = process.communicate(timeout=60)[0]
        finally:
            process.kill()
    assert process.returncode == 3, said
    assert f"no image {digest}" in said
    assert "load" in said
    before = place.record()
    assert set(kinds(before)) <= {"scored"} or before.state.open_trials()
    code, said = place.rsi("resume", "latest", "--experiments", "3")
    assert code == 3
    assert digest in said

    other = place.engine.docker("import", "-", IMAGE, feed=saved_nothing(place.folder)).stdout.strip()
    assert other != digest
    code, said = place.rsi("resume", "latest", "--experiments", "3")
    assert code == 3, "another image under the same name is not the same image"
    assert "--image" in said
    assert len(place.record().events) == len(before.events)
    place.engine.docker("load", "--input", str(saved))
    done = len([x for x in before.state.experiments.values() if x.closed])
    code, said = place.rsi("resume", "latest", "--experiments", str(done))
    assert code == 0, said
    record = place.record()
    assert record.state.run.sandbox.image_digest == digest
    assert ExitKind.CRASHED not in kinds(record)
    assert verify(record.folder).ok
    assert place.left() == []


@pytest.mark.long
def test_another_image_is_used_only_by_the_users_own_word_which_is_on_record(place: Place) -> None:
    place.engine.load_small_image()
    code, said = place.rsi("run", place.task(), "--experiments", "0", "--seed", "3")
    assert code == 0, said
    first = place.record().state.run.sandbox.image_digest
    with subprocess.Popen(["printf", "FROM %s\\nLABEL other=1\\n", IMAGE], stdout=subprocess.PIPE) as recipe:
        assert recipe.stdout is not None
        place.engine.docker("build", "--tag", "rsi-small:2", "-", feed=recipe.stdout.fileno())
    code, said = place.rsi("resume", "latest", "--experiments", "1", "--image", "rsi-small:2")
    assert code == 0, said
    record = place.record()
    second = record.state.sandbox.image_digest
    assert second != first
    baseline, *others = [trial.trained.execution.image for trial in record.state.trials.values()]
    assert (baseline, set(others)) == (first, {second})
    report = verify(record.folder)
    assert report.ok, report.problems
    assert any("another image" in note and second in note for note in report.notes)
    code, said = place.rsi("resume", "latest", "--experiments", "2")
    assert code == 0, said
    assert place.record().state.sandbox.image_digest == second


def saved_nothing(folder: Path) -> int:
    """An open, empty archive: an image with nothing in it."""
    path = folder / "nothing.tar"
    subprocess.run(["tar", "--create", "--file", str(path), "--files-from", "/dev/null"], check=True)
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def test_a_start_sweeps_at_once_and_not_only_at_its_end(place: Place) -> None:
    with program(HOLDER, environment=place.environment) as dead:  # on an engine where nobody else sweeps
        first_line(dead)
        (holder, worker) = sorted(place.names(), key=lambda name: not name.endswith("-holder"))
    assert len(place.left()) == 4
    with program(STARTER, environment=place.environment):
        place.wait_for(lambda: not {holder, worker} & set(place.left()))
    code, said = place.rsi("sandbox", "prune")
    assert code == 0, said
    assert place.left() == []


# --- interrupts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.long),
        pytest.param(signal.SIGHUP, marks=pytest.mark.long),
    ],
    ids=lambda number: number.name,
)
def test_an_interrupt_ends_the_trial_records_that_and_leaves_nothing(place: Place, number: signal.Signals) -> None:
    with place.start("run", place.task(seconds=20), "--experiments", "1", "--seed", "3") as process:
        try:
            place.wait_for_program()
            code, said = place.rsi("resume", "latest")
            assert code == 2
            assert "being written by another process" in said
            process.send_signal(number)
            said = process.communicate(timeout=60)[0]
        finally:
            process.kill()
    assert process.returncode == 130, said
    assert kinds(place.record()) == ["interrupted"]
    assert place.record().state.paused is not None
    assert place.left() == []


@pytest.mark.long
def test_an_impatient_interrupt_leaves_at_once_and_the_next_start_cleans_up(place: Place) -> None:
    with place.start("run", place.task(seconds=20), "--experiments", "0", "--seed", "3") as process:
        try:
            place.wait_for_program()
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)  # two of a kind may reach the process as one
            said = process.communicate(timeout=10)[0]
        finally:
            process.kill()
    assert process.returncode == 130, said
    assert place.left() != []
    assert verify(place.record().folder).ok
    code, said = place.rsi("sandbox", "prune")
    assert code == 0, said
    assert place.left() == []


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupt_while_a_finished_run_tidies_up_loses_nothing(place: Place, number: signal.Signals) -> None:
    with place.start("run", place.task(), "--experiments", "0", "--seed", "3") as process:
        try:
            place.wait_for_event("run.finished")
            process.send_signal(number)
            said = process.communicate(timeout=60)[0]
        finally:
            process.kill()
    assert "Traceback" not in said
    assert process.returncode in (0, 130, -number), said
    assert verify(place.record().folder).ok
    code, said = place.rsi("sandbox", "prune")
    assert code == 0, said
    assert place.left() == []
