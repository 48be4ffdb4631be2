import os
import shutil
import sys

import numpy as np
import pytest
from task_programs import answer, held_out, manifest, prepare, prepared_data, run_program, train

from evals.language_model import LanguageModel
from rsi import artifact
from rsi.execution import ExitKind, Job, Shape
from rsi.plugins import load
from rsi.prediction import job_inputs, read_answer
from rsi.records import Rejected, Scored
from rsi.scrutiny import findings
from rsi.task import load_task
from rsi.testing.verifier_conformance import VerifierCase, question

TASK = load_task("charlm")
RUN = 40


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepared_data(TASK, tmp_path_factory.mktemp("charlm"))


def text_of(out, split):
    part = held_out(out, split)
    return b"".join(
        bytes(row) + bytes(ends[-1:]) for row, ends in zip(part.inputs["windows"], part.targets["next"], strict=True)
    )


def share_repeated(text, training):
    """The share of bytes that stand in some run of `RUN` bytes found in the training text, by the simplest means."""
    covered = np.zeros(len(text), dtype=bool)
    for start in range(len(text) - RUN + 1):
        if text[start : start + RUN] in training:
            covered[start : start + RUN] = True
    return covered.mean()


@pytest.mark.parametrize("split", ["dev", "holdout"])
def test_held_out_text_hardly_stands_in_the_training_text(prepared, split):
    assert share_repeated(text_of(prepared, split), (prepared / "train" / "train.bin").read_bytes()) <= 0.01


def test_the_measure_of_repetition_sees_what_is_there():
    assert share_repeated(b"x" * 10 + b"y" * 30, b"z" * 100) == 0
    assert share_repeated(b"a" * 100 + bytes(range(100)), b"..." + bytes(range(100))) == 0.5


def test_windows_are_whole_bytes_in_a_row_and_targets_are_the_next(prepared):
    for split in ("dev", "holdout"):
        part = held_out(prepared, split)
        windows, following = part.inputs["windows"], part.targets["next"]
        assert windows.shape == following.shape == (256, 128)
        assert windows.dtype == following.dtype == np.uint8
        assert (windows[:, 1:] == following[:, :-1]).all()


def test_the_record_says_what_the_data_is(prepared):
    facts = manifest(prepared)
    assert len(facts["corpus_sha256"]) == 64
    assert facts["windows"] == 256
    assert facts["train_bytes"] == (prepared / "train" / "train.bin").stat().st_size > 200_000
    assert facts["dev_sha256"] != facts["holdout_sha256"]


def test_dev_and_holdout_share_no_window(prepared):
    rows = [{row.tobytes() for row in held_out(prepared, split).inputs["windows"]} for split in ("dev", "holdout")]
    assert not rows[0] & rows[1]


def story(paragraphs, seed):
    """Paragraphs of made-up words, no two alike."""
    draw = np.random.default_rng(seed)
    words = ["".join(chr(97 + letter) for letter in draw.integers(0, 26, 5)) for _ in range(400)]
    lines = [" ".join(words[number] for number in draw.integers(0, 400, 40)) for _ in range(paragraphs)]
    return "\n\n".join(lines).encode()


@pytest.mark.parametrize(
    "files", [{"book.txt": story(400, 1)}, {"a.md": story(100, 2), "b/c.md": story(90, 3), "d.txt": story(99, 4)}]
)
def test_any_text_will_do(tmp_path, files):
    done = prepare(TASK, files, tmp_path)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    training = (out / "train" / "train.bin").read_bytes()
    assert 16 <= manifest(out)["windows"] <= 256
    assert len(training) > 0.6 * sum(len(content) for content in files.values())
    for split in ("dev", "holdout"):
        assert share_repeated(text_of(out, split), training) <= 0.01


def test_paragraphs_that_come_again_count_once(tmp_path):
    once, often = tmp_path / "once", tmp_path / "often"
    text = story(300, 5)
    wrapped = text.replace(b" ", b"  ")
    assert prepare(TASK, {"text": text}, once).returncode == 0
    assert prepare(TASK, {"text": text + b"\n\n" + text + b"\n \n\n" + wrapped}, often).returncode == 0
    assert manifest(once / "out") == manifest(often / "out")


@pytest.mark.parametrize("content", [b"", b"too short", b"the same again\n\n" * 10_000])
def test_too_little_text_is_refused_in_a_sentence(tmp_path, content):
    done = prepare(TASK, {"text": content}, tmp_path)
    assert done.returncode == 1
    assert "name a text of at least 20640 bytes" in done.stderr
    assert "Traceback" not in done.stderr


def test_python_code_that_is_no_documentation_is_text_and_is_not_run(tmp_path):
    code = b"topics = {}\nraise SystemExit(9)\n\n" + story(200, 6)
    assert prepare(TASK, {"topics.py": code}, tmp_path).returncode == 0


def test_files_that_are_no_text_are_left_out_and_named(tmp_path):
    done = prepare(TASK, {"text": story(200, 7), "picture.bin": b"\0" * 50_000}, tmp_path)
    assert done.returncode == 0
    assert "picture.bin is left out" in done.stdout


@pytest.mark.parametrize("alphabet", [b"\n", b"a", b"a\n", bytes(range(1, 256))])
def test_odd_bytes_never_end_in_a_traceback(tmp_path, alphabet):
    draw = np.random.default_rng(0)
    content = bytes(draw.choice(np.frombuffer(alphabet, dtype=np.uint8), 30_000))
    done = prepare(TASK, {"odd": content}, tmp_path)
    assert done.returncode in {0, 1}
    assert "Traceback" not in done.stderr


def case_of(out, split="dev"):
    return VerifierCase(
        verifier=LanguageModel(**TASK.spec.verifier.options),
        metric="val_bpb",
        bounds=(0, 16),
        held_out=held_out(out, split),
    )


def test_on_a_host_with_torch_the_baseline_trains_answers_and_passes(prepared, tmp_path):
    pytest.importorskip("torch", reason="the host needs no PyTorch; the docker test below covers this")
    done = train(TASK, prepared / "train", tmp_path / "weights", budget=8192)
    assert done.returncode == 0, done.stderr
    folders = iter((tmp_path / "first", tmp_path / "second"))
    evidence, _ = question(case_of(prepared), lambda asked: answer(TASK, tmp_path / "weights", asked, next(folders)))
    assert isinstance(case_of(prepared).verifier.verify(evidence), Scored)


PEEK = """
_honest = predict
def predict(artifact, inputs):
    logits = _honest(artifact, inputs)
    ahead = inputs["windows"][:, 1:, None].astype(int)
    boosted = np.take_along_axis(logits[:, :-1], ahead, 2) + np.float32(0.03)
    np.put_along_axis(logits[:, :-1], ahead, boosted, 2)
    return logits
"""


@pytest.mark.docker
@pytest.mark.long
def test_in_docker_the_baseline_is_repeatable_causal_and_a_faint_peek_is_not(prepared):
    sandbox = load("sandboxes", "docker")()
    limits = TASK.spec.limits
    can_trace = os.geteuid() == 0 and shutil.which("strace") is not None
    try:

        def trained(seed):
            job = Job(
                purpose="train",
                argv=("code/train.py",),
                inputs={
                    "code/train.py": TASK.code["train.py"].encode(),
                    "data/train.bin": prepared / "train" / "train.bin",
                },
                environment={"RSI_SEED": str(seed), "RSI_BUDGET": "16384"},
                shape=Shape(limits=limits.train, imports=TASK.spec.train.imports),
                trace=seed == 1 and can_trace,
            )
            outcome = sandbox.run(job)
            assert outcome.execution.kind is ExitKind.COMPLETED, outcome.stderr
            assert findings(outcome.execution) == ()
            assert artifact.problem(outcome.outputs) is None
            return outcome.outputs

        weights = trained(0)
        assert weights == trained(0) != trained(1)

        def asker(code):
            def ask(challenge):
                files = job_inputs({"train.py": code}, {}, weights, challenge)
                shape = Shape(limits=limits.predict, imports=TASK.spec.train.imports)
                job = Job(purpose="predict", argv=("-m", "guest.predict"), inputs=files, shape=shape)
                outcome = sandbox.run(job)
                assert outcome.execution.kind is ExitKind.COMPLETED, outcome.stderr
                assert findings(outcome.execution) == ()
                return read_answer(outcome.outputs, challenge)

            return ask

        case = case_of(prepared)
        honest = case.verifier.verify(question(case, asker(TASK.code["train.py"]))[0])
        assert isinstance(honest, Scored)
        assert 3 < honest.value("val_bpb") < 7
        peeked = case.verifier.verify(question(case, asker(TASK.code["train.py"] + PEEK))[0])
        assert isinstance(peeked, Rejected)
        assert peeked.findings[0].code == "looked-ahead"
    finally:
        sandbox.close()


def test_the_editable_file_is_readable_in_one_sitting():
    assert len(TASK.code["train.py"].splitlines()) <= 220


def test_by_hand_a_file_can_be_named(tmp_path):
    (tmp_path / "book.txt").write_bytes(story(200, 8))
    script = tmp_path / "prepare.py"
    script.write_text((TASK.folder / "prepare.py").read_text())
    done = run_program([sys.executable, str(script), str(tmp_path / "book.txt")])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "train" / "train.bin").is_file()
