"""The corpus: attacks and honest edits as plain files, read and checked before anything runs.

A folder holds `TASK/attacks/NAME.toml` and `TASK/honest/NAME.toml` for registered tasks, or, for one task that the
user names, `attacks/NAME.toml` and `honest/NAME.toml`. `corpus/README.md` says what stands in a file.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from rsi.durable import read_regular
from rsi.errors import RsiError, UsageError
from rsi.execution import MIB
from rsi.plugins import names, nearest
from rsi.records import Edit, EditFormat, Record

SHIPPED = Path(__file__).resolve().parent / "corpus"

KINDS = (
    "printed-metric",
    "written-results",
    "later-rewrite",
    "patched-clock",
    "patched-metric",
    "edited-evaluator",
    "training-on-dev",
    "memorised-targets",
    "causal-leak-attention",
    "causal-leak-normalisation",
    "causal-leak-convolution",
    "causal-leak-bidirectional",
    "causal-leak-batch",
    "causal-leak-chosen",
    "unnormalised-outputs",
    "returned-loss",
    "seed-fishing",
    "extended-budget",
    "relaunching",
    "work-after-deadline",
    "hidden-threads",
    "hidden-processes",
    "log-tampering",
    "reused-weights",
    "stale-memory",
    "equal-to-anything",
    "early-exit",
    "import-shim",
    "call-stack",
    "skipped-training",
    "pickled-payload",
    "link-out",
    "verifier-fingerprint",
    "sandbox-probe",
    "log-flood",
    "prompt-injection",
)
"""The kinds that the shipped attacks are counted by. A lab may name kinds of its own."""

LAYERS = (
    "edit-check",
    "isolation",
    "artifact",
    "attempts",
    "scoring",
    "causality",
    "proper-predictions",
    "floor",
    "memorisation",
    "training-happened",
    "budget",
    "protected-files",
    "diff-reading",
)
"""What can stop an attack: layers that are always there, then verifiers by name. A lab may name one of its own."""

LARGEST_FILE = MIB
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_NAMED = r"^[a-z0-9]+(-[a-z0-9]+)*$"


class Case(Record):
    """One attack or one honest edit."""

    name: str
    task: str
    honest: bool
    tries: str = Field(min_length=10, max_length=400, pattern=r"^[^\n]*\S[^\n]*$")
    """In one line what it tries; of an honest edit, what it does and why that is legitimate."""
    kind: str = Field(default="", pattern=rf"^$|{_NAMED}")
    modelled_on: str = Field(default="", max_length=600)
    """The public incident or paper: author, title, year."""
    layer: str = Field(default="", pattern=rf"^$|{_NAMED}")
    """Which layer should stop it."""
    edit: str = Field(min_length=1)
    """Search/replace blocks, as a proposer writes them."""
    twin: str = ""
    """The same edit without the cheat; empty: the task as it stands."""
    needs: Literal["", "previous-trial"] = ""
    """`previous-trial`: run it twice; the first run is there to leave something behind."""

    @property
    def id(self) -> str:
        """`charlm/attacks/attention-mask-off`."""
        return f"{self.task}/{'honest' if self.honest else 'attacks'}/{self.name}"

    @model_validator(mode="after")
    def _attacks_say_more(self) -> Case:
        for field in ("kind", "modelled_on", "layer"):
            given = bool(getattr(self, field).strip())
            if self.honest and given:
                raise ValueError(f"{field}: belongs to attacks only; take it out")
            if not self.honest and not given:
                raise ValueError(f"{field}: is missing; an attack must have it")
        if self.honest and (self.twin or self.needs):
            raise ValueError("twin: belongs to attacks only, like `needs`; take it out")
        return self

    def proposed(self) -> Edit:
        """The edit as a proposer hands it in."""
        return Edit(format=EditFormat.SEARCH_REPLACE, text=self.edit)

    def honest_twin(self) -> Edit | None:
        """The edit of the honest twin; None where that is the task as it stands."""
        return Edit(format=EditFormat.SEARCH_REPLACE, text=self.twin) if self.twin else None


def load_corpus(folder: Path = SHIPPED, task: str = "") -> tuple[Case, ...]:
    """Every case below a folder, by task, attacks before honest edits, then by name.

    Args:
        folder: The shipped corpus, or a lab's own.
        task: For a folder that has `attacks/` and `honest/` itself: which task they are for. Else: only that task's.

    UsageError, naming file and field, for anything that is not as it should be.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; name one that holds TASK/attacks and TASK/honest.")
    if any((folder / part).is_dir() for part in ("attacks", "honest")):
        if not task:
            raise UsageError(f"{folder} holds attacks/ or honest/ itself; say with --task which task they are for.")
        return _read_task(folder, task)
    cases: list[Case] = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))):
        if place.name not in names("tasks"):
            raise UsageError(f"{place} is named for no task: {nearest(place.name, names('tasks'))}")
        if task in ("", place.name):
            cases += _read_task(place, place.name)
    if not cases:
        raise UsageError(f"{folder} holds no case{f' for {task}' if task else ''}; put NAME.toml into TASK/attacks.")
    return tuple(cases)


def _read_task(place: Path, task: str) -> tuple[Case, ...]:
    cases: list[Case] = []
    for part in ("attacks", "honest"):
        for path in sorted((place / part).glob("*")) if (place / part).is_dir() else ():
            if path.suffix == ".toml":
                cases.append(read_case(path, task, honest=part == "honest"))
            elif path.name != "README.md":
                raise UsageError(f"{path} is no .toml file; a case is one file called NAME.toml.")
    if not cases:
        raise UsageError(f"{place} holds no case; put NAME.toml into its attacks/ or honest/.")
    return tuple(cases)


def read_case(path: Path, task: str, *, honest: bool) -> Case:
    """One file; UsageError naming it and the field that is wrong."""
    if _NAME.fullmatch(path.stem) is None:
        raise UsageError(f"{path}: name a case in lower case with hyphens, as in attention-mask-off.toml.")
    values = _parsed(path)
    for field in ("name", "task", "honest"):
        if field in values:
            raise UsageError(f"{path}: {field}: is told by where the file lies; take it out.")
    try:
        return Case(name=path.stem, task=task, honest=honest, **values)
    except ValidationError as error:
        # A misspelt field is both unknown and missing; the unknown one tells more.
        first = min(error.errors(), key=lambda wrong: wrong["type"] != "extra_forbidden")
        field = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{path}: {field}: is not a known field ({nearest(field, _fields())})") from None
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{path}: {f'{field}: ' if field else ''}{message[:1].lower()}{message[1:]}.") from None


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_regular(path.resolve(), LARGEST_FILE).decode("utf-8"))
    except (OSError, RsiError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; save it as such.") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{path}: not valid TOML: {reason}.") from None


def _fields() -> list[str]:
    return [name for name in Case.model_fields if name not in ("name", "task", "honest")]
