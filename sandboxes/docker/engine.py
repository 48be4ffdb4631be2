"""The connection to a Docker engine: made when first needed, its failures told apart in one place."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

from rsi.errors import EngineLost, EnvironmentFault
from sandboxes.docker import fit, policy
from sandboxes.place import Gone

QUICK_SECONDS = 5
PATIENT_SECONDS = 60
CONNECTIONS = 32
"""Kept open to the engine: several executions, each polling, beside cells being made and removed."""


ANY_HARDWARE = fit.Hardware()


class Engine:
    """An engine that answers, with the image that cells are made from. Safe to use from several threads."""

    def __init__(self, image: str, hardware: fit.Hardware = ANY_HARDWARE) -> None:
        self.image = image
        self.hardware = hardware
        self._lock = threading.Lock()
        self._clients: list[Any] = []
        self.information: dict[str, Any] = {}
        self.version = ""
        self.image_digest = ""

    def connect(self) -> None:
        """EnvironmentFault with what to do, unless an engine answers that can keep the policy and has the image."""
        with self._lock:
            if self._clients:
                return
            import docker  # noqa: PLC0415 - 0.3 s that only those who use an engine pay
            from docker.constants import DEFAULT_UNIX_SOCKET  # noqa: PLC0415

            clients: list[Any] = []
            try:
                _knock(os.environ.get("DOCKER_HOST") or DEFAULT_UNIX_SOCKET.removeprefix("http+"))
                for timeout in (PATIENT_SECONDS, QUICK_SECONDS):
                    client = docker.from_env(timeout=timeout, max_pool_size=CONNECTIONS)
                    clients.append(client)
                spoken = clients[0].api.version()
                fit.require_recent(str(spoken.get("ApiVersion", "")))
                information = clients[0].api.info()
                policy.check_engine(information)
                image = self._find_image(clients[0])
                fit.require_runnable(clients[0].api, image, information, self.hardware, policy.probe_options())
                self.version, self.image_digest = str(spoken["Version"]), str(image["Id"])
            except docker.errors.InvalidVersion:
                raise fit.too_old("") from None
            except (docker.errors.DockerException, OSError) as error:
                for client in clients:
                    client.close()
                raise _no_engine(error) from None
            except EnvironmentFault:
                for client in clients:
                    client.close()
                raise
            self.information = information
            self._clients = clients

    def check(self) -> None:
        """Ask the engine now: EngineLost where it no longer answers, EnvironmentFault where it lost the image."""
        self.connect()
        with translated():
            self.quick.ping()
        self.require_image()

    def require_image(self) -> None:
        """EnvironmentFault unless the very image that was found when the connection was made is still there."""
        try:
            with translated():
                self.quick.inspect_image(self.image_digest)
        except Gone:
            raise EnvironmentFault(_no_image(self.image_digest)) from None

    def _find_image(self, client: Any) -> dict[str, Any]:
        import docker  # noqa: PLC0415

        try:
            return dict(client.api.inspect_image(self.image))
        except docker.errors.ImageNotFound:
            raise EnvironmentFault(_no_image(self.image)) from None

    @property
    def api(self) -> Any:
        """The low-level client, patient: for making and removing."""
        return self._clients[0].api

    @property
    def quick(self) -> Any:
        """The low-level client, impatient: for what stands between a program and its deadline."""
        return self._clients[1].api

    @property
    def swap_is_limited(self) -> bool:
        """Whether the engine's machine can limit swap; where it cannot, memory alone is limited."""
        return self.information.get("SwapLimit") is not False

    @property
    def users(self) -> range:
        """User ids that a container may have: fewer where the engine itself maps them."""
        options = self.information.get("SecurityOptions") or []
        mapped = any(text.startswith(("name=userns", "name=rootless")) for text in options)
        return range(1000, 60000) if mapped else range(100_000, 2_000_000_000)

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            clients, self._clients = self._clients, []
        for client in clients:
            client.close()


def _knock(host: str) -> None:
    """OSError where no one listens at a local socket; the client itself would leave its own socket open."""
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as visitor:
            visitor.settimeout(QUICK_SECONDS)
            visitor.connect(host.removeprefix("unix://"))


def _no_image(name: str) -> str:
    if name.startswith("sha256:"):
        return (
            f"The engine has no image {name}, in which this run's scores were measured; load a copy of it "
            "(`rsi image load`) or build it again with `rsi image build`, then resume, or name another with "
            "`rsi resume RUN --image`."
        )
    return (
        f"The engine has no image {name}; run `make setup` or `rsi image build` to make it, or bring it with "
        "`rsi image load`."
    )


def _no_engine(error: Exception) -> EnvironmentFault:
    if "Permission denied" in str(error) or "PermissionError" in str(error):
        return EnvironmentFault("You may not use the Docker engine's socket; join the group `docker` or run as root.")
    return EngineLost("No Docker engine answers; start one (`dockerd`), set DOCKER_HOST, or see `rsi doctor`.")


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn the client's exceptions into ours: `Gone`, `EngineLost`, or `EnvironmentFault` for what it refuses."""
    import docker  # noqa: PLC0415
    import requests  # noqa: PLC0415
    import urllib3  # noqa: PLC0415

    try:
        yield
    except docker.errors.NotFound as error:
        raise Gone(str(error.explanation or error)) from None
    except docker.errors.APIError as error:
        sentence = str(error.explanation or error).strip().rstrip(".")
        if error.is_server_error():
            raise EngineLost(f"The Docker engine failed ({sentence}); look at its log, then resume.") from None
        if "no such container" in sentence.lower() or "is not running" in sentence:
            raise Gone(sentence) from None
        raise EnvironmentFault(f"The Docker engine refused ({sentence}); see `rsi doctor`.") from None
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise EngineLost(
            f"The Docker engine stopped answering ({type(error).__name__}); start it again, then resume."
        ) from None
