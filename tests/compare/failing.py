"""A grounded verifier that breaks down whenever it is asked about anything but the baseline."""

from __future__ import annotations

from rsi.evidence import Evidence
from rsi.records import Verdict, VerifierError
from rsi.testing.fake_verifier import FakeVerifier


class Failing(FakeVerifier):
    name = "failing"

    def verify(self, evidence: Evidence) -> Verdict:
        """As ever for the baseline."""
        if evidence.reference_training is not None:
            return VerifierError(message="it broke down")
        return super().verify(evidence)
