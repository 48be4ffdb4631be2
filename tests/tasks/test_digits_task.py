import gzip
import shutil
import sys

import numpy as np
import pytest
from task_programs import answer, held_out, manifest, prepare, prepared_data, run_program, train, trained_weights

from evals.classification import Classification
from rsi import artifact
from rsi.preparation import read_source
from rsi.records import Scored
from rsi.task import load_task
from rsi.testing.verifier_conformance import VerifierCase, question

TASK = load_task("digits")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepared_data(TASK, tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    return trained_weights(TASK, prepared, tmp_path_factory.mktemp("artifact"))


def test_the_three_parts_share_no_image_and_leave_none_out(prepared):
    dev, holdout = held_out(prepared, "dev"), held_out(prepared, "holdout")
    images = [dev.inputs["images"], holdout.inputs["images"], np.load(prepared / "train" / "images.npy")]
    rows = [{image.tobytes() for image in part} for part in images]
    assert [len(part) for part in rows] == [300, 300, 1197]
    assert len(rows[0] | rows[1] | rows[2]) == 1797


def test_dev_and_holdout_look_alike(prepared):
    form = [
        {name: (array.dtype, array.shape) for name, array in {**part.inputs, **part.targets}.items()}
        for part in (held_out(prepared, "dev"), held_out(prepared, "holdout"))
    ]
    assert form[0] == form[1]
    assert form[0] == {"images": (np.float32, (300, 64)), "labels": (np.int64, (300,))}


def test_the_order_of_rows_and_compression_change_nothing(prepared, tmp_path):
    rows = gzip.decompress(next(iter(read_source(TASK).values()))).split()
    done = prepare(TASK, {"table.csv": b"\n".join(reversed(rows))}, tmp_path)
    assert done.returncode == 0, done.stderr
    assert manifest(tmp_path / "out") == manifest(prepared)
    name = "dev/targets/labels.npy"
    assert (tmp_path / "out" / name).read_bytes() == (prepared / name).read_bytes()


def test_another_table_is_refused_in_a_sentence(tmp_path):
    done = prepare(TASK, {"table.csv": b"1,2,3\n" * 5}, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("The table must hold at least 1200 different rows")
    assert "Traceback" not in done.stderr


def test_training_leaves_a_valid_artifact_and_prints_its_loss(trained):
    folder, printed = trained
    assert artifact.problem({path.name: path.read_bytes() for path in folder.iterdir()}) is None
    assert printed.startswith("step 0 loss 2.")


def test_the_same_seed_trains_the_same_weights_and_another_seed_others(prepared, trained, tmp_path):
    for seed, name in ((0, "again"), (1, "other")):
        assert train(TASK, prepared / "train", tmp_path / name, seed).returncode == 0
    weights = [
        (folder / "model.safetensors").read_bytes() for folder in (trained[0], tmp_path / "again", tmp_path / "other")
    ]
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize("split", ["dev", "holdout"])
def test_the_baseline_learns_and_leaves_room(prepared, trained, tmp_path, split):
    case = VerifierCase(
        verifier=Classification(**TASK.spec.verifier.options),
        metric="val_nll",
        bounds=(0, 12),
        held_out=held_out(prepared, split),
    )
    evidence, _ = question(case, lambda challenge: answer(TASK, trained[0], challenge, tmp_path))
    verdict = case.verifier.verify(evidence)
    assert isinstance(verdict, Scored)
    assert 0.15 < verdict.value("val_nll") < 0.35
    assert 0.9 < verdict.value("accuracy") < 0.97


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPTIMIZER", '"momentum"'),
        ("OPTIMIZER", '"nesterov"'),
        ("OPTIMIZER", '"adam"'),
        ("ACTIVATION", '"relu"'),
        ("ACTIVATION", '"leaky_relu"'),
        ("ACTIVATION", '"softplus"'),
        ("INITIALIZATION", '"small"'),
        ("INITIALIZATION", '"he"'),
        ("INITIALIZATION", '"glorot"'),
        ("SCHEDULE", '"linear"'),
        ("SCHEDULE", '"cosine"'),
        ("LAYERS", "2"),
        ("DROPOUT", "0.1"),
        ("WARMUP", "0.1"),
        ("CLIP_NORM", "0.5"),
        ("LABEL_SMOOTHING", "0.1"),
        ("PIXEL_NOISE", "0.1"),
        ("WEIGHT_DECAY", "0.001"),
    ],
)
def test_every_choice_and_number_at_the_top_works(prepared, tmp_path, name, value):
    lines = TASK.code["train.py"].splitlines(keepends=True)
    edited = "".join(f"{name} = {value}\n" if line.startswith(f"{name} = ") else line for line in lines)
    assert edited != TASK.code["train.py"]
    (tmp_path / "train.py").write_text(edited)
    shutil.copy(TASK.folder / "tensors.py", tmp_path)
    done = run_program(
        [sys.executable, str(tmp_path / "train.py")],
        RSI_DATA=str(prepared / "train"),
        RSI_OUT=str(tmp_path / "artifact"),
        RSI_BUDGET="12000",
    )
    assert done.returncode == 0, done.stderr
    losses = [float(line.split()[3]) for line in done.stdout.splitlines()]
    assert losses[-1] < losses[0]


def test_gradients_agree_with_finite_differences():
    sys.path.insert(0, str(TASK.folder))
    try:
        import train as digits  # noqa: PLC0415 - the task's own module, found beside tensors.py
    finally:
        sys.path.remove(str(TASK.folder))
    generator = np.random.default_rng(0)
    for activation in ("tanh", "softplus"):
        digits.ACTIVATION, digits.LAYERS = activation, 2
        model = {name: weights.astype(np.float64) for name, weights in digits.initialise(generator, 64).items()}
        x, targets = generator.random((5, 64)), np.eye(10)[generator.integers(0, 10, 5)]
        masks = [2.0 * (generator.random((5, digits.WIDTH)) < 0.5) for _ in range(2)]

        def loss(model=model, x=x, targets=targets, masks=masks):
            return -(targets * np.log(digits.softmax(digits.forward(model, x, masks)[0]))).sum() / 5

        logits, kept = digits.forward(model, x, masks)
        gradients = digits.backward(model, kept, (digits.softmax(logits) - targets) / 5, masks)
        for name, weights in model.items():
            for _ in range(3):
                place = tuple(generator.integers(0, size) for size in weights.shape)
                weights[place] += 1e-6
                above = loss()
                weights[place] -= 2e-6
                slope = (above - loss()) / 2e-6
                weights[place] += 1e-6
                assert gradients[name][place] == pytest.approx(slope, abs=1e-7)
    del sys.modules["train"], sys.modules["tensors"]
