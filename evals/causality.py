"""Nobody looked ahead: predictions that change when only the future changes are rejected.

Stands beside what measures a language model on `windows`, and is part of `language-model`. What it asks, and how surely
a peek is found: `evals.cuts` and `docs/prediction-protocol.md`.

Proves, for the places it cut, that the answer there followed from the bytes before them. Does not prove it elsewhere,
nor where a peek shows no gain and few places hold it.
"""

from __future__ import annotations

import numpy as np

from evals import cuts as places
from evals.asking import unasked
from evals.likelihood import VOCABULARY, all_finite
from rsi.evidence import Array, Arrays, Challenge, Evidence, Secret
from rsi.records import Finding, Rejected, Scored, Severity, Verdict, VerifierError

WINDOWS = "windows"
CAUSALITY = "causality"
EVEN = "causality-even"
"""After cuts drawn by gain, of another process, cuts drawn evenly: a peek that shows no gain has nowhere to hide."""


class Causality:
    """Asks a fresh process about windows whose continuation was replaced; the answers must not have changed.

    Args:
        cuts: how many positions are asked about again, each in another window, drawn by gain.
        even_cuts: how many more of another fresh process, drawn evenly; 0 for none.
        tolerance: by how many nats a log-probability may change when only later bytes change. Rounding of honest
            float32 models stays below 0.00001 (`docs/prediction-protocol.md`); a peek worth 0.02 bits per
            byte, spread evenly, moves every one by 0.014.
    """

    name = "causality"
    grounded = True
    beside = True

    def __init__(self, cuts: int = 192, tolerance: float = 0.001, even_cuts: int = 192) -> None:
        self.cuts = {CAUSALITY: cuts, EVEN: even_cuts} if even_cuts else {CAUSALITY: cuts}
        self.tolerance = tolerance

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:
        """Before a keep: windows with replaced continuations, once the windows as they are have been answered."""
        scores = evidence.scores(WINDOWS)
        name = next((name for name in self.cuts if evidence.scores(name) is None), None)
        if evidence.purpose == "screen" or scores is None or not scores["finite"] or name is None:
            return None
        if evidence.held_out is None:
            raise ValueError("a challenge is made from held-out data; pass it in the evidence")
        windows = evidence.held_out.inputs["windows"]
        generator = secret.derive(name).generator()
        reference = evidence.reference["loss"] if evidence.reference and name == CAUSALITY else None
        cuts = places.draw_cuts(places.weights(scores["loss"], reference), self.cuts[name], generator)
        rows = places.replaced(windows, cuts, generator)
        return Challenge(
            name=name,
            inputs={"windows": rows},
            answer_shape=(*rows.shape, VOCABULARY),
            context={"cuts": cuts},
        )

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:
        """Both rows of log-probabilities at each cut, and their distance."""
        finite = all_finite(answer)
        cuts = challenge.context["cuts"].astype(np.int64)
        first = places.rows_at(sealed[WINDOWS], cuts[:, 0], cuts[:, 1])
        again = places.rows_at(answer, np.arange(len(cuts)), cuts[:, 1]) if finite else np.zeros_like(first)
        return {
            "cuts": cuts,
            "sealed": first,
            "answered": again,
            "difference": places.differences(first, again),
            "finite": np.array(finite, dtype=np.uint8),
        }

    def verify(self, evidence: Evidence) -> Verdict:
        """Rejected for what looked ahead; scored, without a measurement, where every answer held."""
        if evidence.purpose == "screen":
            return Scored(measurements=())
        nothing = unasked(evidence)
        if nothing is not None:
            return nothing
        held: tuple[Finding, ...] = ()
        for name in self.cuts:
            scores = evidence.scores(name)
            if scores is None:
                return VerifierError(message=f"The challenge {name!r} was not answered, so nothing can be said.")
            verdict = self._compare(name, scores)
            if not isinstance(verdict, Scored):
                return verdict
            held += verdict.findings
        return Scored(measurements=(), findings=held)

    def _compare(self, name: str, scores: Arrays) -> Verdict:
        """The verdict on a round of cuts, from both rows as they are kept."""
        if not scores["finite"]:
            reason = "the predictions hold NaN or infinite numbers"
            finding = Finding(severity=Severity.WARNING, code="non-finite", message=reason, pointer=name)
            return Rejected(reason=reason, findings=(finding,))
        apart = places.differences(scores["sealed"], scores["answered"])
        worst = int(apart.argmax())
        window, position = (int(number) for number in scores["cuts"][worst])
        pointer = f"{name}:{worst}"
        if apart[worst] <= self.tolerance:
            message = f"predictions at {len(apart)} cuts held; the largest change was {apart[worst]:.2g} nats"
            held = Finding(severity=Severity.INFO, code="causal", message=message, pointer=pointer)
            return Scored(measurements=(), findings=(held,))
        changed = int((apart > self.tolerance).sum())
        message = (
            f"with other bytes after position {position} of window {window}, the prediction at that position changed "
            f"by {apart[worst]:.3g} nats ({changed} of {len(apart)} cuts changed by more than {self.tolerance:g})"
        )
        finding = Finding(severity=Severity.CRITICAL, code="looked-ahead", message=message, pointer=pointer)
        reason = (
            "a prediction depends on later bytes, on other windows or on chance; each must follow from its past alone"
        )
        return Rejected(reason=reason, findings=(finding,))
