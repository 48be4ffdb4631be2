"""Set-up tells an engine that refuses from one that is not there, and does not trust a dead engine's files."""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rsi.errors import EngineLost
from sandboxes import image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import engine  # noqa: E402  # a script's module, beside the script

sys.path.remove(str(ROOT / "tools"))


@contextmanager
def listening(path: Path, answer: bytes) -> Iterator[str]:
    """An engine that gives one answer to whoever asks."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(1024)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"unix://{path}"
        thread.join(5)


def test_an_engine_that_answers_is_found(tmp_path: Path) -> None:
    with listening(tmp_path / "s", b"HTTP/1.0 200 OK\r\n\r\nOK") as address:
        assert engine.probe(address) is engine.State.ANSWERS


def test_an_engine_that_answers_with_an_error_does_not_count(tmp_path: Path) -> None:
    with listening(tmp_path / "s", b"HTTP/1.0 503 No\r\n\r\n") as address:
        assert engine.probe(address) is engine.State.ABSENT


def test_a_socket_without_an_engine_behind_it_is_an_absent_engine(tmp_path: Path) -> None:
    assert engine.probe(f"unix://{tmp_path / 'none'}") is engine.State.ABSENT
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(tmp_path / "dead"))
    dead.close()
    assert engine.probe(f"unix://{tmp_path / 'dead'}") is engine.State.ABSENT


def as_nobody(act: Callable[[], str]) -> str:
    """What an unprivileged user gets: permissions do not bind root."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            said = act()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write_end, said.encode())
        os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    with os.fdopen(read_end) as stream:
        return stream.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_socket_closed_to_this_user_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(tmp_path / "closed"))
    server.listen()
    (tmp_path / "closed").chmod(0o600)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'closed'}")
    with server:
        assert as_nobody(lambda: engine.probe().value) == "forbidden"
        said = as_nobody(lambda: str(image.connect()))
    assert said.startswith("EngineForbidden")
    assert "docker` group" in said


def test_no_engine_is_a_sentence_with_three_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'none'}")
    with pytest.raises(EngineLost, match=r"start Docker .* `make setup` .* `--sandbox process`"):
        image.connect()


def test_a_stale_pid_file_goes_and_a_living_engines_stays(tmp_path: Path) -> None:
    mine = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    pid_file = tmp_path / "docker.pid"
    pid_file.write_text(f"{os.getpid()}\n")
    engine.drop_stale(pid_file, mine)
    assert pid_file.exists()
    engine.drop_stale(pid_file, "dockerd")
    assert not pid_file.exists()
    engine.drop_stale(pid_file, "dockerd")
