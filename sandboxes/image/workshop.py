"""A helper container in which parts of an image are made with the image's own programs; gone when it is done."""

from __future__ import annotations

import contextlib
import secrets
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from rsi.errors import EnvironmentFault
from sandboxes.docker import owner
from sandboxes.image import archive

if TYPE_CHECKING:
    from docker import DockerClient

TOLD = 300
"""Characters of a failed command's output that a sentence repeats; all of it is in the log."""


class Workshop:
    """Runs what this project and Debian wrote, never a candidate's code; has no network unless it needs one."""

    def __init__(self, client: DockerClient, image: str, log: Path, *, network: str = "none") -> None:
        self._api = client.api
        self._log = log
        identity = secrets.token_hex(6)
        self._container = self._api.create_container(
            image,
            entrypoint=["sleep", "infinity"],
            name=f"rsi-build-{identity}",
            # A killed build's container goes the way a killed run's do: by its owner.
            labels={owner.OWNER_LABEL: owner.this_process(), owner.CELL_LABEL: identity},
            host_config=self._api.create_host_config(network_mode=network, auto_remove=False),
        )["Id"]

    def __enter__(self) -> Self:
        try:
            self._api.start(self._container)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the container."""
        from docker.errors import DockerException  # noqa: PLC0415

        with contextlib.suppress(DockerException):
            self._api.remove_container(self._container, force=True)

    def put(self, entries: Iterable[archive.Entry]) -> None:
        """Place files, by their names from the root on."""
        self._api.put_archive(self._container, "/", cast(bytes, archive.stream(entries)))

    def run(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
        """Standard output of a command; EnvironmentFault with the end of what it said where it fails."""
        order = self._api.exec_create(
            self._container, list(command), environment=dict(environment or {}), user="0", workdir="/"
        )
        output, errors = self._api.exec_start(order["Id"], demux=True)
        said = [(part or b"").decode("utf-8", "replace") for part in (output, errors)]
        with self._log.open("a", encoding="utf-8") as stream:
            stream.write(f"$ {' '.join(command)[:1000]}\n{said[0]}{said[1]}")
        status: dict[str, Any] = self._api.exec_inspect(order["Id"])
        if status["ExitCode"]:
            reason = " ".join((said[1].strip() or said[0].strip()).split())[-TOLD:]
            raise EnvironmentFault(f"{command[0]} failed while the image was made ({reason}); {self._log} tells more.")
        return said[0]

    @contextlib.contextmanager
    def take(self, folder: str, scratch: Path) -> Iterator[list[archive.Entry]]:
        """What lies below a folder of the container, by names relative to it; readable inside the `with`."""
        copy = scratch / f"taken-{secrets.token_hex(4)}.tar"
        stream, _ = self._api.get_archive(self._container, f"{folder}/.")
        with copy.open("wb") as sink:
            for block in stream:
                sink.write(block)
        with tarfile.open(copy) as tar:
            yield [entry for entry in archive.of_archive(tar) if entry.name != "."]
        copy.unlink()
