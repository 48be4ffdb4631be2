"""The runs as MLflow's own client finds them: what is told, and that a second export brings up to date."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from exported_runs import EVIL, PATCHES_OF_TWO, Known
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from rsi.chain import Event
from rsi.errors import EnvironmentFault, UsageError
from rsi.review.export import mlflow_store
from rsi.review.export.gather import Gathering
from rsi.review.export.mlflow_names import name
from rsi.runs import read
from rsi.state import RunState

# mlflow's own tables use what newer releases of SQLAlchemy call deprecated; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::ResourceWarning")


def exported(folder: Path, target: str) -> str:
    return mlflow_store.export(Gathering(folder), target).did


def client_of(folder: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


def runs(client: MlflowClient) -> tuple[Run, list[Run]]:
    """The run, and those nested in it."""
    found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    [whole] = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    nested = [run for run in found if run.data.tags.get("mlflow.parentRunId") == whole.info.run_id]
    assert len(nested) + 1 == len(found)
    return whole, nested


def history(client: MlflowClient, run: Run, key: str) -> dict[int, list[float]]:
    told: dict[int, list[float]] = {}
    for metric in client.get_metric_history(run.info.run_id, key):
        told.setdefault(metric.step, []).append(metric.value)
    return told


def test_a_run_is_told_with_its_figures_and_kept_edits(finished: Known, tmp_path: Path) -> None:
    assert exported(finished.folder, str(tmp_path / "store")) == "made"
    client = client_of(tmp_path / "store")
    whole, nested = runs(client)
    state = finished.run.state
    metric = state.run.objective.metric
    assert whole.info.status == "FINISHED"
    assert whole.data.tags["rsi.head"] == state.head
    assert whole.data.tags["rsi.run"] == state.run.run
    assert f"--head {state.head}" in whole.data.tags["rsi.integrity"]
    assert whole.data.params["policy.name"] == state.run.configuration.policy.name
    values = {number: [state.mean(number)] for number in state.experiments if state.mean(number) is not None}
    assert history(client, whole, f"dev.{metric}") == values
    assert whole.data.metrics[f"best.{metric}"] == state.mean(state.incumbent)
    kept = [number for number, entry in state.experiments.items() if number and entry.status.value == "kept"]
    assert sorted(int(run.data.params["experiment"]) for run in nested) == kept
    assert {file.path for file in client.list_artifacts(whole.info.run_id)} >= {"integrity.json", "run.json"}
    assert str(finished.folder) not in str(whole.to_dictionary())


def test_a_certified_gain_is_a_metric_with_its_interval(certified: Known, tmp_path: Path) -> None:
    exported(certified.folder, str(tmp_path / "store"))
    whole, _ = runs(client_of(tmp_path / "store"))
    found = Gathering(certified.folder).reading.summary.certified
    assert found is not None
    assert found.improvement is not None
    told = [whole.data.metrics[f"certified_gain.{part}"] for part in ("estimate", "low", "high")]
    assert told == [found.improvement.estimate, found.improvement.low, found.improvement.high]
    assert whole.data.tags["rsi.sure"] == "certified"


def test_a_second_export_adds_nothing(finished: Known, tmp_path: Path) -> None:
    exported(finished.folder, str(tmp_path / "store"))
    client = client_of(tmp_path / "store")
    before = runs(client)
    assert exported(finished.folder, str(tmp_path / "store")) == "was already there"
    after = runs(client)
    assert [run.info.run_id for run in (after[0], *after[1])] == [run.info.run_id for run in (before[0], *before[1])]


def test_an_export_that_was_cut_off_is_completed(finished: Known, tmp_path: Path) -> None:
    exported(finished.folder, str(tmp_path / "store"))
    client = client_of(tmp_path / "store")
    whole, nested = runs(client)
    client.set_tag(whole.info.run_id, "rsi.complete", "")
    client.delete_run(nested[0].info.run_id)
    assert exported(finished.folder, str(tmp_path / "store")) == "updated"
    metric = finished.run.state.run.objective.metric
    assert all(len(values) == 1 for values in history(client, whole, f"dev.{metric}").values())
    again, now = runs(client)
    assert again.info.run_id == whole.info.run_id
    assert len(now) == len(nested)


def test_a_run_that_goes_on_is_brought_up_to_date(make_run: Callable[..., Path], tmp_path: Path) -> None:
    store = tmp_path / "store"
    said: list[str] = []

    def listener(event: Event, state: RunState) -> None:
        if event.kind == "experiment.closed" and state.experiments and len(said) < 2:
            [folder] = (tmp_path / "runs").iterdir()
            said.append(exported(folder, str(store)))
            assert runs(client_of(store))[0].info.status == "RUNNING"

    folder = make_run(tmp_path, PATCHES_OF_TWO, listeners=[listener])
    assert exported(folder, str(store)) == "updated"
    assert said == ["made", "updated"]
    client = client_of(store)
    whole, _ = runs(client)
    assert whole.info.status == "FINISHED"
    state = read(folder).state
    told = history(client, whole, f"dev.{state.run.objective.metric}")
    assert {step: values[-1] for step, values in told.items()} == {
        number: state.mean(number) for number in state.experiments if state.mean(number) is not None
    }


def test_two_runs_stand_side_by_side(finished: Known, asked: Known, tmp_path: Path) -> None:
    for known in (finished, asked):
        exported(known.folder, str(tmp_path / "store"))
    client = client_of(tmp_path / "store")
    found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    heads = {run.data.tags["rsi.head"] for run in found if "mlflow.parentRunId" not in run.data.tags}
    assert heads == {finished.run.state.head, asked.run.state.head}


def test_hostile_names_and_texts_are_harmless_there(finished: Known, tmp_path: Path) -> None:
    outcome = mlflow_store.export(Gathering(finished.folder), str(tmp_path / "store"))
    assert "\x1b" not in outcome.model_dump_json()
    _, nested = runs(client_of(tmp_path / "store"))
    for run in nested:
        for text in (*run.data.tags.values(), *run.data.params.values(), *run.data.params):
            assert not set(text) & set("\x00\x1b\x7f\u202e")
    assert name(f"detail.{EVIL}").isascii()


def test_a_database_by_its_uri(finished: Known, tmp_path: Path) -> None:
    assert exported(finished.folder, f"sqlite:///{tmp_path}/lab.db") == "made"
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/lab.db")
    assert runs(client)[0].data.tags["rsi.head"] == finished.run.state.head
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab-artifacts", "lab.db"]


def test_targets_that_are_none_are_said(finished: Known, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "thesis.txt").touch()
    for target, words in (
        (str(own), "holds other things"),
        (str(own / "thesis.txt"), "is no folder"),
        ("ftp://lab/x", "keeps no runs at ftp"),
        (f"file:{tmp_path}", "no longer kept up"),
        (f"sqlite:///{tmp_path}/no/x.db", "is no folder"),
    ):
        with pytest.raises(UsageError, match=words):
            exported(finished.folder, target)
    assert [path.name for path in own.iterdir()] == ["thesis.txt"]


def test_a_server_that_does_not_answer_is_one_sentence_without_the_password(
    finished: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(EnvironmentFault) as fault:
        exported(finished.folder, "http://me:pa55word@127.0.0.1:9")
    assert "pa55word" not in str(fault.value)
    assert "\n" not in str(fault.value)
    assert fault.value.exit_code == 3
