"""A study on disk: one hash-chained ledger, what the models wrote as blobs, the design for people to read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from rsi import begun
from rsi.blobs import Blobs
from rsi.durable import disk_faults, write_whole
from rsi.errors import EnvironmentFault, IntegrityError, UsageError
from rsi.execution import Execution, SandboxDescription
from rsi.heads import redactor_of
from rsi.ledger import Event, Ledger, read_events
from rsi.records import Record
from rsi.sanitize import for_terminal
from studies.collapse.acceptance import Acceptance
from studies.collapse.design import FIRST, ROW, Design
from studies.collapse.measures import Measures
from studies.collapse.text import RealText

LEDGER = "ledger.jsonl"
DESIGN = "study.json"
STARTED = "collapse.started"
MEASURED = "collapse.measured"
_BEFORE_START = {"blobs", DESIGN, LEDGER, "lock"}
"""What a study that was killed before its first event leaves."""


class Cell(Record):
    """One model: an arm (or `first`), which of the seeds, which generation."""

    arm: str
    seed: int = Field(ge=0)
    generation: int = Field(ge=0)


def cells(design: Design) -> Iterator[Cell]:
    """Every model of a study, generation by generation."""
    for seed in range(design.seeds):
        yield Cell(arm=FIRST, seed=seed, generation=0)
    for generation in range(1, design.generations + 1):
        for seed in range(design.seeds):
            for arm in design.arms:
                yield Cell(arm=arm.name, seed=seed, generation=generation)


class Started(Record):
    """The first event: all that the rest follows from."""

    design: Design
    training: str
    dev: str
    holdout: str
    """sha256 of the parts of real text; blobs."""
    window: int = Field(gt=0)
    program: dict[str, str]
    """File that ran in the sandbox → sha256."""
    sandbox: SandboxDescription
    versions: dict[str, str]


class Measured(Record):
    """One model was trained, asked and let write; all that was measured of it."""

    cell: Cell
    trained_on: str
    """sha256 of the rows."""
    rows: int
    acceptance: Acceptance | None
    """Of the rows, in a filtered arm."""
    weights: dict[str, str]
    """File → sha256; the weights themselves are not kept."""
    losses: str
    """Blob: float64, a number for each question."""
    text: str
    """Blob: all that it wrote, in streams one after the other."""
    measures: Measures
    executions: tuple[Execution, ...]


class Study(Record):
    """A study as it stands on disk."""

    started: Started
    measured: tuple[Measured, ...]
    head: str

    @property
    def design(self) -> Design:
        """What it was asked to do."""
        return self.started.design

    @property
    def complete(self) -> bool:
        """Whether every model was trained."""
        return len(self.measured) == self.design.cells()


class OpenStudy:
    """A study that this process is writing; close it."""

    def __init__(self, folder: Path, ledger: Ledger, study: Study) -> None:
        """Use `create` or `reopen`."""
        self.folder = folder
        self.study = study
        self.blobs = Blobs(folder / "blobs", ledger.redactor)
        self._ledger = ledger

    def add(self, measured: Measured) -> None:
        """Record a model; it is on disk when this returns."""
        event = self._ledger.append(MEASURED, measured.model_dump(mode="json"))
        self.study = self.study.model_copy(update={"measured": (*self.study.measured, measured), "head": event.hash})

    def close(self) -> None:
        """Let another process have it."""
        self._ledger.close()


def create(folder: Path, started: Started, text: RealText) -> OpenStudy:
    """Make the folder and record the start; UsageError where something else lies there, or another process begins."""
    with begun.beginning(folder):
        if is_study(folder):
            raise UsageError(f"Another process has begun a study in {folder}; name another folder with --out.")
        if not begun.holds_nothing_but(folder, _BEFORE_START):
            raise UsageError(f"{folder} is there and holds no study of collapse; name another folder with --out.")
        redactor = redactor_of(os.environ)
        blobs = Blobs(folder / "blobs", redactor)
        for part in (text.training, text.dev, text.holdout):
            blobs.put(part)
        with disk_faults(folder):
            design = started.design.model_dump_json(indent=2) + "\n"
            write_whole(folder / DESIGN, design.encode(), staging=folder)
            (folder / LEDGER).unlink(missing_ok=True)  # empty, or this would be a study
        ledger = Ledger.create(folder / LEDGER, redactor)
        event = ledger.append(STARTED, started.model_dump(mode="json"))
    return OpenStudy(folder, ledger, Study(started=started, measured=(), head=event.hash))


def reopen(folder: Path) -> OpenStudy:
    """Open a study to go on with it; UsageError where there is none, or another process is writing it."""
    _require_study(folder)
    ledger = Ledger.open(folder / LEDGER, redactor_of(os.environ))
    try:
        opened = OpenStudy(folder, ledger, _study(folder, ledger.events))
        opened.blobs.clear_unfinished()
    except BaseException:
        ledger.close()
        raise
    return opened


def is_study(folder: Path) -> bool:
    """Whether a ledger with something in it lies there; what that is is seen when it is read."""
    return os.path.lexists(folder / LEDGER) and (folder / LEDGER).lstat().st_size > 0


def read(folder: Path) -> Study:
    """A study that may be going on. UsageError where there is none, IntegrityError where its chain does not hold."""
    _require_study(folder)
    return _study(folder, list(read_events(folder / LEDGER)))


def _require_study(folder: Path) -> None:
    if not is_study(folder):
        raise UsageError(f"{folder} holds no study; `rsi lab collapse --out {folder}` makes one.")


def real_text_of(folder: Path, started: Started) -> RealText:
    """The real text that a study was begun with."""
    blobs = Blobs(folder / "blobs", redactor_of(os.environ))
    text = RealText(
        training=blobs.get(started.training),
        dev=blobs.get(started.dev),
        holdout=blobs.get(started.holdout),
        window=started.window,
    )
    whole = all(part and len(part) % text.window == 0 for part in (text.dev, text.holdout))
    if not whole or text.window <= ROW or len(text.training) <= ROW:
        raise IntegrityError(f"The real text in {folder} is not as a study is begun with; it was altered.")
    return text


def require_same(study: Study, design: Design, program: Mapping[str, str], sandbox: SandboxDescription) -> None:
    """UsageError or EnvironmentFault where going on would put models into one study that do not compare."""
    if study.design != design:
        named = [name for name in Design.model_fields if getattr(study.design, name) != getattr(design, name)]
        raise UsageError(
            f"The study in that folder was asked for otherwise ({', '.join(named)}); `rsi lab resume` goes on with it "
            "as it is, or name another folder with --out."
        )
    if study.started.program != digests(program):
        raise UsageError("That study was begun by another version of this program; name another folder with --out.")
    before = study.started.sandbox
    if (before.name, before.image_digest) != (sandbox.name, sandbox.image_digest):
        raise EnvironmentFault(
            f"That study was begun in {_place(before)}, and this is {_place(sandbox)}; use that one again, or name "
            "another folder with --out."
        )


def require_same_text(study: Study, text: RealText) -> None:
    """UsageError where a study was begun on another text."""
    if (study.started.training, study.started.holdout) != (digest(text.training), digest(text.holdout)):
        raise UsageError(
            "The study in that folder was begun on another text; `rsi lab resume` goes on with it as it is, or name "
            "another folder with --out."
        )


def digests(files: Mapping[str, str]) -> dict[str, str]:
    """File → sha256 of its text."""
    return {name: digest(content.encode()) for name, content in sorted(files.items())}


def digest(content: bytes) -> str:
    """The name of a blob."""
    return hashlib.sha256(content).hexdigest()


def _place(described: SandboxDescription) -> str:
    return for_terminal(
        f"the sandbox {described.name}" + f" with image {described.image_digest}" * bool(described.image)
    )


def _study(folder: Path, events: list[Event]) -> Study:
    if not events or events[0].kind != STARTED:
        raise UsageError(f"{folder} holds a record of something else than a study of collapse; name another folder.")
    try:
        started = Started.model_validate(events[0].body)
        measured = tuple(Measured.model_validate(event.body) for event in events[1:] if event.kind == MEASURED)
    except (ValidationError, RecursionError):
        raise IntegrityError(
            f"{folder / LEDGER} holds an event that no study of this version writes; use the rsi that wrote it."
        ) from None
    found = {entry.cell for entry in measured}
    if len(measured) != len(events) - 1 or len(found) < len(measured) or not found.issubset(cells(started.design)):
        raise IntegrityError(f"{folder / LEDGER} holds events that no study writes; it was altered.")
    return Study(started=started, measured=measured, head=events[-1].hash)
