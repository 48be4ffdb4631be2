"""What a learned proposer learns from: past runs as episodes, one a run, in the columns of `ranking.PAST`.

An episode holds a run's experiments in order, each as the move it was, what became of it, and its gain in the
objective's noise. Experiments that are no single move (pairs, free edits of language models, null edits, removals) are
left out, and so are those that nobody could decide. Costs are 1: what a trial takes is not what a proposer is told.
Runs are read as hostile input: from a ledger whose chain holds, and no code of theirs is looked at.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from rsi.durable import read_regular, write_whole
from rsi.errors import RsiError, UsageError
from rsi.prediction import decode_array, encode_array
from rsi.proposers.ranking import PAST, Arms, Floats, move_row, padded, past_row
from rsi.records import ExperimentStatus
from rsi.runs import ReadRun, read
from rsi.statistics import round_to_noise

LONGEST: Final = 512
"""Experiments that an episode holds: the last ones. The task `proposer` takes no longer ones."""
LARGEST_FILE: Final = 256 * 1024**2
"""Bytes of a file of episodes."""

_OUTCOMES: Final = {
    ExperimentStatus.KEPT: "kept",
    # It won against the incumbent of its time; what it is worth on the next one is an experiment of its own.
    ExperimentStatus.REAPPLIED: "kept",
    ExperimentStatus.DISCARDED: "discarded",
    ExperimentStatus.CRASHED: "failed",
    ExperimentStatus.REJECTED: "failed",
    ExperimentStatus.REFUSED: "failed",
}


class Experience(NamedTuple):
    """Episodes and where they are from."""

    episodes: Floats
    """(E, H, len(PAST)), float32; zeros behind the last experiment of each."""
    runs: tuple[str, ...]
    """The run of each episode."""
    left_out: tuple[str, ...]
    """Why other runs gave none, a sentence each; hostile text."""
    tasks: frozenset[str]
    """Names and digests of the tasks of all runs that could be read, those left out among them; hostile text."""


def row(
    kind: str, detail: Mapping[str, Any], status: ExperimentStatus, gain: float | None, noise: float, arms: Arms
) -> list[float] | None:
    """One experiment in the columns of PAST; None where it was no single move, or nothing is known of it.

    Args:
        kind: Of the move, as `mutate` names it.
        detail: With name, from, to and direction.
        status: What became of it.
        gain: In the objective's units; None where nothing was scored.
        noise: Standard deviation of one trial over seeds, in the same units.
        arms: Numbers the things that are moved.
    """
    outcome = _OUTCOMES.get(status)
    if outcome is None or "name" not in detail or "to" not in detail:
        return None
    return past_row(move_row(kind, detail, arms), outcome, 0.0 if gain is None else gain / noise)


def gather(folders: Sequence[Path], *, without: Collection[str] = ()) -> Experience:
    """Episodes of those runs, in their order; one without a single move, or that cannot be read, gives none.

    Args:
        folders: Of runs, of any task and proposer.
        without: Tasks whose runs are left out, by name or by digest: those that the learner is judged on.
    """
    found: list[tuple[str, list[list[float]]]] = []
    left_out: list[str] = []
    tasks: set[str] = set()
    for folder in folders:
        try:
            run = read(folder)
            task = run.task().spec.name
        except (RsiError, ValueError) as error:
            left_out.append(f"{folder.name} cannot be read: {error}")
            continue
        name = run.state.run.run
        tasks |= {task, run.state.run.task_digest}
        if task in without or run.state.run.task_digest in without:
            left_out.append(f"{name} is a run of {task}, which is left out.")
            continue
        rows = _rows(run)
        if rows:
            found.append((name, rows))
        else:
            left_out.append(f"{name} made no single move that came to an end.")
    length = min(max((len(rows) for _, rows in found), default=0), LONGEST)
    episodes = np.zeros((len(found), length, len(PAST)), dtype=np.float32)
    for index, (_, rows) in enumerate(found):
        episodes[index] = padded(rows, length, len(PAST))
    return Experience(episodes, tuple(name for name, _ in found), tuple(left_out), frozenset(tasks))


def _rows(run: ReadRun) -> list[list[float]]:
    state, arms = run.state, Arms()
    noise = state.run.objective.noise
    rows = []
    for number, experiment in sorted(state.experiments.items()):
        proposed = experiment.proposed
        if number == 0 or experiment.closed is None or proposed.null or proposed.removes:
            continue
        gain = experiment.closed.gain
        told = None if gain is None else round_to_noise(gain, noise)  # as every proposer is told it
        made = row(proposed.kind, proposed.detail, experiment.status, told, noise, arms)
        if made is not None:
            rows.append(made)
    return rows


def write(path: Path, episodes: Floats) -> None:
    """Write episodes as a `.npy` file, whole or not at all."""
    write_whole(path, encoded(checked(episodes, str(path))), staging=path.parent)


def encoded(episodes: Floats) -> bytes:
    """Episodes as the bytes of a `.npy` file."""
    return encode_array(episodes)


def read_episodes(path: Path) -> bytes:
    """The bytes of a `.npy` file of episodes, checked; UsageError where it is none."""
    try:
        content = read_regular(path.resolve(), LARGEST_FILE)  # a pipe would block for ever, a device never end
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; name a .npy file of episodes.") from None
    except RsiError as error:
        raise UsageError(f"{path} cannot be read: {error} Name a .npy file of episodes.") from None
    try:
        checked(decode_array(content), os.fspath(path))
    except ValueError as error:
        raise UsageError(f"{path} holds no episodes: {error}.") from None
    return content


def checked(episodes: np.ndarray[Any, Any], name: str) -> Floats:
    """The same array, if it is one of episodes: float32, (E, H, len(PAST)), finite; UsageError where it is not."""
    if episodes.dtype != np.dtype("<f4") or episodes.ndim != 3 or episodes.shape[-1] != len(PAST):
        raise UsageError(
            f"{name} holds {episodes.dtype} of shape {episodes.shape}; episodes are float32 of shape "
            f"(E, H, {len(PAST)})."
        )
    if not np.isfinite(episodes).all():
        raise UsageError(f"{name} holds numbers that are not finite; leave such experiments out.")
    return episodes
