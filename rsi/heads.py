"""Heads of a ledger authenticated with a key that lies outside its run folder: `heads.jsonl`, beside the ledger.

Whoever can write the run folder can hash a whole chain anew, but not these lines. What they do not show is an end that
was cut off together with its lines: for that a head must be kept elsewhere (`rsi anchor`).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError

from rsi import anchors
from rsi.chain import open_to_read
from rsi.errors import EnvironmentFault, IntegrityError, UsageError
from rsi.records import Record
from rsi.redaction import Redactor, is_secret_value

HEADS = "heads.jsonl"
KEY_FILE = "RSI_HMAC_KEY_FILE"
"""The variable that names the key's file. The key itself is never in the environment."""
SHORTEST_KEY = 16
"""Bytes."""
_LONGEST_KEY = 4096
_LONGEST_LINE = 1024


class Authenticated(Record):
    """A run's ledger had this hash at this event, says who holds the key."""

    seq: int = Field(ge=0)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    mac: str = Field(pattern=r"^[0-9a-f]{64}$")
    """HMAC-SHA256 (RFC 2104) of `rsi-head-1`, run id, seq and hash, each ended by a line feed."""


def authenticate(key: bytes, run_id: str, seq: int, head: str) -> Authenticated:
    """A head with its code."""
    text = f"rsi-head-1\n{run_id}\n{seq}\n{head}\n".encode()
    return Authenticated(seq=seq, hash=head, mac=hmac.new(key, text, hashlib.sha256).hexdigest())


def holds(key: bytes, run_id: str, line: Authenticated) -> bool:
    """Whether who wrote the line had the key."""
    return hmac.compare_digest(authenticate(key, run_id, line.seq, line.hash).mac, line.mac)


def load_key(path: Path) -> bytes:
    """The key in a file, spaces at its ends left out; EnvironmentFault where it is none that can be used."""
    make = f"make one with: openssl rand -hex 32 > {path}; chmod 600 {path}"
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            key = file.read(_LONGEST_KEY + 1).strip() if stat.S_ISREG(mode) else b""
    except OSError as error:
        raise EnvironmentFault(f"The key {path} cannot be read: {error.strerror}; {make}.") from None
    if mode & 0o007:
        raise EnvironmentFault(f"The key {path} can be read or written by everybody; chmod 600 it.")
    if not SHORTEST_KEY <= len(key) <= _LONGEST_KEY or not is_secret_value(key.decode("utf-8", "surrogateescape")):
        raise EnvironmentFault(f"The key {path} is none of {SHORTEST_KEY} to {_LONGEST_KEY} random bytes; {make}.")
    return key


class HeadKeeper:
    """Writes down heads of one run where its folder does not reach and, with a key, authenticated within it."""

    def __init__(self, folder: Path, run_id: str, key: bytes | None) -> None:
        """Use `of`."""
        self.folder = folder
        self.run_id = run_id
        self._key = key

    @classmethod
    def of(cls, environ: Mapping[str, str], folder: Path, run_id: str) -> Self:
        """With the key that the environment names, if it does; UsageError for one within the run folder."""
        named = environ.get(KEY_FILE)
        if named and folder.resolve() in Path(named).resolve().parents:
            raise UsageError(f"{KEY_FILE} names a file within the run folder, which proves nothing; keep it elsewhere.")
        return cls(folder, run_id, load_key(Path(named)) if named else None)

    @property
    def authenticates(self) -> bool:
        """Whether there is a key."""
        return self._key is not None

    def keep(self, seq: int, head: str) -> bool:
        """Write down a head; false where that could not be done, which is worth a warning and no reason to stop."""
        elsewhere = anchors.record(self.run_id, seq, head)
        return (self._key is None or self._append(authenticate(self._key, self.run_id, seq, head))) and elsewhere

    def _append(self, line: Authenticated) -> bool:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        data = line.model_dump_json().encode() + b"\n"
        try:
            descriptor = os.open(self.folder / HEADS, flags, 0o644)
            try:
                complete = os.write(descriptor, data) == len(data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            return False
        return complete


def redactor_of(environ: Mapping[str, str]) -> Redactor:
    """Takes out every secret of the environment, and the key that it names."""
    named = environ.get(KEY_FILE)
    key = {"RSI_HMAC_KEY": load_key(Path(named)).decode("utf-8", "surrogateescape")} if named else {}
    return Redactor.from_environment({**environ, **key})


def read(folder: Path) -> Iterator[Authenticated | str]:
    """The lines of a run's `heads.jsonl` in order; instead of one that is none, why. Nothing where there is no file."""
    if not os.path.lexists(folder / HEADS):
        return
    with open_to_read(folder / HEADS) as file:
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE + 1), b""), start=1):
            try:
                found = Authenticated.model_validate_json(line)
            except ValidationError:
                yield f"{HEADS}, line {number}: it is no head of this program"
                if len(line) > _LONGEST_LINE:
                    return
                continue
            canonical = line == found.model_dump_json().encode() + b"\n"
            yield found if canonical else f"{HEADS}, line {number}: it was altered"


def torn_bytes(folder: Path) -> int:
    """Length of an unfinished last line of `heads.jsonl`, as a crash leaves it."""
    try:
        with open_to_read(folder / HEADS) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LONGEST_LINE))
            return len(file.read().rpartition(b"\n")[2])
    except (UsageError, IntegrityError):
        return 0
