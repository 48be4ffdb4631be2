"""A second Docker engine that a test may kill, stop and starve: the shared one is never touched."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import sandboxes.image

LEFT_OUT = ("./proc", "./sys", "./dev", "./var", "./usr/share", "*/torch", "*/torchgen", "*/sympy", "*/functorch")
IMAGE = "rsi-small:1"
UP_SECONDS = 40.0
"""An engine that finds containers alive which it does not know how to keep stops each for ten seconds first."""


class PrivateEngine:
    """A dockerd of its own below a folder: own data, own containerd, no network; `start` and `stop` it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix://{folder}/s"
        self._name = f"rsi-test-{secrets.token_hex(4)}"
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return once it answers."""
        state = self.folder / "exec" / "containerd"
        for stale in (self.folder / "pid", *state.glob("*.pid"), *state.glob("*.sock*")):
            stale.unlink(missing_ok=True)
        command = [
            "dockerd",
            *("--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec")),
            *("--pidfile", str(self.folder / "pid"), "--host", self.address),
            *("--bridge=none", "--iptables=false"),
            *("--containerd-namespace", self._name, "--containerd-plugins-namespace", f"{self._name}-plugins"),
        ]
        with (self.folder / "log").open("ab") as log:
            self._daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + UP_SECONDS
        while self.docker("info", check=False).returncode:
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-3000:]
            assert self._daemon.poll() is None, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.1)

    def docker(self, *arguments: str, check: bool = True, feed: int | None = None) -> subprocess.CompletedProcess[str]:
        """The client, on this engine."""
        command = ["docker", "--host", self.address, *arguments]
        return subprocess.run(command, stdin=feed, capture_output=True, text=True, check=check)

    def signal(self, number: signal.Signals) -> None:
        """To the daemon alone."""
        assert self._daemon is not None
        self._daemon.send_signal(number)

    def kill(self, *, with_containers: bool) -> None:
        """SIGKILL; its containers go on without it, or die in the same moment as with their machine."""
        containers = self.processes() if with_containers else []
        self.signal(signal.SIGKILL)
        assert self._daemon is not None
        self._daemon.wait()
        for number in containers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while (pid := self._containerd()) is not None and time.monotonic() < deadline:  # dies with its parent
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def processes(self) -> list[int]:
        """Shims of this engine's containers and what runs in them, shims first."""
        found: list[int] = []
        children: dict[int, list[int]] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                text = (folder / "stat").read_text()
                parent = int(text.rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if b"shim" in words[0] and self._name.encode() in words:
                    found.append(int(folder.name))
        for number in found:
            found.extend(children.get(number, []))
        return found

    def _containerd(self) -> int | None:
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self.folder).encode() in (folder / "cmdline").read_bytes():
                    return int(folder.name)
        return None

    def stop(self) -> None:
        """End it and all that is its own."""
        if self._daemon is not None:
            with contextlib.suppress(ProcessLookupError):
                self.signal(signal.SIGCONT)
            self.kill(with_containers=True)
        for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
            where = line.split()[4]
            if where.startswith(str(self.folder)):
                subprocess.run(["umount", "--lazy", where], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def load_small_image(self) -> str:
        """The sandbox image without PyTorch, 140 MB, from the shared engine; its digest here."""
        if self.docker("image", "inspect", IMAGE, check=False).returncode:
            excluded = [f"--exclude={pattern}" for pattern in LEFT_OUT]
            tar = ["tar", "-C", "/", "-c", *excluded, "."]
            run = ["docker", "run", "--rm", "--network", "none", "--log-driver", "none", "--entrypoint", tar[0]]
            command = [*run, sandboxes.image.wanted_tag(), *tar[1:]]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as source:
                assert source.stdout is not None
                self.docker("import", *_settings(), "-", IMAGE, feed=source.stdout.fileno())
            assert source.returncode == 0
        return self.docker("image", "inspect", "--format", "{{.Id}}", IMAGE).stdout.strip()


def _settings() -> list[str]:
    template = "{{range .Config.Env}}{{println .}}{{end}}"
    asked = ["docker", "image", "inspect", "--format", template, sandboxes.image.wanted_tag()]
    found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    return [word for setting in found for word in ("--change", f"ENV {setting}")] + ["--change", "WORKDIR /tmp"]


@contextlib.contextmanager
def private_engine() -> Iterator[PrivateEngine]:
    """One that runs and has the small image; skips, with the reason, where none can be started."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("a second engine needs root and `dockerd` on this machine")
    # Short, because the path of a socket may have no more than 107 characters.
    engine = PrivateEngine(Path(tempfile.mkdtemp(prefix="rsi-eng-")))
    try:
        engine.start()
        engine.load_small_image()
        yield engine
    finally:
        engine.stop()
