"""Runs made by the real loop on the fakes, once a session; tests that alter one take a copy."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console

import cli
import rsi.testing.fake_proposer
import rsi.testing.fake_sandbox
import rsi.testing.fake_verifier
from rsi import runs
from rsi.configuration import Budget, Component, Retention, RunConfiguration
from rsi.recorder import Listener
from rsi.session import start
from rsi.testing.fake_sandbox import write_fake_task

SANDBOX = f"{rsi.testing.fake_sandbox.__file__}:FakeSandbox"
VERIFIER = f"{rsi.testing.fake_verifier.__file__}:FakeVerifier"
PROPOSER = f"{rsi.testing.fake_proposer.__file__}:FakeProposer"

MakeRun = Callable[..., Path]

PATCHES = (
    ("VALUE = 1.0", "VALUE = 2.0", "Raise VALUE: closer"),
    ("VALUE = 1.0", "VALUE = 0.5", "does not apply any more"),
    ("VALUE = 2.0", "VALUE = 9.0", "Raise VALUE: too far"),
    ("VALUE = 2.0", "VALUE = 2.5  # \nX = 1  # fake: crash", "Crash it"),
    ("VALUE = 2.0", "VALUE = 2.8\nY = 1  # fake: peek", "Peek at the answer"),
    ("VALUE = 2.0", "VALUE = 2.9", "Raise VALUE: nearly there"),
)
"""Kept, refused, discarded, crashed, rejected, kept."""


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RSI_STATE", str(tmp_path_factory.mktemp("state")))
        patch.setenv("RSI_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def make_run(
    folder: Path,
    patches: Sequence[tuple[str, str, str]] = PATCHES,
    *,
    confirm: int = 0,
    listeners: Sequence[Listener] = (),
    policy: str = "greedy",
    artifacts: int = 20,
    code: int = 0,
) -> Path:
    """A run of the loop over a fake task that replays these replacements and ends with that exit code; its folder."""
    task = write_fake_task(folder / "task", 1.0, VERIFIER)
    source = folder / "patches"
    source.mkdir()
    for number, (old, new, words) in enumerate(patches, start=1):
        lines = [f"# {line}" for line in words.splitlines()]
        added = [f"+{line}" for line in new.splitlines()]
        hunk = [f"@@ -1,1 +1,{len(added)} @@", f"-{old}", *added]
        text = "\n".join([*lines, "--- a/train.py", "+++ b/train.py", *hunk]) + "\n"
        (source / f"{number:03}.patch").write_text(text, encoding="utf-8")
    configuration = RunConfiguration(
        task=str(task),
        proposer=Component(name="replay", options={"source": str(source)}),
        policy=Component(name=policy),
        sandbox=Component(name=SANDBOX, options={"noise": 0.01}),
        verifier=Component(name=VERIFIER),
        budget=Budget(experiments=len(patches) or 1),
        confirm=confirm,
        retention=Retention(artifacts=artifacts),
    )
    with start(configuration, lambda _sentence: None, root=folder / "runs") as session:
        assert session.go(list(listeners)) == code
        return session.run.folder


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with one of each outcome and a confirmation; not to be changed."""
    return make_run(tmp_path_factory.mktemp("pristine"), confirm=3)


@pytest.fixture
def run_folder(pristine: Path, tmp_path: Path) -> Path:
    """A copy of it that may be changed."""
    return Path(shutil.copytree(pristine, tmp_path / pristine.name))


@pytest.fixture
def run(pristine: Path) -> runs.ReadRun:
    """The same, read."""
    return runs.read(pristine)


@pytest.fixture
def console() -> Console:
    """A terminal of 100 columns that keeps what is written to it."""
    kept = io.StringIO()
    return Console(file=kept, width=100, height=40, force_terminal=True, color_system="standard", no_color=False)


@pytest.fixture
def pipe() -> Console:
    """What a pipe gets."""
    return Console(file=io.StringIO(), width=100, force_terminal=False, soft_wrap=True)


def written(console: Console) -> str:
    """What was written to such a console."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


class Done(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


Rsi = Callable[..., Done]


@pytest.fixture
def rsi(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rsi:
    """The program itself, in this process: `rsi("log", folder)`."""

    def call(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["rsi", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, gone after each module: other tests look for processes that are left. See `browsing`."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    program = shutil.which("chromium")
    if program is None and not os.environ.get("CI"):
        pytest.skip("there is no chromium; `make test` installs it for root on Debian and Ubuntu")
    assert program is not None, "there is no chromium, and in CI nothing of the pages goes untested: install it"
    # Whatever slips through our own fences: the browser can reach nothing but this machine's loopback.
    arguments = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-background-networking"]
    arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()
