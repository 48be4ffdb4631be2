"""What verifiers share that ask no question, or stand beside one that asks none."""

from __future__ import annotations

from rsi.evidence import Array, Arrays, Challenge, Evidence, Purpose, Secret
from rsi.records import Finding, Rejected, Scored, Severity, Verdict, VerifierError


def unasked(evidence: Evidence) -> Scored | None:
    """What to say of answers where what measures asked nothing, so that there are none; None where there are.

    A verifier that measures by answers fails itself where it has none: this never stands for a score.
    """
    if evidence.answered:
        return None
    message = "what measures asks nothing, so there are no predictions to look at"
    finding = Finding(severity=Severity.NOTICE, code="unasked", message=message)
    return Scored(measurements=(), findings=(finding,))


class AsksNothing:
    """The two methods by which a verifier asks, for one that does not."""

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:  # noqa: ARG002 - nothing is asked
        """Nothing is asked."""
        return None

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:  # noqa: ARG002
        """Never called in a run, because nothing is asked; an answer given all the same is worth nothing."""
        return {}


class Reads(AsksNothing):
    """A verifier whose verdict is its own inspection's."""

    name: str
    inspects_at: Purpose

    def verify(self, evidence: Evidence) -> Verdict:
        """What the inspection found; VerifierError where it is due and missing."""
        inspection = evidence.inspected.get(self.name)
        if inspection is None:
            if evidence.purpose == "screen" and self.inspects_at == "keep":
                return Scored(measurements=())
            return VerifierError(message=f"{self.name} has read nothing, so nothing can be said.")
        if inspection.rejects:
            return Rejected(reason=inspection.rejects, findings=inspection.findings)
        return Scored(measurements=(), findings=inspection.findings)
