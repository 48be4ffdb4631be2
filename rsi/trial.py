"""One trial: train in A, let fresh Bs answer the verifier's challenges, score in C, ask for the verdict.

A trial is a generator: it yields the jobs it needs run and is sent their outcomes, so that whoever drives it decides
where and beside what they run. It writes its own events, and begins where those of an earlier session end.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rsi import artifact
from rsi.calls import BudgetSpent, Interrupted
from rsi.course import read_course
from rsi.deadline import within
from rsi.derive import derive_verdict, execution_findings, gather, reference_trial, secret_of, secret_to_read_with
from rsi.errors import EnvironmentFault, IntegrityError
from rsi.events import (
    TrialAnswered,
    TrialControlled,
    TrialFailed,
    TrialInspected,
    TrialJudged,
    TrialStarted,
    TrialTrained,
)
from rsi.evidence import Array, Arrays, Challenge, Evidence, HeldOut, Inspected, Material, Purpose, Secret, Split
from rsi.execution import MIB, Execution, ExitKind, Job, Outcome, Shape
from rsi.prediction import MalformedAnswer, encode_array, job_inputs, read_answer
from rsi.preparation import PreparedData
from rsi.protocols import AsksModels, Inspects, Verifier
from rsi.recorder import Recorder
from rsi.records import CodeFiles, Finding, Verdict, VerifierError
from rsi.state import RETRIED, TrialState
from rsi.task import Task
from rsi.verification import fault, inspect, inspectors, measuring, together

Steps = Generator[Job, Outcome, None]
Stage = Literal["train", "control", "predict"]
STAGES: dict[Stage, str] = {"train": "training", "control": "a control training", "predict": "prediction"}


VERIFIER_SECONDS = 300.0
"""For one question to a verifier: trusted code, but a lab's own may hang."""


class TrialRunner:
    """What all trials of a run share."""

    def __init__(
        self,
        recorder: Recorder,
        task: Task,
        verifier: Verifier,
        secret: Secret,
        data: PreparedData | None,
        budget: int,
        run: str,
        trace: bool = False,
        verifier_seconds: float | None = VERIFIER_SECONDS,
    ) -> None:
        self.recorder = recorder
        self.task = task
        self.verifier = together(verifier)
        self.secret = secret
        self.data = data
        self.budget = budget
        self.run = run
        self.trace = trace
        self.verifier_seconds = verifier_seconds
        self.spent = ""
        """The limit on calls for which a verifier could not ask; empty as long as all could."""
        self._held_out: dict[Split, HeldOut] = {}
        self._answers: dict[tuple[str, str], Array] = {}

    def shapes(self) -> tuple[Shape, ...]:
        """What a trial will need a place for: one to train, two to predict where answers are asked at all."""
        limits, imports = self.task.spec.limits, self.task.spec.train.imports
        train = Shape(limits=limits.train, imports=imports)
        predict = Shape(limits=limits.predict, imports=imports)
        return (train, predict, predict) if self.verifier.asks else (train,)

    def screen(self, trial: str, code: CodeFiles, parent: CodeFiles | None = None) -> Steps:
        """Train and measure, from wherever the record says the trial stands; ends judged or failed."""
        state = self._state(trial)
        if state.trained is None or self._artifact(state) is None:
            outcome = yield self._train_job(state, code, state.started.seed, self.budget)
            self._record_training(trial, outcome)
        trained = self._state(trial).trained
        assert trained is not None
        reason = failure_reason(trained.execution, "training")
        if reason:
            self._fail(trial, "train", trained.execution, reason)
            return
        yield from self._ask(trial, code, parent, "screen")

    def check(self, trial: str, code: CodeFiles, parent: CodeFiles | None = None) -> Steps:
        """Ask what must be asked before a keep, on a trial that was scored; ends judged or failed."""
        yield from self._ask(trial, code, parent, "keep")

    def forget(self, trials: tuple[str, ...]) -> None:
        """Let go of raw answers held in memory."""
        for trial in trials:
            for key in [key for key in self._answers if key[0] == trial]:
                del self._answers[key]

    # --- A ------------------------------------------------------------------------------------------------------

    def _train_job(self, state: TrialState, code: CodeFiles, seed: int, budget: int) -> Job:
        spec = self.task.spec
        inputs: dict[str, bytes | Path] = {f"code/{path}": text.encode() for path, text in code.items()}
        inputs |= {f"code/{path}": self.task.protected[path].encode() for path in spec.code.protected}
        inputs |= {f"data/{path}": file for path, file in (self.data.training_files() if self.data else {}).items()}
        return Job(
            purpose="train",
            argv=(f"code/{spec.train.script}",),
            inputs=inputs,
            environment={"RSI_SEED": str(seed), "RSI_BUDGET": str(budget)},
            shape=Shape(limits=spec.limits.train, imports=spec.train.imports),
            labels={"run": self.run, "trial": state.started.trial},
            trace=self.trace,
        )

    def _record_training(self, trial: str, outcome: Outcome) -> None:
        execution, files = self._left(outcome)
        kept = {path: self.recorder.blobs.put(data) for path, data in sorted(files.items())}
        self.recorder.record(TrialTrained(trial=trial, artifact=kept, **self._recorded(trial, outcome, execution)))

    def _left(self, outcome: Outcome) -> tuple[Execution, Mapping[str, bytes]]:
        """What a training left, where it may be asked; an artifact that may not be one is an end of its own kind."""
        execution = outcome.execution
        if not self.verifier.asks or execution.kind is not ExitKind.COMPLETED:
            return execution, {}
        wrong = artifact.problem(outcome.outputs)
        if not wrong:
            return execution, outcome.outputs
        return execution.model_copy(update={"kind": ExitKind.FORBIDDEN_OUTPUT, "detail": wrong}), {}

    def _recorded(self, trial: str, outcome: Outcome, execution: Execution) -> dict[str, Any]:
        """What every record of an execution holds."""
        return {
            "execution": execution,
            **self.recorder.keep_outcome(outcome),
            "findings": self._findings(trial, execution),
            "attempts": self.recorder.keep_attempts(outcome),
        }

    def _artifact(self, state: TrialState) -> dict[str, bytes] | None:
        """The artifact's bytes; None where a crash of the machine lost them, so that training must be repeated."""
        assert state.trained is not None
        try:
            return {path: self.recorder.blobs.get(digest) for path, digest in state.trained.artifact.items()}
        except IntegrityError:
            return None

    def _findings(self, trial: str, execution: Execution) -> tuple[Finding, ...]:
        return execution_findings(self.recorder.state, trial, execution, self.recorder.blobs.get)

    # --- B and C ------------------------------------------------------------------------------------------------

    def _ask(self, trial: str, code: CodeFiles, parent: CodeFiles | None, purpose: Purpose) -> Steps:
        seconds = 0.0
        verdict: Verdict | None = self._read(trial, code, parent, purpose)
        while verdict is None:
            begin = time.monotonic()
            challenge, verdict = self._next(trial, purpose)
            seconds += time.monotonic() - begin
            if challenge is None:
                continue
            weights: Mapping[str, bytes] | None = self._artifact(self._state(trial))
            if challenge.control is not None:
                control = challenge.control
                budget = max(1, round(control.share * self.budget))
                outcome = yield self._train_job(self._state(trial), code, control.seed, budget)
                weights = self._record_control(trial, purpose, challenge, outcome)
                if weights is None and self._failed(trial, "control"):
                    return
            elif weights is None:
                raise IntegrityError(f"The weights of trial {trial} are lost, so it cannot be asked further.")
            if weights is not None and challenge.inputs:
                outcome = yield self._predict_job(trial, code, challenge, weights)
                verdict = self._record_answer(trial, purpose, challenge, outcome)
                if self._failed(trial, "predict"):
                    return
        reference = reference_trial(self.recorder.state, trial)
        self.recorder.record(
            TrialJudged(trial=trial, purpose=purpose, reference=reference, verdict=verdict, verifying_seconds=seconds)
        )

    def _failed(self, trial: str, stage: Stage) -> bool:
        """Whether what just ran ended so that no verdict can be had. What a control's end means, its verifier says."""
        execution = stage_execution(self._state(trial), stage)
        assert execution is not None
        reason = failure_reason(execution, STAGES[stage])
        if not reason or (stage == "control" and execution.kind not in RETRIED):
            return False
        self._fail(trial, stage, execution, reason)
        return True

    def _next(self, trial: str, purpose: Purpose) -> tuple[Challenge | None, Verdict | None]:
        """The next question, or the verdict where there is none; whatever a verifier raises is its own error."""
        try:
            challenge = within(self.verifier_seconds, lambda: self._next_challenge(trial, purpose))
            if challenge is None:
                return None, within(self.verifier_seconds, lambda: self.verdict(trial, purpose))
        except EnvironmentFault:
            raise  # a full disk is no verdict
        except Exception as error:  # it must not end the run, nor be a score
            return None, fault(self.verifier, error)
        return challenge, None

    def _next_challenge(self, trial: str, purpose: Purpose) -> Challenge | None:
        state = self._state(trial)
        if any(answered.malformed for answered in state.answered):
            return None
        challenge = self.verifier.challenge(self.evidence(trial, purpose), self._secret(trial))
        asked = {body.challenge for body in state.answered} | {control.challenge for control in state.settled()}
        if challenge is not None and challenge.name in asked:
            raise ValueError(f"it asks {challenge.name!r} a second time")
        return challenge

    def _secret(self, trial: str) -> Secret:
        return secret_of(self.secret, self._state(trial).started, measuring(self.verifier))

    def _read(self, trial: str, code: CodeFiles, parent: CodeFiles | None, purpose: Purpose) -> VerifierError | None:
        """Have verifiers read what lies there; the error of the first that cannot."""
        state = self._state(trial)
        done = {inspected.verifier for inspected in state.inspected}
        reading = inspectors(self.verifier, purpose, state.started.split)
        due = [inspector for inspector in reading if inspector.name not in done]
        material = self._material(trial, code, parent) if due else None
        for inspector in due:
            assert material is not None
            begin = time.monotonic()
            try:
                found = self._inspection(inspector, material, state.started)
            except (EnvironmentFault, Interrupted):
                raise
            except BudgetSpent as spent:
                self.spent = str(spent)
                return VerifierError(message=f"{inspector.name} could not ask, because {spent}")
            except Exception as error:  # as in _next
                return fault(inspector, error)
            self.recorder.record(
                TrialInspected(
                    trial=trial,
                    purpose=inspector.inspects_at,
                    verifier=inspector.name,
                    inspection=found.inspection,
                    kept=self._kept(found.kept),
                    seconds=time.monotonic() - begin,
                )
            )
        return None

    def _inspection(self, inspector: Inspects, material: Material, started: TrialStarted) -> Inspected:
        secret = secret_to_read_with(self.secret, started, measuring(self.verifier), inspector)
        material = material.model_copy(update={"secret": secret})
        # Calls write events, so they are made from this thread; they have limits of their own.
        seconds = None if isinstance(inspector, AsksModels) else self.verifier_seconds
        return within(seconds, partial(inspect, inspector, material))

    def _material(self, trial: str, code: CodeFiles, parent: CodeFiles | None) -> Material:
        state = self._state(trial)
        assert state.trained is not None
        committed = self.recorder.state.experiments[state.started.experiment].committed
        standing = reference_trial(self.recorder.state, trial)
        before = self._artifact(self._state(standing)) if standing is not None else None
        return Material(
            experiment=state.started.experiment,
            trial=trial,
            code=code,
            parent=parent,
            protected={path: self.task.protected[path] for path in self.task.spec.code.protected},
            diff=self.recorder.blobs.get(committed.diff).decode() if committed is not None and committed.diff else "",
            artifact=self._artifact(state) or {},
            parent_artifact=before,
            training=state.trained.execution,
            training_stdout=self.recorder.blobs.get(state.trained.stdout),
            course=read_course(self.recorder.blobs.get(state.trained.course)) if state.trained.course else None,
            training_data=self.data.training_files() if self.data else {},
            held_out=self.held_out(state.started.split) if self.data else None,
            split=state.started.split,
        )

    def _record_control(
        self, trial: str, purpose: Purpose, challenge: Challenge, outcome: Outcome
    ) -> Mapping[str, bytes] | None:
        """What the control left, to be asked in place of the trial's artifact; None where it left nothing."""
        assert challenge.control is not None
        execution, files = self._left(outcome)
        self.recorder.record(
            TrialControlled(
                trial=trial,
                purpose=purpose,
                challenge=challenge.name,
                control=challenge.control,
                asked=bool(challenge.inputs),
                left={path: hashlib.sha256(data).hexdigest() for path, data in sorted(files.items())},
                **self._recorded(trial, outcome, execution),
            )
        )
        return files or None

    def _predict_job(self, trial: str, code: CodeFiles, challenge: Challenge, weights: Mapping[str, bytes]) -> Job:
        spec = self.task.spec
        protected = {path: self.task.protected[path] for path in spec.code.protected}
        module = spec.train.script.removesuffix(".py").replace("/", ".")
        return Job(
            purpose="predict",
            argv=("-m", "guest.predict"),
            inputs=job_inputs(code, protected, weights, challenge, module=module),
            shape=Shape(limits=spec.limits.predict, imports=spec.train.imports),
            labels={"run": self.run, "trial": trial},
            trace=self.trace,
        )

    def _record_answer(
        self, trial: str, purpose: Purpose, challenge: Challenge, outcome: Outcome
    ) -> VerifierError | None:
        """Seal and score an answer; an error of the scoring is a verdict, given once the answer is on record."""
        digest, malformed, scores, error = None, "", dict[str, str](), None
        begin = time.monotonic()
        if outcome.execution.kind is ExitKind.COMPLETED:
            try:
                answer = read_answer(outcome.outputs, challenge)
                digest = self.recorder.blobs.put(answer.tobytes(), durable=False)
                scores = self._score(trial, challenge, answer)
                self._answers[trial, challenge.name] = answer
            except MalformedAnswer as wrong:
                malformed = str(wrong)
            except EnvironmentFault:
                raise
            except Exception as raised:  # as in _next
                error = fault(self.verifier, raised)
        seconds = time.monotonic() - begin
        self.recorder.record(
            TrialAnswered(
                trial=trial,
                purpose=purpose,
                challenge=challenge.name,
                challenge_digest=challenge.digest(),
                answer=digest,
                shape=challenge.answer_shape if digest is not None else (),
                malformed=malformed,
                scores=scores,
                **self._recorded(trial, outcome, outcome.execution),
                scoring_seconds=seconds,
            )
        )
        return error

    def _score(self, trial: str, challenge: Challenge, answer: Array) -> dict[str, str]:
        sealed = self._sealed(trial)
        scores = within(self.verifier_seconds, lambda: self.verifier.score(challenge, answer, sealed))
        return self._kept(scores)

    def _kept(self, arrays: Arrays) -> dict[str, str]:
        """Name → the blob in which an array is kept for good."""
        return {name: self.recorder.blobs.put(encode_array(array)) for name, array in sorted(arrays.items())}

    def _sealed(self, trial: str) -> Arrays:
        """The trial's earlier raw answers; from memory, or after a restart from the blobs they were sealed in."""
        sealed: dict[str, Array] = {}
        for answered in self._state(trial).answered:
            key = (trial, answered.challenge)
            if key not in self._answers and answered.answer is not None:
                self._answers[key] = self._reread(trial, answered)
            if key in self._answers:
                sealed[answered.challenge] = self._answers[key]
        return sealed

    def _reread(self, trial: str, answered: TrialAnswered) -> Array:
        assert answered.answer is not None
        raw = self.recorder.blobs.get(answered.answer)
        evidence = self.evidence(trial, answered.purpose, before=answered.challenge)
        challenge = self.verifier.challenge(evidence, self._secret(trial))
        if challenge is None or challenge.digest() != answered.challenge_digest:
            raise IntegrityError(f"The challenge {answered.challenge!r} of trial {trial} does not derive again.")
        return read_answer({"answer.bin": raw}, challenge)

    # --- evidence -----------------------------------------------------------------------------------------------

    def evidence(self, trial: str, purpose: Purpose, before: str = "") -> Evidence:
        """What the verifier may see of a trial while it is being questioned."""
        held_out = self.held_out(self._state(trial).started.split) if self.data else None
        return gather(self.recorder.state, trial, purpose, self.recorder.blobs.get, held_out, before)

    def verdict(self, trial: str, purpose: Purpose) -> Verdict:
        """The verdict on what is recorded; no held-out data is touched, so that it derives again without any."""
        evidence = gather(self.recorder.state, trial, purpose, self.recorder.blobs.get)
        return derive_verdict(self._state(trial), self.verifier, evidence)

    def held_out(self, split: Split) -> HeldOut:
        """A held-out split from the prepared data, loaded once."""
        if split not in self._held_out:
            assert self.data is not None
            self._held_out[split] = self.data.held_out(split)
        return self._held_out[split]

    def _state(self, trial: str) -> TrialState:
        return self.recorder.state.trials[trial]

    def _fail(self, trial: str, stage: Stage, execution: Execution, reason: str) -> None:
        self.recorder.record(TrialFailed(trial=trial, stage=stage, kind=execution.kind, reason=reason))


def stage_execution(trial: TrialState, stage: Stage) -> Execution | None:
    """The latest execution of that stage."""
    bodies = {
        "train": (trial.trained,) if trial.trained else (),
        "control": trial.controlled,
        "predict": trial.answered,
    }
    return bodies[stage][-1].execution if bodies[stage] else None


def failure_reason(execution: Execution, stage: str) -> str:
    """Our own words on an execution that did not complete; empty for one that did.

    Of what candidate code printed nothing is in it but the class of the error and its line.
    """
    if execution.kind is ExitKind.COMPLETED:
        return ""
    words = {
        ExitKind.CRASHED: f"{stage} crashed",
        ExitKind.TIMED_OUT: f"{stage} passed the wall-time cap of {execution.limits.wall_seconds:g} s",
        ExitKind.CPU_EXCEEDED: f"{stage} passed the CPU cap of {execution.limits.cpu_seconds:g} s",
        ExitKind.OUT_OF_MEMORY: f"{stage} ran out of its {execution.limits.memory_bytes // MIB} MiB of memory",
        ExitKind.DISK_FULL: f"{stage} filled its {execution.limits.disk_bytes // MIB} MiB of disk",
        ExitKind.OUTPUT_EXCEEDED: f"{stage} printed more than {execution.limits.output_bytes} bytes",
        ExitKind.FORBIDDEN_OUTPUT: f"{stage} left files that are not allowed",
        ExitKind.LOST: f"the engine was lost during {stage}",
        ExitKind.INTERRUPTED: f"{stage} was interrupted",
    }
    fault = execution.fault
    where = f": {fault.error}" if fault else ""
    if fault and fault.file:
        where += f" at {fault.file.removeprefix('code/')}:{fault.line}"
    detail = f": {execution.detail}" if execution.kind is ExitKind.FORBIDDEN_OUTPUT and execution.detail else ""
    return words[execution.kind] + where + detail
