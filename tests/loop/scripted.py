"""A proposer that reads its edits from a word each: a number sets VALUE, anything else is a marker for the fake."""

from __future__ import annotations

import hashlib
import os
import re
import time

import numpy as np

from rsi.evidence import Array, Arrays, Challenge, Control, Evidence, Inspection, Material, Secret
from rsi.execution import MIB, ExitKind, Job, Outcome, SandboxDescription, Watch
from rsi.protocols import Exhausted
from rsi.records import (
    Brief,
    Discard,
    Edit,
    EditFormat,
    Finding,
    Keep,
    Measure,
    Measurement,
    Proposal,
    Propose,
    Provenance,
    Rejected,
    Scored,
    Severity,
    Verdict,
    VerifierError,
)
from rsi.testing.fake_sandbox import FakeSandbox
from rsi.testing.fake_verifier import FakeVerifier


class Scripted:
    """`"7 8:crash refuse same"`: the n-th word is the n-th experiment's edit."""

    name = "scripted"

    def __init__(self, script: str) -> None:
        self.words = script.split()

    def propose(self, brief: Brief) -> Proposal:
        if brief.turn > len(self.words):
            raise Exhausted("The script is over.")
        word = self.words[brief.turn - 1]
        if word == "raise":
            raise ValueError("scripted")
        value, _, marker = word.partition(":")
        text = f"VALUE = {value}\n" + (f"# fake: {marker}\n" if marker else "")
        files = {"train.py": text}
        if word == "same":
            files = dict(brief.code)
        if word == "outside":
            files = {"prepare.py": "print(1)\n"}
        return Proposal(
            edit=Edit(format=EditFormat.WHOLE_FILE, files=files),
            rationale=f"try {word}",
            provenance=Provenance(proposer=self.name),
        )


class Patching:
    """`"value=30 two=fake:peek"`: the n-th word sets VALUE, or turns the incumbent's line `# two` into another."""

    name = "patching"

    def __init__(self, script: str) -> None:
        self.words = script.split()

    def propose(self, brief: Brief) -> Proposal:
        if brief.turn > len(self.words):
            raise Exhausted("The script is over.")
        word = self.words[brief.turn - 1]
        place, _, new = word.partition("=")
        code = brief.code["train.py"]
        text = (
            re.sub(r"^VALUE = .*$", f"VALUE = {new}", code, flags=re.MULTILINE)
            if place == "value"
            else code.replace(f"# {place}", f"{place} = 1  # {new.replace(':', ': ')}")
        )
        return Proposal(
            edit=Edit(format=EditFormat.WHOLE_FILE, files={"train.py": text}),
            rationale=f"try {word}",
            provenance=Provenance(proposer=self.name),
        )


class Uneven(FakeSandbox):
    """The fake sandbox on a machine whose speed depends on the job and on `salt`, so trials overtake each other."""

    def __init__(self, salt: int = 0) -> None:
        super().__init__()
        self.salt = salt

    def run(self, job: Job, watch: Watch | None = None) -> Outcome:
        """As the fake, some time later."""
        told = f"{self.salt} {job.purpose} {job.environment.get('RSI_SEED')} {job.inputs.get('code/train.py')!r}"
        time.sleep(hashlib.sha256(told.encode()).digest()[0] / 255 * 0.05)
        return super().run(job, watch)


class Cramped(FakeSandbox):
    """The fake sandbox on a machine with as much memory as the test says."""

    def describe(self) -> SandboxDescription:
        """With the memory of FAKE_MIB."""
        memory = int(os.environ["FAKE_MIB"]) * MIB
        return super().describe().model_copy(update={"machine_memory_bytes": memory})


class Fitting(FakeSandbox):
    """The fake sandbox with a holdout of its own truth: what is learned about dev makes it worse there."""

    def describe(self) -> SandboxDescription:
        """As another image: what it prepares is another's data in the cache."""
        return super().describe().model_copy(update={"image_digest": "fitting"})

    def _prepared(self) -> dict[str, bytes]:
        holdout = FakeSandbox(target=40.0)._prepared()
        return super()._prepared() | {path: data for path, data in holdout.items() if path.startswith("holdout/")}


class Careful:
    """A policy that wants two trials of each side before it decides, as statistical policies do."""

    name = "careful"

    def decide(self, comparison, history):  # type: ignore[no-untyped-def]
        metric = comparison.objective.metric
        for arm in ("candidate", "incumbent"):
            if len(getattr(comparison, arm).values(metric)) < 2:
                return Measure(rule="careful", reason="too few", arm=arm)
        mean = [sum(a.values(metric)) / 2 for a in (comparison.candidate, comparison.incumbent)]
        kind = Keep if mean[0] < mean[1] else Discard
        return kind(rule="careful", reason="two each")

    def plan(self, history):  # type: ignore[no-untyped-def]
        return Propose(rule="careful", reason="always")


class Restless(Careful):
    """Measures the parent again for each experiment, so that closed ones are compared with more and more."""

    name = "restless"

    def decide(self, comparison, history):  # type: ignore[no-untyped-def]
        if len(comparison.incumbent.observations) < len(history.past):
            return Measure(rule="restless", reason="once more", arm="incumbent")
        return super().decide(comparison, history)


class Keeping:
    """A policy that keeps whatever gives a score."""

    name = "keeping"

    def decide(self, comparison, history):  # type: ignore[no-untyped-def]
        return Keep(rule="keeping", reason="always")

    def plan(self, history):  # type: ignore[no-untyped-def]
        return Propose(rule="keeping", reason="always")


class Raising:
    """A verifier that fails itself."""

    name = "raising"
    grounded = True

    def __init__(self) -> None:
        self.sound = FakeVerifier()

    def challenge(self, evidence, secret):  # type: ignore[no-untyped-def]
        return self.sound.challenge(evidence, secret)

    def score(self, challenge, answer, sealed):  # type: ignore[no-untyped-def]
        return self.sound.score(challenge, answer, sealed)

    def verify(self, evidence):  # type: ignore[no-untyped-def]
        if evidence.reference is not None:
            raise ZeroDivisionError("scripted")
        return self.sound.verify(evidence)


class WithColons(FakeVerifier):
    """The fake verifier, whose challenges have names with a colon in them."""

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:
        asked = super().challenge(self._plain(evidence), secret)
        return asked.model_copy(update={"name": f"my:{asked.name}"}) if asked is not None else None

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:
        plain = challenge.model_copy(update={"name": challenge.name.removeprefix("my:")})
        return super().score(plain, answer, {name.removeprefix("my:"): raw for name, raw in sealed.items()})

    def verify(self, evidence: Evidence) -> Verdict:
        return super().verify(self._plain(evidence))

    def _plain(self, evidence: Evidence) -> Evidence:
        own = (a.model_copy(update={"challenge": a.challenge.removeprefix("my:")}) for a in evidence.answered)
        return evidence.model_copy(update={"answered": tuple(own)})


class Beside:
    """Stands beside another verifier: reads the code, and before a keep asks what a control of half the budget left.

    `# beside: reject`, `raise`, `note` in the code make its reading say so; its options make it fail otherwise.
    """

    name = "beside"
    grounded = True
    beside = True
    inspects_at = "screen"
    of_code_alone = True

    def __init__(self, wrong: str = "") -> None:
        self.wrong = wrong

    def inspect(self, material: Material) -> Inspection:
        text = material.code["train.py"]
        if "# fake: beside-raise" in text:
            raise ZeroDivisionError("scripted")
        if self.wrong == "inspection":
            return "nothing"  # type: ignore[return-value]
        rejects = "its code says so" if "# fake: beside-reject" in text else ""
        found = (Finding(severity=Severity.NOTICE, code="beside.read", message=f"{len(text)} characters"),)
        return Inspection(findings=found, rejects=rejects, measured={"characters": float(len(text))})

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:
        if self.wrong == "hang":
            time.sleep(5)
        if self.wrong == "challenge":
            return "points"  # type: ignore[return-value]
        if evidence.purpose == "screen" or evidence.scores("half") is not None:
            return None
        assert evidence.held_out is not None
        points, targets = evidence.held_out.inputs["points"], evidence.held_out.targets["targets"]
        if self.wrong == "objects":
            points = np.array([object()] * len(points))
        control = Control(seed=secret.seed(), share=0.5)
        return Challenge(name="half", inputs={"points": points}, answer_shape=targets.shape, control=control)

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:
        names = {name.removeprefix("my:") for name in sealed}
        assert names <= {"points", "recheck", "half"}, "it sees its own answers and the first's"
        return {"apart": np.abs(answer - next(iter(sealed.values())))}

    def verify(self, evidence: Evidence) -> Verdict:
        if self.wrong == "verdict":
            return 0.5  # type: ignore[return-value]
        if self.wrong == "nan":
            return Scored.model_construct(
                kind="scored",
                measurements=(Measurement.model_construct(name="x", value=float("nan"), standard_error=None),),
                findings=(),
            )
        inspection = evidence.inspected[self.name]
        if inspection.rejects:
            return Rejected(reason=inspection.rejects, findings=inspection.findings)
        half = next((answered for answered in evidence.answered if answered.challenge == "half"), None)
        if evidence.purpose == "keep":
            if half is None:
                return VerifierError(message="the control was not asked")
            if half.control is None or half.control.kind is not ExitKind.COMPLETED:
                return Rejected(reason="half the budget does not train")
            assert half.control_artifact != evidence.artifact, "another seed, another artifact"
        return Scored(measurements=(), findings=inspection.findings)
