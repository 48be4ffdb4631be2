"""Several verifiers as one: the first measures, the others stand beside it; each may reject, none can overrule.

What a verifier beside another asks is recorded as `NAME:challenge`; it sees its own answers under their plain names and
those of the first. The others are asked on dev alone: the holdout is for measuring what was checked there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from pydantic import ValidationError

from rsi import plugins
from rsi.calls import BudgetSpent, Interrupted, ReplayDiffers
from rsi.configuration import Component, Options, RunConfiguration
from rsi.errors import EnvironmentFault, UsageError
from rsi.evidence import Array, Arrays, Challenge, Evidence, Inspected, Inspection, Material, Purpose, Secret, Split
from rsi.plugins import Group
from rsi.prediction import encode_array
from rsi.protocols import AsksModels, Inspects, Verifier
from rsi.records import Finding, Measurement, Rejected, Scored, Verdict, VerifierError
from rsi.task import TaskSpec

_T = TypeVar("_T")


class VerifierFault(Exception):
    """A verifier among others failed; says which, and how."""


class Together:
    """A `Verifier` made of others.

    Args:
        first: What measures; its name is the name of them all.
        beside: Further ones, in the order in which they are asked.
    """

    def __init__(self, first: Verifier, beside: Sequence[Verifier]) -> None:
        names = [first.name, *(verifier.name for verifier in beside)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"The verifier {twice} is named twice; name it once.")
        self.first = first
        self.beside = tuple(beside)
        self.name = first.name
        self.grounded = first.grounded
        self.asks: bool = getattr(first, "asks", first.grounded)
        """Whether artifacts are needed, because something is asked of them."""

    def inspectors(self, purpose: Purpose, split: Split = "dev") -> tuple[Inspects, ...]:
        """Those that read something for that purpose, the cheaper reading of every trial first.

        On the holdout, as with asking, only what measures is heard.
        """
        due = ("screen",) if purpose == "screen" else ("screen", "keep")
        heard = self._all() if split == "dev" else (self.first,)
        return tuple(v for at in due for v in heard if isinstance(v, Inspects) and v.inspects_at == at)

    def asking(self) -> tuple[AsksModels, ...]:
        """Those that ask language models."""
        return tuple(verifier for verifier in self._all() if isinstance(verifier, AsksModels))

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:
        """The first's questions, then those of each other, until one has rejected."""
        for verifier in self._heard(evidence):
            own = secret if verifier is self.first else secret.derive(verifier.name)
            seen = self._seen_by(verifier, evidence)
            challenge = _of(verifier, partial(_asked_of, verifier, seen, own))
            if challenge is not None:
                name = challenge.name if verifier is self.first else f"{verifier.name}:{challenge.name}"
                return challenge.model_copy(update={"name": name})
            if isinstance(self._verdict(verifier, evidence), Rejected):
                return None
        return None

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:
        """By whoever asked."""
        verifier, name = self._asked(challenge.name)
        whose = {asked: self._asked(asked) for asked in sealed}
        own = {plain: sealed[asked] for asked, (who, plain) in whose.items() if who in (self.first, verifier)}
        plain = challenge.model_copy(update={"name": name})
        return _of(verifier, lambda: verifier.score(plain, answer, own))

    def verify(self, evidence: Evidence) -> Verdict:
        """Rejected where one rejects; VerifierError where one fails; else all that was measured and found."""
        found: list[Finding] = []
        measured: list[Measurement] = []
        failed = ""
        for verifier in self._heard(evidence):
            verdict = self._verdict(verifier, evidence)
            found += verdict.findings
            match verdict:
                case Rejected():
                    by = verdict.by or (verifier.name if self.beside else "")
                    return verdict.model_copy(update={"findings": tuple(found), "by": by})
                case VerifierError(message=message):
                    failed = failed or message
                case Scored(measurements=more):
                    measured += more
        if failed:
            return VerifierError(message=failed, findings=tuple(found))
        names = [measurement.name for measurement in measured]
        if len(names) != len(set(names)):
            twice = next(name for name in names if names.count(name) > 1)
            return VerifierError(message=f"{twice} is measured by two verifiers, so its value is not known")
        return Scored(measurements=tuple(measured), findings=tuple(found))

    def verdicts(self, evidence: Evidence) -> dict[str, Verdict]:
        """Each part's own verdict by its name, whatever the others say; a failure is that part's error."""
        found: dict[str, Verdict] = {}
        for verifier in self._heard(evidence):
            try:
                found[verifier.name] = self._verdict(verifier, evidence)
            except VerifierFault as raised:
                found[verifier.name] = VerifierError(message=str(raised))
        return found

    def _all(self) -> tuple[Verifier, ...]:
        return (self.first, *self.beside)

    def _heard(self, evidence: Evidence) -> tuple[Verifier, ...]:
        return self._all() if evidence.split == "dev" else (self.first,)

    def _verdict(self, verifier: Verifier, evidence: Evidence) -> Verdict:
        return checked(_of(verifier, lambda: verifier.verify(self._seen_by(verifier, evidence))), verifier.name)

    def _seen_by(self, verifier: Verifier, evidence: Evidence) -> Evidence:
        """Its own answers and the first's, nobody else's."""
        whose = [(answered, *self._asked(answered.challenge)) for answered in evidence.answered]
        own = tuple(
            answered.model_copy(update={"challenge": plain})
            for answered, who, plain in whose
            if who in (self.first, verifier)
        )
        return evidence.model_copy(update={"answered": own})

    def _asked(self, challenge: str) -> tuple[Verifier, str]:
        """Who asked a recorded challenge, and what it calls it."""
        for verifier in self.beside:
            if challenge.startswith(f"{verifier.name}:"):
                return verifier, challenge.removeprefix(f"{verifier.name}:")
        return self.first, challenge


def _asked_of(verifier: Verifier, evidence: Evidence, secret: Secret) -> Challenge | None:
    """Its question, if it has one and it can be sent."""
    challenge: object = verifier.challenge(evidence, secret)
    if challenge is None:
        return None
    if not isinstance(challenge, Challenge):
        raise TypeError(f"it asks with {type(challenge).__name__} instead of a challenge")
    for array in challenge.inputs.values():
        encode_array(array)
    return challenge


def _of(verifier: Verifier, call: Callable[[], _T]) -> _T:
    """What a verifier answers; `VerifierFault` naming it for whatever it raises instead.

    What comes of asking a language model is not the verifier's doing: no answer, no money, the user's stop.
    """
    try:
        return call()
    except (EnvironmentFault, VerifierFault, BudgetSpent, Interrupted, ReplayDiffers):
        raise
    except Exception as error:
        raise VerifierFault(f"{verifier.name} raised {type(error).__name__}: {error}") from error


def verdicts(verifier: Verifier, evidence: Evidence) -> dict[str, Verdict]:
    """Each part's own verdict by its name."""
    return together(verifier).verdicts(evidence)


def measuring(verifier: Verifier) -> Verifier:
    """The part that measures."""
    return together(verifier).first


def together(verifier: Verifier) -> Together:
    """A verifier as one of which there may be several."""
    return verifier if isinstance(verifier, Together) else Together(verifier, ())


def checked(verdict: object, name: str) -> Verdict:
    """A verdict, whatever a verifier gave: what is none, or holds a number that is none, is its error."""
    if isinstance(verdict, Scored | Rejected | VerifierError):
        try:
            return type(verdict).model_validate_json(verdict.model_dump_json())
        except ValidationError as error:
            wrong = error.errors()[0]
            place = ".".join(str(part) for part in wrong["loc"])
            return VerifierError(message=f"{name} gave a verdict that is none: {place}: {wrong['msg']}")
    return VerifierError(message=f"{name} gave {type(verdict).__name__} instead of a verdict")


def fault(verifier: Verifier | Inspects, error: Exception) -> VerifierError:
    """The verdict for what was raised while asking, scoring or judging."""
    words = (
        str(error) if isinstance(error, VerifierFault) else f"{verifier.name} raised {type(error).__name__}: {error}"
    )
    return VerifierError(message=words)


def inspectors(verifier: Verifier, purpose: Purpose, split: Split = "dev") -> tuple[Inspects, ...]:
    """Those of a verifier's parts that read something for that purpose."""
    return together(verifier).inspectors(purpose, split)


def asking(verifier: Verifier) -> tuple[AsksModels, ...]:
    """Those of a verifier's parts that ask language models."""
    return together(verifier).asking()


def inspect(inspector: Inspects, material: Material) -> Inspected:
    """What reading shows, with the arrays it rests on; `VerifierFault` where it fails or gives something else."""
    assert isinstance(inspector, Verifier)
    found = _of(inspector, lambda: inspector.inspect(material))
    if isinstance(found, Inspection):
        return Inspected(inspection=found, kept={})
    if not isinstance(found, Inspected):
        raise VerifierFault(f"{inspector.name} gave {type(found).__name__} instead of an inspection")
    return found


def chosen(
    spec: TaskSpec, names: Sequence[str] = (), without: Sequence[str] = (), options: Mapping[str, Options] | None = None
) -> tuple[Component, tuple[Component, ...]]:
    """What measures and what stands beside it: the task's, with what a user names besides, less what they leave out.

    A verifier with the class attribute `beside = True` stands beside what measures; any other replaces it, with the
    options that its class method `options_for(spec)` gives, where it has one: what it needs to know of the task.
    UsageError for a name to leave out, or to give options to, that is not among them.
    """
    first = Component(name=spec.verifier.name, options=spec.verifier.options)
    beside = [Component(name=further.name, options=further.options) for further in spec.verifiers]
    for name in names:
        if name in (first.name, *(component.name for component in beside)):
            continue  # the task has it, with options of its own
        factory = plugins.load("verifiers", name)
        if getattr(factory, "beside", False):
            beside.append(Component(name=name))
        else:
            fitting = factory.options_for(spec) if hasattr(factory, "options_for") else {}
            first = Component(name=name, options=fitting)
    given = dict(options or {})
    known = [component.name for component in beside]
    for name in without:
        if name not in known:
            raise UsageError(f"No verifier {name!r} stands beside the task's own: {plugins.nearest(name, known)}")
    for name in given:
        if name not in (first.name, *known):
            raise UsageError(f"No verifier {name!r} takes part: {plugins.nearest(name, (first.name, *known))}")
    first, *beside = (
        component.model_copy(update={"options": {**component.options, **given.get(component.name, {})}})
        for component in (first, *(component for component in beside if component.name not in without))
    )
    return first, tuple(beside)


def verifier_of(configuration: RunConfiguration, build: Callable[[Group, Component], Verifier]) -> Verifier:
    """The verifier that a run's configuration names, alone or with those beside it."""
    first = build("verifiers", configuration.verifier)
    beside = [build("verifiers", component) for component in configuration.verifiers]
    return Together(first, beside) if beside else first
