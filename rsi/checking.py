"""`rsi task check`: measure a task's baseline once, in a run that is thrown away, and say what is wrong."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rsi.configuration import Budget, Component, RunConfiguration
from rsi.execution import Execution
from rsi.recorder import Recorder
from rsi.records import Record, Scored
from rsi.sanitize import for_terminal
from rsi.session import Say, start
from rsi.state import TrialState
from rsi.task import load_task
from rsi.verification import chosen


class TaskReport(Record):
    """Whether a task works, in words."""

    ok: bool
    text: str


def check_task(name: str, sandbox: str, say: Say) -> TaskReport:
    """One trial of the baseline; raises as `rsi run` does for what is wrong before it."""
    spec = load_task(name).spec
    verifier, verifiers = chosen(spec)
    configuration = RunConfiguration(
        task=name,
        proposer=Component(name="mutate"),
        policy=Component(name="greedy"),
        sandbox=Component(name=sandbox),
        verifier=verifier,
        verifiers=verifiers,
        budget=Budget(experiments=0),
    )
    with (
        tempfile.TemporaryDirectory(prefix="rsi-check-") as folder,
        start(configuration, say, root=Path(folder)) as session,
    ):
        code = session.go()
        recorder = session.run.recorder
        trial = next(iter(recorder.state.trials.values()), None)
        lines = [] if trial is None else _describe(trial, recorder)
        if recorder.state.paused is not None:
            lines.append(f"{spec.name} does not work: {recorder.state.paused.reason}.")
        elif code == 0:
            lines.append(f"{spec.name} works: `rsi run {name}` improves it.")
        return TaskReport(ok=code == 0, text="\n".join(lines))


def _describe(trial: TrialState, recorder: Recorder) -> list[str]:
    lines: list[str] = []
    if trial.trained is not None:
        lines.append(_execution("training", trial.trained.execution))
        if trial.failed is not None:
            lines.extend(_tail(recorder.blobs.get(trial.trained.stderr)))
    for answered in trial.answered:
        lines.append(_execution(f"predicting {answered.challenge}", answered.execution))
        if trial.failed is not None or answered.malformed:
            lines.extend(_tail(recorder.blobs.get(answered.stderr)))
    verdict = trial.verdict.verdict if trial.verdict else None
    if isinstance(verdict, Scored):
        lines.extend(f"  {m.name} = {m.value:.6g}" for m in verdict.measurements)
    return lines


def _execution(what: str, execution: Execution) -> str:
    used, limits = execution.usage, execution.limits
    parts = [f"{execution.kind}", f"{used.wall_seconds:.1f} s of {limits.wall_seconds:g}"]
    if used.cpu_seconds is not None:
        parts.append(f"{used.cpu_seconds:.1f} CPU s of {limits.cpu_seconds:g}")
    if used.peak_memory_bytes is not None:
        parts.append(f"{used.peak_memory_bytes / 2**20:.0f} MiB of {limits.memory_bytes / 2**20:.0f}")
    return f"  {what}: {', '.join(parts)}"


def _tail(stream: bytes, lines: int = 12) -> list[str]:
    text = for_terminal(stream.decode("utf-8", "replace"))
    return [f"  | {line}" for line in text.splitlines()[-lines:]]
