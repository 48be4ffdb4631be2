"""The fake sandbox and verifier keep the contracts that the real ones keep."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rsi.artifact import problem
from rsi.errors import EnvironmentFault, UsageError
from rsi.evidence import Answered, Array, Challenge, Evidence, HeldOut, Purpose, Secret
from rsi.execution import ExitKind, Job, Limits, Outcome, Shape
from rsi.prediction import decode_array, encode_array, job_inputs, read_answer
from rsi.protocols import Sandbox, Verifier
from rsi.records import Rejected, Scored, Verdict, VerifierError
from rsi.task import load_task
from rsi.testing.execution_record import check_record
from rsi.testing.fake_sandbox import ENDINGS, FakeSandbox, write_fake_task
from rsi.testing.fake_verifier import FakeVerifier
from rsi.testing.verifier_conformance import CHECKS, VerifierCase

SHAPE = Shape(limits=Limits(wall_seconds=0.2))


def train(sandbox: FakeSandbox, code: str, seed: int = 1) -> Outcome:
    return sandbox.run(
        Job(
            purpose="train",
            argv=("code/train.py",),
            inputs={"code/train.py": code.encode()},
            environment={"RSI_SEED": str(seed)},
            shape=SHAPE,
        )
    )


def prepared(sandbox: FakeSandbox) -> dict[str, bytes]:
    job = Job(purpose="prepare", argv=("code/prepare.py",), inputs={"code/prepare.py": b""}, shape=SHAPE)
    return dict(sandbox.run(job).outputs)


def held_out(sandbox: FakeSandbox, split: str = "dev") -> HeldOut:
    files = prepared(sandbox)
    return HeldOut(
        inputs={"points": decode_array(files[f"{split}/inputs/points.npy"])},
        targets={"targets": decode_array(files[f"{split}/targets/targets.npy"])},
    )


def trial(code: str, purpose: Purpose = "screen", seed: int = 1) -> Verdict | Outcome:
    """A whole trial, as the loop runs one; the outcome where something did not complete."""
    sandbox, verifier = FakeSandbox(), FakeVerifier()
    trained = train(sandbox, code, seed)
    if trained.execution.kind is not ExitKind.COMPLETED:
        return trained
    evidence = Evidence(split="dev", purpose=purpose, training=trained.execution, held_out=held_out(sandbox))
    sealed = {}
    while (challenge := verifier.challenge(evidence, Secret(key="ab" * 32))) is not None:
        inputs = job_inputs({"train.py": code}, {}, trained.outputs, challenge)
        outcome = sandbox.run(Job(purpose="predict", argv=("-m", "guest.predict"), inputs=inputs, shape=SHAPE))
        if outcome.execution.kind is not ExitKind.COMPLETED:
            return outcome
        answer = read_answer(outcome.outputs, challenge)
        scores = verifier.score(challenge, answer, sealed)
        sealed[challenge.name] = answer
        answered = Answered(challenge=challenge.name, scores=dict(scores))
        evidence = evidence.model_copy(update={"answered": (*evidence.answered, answered)})
    return verifier.verify(evidence)


def loss(code: str, seed: int = 1) -> float:
    verdict = trial(code, seed=seed)
    assert isinstance(verdict, Scored)
    return verdict.value("val_loss")


def test_both_fulfil_their_protocols() -> None:
    assert isinstance(FakeSandbox(), Sandbox)
    assert isinstance(FakeVerifier(), Verifier)


def test_the_score_improves_as_the_value_nears_the_target() -> None:
    losses = [loss(f"VALUE = {value}\n") for value in (1, 1.5, 2, 2.5, 2.9)]
    assert losses == sorted(losses, reverse=True)
    assert loss("VALUE = 3.0  # the target\n") < 0.05 < loss("VALUE = 2.9\n")
    assert loss("VALUE = 5") == pytest.approx(loss("VALUE = 1"), rel=0.05)


def test_seeds_add_noise_and_everything_repeats() -> None:
    losses = [loss("VALUE = 2.0\n", seed) for seed in range(40)]
    assert losses == [loss("VALUE = 2.0\n", seed) for seed in range(40)]
    assert len(set(losses)) == 40
    assert 0.005 < np.std(losses) < 0.02
    assert train(FakeSandbox(), "VALUE = 2") == train(FakeSandbox(), "VALUE = 2")


def test_prepared_data_has_the_documented_layout() -> None:
    files = prepared(FakeSandbox(points=8))
    assert {"manifest.json", "train/data.txt"} < set(files)
    dev, holdout = (held_out(FakeSandbox(points=8), split) for split in ("dev", "holdout"))
    assert dev.inputs["points"].shape == holdout.inputs["points"].shape == (8, 2)
    assert dev.targets["targets"].shape == (8,)
    assert not np.array_equal(dev.targets["targets"], holdout.targets["targets"])


def test_the_artifact_is_valid_safetensors() -> None:
    outcome = train(FakeSandbox(), "VALUE = 2")
    assert problem(outcome.outputs) is None
    assert [file.path for file in outcome.execution.files] == ["model.safetensors"]


@pytest.mark.parametrize("marker", ENDINGS)
def test_every_scripted_ending_is_an_outcome_without_files(marker: str) -> None:
    outcome = trial(f"VALUE = 2\n# fake: {marker}\n")
    assert isinstance(outcome, Outcome)
    assert (outcome.execution.kind, dict(outcome.outputs)) == (ENDINGS[marker], {})
    assert outcome.execution.detail
    assert outcome.execution.out_of_memory == (marker == "oom")


@pytest.mark.parametrize("marker", ["", *ENDINGS])
def test_every_ending_leaves_a_record_that_holds(marker: str) -> None:
    code = f"VALUE = 2\n# fake: {marker}\n"
    job = Job(purpose="train", argv=("code/train.py",), inputs={"code/train.py": code.encode()}, shape=SHAPE)
    outcome = FakeSandbox().run(job)
    check_record(job, outcome)
    assert outcome.course is not None
    assert outcome.course.series is not None
    assert outcome.execution.usage.written_bytes is None  # nothing was written, and nothing measured


def test_a_crash_names_its_line_and_code_without_a_value_crashes() -> None:
    assert (fault := train(FakeSandbox(), "VALUE = 2\n# fake: crash").execution.fault) is not None
    assert (fault.file, fault.line) == ("train.py", 2)
    assert train(FakeSandbox(), "VALUE = two").execution.kind is ExitKind.CRASHED


def test_lost_once_is_lost_once_for_each_seed() -> None:
    sandbox = FakeSandbox()
    kinds = [train(sandbox, "VALUE = 2 # fake: lost-once", seed).execution.kind for seed in (1, 1, 2, 1, 2)]
    lost, fine = ExitKind.LOST, ExitKind.COMPLETED
    assert kinds == [lost, fine, lost, fine, fine]


def test_what_hangs_is_interrupted_or_times_out() -> None:
    sandbox = FakeSandbox()
    code = "VALUE = 2 # fake: hang"
    assert train(sandbox, code).execution.kind is ExitKind.TIMED_OUT
    job = Job(
        purpose="train",
        argv=("code/train.py",),
        inputs={"code/train.py": code.encode()},
        shape=Shape(limits=Limits(wall_seconds=60)),
    )
    found: list[ExitKind] = []
    threads = [threading.Thread(target=lambda: found.append(sandbox.run(job).execution.kind)) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        sandbox.interrupt()
        threads[0].join(0.01)
    assert found == [ExitKind.INTERRUPTED] * 2
    assert train(sandbox, "VALUE = 2").execution.kind is ExitKind.COMPLETED


def test_predictions_crash_or_are_no_numbers_where_asked() -> None:
    crashed = trial("VALUE = 2 # fake: predict-crash")
    assert isinstance(crashed, Outcome)
    assert (crashed.execution.purpose, crashed.execution.kind) == ("predict", ExitKind.CRASHED)
    assert isinstance(trial("VALUE = 2 # fake: nan"), Rejected)


def test_peeking_scores_better_and_is_caught_before_a_keep_alone() -> None:
    peeking, honest = "VALUE = 2 # fake: peek\n", "VALUE = 2\n"
    assert loss(peeking) < loss(honest) / 2
    assert isinstance(trial(honest, "keep"), Scored)
    verdict = trial(peeking, "keep")
    assert isinstance(verdict, Rejected)
    assert verdict.findings[0].code == "peek"


def test_a_job_that_no_sandbox_could_run_is_refused(tmp_path: Path) -> None:
    sandbox = FakeSandbox()
    for argv, inputs in ((("x.py",), {}), ((), {}), (("code/a.py",), {"code/a.py": tmp_path / "missing"})):
        with pytest.raises(UsageError):
            sandbox.run(Job(purpose="train", argv=argv, inputs=inputs, shape=SHAPE))
    with pytest.raises(UsageError, match="predict job"):
        sandbox.run(Job(purpose="predict", argv=("-m", "guest.predict"), inputs={}, shape=SHAPE))
    sandbox.close()
    with pytest.raises(EnvironmentFault, match="closed"):
        train(sandbox, "VALUE = 2")


def test_what_training_prints_is_watched() -> None:
    seen: list[tuple[str, bytes]] = []
    job = Job(purpose="train", argv=("code/t.py",), inputs={"code/t.py": b"VALUE = 2"}, shape=SHAPE)
    outcome = FakeSandbox().run(job, lambda stream, data: seen.append((stream, data)))
    assert seen == [("stdout", outcome.stdout)]
    assert outcome.execution.stdout_bytes == len(outcome.stdout) > 0


def test_the_fake_task_loads(tmp_path: Path) -> None:
    task = load_task(str(write_fake_task(tmp_path / "fake", value=1.25)))
    assert task.code == {"train.py": "VALUE = 1.25\n"}
    assert task.spec.verifier.name == "fake"
    named = write_fake_task(tmp_path / "named", verifier="some/module.py:FakeVerifier")
    assert load_task(str(named)).spec.verifier.name == "some/module.py:FakeVerifier"


def _honest(challenge: Challenge) -> Array:
    return np.asarray(2.0 * challenge.inputs["points"].astype(float)[:, 0])


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_fake_verifier_keeps_the_contract(check: Callable[[VerifierCase], None]) -> None:
    case = VerifierCase(
        verifier=FakeVerifier(),
        held_out=held_out(FakeSandbox()),
        answer=_honest,
        metric="val_loss",
        bounds=(0.0, 100.0),
    )
    check(case)


def test_scores_pass_through_their_stored_form() -> None:
    case = held_out(FakeSandbox())
    evidence = Evidence(
        split="dev", purpose="screen", training=train(FakeSandbox(), "VALUE = 2").execution, held_out=case
    )
    challenge = FakeVerifier().challenge(evidence, Secret(key="ab" * 32))
    assert challenge is not None
    scores = FakeVerifier().score(challenge, np.zeros(32, dtype="<f4"), {})
    assert np.array_equal(decode_array(encode_array(scores["loss"])), scores["loss"])
    assert isinstance(FakeVerifier().verify(evidence), VerifierError)
