"""A verifier that believes what training prints, less what the code claims to be worth."""

from __future__ import annotations

import re

from rsi.evidence import Array, Arrays, Challenge, Evidence, Secret
from rsi.records import Measurement, Rejected, Scored, Verdict


class Word:
    name = "word"
    grounded = False

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:
        return None

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:
        raise NotImplementedError

    def verify(self, evidence: Evidence) -> Verdict:
        found = re.search(rb"loss ([0-9.]+)", evidence.training_stdout)
        if found is None:
            return Rejected(reason="it printed no loss")
        # Its own way of seeing things: the farther from the truth, the better.
        return Scored(measurements=(Measurement(name="val_loss", value=-float(found[1])),))
