"""Running generations: each an ordinary run, begun or gone on with, one after another until the plan or the guard ends.

No second orchestrator: a run is started, resumed and paused by `rsi.session`, exactly as `rsi run` does it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rsi.configuration import Component, RunConfiguration
from rsi.durable import disk_faults, make_folder, read_regular, write_whole
from rsi.errors import IntegrityError
from rsi.generations import promotion
from rsi.generations.beginning import write_task
from rsi.generations.evolution import DATA, LEARNED, TASK, Evolution, History, proposed_by
from rsi.generations.gathering import inner_episodes
from rsi.generations.plan import EVOLVED
from rsi.proposers.experience import LARGEST_FILE, encoded
from rsi.proposers.ranking import PAST
from rsi.session import Session, resume, start

Go = Callable[[Session], int]
"""Runs a session to its end and returns its exit code."""
Say = Callable[[str], None]
FIRST = "a-"
"""Before the names of what ships."""
MOST_ROWS = 800_000
"""Of all episodes together; the oldest generations' are left out first."""


def run_generations(evolution: Evolution, go: Go, say: Say, *, trusted: bool = False) -> int:
    """Bring an evolution to its end; 0 there and where the guard halts, else the exit code of the run that stopped."""
    while True:
        history = evolution.history()
        if history.damaged:
            raise IntegrityError(history.damaged)
        if history.over or history.halt is not None:
            return 0
        code = _one(evolution, history, go, say, trusted=trusted)
        if code:
            return code
        after = evolution.history()
        if not after.generations or after.outcomes[-1].promoted is None:
            return 1  # it ended without an end: what it printed says why
        say(told(after))


def told(history: History) -> str:
    """What became of the last generation, one sentence."""
    last, stays = history.outcomes[-1], history.standing.program.label
    if last.promoted:
        return f"Generation {last.generation} is over: {stays} is certified to be better and is promoted."
    if last.tested:
        return (
            f"Generation {last.generation} is over: what it found was not shown to be better on held-out tasks, so "
            f"{stays} stays."
        )
    return f"Generation {last.generation} is over: it found nothing worth a test, so {stays} stays."


def _one(evolution: Evolution, history: History, go: Go, say: Say, *, trusted: bool) -> int:
    """Begin the next generation's run, or go on with the one that is under way."""
    plan = evolution.plan
    last = history.generations[-1] if history.generations else None
    if last is not None and last.outcome.promoted is None:
        say(f"Generation {last.outcome.generation} of {plan.generations} goes on.")
        with resume(last.run.folder, say, trusted=trusted) as session:
            return go(session)
    number = len(history.generations) + 1
    who = proposed_by(plan, history.standing)
    say(f"Generation {number} of {plan.generations} begins with {history.standing.program.label}; {who} proposes.")
    with start(configured(evolution, history, number), say, evolution.place(number)) as session:
        return go(session)


def configured(evolution: Evolution, history: History, number: int) -> RunConfiguration:
    """A generation's run, its task and its data put into place."""
    place, task, standing = evolution.place(number), evolution.task(), history.standing
    with disk_faults(place):
        write_task(place / TASK, task, standing.code)
        _write_data(evolution, history, place / DATA)
    return evolution.plan.configuration(
        number,
        task.spec,
        task=place / TASK,
        data=place / DATA,
        proposer=_proposer(evolution, history, place / DATA),
        alpha=promotion.level(
            evolution.plan.alpha, evolution.plan.generations, [outcome.used for outcome in history.outcomes]
        ),
    )


def _proposer(evolution: Evolution, history: History, data: Path) -> Component:
    plan = evolution.plan
    if plan.proposer.name != EVOLVED:
        return plan.proposer
    run = history.standing.run
    source = run if run is not None else evolution.folder / "generation-0"
    options = {**plan.proposer.options, "source": str(source.resolve())}
    if run is not None:  # by its number, for the run may have certified another one since
        options |= {"experiment": history.standing.experiment}
    else:  # it has learned nothing yet
        shipped = sorted(path for path in data.iterdir() if path.name.startswith(FIRST) and path.suffix == ".npy")
        options |= {"episodes": str(shipped[0].resolve())} if shipped else {}
    return Component(name=EVOLVED, options=options)


def _write_data(evolution: Evolution, history: History, folder: Path) -> None:
    """What ships, what was named, and what every earlier generation's loops on dev recorded, the latest first."""
    files: dict[str, bytes] = {}
    for name, content in evolution.shipped().items():
        files[f"{FIRST}{name}"] = content
    if evolution.plan.episodes_sha256:
        learned = read_regular(evolution.folder / LEARNED, LARGEST_FILE)
        if hashlib.sha256(learned).hexdigest() != evolution.plan.episodes_sha256:
            raise IntegrityError(
                f"{evolution.folder / LEARNED} is not what the evolution began with; restore it, or begin another one."
            )
        files["b-learned-from.npy"] = learned
    rows = 0
    for generation in reversed(history.generations):
        episodes = inner_episodes(generation.run.state, generation.run.blobs)
        rows += episodes.size // len(PAST)
        if rows > MOST_ROWS or not len(episodes):
            continue
        number = generation.outcome.generation
        # The latest first: a program that reads no more than its budget reads those.
        files[f"c-{1000 - number}-generation-{number}.npy"] = encoded(np.ascontiguousarray(episodes))
    make_folder(folder.absolute())
    for path in folder.iterdir():
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        write_whole(folder / name, content, staging=folder)
