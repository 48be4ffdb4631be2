"""Reads the score that the simulated sandbox printed; nothing hostile can stand there, because nothing ran."""

from __future__ import annotations

import math

from rsi.evidence import Array, Arrays, Challenge, Evidence, Secret
from rsi.records import Measurement, Rejected, Scored, Verdict
from simulated.code import METRIC


class SimulatedVerifier:
    """One measurement: the split's own number."""

    name = "simulated"
    grounded = False

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:  # noqa: ARG002 - nothing is asked
        """Nothing is asked."""
        return None

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:  # noqa: ARG002 - nothing is asked
        """Never called in a run."""
        return {}

    def verify(self, evidence: Evidence) -> Verdict:
        """Scored where the line of the split is there."""
        for line in evidence.training_stdout.split(b"\n"):
            split, _, number = line.partition(b" ")
            if split == evidence.split.encode() and (value := _finite(number)) is not None:
                return Scored(measurements=(Measurement(name=METRIC, value=value),))
        return Rejected(reason=f"the simulated training printed no score of the {evidence.split} split")


def _finite(text: bytes) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
