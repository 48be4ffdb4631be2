"""Where an attempt is made, as the host sees it: what it is told, what stays secret, what can be looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rsi.execution import Outcome
from rsi.records import Record
from rsi.sanitize import for_terminal


class Process(Record):
    """A process by its number on the host, read in the host's `/proc`."""

    number: int

    @property
    def folder(self) -> Path:
        """Its folder in `/proc`."""
        return Path("/proc") / str(self.number)

    def text(self, name: str) -> str:
        """One of its files; empty where the process is gone."""
        try:
            return (self.folder / name).read_bytes().decode("utf-8", "replace")
        except OSError:
            return ""

    def status(self, name: str) -> list[str]:
        """A line of its status in words, without its label."""
        found = [line.split()[1:] for line in self.text("status").splitlines() if line.startswith(f"{name}:")]
        return found[0] if found else []

    def namespace(self, kind: str) -> str:
        """Which one it is in; empty where the process is gone."""
        try:
            return str((self.folder / "ns" / kind).readlink())
        except OSError:
            return ""

    @property
    def executable(self) -> str:
        """As named inside its own root."""
        try:
            return str((self.folder / "exe").readlink())
        except OSError:
            return ""

    @property
    def open_files(self) -> int:
        """How many descriptors it holds."""
        try:
            return len([*(self.folder / "fd").iterdir()])
        except OSError:
            return 0


class Scene:
    """One attempt's surroundings. The sandbox's own test fills in how to look inside."""

    def __init__(self, *, token: str, secret: str, facts: Mapping[str, Any], ears: Callable[[bytes], bool]) -> None:
        self.token = token
        """Drawn for this attempt and told to it: whatever carries it outside came from the attempt."""
        self.secret = secret
        """Never told: a program that prints it has read what it must not."""
        self.facts = {**facts, "token": token}
        """What the program is told, as JSON in its first argument."""
        self._ears = ears
        self.outcome: Outcome | None = None
        self.broke = False
        """Whether the sandbox raised an error instead of giving an outcome."""
        self.root = Path("/")
        """While the program runs: its root folder, seen from the host."""
        self.numbers: Callable[[], Iterable[int]] = tuple
        """While the program runs: the host's numbers of its processes, its worker included."""
        self.engine: Mapping[str, Callable[[], Any]] = {}
        """Questions that only the sandbox's engine can answer, by the names that attempts ask for."""
        self.show = for_terminal
        """What a screen makes of text that a program printed."""

    def heard(self) -> bool:
        """Whether anything that listens on the host got this attempt's token."""
        return self._ears(self.token.encode())

    def printed_secret(self) -> bool:
        """Whether the program got hold of the secret."""
        return self.outcome is not None and self.secret.encode() in self.outcome.stdout

    def inside(self, path: str) -> Path:
        """A path of the program's, as the host reaches it."""
        return self.root / path.lstrip("/")

    def processes(self) -> list[Process]:
        """The attempt's processes, its worker included."""
        return [Process(number=number) for number in self.numbers()]

    def shown(self) -> str:
        """What a person sees of what was printed."""
        return "" if self.outcome is None else self.show(self.outcome.stdout.decode("utf-8", "replace"))

    def came_out(self, path: str) -> bool:
        """Whether a file of that name is among the outputs."""
        return self.outcome is not None and path in self.outcome.outputs

    def still_running(self) -> bool:
        """Whether a process that carries this attempt's token in its command line lives on the host."""
        marks = [entry for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        return any(self.token in Process(number=int(entry.name)).text("cmdline") for entry in marks)
