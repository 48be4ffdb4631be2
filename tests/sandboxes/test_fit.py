"""An engine, an image or hardware that cannot run a sandbox is told in one sentence, before anything runs."""

from __future__ import annotations

import http.server
import json
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsi.errors import EnvironmentFault, UsageError
from rsi.execution import Limits, Shape
from rsi.testing.sandbox_conformance import completed, job
from sandboxes.docker import DockerSandbox, fit, policy

IMAGES = str(Path(__file__).resolve().parents[1] / "image")
sys.path.insert(0, IMAGES)

import small_images  # noqa: E402  # beside the tests of images

sys.path.remove(IMAGES)


# --- what is asked for ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gpus", "count", "devices"),
    [("all", -1, []), ("2", 2, []), ("device=0", 0, ["0"]), ("device=0,GPU-1a2b", 0, ["0", "GPU-1a2b"])],
)
def test_gpus_become_one_request_of_the_engine(gpus: str, count: int, devices: list[str]) -> None:
    (request,) = fit.hardware("", gpus).host_options()["DeviceRequests"]
    assert (request["Count"], request["DeviceIDs"], request["Capabilities"]) == (count, devices, [["gpu"]])


@given(st.text(max_size=12), st.sampled_from(["runtime", "gpus"]))
def test_hardware_is_a_plain_word_or_refused(text: str, option: str) -> None:
    try:
        found = fit.hardware(**{"runtime": "", "gpus": "", option: text})
    except UsageError as error:
        assert f"--{option}" in str(error)  # noqa: PT017 - most texts are refused, and each names its option
        return
    assert bool(found.host_options()) == bool(text)
    assert text.isascii()
    assert not set(text) & set(" \t\n/;$`'\"\\|&<>(){}*?")


def plan(**hardware: str) -> policy.CellPlan:
    return policy.CellPlan(
        name="rsi-x",
        image="sha256:0",
        user=100_000,
        shape=Shape(limits=Limits()),
        labels={},
        hardware=fit.hardware(hardware.get("runtime", ""), hardware.get("gpus", "")),
    )


def as_inspected(made: policy.CellPlan) -> dict[str, Any]:
    """What an obedient engine says of a running container."""
    options = policy.worker_options(made)
    host = options.pop("HostConfig")
    mounts = [{"Name": m["Source"], "Destination": m["Target"], "RW": not m["ReadOnly"]} for m in host["Mounts"]]
    return {
        "HostConfig": {"Runtime": "runc", **host},
        "Config": options,
        "Mounts": mounts,
        "NetworkSettings": {"Networks": {"none": {}}},
    }


def test_a_container_on_other_hardware_than_asked_for_runs_nothing() -> None:
    plain, chosen = plan(), plan(runtime="runsc", gpus="device=1")
    for made in (plain, chosen):
        policy.check_worker(as_inspected(made), made, swap_is_limited=True)
    changed = as_inspected(chosen)
    changed["HostConfig"]["Runtime"] = "runc"
    with pytest.raises(EnvironmentFault, match="differs from the policy in Runtime;"):
        policy.check_worker(changed, chosen, swap_is_limited=True)
    for request in ([], fit.hardware("", "all").host_options()["DeviceRequests"]):
        changed = as_inspected(chosen)
        changed["HostConfig"]["DeviceRequests"] = request
        with pytest.raises(EnvironmentFault, match="differs from the policy in DeviceRequests;"):
            policy.check_worker(changed, chosen, swap_is_limited=True)
    unasked = as_inspected(plain)
    unasked["HostConfig"] |= fit.hardware("", "all").host_options()
    with pytest.raises(EnvironmentFault, match="differs from the policy in DeviceRequests;"):
        policy.check_worker(unasked, plain, swap_is_limited=True)


# --- engines ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "good"), [("1.41", True), ("1.100", True), ("2.0", True), ("1.40", False)])
def test_versions_are_compared_as_numbers(version: str, good: bool) -> None:
    if good:
        fit.require_recent(version)
        return
    with pytest.raises(EnvironmentFault, match=r"speaks version 1.40 .* 1.41 is needed"):
        fit.require_recent(version)


@contextmanager
def engine(path: Path, answers: dict[str, Any]) -> Iterator[str]:
    """Something at a socket that answers like an engine."""

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2].partition("?")[0]
            body = json.dumps(answers.get(name, "OK")).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "test"

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    with Server(str(path), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"unix://{path}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("api", ["1.40", "1.12", "0.9"])
def test_too_old_an_engine_is_told_its_version_and_the_needed_one(
    api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine(tmp_path / "s", {"version": {"ApiVersion": api, "Version": "old"}}) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        with pytest.raises(EnvironmentFault, match=r"API, and 1.41 is needed: install Docker Engine 20.10") as caught:
            DockerSandbox().describe()
    assert caught.value.exit_code == 3


def test_a_runtime_that_the_engine_does_not_know_is_refused_with_those_it_knows() -> None:
    information = {"Runtimes": {"runc": {}, "runsc": {}}}
    fit.require_runtime(fit.hardware("runsc", ""), information)
    with pytest.raises(EnvironmentFault, match="knows no runtime 'kata', only runc, runsc; name one of these"):
        fit.require_runtime(fit.hardware("kata", ""), information)


@pytest.mark.docker
def test_the_runtime_is_asked_for_checked_on_the_running_container_and_recorded() -> None:
    sandbox = DockerSandbox(pool=0, runtime="runc")
    try:
        assert sandbox.describe().options["runtime"] == "runc"
        completed(sandbox.run(job("")))
    finally:
        sandbox.close()


@pytest.mark.docker
@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"runtime": "no-such-runtime"}, r"knows no runtime 'no-such-runtime', only .*runc"),
        ({"gpus": "device=rsi-test-none"}, r"cannot start a container with --gpus device=rsi-test-none \(.*runc"),
    ],
    ids=["runtime", "gpus"],
)
def test_hardware_that_is_not_there_is_told_before_anything_runs(chosen: dict[str, str], words: str) -> None:
    sandbox = DockerSandbox(pool=0, **chosen)  # type: ignore[arg-type]
    try:
        with pytest.raises(EnvironmentFault, match=words):
            sandbox.describe()
    finally:
        sandbox.close()


FOREIGN_PROGRAM = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00\x01\x00\x00\x00" + bytes(40)
"""The header of a program for 64-bit ARM, and nothing behind it."""


@pytest.mark.docker
def test_an_image_for_another_processor_is_refused_unless_the_machine_runs_it(tmp_path: Path) -> None:
    tag = small_images.TAG
    digest = small_images.write_bundle(tmp_path / "f", {"usr/bin/python3": FOREIGN_PROGRAM}, architecture="arm64")
    with small_images.loaded(tmp_path / "f", tag):
        sandbox = DockerSandbox(image=digest, pool=0)
        try:
            with pytest.raises(EnvironmentFault, match=r"made for arm64, and this engine's machine, which is amd64"):
                sandbox.describe()
        finally:
            sandbox.close()


def test_an_image_for_this_processor_starts_nothing_to_find_out() -> None:
    class NoApi:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            raise AssertionError(name)

    for image in ("amd64", ""):
        fit.require_runnable(NoApi(), {"Architecture": image}, {"Architecture": "x86_64"}, fit.Hardware(), {})
    fit.require_runnable(NoApi(), {"Architecture": "arm64"}, {"Architecture": "aarch64"}, fit.Hardware(), {})
