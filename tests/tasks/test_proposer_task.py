import io
import shutil
import sys

import numpy as np
import pytest
from task_programs import answer, held_out, manifest, prepare, prepared_data, trained_weights

from evals.inner import episodes, loops
from evals.inner.certifying import results
from evals.inner.episodes import slot
from evals.inner.families import instances
from evals.inner_loops import InnerLoops
from rsi import artifact
from rsi.errors import UsageError
from rsi.evidence import HeldOut
from rsi.plugins import load
from rsi.preparation import read_source
from rsi.proposers import ranking
from rsi.proposers.experience import LONGEST
from rsi.records import Scored
from rsi.task import load_task
from rsi.testing.verifier_conformance import VerifierCase, question

TASK = load_task("proposer")
FEW = np.array([slot(badness=1.0, interacting=0.5)] * 6)


def of_arrays(**arrays):
    files = {}
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        files[f"{name}.npy"] = buffer.getvalue()
    return files


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepared_data(TASK, tmp_path_factory.mktemp("proposer"))


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    return trained_weights(TASK, prepared, tmp_path_factory.mktemp("artifact"))


def program(past, folder, **settings):
    """The shipped program with other settings, trained and imported here: it is our own code."""
    lines = TASK.code["proposer.py"].splitlines(keepends=True)
    for name, value in settings.items():
        found = [line for line in lines if line.startswith(f"{name} = ")]
        assert len(found) == 1, name
        lines = [f"{name} = {value!r}\n" if line is found[0] else line for line in lines]
    folder.mkdir()
    (folder / "proposer.py").write_text("".join(lines))
    shutil.copy(TASK.folder / "tensors.py", folder)
    sys.path.insert(0, str(folder))
    try:
        import proposer  # noqa: PLC0415 - the program just written
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("proposer", None)
        sys.modules.pop("tensors", None)
    proposer.tensors.save(folder / "artifact" / "model.safetensors", proposer.learn(past))
    return lambda shown: proposer.predict(folder / "artifact", shown)


def tried(one, rounds=8):
    """What a program chooses, (T, moves)."""
    found = loops.run(loops.Plan(rounds=rounds), FEW, b"a key for tests.", one)
    return np.concatenate([record["option"] for record in found], axis=1)


@pytest.fixture(scope="module")
def past(prepared):
    return np.load(prepared / "train" / "episodes.npy")


def test_what_ships_to_learn_from_is_the_uniform_programs_loops_and_the_same_each_time(prepared):
    assert load("sources", "inner-episodes") is episodes.uniform
    past = np.load(prepared / "train" / "episodes.npy")
    assert past.shape == (episodes.SHIPPED, loops.Plan().rounds * loops.Plan().at_once, len(ranking.PAST))
    assert past.dtype == np.float32
    assert manifest(prepared)["experiments"] == int((past[:, :, loops.OUTCOME] > 0).sum()) > 0.8 * past[:, :, 0].size


def test_episodes_that_the_user_names_are_read_instead_of_making_some(tmp_path):
    (tmp_path / "mine.npy").write_bytes(b"mine")
    assert read_source(TASK, str(tmp_path / "mine.npy")) == {"mine.npy": b"mine"}
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        read_source(TASK, "made:inner-episodes")  # a word of task.toml, not of a recorded run's configuration


def test_dev_and_holdout_look_alike_and_share_no_family_of_the_same_difficulty(prepared):
    dev, holdout = held_out(prepared, "dev"), held_out(prepared, "holdout")
    for part in ("inputs", "targets"):
        forms = [{name: (a.dtype, a.shape) for name, a in getattr(split, part).items()} for split in (dev, holdout)]
        assert forms[0] == forms[1]
    rows = [{tuple(row) for row in split.targets["slots"].tolist()} for split in (dev, holdout)]
    assert not rows[0] & rows[1]
    families = [{episodes.FAMILIES[int(row[0])] for row in found} for found in rows]
    assert families[0] == {"surface", "regression", "classification"}
    assert families[1] == {"digits", "sequence", "regression", "classification"}


def test_other_episodes_take_the_place_of_the_shipped_ones(tmp_path):
    short, long = np.zeros((3, 5, 9), np.float32), np.ones((2, 8, 9), np.float32)
    done = prepare(TASK, of_arrays(one=short, two=long), tmp_path)
    assert done.returncode == 0, done.stderr
    past = np.load(tmp_path / "out" / "train" / "episodes.npy")
    assert past.shape == (5, 8, 9)
    assert manifest(tmp_path / "out")["experiments"] == 16


def test_what_is_gathered_of_real_runs_is_never_too_long_for_it(tmp_path):
    done = prepare(TASK, of_arrays(one=np.zeros((2, LONGEST, 9), np.float32)), tmp_path)
    assert done.returncode == 0, done.stderr


def test_rows_are_counted_as_they_are_padded(tmp_path):
    many, long = np.zeros((4000, 1, 9), np.float32), np.zeros((1, LONGEST, 9), np.float32)
    done = prepare(TASK, of_arrays(one=many, two=long), tmp_path)
    assert done.returncode == 1
    assert "Between one file and" in done.stderr


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((1, LONGEST + 1, 9), np.float32), "H at most 512"),
        (np.zeros((3, 9), np.float32), "holds no episodes"),
        (np.zeros((3, 4, 8), np.float32), "holds no episodes"),
        (np.full((1, 1, 9), np.nan, np.float32), "holds no episodes"),
        (np.full((1, 1, 9), 7, np.float32), "holds outcomes that are none"),
        (np.full((1, 1, 9), "x"), "holds no episodes"),
        (None, "Between one file and"),
    ],
)
def test_what_are_no_episodes_is_refused_in_a_sentence(tmp_path, array, words):
    done = prepare(TASK, {"a.txt": b"1"} if array is None else of_arrays(one=array), tmp_path)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_training_leaves_a_valid_artifact(trained):
    folder, printed = trained
    assert artifact.problem({path.name: path.read_bytes() for path in folder.iterdir()}) is None
    assert printed.startswith("learned from ")


def test_a_fresh_process_answers_every_round_and_the_first_generation_follows_the_dice(trained, tmp_path):
    verifier = InnerLoops(rounds=2, compute=8.0)
    case = VerifierCase(
        verifier=verifier,
        metric="gain_per_compute",
        bounds=(0, 12.5),
        held_out=HeldOut(inputs={"loops": np.arange(6)}, targets={"slots": FEW}),
    )
    by_program, asked = question(case, lambda challenge: answer(TASK, trained[0], challenge, tmp_path / challenge.name))
    by_dice, _ = question(case, lambda challenge: challenge.inputs["options"][:, :, loops.DICE])
    assert [challenge.name for challenge in asked] == ["round-00", "round-01"]
    verdict = verifier.verify(by_program)
    assert isinstance(verdict, Scored)
    assert verdict == verifier.verify(by_dice)


@pytest.mark.parametrize(
    "settings",
    [
        {"ORDER": "by_kind"},
        {"ORDER": "by_arm"},
        {"ORDER": "thompson"},
        {"ORDER": "learned"},
        {"ORDER": "learned", "AIM": "any_gain"},
        {"ORDER": "learned", "AIM": "signed"},
        {"FOLLOW_WHAT_PAID": True},
        {"TURN_AROUND": True},
        {"AVOID_NEIGHBOURS": True},
        {"LEAVE_WHAT_WAS_TRIED": True},
        {"BOLD_STEPS": True},
        {"CAREFUL_STEPS": True},
        {"THRIFTY": True},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())) + "-" + "-".join(settings),
)
def test_every_switch_and_choice_works_and_changes_what_is_tried(past, tmp_path, settings):
    assert (tried(program(past, tmp_path / "changed", **settings)) != tried(episodes.indifferent)).any()


def test_an_empty_past_teaches_nothing_and_breaks_nothing(tmp_path):
    done = prepare(TASK, of_arrays(one=np.zeros((1, 1, 9), np.float32)), tmp_path)
    assert done.returncode == 0, done.stderr
    nothing = np.load(tmp_path / "out" / "train" / "episodes.npy")
    learned = program(nothing, tmp_path / "learned", ORDER="learned")
    np.testing.assert_array_equal(tried(learned), tried(episodes.indifferent))


def test_as_many_experiments_are_learned_from_however_long_the_longest_loop_is(past, tmp_path):
    padded = np.pad(past, ((0, 0), (0, LONGEST - past.shape[1]), (0, 0)))
    shown = loops.question(loops.Plan(), *begun(), [], b"a key for tests.")
    settings = {"ORDER": "learned", "BUDGET": 500}
    np.testing.assert_allclose(
        program(past, tmp_path / "short", **settings)(shown), program(padded, tmp_path / "long", **settings)(shown)
    )


def begun():
    made = instances(FEW, b"a key for tests.")
    return made, loops.begin(made)


def test_what_was_learned_from_other_tasks_beats_the_dice(prepared, past, tmp_path):
    slots = held_out(prepared, "dev").targets["slots"][:20]
    learned = program(past, tmp_path / "learned", ORDER="learned")
    plan = loops.Plan()
    gains = {
        name: np.mean(
            [results(plan.budget, loops.run(plan, slots, bytes([n] * 16), one)).gain.mean() for n in range(3)]
        )
        for name, one in {"learned": learned, "uniform": episodes.indifferent}.items()
    }
    assert gains["learned"] > 1.1 * gains["uniform"]
