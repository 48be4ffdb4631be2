"""Where the proposer `evolved` finds its program: what a run of the task `proposer` certified, or a folder."""

from __future__ import annotations

from pathlib import Path

from rsi import artifact
from rsi.durable import read_regular
from rsi.errors import IntegrityError, RsiError, UsageError
from rsi.generations.source import Source, promoted
from rsi.programs.question import Program
from rsi.records import CodeFiles, Scored
from rsi.runs import LEDGER, ReadRun, read
from rsi.workspace import Workspace

SCRIPT = "proposer.py"
MOST_BYTES = 1 << 20
"""Of one file of code."""
MOST_WEIGHTS = 64 << 20
"""Of one file of weights."""
MOST_FILES = 64


def program_of(source: Path, experiment: int | None = None) -> Program:
    """The program that lies there.

    Args:
        source: A run's folder; an evolution's, or one of its generations'; or one with `proposer.py`, what it
            imports, and perhaps `*.safetensors`.
        experiment: Of the run, instead of the last one that was certified.

    Raises UsageError where there is none, or none that was certified.
    """
    if not source.is_dir():
        raise UsageError(f"{source} is not a folder; name a run of the task proposer, or a folder with {SCRIPT}.")
    if (source / LEDGER).is_file():
        return _of_run(read(source), experiment)
    generation = promoted(source)
    if generation is not None:
        return _of_generation(generation, experiment)
    if experiment is not None:
        raise UsageError(f"{source} is no run, so it has no experiment {experiment}.")
    return _of_folder(source)


def _of_generation(found: Source, experiment: int | None) -> Program:
    if experiment is not None:
        raise UsageError(f"An evolution has generations and no experiment {experiment}; name one of its runs for that.")
    is_run = (found.folder / LEDGER).is_file()
    program = _of_run(read(found.folder), found.experiment) if is_run else _of_folder(found.folder)
    return program.model_copy(update={"origin": found.origin, "code": found.code})


def _of_run(run: ReadRun, experiment: int | None) -> Program:
    state, name = run.state, run.state.run.run
    spec = run.task().spec
    if spec.train.script != SCRIPT:
        raise UsageError(
            f"{name} is a run of {spec.name}, which makes no programs that rank; name one of the task proposer."
        )
    if experiment is None:
        if state.certified == 0:
            raise UsageError(
                f"{name} certified nothing, so none of its programs is known to be better than the one it began with; "
                "go on with it, or name a folder with the one that you want."
            )
        experiment = state.certified
    known = state.experiments.get(experiment)
    if known is None or known.committed is None:
        raise UsageError(f"{name} has no code of experiment {experiment}; `rsi show` lists its experiments.")
    code = Workspace.open(run.folder).read(state.commit_of(experiment))
    protected = {path: run.task().protected[path] for path in spec.code.protected}
    return Program(
        origin=f"experiment {experiment} of {name}",
        code={**code, **protected},
        module=SCRIPT.removesuffix(".py"),
        artifact=_weights_of(run, experiment),
    )


def _weights_of(run: ReadRun, experiment: int) -> dict[str, bytes]:
    """What its first scored trial left, where that is still there."""
    for name in run.state.experiments[experiment].trials:
        trial = run.state.trials[name]
        if trial.trained is None or trial.screened is None or not isinstance(trial.screened.verdict, Scored):
            continue
        try:
            found = {path: run.blobs.get(digest) for path, digest in trial.trained.artifact.items()}
        except IntegrityError:
            continue
        if found and artifact.problem(found) is None:
            return found
    return {}


def _of_folder(folder: Path) -> Program:
    code: CodeFiles = {}
    weights: dict[str, bytes] = {}
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.suffix in {".py", ".safetensors"})
        if SCRIPT not in names:
            raise UsageError(f"{folder} holds no {SCRIPT}; put the program there under that name.")
        if len(names) > MOST_FILES:
            raise UsageError(f"{folder} holds {len(names)} files of code and weights; at most {MOST_FILES} are taken.")
        for name in names:
            if name.endswith(".py"):
                code[name] = read_regular(folder / name, MOST_BYTES).decode()
            else:
                weights[name] = read_regular(folder / name, MOST_WEIGHTS)
    except (OSError, UnicodeDecodeError, RsiError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{folder} cannot be used: {error}") from None
    wrong = artifact.problem(weights) if weights else None
    if wrong:
        raise UsageError(f"{folder} cannot be used: {wrong}; remove it, or train the program again.")
    module = SCRIPT.removesuffix(".py")
    return Program(origin=f"the folder {folder.resolve().name}", code=code, module=module, artifact=weights)
