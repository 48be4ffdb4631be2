"""Sets a bare machine up: the virtual environment, a container engine, the sandbox image, strace, a browser for tests.

Standard library only, because it runs before anything is installed. What is there already is left as it is, so that a
second call takes about a second. With `--engine-answers` it only tells, by its exit status, whether an engine does;
with `--for-tests` (as `make test` asks) Chromium is installed too, for the tests of the pages; with `--engine-required`
a missing engine is an error unless RSI_SKIP_DOCKER is set; with `--exports` (as `make test-exports` asks) only the
environment is made that also holds other tools' libraries.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # this file meets any Python, and says what is wrong with it
    sys.exit("rsi needs Python 3.11 or newer: install it, or name one with `make PYTHON=python3.12 …`.")

import concurrent.futures
import hashlib
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import engine

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "locks" / "host.lock"
EXPORTS_VENV = ROOT / ".venv-exports"
"""With the libraries of every format that `rsi export` writes, which bring half as many packages again along."""
EXPORTS_LOCK = ROOT / "locks" / "exports.lock"
BEGIN = time.monotonic()
APT = threading.Lock()
"""apt serves one caller at a time."""


class SetupFault(Exception):
    """One sentence that says what to do."""


def say(sentence: str) -> None:
    """A line of progress, with the seconds since the start."""
    print(f"  {time.monotonic() - BEGIN:5.0f} s  {sentence}", flush=True)


def state_folder() -> Path:
    """Where logs lie: the user's state folder."""
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "rsi"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def quietly(command: list[str], failure: str) -> None:
    """Run a command with its output in the log; SetupFault that names the log where it fails."""
    log = state_folder() / "setup.log"
    with log.open("ab") as stream:
        stream.write(f"$ {' '.join(command)}\n".encode())
        stream.flush()
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment, cwd=ROOT, check=False
        )
    if done.returncode:
        raise SetupFault(
            f"{failure} ({command[0]} ended with {done.returncode}); read {log}, mend it and run this again."
        )


def apt_install(*packages: str) -> None:
    """Install Debian packages; only for root."""
    with APT:
        failure = f"apt-get could not install {' '.join(packages)}"
        quietly(["apt-get", "-o", "DPkg::Lock::Timeout=300", "-qq", "update"], failure)
        quietly(["apt-get", "-o", "DPkg::Lock::Timeout=300", "-qq", "-y", "install", *packages], failure)


def may_apt() -> bool:
    """Whether this user can install Debian packages."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


# --- the virtual environment ----------------------------------------------------------------------------------------


def venv_stamp(lock: Path) -> str:
    """What the environment was made of; another value makes it again."""
    state = hashlib.sha256(sys.version.encode())
    for path in (lock, ROOT / "pyproject.toml", Path(__file__)):
        state.update(path.read_bytes())
    return state.hexdigest()


def ensure_venv(folder: Path, lock: Path) -> None:
    """An environment with what the lock names and this project, editable."""
    stamp = folder / "rsi-stamp"
    if stamp.is_file() and stamp.read_text() == venv_stamp(lock) and (folder / "bin" / "rsi").exists():
        return
    say(f"Making {folder.name} and installing the pinned dependencies …")
    python = str(folder / "bin" / "python")
    if not has_pip(python):
        make_venv(folder)
    install = [python, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    quietly([*install, "--require-hashes", "-r", str(lock)], "pip could not install the pinned dependencies")
    quietly([*install, "--no-deps", "--no-build-isolation", "-e", "."], "pip could not install this project")
    stamp.write_text(venv_stamp(lock))
    say(f"The virtual environment {folder.name} is ready.")


def has_pip(python: str) -> bool:
    """Whether that interpreter exists, is new enough and has pip."""
    probe = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def make_venv(folder: Path) -> None:
    """Debian keeps the part of Python that makes environments in a package of its own."""
    try:
        import ensurepip  # noqa: F401, PLC0415
    except ImportError as error:
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        if not may_apt():
            raise SetupFault(
                f"This Python cannot make virtual environments: `sudo apt-get install {package}`, then run this again."
            ) from error
        say(f"Installing {package} …")
        apt_install(package)
    quietly([sys.executable, "-m", "venv", "--clear", str(folder)], f"Python could not make {folder.name}")


# --- the container engine -------------------------------------------------------------------------------------------


def ensure_engine() -> str:
    """Have an engine that answers; the empty string, or the sentence that says why there is none."""
    if os.environ.get("RSI_SKIP_DOCKER"):
        return "RSI_SKIP_DOCKER is set, so no container engine is used."
    state = engine.probe()
    if state is engine.State.ANSWERS:
        return ""
    if obstacle := start_obstacle(state):
        return obstacle
    if not shutil.which("dockerd"):
        say("Installing the Docker engine …")
        apt_install("docker.io")
    say("Starting the Docker engine …")
    log = state_folder() / "dockerd.log"
    if not engine.start(log):
        return f"The Docker engine did not start: read {log}, mend it and run this again."
    say(f"The Docker engine runs, and goes on running after this; its log is {log}.")
    return ""


def start_obstacle(state: engine.State) -> str:
    """Why this user cannot start an engine here; empty where nothing stands in the way."""
    if state is engine.State.FORBIDDEN:
        return (
            "The container engine refuses this user: add yourself to the `docker` group "
            "(`sudo usermod -aG docker $USER`, then log in again) or use sudo."
        )
    if address := os.environ.get("DOCKER_HOST"):
        return f"No container engine answers at DOCKER_HOST={address}: start it or unset DOCKER_HOST."
    if os.geteuid() != 0 or not (shutil.which("dockerd") or may_apt()):
        return "No container engine answers: start Docker, or install it (`sudo make setup` does on Debian and Ubuntu)."
    return ""


def ensure_tracer() -> None:
    """strace, where this user can install it: for `rsi run --trace` and its tests, and nothing else needs it.

    So a set-up never fails for it, and asks for it once for each environment: a machine that no mirror answers shall
    not wait for one at every call.
    """
    asked = VENV / "strace-asked-for"
    if shutil.which("strace") or asked.exists() or not may_apt():
        return
    say("Installing strace, for `rsi run --trace` …")
    try:
        apt_install("strace")
    except SetupFault:
        asked.touch()
        say("strace could not be installed; all but `rsi run --trace` works without it.")


def ensure_browser() -> None:
    """Debian's Chromium, where this user can install it: for the tests of `rsi report` and `rsi view` alone.

    Like strace: asked for once for each environment, and no set-up fails for it; the tests that lack it say so, and
    where CI is set they fail.
    """
    asked = VENV / "chromium-asked-for"
    if shutil.which("chromium") or asked.exists():
        return
    if not may_apt():
        say("There is no chromium, so the tests of the pages are left out: `sudo apt-get install chromium` adds them.")
        return
    say("Installing chromium, for the tests of the pages …")
    try:
        apt_install("chromium")
    except SetupFault:
        asked.touch()
        say("chromium could not be installed; the tests of the pages are left out.")


def ensure_image() -> None:
    """Have the sandbox image; the builder prints its own progress."""
    done = subprocess.run([str(VENV / "bin" / "python"), "-m", "sandboxes.image"], cwd=ROOT, check=False)
    if done.returncode:
        raise SetupFault("The sandbox image is missing; mend what the line above says and run this again.")


def main(arguments: list[str]) -> int:
    """Everything that is missing, the independent parts at once."""
    if "--engine-answers" in arguments:
        return 0 if not os.environ.get("RSI_SKIP_DOCKER") and engine.probe() is engine.State.ANSWERS else 1
    try:
        if "--exports" in arguments:
            ensure_venv(EXPORTS_VENV, EXPORTS_LOCK)
            return 0
        with concurrent.futures.ThreadPoolExecutor() as pool:
            venv, engine_start = pool.submit(ensure_venv, VENV, LOCK), pool.submit(ensure_engine)
            venv.result()
            missing = engine_start.result()
        if "--for-tests" in arguments:
            ensure_browser()
        if not missing:
            ensure_tracer()
            ensure_image()
    except SetupFault as fault:
        print(fault, file=sys.stderr)
        return 3
    if missing:
        print(missing, file=sys.stderr)
        if "--engine-required" in arguments and not os.environ.get("RSI_SKIP_DOCKER"):
            print("The tests need it; RSI_SKIP_DOCKER=1 leaves those that do out.", file=sys.stderr)
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
