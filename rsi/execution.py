"""What a sandbox is asked (`Job`) and what it answers (`Outcome`).

A job is a pure description: files in, a Python program, limits. An outcome is what was seen from outside. Nothing
here says where it ran.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from rsi.attempts import Attempt, Coverage
from rsi.course import Course
from rsi.records import Record

MIB = 1024 * 1024


class Limits(Record):
    """What an execution may use; enforced and measured from outside the candidate's reach."""

    wall_seconds: float = Field(default=120.0, gt=0)
    cpu_seconds: float = Field(default=120.0, gt=0)
    cpus: float = Field(default=1.0, gt=0)
    memory_bytes: int = Field(default=2048 * MIB, ge=16 * MIB)
    """Memory and swap together, files on in-memory volumes included."""
    processes: int = Field(default=64, ge=1)
    open_files: int = Field(default=256, ge=16)
    disk_bytes: int = Field(default=128 * MIB, ge=MIB)
    inodes: int = Field(default=256, ge=8)
    output_bytes: int = Field(default=1 * MIB, ge=1024)
    """Standard output and standard error together; reaching it ends the execution."""
    artifact_bytes: int = Field(default=64 * MIB, ge=0)
    artifact_files: int = Field(default=16, ge=0)


class Shape(Record):
    """What can be made ready before a job is known: a single-use place of this shape, imports done."""

    limits: Limits
    imports: tuple[str, ...] = ()
    """Heavy modules to import ahead of the candidate's code, e.g. `("torch",)`."""


class Job(Record):
    """One Python program to run in one fresh place."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    purpose: Literal["prepare", "train", "predict"]
    argv: tuple[str, ...]
    """As for `python`: a script, relative to the inputs (`code/train.py`), or `("-m", module)` for a guest module
    (`guest.predict`). The script's folder is first on `sys.path`, the working folder is a scratch folder."""
    inputs: Mapping[str, bytes | Path]
    """Path below the inputs folder → content, or the host file that holds it. Read-only inside. The environment
    variable `RSI_IN` names the folder, `RSI_OUT` the writable folder whose files come back."""
    environment: Mapping[str, str] = {}
    """Further variables; nothing of the host's environment reaches the guest."""
    shape: Shape
    labels: Mapping[str, str] = {}
    """`run` and `trial`, for whoever looks at the engine from outside."""
    trace: bool = False
    """Whether a tracer outside the program's reach shall follow it too; EnvironmentFault or UsageError where none can,
    before the program is started."""


class ExitKind(StrEnum):
    """How an execution ended, told apart from outside; only `COMPLETED` can lead to a score."""

    COMPLETED = "completed"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    CPU_EXCEEDED = "cpu_exceeded"
    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"
    OUTPUT_EXCEEDED = "output_exceeded"
    FORBIDDEN_OUTPUT = "forbidden_output"
    """Something other than a few small regular files lay in the output folder."""
    LOST = "lost"
    """The engine or the machine went away: says nothing about the candidate."""
    INTERRUPTED = "interrupted"
    """We ended it, because the user asked."""


Seconds = Annotated[float, Field(ge=0, le=1e9)]
Bytes = Annotated[int, Field(ge=0, le=2**60)]


class Usage(Record):
    """Resources, measured from outside; None where they could not be. `docs/sandboxes.md` says which are exact."""

    wall_seconds: Seconds
    """From the moment the program was told to start until its last process was gone."""
    cpu_seconds: Seconds | None
    cpu_user_seconds: Seconds | None = None
    cpu_system_seconds: Seconds | None = None
    """As the kernel tells the two apart: many kernels by their ticks, so that they need not add up exactly."""
    peak_memory_bytes: Bytes | None = None
    """Of the whole place: files in memory are in it, and what was imported ahead."""
    peak_processes: int | None = Field(default=None, ge=0, le=2**31)
    """Threads included."""
    read_bytes: Bytes | None = None
    written_bytes: Bytes | None = None
    """Through calls that read and write, by all processes: files on disk and in memory, pipes, what was printed. Not
    through memory that a file is mapped to."""
    device_read_bytes: Bytes | None = None
    device_written_bytes: Bytes | None = None
    """What of it went to or came from a disk."""
    peak_stored_bytes: Bytes | None = None
    """The most that lay at once in the folders that the program can write to."""


class Fault(Record):
    """Where a program failed, in its own word: an exception class of the interpreter's own, file and line."""

    error: str
    """A built-in exception's name; any other class is called `Exception`, so that the name carries no message."""
    file: str = ""
    line: int = 0


class OutputFile(Record):
    """A regular file that came out, by content."""

    path: str
    size: int
    sha256: str


class Execution(Record):
    """The record of one execution, complete whatever its end; its streams, files and course are blobs beside it."""

    sandbox: str
    purpose: Literal["prepare", "train", "predict"]
    argv: tuple[str, ...]
    environment_names: tuple[str, ...]
    image: str = ""
    """Digest of the image, empty where there is none."""
    limits: Limits
    started: str
    """When the program was told to start, or the job was asked for where it never was: UTC, ISO 8601."""
    ended: str = ""
    """When its last process was gone: `usage.wall_seconds` after `started`. Empty in records of earlier versions."""
    kind: ExitKind
    exit_code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    usage: Usage
    setup_seconds: float = Field(default=0.0, ge=0, le=1e9)
    """From the request to the start of the program: what a warm place saves."""
    setup_cpu_seconds: float | None = Field(default=None, ge=0, le=1e9)
    """CPU time that making its place ready took, imports included, whenever that was; None where nobody measured."""
    collect_seconds: float = Field(default=0.0, ge=0, le=1e9)
    """From the end of the program until its files were on the host."""
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    """What was kept of each stream."""
    discarded_output_bytes: int = 0
    discarded_stdout_bytes: int | None = None
    discarded_stderr_bytes: int | None = None
    """What did not fit of each stream; None in records of earlier versions."""
    files: tuple[OutputFile, ...] = ()
    fault: Fault | None = None
    detail: str = ""
    """One sentence, ours, on anything but a plain completion."""
    attempts: tuple[Attempt, ...] = ()
    """What the program attempted, the most telling first; at most `MOST_RECORDED` of a grade. See `rsi.attempts`."""
    coverage: tuple[Coverage, ...] = ()
    """Who was looking, and how far; empty where nobody was."""


class Outcome(Record):
    """An execution with what came out of it: hostile bytes."""

    execution: Execution
    stdout: bytes = b""
    stderr: bytes = b""
    course: Course | None = None
    outputs: Mapping[str, bytes] = {}
    """Path below the output folder → content; only for a completed execution, and only within the caps."""
    attempts: tuple[Attempt, ...] = ()
    """All attempts that were told apart, where they are more than the execution lists."""


class SandboxDescription(Record):
    """What ran the code, for the run's frozen configuration."""

    name: str
    isolates: bool
    image: str = ""
    image_digest: str = ""
    engine: str = ""
    options: dict[str, str] = {}
    """The protections in force, as a reader of a policy would name them."""
    machine_cpus: float = Field(default=0.0, ge=0)
    """Of the machine that runs the code; 0 where it is not known."""
    machine_memory_bytes: int = Field(default=0, ge=0)


Watch = Callable[[str, bytes], None]
"""Called with `"stdout"` or `"stderr"` and what arrived, while the program runs; from any thread."""
