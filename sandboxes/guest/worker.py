r"""The first process of a sandbox: imports ahead, waits for one line, runs one program in a child, says how it ended.

It speaks with the host over its three standard streams:

- stderr, `\x1eready {"error": …}` and a newline, once the modules named on the command line are imported;
- stdin, one line of JSON: `argv`, `environment` (all of it), `inputs`, `outputs`, `scratch`, `nonce`, `word`;
- stderr, lines that begin with `\x1e<word>`, from `guest.observer`, while the program runs;
- stdout, `\x1e<nonce> ` and a newline: nothing more comes on it, for no other process is left; as process 1 only;
- stderr, `\x1e<nonce> {"exit_code": …, "signal": …, "fault": …, "disk_full": …}` and a newline, the last of all.

After that it waits until its standard input closes, so that the host can still read what its control group used.
The program can forge the last line; it gains what ending early gains. Standard library only.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import sys
import threading
import traceback
from types import TracebackType
from typing import Any

from .observer import observe

PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
REPORT_BYTES = 2048
"""Below the size that a pipe takes in one piece, so that reporting never blocks."""


def main(modules: list[str]) -> None:
    """Warm up, run one program, report, wait for the end."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # where we are not process 1: orphans of the program stay below us
    _prctl(PR_SET_DUMPABLE, 0)  # the program has our user id: keep it from reading or tracing this process
    _say(b"\x1eready " + json.dumps({"error": _import_ahead(modules)}).encode() + b"\n")
    line = sys.stdin.buffer.readline()
    if not line:
        return
    order = json.loads(line)
    gc.freeze()
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        os._exit(_run_and_report(order, writable))
    os.close(writable)
    status = _reap_until(child)
    if os.getpid() == 1:
        _end_all_others()
    report = {
        "exit_code": os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else None,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
        "fault": _read_report(readable),
        "disk_full": any(_is_full(order[folder]) for folder in ("outputs", "scratch")),
    }
    if os.getpid() == 1:
        _say(f"\x1e{order['nonce']} \n".encode(), stream=1)
    _say(f"\x1e{order['nonce']} {json.dumps(report)}\n".encode())
    sys.stdin.buffer.read()


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # absent outside Linux, where only the process sandbox runs
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _import_ahead(modules: list[str]) -> str | None:
    gc.disable()  # what an import makes stays: looking for garbage among it takes a tenth of the time
    try:
        return _import_each(modules)
    finally:
        gc.enable()


def _import_each(modules: list[str]) -> str | None:
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever an import raises is told to the host, which decides
            return f"{module}: {type(error).__name__}: {error}"[:500]
    return None


def _run_and_report(order: dict[str, Any], report: int) -> int:
    """In the child: become the program. Returns its exit code."""
    os.setsid()
    _prctl(PR_SET_DUMPABLE, 1)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - earliest moments of the child
        score.write("1000")  # short of memory, the program goes first and this worker lives to tell
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["scratch"])
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a person may be watching
    end_watch = observe(order["word"], order["inputs"], order["outputs"], order["scratch"])
    try:
        try:
            _run_program(order["argv"], order["inputs"])
        finally:
            _finish_interpreter()
            end_watch()
    except SystemExit as leaving:
        return _exit_code(leaving)
    except BaseException as error:
        _show(error)
        os.write(report, json.dumps(_fault(error, order["inputs"])).encode()[:REPORT_BYTES])
        return 1
    return 0


def _run_program(argv: list[str], inputs: str) -> None:
    if argv[0] == "-m":
        sys.argv = argv[1:]
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
        return
    script = os.path.join(inputs, argv[0])  # noqa: PTH118 - pathlib is not needed to start a program
    sys.argv = [script, *argv[1:]]
    sys.path.insert(0, os.path.dirname(script))  # noqa: PTH120
    runpy.run_path(script, run_name="__main__")


def _finish_interpreter() -> None:
    """What a normal exit does, short of taking every module apart: a third of a second where torch is loaded."""
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - there is no public name for joining all
    atexit._run_exitfuncs()  # noqa: SLF001
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # the program may have closed or replaced them
            stream.flush()


def _exit_code(leaving: SystemExit) -> int:
    if leaving.code is None:
        return 0
    if isinstance(leaving.code, int):
        return leaving.code & 0xFF
    with contextlib.suppress(Exception):
        print(leaving.code, file=sys.stderr, flush=True)
    return 1


def _show(error: BaseException) -> None:
    """Print the traceback as the interpreter would, without this module's own frames."""
    trace: TracebackType | None = error.__traceback__
    own = {__file__, runpy.__file__, "<frozen runpy>"}
    while trace is not None and trace.tb_frame.f_code.co_filename in own:
        trace = trace.tb_next
    with contextlib.suppress(BaseException):  # the error's own __str__ may fail
        traceback.print_exception(type(error), error, trace)
        sys.stderr.flush()


def _fault(error: BaseException, inputs: str) -> dict[str, Any]:
    """Class, place and errno; the innermost place that is in the program's own files."""
    name = type(error).__name__
    root = inputs.rstrip("/") + "/"
    file, line = "", 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(root):
            file, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and str(error.filename).startswith(root):
        file, line = str(error.filename), error.lineno or 0
    return {
        "error": name if getattr(builtins, name, None) is type(error) else "Exception",
        "file": file.removeprefix(root)[:200],
        "line": line,
        "errno": error.errno if isinstance(error, OSError) else None,
    }


def _reap_until(child: int) -> int:
    while True:
        ended, status = os.wait()
        if ended == child:
            return status


def _end_all_others() -> None:
    """As process 1: kill every process of the container and wait until none is left."""
    while True:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def _read_report(readable: int) -> dict[str, Any] | None:
    os.set_blocking(readable, False)  # a stray process may hold the other end open
    try:
        text = os.read(readable, REPORT_BYTES)
        value = json.loads(text) if text else None
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_full(folder: str) -> bool:
    try:
        status = os.statvfs(folder)
    except OSError:
        return False
    return status.f_bavail == 0 or (status.f_files > 0 and status.f_favail == 0)


def _say(message: bytes, stream: int = 2) -> None:
    os.set_blocking(stream, True)  # the program shares this pipe and may have changed it
    while message:
        message = message[os.write(stream, message) :]


if __name__ == "__main__":
    main(sys.argv[1:])
