"""Runs to export, and what the ledger says of them; only `make test-exports` has the libraries to read them back."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from exported_runs import EVIL, Known, known

from rsi.runs import read

TESTS = Path(__file__).resolve().parents[1]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """`make test` leaves these out; where `make test-exports` runs them, a missing library is an error, not a skip."""
    return None if os.environ.get("RSI_TEST_EXPORTS") or not collection_path.name.startswith("test_") else True


def _other(folder: str, name: str) -> ModuleType:
    """A module of another folder of tests, under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"{folder}_{name}", TESTS / folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RSI_STATE", str(tmp_path_factory.mktemp("state")))
        patch.setenv("RSI_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        yield


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Path]:
    """The real loop on the fakes."""
    made: Callable[..., Path] = _other("review", "conftest").make_run
    return made


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, make_run: Callable[..., Path]) -> Known:
    """One of each outcome and a confirmation; its programs printed hostile bytes, its proposer said hostile things."""
    from rsi.testing.altering import load, store  # noqa: PLC0415

    folder = make_run(tmp_path_factory.mktemp("finished"), confirm=3)
    blobs, events = read(folder).blobs, load(folder)
    streams = iter(range(1000))
    for event in events:
        body = event["body"]
        if event["kind"] == "experiment.proposed" and body["experiment"] in {1, 2}:
            body["rationale"], body["kind"], body["detail"] = EVIL, EVIL, {EVIL: EVIL}
        elif event["kind"] == "trial.trained":
            number = next(streams)
            body["stdout"] = blobs.put(f"step {number} {EVIL}\n".encode() + b"\xff\xfe\x00\xed\xa0\x80")
            body["stderr"] = blobs.put(f"warning {number} {EVIL}".encode())
            body["findings"] = [{"severity": "warning", "code": "x", "message": EVIL, "pointer": f"{EVIL}:3"}]
        elif event["kind"] == "trial.judged" and "measurements" in body["verdict"]:
            body["verdict"]["measurements"].append({"name": EVIL, "value": 1.5, "standard_error": None})
            body["verdict"]["measurements"].append({"name": "decision", "value": 2.5, "standard_error": 0.5})
    store(folder, events)
    return known(folder)


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Known:
    """A run whose model is a real HTTP server on loopback."""
    sys.path.insert(0, str(TESTS / "llm"))
    try:
        from model_runs import configuration, run  # noqa: PLC0415
        from model_server import ModelServer  # noqa: PLC0415
    finally:
        sys.path.remove(str(TESTS / "llm"))
    where = tmp_path_factory.mktemp("asked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-not-a-key")
        with ModelServer(_steps()) as server:
            _, record = run(where, configuration(where, server))
    return known(record.folder)


def _steps() -> Any:
    from model_runs import steps  # noqa: PLC0415

    return steps


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Known:
    """A run that passes a milestone: what it gained is certified, with trials on the holdout."""
    sys.path.insert(0, str(TESTS / "loop"))
    try:
        from composing import configuration, run  # noqa: PLC0415
    finally:
        sys.path.remove(str(TESTS / "loop"))
    where = tmp_path_factory.mktemp("certified")
    _, record = run(where, configuration(where, "30 50 20 35:crash", certify=True, shared_seeds=True))
    return known(record.folder)


@pytest.fixture(params=["finished", "asked", "certified"])
def any_run(request: pytest.FixtureRequest) -> Known:
    """Each of them."""
    value: Known = request.getfixturevalue(request.param)
    return value
