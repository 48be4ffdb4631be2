"""What a prompt is worth: loops on inner tasks in which a language model, told so, chooses every move.

The same inner loops as in `inner-loops`: instances, budget, training, ratchet and certification are those of
`evals.inner`, and happen here. What differs is who chooses: each round and loop is one question to a language model,
made of the candidate's template and instructions, to be answered with the numbers of the moves to try.

The questions are asked by this side, through the run's own calls: reserved before they are sent, bound by the run's
limits, recorded before they are used. What was asked and answered, and what trainings measured, are on record, so that
`rsi verify` and `rsi replay` derive every prompt, choice, decision and number of it again, with no key and no training.

The candidate's text stands in the prompt between fences that it cannot close; the rules around it are ours. An answer's
only power is which moves are tried. One that names none wastes that round's places, which are paid for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evals.asking import Reads
from evals.asking_models import ByModel
from evals.inner import loops, prompting, telling
from evals.inner.certifying import results
from evals.inner.families import FAMILIES, SLOT, instances
from evals.inner_loops import SLOTS, measurements
from rsi.calls.request import Asking, Effort, Request
from rsi.configuration import Budget
from rsi.errors import UsageError
from rsi.evidence import Array, Arrays, Evidence, Inspected, Inspection, Material, Purpose
from rsi.proposers.llm.proposer import Llm
from rsi.proposers.llm.quoting import tokens
from rsi.protocols import TrialQuestions
from rsi.records import Finding, Measurement, Rejected, Scored, Severity, Verdict, VerifierError
from rsi.task import Task

MOST_LOOPS = 64
LARGEST = (len(FAMILIES) - 1, 256, 32, 4, 10.0, 10.0, 1.0)
"""Of each column of a slot."""
_ERROR = "standard error of "
_TOLD = 3000
"""Bytes that options, history and situation have, about."""


class PromptedLoops(ByModel, Reads):
    """Certified gain on inner tasks per 100 units of compute, where a language model chooses by the candidate's prompt.

    The one target array, `slots`, is that of `inner-loops`.

    Args:
        metric: what the measurement is called.
        model, api_base, effort, answer_tokens, timeout, retries, retry_seconds: as of the proposer `llm`; one model.
        loops_a_trial: inner loops of a trial, as many of the task's.
        rounds: questions a loop.
        at_once: moves that a loop makes in a round, at most.
        compute: budget of a loop, in trainings of the baseline; its certification is charged besides.
    """

    name = "prompted-loops"
    grounded = True
    asks = False
    secret_of_seed = True
    """Both arms of a pair meet the same instances."""
    inspects_at: Purpose = "screen"
    of_code_alone = False

    def __init__(
        self,
        metric: str = "gain_per_compute",
        model: str = "",
        api_base: str = "",
        *,
        effort: Effort = "",
        answer_tokens: int = 512,
        timeout: float = 300.0,
        retries: int = 4,
        retry_seconds: float = 2.0,
        loops_a_trial: int = 8,
        rounds: int = 4,
        at_once: int = 3,
        compute: float = 12.0,
    ) -> None:
        if not model.strip() or "," in model:
            raise UsageError(
                "The verifier prompted-loops asks one language model: for example --verifier-option "
                "prompted-loops.model=gpt-4o, and prompted-loops.api_base=... for a server of your own."
            )
        sizes = 2 <= loops_a_trial <= MOST_LOOPS and 1 <= rounds <= 99 and 1 <= at_once <= 64
        if not sizes or not at_once <= compute < math.inf:
            raise UsageError(
                f"{loops_a_trial} inner loops of {rounds} rounds of {at_once} moves cannot be had for {compute:g} "
                f"trainings; the verifier prompted-loops needs 2 to {MOST_LOOPS} loops, 1 to 99 rounds, 1 to 64 moves, "
                "and at least one training's compute for each move of a round."
            )
        self.metric = metric
        self.loops_a_trial = loops_a_trial
        self.plan = loops.Plan(rounds, at_once, compute)
        models = Llm(
            model,
            api_base,
            effort=effort,
            answer_tokens=answer_tokens,
            timeout=timeout,
            retries=retries,
            retry_seconds=retry_seconds,
        )
        super().__init__(models)

    # --- what a run asks of whoever calls models ------------------------------------------------------------------

    def prepare(self, budget: Budget) -> None:
        """Names, keys, prices, addresses, and whether the limit on calls holds a trial at all; without spending."""
        most = self.loops_a_trial * self.plan.rounds
        if budget.calls is not None and budget.calls <= most:
            raise UsageError(
                f"--max-calls {budget.calls} holds no trial: prompted-loops asks up to {most} questions in each; give "
                "more, or set prompted-loops.loops_a_trial or prompted-loops.rounds lower."
            )
        super().prepare(budget)

    def questions(self, task: Task) -> TrialQuestions:
        """One a loop and round."""
        files = (prompting.TEMPLATE, prompting.INSTRUCTIONS)
        rules = len(prompting.RULES.encode()) + _TOLD
        return TrialQuestions(
            verifier=self.name,
            model=self._models.settings.models[0],
            calls=self.loops_a_trial * self.plan.rounds,
            input_tokens=tokens("x" * (rules + sum(len(task.code.get(path, "").encode()) for path in files))),
            most_input_tokens=2 * rules + 4 * len(files) * prompting.LONGEST,
            output_tokens=self._models.settings.longest_answer,
        )

    # --- measuring ------------------------------------------------------------------------------------------------

    def inspect(self, material: Material) -> Inspection | Inspected:
        """Run the loops, asking as they go; or, from what was kept of them, derive the same again."""
        if not {prompting.TEMPLATE, prompting.INSTRUCTIONS} <= material.code.keys():
            raise ValueError("it measures prompt.md and instructions.md, and the task has not both")
        wrong = prompting.problem(material.code)
        if wrong:
            finding = Finding(severity=Severity.WARNING, code="prompted-loops.template", message=wrong)
            return Inspection(findings=(finding,), rejects=wrong)
        assert material.secret is not None, "a run's material has the trial's secret"
        slots = self._slots(material)
        key = bytes.fromhex(material.secret.derive("inner").key)
        asking = self.answers().begin(material.experiment, material.trial)
        return self._run(slots, key, asking, material)

    def _slots(self, material: Material) -> NDArray[np.float64]:
        """The families of the trial's inner loops; what is derived again has them on record."""
        if material.recorded is not None:
            slots = np.asarray(material.recorded[SLOTS], dtype=np.float64)
            if slots.shape != (self.loops_a_trial, len(SLOT)):
                raise ValueError(f"its {SLOTS} are not those of {self.loops_a_trial} inner loops")
            return _within_bounds(slots)
        if material.held_out is None:
            raise ValueError(f"it needs the held-out array {SLOTS!r}, and the task has no data")
        slots = np.asarray(material.held_out.targets[SLOTS], dtype=np.float64)
        if self.loops_a_trial > len(slots):
            raise UsageError(
                f"prompted-loops.loops_a_trial is {self.loops_a_trial}, and the task has {len(slots)} inner loops; "
                "set it lower."
            )
        # Evenly spread, so that fewer loops are of all families.
        return _within_bounds(slots[np.arange(self.loops_a_trial) * len(slots) // self.loops_a_trial])

    def _run(self, slots: NDArray[np.float64], key: bytes, asking: Asking, material: Material) -> Inspected:
        made = instances(slots, key)
        rounds: list[Arrays] = []
        asked = unanswered = 0
        for number in range(self.plan.rounds):
            now = loops.after(rounds[-1]) if rounds else loops.begin(made)
            options = loops.question(self.plan, made, now, [one["past"] for one in rounds], key)["options"]
            preferences = np.full(options.shape[:2], np.nan, dtype=np.float32)
            for loop, instance in enumerate(made):
                offered = telling.offered(options[loop])
                if not offered:  # what is left of its budget holds no move
                    continue
                told = {
                    "options": telling.moves(now.settings[loop], offered),
                    "history": telling.history(instance.start, rounds, loop),
                    "situation": telling.situation(self.plan, float(now.spent[loop]), rounds, loop),
                }
                answer, _ = asking.complete("choose", self._request(material, told, len(offered)))
                chosen = prompting.choice(answer, len(offered), self.plan.at_once)
                asked, unanswered = asked + 1, unanswered + (not chosen)
                for place, choice in enumerate(chosen):
                    preferences[loop, offered[choice - 1]] = self.plan.at_once - place
            if material.recorded is None:
                rounds.append(loops.play(self.plan, made, now, options, preferences, key, number))
            else:
                known = _round(material.recorded, number)
                _require_same(loops.played(self.plan, made, now, options, preferences, known, number), known, number)
                rounds.append(known)
        kept = {f"{_label(number)}{name}": array for number, one in enumerate(rounds) for name, array in one.items()}
        return Inspected(inspection=self._inspection(rounds, asked, unanswered), kept={**kept, SLOTS: slots})

    def _request(self, material: Material, told: dict[str, str], offered: int) -> Request:
        messages = prompting.messages(material.code, told, offered, self.plan.at_once)
        return self._models.request(self._models.settings.models[0], messages)

    def _inspection(self, rounds: Sequence[Arrays], asked: int, unanswered: int) -> Inspection:
        found = results(self.plan.budget, rounds)
        measured: dict[str, float] = {}
        for one in measurements(self.metric, found):
            measured[one.name] = one.value
            if one.standard_error is not None:
                measured[f"{_ERROR}{one.name}"] = one.standard_error
        by = self._models.settings.models[0]
        message = (
            f"{by} chose the moves; {int(found.certified.sum())} of {len(found.gain)} inner loops certified a gain"
        )
        findings = [Finding(severity=Severity.INFO, code="prompted-loops", message=message)]
        if unanswered:
            message = f"{unanswered} of {asked} answers named no moves in the asked form, so their rounds were wasted"
            findings.append(Finding(severity=Severity.NOTICE, code="prompted-loops.no-choice", message=message))
        return Inspection(findings=tuple(findings), measured=measured)

    def verify(self, evidence: Evidence) -> Verdict:
        """Scored with the mean over loops; Rejected for a template that is none; VerifierError where nobody asked."""
        inspection = evidence.inspected.get(self.name)
        if inspection is None:
            return VerifierError(message="prompted-loops has run nothing, so nothing can be said.")
        if inspection.rejects:
            return Rejected(reason=inspection.rejects, findings=inspection.findings)
        if self.metric not in inspection.measured:
            return VerifierError(message=f"prompted-loops measured no {self.metric}.", findings=inspection.findings)
        names = [name for name in inspection.measured if not name.startswith(_ERROR)]
        return Scored(
            measurements=tuple(
                Measurement(
                    name=name,
                    value=inspection.measured[name],
                    standard_error=inspection.measured.get(f"{_ERROR}{name}"),
                )
                for name in names
            ),
            findings=inspection.findings,
        )


def _within_bounds(slots: NDArray[np.float64]) -> NDArray[np.float64]:
    """The slots; ValueError where they ask for instances larger than any here: a record may be from elsewhere."""
    if slots.ndim != 2 or slots.shape[1] != len(SLOT) or not ((slots >= 0) & (slots <= LARGEST)).all():
        raise ValueError(f"its {SLOTS} are none: {', '.join(SLOT)}, each from 0 to at most {LARGEST}")
    return slots


def _label(number: int) -> str:
    """What stands before the name of an array of that round."""
    return f"round-{number:02d}."


def _round(recorded: Arrays, number: int) -> dict[str, Array]:
    """The record of a round among all that was kept."""
    label = _label(number)
    found = {name.removeprefix(label): array for name, array in recorded.items() if name.startswith(label)}
    if not found:
        raise ValueError(f"the arrays of round {number} are not on record")
    return found


def _require_same(derived: Arrays, known: Arrays, number: int) -> None:
    """ValueError where a round's record is not what follows from the answers and from what was measured."""
    if derived.keys() != known.keys():
        raise ValueError(f"the record of round {number} has other arrays than a round has")
    for name, array in derived.items():
        # Not to the bit: arithmetic on recorded numbers may round otherwise on another machine.
        there = np.asarray(known[name], dtype=np.float64)
        if array.shape != there.shape or not np.allclose(array, there, rtol=1e-9, atol=1e-12, equal_nan=True):
            raise ValueError(f"{name} of round {number} does not follow from the answers and what was measured")
