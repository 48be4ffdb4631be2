"""What a ranking program is worth: loops on inner tasks in which it chooses every move, run and measured here.

Each round of the loops is a challenge to a fresh B, for all loops at once: the options, the history and the situation
in the columns of `rsi.proposers.ranking`, to be answered with a preference for each option. Choosing, training,
deciding and certifying happen here, in `evals.inner`; nothing that A or B measured or claimed counts.

The instances are drawn from the secret of the trial's seed, so that they are new with every seed, and both arms of a
pair meet the same ones. What a round leaves is kept; the next question and the verdict follow from that.
"""

from __future__ import annotations

import math

import numpy as np

from evals.inner import loops
from evals.inner.certifying import Results, results
from evals.inner.families import instances
from evals.likelihood import standard_error
from rsi.errors import UsageError
from rsi.evidence import Array, Arrays, Challenge, Evidence, Secret
from rsi.records import Finding, Measurement, Scored, Severity, Verdict, VerifierError

SLOTS = "slots"


class InnerLoops:
    """Certified gain on inner tasks per 100 units of compute; a unit is a training of the inner task's baseline.

    The one target array, `slots`, (T, 7) float64, says from which family each loop's task is drawn.

    Args:
        metric: What the measurement is called.
        rounds: Challenges a trial.
        at_once: Moves that a loop makes in a round.
        compute: Budget of a loop, in trainings of the baseline; its certification is charged besides.
    """

    name = "inner-loops"
    grounded = True
    secret_of_seed = True
    """Both arms of a pair are to meet the same instances: the loop then derives the secret from the trial's seed."""

    def __init__(
        self, metric: str = "gain_per_compute", rounds: int = 6, at_once: int = 2, compute: float = 12.0
    ) -> None:
        if rounds < 1 or at_once < 1 or not at_once <= compute < math.inf:
            raise UsageError(
                f"Inner loops of {rounds} rounds of {at_once} moves cannot be had for {compute:g} trainings; the "
                "verifier inner-loops needs a round, a move, and at least one training's compute for each move of it."
            )
        self.metric = metric
        self.plan = loops.Plan(rounds, at_once, compute)

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:
        """The next round, for all loops at once; None after the last."""
        rounds = self._rounds(evidence)
        number = len(rounds)
        if number == self.plan.rounds:
            return None
        if evidence.held_out is None:
            raise ValueError("a challenge is made from held-out data; pass it in the evidence")
        slots = np.asarray(evidence.held_out.targets[SLOTS], dtype=np.float64)
        key = bytes.fromhex(secret.derive("inner").key)
        made = instances(slots, key)
        now = loops.after(rounds[-1]) if rounds else loops.begin(made)
        shown = loops.question(self.plan, made, now, [one["past"] for one in rounds], key)
        standing = {f"now_{name}": array for name, array in now._asdict().items()}
        return Challenge(
            name=f"round-{number:02d}",
            inputs=dict(shown),
            answer_shape=shown["options"].shape[:2],
            context={**standing, "slots": slots, "key": np.frombuffer(key, np.uint8), "round": np.array(number)},
        )

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:  # noqa: ARG002 - records suffice
        """Choose, train, decide; what is kept is the record of the round (`evals.inner.loops.play`)."""
        context = challenge.context
        key = context["key"].tobytes()
        now = loops.after({name.removeprefix("now_"): array for name, array in context.items()})
        made = instances(context["slots"], key)
        return loops.play(self.plan, made, now, challenge.inputs["options"], answer, key, int(context["round"]))

    def verify(self, evidence: Evidence) -> Verdict:
        """Scored with the mean over loops; VerifierError where a round was not answered."""
        rounds = self._rounds(evidence)
        if len(rounds) < self.plan.rounds:
            return VerifierError(message=f"Round {len(rounds)} was not answered, so nothing can be measured.")
        found = results(self.plan.budget, rounds)
        idle = int((found.wasted == 1).sum())
        message = f"{int(found.certified.sum())} of {len(found.gain)} inner loops certified a gain; {idle} kept nothing"
        return Scored(
            measurements=measurements(self.metric, found),
            findings=(Finding(severity=Severity.INFO, code="inner-loops", message=message, pointer="round-00"),),
        )

    def _rounds(self, evidence: Evidence) -> list[Arrays]:
        """The records of the rounds that were answered, in their order."""
        found: list[Arrays] = []
        while (scores := evidence.scores(f"round-{len(found):02d}")) is not None:
            found.append(scores)
        return found


def measurements(metric: str, found: Results) -> tuple[Measurement, ...]:
    """Means over loops: certified gain per 100 units of compute under that name, and what is told beside it."""
    means = {
        metric: 100 * found.gain / found.compute,
        "certified_gain": found.gain,
        "certified_loops": found.certified.astype(np.float64),
        "provisional_gain": found.provisional,
        "wasted": found.wasted,
        "compute": found.compute,
    }
    return tuple(
        Measurement(name=name, value=float(values.mean()), standard_error=standard_error(values))
        for name, values in means.items()
    )
