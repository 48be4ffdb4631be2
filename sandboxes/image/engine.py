"""The connection to the container engine, with the reasons it can fail told apart."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rsi.errors import EngineLost, EnvironmentFault

if TYPE_CHECKING:
    from docker import DockerClient

LOCAL_SOCKET = "unix:///var/run/docker.sock"
ANSWER_SECONDS = 10.0
"""How long a healthy engine may take over a small question."""


class EngineForbidden(EnvironmentFault):
    """An engine is there, but this user may not talk to it."""


def connect(timeout: float = ANSWER_SECONDS) -> DockerClient:
    """A client of the engine that DOCKER_HOST names, of the local one otherwise; close it after use.

    Args:
        timeout: seconds that later answers may take; the first one, which shows that an engine is there, is quick.

    Raises:
        EngineForbidden: the socket is there but closed to this user.
        EngineLost: nothing answers.
    """
    where = os.environ.get("DOCKER_HOST") or LOCAL_SOCKET
    try:
        # Asked first by hand: the client wraps a refusal three deep, and leaves its socket open.
        reach(where)
        return _client(timeout)
    except PermissionError as error:
        raise EngineForbidden(
            f"The container engine at {where} refuses this user: add yourself to the `docker` group "
            "(`sudo usermod -aG docker $USER`, then log in again) or use sudo."
        ) from error
    except OSError as error:
        raise EngineLost(
            f"No container engine answers at {where}: start Docker (`sudo systemctl start docker`), "
            "or run `make setup` as root to install one, or choose `--sandbox process`."
        ) from error


def reach(address: str) -> None:
    """Return where a local socket accepts; OSError, PermissionError among them, where it does not."""
    url = urlsplit(address)
    if url.scheme == "unix":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(url.path)


def _client(timeout: float) -> DockerClient:
    import docker  # noqa: PLC0415  # takes 0.3 s: only for those who need an engine
    from docker.errors import DockerException  # noqa: PLC0415

    try:
        client = docker.from_env(timeout=int(ANSWER_SECONDS))
        client.ping()
    except DockerException as error:
        raise OSError(str(error)) from error
    client.api.timeout = int(timeout)
    return client
