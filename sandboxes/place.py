"""What every sandbox runs a program in, as the watch and the record see it: one single-use place."""

from __future__ import annotations

from typing import Protocol

from rsi.course import Listing
from rsi.execution import ExitKind
from rsi.records import Record
from sandboxes.bell import Bell
from sandboxes.invocation import Folders
from sandboxes.outputs import Intake
from sandboxes.streams import Stream


class Gone(Exception):
    """The place, container or process that was asked about is not there (any more)."""


class Reading(Record):
    """What a place has used since it was made; None for what this kind of place cannot tell."""

    cpu_seconds: float | None = None
    cpu_user_seconds: float | None = None
    cpu_system_seconds: float | None = None
    memory_bytes: int | None = None
    """At present."""
    peak_memory_bytes: int | None = None
    """Where the kernel keeps it."""
    processes: int | None = None
    """At present, threads and the waiting worker included."""
    read_bytes: int | None = None
    written_bytes: int | None = None
    """Through calls, by the living and by those they have waited for."""
    device_read_bytes: int | None = None
    device_written_bytes: int | None = None
    stored_bytes: int | None = None
    """What lies in its writable folders at present."""


class PlaceEnd(Record):
    """How the worker's place ended, seen from outside."""

    exit_code: int | None = None
    out_of_memory: bool = False
    from_outside: bool = False
    """Something ended it that no program in it could have been: says nothing about the program."""


class Place(Protocol):
    """A worker that waits for its one program. Gone and EngineLost may come out of any method."""

    baseline: Reading
    """What making it and waiting in it used: not the program's."""
    poll_seconds: float
    """Between two looks."""

    @property
    def first_look_seconds(self) -> float:
        """How soon after the start a first look pays; the pauses grow from there, so that a short program is seen."""
        ...

    libraries: tuple[str, ...]
    """Beginnings of the paths, in the guest's view, that every program is expected to read."""

    @property
    def folders(self) -> Folders:
        """Where the program finds its files."""
        ...

    @property
    def environment(self) -> dict[str, str]:
        """What every program in it gets."""
        ...

    @property
    def ended(self) -> bool:
        """Whether its streams have ended, and it with them."""
        ...

    def first_process(self) -> int:
        """The worker's number on this machine, for a tracer; EnvironmentFault or UsageError where none can follow."""
        ...

    def send(self, data: bytes) -> None:
        """To the worker's standard input; an end shows in `ended`."""
        ...

    def receive(self, seconds: float, bell: Bell | None = None) -> list[tuple[Stream, bytes]]:
        """What arrives within that time; returns early when something came, at the end, or when the bell rings."""
        ...

    def read_usage(self) -> Reading:
        """Measure now."""
        ...

    def list_scratch(self) -> Listing | None:
        """What lies in the scratch folder, without contents; None where it cannot be looked at."""
        ...

    def overstepped(self) -> tuple[ExitKind, str] | None:
        """A limit that only looking can enforce in this kind of place, and that is passed."""
        ...

    def kill(self) -> None:
        """End every process in it."""
        ...

    def how_it_ended(self) -> PlaceEnd:
        """After `kill`: wait for the end and tell."""
        ...

    def collect(self, intake: Intake) -> None:
        """After its end: take in what lies in the output folder; ForbiddenOutput for what may not come out."""
        ...

    def list_inputs(self) -> Listing | None:
        """After its end: what lies in the inputs folder, hashed; None where it cannot be looked at."""
        ...

    def list_outputs(self) -> Listing | None:
        """After its end: what lies in the output folder, whatever it is; None where it cannot be read."""
        ...
