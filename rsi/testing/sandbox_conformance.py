"""The conformance suite of sandboxes: what every implementation of `rsi.protocols.Sandbox` must do.

In a test module of your own:

    class TestMySandbox(SandboxConformance):
        isolates = True

        @pytest.fixture(scope="class")
        @classmethod
        def make_sandbox(cls) -> Callable[[], Sandbox]:
            return MySandbox

        @classmethod
        def left_behind(cls) -> list[str]:
            return [...]  # names of whatever your sandbox makes and should have removed; the suite asks after `close`

Every payload is bounded: a memory bomb of 1 GiB, a fork bomb of 200, loops of seconds.
"""

# ruff: noqa: D102 - a test's name is the sentence that it holds
from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from rsi.attempts import MOST_LISTED, MOST_RECORDED, TARGET_CHARACTERS, AttemptKind, Grade
from rsi.course import Course, interleaved
from rsi.errors import EnvironmentFault, UsageError
from rsi.execution import MIB, Execution, ExitKind, Job, Limits, Outcome, Shape
from rsi.protocols import Sandbox
from rsi.scrutiny import findings
from rsi.testing import sandbox_payloads as payloads
from rsi.testing.execution_record import RecordChecking

MakeSandbox = Callable[[], Sandbox]


def limits(**changes: Any) -> Limits:
    """Small limits, with those changes."""
    small: dict[str, Any] = {
        "wall_seconds": 30.0,
        "cpu_seconds": 20.0,
        "memory_bytes": 512 * MIB,
        "processes": 32,
        "disk_bytes": 8 * MIB,
        "inodes": 64,
        "artifact_bytes": 4 * MIB,
        "artifact_files": 4,
    }
    return Limits(**{**small, **changes})


def job(
    code: str,
    *arguments: str,
    inputs: Mapping[str, bytes | Path] | None = None,
    environment: Mapping[str, str] | None = None,
    imports: tuple[str, ...] = (),
    **changes: Any,
) -> Job:
    """A training job whose script is that code."""
    return Job(
        purpose="train",
        argv=("code/program.py", *arguments),
        inputs={"code/program.py": code.encode(), **(inputs or {})},
        environment=environment or {},
        shape=Shape(limits=limits(**changes), imports=imports),
        labels={"run": "conformance", "trial": "t1"},
    )


class Watcher:
    """Remembers what a running program printed and lets one wait for it."""

    def __init__(self) -> None:
        self.seen = {"stdout": b"", "stderr": b""}
        self.arrived = threading.Event()

    def __call__(self, stream: str, data: bytes) -> None:
        """Is a `rsi.execution.Watch`."""
        self.seen[stream] += data
        self.arrived.set()


class SandboxConformance:
    """Subclass it, name it `Test…`, and give it a `make_sandbox` fixture of class scope."""

    isolates: bool = True
    measures: frozenset[str] = frozenset({"cpu_seconds", "peak_memory_bytes", "peak_processes"})
    """Fields of `rsi.execution.Usage` that this sandbox measures where the suite runs; it says None for the others."""

    @classmethod
    def left_behind(cls) -> list[str]:
        """Names of what should have been removed; to be overridden by sandboxes that make anything."""
        return []

    @pytest.fixture(scope="class")
    @classmethod
    def sandbox(cls, make_sandbox: MakeSandbox) -> Iterator[Sandbox]:
        """One for all tests of the class, each record of which is checked; closed after them, nothing may be left."""
        sandbox = RecordChecking(make_sandbox())
        yield sandbox
        sandbox.close()
        assert cls.left_behind() == []

    # --- what it is --------------------------------------------------------------------------------------------

    def test_describes_itself_plainly(self, sandbox: Sandbox) -> None:
        description = sandbox.describe()
        assert isinstance(sandbox, Sandbox)
        assert description.name == sandbox.name
        assert description.isolates == sandbox.isolates == self.isolates
        assert description.options

    # --- a program that ends ----------------------------------------------------------------------------------

    def test_a_program_that_ends_well_is_completed_and_its_record_complete(self, sandbox: Sandbox) -> None:
        asked = job("print('hello')", "--depth", "3", environment={"RSI_SEED": "7"})
        outcome = sandbox.run(asked)
        execution = completed(outcome)
        assert (execution.sandbox, execution.purpose, execution.argv) == (sandbox.name, "train", asked.argv)
        assert execution.limits == asked.shape.limits
        assert datetime.fromisoformat(execution.started).utcoffset() is not None
        assert (execution.exit_code, execution.signal, execution.fault, execution.detail) == (0, None, None, "")
        assert {"RSI_SEED", "RSI_IN", "RSI_OUT"} <= set(execution.environment_names)
        assert 0 < execution.usage.wall_seconds < 30
        assert 0 <= cpu_seconds(execution) < 20
        assert execution.setup_seconds > 0
        assert execution.stdout_bytes == len(b"hello\n")
        series = course_of(outcome).series
        assert series is not None
        assert series.seconds, "there is always a last look"

    def test_the_program_is_main_with_its_folder_first_and_a_scratch_folder_to_work_in(self, sandbox: Sandbox) -> None:
        outcome = sandbox.run(job(payloads.SURROUNDINGS, "a b", inputs={"code/sibling.py": b"VALUE = 42\n"}))
        completed(outcome)
        assert outcome.stdout.decode().splitlines() == ["__main__", "42", "a b", "program.py", "''", "True", "''"]

    def test_a_module_of_the_guest_runs_with_m(self, sandbox: Sandbox) -> None:
        outcome = sandbox.run(job("").model_copy(update={"argv": ("-m", "platform")}))
        completed(outcome)
        assert outcome.stdout.startswith(b"Linux")

    @pytest.mark.parametrize(
        ("code", "exit_code", "printed"),
        [
            ("raise SystemExit(3)", 3, b""),
            ("raise SystemExit('gave up')", 1, b"gave up\n"),
            ("import os; os._exit(9)", 9, b""),
        ],
    )
    def test_an_exit_code_other_than_zero_is_a_crash(
        self, sandbox: Sandbox, code: str, exit_code: int, printed: bytes
    ) -> None:
        outcome = sandbox.run(job(code))
        assert (outcome.execution.kind, outcome.execution.exit_code) == (ExitKind.CRASHED, exit_code)
        assert outcome.stderr == printed
        assert outcome.execution.fault is None
        assert outcome.execution.detail

    @pytest.mark.parametrize(
        ("code", "error", "line"),
        [
            ("\nraise ValueError('label 5')", "ValueError", 2),
            ("class Label5(ValueError): pass\nraise Label5('label 5')", "Exception", 2),
            ("import json\n\n\njson.loads('{')", "Exception", 4),
            ("x = 1\n(", "SyntaxError", 2),
        ],
    )
    def test_a_fault_has_a_builtin_class_and_a_line_and_no_message(
        self, sandbox: Sandbox, code: str, error: str, line: int
    ) -> None:
        outcome = sandbox.run(job(code))
        fault = outcome.execution.fault
        assert outcome.execution.kind is ExitKind.CRASHED
        assert fault is not None
        assert (fault.error, fault.file, fault.line) == (error, "code/program.py", line)
        assert "label 5" not in outcome.execution.detail
        assert b"Error" in outcome.stderr or b"Label5" in outcome.stderr
        assert b"worker.py" not in outcome.stderr

    def test_a_signal_is_told_apart_from_an_exit_code(self, sandbox: Sandbox) -> None:
        execution = sandbox.run(job("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")).execution
        assert (execution.kind, execution.exit_code, execution.signal) == (ExitKind.CRASHED, None, 11)

    # --- what goes in -----------------------------------------------------------------------------------------

    def test_inputs_arrive_byte_for_byte(self, sandbox: Sandbox, tmp_path: Path) -> None:
        on_disk = tmp_path / "big"
        on_disk.write_bytes(bytes(range(256)) * 4096)
        inputs: dict[str, bytes | Path] = {"data/deep/er/small": b"\x00\xff\n", "data/big": on_disk, "empty": b""}
        outcome = sandbox.run(job(payloads.DIGESTS, *inputs, inputs=inputs))
        completed(outcome)
        contents = [content if isinstance(content, bytes) else content.read_bytes() for content in inputs.values()]
        assert outcome.stdout.decode().split() == [hashlib.sha256(content).hexdigest() for content in contents]

    def test_inputs_cannot_be_changed(self, sandbox: Sandbox) -> None:
        if not self.isolates:
            pytest.skip("this sandbox says that it does not isolate")
        outcome = sandbox.run(job(payloads.WRITES_TO_INPUTS))
        completed(outcome)
        assert outcome.stdout.split() == [b"refused"] * 4

    def test_nothing_of_the_hosts_environment_reaches_the_program(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RSI_CONFORMANCE_SECRET", "s3cr3t")
        outcome = sandbox.run(job("import os\nprint(*sorted(os.environ), sep='\\n')", environment={"RSI_SEED": "1"}))
        names = tuple(outcome.stdout.decode().split())
        assert names == outcome.execution.environment_names
        assert "RSI_CONFORMANCE_SECRET" not in names
        assert "RSI_SEED" in names

    @pytest.mark.parametrize(("cpus", "threads"), [(0.5, b"1"), (2.0, b"2")])
    def test_thread_counts_follow_the_cpu_limit(self, sandbox: Sandbox, cpus: float, threads: bytes) -> None:
        outcome = sandbox.run(job("import os\nprint(os.environ['OMP_NUM_THREADS'])", cpus=cpus))
        assert outcome.stdout.strip() == threads

    @pytest.mark.parametrize("name", ["../out", "/etc/x", "a/../b", "code", "a//b"])
    def test_an_input_path_that_leads_elsewhere_is_a_usage_error(self, sandbox: Sandbox, name: str) -> None:
        with pytest.raises(UsageError):
            sandbox.run(job("", inputs={name: b""}))

    def test_a_program_that_is_not_among_the_inputs_is_a_usage_error(self, sandbox: Sandbox) -> None:
        with pytest.raises(UsageError, match=r"missing\.py"):
            sandbox.run(job("").model_copy(update={"argv": ("missing.py",)}))

    def test_an_import_that_is_not_there_is_a_usage_error(self, sandbox: Sandbox) -> None:
        with pytest.raises(UsageError, match="no_such_module"):
            sandbox.run(job("", imports=("no_such_module",)))

    # --- what comes out ---------------------------------------------------------------------------------------

    def test_the_streams_are_kept_apart_and_complete(self, sandbox: Sandbox) -> None:
        watcher = Watcher()
        outcome = sandbox.run(job(payloads.CHATTER), watcher)
        completed(outcome)
        assert outcome.stdout == b"".join(b"out %d\n" % number for number in range(20000)) + b"no newline"
        assert outcome.stderr == b"".join(b"err %d\n" % number for number in range(20000)) + b"nor here"
        assert watcher.seen == {"stdout": outcome.stdout, "stderr": outcome.stderr}

    def test_outputs_come_back_by_content(self, sandbox: Sandbox) -> None:
        outcome = sandbox.run(job(payloads.OUTPUTS))
        execution = completed(outcome)
        assert dict(outcome.outputs) == {
            "weights.safetensors": bytes(range(256)) * 4096,
            "deep/er/é": b"1",
            "empty": b"",
        }
        assert {(file.path, file.size, file.sha256) for file in execution.files} == {
            (path, len(content), hashlib.sha256(content).hexdigest()) for path, content in outcome.outputs.items()
        }

    def test_nothing_comes_out_of_a_program_that_crashed(self, sandbox: Sandbox) -> None:
        outcome = sandbox.run(job(payloads.OUTPUTS + "\nraise SystemExit(1)"))
        assert outcome.execution.kind is ExitKind.CRASHED
        assert (dict(outcome.outputs), outcome.execution.files) == ({}, ())

    @pytest.mark.parametrize("what", sorted(payloads.FORBIDDEN))
    def test_forbidden_outputs_are_refused(self, sandbox: Sandbox, what: str) -> None:
        outcome = sandbox.run(job(payloads.FORBIDDEN[what]))
        assert outcome.execution.kind is ExitKind.FORBIDDEN_OUTPUT, outcome.stderr
        assert outcome.execution.detail.isprintable()
        assert (dict(outcome.outputs), outcome.execution.files) == ({}, ())

    def test_a_socket_does_not_come_out(self, sandbox: Sandbox) -> None:
        outcome = sandbox.run(job(payloads.SOCKET))
        # An archive cannot hold a socket: some sandboxes never see it.
        assert outcome.execution.kind in (ExitKind.FORBIDDEN_OUTPUT, ExitKind.COMPLETED)
        assert dict(outcome.outputs) == {}

    # --- what is seen of it ------------------------------------------------------------------------------------

    def _holds_at_least(self, execution: Execution, **least: int) -> None:
        """Of each field that is measured at least that much; None and not 0 for a field that is not."""
        for name, amount in least.items():
            value = getattr(execution.usage, name)
            if name in self.measures:
                assert value is not None, f"{name} is not measured"
            assert value is None or value >= amount, f"{name} = {value}"

    def test_what_it_says_to_measure_is_measured_and_nothing_else_is_claimed(self, sandbox: Sandbox) -> None:
        usage = completed(sandbox.run(job("import time\nx = bytearray(5_000_000)\ntime.sleep(0.3)"))).usage
        measured = {name for name, value in usage if value is not None}
        assert measured >= self.measures
        assert usage.peak_memory_bytes != 0
        assert usage.peak_processes != 0

    def test_bytes_read_and_written_are_counted_for_every_process_however_short(self, sandbox: Sandbox) -> None:
        execution = completed(sandbox.run(job(payloads.READS_AND_WRITES, artifact_bytes=8 * MIB)))
        size = 5 * MIB
        self._holds_at_least(execution, written_bytes=size, read_bytes=size, peak_stored_bytes=size)
        for count in (execution.usage.written_bytes, execution.usage.read_bytes):
            assert count is None or count < size + MIB

    def test_cpu_time_is_told_apart(self, sandbox: Sandbox) -> None:
        usage = completed(sandbox.run(job("sum(range(8_000_000))"))).usage
        if usage.cpu_user_seconds is not None and usage.cpu_system_seconds is not None:
            # Many kernels tell the two apart by ticks of a hundredth of a second.
            assert usage.cpu_user_seconds > usage.cpu_system_seconds
            together = usage.cpu_user_seconds + usage.cpu_system_seconds
            assert usage.cpu_seconds == pytest.approx(together, abs=0.1)

    def test_both_streams_can_be_read_in_the_order_in_which_they_came(self, sandbox: Sandbox) -> None:
        outcome = sandbox.run(job(payloads.TURNS))
        completed(outcome)
        pieces = list(interleaved(course_of(outcome).order, outcome.stdout, outcome.stderr))
        assert pieces == [("stdout", b"one\n"), ("stderr", b"two\n"), ("stdout", b"three\n")]

    def test_what_a_failed_program_left_is_listed(self, sandbox: Sandbox) -> None:
        outcome = sandbox.run(job(payloads.OUTPUTS + "\nos.symlink('/etc', root + '/link')\nraise SystemExit(1)"))
        listing = course_of(outcome).outputs
        assert listing is not None
        assert listing.complete
        assert {(file.path, file.kind, file.size) for file in listing.files} == {
            ("weights.safetensors", "file", 1 << 20),
            ("deep", "folder", 0),
            ("deep/er", "folder", 0),
            ("deep/er/é", "file", 1),
            ("empty", "file", 0),
            ("link", "link", 0),
        }

    def test_the_scratch_folder_is_listed_where_it_can_be_seen(self, sandbox: Sandbox) -> None:
        outcome = sandbox.run(job("open('note', 'w').write('x' * 70)"))
        completed(outcome)
        scratch = course_of(outcome).scratch
        if scratch is not None:
            assert [(file.path, file.size) for file in scratch.files] == [("note", 70)]

    # --- limits -----------------------------------------------------------------------------------------------

    def test_wall_time_is_enforced_and_what_was_printed_kept(self, sandbox: Sandbox) -> None:
        outcome = sandbox.run(job("import time\nprint('started')\ntime.sleep(60)", wall_seconds=1.5))
        assert outcome.execution.kind is ExitKind.TIMED_OUT
        assert outcome.stdout == b"started\n"
        assert 1.5 <= outcome.execution.usage.wall_seconds < 10

    def test_an_execution_that_was_ended_leaves_its_course_until_then(self, sandbox: Sandbox) -> None:
        outcome = sandbox.run(job(payloads.UNENDING, wall_seconds=2.0, disk_bytes=16 * MIB))
        assert outcome.execution.kind is ExitKind.TIMED_OUT
        course = course_of(outcome)
        assert [piece for _, piece in interleaved(course.order, outcome.stdout, outcome.stderr)] == [b"in\n", b"err\n"]
        assert course.series is not None
        used = [seconds for seconds in course.series.cpu_seconds if seconds is not None]
        assert used[-1] > 0.1
        assert len(set(used)) >= 3
        assert course.outputs is not None
        assert [(file.path, file.size) for file in course.outputs.files] == [("half", 1 << 20)]
        self._holds_at_least(outcome.execution, written_bytes=1 << 20, peak_stored_bytes=1 << 20)

    def test_cpu_time_is_enforced_over_all_processes(self, sandbox: Sandbox) -> None:
        execution = sandbox.run(job(payloads.BUSY_CHILDREN, cpu_seconds=1.0, cpus=2.0)).execution
        assert execution.kind is ExitKind.CPU_EXCEEDED
        assert 1.0 <= cpu_seconds(execution) < 5

    def test_idle_time_costs_no_cpu_time(self, sandbox: Sandbox) -> None:
        execution = completed(sandbox.run(job("import time\ntime.sleep(1)")))
        assert execution.usage.wall_seconds >= 1.0
        assert cpu_seconds(execution) < 0.8

    def test_memory_is_enforced(self, sandbox: Sandbox) -> None:
        execution = sandbox.run(job(payloads.MEMORY_BOMB, memory_bytes=160 * MIB)).execution
        assert execution.kind is ExitKind.OUT_OF_MEMORY
        assert execution.out_of_memory

    @pytest.mark.parametrize("what", sorted(payloads.DISK_BOMBS))
    def test_disk_is_enforced(self, sandbox: Sandbox, what: str) -> None:
        outcome = sandbox.run(job(payloads.DISK_BOMBS[what]))
        assert outcome.execution.kind is ExitKind.DISK_FULL, outcome.stderr

    def test_output_is_capped_and_what_fits_is_kept(self, sandbox: Sandbox) -> None:
        outcome = sandbox.run(job("while True: print('x' * 99)", output_bytes=10_000))
        assert outcome.execution.kind is ExitKind.OUTPUT_EXCEEDED
        assert outcome.stdout == (b"x" * 99 + b"\n") * 100
        assert outcome.execution.discarded_stdout_bytes == outcome.execution.discarded_output_bytes > 0
        assert outcome.execution.stdout_bytes == 10_000

    def test_output_that_just_fits_is_not_too_much(self, sandbox: Sandbox) -> None:
        outcome = sandbox.run(job("print('x' * 9999)", output_bytes=10_000))
        completed(outcome)
        assert outcome.execution.discarded_output_bytes == 0

    def test_processes_are_limited(self, sandbox: Sandbox) -> None:
        outcome = sandbox.run(job(payloads.FORK_BOMB, processes=12))
        assert outcome.execution.kind in (ExitKind.COMPLETED, ExitKind.CRASHED)
        if self.isolates:
            # The program itself is one of the twelve.
            assert outcome.stdout == b"11\n"
        assert outcome.execution.usage.wall_seconds < 20

    def test_a_daemon_dies_with_its_program(self, sandbox: Sandbox) -> None:
        started = time.monotonic()
        outcome = sandbox.run(job(payloads.DAEMON))
        completed(outcome)
        assert outcome.stdout == b"parent done\n"
        assert time.monotonic() - started < 20
        assert dict(outcome.outputs) == {}

    # --- what was attempted -----------------------------------------------------------------------------------

    def test_what_a_program_attempts_is_on_record_with_its_line(self, sandbox: Sandbox) -> None:
        execution = completed(sandbox.run(job(payloads.ATTEMPTS)))
        seen = {(a.kind, a.target): a for a in execution.attempts if a.grade is Grade.OBSERVED}
        expected = {
            (AttemptKind.CONNECTION, "127.0.0.1:9"): 5,
            (AttemptKind.PROCESS, "/bin/true"): 6,
            (AttemptKind.FILE, "/rsi-not-there"): 8,
            (AttemptKind.FILE, "/proc/rsi-not-there"): 10,
            (AttemptKind.CODE, "<string>"): 12,
            (AttemptKind.CODE, "builtins.print"): 13,
        }
        assert {key: seen[key].line for key in expected} == expected
        assert {seen[key].file for key in expected} == {"code/program.py"}
        assert seen[AttemptKind.FILE, "/rsi-not-there"].count == 3
        (coverage,) = execution.coverage
        assert (coverage.grade, coverage.complete, coverage.disputed) == (Grade.OBSERVED, True, False)

    def test_honest_code_has_no_findings(self, sandbox: Sandbox) -> None:
        execution = completed(sandbox.run(job(payloads.HONEST)))
        assert findings(execution) == ()

    def test_what_was_attempted_until_a_deadline_is_on_record(self, sandbox: Sandbox) -> None:
        outcome = sandbox.run(job(payloads.ATTEMPTS + "\nimport time\ntime.sleep(60)", wall_seconds=2.0))
        execution = outcome.execution
        assert execution.kind is ExitKind.TIMED_OUT
        assert "127.0.0.1:9" in {attempt.target for attempt in execution.attempts}
        assert not execution.coverage[0].complete
        assert not execution.coverage[0].disputed

    def test_the_list_of_attempts_is_bounded_and_says_what_it_leaves_out(self, sandbox: Sandbox) -> None:
        outcome = sandbox.run(job(payloads.MANY_ATTEMPTS))
        execution = completed(outcome)
        assert len(execution.attempts) <= MOST_RECORDED
        assert len(execution.attempts) < len(outcome.attempts) <= MOST_LISTED
        assert execution.coverage[0].left_out >= 3000 - MOST_LISTED
        assert all(len(attempt.target) <= TARGET_CHARACTERS for attempt in outcome.attempts)
        assert outcome.stderr == b""

    def test_lines_like_the_hooks_are_output_where_their_word_is_not_known(self, sandbox: Sandbox) -> None:
        outcome = sandbox.run(job(payloads.LINES_LIKE_THE_HOOKS))
        execution = completed(outcome)
        assert outcome.stderr.count(b"\x1e0123456789abcdef") == 2
        assert "forged" not in {attempt.target for attempt in execution.attempts}
        assert findings(execution) == ()

    def test_a_job_that_shall_be_traced_is_traced_or_refused(self, sandbox: Sandbox) -> None:
        try:
            outcome = sandbox.run(job(payloads.ATTEMPTS).model_copy(update={"trace": True}))
        except (EnvironmentFault, UsageError):
            return
        execution = completed(outcome)
        assert {coverage.grade: coverage.complete for coverage in execution.coverage} == dict.fromkeys(Grade, True)
        traced = {(a.kind, a.target) for a in execution.attempts if a.grade is Grade.TRACED}
        assert traced >= {
            (AttemptKind.CONNECTION, "127.0.0.1:9"),
            (AttemptKind.PROCESS, "/bin/true"),
            (AttemptKind.FILE, "/rsi-not-there"),
            (AttemptKind.FILE, "/proc/rsi-not-there"),
        }

    # --- side by side, ahead of time, interrupted -------------------------------------------------------------

    def test_two_programs_run_at_once_and_see_nothing_of_each_other(self, sandbox: Sandbox) -> None:
        outcomes: dict[str, Outcome] = {}

        def run(name: str) -> None:
            outcomes[name] = sandbox.run(job(payloads.MARKS_ITS_PLACE, name))

        threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name in ("one", "two"):
            completed(outcomes[name])
            assert outcomes[name].stdout.decode() == f"fresh {name}\n"
            assert dict(outcomes[name].outputs) == {"mark": name.encode()}

    def test_a_place_made_ahead_is_used_once(self, make_sandbox: MakeSandbox) -> None:
        asked = [job(payloads.MARKS_ITS_PLACE, name) for name in ("one", "two", "three")]
        sandbox = make_sandbox()  # of its own: one that was told to keep places ready goes on making them
        try:
            sandbox.warm([asked[0].shape, asked[0].shape])
            assert [sandbox.run(one).stdout for one in asked] == [b"fresh one\n", b"fresh two\n", b"fresh three\n"]
        finally:
            sandbox.close()

    def test_an_interruption_ends_a_running_program_and_keeps_what_it_printed(self, sandbox: Sandbox) -> None:
        watcher = Watcher()

        def interrupt() -> None:
            watcher.arrived.wait(60)
            sandbox.interrupt()

        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        outcome = sandbox.run(job("import time\nprint('started')\ntime.sleep(25)"), watcher)
        interrupter.join()
        assert outcome.execution.kind is ExitKind.INTERRUPTED
        assert outcome.stdout == b"started\n"
        assert outcome.execution.usage.wall_seconds < 20
        completed(sandbox.run(job("")))  # the sandbox itself goes on

    def test_an_interruption_reaches_a_program_that_has_not_started(self, sandbox: Sandbox) -> None:
        outcomes: list[Outcome] = []
        runner = threading.Thread(target=lambda: outcomes.append(sandbox.run(job("import time\ntime.sleep(25)"))))
        started = time.monotonic()
        runner.start()
        while runner.is_alive():
            sandbox.interrupt()
            time.sleep(0.02)
        assert [outcome.execution.kind for outcome in outcomes] == [ExitKind.INTERRUPTED]
        assert time.monotonic() - started < 20

    def test_closing_ends_what_runs_and_leaves_nothing(self, make_sandbox: MakeSandbox) -> None:
        before = set(threading.enumerate())
        there = set(self.left_behind())
        sandbox = make_sandbox()
        watcher = Watcher()
        outcomes: list[Outcome] = []
        asked = job("import time\nprint('started')\ntime.sleep(25)")
        runner = threading.Thread(target=lambda: outcomes.append(sandbox.run(asked, watcher)))
        runner.start()
        sandbox.warm([asked.shape])
        assert watcher.arrived.wait(60)
        sandbox.close()
        runner.join(20)
        assert [outcome.execution.kind for outcome in outcomes] == [ExitKind.INTERRUPTED]
        assert set(self.left_behind()) <= there
        assert set(threading.enumerate()) <= before


def completed(outcome: Outcome) -> Execution:
    """The execution of an outcome that must have completed; otherwise all that is known is shown."""
    execution = outcome.execution
    assert execution.kind is ExitKind.COMPLETED, f"{execution.kind}: {execution.detail} {outcome.stderr!r}"
    return execution


def cpu_seconds(execution: Execution) -> float:
    """What was measured, which every sandbox must."""
    assert execution.usage.cpu_seconds is not None
    return execution.usage.cpu_seconds


def course_of(outcome: Outcome) -> Course:
    """What was seen over time."""
    assert outcome.course is not None
    return outcome.course
