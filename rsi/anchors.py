"""Head hashes repeated where the writer of a run folder cannot quietly change them: the user's state folder.

A chain shows that something in the middle was altered. That its end was cut off, or all of it written anew, shows
only against a copy of its head kept elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field, ValidationError

from rsi.durable import make_folder, read_regular
from rsi.errors import RsiError
from rsi.ledger import Event
from rsi.records import Record

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LONGEST = 64 * 1024 * 1024


class Anchor(Record):
    """A run's ledger had this hash at this event."""

    seq: int = Field(ge=0)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    time: str = ""
    """When it was written down, UTC."""


def heads_folder() -> Path:
    """RSI_STATE, else `rsi` below XDG_STATE_HOME, else ~/.local/state/rsi; `heads` below that."""
    own = os.environ.get("RSI_STATE")
    shared = os.environ.get("XDG_STATE_HOME", "")
    # A relative XDG_STATE_HOME is to be ignored, the XDG specification says.
    state = Path(shared) if Path(shared).is_absolute() else Path("~/.local/state").expanduser()
    return (Path(own) if own else state / "rsi") / "heads"


def claim(run_id: str) -> bool:
    """Take a run's name for its heads; false where a run of that name has it already. True where none can be kept."""
    if not _RUN_ID.fullmatch(run_id):
        return True
    try:
        make_folder(heads_folder())
        os.close(os.open(_file(run_id), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    except (OSError, RuntimeError, RsiError):  # RuntimeError: there is no home folder
        return True
    return True


def record(run_id: str, seq: int, head: str) -> bool:
    """Write down a head; false where that cannot be done, which is worth a warning and no reason to stop."""
    if not _RUN_ID.fullmatch(run_id):
        return False
    line = Anchor(seq=seq, hash=head, time=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}").model_dump_json() + "\n"
    try:
        make_folder(heads_folder())
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(_file(run_id), flags, 0o600)
        try:
            complete = os.write(descriptor, line.encode()) == len(line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except (OSError, RuntimeError, RsiError):  # RuntimeError: there is no home folder
        return False
    return complete


def read(run_id: str) -> tuple[Anchor, ...]:
    """What was written down about a run on this machine, oldest first; empty where nothing was, or it is unreadable."""
    if not _RUN_ID.fullmatch(run_id):
        return ()
    try:
        lines = read_regular(_file(run_id), _LONGEST).splitlines()
    except (OSError, RuntimeError, RsiError):
        return ()
    found = []
    for line in lines:
        with suppress(ValidationError):  # a line torn by a crash
            found.append(Anchor.model_validate_json(line))
    return tuple(found)


def _file(run_id: str) -> Path:
    return heads_folder() / f"{run_id}.jsonl"


def contradiction(anchors: Iterable[Anchor], events: Sequence[Event]) -> Anchor | None:
    """The first anchor that the events do not bear out (cut short, written anew); None where all of them hold."""
    return next((a for a in anchors if a.seq >= len(events) or events[a.seq].hash != a.hash), None)
