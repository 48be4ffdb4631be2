"""Looks over the machine and tells, for each thing this project needs, whether it is there and how to mend it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from rsi.errors import RsiError
from rsi.records import Record
from sandboxes import image
from sandboxes.image import recipe

if TYPE_CHECKING:
    from docker import DockerClient
    from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
GIB = 1024**3
OUR_NAMES = ("cli", "tasks", "evals", "sandboxes", "rsi")


class Check(Record):
    """One thing looked at."""

    name: str
    ok: bool
    detail: str
    """What was found."""
    mend: str = ""
    """What to do about it; empty where it is well."""
    needed: bool = True
    """Whether a run in the docker sandbox cannot do without it."""


def diagnose(*, hello: bool = True) -> tuple[Check, ...]:
    """Every check, in the order in which one would mend them.

    Args:
        hello: also start a container of the sandbox image; takes about a second.
    """
    checks = [
        _guarded("python", _python),
        _guarded("git", _git),
        _guarded("dependencies", _dependencies),
        _guarded("modules", _modules),
        _guarded("state folder", _state_folder),
        _guarded("machine", _machine),
        _guarded("disk", _disk),
        _guarded("strace", _strace),
    ]
    return (*checks, *_engine_checks(hello=hello))


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    """A check that fails in an unforeseen way is a finding of its own, and hides no other."""
    try:
        return look()
    except Exception as error:
        return Check(name=name, ok=False, detail=f"could not look: {error}"[:300], mend="Report this as a bug.")


# --- the host -------------------------------------------------------------------------------------------------------


def _python() -> Check:
    version = platform.python_version()
    good = sys.version_info >= (3, 11)  # type: ignore[comparison-overlap,unused-ignore]
    return Check(name="python", ok=good, detail=version, mend="" if good else "Install Python 3.11 or newer.")


def _git() -> Check:
    if shutil.which("git") is None:
        return Check(name="git", ok=False, detail="not found", mend="Install git (`sudo apt-get install git`).")
    done = subprocess.run(["git", "--version"], capture_output=True, text=True, timeout=20, check=False)
    good = done.returncode == 0
    detail = done.stdout.strip() or done.stderr.strip()[:200]
    return Check(name="git", ok=good, detail=detail, mend="" if good else "Install git again.")


def _strace() -> Check:
    """Only `rsi run --trace` needs it, and there the rights to follow a container's processes."""
    found = shutil.which("strace")
    if found is None:
        mend = "To use `rsi run --trace`, install it (`sudo apt-get install strace`)."
        return Check(name="strace", ok=False, detail="not found", mend=mend, needed=False)
    return Check(name="strace", ok=True, detail=found, needed=False)


def _dependencies() -> Check:
    """What this distribution asks for is installed; in a checkout, in exactly the locked versions."""
    wrong = [*_missing(), *_unlocked()]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        mend = "Run `make setup` in the checkout, or install the package again."
        return Check(name="dependencies", ok=False, detail="; ".join(wrong[:5]) + more, mend=mend)
    where = "as locked" if (ROOT / "locks" / "host.lock").exists() else "installed"
    return Check(name="dependencies", ok=True, detail=f"all {where}, in {sys.prefix}")


def _missing() -> Iterator[str]:
    for requirement in importlib.metadata.requires("rsi") or ():
        if "extra ==" in requirement:
            continue
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield f"{name} is not installed"


def _unlocked() -> Iterator[str]:
    lock = ROOT / "locks" / "host.lock"
    if not lock.exists():
        return
    for name, versions in locked_versions(lock.read_text()).items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform, or missing and named as such
        if found not in versions:
            yield f"{name} is {found}, locked is {' or '.join(sorted(versions))}"


def locked_versions(lock: str) -> dict[str, set[str]]:
    """Package → versions that a lock names; several where they depend on the Python version."""
    versions: dict[str, set[str]] = {}
    for match in re.finditer(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock, re.MULTILINE):
        versions.setdefault(match[1], set()).add(match[2])
    return versions


def _modules() -> Check:
    """`cli`, `tasks`, `evals` and `sandboxes` are common names: are those that Python finds this distribution's?"""
    strangers = [f"{name} is {origin}" for name in OUR_NAMES if not _is_ours(origin := _origin(name))]
    if strangers:
        mend = "Run from a folder without such modules, or in a virtual environment of its own."
        return Check(name="modules", ok=False, detail="; ".join(strangers), mend=mend)
    return Check(name="modules", ok=True, detail=f"from {ROOT}")


def _origin(name: str) -> str:
    spec = importlib.util.find_spec(name)
    if spec is None:
        return "missing"
    return spec.origin or next(iter(spec.submodule_search_locations or ()), "")


def _is_ours(origin: str) -> bool:
    return Path(origin).resolve().is_relative_to(ROOT)


def _state_folder() -> Check:
    """Where heads of ledgers are kept, and where runs and caches go."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "rsi"
    for folder in (state, image.cache_folder()):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            mend = "Make it writable, or name other folders in XDG_STATE_HOME and RSI_CACHE."
            return Check(name="state folder", ok=False, detail=f"{folder}: {error.strerror}", mend=mend)
    return Check(name="state folder", ok=True, detail=str(state))


def _machine() -> Check:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    good = memory >= 3.5
    mend = "" if good else "Lower `limits.train.memory_bytes` in the task, or use a machine with 4 GiB."
    return Check(name="machine", ok=good, detail=f"{cores} cores, {memory:.1f} GiB of memory", mend=mend, needed=False)


def _disk() -> Check:
    free = shutil.disk_usage(image.cache_folder()).free / GIB
    # Making the image takes 3 GiB for a while; afterwards a run of hundreds of trials needs less than one.
    good = free >= 4
    mend = "" if good else "Free some space: 4 GiB for making the image, 1 GiB for runs afterwards."
    return Check(name="disk", ok=good, detail=f"{free:.0f} GiB free", mend=mend, needed=free < 1)


# --- the engine -----------------------------------------------------------------------------------------------------


def _engine_checks(*, hello: bool) -> Iterator[Check]:
    try:
        client = image.connect()
    except RsiError as error:
        forbidden = isinstance(error, image.EngineForbidden)
        detail = "an engine is there, but refuses this user" if forbidden else "none answers"
        yield Check(name="engine", ok=False, detail=detail, mend=str(error))
        yield Check(name="image", ok=False, detail="unknown without an engine", mend="Mend the engine first.")
        return
    with closing(client):
        yield _guarded("engine", lambda: _engine(client.info(), client.version()))
        there = _guarded("image", _image)
        yield there
        if hello and there.ok:
            yield _guarded("sandbox", lambda: _hello(client))


def _engine(info: dict[str, Any], version: dict[str, Any]) -> Check:
    security = {option.split(",")[0].removeprefix("name=") for option in info.get("SecurityOptions") or ()}
    detail = (
        f"{version.get('Version')} on {info.get('OperatingSystem')}, storage {info.get('Driver')}, "
        f"cgroup v{info.get('CgroupVersion', '1')}, seccomp {'on' if 'seccomp' in security else 'off'}"
    )
    lacking = [
        word
        for word, key in (("memory", "MemoryLimit"), ("CPU", "CpuCfsQuota"), ("process", "PidsLimit"))
        if not info.get(key)
    ]
    if lacking:
        mend = (
            f"Start the engine with control groups that limit {' and '.join(lacking)} use; without, limits do not hold."
        )
        return Check(name="engine", ok=False, detail=detail, mend=mend)
    return Check(name="engine", ok=True, detail=detail)


def _image() -> Check:
    tag = recipe.wanted_tag()
    digest = image.digest(tag)
    if digest is None:
        mend = "Run `rsi image build` (or `make setup`); it takes a minute or two."
        return Check(name="image", ok=False, detail=f"{tag} is missing", mend=mend)
    return Check(name="image", ok=True, detail=f"{tag} is {digest}; no registry is needed")


def _hello(client: DockerClient) -> Check:
    """Start one container as strict as a sandbox's is, and have it import what candidates import."""
    from docker.errors import DockerException  # noqa: PLC0415

    try:
        said = client.containers.run(
            recipe.wanted_tag(),
            ["python3", "-c", "import numpy, sys; print('hello', sys.version_info[:2], numpy.__version__)"],
            remove=True,
            network_mode="none",
            read_only=True,
            user="65534:65534",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit="256m",
            pids_limit=32,
        )
    except (DockerException, RsiError) as error:
        mend = "Read the engine's log; `--sandbox process` runs without one, and isolates nothing."
        return Check(name="sandbox", ok=False, detail=str(error)[:300], mend=mend)
    return Check(name="sandbox", ok=True, detail=bytes(said).decode(errors="replace").strip())


def render(checks: tuple[Check, ...], console: Console) -> None:
    """One line a check, and below each that is not well the way to mend it."""
    for check in checks:
        mark, style = ("ok", "green") if check.ok else ("--", "red" if check.needed else "yellow")
        console.print(f"[{style}]{mark}[/] {escape(check.name):22} {escape(check.detail)}")
        if not check.ok and check.mend:
            console.print(f"   {'':22} {escape(check.mend)}", style="bold")
