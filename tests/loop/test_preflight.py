"""What would spoil every trial is told before a run exists, in one sentence, with its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from composing import configuration, go_on, run, said

from rsi.configuration import Budget, Component, RunConfiguration
from rsi.errors import UsageError
from rsi.execution import MIB, Limits, SandboxDescription
from rsi.preflight import require_room, require_side_by_side
from rsi.session import start
from rsi.task import LimitsSection, load_task, read_task


@pytest.fixture
def task(tmp_path: Path) -> Path:
    folder = tmp_path / "task"
    shutil.copytree(load_task("digits").folder, folder)
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def begin(task: Path, sandbox: str = "process") -> None:
    """Start a run, and end it before its first trial."""
    verifier = load_task("digits").spec.verifier
    asked = RunConfiguration(
        task=str(task),
        proposer=Component(name="mutate"),
        policy=Component(name="greedy"),
        sandbox=Component(name=sandbox),
        verifier=Component(name=verifier.name, options=verifier.options),
        budget=Budget(experiments=0),
        seed=4,
    )
    start(asked, said, root=task.parent / "runs").close()


def refused(task: Path, words: str, sandbox: str = "process") -> None:
    with pytest.raises(UsageError, match=words):
        begin(task, sandbox)
    assert not (task.parent / "runs").exists()


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("cpus = 1", "cpus = 0", r"task.toml:\d+: limits.train.cpus: 0 is out of range: .* greater than 0"),
        ("cpu_seconds = 4", "cpu_seconds = 0", r"limits.train.cpu_seconds: 0 is out of range"),
        ("wall_seconds = 20", "wall_seconds = -1", r"limits.train.wall_seconds: -1 is out of range"),
        ("memory_bytes = 536870912", "memory_bytes = 0", r"limits.train.memory_bytes: 0 is out of range: .* 16777216"),
        ("cpus = 1", "cpus = 4096", r"limits.train.cpus = 4096 is more than this machine's \d+; lower it"),
        (
            "memory_bytes = 536870912",
            "memory_bytes = 4398046511104",
            r"limits.train.memory_bytes = 4398046511104 \(4194304 MiB\) is more than this machine's \d+ \(\d+ MiB\)",
        ),
    ],
)
@pytest.mark.parametrize("sandbox", ["process", pytest.param("docker", marks=pytest.mark.docker)])
def test_a_limit_of_zero_or_above_the_machine_is_named_with_its_value(
    task: Path, old: str, new: str, words: str, sandbox: str
) -> None:
    edit(task / "task.toml", old, new)
    refused(task, words, sandbox)


def test_each_section_of_limits_counts_and_a_machine_that_says_nothing_has_enough() -> None:
    task = load_task("digits")
    machine = SandboxDescription(name="x", isolates=True, machine_cpus=2, machine_memory_bytes=1024 * MIB)
    small = Limits(memory_bytes=512 * MIB)
    for name in ("prepare", "train", "predict"):
        sections = {"prepare": small, "train": small, "predict": small} | {name: Limits(cpus=3)}
        spec = task.spec.model_copy(update={"limits": LimitsSection(**sections)})
        changed = task.model_copy(update={"spec": spec})
        with pytest.raises(UsageError, match=rf"limits.{name}.cpus = 3 is more than this machine's 2;"):
            require_room(changed, machine)
        require_room(changed, SandboxDescription(name="x", isolates=True))


CRAMPED = Component(name=f"{Path(__file__).parent / 'scripted.py'}:Cramped")


def test_more_side_by_side_than_the_memory_holds_is_refused_before_a_run_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration(tmp_path, "30", sandbox=CRAMPED, parallel=4)
    each = load_task(config.task).spec.limits.train.memory_bytes // MIB
    monkeypatch.setenv("FAKE_MIB", str(4 * each - 1))
    with pytest.raises(
        UsageError, match=rf"4 trials of fake .* 4 times {each} MiB .* has {4 * each - 1} MiB; set --para.* 3 "
    ):
        run(tmp_path, config)
    assert not (tmp_path / "runs").exists()
    monkeypatch.setenv("FAKE_MIB", str(4 * each))
    assert run(tmp_path, config)[0] == 0


def test_a_run_is_not_resumed_where_its_trials_do_not_fit_and_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_MIB", str(2**20))
    _, record = run(tmp_path, configuration(tmp_path, "30", sandbox=CRAMPED, parallel=4))
    monkeypatch.setenv("FAKE_MIB", "4096")
    before = (record.folder / "ledger.jsonl").read_bytes()
    with pytest.raises(UsageError, match=r"resume on a larger machine, or start a new run with --parallel \d"):
        go_on(record.folder, Budget(experiments=3))
    assert (record.folder / "ledger.jsonl").read_bytes() == before


def test_the_larger_of_training_and_prediction_counts_and_one_at_a_time_is_the_tasks_own_limit() -> None:
    task = load_task("digits")
    sections = LimitsSection(train=Limits(memory_bytes=256 * MIB), predict=Limits(memory_bytes=600 * MIB))
    changed = task.model_copy(update={"spec": task.spec.model_copy(update={"limits": sections})})
    machine = SandboxDescription(name="x", isolates=True, machine_memory_bytes=1024 * MIB)
    require_side_by_side(changed, machine, 1)
    with pytest.raises(UsageError, match=r"2 times 600 MiB .* set --parallel 1\.$"):
        require_side_by_side(changed, machine, 2)
    require_side_by_side(changed, SandboxDescription(name="x", isolates=True), 64)


def test_a_guard_that_nobody_measures_stops_the_run_at_its_baseline(tmp_path: Path) -> None:
    config = configuration(tmp_path, "30")
    with (tmp_path / "task" / "task.toml").open("a") as toml:
        toml.write('\n[[objective.guards]]\nmetric = "memry"\nmargin = 0.1\ndirection = "minimize"\n')
    code, record = run(tmp_path, config)
    assert code == 2
    assert "measures val_loss, not the guard's memry; mend [[objective.guards]]" in record.state.paused.reason
    assert set(record.state.experiments) == {0}


# --- imports ----------------------------------------------------------------------------------------------------------


def test_a_module_that_the_code_imports_and_the_sandbox_lacks_is_named_with_its_line(task: Path) -> None:
    edit(task / "train.py", '"""\n\n', '"""\n\nimport no_such_module_of_ours.part\n')
    line = (task / "train.py").read_text().splitlines().index("import no_such_module_of_ours.part") + 1
    refused(task, rf"train.py, line {line}, imports no_such_module_of_ours, which the sandbox process lacks; use the")


def test_a_module_to_import_ahead_is_looked_for_too(task: Path) -> None:
    edit(task / "task.toml", 'unit = "samples"', 'unit = "samples"\nimports = ["no_such_module_of_ours.nn"]')
    refused(task, "train.imports in task.toml names no_such_module_of_ours, which")


def test_an_import_that_may_be_meant_to_fail_is_left_to_the_code(task: Path) -> None:
    guarded = (
        "try:\n    import no_one\nexcept ImportError:\n    no_one = None\n\n\ndef later():\n    import no_two\n\n\n"
    )
    edit(task / "train.py", '"""\n\n', f'"""\n\n{guarded}')
    begin(task)


def test_the_tasks_own_files_and_the_standard_library_are_there(task: Path) -> None:
    (task / "deep").mkdir()
    (task / "deep" / "more.py").write_text("import tensors, sqlite3\n")
    edit(task / "task.toml", '["tensors.py"]', '["tensors.py", "deep/more.py"]')
    edit(task / "train.py", '"""\n\n', '"""\n\nfrom deep import more\n')
    assert "deep/more.py" in read_task(task).protected
    begin(task)


def test_code_that_cannot_be_parsed_is_left_to_its_first_trial(task: Path) -> None:
    edit(task / "train.py", '"""\n\n', '"""\n\nimport no_such_module_of_ours\nif :\n')
    begin(task)


def test_a_sandbox_that_cannot_answer_is_not_asked_twice(tmp_path: Path) -> None:
    code, record = run(tmp_path, configuration(tmp_path, budget=Budget(experiments=0)))
    assert code == 0
    assert record.state.finished is not None


@pytest.mark.docker
def test_an_image_that_lacks_a_module_says_what_to_write_into_the_task(task: Path) -> None:
    edit(task / "train.py", '"""\n\n', '"""\n\nimport pandas\n')
    refused(
        task,
        r"imports pandas, which the sandbox docker lacks; name its package and version in `image.python`",
        "docker",
    )
