"""Whether an engine can run our containers at all, from this image and on this hardware: asked before anything runs."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Mapping
from typing import Any

from rsi.errors import EnvironmentFault, UsageError
from rsi.records import Record
from sandboxes.docker import owner

OLDEST_API = (1, 41)
"""Docker Engine 20.10, the first that tells a container's usage at once (`one-shot`)."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
"""The engine's word for its machine → the word in an image."""
RUNTIME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
GPUS = re.compile(r"all|[1-9][0-9]?|device=[A-Za-z0-9-]+(?:,[A-Za-z0-9-]+)*")


class Hardware(Record):
    """What a worker's container runs on, beside the engine's own choice; a part of the policy, and checked like it."""

    runtime: str = ""
    """A runtime that the engine knows (`runsc`); empty for the engine's default."""
    gpus: str = ""
    """`all`, a number, or `device=0,1`; empty for none."""

    @property
    def chosen(self) -> bool:
        """Whether anything was asked for."""
        return bool(self.runtime or self.gpus)

    def host_options(self) -> dict[str, Any]:
        """As the engine is asked; nothing where nothing was chosen."""
        options: dict[str, Any] = {"Runtime": self.runtime} if self.runtime else {}
        if self.gpus:
            named = self.gpus.removeprefix("device=").split(",") if self.gpus.startswith("device=") else []
            count = 0 if named else -1 if self.gpus == "all" else int(self.gpus)
            request = {"Driver": "", "Count": count, "DeviceIDs": named, "Capabilities": [["gpu"]], "Options": {}}
            options["DeviceRequests"] = [request]
        return options


def hardware(runtime: str, gpus: str) -> Hardware:
    """What the user asked for; UsageError where it names nothing that could be."""
    if runtime and not RUNTIME.fullmatch(runtime):
        raise UsageError(f"--runtime {runtime!r} is no runtime's name; `docker info` lists those of this engine.")
    if gpus and not GPUS.fullmatch(gpus):
        raise UsageError(f"--gpus {gpus!r} is not understood; say all, a number, or device=0,1.")
    return Hardware(runtime=runtime, gpus=gpus)


def too_old(version: str) -> EnvironmentFault:
    """The sentence for an engine that lacks what is used."""
    oldest = ".".join(map(str, OLDEST_API))
    return EnvironmentFault(
        f"This Docker engine speaks version {version or 'unknown'} of its API, and {oldest} is needed: install Docker "
        "Engine 20.10 or newer."
    )


def require_recent(version: str) -> None:
    """EnvironmentFault for an engine whose API is older than what is used."""
    if not re.fullmatch(r"\d+\.\d+", version) or tuple(map(int, version.split("."))) < OLDEST_API:
        raise too_old(version)


def require_runtime(wanted: Hardware, information: Mapping[str, Any]) -> None:
    """EnvironmentFault that lists the engine's runtimes, where it does not know the one that was asked for."""
    known = sorted(information.get("Runtimes") or {})
    if wanted.runtime and wanted.runtime not in known:
        raise EnvironmentFault(
            f"This engine knows no runtime {wanted.runtime!r}, only {', '.join(known)}; name one of these, or register "
            "it in the engine's daemon.json."
        )


def require_runnable(
    api: Any, image: Mapping[str, Any], information: Mapping[str, Any], wanted: Hardware, host: dict[str, Any]
) -> None:
    """EnvironmentFault where a container of this image would not start on this machine and hardware.

    Started, and not guessed: an image for another processor may run by emulation, and what devices an engine can give
    is known only once it is asked to. Where nothing is unusual, nothing is started.

    Args:
        api: the engine's low-level client.
        image: what the engine tells of the image.
        information: what the engine tells of itself.
        wanted: the hardware asked for.
        host: the host options of a container that is locked down.
    """
    require_runtime(wanted, information)
    machine = ARCHITECTURES.get(str(information.get("Architecture")), str(information.get("Architecture")))
    foreign = image.get("Architecture") not in (machine, None, "")
    if not (foreign or wanted.chosen):
        return
    reason = _why_not(api, {**_probe(str(image["Id"])), "HostConfig": {**host, **wanted.host_options()}})
    if not reason:
        return
    if foreign:
        raise EnvironmentFault(
            f"The image is made for {image.get('Architecture')}, and this engine's machine, which is {machine}, cannot "
            f"run it ({reason}); build it here with `rsi image build`, or load one that is made for {machine}."
        )
    asked = " and ".join(f"--{name} {value}" for name, value in wanted if value)
    known = ", ".join(sorted(information.get("Runtimes") or {}))
    raise EnvironmentFault(
        f"This engine cannot start a container with {asked} ({reason}); its runtimes are {known}. "
        "Leave the option out, or set the engine up for it."
    )


def _probe(image: str) -> dict[str, Any]:
    labels = {owner.OWNER_LABEL: owner.this_process(), owner.CELL_LABEL: f"probe-{secrets.token_hex(4)}"}
    entry = ["python3", "-c", ""]
    return {"Image": image, "Entrypoint": entry, "User": "65534:65534", "NetworkDisabled": True, "Labels": labels}


def _why_not(api: Any, options: dict[str, Any]) -> str:
    """Why such a container does not run, in the engine's words; empty where it does."""
    from docker.errors import APIError  # noqa: PLC0415

    container = ""
    try:
        container = api.create_container_from_config(options)["Id"]
        api.start(container)
        status = api.wait(container, timeout=60)["StatusCode"]
    except APIError as error:
        return str(error.explanation or error).strip().rstrip(".")[:300]
    finally:
        with contextlib.suppress(APIError):
            if container:
                api.remove_container(container, force=True)
    return f"its interpreter ends with exit code {status}" if status else ""
