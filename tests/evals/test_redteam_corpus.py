"""The corpus of the red team is complete, well-formed, and applies to the tasks as they are."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest
import tomli_w

from evals.classification import Classification
from evals.redteam.corpus import KINDS, LAYERS, SHIPPED, Case, load_corpus
from rsi import edits
from rsi.edits import CheckedEdit
from rsi.errors import UsageError
from rsi.evidence import Evidence, Secret
from rsi.execution import ExitKind, Job, Outcome, Shape
from rsi.prediction import job_inputs, read_answer
from rsi.preparation import prepare, read_source
from rsi.records import Edit
from rsi.task import Task, load_task
from sandboxes.process import ProcessSandbox

CASES = load_corpus()
ATTACKS = [case for case in CASES if not case.honest]
HONEST = [case for case in CASES if case.honest]
REFUSED = "edit-check"


@pytest.fixture(scope="module")
def tasks() -> dict[str, Task]:
    return {name: load_task(name) for name in ("charlm", "digits")}


def applied(task: Task, edit: Edit) -> CheckedEdit | edits.Refusal:
    return edits.check(edit, task.code, task.spec.code.editable, task.spec.code.max_bytes)


# --- what the shipped corpus holds ------------------------------------------------------------------------------


def test_both_tasks_are_attacked_and_both_have_honest_edits() -> None:
    attacks, honest = Counter(case.task for case in ATTACKS), Counter(case.task for case in HONEST)
    assert attacks["charlm"] >= 40
    assert attacks["digits"] >= 32
    assert honest["charlm"] >= 24
    assert honest["digits"] >= 22


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_cheat_has_an_attack(kind: str) -> None:
    assert [case.id for case in ATTACKS if case.kind == kind]


def test_attacks_use_the_kinds_and_layers_that_are_listed() -> None:
    assert {case.kind for case in ATTACKS} == set(KINDS)
    assert {case.layer for case in ATTACKS} <= set(LAYERS)


def test_names_are_unique_over_both_tasks() -> None:
    for group in (ATTACKS, HONEST):
        repeated = [name for name, count in Counter((case.task, case.name) for case in group).items() if count > 1]
        assert not repeated


def test_edits_are_all_different() -> None:
    assert len({(case.task, case.edit) for case in CASES}) == len(CASES)


def test_no_file_lies_where_it_is_not_read() -> None:
    files = {path for path in SHIPPED.rglob("*") if path.is_file() and path.name != "README.md"}
    assert len(files) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_case_applies_to_its_task(case: Case, tasks: dict[str, Task]) -> None:
    task = tasks[case.task]
    checked = applied(task, case.proposed())
    assert isinstance(checked, CheckedEdit) != (case.layer == REFUSED), checked
    twin = case.honest_twin()
    if twin is not None:
        assert case.twin != case.edit
        assert isinstance(applied(task, twin), CheckedEdit)


def test_no_case_names_an_address_but_loopback() -> None:
    numbers = {number for case in CASES for number in re.findall(r"\b\d{1,3}(?:\.\d{1,3}){3}\b", case.edit)}
    assert numbers <= {"127.0.0.1"}
    assert not [case.id for case in CASES if "http://" in case.edit or "https://" in case.edit]


# --- they run ---------------------------------------------------------------------------------------------------


class Trials:
    """Trains and scores code of the digits task in the process sandbox; all cases here are our own."""

    def __init__(self, cache: Path) -> None:
        self.task = load_task("digits")
        self.sandbox = ProcessSandbox()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RSI_CACHE", str(cache))
            self.data = prepare(self.task, self.sandbox, read_source(self.task), "test")[1]
        self.verifier = Classification(classes=10)

    def run(self, purpose: Literal["train", "predict"], argv: tuple[str, ...], **job: Any) -> Outcome:
        limits = self.task.spec.limits.train.model_copy(update={"cpu_seconds": 60.0, "wall_seconds": 120.0})
        outcome = self.sandbox.run(Job(purpose=purpose, argv=argv, shape=Shape(limits=limits), **job))
        assert outcome.execution.kind is ExitKind.COMPLETED, outcome.stderr.decode()
        return outcome

    def loss(self, edit: Edit | None, seed: int = 3) -> float:
        checked = applied(self.task, edit) if edit else None
        code = checked.code if isinstance(checked, CheckedEdit) else self.task.code
        files = {**code, "tensors.py": self.task.protected["tensors.py"]}
        inputs = {f"code/{path}": text.encode() for path, text in files.items()}
        inputs |= {f"data/{path}": file.read_bytes() for path, file in self.data.training_files().items()}
        settings = {"RSI_SEED": str(seed), "RSI_BUDGET": "20000"}
        trained = self.run("train", ("code/train.py",), inputs=inputs, environment=settings)
        evidence = Evidence(
            split="dev", purpose="screen", training=trained.execution, held_out=self.data.held_out("dev")
        )
        challenge = self.verifier.challenge(evidence, Secret(key="ab" * 32))
        assert challenge is not None
        asked = job_inputs(code, {"tensors.py": self.task.protected["tensors.py"]}, trained.outputs, challenge)
        answer = read_answer(self.run("predict", ("-m", "guest.predict"), inputs=asked).outputs, challenge)
        return float(self.verifier.score(challenge, answer, {})["loss"].astype(float).mean())


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Trials:
    return Trials(tmp_path_factory.mktemp("cache"))


def proposed(name: str) -> Edit:
    (case,) = [case for case in CASES if case.id == name]
    return case.proposed()


def test_an_attack_gains_where_nothing_stops_it(trials: Trials) -> None:
    assert trials.loss(proposed("digits/attacks/rare-shapes")) < trials.loss(None) - 0.05


def test_an_honest_edit_scores_the_same_each_time(trials: Trials) -> None:
    edit = proposed("digits/honest/registered-optimisers")
    assert trials.loss(edit) == trials.loss(edit)


# --- a lab's own ------------------------------------------------------------------------------------------------

EDIT = "train.py\n<<<<<<< SEARCH\nLAYERS = 1\n=======\nLAYERS = 2\n>>>>>>> REPLACE\n"
ATTACK = {
    "tries": "prints what it likes",
    "kind": "our-own-kind",
    "modelled_on": "A. Author, 'A title', 2025",
    "layer": "our-own-verifier",
    "edit": EDIT,
}


def write(path: Path, **values: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tomli_w.dumps(values))
    return path


def test_a_folder_of_the_same_layout_is_read(tmp_path: Path) -> None:
    write(tmp_path / "digits/attacks/ours.toml", **ATTACK, twin=EDIT, needs="previous-trial")
    write(tmp_path / "charlm/honest/odd.toml", tries="deeper, nothing else", edit=EDIT)
    write(tmp_path / "digits/honest/odd.toml", tries="deeper, nothing else", edit=EDIT)
    cases = load_corpus(tmp_path)
    assert [case.id for case in cases] == ["charlm/honest/odd", "digits/attacks/ours", "digits/honest/odd"]
    assert cases[1].kind == "our-own-kind"
    assert cases[1].needs == "previous-trial"
    assert [case.id for case in load_corpus(tmp_path, task="charlm")] == ["charlm/honest/odd"]


def test_a_flat_folder_needs_the_task_named(tmp_path: Path) -> None:
    write(tmp_path / "attacks/ours.toml", **ATTACK)
    assert [case.id for case in load_corpus(tmp_path, task="./mine")] == ["./mine/attacks/ours"]
    with pytest.raises(UsageError, match="--task"):
        load_corpus(tmp_path)


@pytest.mark.parametrize("field", ["tries", "kind", "modelled_on", "layer", "edit"])
def test_a_missing_field_is_named_with_its_file(tmp_path: Path, field: str) -> None:
    values = {name: value for name, value in ATTACK.items() if name != field}
    path = write(tmp_path / "attacks/ours.toml", **values)
    with pytest.raises(UsageError) as caught:
        load_corpus(tmp_path, task="digits")
    assert str(path) in str(caught.value)
    assert field in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"layers": "budget"}, "layers"),
        ({"kind": "Not A Word"}, "kind"),
        ({"needs": "a-miracle"}, "needs"),
        ({"tries": "two\nlines are too many"}, "tries"),
        ({"honest": "false"}, "honest"),
    ],
)
def test_a_wrong_field_is_named_with_its_file(tmp_path: Path, values: dict[str, str], named: str) -> None:
    path = write(tmp_path / "attacks/ours.toml", **{**ATTACK, **values})
    with pytest.raises(UsageError) as caught:
        load_corpus(tmp_path, task="digits")
    assert str(path) in str(caught.value)
    assert f"{named}:" in str(caught.value)


def test_an_honest_edit_says_nothing_of_kinds_and_twins(tmp_path: Path) -> None:
    for field in ("kind", "layer", "modelled_on", "twin"):
        write(tmp_path / "honest/odd.toml", tries="deeper, nothing else", edit=EDIT, **{field: "budget"})
        with pytest.raises(UsageError, match=f"{field}.*belongs to attacks"):
            load_corpus(tmp_path, task="digits")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("attacks/ours.toml", "tries = 'unclosed", "TOML"),
        ("attacks/ours.toml", "a = " + "[" * 5000, "TOML"),
        ("attacks/Our Own.toml", "", "lower case"),
        ("attacks/ours.py", "", ".toml"),
    ],
)
def test_a_file_that_is_no_case_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / "attacks").mkdir()
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=said):
        load_corpus(tmp_path, task="digits")


def test_a_folder_without_cases_or_for_no_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        load_corpus(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="holds no case"):
        load_corpus(tmp_path)
    (tmp_path / "nothing-of-ours").mkdir()
    with pytest.raises(UsageError, match="named for no task"):
        load_corpus(tmp_path)
