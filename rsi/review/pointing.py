"""Where a finding points: the line of the diff, the stream or the code that it is about, and the command that shows it.

Evidence is read as it is recorded and may be hostile, missing or altered: then there is no line to quote.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from rsi import events as e
from rsi.errors import RsiError
from rsi.review.findings import Found
from rsi.review.reading import Reading
from rsi.review.wording import one_line
from rsi.runs import ReadRun, runs_folder
from rsi.workspace import Workspace

LONGEST_QUOTED = 64 * 1024 * 1024
"""Bytes of a stream or a diff that is read for the sake of one line."""


def spelled(folder: Path) -> str:
    """How a run is named in a command: by its id where that is found, else by its folder."""
    where = os.path.realpath(folder)
    name = Path(where).name if Path(where).parent == Path(os.path.realpath(runs_folder())) else str(folder)
    return shlex.quote(one_line(name, 1000))


def command(folder: Path, found: Found) -> str:
    """The very command that shows what a finding points at."""
    run, experiment = spelled(folder), found.experiment
    if experiment is not None:
        match found.place.kind:
            case "diff":
                return f"rsi diff {run} {experiment}"
            case "stream":
                return f"rsi show {run} {experiment} --output"
            case "code":
                return f"rsi show {run} {experiment} --code"
        if found.stage == "note":
            return f"rsi show {run} {experiment}"
    return f"rsi log {run} --event {found.seq} --json"


def quote(reading: Reading, found: Found) -> str:
    """The line that a finding points at, hostile text as it is; empty where it points at none or it is gone."""
    if found.experiment is None or found.place.kind not in {"diff", "stream", "code"}:
        return ""
    try:
        run = reading.excerpt(found.experiment)
        text, line = _evidence(run, found), found.place.diff_line or found.place.line
    except (RsiError, OSError, KeyError):
        return ""
    lines = text.split("\n")
    return lines[line - 1] if 0 < line <= len(lines) else ""


def _evidence(run: ReadRun, found: Found) -> str:
    assert found.experiment is not None
    committed, place = run.state.experiments[found.experiment].committed, found.place
    if place.kind == "stream":
        return _blob(run, _stream(run, found))
    if committed is None:
        return ""
    if place.kind == "diff":
        return _blob(run, committed.diff)
    code = Workspace.open(run.folder).read(committed.commit)
    name = place.file.removeprefix("code/")
    return code.get(place.file, code.get(name, ""))


def _stream(run: ReadRun, found: Found) -> str | None:
    """The stream of the execution in which something was found: of the training, unless the stage says otherwise."""
    trial = run.state.trials[found.trial]
    for body in trial.runs():
        match body:
            case e.TrialAnswered():
                ran = f"predict {body.challenge}"
            case e.TrialControlled():
                ran = f"control {body.challenge}"
            case _:
                ran = "train"
        if ran == found.stage or (ran == "train" and not found.stage.startswith(("predict ", "control "))):
            return body.stdout if found.place.file == "stdout" else body.stderr
    return None


def _blob(run: ReadRun, digest: str | None) -> str:
    if digest is None or run.blobs.length(digest) > LONGEST_QUOTED:
        return ""
    return run.blobs.get(digest).decode("utf-8", "replace")
