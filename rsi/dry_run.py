"""One proposal and nothing trained: what was paid for it is on record, in a run of its own that ends there."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from rsi import briefing, runs
from rsi.calls import BudgetSpent, Calls
from rsi.candidates import Candidates
from rsi.configuration import RunConfiguration
from rsi.errors import EnvironmentFault, UsageError
from rsi.events import ExperimentClosed, RunFinished, RunPaused, RunStarted
from rsi.execution import SandboxDescription
from rsi.heads import redactor_of
from rsi.proposing import BASELINE, record_proposal
from rsi.protocols import AsksModels, Exhausted, Proposer, Verifier
from rsi.records import ExperimentStatus
from rsi.runs import ReadRun
from rsi.session import build, require_models_usable, versions
from rsi.task import Task, load_task
from rsi.verification import verifier_of

NOWHERE = SandboxDescription(name="none", isolates=True)
"""Nothing runs, so nothing gets out."""


def propose_once(configuration: RunConfiguration, root: Path | None = None) -> ReadRun:
    """Ask the proposer for its first edit of a task's code; the record of a finished run with that one proposal."""
    began = time.monotonic()
    task = load_task(configuration.task)
    proposer: Proposer = build("proposers", configuration.proposer)
    verifier: Verifier = verifier_of(configuration, build)
    require_models_usable(proposer, task, configuration.budget)
    run_id = runs.new_run_id(task.spec.name)
    started = RunStarted(
        run=run_id,
        configuration=configuration,
        objective=task.objective,
        grounded=verifier.grounded,
        sandbox=NOWHERE,
        task=runs.task_blob_digest(task),
        task_digest=task.digest(),
        randomness=secrets.token_hex(32),
        versions=versions(),
    )
    run = runs.create(started, (root or runs.runs_folder()) / run_id, task, redactor_of(os.environ))
    try:
        _ask(run, task, proposer)
    except BaseException as error:
        reason = f"no proposal came: {type(error).__name__}: {error}"
        run.recorder.record(RunPaused(reason=run.recorder.redactor.text(reason), session_seconds=_since(began)))
        raise
    else:
        run.recorder.record(RunFinished(reason="one proposal, nothing trained", session_seconds=_since(began)))
    finally:
        run.close()
    return runs.read(run.folder)


def _since(began: float) -> float:
    return time.monotonic() - began


def _ask(run: runs.OpenRun, task: Task, proposer: Proposer) -> None:
    recorder = run.recorder
    candidates = Candidates(recorder, run.workspace, task)
    if isinstance(proposer, AsksModels):
        calls = Calls(recorder, proposer.client(), retries=proposer.retries, retry_seconds=proposer.retry_seconds)
        proposer.attach(calls)
    recorder.record(BASELINE)
    refused = candidates.commit(recorder.state.experiments[0])
    if refused:
        raise UsageError(f"The baseline of {task.spec.name} cannot be used: {refused}")
    brief = briefing.brief(recorder.state, task, recorder.blobs.get, candidates.code(0))
    try:
        proposal = proposer.propose(brief)
    except Exhausted as end:
        raise UsageError(f"The proposer has nothing to propose: {end}") from None
    except BudgetSpent as spent:
        raise EnvironmentFault(f"The budget has no room for the call: {spent}; give more.") from None
    record_proposal(recorder, proposal)
    entry = recorder.state.experiments[1]
    refused = proposal.problem or candidates.commit(entry)
    if refused:
        recorder.record(ExperimentClosed(experiment=1, status=ExperimentStatus.REFUSED, reason=refused))
