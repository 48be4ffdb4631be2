"""A task: a folder with editable training code, protected data preparation, `task.toml` and `program.md`."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
)

from rsi.durable import read_regular
from rsi.errors import EnvironmentFault, IntegrityError, RsiError, UsageError
from rsi.execution import MIB, Limits
from rsi.plugins import load, names, nearest
from rsi.records import CodeFiles, Direction, Guard, Objective, Record

LONGEST_FILE = 16 * MIB
"""Of any file of a task that is read as text."""


def _relative(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in text:
        raise ValueError("must be a path inside the task folder, with forward slashes")
    return str(path)


RelativePath = Annotated[str, AfterValidator(_relative)]


class CodeSection(Record):
    """`[code]`: what a proposal may change."""

    editable: tuple[RelativePath, ...] = Field(min_length=1)
    protected: tuple[RelativePath, ...] = ()
    """Further files that the training code needs; mounted read-only beside the editable ones."""
    max_bytes: int = Field(default=65536, gt=0)
    """Of all editable files together."""


class DataSection(Record):
    """`[data]`: where the raw data comes from and what prepares it, once, in a sandbox of its own."""

    source: str
    """`python:pydoc_data/topics.py` (a file of an importable package of the host's interpreter), `file:data.txt`, or
    `made:inner-episodes` (what a function registered under `rsi.sources` returns: file name → bytes)."""
    prepare: RelativePath | None = "prepare.py"
    """None (`prepare = false` in TOML) gives the source to A as it is: then nothing is held out."""

    @field_validator("prepare", mode="before")
    @classmethod
    def _no_preparation(cls, value: object) -> object:
        return None if value is False else value


class TrainSection(Record):
    """`[train]`: what A runs."""

    script: RelativePath = "train.py"
    budget: int = Field(gt=0)
    """In `unit`s; told to the code as RSI_BUDGET, a convention that makes trials repeatable."""
    unit: Literal["tokens", "samples", "steps"] = "tokens"
    imports: tuple[str, ...] = ()
    """Heavy modules that a warm sandbox has imported before the code starts."""


PINNED_PYTHON = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)==[0-9][A-Za-z0-9.!+]{0,60}")
PINNED_DEBIAN = re.compile(r"([a-z0-9][a-z0-9+.-]{1,98})=(?:[0-9]{1,3}:)?[0-9][A-Za-z0-9.+~-]{0,80}")
NEVER_INSIDE = re.compile(r"litellm.*")
"""Of the host alone: it holds keys and talks to networks."""


def _pinned(entries: tuple[str, ...], form: re.Pattern[str], example: str) -> tuple[str, ...]:
    names: list[str] = []
    for text in entries:
        found = form.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!a} is not a package with its exact version, as in {example}")
        names.append(re.sub(r"[-_.]+", "-", found[1]).lower() if form is PINNED_PYTHON else found[1])
        if NEVER_INSIDE.fullmatch(names[-1]):
            raise ValueError(f"{text} must not be in a sandbox's image; take it out")
        if form is PINNED_DEBIAN and re.match(r"(lib)?python3?[0-9.]*(-|$)", names[-1]):
            raise ValueError(f"{text} is a part of Python or a package for it; name the latter under image.python")
        if names.count(names[-1]) > 1:
            raise ValueError(f"{names[-1]} is named twice; keep one")
    return entries


class ImageSection(Record):
    """`[image]`: further packages that a task's code imports or loads, in an image of its own.

    Each with its exact version. What they need must be named as well; the build says what is missing.
    """

    python: tuple[str, ...] = Field(default=(), max_length=100)
    """`einops==0.8.0`"""
    debian: tuple[str, ...] = Field(default=(), max_length=100)
    """`libsndfile1=1.2.0-1`: shared libraries and data; their installation scripts are not run."""

    @field_validator("python")
    @classmethod
    def _pinned_python(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        return _pinned(entries, PINNED_PYTHON, "einops==0.8.0")

    @field_validator("debian")
    @classmethod
    def _pinned_debian(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        return _pinned(entries, PINNED_DEBIAN, "libgomp1=12.2.0-14")


class ObjectiveSection(Record):
    """`[objective]`: the measurement being optimised."""

    metric: str
    direction: Direction = Direction.MINIMIZE
    noise: float = Field(default=0.02, gt=0)
    """Standard deviation over seeds, until the run has measured it."""
    guards: tuple[Guard, ...] = ()
    """`[[objective.guards]]`: measurements that must not get worse by more than a margin."""
    token_price: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """What an added syntax-tree token must earn; a 4000th of `noise` where it is not set."""
    equivalence: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """A loss that does not matter where the code gets shorter; a quarter of `noise` where it is not set."""

    @model_serializer(mode="wrap")
    def _as_before(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is left to its default, so that the digest of a task of before 0.2 is what it was."""
        later = {"guards": (), "token_price": None, "equivalence": None}
        values: dict[str, Any] = serialize(self)
        return {
            name: value for name, value in values.items() if name not in later or getattr(self, name) != later[name]
        }


class VerifierSection(Record):
    """`[verifier]`: the source of scores."""

    name: str
    options: dict[str, str | int | float | bool] = {}


class LimitsSection(Record):
    """`[limits.*]`: enforced from outside; reaching one rejects the trial."""

    prepare: Limits = Limits(memory_bytes=1024 * MIB)
    train: Limits = Limits()
    predict: Limits = Limits()


class TaskSpec(Record):
    """`task.toml`, validated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")
    title: str
    code: CodeSection
    data: DataSection | None = None
    """Absent for a task whose training code brings its own data; such a task cannot be grounded."""
    train: TrainSection
    objective: ObjectiveSection
    verifier: VerifierSection
    verifiers: tuple[VerifierSection, ...] = ()
    """`[[verifiers]]`: further ones, which may reject or find, and measure guards and audits."""
    limits: LimitsSection = LimitsSection()
    image: ImageSection = ImageSection()
    """Absent for a task that makes do with PyTorch and NumPy."""


class Task(Record):
    """A validated task with the text of its files; a pure value, so that a run can freeze it."""

    folder: Path
    spec: TaskSpec
    program: str
    code: CodeFiles
    """The editable files: the baseline."""
    protected: CodeFiles

    @property
    def objective(self) -> Objective:
        """The objective, as policies and proposers see it."""
        return Objective(**self.spec.objective.model_dump())

    def digest(self) -> str:
        """sha256 over the specification and every file, the baseline included."""
        # A section that came later counts where it is used, so that the digests of earlier runs hold.
        later = {"image": ImageSection(), "verifiers": ()}
        unused = {name for name, default in later.items() if getattr(self.spec, name) == default}
        state = hashlib.sha256(self.spec.model_dump_json(by_alias=True, exclude=unused).encode())
        for group in (self.code, self.protected, {"program.md": self.program}):
            for path in sorted(group):
                state.update(f"\x00{path}\x00".encode() + group[path].encode())
        return state.hexdigest()


def load_task(name: str) -> Task:
    """The task of that registered name, or in that folder; UsageError naming file, line and field otherwise."""
    folder = Path(name)
    if not (folder / "task.toml").is_file():
        if name not in names("tasks"):
            if folder.is_dir():
                raise UsageError(f"{folder} has no task.toml; `rsi task new NAME` makes a working skeleton.")
            raise UsageError(f"There is no task called {name!r}: {nearest(name, names('tasks'))}")
        folder = Path(load("tasks", name)())
    return read_task(folder)


def read_task(folder: Path) -> Task:
    """Read and validate a task folder."""
    spec = parse_spec(folder / "task.toml")
    protected = [*spec.code.protected, *([spec.data.prepare] if spec.data and spec.data.prepare else [])]
    overlap = set(protected) & set(spec.code.editable)
    if overlap:
        raise UsageError(f"{folder / 'task.toml'}: {min(overlap)} is both editable and protected; choose one.")
    code = {path: _read(folder, path) for path in spec.code.editable}
    size = sum(len(text.encode()) for text in code.values())
    if size > spec.code.max_bytes:
        raise UsageError(
            f"{folder / 'task.toml'}: the editable files hold {size} bytes, more than code.max_bytes = "
            f"{spec.code.max_bytes}; raise it or move data out of the code."
        )
    return Task(
        folder=folder.resolve(),
        spec=spec,
        program=_read(folder, "program.md"),
        code=code,
        protected={path: _read(folder, path) for path in protected},
    )


def parse_spec(path: Path) -> TaskSpec:
    """Validate a `task.toml`; UsageError naming file, line and field."""
    try:
        text = read_regular(path, LONGEST_FILE).decode("utf-8")
    except (OSError, UnicodeDecodeError, RsiError) as error:
        raise UsageError(f"{path} cannot be read as UTF-8 text: {error}") from None
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{path}: not valid TOML: {reason}.") from None
    try:
        return TaskSpec.model_validate(values)
    except ValidationError as error:
        # A misspelt field is both unknown and missing; the unknown one tells more.
        first = min(error.errors(), key=lambda wrong: wrong["type"] != "extra_forbidden")
        field = tuple(str(part) for part in first["loc"])
        line = _line_of(text, values, field)
        known = f" ({nearest(field[-1], _known(field))})" if first["type"] == "extra_forbidden" else ""
        message = "is not a known field" if known else first["msg"].removeprefix("Value error, ")
        if first["type"] in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
            message = f"{first['input']!r} is out of range: {message[:1].lower()}{message[1:]}"
        raise UsageError(f"{path}:{line}: {'.'.join(field)}: {message}{known}") from None


def _known(field: tuple[str, ...]) -> list[str]:
    model: Any = TaskSpec
    for part in field[:-1]:
        annotation = model.model_fields[part].annotation
        model = next((kind for kind in (annotation, *getattr(annotation, "__args__", ())) if kind), annotation)
    return [info.alias or name for name, info in model.model_fields.items()]


def _line_of(text: str, values: dict[str, Any], field: tuple[str, ...]) -> int:
    """The line on which a field stands, or its table where the field is missing; 1 where neither is there."""
    present: Any = values
    depth = 0
    for part in field:
        if not isinstance(present, dict) or part not in present:
            break
        present = present[part]
        depth += 1
    table: tuple[str, ...] = ()
    best = 1
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\s*([\w.\"-]+)\s*\]", line)
        key = re.match(r"\s*([\w.\"-]+)\s*=", line)
        if header:
            table = tuple(part.strip('"') for part in header[1].split("."))
        here = (*table, *(part.strip('"') for part in key[1].split("."))) if key else table
        if here and here == field[: len(here)] and len(here) <= depth:
            best = number
            if len(here) == depth:
                break
    return best


def _read(folder: Path, name: str) -> str:
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"{path} points out of the task folder; put the file itself there.")
        return read_regular(path.resolve(), LONGEST_FILE).decode("utf-8")
    except (OSError, UnicodeDecodeError, IntegrityError, EnvironmentFault) as error:
        if isinstance(error, UnicodeDecodeError):
            reason = "not UTF-8 text"
        else:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "no plain file"
        raise UsageError(f"{path}, named in {folder / 'task.toml'}, cannot be read: {reason}.") from None
