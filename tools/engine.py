"""Finds out whether a container engine answers, and starts one; standard library only, for `setup.py`."""

from __future__ import annotations

import enum
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

SOCKET = "unix:///var/run/docker.sock"
PATIENCE_SECONDS = 45.0
"""An engine with running containers takes a quarter of a minute to end."""
PID_FILES = {"/var/run/docker.pid": "dockerd", "/var/run/docker/containerd/containerd.pid": "containerd"}
START_SECONDS = 60.0


class State(enum.Enum):
    """What asking an engine came to."""

    ANSWERS = "answers"
    FORBIDDEN = "forbidden"
    ABSENT = "absent"


def probe(address: str | None = None) -> State:
    """Ask the engine that DOCKER_HOST names, or the local one, for a sign of life."""
    url = urlsplit(address or os.environ.get("DOCKER_HOST") or SOCKET)
    try:
        with connect(url) as connection:
            if os.environ.get("DOCKER_TLS_VERIFY"):
                # Only the client library holds the keys; that something listens must do here.
                return State.ANSWERS
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return State.ANSWERS if b" 200 " in connection.recv(256) else State.ABSENT
    except PermissionError:
        return State.FORBIDDEN
    except OSError:
        return State.ABSENT


def connect(url: SplitResult) -> socket.socket:
    """A connection to a local or remote engine's address."""
    if url.scheme != "unix":
        return socket.create_connection((url.hostname or "localhost", url.port or 2375), timeout=5)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(5)
    try:
        connection.connect(url.path)
    except OSError:
        connection.close()
        raise
    return connection


def start(log: Path) -> bool:
    """Start the local engine, through the init system where there is one; whether it answers."""
    if Path("/run/systemd/system").is_dir() and shutil.which("systemctl"):
        subprocess.run(["systemctl", "start", "docker"], capture_output=True, check=False)
        return await_answer(None)
    if probe() is State.ANSWERS:
        return True
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        for pid_file, program in PID_FILES.items():
            drop_stale(Path(pid_file), program)
        with log.open("ab") as stream:
            # A session of its own and no inherited stream: it outlives this command and its terminal.
            process = subprocess.Popen(
                ["dockerd"], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True, cwd="/"
            )
        if await_answer(process):
            return True
        if process.poll() is None or time.monotonic() > until:
            return False
        time.sleep(2)  # an earlier engine may still be ending, and holds its pid file until it has


def drop_stale(pid_file: Path, program: str) -> None:
    """Remove a pid file that a dead engine left behind, because its number may belong to another program by now."""
    try:
        pid = int(pid_file.read_text().strip() or "0")
    except (OSError, ValueError):
        return
    try:
        alive = Path(f"/proc/{pid}/comm").read_text().strip() == program
    except OSError:
        alive = False
    if not alive:
        pid_file.unlink(missing_ok=True)


def await_answer(process: subprocess.Popen[bytes] | None) -> bool:
    """Wait until the engine answers, or until it has ended or has had its time."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if probe() is State.ANSWERS:
            return True
        if process is not None and process.poll() is not None:
            return False
        time.sleep(0.2)
    return False
