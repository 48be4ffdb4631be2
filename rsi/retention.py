"""What a run may drop to save disk: sealed raw answers once they are of no use, artifacts of what was not kept.

Evidence (streams, scores, diffs, proposals) is never dropped.
"""

from __future__ import annotations

from rsi.configuration import Retention
from rsi.events import BlobsDropped
from rsi.execution import MIB
from rsi.recorder import Recorder
from rsi.records import ExperimentStatus
from rsi.state import RunState


def droppable(state: RunState, artifacts: int) -> set[str]:
    """Digests that may go now, when artifacts of the last `artifacts` experiments stay; none twice, none shared."""
    last = len(state.experiments) - 1
    keep: set[str] = set()
    drop: set[str] = set()
    for trial in (state.trials[name] for name in state.holding):
        experiment = state.experiments[trial.started.experiment]
        answers = {answered.answer for answered in trial.answered if answered.answer}
        weights = set(trial.trained.artifact.values()) if trial.trained else set()
        closed = trial.over if trial.started.role != "measure" else experiment.closed is not None
        (drop if closed else keep).update(answers)
        recent = trial.started.role == "measure" and trial.started.experiment > last - artifacts
        kept = trial.started.role == "measure" and experiment.status is ExperimentStatus.KEPT
        (keep if not closed or recent or kept else drop).update(weights)
    return drop - keep - state.program_blobs - state.dropped


def enforce(recorder: Recorder, retention: Retention) -> str:
    """Drop what may be dropped; the reason to pause where the folder is still above its quota, else an empty string."""
    _drop(recorder, droppable(recorder.state, retention.artifacts), "retention")
    if recorder.blobs.size() > retention.quota_bytes:
        _drop(recorder, droppable(recorder.state, 0), "disk quota")
        size = recorder.blobs.size()
        if size > retention.quota_bytes:
            return (
                f"the run folder holds {size // MIB} MiB of evidence, more than its quota of "
                f"{retention.quota_bytes // MIB} MiB; resume with a larger --disk-quota"
            )
    return ""


def _drop(recorder: Recorder, digests: set[str], reason: str) -> None:
    present = tuple(sorted(digest for digest in digests if recorder.blobs.has(digest)))
    if not present:
        return
    size = sum(recorder.blobs.length(digest) for digest in present)
    recorder.record(BlobsDropped(digests=present, bytes=size, reason=reason))
    for digest in present:
        recorder.blobs.drop(digest)
