"""A proposer that reads its edits from a word each: a number sets VALUE, anything else is a marker for the fake."""

from __future__ import annotations

from rsi.protocols import Exhausted
from rsi.records import Brief, Discard, Edit, EditFormat, Keep, Measure, Proposal, Propose, Provenance
from rsi.testing.fake_verifier import FakeVerifier


class Scripted:
    """`"7 8:crash refuse same"`: the n-th word is the n-th experiment's edit."""

    name = "scripted"

    def __init__(self, script: str) -> None:
        self.words = script.split()

    def propose(self, brief: Brief) -> Proposal:
        if brief.experiment > len(self.words):
            raise Exhausted("The script is over.")
        word = self.words[brief.experiment - 1]
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
