"""Run folders: where they lie, how one is made, opened to go on, and read without touching it."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import tomli_w

from rsi import anchors, events
from rsi.blobs import Blobs
from rsi.durable import disk_faults
from rsi.errors import EnvironmentFault, IntegrityError, UsageError
from rsi.ledger import Event, Ledger, check_chain, read_events
from rsi.plugins import nearest
from rsi.recorder import Recorder
from rsi.records import Edit, Proposal
from rsi.redaction import Redactor
from rsi.state import RunState, fold
from rsi.storage import BlobStore
from rsi.task import Task
from rsi.workspace import Workspace

LEDGER = "ledger.jsonl"


class OpenRun(NamedTuple):
    """A run that this process is writing."""

    folder: Path
    recorder: Recorder
    workspace: Workspace

    def close(self) -> None:
        """Let another process have it."""
        self.recorder.ledger.close()


class ReadRun(NamedTuple):
    """A run as a reader sees it; it may be going on."""

    folder: Path
    events: list[Event]
    state: RunState
    blobs: Blobs

    def task(self) -> Task:
        """The task as it was frozen at the start."""
        return frozen_task(self.blobs, self.state)

    def at_its_first_end(self) -> ReadRun:
        """The run as it was when it first ended; the same where it never ended, or has not gone on since."""
        kinds = [event.kind for event in self.events]
        if "run.finished" not in kinds:
            return self
        first = self.events[: kinds.index("run.finished") + 1]
        return self if len(first) == len(self.events) else self._replace(events=first, state=fold(first))


def runs_folder() -> Path:
    """Where runs are kept: RSI_RUNS, else `runs` below the working folder."""
    return Path(os.environ.get("RSI_RUNS") or "runs")


def new_run_id(task: str) -> str:
    """The UTC time, the task's name and four random digits; claimed, so that no two runs of a machine share anchors.

    Digits alone do not prevent that where many runs a second begin: each would say that the other was altered.
    """
    while True:
        run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{task}-{secrets.token_hex(2)}"
        if anchors.claim(run_id):
            return run_id


def create(started: events.RunStarted, folder: Path, task: Task, redactor: Redactor) -> OpenRun:
    """Make the folder, write `run.toml`, record the first event; nothing is left behind where that fails."""
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise EnvironmentFault(
            f"{folder} cannot be written: {error.strerror}; set RSI_RUNS to another folder."
        ) from None
    try:
        return _fill(started, folder, task, redactor)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _fill(started: events.RunStarted, folder: Path, task: Task, redactor: Redactor) -> OpenRun:
    with disk_faults(folder):
        (folder / "run.toml").write_text(_toml(started), encoding="utf-8")
    workspace = Workspace.create(folder)
    blobs = Blobs(folder / "blobs", redactor)
    blobs.put(task.model_dump_json(by_alias=True).encode())
    ledger = Ledger.create(folder / LEDGER, redactor)
    try:
        recorder = Recorder(ledger, blobs, RunState(), redactor)
        recorder.record(started)
    except BaseException:
        ledger.close()
        raise
    return OpenRun(folder, recorder, workspace)


def _toml(started: events.RunStarted) -> str:
    values = started.model_dump(mode="json", exclude_none=True, exclude={"randomness"})
    return "# What this run was asked to do, frozen at its start. The ledger holds the same and is what counts.\n" + (
        tomli_w.dumps(values)
    )


def open_to_write(folder: Path, redactor: Redactor) -> tuple[OpenRun, bytes]:
    """Open a run to go on with it, and what a crash left of an unfinished line.

    UsageError where another process is writing it; IntegrityError where its chain does not hold.
    """
    ledger = Ledger.open(folder / LEDGER, redactor)
    try:
        blobs = Blobs(folder / "blobs", redactor)
        recorder = Recorder(ledger, blobs, fold(ledger.events), redactor)
        blobs.clear_unfinished()
        return OpenRun(folder, recorder, Workspace.open(folder)), ledger.recovered
    except BaseException:
        ledger.close()
        raise


def find(name: str) -> Path:
    """The folder of a run named by path, by id, by a unique beginning of an id, or `latest`."""
    given = Path(name)
    if (given / LEDGER).is_file():
        return given
    known = list_runs(runs_folder())
    if name == "latest" and known:
        return known[-1]
    matches = [folder for folder in known if folder.name == name] or [f for f in known if f.name.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if given.is_dir():
        raise UsageError(f"{name} is not a run folder: it has no {LEDGER}; `rsi list` shows the runs.")
    if len(matches) > 1:
        raise UsageError(f"{len(matches)} runs begin with {name!r}; give more of the name, as `rsi list` shows it.")
    if not known:
        raise UsageError(f"There is no run in {runs_folder()}; `rsi run charlm` starts one.")
    raise UsageError(f"There is no run {name!r} in {runs_folder()}: {nearest(name, [f.name for f in known])}")


def list_runs(folder: Path) -> list[Path]:
    """The run folders below a folder, oldest first."""
    try:
        return sorted(entry for entry in folder.iterdir() if (entry / LEDGER).is_file())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise EnvironmentFault(f"{folder} cannot be read: {error.strerror}.") from None


def states_of(task: str, most: int = 10) -> list[RunState]:
    """The latest runs of a task where runs are kept; those that cannot be read are left out."""
    found: list[RunState] = []
    for folder in reversed(list_runs(runs_folder())):
        try:
            state = read(folder).state
            if len(found) < most and frozen_task(Blobs(folder / "blobs", Redactor.none()), state).spec.name == task:
                found.append(state)
        except (IntegrityError, UsageError, EnvironmentFault, ValueError):
            continue
    return found


def read(folder: Path) -> ReadRun:
    """Read a run without locking or changing it; IntegrityError where its chain does not hold."""
    report = check_chain(folder / LEDGER)
    if report.problem is not None:
        raise IntegrityError(f"{report.problem.sentence} `rsi verify {folder}` says more.")
    entries = list(read_events(folder / LEDGER))
    state = fold(entries)
    _ = state.run  # a ledger that no run.started event begins is no run, whatever is asked of it
    return ReadRun(folder, entries, state, Blobs(folder / "blobs", Redactor.none()))


def task_blob_digest(task: Task) -> str:
    """The digest under which `create` stores the task."""
    return hashlib.sha256(task.model_dump_json(by_alias=True).encode()).hexdigest()


def frozen_task(blobs: BlobStore, state: RunState) -> Task:
    """The task as the run's first event names it."""
    return Task.model_validate_json(blobs.get(state.run.task))


def read_proposals(folder: Path) -> Iterator[Proposal]:
    """Every proposal of a run in order; neither the baseline nor what was carried over from an earlier one."""
    run = read(folder)
    for experiment in run.state.experiments.values():
        proposed = experiment.proposed
        if proposed.edit is not None and proposed.again is None:
            yield Proposal(
                edit=Edit.model_validate_json(run.blobs.get(proposed.edit)),
                rationale=proposed.rationale,
                kind=proposed.kind,
                detail=proposed.detail,
                provenance=proposed.provenance,
                problem=proposed.problem,
            )
