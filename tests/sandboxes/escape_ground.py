"""What the escape suite's attempts could reach if they got out: all of it made for them, all of it removed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import selectors
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

from rsi.testing.escapes import Attempt, Scene

SECRET_VARIABLE = "RSI_ESCAPE_SECRET"
IPV6_FREEBIND = 78
HEAR_SECONDS = 0.15


class Ears:
    """Sockets on the host; remembers every byte that reaches one of them."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._heard = bytearray()
        self._ends = socket.socketpair()
        self._selector.register(self._ends[0], selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._sockets: list[socket.socket] = list(self._ends)

    def open(self, family: int, kind: int, address: Any, protocol: int = 0) -> socket.socket:
        """Listen there."""
        ear = socket.socket(family, kind, protocol)
        if family == socket.AF_INET6:
            ear.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        ear.bind(address)
        if kind == socket.SOCK_STREAM:
            ear.listen()
        self._sockets.append(ear)
        self._selector.register(ear, selectors.EVENT_READ)
        return ear

    def start(self) -> None:
        self._thread.start()

    def __call__(self, token: bytes) -> bool:
        until = time.monotonic() + HEAR_SECONDS
        while token not in self._heard and time.monotonic() < until:
            time.sleep(0.02)
        return token in self._heard

    def _listen(self) -> None:
        while True:
            for key, _ in self._selector.select():
                ear: Any = key.fileobj
                if ear is self._ends[0]:
                    return
                with contextlib.suppress(OSError):
                    if ear.type == socket.SOCK_STREAM:
                        visitor, _ = ear.accept()
                        with visitor:
                            visitor.settimeout(2)
                            self._heard += visitor.recv(4096)
                    else:
                        self._heard += ear.recv(4096)

    def close(self) -> None:
        self._ends[1].send(b"x")
        self._thread.join()
        self._selector.close()
        for ear in self._sockets:
            ear.close()


class ClockWatch:
    """Whether the machine's clock was set since the last question (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET)."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = self._libc.timerfd_create(0, os.O_NONBLOCK)
        self._arm()

    def _arm(self) -> None:
        far_away = (ctypes.c_long * 4)(0, 0, 1 << 40, 0)
        assert self._libc.timerfd_settime(self._timer, 3, far_away, None) == 0

    def was_set(self) -> bool:
        try:
            os.read(self._timer, 8)
        except BlockingIOError:
            return False
        except OSError:
            self._arm()
            return True
        return True

    def close(self) -> None:
        os.close(self._timer)


class Ground:
    """A folder, processes and listeners of the host, and, with an engine, a network. A context manager."""

    def __init__(self, folder: Path, api: Any = None) -> None:
        self.mark = f"rsi-escape-{secrets.token_hex(6)}"
        self.secret = secrets.token_hex(16)
        self.folder = folder
        self.api = api
        self.ears = Ears()
        self.clock = ClockWatch()
        self.victim: subprocess.Popen[bytes] | None = None
        self.marked: subprocess.Popen[bytes] | None = None
        self.facts: dict[str, Any] = {}
        self.gateway = "127.0.0.1"

    def __enter__(self) -> Self:
        open_folder = self.folder / "open"
        open_folder.mkdir(parents=True)
        open_folder.chmod(0o777)
        self.ledger = open_folder / "ledger.jsonl"
        (open_folder / "secret").write_text(self.secret)
        self.ledger.write_text(self.secret)
        self.ledger.chmod(0o666)
        self.shared = Path("/dev/shm") / self.mark
        self.shared.write_text(self.secret)
        self.shared.chmod(0o644)
        os.environ[SECRET_VARIABLE] = self.secret
        idle = "import time; time.sleep(900)"
        self.marked = subprocess.Popen([sys.executable, "-c", idle, self.mark, self.secret])
        self._open_ears(open_folder / "socket")
        return self

    def _open_ears(self, path: Path) -> None:
        tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
        six = "::1"
        if self.api is not None:
            prefix = f"fd{secrets.token_hex(1)}:{secrets.token_hex(2)}:{secrets.token_hex(2)}"
            pools = {"Driver": "default", "Config": [{"Subnet": f"{prefix}::/64", "Gateway": f"{prefix}::1"}]}
            self.api.create_network(self.mark, driver="bridge", internal=True, enable_ipv6=True, ipam=pools)
            found = self.api.inspect_network(self.mark)["IPAM"]["Config"]
            six = f"{prefix}::1"
            (self.gateway,) = (pool["Gateway"].split("/")[0] for pool in found if ":" not in pool["Subnet"])
            self.ears.open(socket.AF_INET, udp, (self.gateway, 53))
            self.ears.open(socket.AF_INET, socket.SOCK_RAW, (self.gateway, 0), socket.IPPROTO_ICMP)
            self.ears.open(socket.AF_INET, socket.SOCK_RAW, (self.gateway, 0), 253)
        self.ears.open(socket.AF_UNIX, udp, str(path))
        path.chmod(0o777)
        self.ears.open(socket.AF_UNIX, udp, f"\0{self.mark}")
        self.facts = {
            "host": str(self.folder),
            "marked": self.mark,
            "abstract": self.mark,
            "other": "",
            "loopback": self.ears.open(socket.AF_INET, tcp, ("127.0.0.1", 0)).getsockname(),
            "tcp4": self.ears.open(socket.AF_INET, tcp, (self.gateway, 0)).getsockname(),
            "udp4": self.ears.open(socket.AF_INET, udp, (self.gateway, 0)).getsockname(),
            "tcp6": self.ears.open(socket.AF_INET6, tcp, (six, 0)).getsockname(),
            "udp6": self.ears.open(socket.AF_INET6, udp, (six, 0)).getsockname(),
        }
        self.ears.start()

    def scene(self, attempt: Attempt) -> Scene:
        """For one attempt: fresh marks, a living victim, a clock that nobody has set."""
        if self.victim is None or self.victim.poll() is not None:
            self.victim = subprocess.Popen(["sleep", "900"])
        self.clock.was_set()
        token = "t" + secrets.token_hex(10)
        scene = Scene(token=token, secret=self.secret, facts={**self.facts, "victim": self.victim.pid}, ears=self.ears)
        scene.engine = {
            "ledger": self.ledger.read_text,
            "victim ended": self._victim_ended,
            "clock was set": self.clock.was_set,
            "climbed": lambda: any(self.folder.rglob(token)),
        }
        return scene

    def _victim_ended(self) -> bool:
        assert self.victim is not None
        return self.victim.poll() is not None

    def __exit__(self, *_: object) -> None:
        for process in (self.victim, self.marked):
            if process is not None:
                process.kill()
                process.wait()
        self.ears.close()
        self.clock.close()
        self.shared.unlink(missing_ok=True)
        os.environ.pop(SECRET_VARIABLE, None)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.api is not None:
            self.api.remove_network(self.mark)
