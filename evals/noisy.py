"""A verifier with a known error, to learn what an error costs: another's measurement, made worse on purpose.

It asks, scores and rejects as the verifier that it wraps does, and adds to the first measurement of a scored verdict

    bias + noise · z - favour_gain · [favour stands in the code]

where z is one standard normal draw of the trial's own, even where both arms of a pair are asked the same: an error that
they shared would cancel. The draw travels in the context of the first challenge, which no candidate sees, and is kept
among that challenge's scores: so that `verify`, which sees no secret, derives the same verdict from the record alone.
It depends on the run's randomness and the trial's name, so that runs with the same seed draw the same z for the same
trial, whatever the dials say, and are matched.

Is it grounded? Noise and bias alone change nothing about where the number comes from: answers to held-out inputs that
the candidate can neither reach nor foresee. It is then `grounded`, as a poor instrument still measures, and every
verdict holds a finding that tells its error. With a favour the candidate moves the number by what it writes, which is
what being ungrounded means; so it is not, and every screen says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rsi import plugins
from rsi.configuration import Options
from rsi.errors import UsageError
from rsi.evidence import Array, Arrays, Challenge, Evidence, Inspection, Material, Purpose, Secret
from rsi.protocols import Inspects, Verifier
from rsi.records import Finding, Measurement, Scored, Severity, Verdict, VerifierError
from rsi.task import TaskSpec

DRAW = "noisy.draw"
"""The score that holds z."""
EXACT = "exact_"
"""Before the name of the measurement as the wrapped verifier gave it, which stands beside the one with the error."""


class Noisy:
    """What another verifier measures, with an error.

    Args:
        of: the verifier that measures: its registered name, or the verifier itself.
        noise: standard deviation of the error, in the measurement's units.
        bias: its mean, in the same units. It moves all code alike, so that it changes no comparison.
        favour: text whose presence in an editable file lowers the measurement; empty for none.
        favour_gain: by so much, in the measurement's units.
        options: those of the wrapped verifier.
    """

    name = "noisy"
    asks = True
    of_code_alone = True
    inspects_at: Purpose

    def __init__(
        self,
        of: str | Verifier,
        noise: float = 0.0,
        bias: float = 0.0,
        favour: str = "",
        favour_gain: float = 0.0,
        **options: Any,
    ) -> None:
        for option, value in (("noise", noise), ("bias", bias), ("favour_gain", favour_gain)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise UsageError(f"noisy.{option} is {value!r}; give a number, in the measurement's units.")
        if noise < 0:
            raise UsageError(f"noisy.noise is {noise:g}; a standard deviation is not negative.")
        if bool(favour) != bool(favour_gain):
            raise UsageError("noisy.favour and noisy.favour_gain go together; give both, or neither.")
        self.of = _measuring(of, options)
        self.noise, self.bias = float(noise), float(bias)
        self.favour, self.favour_gain = favour, float(favour_gain)
        self.grounded = not favour
        self.secret_of_seed: bool = getattr(self.of, "secret_of_seed", False)
        if favour:
            self.inspects_at = "screen"  # without it nothing is read: `Inspects` asks whether it is there

    @classmethod
    def options_for(cls, spec: TaskSpec) -> Options:
        """To wrap what measures in that task."""
        return {"of": spec.verifier.name, **spec.verifier.options}

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:
        """The wrapped verifier's; the first one carries the draw, where only scoring sees it."""
        challenge = self.of.challenge(evidence, secret)
        if challenge is None or evidence.answered:
            return challenge
        drawn = np.array([secret.derive("noisy", evidence.trial).generator().standard_normal()])
        return challenge.model_copy(update={"context": {**challenge.context, DRAW: drawn}})

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:
        """The wrapped verifier's, and the draw."""
        context = {name: array for name, array in challenge.context.items() if name != DRAW}
        scores = self.of.score(challenge.model_copy(update={"context": context}), answer, sealed)
        return {**scores, DRAW: challenge.context[DRAW]} if DRAW in challenge.context else scores

    def inspect(self, material: Material) -> Inspection:
        """Whether the code holds what is favoured; plain text, so that no code makes looking for it slow."""
        return Inspection(measured={"favoured": float(any(self.favour in text for text in material.code.values()))})

    def verify(self, evidence: Evidence) -> Verdict:
        """The wrapped verifier's verdict; where that is a score, with the error and what it was before."""
        verdict = self.of.verify(evidence)
        if not isinstance(verdict, Scored) or not verdict.measurements:
            return verdict
        drawn = evidence.answered[0].scores.get(DRAW) if evidence.answered else None
        read = evidence.inspected.get(self.name)
        if drawn is None or drawn.shape != (1,):
            return VerifierError(message="noisy drew no deviation for this trial, so nothing can be said.")
        if self.favour and (read is None or "favoured" not in read.measured):
            return VerifierError(message="noisy has not read the code, so nothing can be said.")
        favoured = bool(read is not None and read.measured.get("favoured"))
        exact, *others = verdict.measurements
        error = self.bias + self.noise * float(drawn[0]) - self.favour_gain * favoured
        spread = exact.standard_error
        measured = Measurement(
            name=exact.name,
            value=exact.value + error,
            standard_error=math.hypot(spread, self.noise) if spread is not None else None,
        )
        return Scored(
            measurements=(measured, *others, exact.model_copy(update={"name": EXACT + exact.name})),
            findings=(*verdict.findings, *self._said(exact.name, favoured)),
        )

    def _said(self, metric: str, favoured: bool) -> tuple[Finding, ...]:
        """What a reader must know of the number; nothing where it is exact."""
        found = []
        if self.noise or self.bias:
            message = f"{metric} has an error on purpose: standard deviation {self.noise:g}, mean {self.bias:g}"
            found.append(Finding(severity=Severity.NOTICE, code="noisy.error", message=message))
        if self.favour:
            holds = "holds" if favoured else "does not hold"
            message = f"the code {holds} text that moves {metric} by {-self.favour_gain:g} on purpose"
            severity = Severity.WARNING if favoured else Severity.NOTICE
            found.append(Finding(severity=severity, code="noisy.favour", message=message))
        return tuple(found)


def _measuring(of: str | Verifier, options: dict[str, Any]) -> Verifier:
    """The verifier to wrap; UsageError for one that cannot be."""
    if isinstance(of, str):
        # A reader of somebody else's run builds this from the run's own words, and must not thereby run their file.
        if ".py:" in of:
            raise UsageError(f"noisy wraps registered verifiers alone; register {of!r} first.")
        verifier = _made(plugins.load("verifiers", of), of, options)
    else:
        verifier = of
    if getattr(verifier, "beside", False) or not verifier.grounded or isinstance(verifier, Noisy | Inspects):
        raise UsageError(f"noisy wraps a verifier that asks, grounded, and measures; {verifier.name} is none.")
    return verifier


def _made(factory: Callable[..., Verifier], name: str, options: dict[str, Any]) -> Verifier:
    try:
        return factory(**options)
    except TypeError as error:
        raise UsageError(f"noisy cannot make {name}: {error}; mend its options.") from None
