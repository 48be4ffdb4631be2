"""The protections, as a policy: what every container is asked for, and the check that the engine obeyed."""

from __future__ import annotations

from typing import Any

from rsi.errors import EnvironmentFault
from rsi.execution import MIB, Limits, Shape
from rsi.records import Record
from sandboxes.docker.fit import Hardware
from sandboxes.invocation import Folders, base_environment

FOLDERS = Folders(inputs="/in", outputs="/out", scratch="/tmp")  # noqa: S108 - a private tmpfs of the container
WRITABLE = (FOLDERS.outputs, FOLDERS.scratch, "/dev/shm")  # noqa: S108
"""All that a program can write to; each is a file system of its own, in memory."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PYTHON_PATH = "/opt/rsi:/opt/rsi/site-packages"
LIBRARIES = ("/usr/", "/lib/", "/lib64/", "/bin/", "/sbin/", "/opt/rsi/", "/etc/ld.so.cache/")
"""What of the image's read-only root every program is expected to read."""
INPUT_BYTES = 2048 * MIB
INPUT_INODES = 65536
SCRATCH_BYTES = 64 * MIB
SHARED_MEMORY_BYTES = 64 * MIB
HOLDER_MEMORY_BYTES = 64 * MIB
HOLDER_USER = "65534:65534"
LAUNCH_PROCESSES = 64
"""The engine's launcher starts inside the container's own groups and dies, now and then, of fewer threads."""
LEASE_LABEL = "rsi.lease"
"""On a holder: the cell lives as long as this container does."""
CPU_SHARES, WARMING_CPU_SHARES = 1024, 128
"""Where processors are contended, a running program gets eight times as much as a place that is made ahead of need."""
SAFE_MOUNT = "noexec,nosuid,nodev"

PROTECTIONS = {
    "network": "none",
    "capabilities": "all dropped",
    "privileges": "no-new-privileges, default seccomp filter",
    "user": "unprivileged, a different one for every living container",
    "root": "read-only",
    "volumes": "inputs read-only; outputs and scratch in memory, capped in bytes and inodes, noexec, nosuid, nodev",
    "limits": "memory with swap, CPUs, processes, open files, file size, no core files; CPU and wall time from outside",
    "environment": "a fixed list",
    "containers": "single use, logging off",
}
"""For a reader: what `worker_options` asks for."""


class CellPlan(Record):
    """Names and numbers of one cell, drawn before anything is made."""

    name: str
    image: str
    user: int
    shape: Shape
    labels: dict[str, str]
    hardware: Hardware = Hardware()

    @property
    def inputs_volume(self) -> str:
        """The volume that the worker sees at /in."""
        return f"{self.name}-in"

    @property
    def outputs_volume(self) -> str:
        """The volume that the worker sees at /out."""
        return f"{self.name}-out"

    @property
    def environment(self) -> dict[str, str]:
        """All that the worker's environment holds."""
        return base_environment(self.shape, FOLDERS, path=PATH, python_path=PYTHON_PATH)

    def adapt_worker(self, options: dict[str, Any]) -> dict[str, Any]:
        """What the worker's container is made and checked with: the policy. The escape suite's own plans override it.

        A plan is drawn in code, never from a configuration, so that nothing a run names can weaken its container.
        """
        return options

    def adapt_volume(self, options: dict[str, Any]) -> dict[str, Any]:
        """What a volume is made with; overridden as `adapt_worker` is."""
        return options


def input_volume(plan: CellPlan) -> dict[str, Any]:
    """A tmpfs that root fills through the holder and the worker can only read."""
    return _volume(plan.inputs_volume, plan, f"size={INPUT_BYTES},nr_inodes={INPUT_INODES},mode=0755")


def output_volume(plan: CellPlan) -> dict[str, Any]:
    """A tmpfs that only the worker's user can write, capped as the limits say."""
    limits = plan.shape.limits
    options = f"size={limits.disk_bytes},nr_inodes={limits.inodes},mode=0700,uid={plan.user},gid={plan.user}"
    return _volume(plan.outputs_volume, plan, options)


def _volume(name: str, plan: CellPlan, options: str) -> dict[str, Any]:
    mount = {"type": "tmpfs", "device": "tmpfs", "o": f"{options},{SAFE_MOUNT}"}
    return plan.adapt_volume({"Name": name, "Driver": "local", "DriverOpts": mount, "Labels": plan.labels})


def probe_options() -> dict[str, Any]:
    """Of a container that only shows whether one starts."""
    return _locked_down(memory=256 * MIB, cpus=0.5, processes=LAUNCH_PROCESSES)


def holder_options(plan: CellPlan) -> dict[str, Any]:
    """The trusted container that keeps the volumes mounted, takes the inputs and gives the outputs; it does nothing.

    It is also the lease: it lives exactly as long as its owner holds its standard input open, on whichever machine and
    in whichever namespace that owner is. A cell whose holder has ended has no owner.
    """
    host = _locked_down(memory=HOLDER_MEMORY_BYTES, cpus=0.1, processes=LAUNCH_PROCESSES)
    host["Mounts"] = [
        _mount(plan.inputs_volume, FOLDERS.inputs, read_only=False),
        _mount(plan.outputs_volume, FOLDERS.outputs, read_only=True),
    ]
    return {
        "Image": plan.image,
        "Entrypoint": ["cat"],
        "User": HOLDER_USER,
        "Labels": {**plan.labels, LEASE_LABEL: "stdin"},
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "Healthcheck": {"Test": ["NONE"]},
        "NetworkDisabled": True,
        "HostConfig": host,
    }


def worker_options(plan: CellPlan) -> dict[str, Any]:
    """The container that runs hostile code."""
    limits = plan.shape.limits
    host = _locked_down(memory=limits.memory_bytes, cpus=limits.cpus, processes=process_limit(plan))
    host["Ulimits"] += [_ulimit("nofile", limits.open_files), _ulimit("fsize", limits.disk_bytes)]
    host["CpuShares"] = CPU_SHARES
    host["ShmSize"] = SHARED_MEMORY_BYTES
    host |= plan.hardware.host_options()
    host["OomScoreAdj"] = 500  # a machine short of memory ends the candidate before the engine
    host["Tmpfs"] = {FOLDERS.scratch: _scratch_mount(limits, plan.user)}
    host["Mounts"] = [
        _mount(plan.inputs_volume, FOLDERS.inputs, read_only=True),
        _mount(plan.outputs_volume, FOLDERS.outputs, read_only=False),
    ]
    options = {
        "Image": plan.image,
        "Entrypoint": ["python3", "-s", "-P", "-m", "guest.worker", *plan.shape.imports],
        "User": f"{plan.user}:{plan.user}",
        "Env": [f"{name}={value}" for name, value in plan.environment.items()],
        "WorkingDir": FOLDERS.scratch,
        "Hostname": "sandbox",
        "Labels": plan.labels,
        "Healthcheck": {"Test": ["NONE"]},
        "NetworkDisabled": True,
        "OpenStdin": True,
        "StdinOnce": True,  # when we are gone, the worker's input closes and it ends by itself
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "HostConfig": host,
    }
    return plan.adapt_worker(options)


def launch_options(plan: CellPlan, *, ahead: bool) -> dict[str, Any]:
    """What the worker's container is made with; what differs becomes the policy's once its imports are done.

    Args:
        plan: the cell's.
        ahead: nobody waits for it yet.
    """
    options = worker_options(plan)
    host = options["HostConfig"]
    launch = {"PidsLimit": max(host["PidsLimit"], LAUNCH_PROCESSES)}
    if ahead:
        launch["CpuShares"] = WARMING_CPU_SHARES
    return {**options, "HostConfig": {**host, **launch}}


def process_limit(plan: CellPlan) -> int:
    """One process more than the limit: the worker, which is process 1 and waits."""
    return plan.shape.limits.processes + 1


def _locked_down(*, memory: int, cpus: float, processes: int) -> dict[str, Any]:
    return {
        "NetworkMode": "none",
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": True,
        "Privileged": False,
        "Memory": memory,
        "MemorySwap": memory,
        "NanoCpus": round(cpus * 1e9),
        "PidsLimit": processes,
        "Ulimits": [_ulimit("core", 0)],
        "LogConfig": {"Type": "none", "Config": {}},
        "IpcMode": "private",
        "Init": False,
        "AutoRemove": False,
        "RestartPolicy": {"Name": "no"},
    }


def _mount(volume: str, target: str, *, read_only: bool) -> dict[str, Any]:
    options = {"NoCopy": True}
    return {"Type": "volume", "Source": volume, "Target": target, "ReadOnly": read_only, "VolumeOptions": options}


def _scratch_mount(limits: Limits, user: int) -> str:
    size = min(limits.disk_bytes, SCRATCH_BYTES)
    return f"size={size},nr_inodes={limits.inodes},mode=0700,uid={user},gid={user},{SAFE_MOUNT}"


def _ulimit(name: str, value: int) -> dict[str, Any]:
    return {"Name": name, "Soft": value, "Hard": value}


def check_engine(information: dict[str, Any]) -> None:
    """EnvironmentFault unless the engine can keep what the policy asks for."""
    if information.get("OSType", "linux") != "linux":
        raise EnvironmentFault("This engine runs no Linux containers; switch it to Linux containers.")
    # A profile of the user's own or none at all: neither is the policy. The default shows as builtin, or as `default`.
    filters = [text for text in information.get("SecurityOptions") or [] if text.startswith("name=seccomp")]
    if not filters or "unconfined" in filters[0]:
        raise EnvironmentFault("This engine runs without its seccomp filter; start it with the default profile.")
    for limit in ("MemoryLimit", "PidsLimit", "CpuCfsQuota"):
        if information.get(limit) is False:
            raise EnvironmentFault(f"This engine cannot enforce {limit}; enable that control group on its machine.")


def check_worker(found: dict[str, Any], plan: CellPlan, *, swap_is_limited: bool) -> None:
    """EnvironmentFault unless the running container is what was asked for, in every point of the policy."""
    asked = worker_options(plan)
    expected: dict[str, Any] = dict(asked.pop("HostConfig"))
    host, config = found["HostConfig"], found["Config"]
    wrong = [name for name, value in expected.items() if name not in CHECKED_APART and host.get(name) != value]
    wrong += [name for name in ("User", "Entrypoint", "WorkingDir") if config.get(name) != asked[name]]
    wrong += [name for name in MUST_BE_EMPTY if host.get(name) and name not in expected]
    if not set(asked["Env"]) <= set(config.get("Env") or []):
        wrong.append("Env")
    if host.get("MemorySwap") != expected["MemorySwap"] and swap_is_limited:
        wrong.append("MemorySwap")
    if _requests(host) != _requests(expected):
        wrong.append("DeviceRequests")
    if _security(host) != _security(expected):
        wrong.append("SecurityOpt")
    if host["LogConfig"].get("Type") != expected["LogConfig"]["Type"]:
        wrong.append("LogConfig")
    if (host.get("RestartPolicy") or {}).get("Name") not in ("", "no"):
        wrong.append("RestartPolicy")
    if _ulimits(host) != _ulimits(expected):
        wrong.append("Ulimits")
    mounts = {(mount.get("Name") or mount["Source"], mount["Destination"], mount["RW"]) for mount in found["Mounts"]}
    if mounts != {(m["Source"], m["Target"], not m["ReadOnly"]) for m in expected["Mounts"]}:
        wrong.append("Mounts")
    if set(found["NetworkSettings"].get("Networks") or {}) - {expected["NetworkMode"]}:
        wrong.append("Networks")
    if wrong:
        raise EnvironmentFault(
            f"The engine started a container that differs from the policy in {', '.join(sorted(set(wrong)))}; "
            "nothing was run in it; look at the engine's defaults."
        )


CHANGED_ONCE_WARM = ("PidsLimit", "CpuShares")
"""In which `launch_options` differs; nothing of a candidate's runs before they are what the policy says."""
CHECKED_APART = ("DeviceRequests", "MemorySwap", "SecurityOpt", "LogConfig", "Ulimits", "Mounts", "RestartPolicy")
"""Engines give these back in other words or another order."""
MUST_BE_EMPTY = ("CapAdd", "Binds", "Devices", "DeviceRequests", "GroupAdd", "PidMode", "UTSMode", "VolumesFrom")


def _requests(host: dict[str, Any]) -> list[dict[str, Any]]:
    """What was asked of devices, without the ways of saying nothing."""
    return [{key: value for key, value in request.items() if value} for request in host.get("DeviceRequests") or []]


def _ulimits(host: dict[str, Any]) -> set[tuple[str, int, int]]:
    return {(limit["Name"], limit["Soft"], limit["Hard"]) for limit in host.get("Ulimits") or []}


def _security(host: dict[str, Any]) -> set[str]:
    """Whether new privileges are ruled out, and whatever was switched off."""
    texts = [text.replace("=", ":") for text in host.get("SecurityOpt") or []]
    ruled_out = {"no-new-privileges"} if {"no-new-privileges", "no-new-privileges:true"} & set(texts) else set()
    return ruled_out | {text for text in texts if "unconfined" in text}
