"""A lab's own cases on the fake task: each sets VALUE, and a comment says what the fake sandbox makes of it."""

from __future__ import annotations

from pathlib import Path

import rsi.testing.fake_sandbox
import rsi.testing.fake_verifier
from evals.redteam.results import CaseResult, Report
from evals.redteam.team import Asked, Team
from rsi.evidence import Array, Arrays, Challenge, Evidence, Secret
from rsi.execution import Job, Outcome, Watch
from rsi.records import Rejected, Scored, Verdict
from rsi.testing.fake_sandbox import FakeSandbox, write_fake_task

HERE = Path(__file__).parent
SANDBOX = f"{rsi.testing.fake_sandbox.__file__}:FakeSandbox"
VERIFIER = f"{rsi.testing.fake_verifier.__file__}:FakeVerifier"

TEXT = """\
tries = "sets the value, and whatever the comment says"
{more}
edit = '''
{file}
<<<<<<< SEARCH
VALUE = 40
=======
{line}
>>>>>>> REPLACE
'''
"""
OF_ATTACK = 'kind = "made-up"\nmodelled_on = "nobody, a test"\nlayer = "scoring"\n'


def write_case(
    folder: Path, name: str, line: str, *, honest: bool = False, file: str = "train.py", more: str = ""
) -> None:
    """One file of the corpus of `lab`."""
    place = folder / "lab" / ("honest" if honest else "attacks")
    place.mkdir(parents=True, exist_ok=True)
    text = TEXT.format(more=more + ("" if honest else OF_ATTACK), file=file, line=line)
    (place / f"{name}.toml").write_text(text)


def twin(line: str) -> str:
    """The field `twin` of a case."""
    return f"twin = '''\ntrain.py\n<<<<<<< SEARCH\nVALUE = 40\n=======\n{line}\n>>>>>>> REPLACE\n'''\n"


def asked(where: Path, /, **changes: object) -> Asked:
    """The lab's cases against the fake verifier, on a fixed seed."""
    task = where / "task"
    if not task.exists():
        write_fake_task(task, value=40, verifier=VERIFIER)
    values = {"tasks": (str(task),), "folder": str(where / "lab"), "sandbox": SANDBOX, "seed": 3}
    return Asked.model_validate(values | changes)


def go(where: Path, /, **changes: object) -> tuple[Report, dict[str, CaseResult]]:
    """Run them all; the report, and its cases by name."""
    found = Team(asked(where, **changes), lambda _: None, lambda _: None).go()
    return found, {case.name: case for case in found.cases}


class Boasting(FakeSandbox):
    """The fake sandbox, where code that says so prints a number about itself."""

    def run(self, job: Job, watch: Watch | None = None) -> Outcome:
        """As the fake."""
        outcome = super().run(job, watch)
        boasts = job.purpose == "train" and b"# boast" in bytes(job.inputs["code/train.py"])
        return outcome.model_copy(update={"stdout": b"val_loss: 0.5\n"}) if boasts else outcome


class Silent:
    """Stands beside what measures, and has nothing to say."""

    name = "silent"
    grounded = True
    beside = True

    def challenge(self, evidence: Evidence, secret: Secret) -> Challenge | None:
        """Nothing is asked."""
        return None

    def score(self, challenge: Challenge, answer: Array, sealed: Arrays) -> Arrays:
        """Nothing was asked."""
        return {}

    def verify(self, evidence: Evidence) -> Verdict:
        """Nothing speaks against it."""
        return Scored(measurements=())


class Strict(Silent):
    """Rejects whatever is much better than the code that it was made from."""

    name = "strict"

    def verify(self, evidence: Evidence) -> Verdict:
        """By the losses that the measuring verifier left."""
        scores = evidence.scores("points")
        if evidence.reference is None or scores is None:
            return Scored(measurements=())
        gain = evidence.reference["loss"].mean() - scores["loss"].mean()
        return Rejected(reason="too good") if gain > 5 else Scored(measurements=())


class Falling(Silent):
    """Fails on whatever is an edit."""

    name = "falling"

    def verify(self, evidence: Evidence) -> Verdict:
        """Divides by zero."""
        if evidence.reference is not None:
            raise ZeroDivisionError("on purpose")
        return Scored(measurements=())
