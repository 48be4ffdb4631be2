"""The fake verifier, which also leaves what an inner loop did: one move a trial, whose gain tells the split."""

from __future__ import annotations

import numpy as np

from rsi.evidence import Array, Arrays, Challenge, Evidence, Secret
from rsi.proposers.ranking import PAST, past_row
from rsi.testing.fake_verifier import FakeVerifier


class Remembering(FakeVerifier):
    """Episodes of one loop with one move: gain 1 on dev, 2 on the holdout; a place that was not used behind it."""

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:
        """The same, told which split it is."""
        asked = super().challenge(evidence, secret)
        if asked is None or asked.name != "points":
            return asked
        gain = np.array(1.0 if evidence.split == "dev" else 2.0)
        return asked.model_copy(update={"context": {**asked.context, "gain": gain}})

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:
        """The same, with the loop's rounds."""
        found = dict(super().score(challenge, answer, sealed))
        if challenge.name == "points":
            row = past_row([1, 0, 1, 0.5, 0, 0], "kept", float(challenge.context["gain"]))
            found["past"] = np.array([[row, [0.0] * len(PAST)]], dtype=np.float32)
        return found
