"""`inspect view` itself lists and serves an exported log, on loopback, and is told not to trust what is in it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from exported_runs import Known

from rsi.review.export import inspect_log
from rsi.review.export.gather import Gathering

PATIENCE = 60.0
"""Seconds until the viewer must answer: it imports much."""


def get(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=30) as answer:
        data: bytes = answer.read()
    return data


def parsed(address: str) -> Any:
    return json.loads(get(address))


@pytest.fixture
def viewer(any_run: Known, tmp_path: Path) -> Iterator[str]:
    """The address of a viewer of a folder that holds one exported log."""
    logs = tmp_path / "logs"
    logs.mkdir()
    inspect_log.export(Gathering(any_run.folder), logs / "run.eval", force=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("inspect")), "view", "start", "--log-dir", str(logs)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with (tmp_path / "viewer.log").open("wb") as told:
        process = subprocess.Popen(command, stdout=told, stderr=told, cwd=tmp_path, env={**os.environ, **home})
    try:
        address, end = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
        while True:
            try:
                get(f"{address}/")
                break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, (tmp_path / "viewer.log").read_text()
                assert time.monotonic() < end, (tmp_path / "viewer.log").read_text()
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def test_the_viewer_lists_the_log_and_serves_what_it_shows(any_run: Known, viewer: str) -> None:
    assert b"<html" in get(f"{viewer}/").lower()
    [entry] = parsed(f"{viewer}/api/logs")["files"]
    assert entry["name"].endswith("run.eval")
    [header] = parsed(f"{viewer}/api/log-headers?file={urllib.parse.quote(entry['name'], safe='')}")
    assert header["status"] == "success"
    assert header["eval"]["metadata"]["head"] == any_run.run.state.head
    assert header["eval"]["viewer"]["trust_content"] is False
    log = parsed(f"{viewer}/api/logs/{urllib.parse.quote(entry['name'], safe='')}")
    assert [sample["id"] for sample in log["samples"]] == list(any_run.run.state.experiments)
    kinds = {event["event"] for sample in log["samples"] for event in sample["events"]}
    assert kinds >= {"sandbox", "info", "score", "span_begin", "span_end"}
