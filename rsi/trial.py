"""One trial: train in A, let fresh Bs answer the verifier's challenges, score in C, ask for the verdict.

A trial is a generator: it yields the jobs it needs run and is sent their outcomes, so that whoever drives it decides
where and beside what they run. It writes its own events, and begins where those of an earlier session end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from pathlib import Path
from typing import Literal

from rsi import artifact
from rsi.derive import derive_verdict, execution_findings, gather, reference_trial
from rsi.errors import EnvironmentFault, IntegrityError
from rsi.events import TrialAnswered, TrialFailed, TrialJudged, TrialTrained
from rsi.evidence import Array, Arrays, Challenge, Evidence, HeldOut, Purpose, Secret, Split
from rsi.execution import MIB, Execution, ExitKind, Job, Outcome, Shape
from rsi.prediction import MalformedAnswer, encode_array, job_inputs, read_answer
from rsi.preparation import PreparedData
from rsi.protocols import Verifier
from rsi.recorder import Recorder
from rsi.records import CodeFiles, Finding, Verdict, VerifierError
from rsi.state import TrialState
from rsi.task import Task

Steps = Generator[Job, Outcome, None]


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
    ) -> None:
        self.recorder = recorder
        self.task = task
        self.verifier = verifier
        self.secret = secret
        self.data = data
        self.budget = budget
        self.run = run
        self.trace = trace
        self._held_out: dict[Split, HeldOut] = {}
        self._answers: dict[tuple[str, str], Array] = {}

    def shapes(self) -> tuple[Shape, ...]:
        """What a trial will need a place for: one to train, two to predict where answers are asked at all."""
        limits, imports = self.task.spec.limits, self.task.spec.train.imports
        train = Shape(limits=limits.train, imports=imports)
        predict = Shape(limits=limits.predict, imports=imports)
        return (train, predict, predict) if self.verifier.grounded else (train,)

    def screen(self, trial: str, code: CodeFiles) -> Steps:
        """Train and measure, from wherever the record says the trial stands; ends judged or failed."""
        state = self._state(trial)
        if state.trained is None or self._artifact(state) is None:
            outcome = yield self._train_job(state, code)
            self._record_training(trial, outcome)
        trained = self._state(trial).trained
        assert trained is not None
        reason = failure_reason(trained.execution, "training")
        if reason:
            self._fail(trial, "train", trained.execution, reason)
            return
        yield from self._ask(trial, code, "screen")

    def check(self, trial: str, code: CodeFiles) -> Steps:
        """Ask what must be asked before a keep, on a trial that was scored; ends judged or failed."""
        yield from self._ask(trial, code, "keep")

    def forget(self, trials: tuple[str, ...]) -> None:
        """Let go of raw answers held in memory."""
        for trial in trials:
            for key in [key for key in self._answers if key[0] == trial]:
                del self._answers[key]

    # --- A ------------------------------------------------------------------------------------------------------

    def _train_job(self, state: TrialState, code: CodeFiles) -> Job:
        spec = self.task.spec
        inputs: dict[str, bytes | Path] = {f"code/{path}": text.encode() for path, text in code.items()}
        inputs |= {f"code/{path}": self.task.protected[path].encode() for path in spec.code.protected}
        inputs |= {f"data/{path}": file for path, file in (self.data.training_files() if self.data else {}).items()}
        return Job(
            purpose="train",
            argv=(f"code/{spec.train.script}",),
            inputs=inputs,
            environment={"RSI_SEED": str(state.started.seed), "RSI_BUDGET": str(self.budget)},
            shape=Shape(limits=spec.limits.train, imports=spec.train.imports),
            labels={"run": self.run, "trial": state.started.trial},
            trace=self.trace,
        )

    def _record_training(self, trial: str, outcome: Outcome) -> None:
        execution, files = outcome.execution, {}
        if self.verifier.grounded and execution.kind is ExitKind.COMPLETED:
            wrong = artifact.problem(outcome.outputs)
            if wrong:
                execution = execution.model_copy(update={"kind": ExitKind.FORBIDDEN_OUTPUT, "detail": wrong})
            else:
                files = {path: self.recorder.blobs.put(data) for path, data in sorted(outcome.outputs.items())}
        self.recorder.record(
            TrialTrained(
                trial=trial,
                execution=execution,
                **self.recorder.keep_outcome(outcome),
                artifact=files,
                findings=self._findings(trial, execution),
                attempts=self._attempts(outcome),
            )
        )

    def _artifact(self, state: TrialState) -> dict[str, bytes] | None:
        """The artifact's bytes; None where a crash of the machine lost them, so that training must be repeated."""
        assert state.trained is not None
        try:
            return {path: self.recorder.blobs.get(digest) for path, digest in state.trained.artifact.items()}
        except IntegrityError:
            return None

    def _findings(self, trial: str, execution: Execution) -> tuple[Finding, ...]:
        return execution_findings(self.recorder.state, trial, execution, self.recorder.blobs.get)

    def _attempts(self, outcome: Outcome) -> str | None:
        if not outcome.attempts:
            return None
        listed = [attempt.model_dump(mode="json") for attempt in outcome.attempts]
        return self.recorder.keep_text(json.dumps(listed, separators=(",", ":")))

    # --- B and C ------------------------------------------------------------------------------------------------

    def _ask(self, trial: str, code: CodeFiles, purpose: Purpose) -> Steps:
        seconds = 0.0
        verdict: Verdict | None = None
        while verdict is None:
            begin = time.monotonic()
            try:
                challenge = self._next_challenge(trial, purpose)
                verdict = self.verdict(trial, purpose) if challenge is None else None
            except EnvironmentFault:
                raise  # a full disk is no verdict
            except Exception as error:  # whatever a verifier raises must not end the run, nor be a score
                verdict = self._verifier_error(error)
            seconds += time.monotonic() - begin
            if verdict is None:
                assert challenge is not None
                outcome = yield self._predict_job(trial, code, challenge)
                verdict = self._record_answer(trial, purpose, challenge, outcome)
            failure = self._state(trial).answered[-1:]
            if failure and (reason := failure_reason(failure[0].execution, "prediction")):
                self._fail(trial, "predict", failure[0].execution, reason)
                return
        reference = reference_trial(self.recorder.state, trial)
        self.recorder.record(
            TrialJudged(trial=trial, purpose=purpose, reference=reference, verdict=verdict, verifying_seconds=seconds)
        )

    def _next_challenge(self, trial: str, purpose: Purpose) -> Challenge | None:
        if any(answered.malformed for answered in self._state(trial).answered):
            return None
        return self.verifier.challenge(self.evidence(trial, purpose), self.secret.derive("challenge", trial))

    def _verifier_error(self, error: Exception) -> VerifierError:
        return VerifierError(message=f"{self.verifier.name} raised {type(error).__name__}: {error}")

    def _predict_job(self, trial: str, code: CodeFiles, challenge: Challenge) -> Job:
        spec = self.task.spec
        protected = {path: self.task.protected[path] for path in spec.code.protected}
        weights = self._artifact(self._state(trial))
        assert weights is not None
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
            except Exception as raised:  # as in _ask
                error = self._verifier_error(raised)
        seconds = time.monotonic() - begin
        self.recorder.record(
            TrialAnswered(
                trial=trial,
                purpose=purpose,
                challenge=challenge.name,
                challenge_digest=challenge.digest(),
                execution=outcome.execution,
                **self.recorder.keep_outcome(outcome),
                answer=digest,
                malformed=malformed,
                scores=scores,
                findings=self._findings(trial, outcome.execution),
                attempts=self._attempts(outcome),
                scoring_seconds=seconds,
            )
        )
        return error

    def _score(self, trial: str, challenge: Challenge, answer: Array) -> dict[str, str]:
        scores = self.verifier.score(challenge, answer, self._sealed(trial))
        return {name: self.recorder.blobs.put(encode_array(array)) for name, array in sorted(scores.items())}

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
        challenge = self.verifier.challenge(evidence, self.secret.derive("challenge", trial))
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

    def _fail(self, trial: str, stage: Literal["train", "predict"], execution: Execution, reason: str) -> None:
        self.recorder.record(TrialFailed(trial=trial, stage=stage, kind=execution.kind, reason=reason))


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
