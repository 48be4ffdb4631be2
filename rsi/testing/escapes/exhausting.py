"""Attempts to exhaust the machine or to outlive the trial: bombs, all bounded, and programs that do not want to end."""

from __future__ import annotations

from rsi.execution import MIB
from rsi.testing.escapes.attempt import Attempt
from rsi.testing.escapes.attempt import Protection as P  # noqa: N817 - named forty times in these tables
from rsi.testing.escapes.scene import Scene


def _size(scene: Scene, folder: str) -> int:
    """Bytes that are really there."""
    return sum(path.stat().st_blocks * 512 for path in scene.inside(folder).iterdir() if path.is_file())


def _count(scene: Scene, folder: str) -> int:
    return sum(1 for _ in scene.inside(folder).iterdir())


_MANY_FILES = """
for number in range(12):
    open(f"{told_folder}/{number}", "wb").write(bytes(1024 * 1024))
"""
_MANY_INODES = """
for number in range(200):
    open(f"{told_folder}/{number}", "w").close()
"""
_FORKS = """
for _ in range(480):
    if os.fork() == 0:
        time.sleep(8)
        os._exit(0)
"""
_THREADS = """
threading.stack_size(65536)
for _ in range(300):
    threading.Thread(target=time.sleep, args=(8,), daemon=True).start()
"""


def _in(folder: str, code: str) -> str:
    return f"told_folder = '{folder}'\n{code}"


BOMBS = [
    Attempt(
        name="bomb: forks",
        tries="to have 480 processes",
        code=_FORKS,
        effect=lambda scene: len(scene.processes()) > 100,
        seen="during",
        stopped_by=(P.PROCESSES,),
    ),
    Attempt(
        name="bomb: threads",
        tries="to have 300 threads",
        code=_THREADS,
        effect=lambda scene: any(int((p.status("Threads") or ["0"])[0]) > 100 for p in scene.processes()),
        seen="during",
        stopped_by=(P.PROCESSES,),
    ),
    Attempt(
        name="bomb: memory",
        tries="to hold 512 MiB where 160 are allowed",
        code="kept = [bytearray(b'x') * (16 * 1024 * 1024) for _ in range(32)]",
        effect=lambda scene: sum(int((p.status("VmRSS") or ["0"])[0]) for p in scene.processes()) > 400 * 1024,
        seen="during",
        stopped_by=(P.MEMORY,),
        limits={"memory_bytes": 160 * MIB},
    ),
    Attempt(
        name="bomb: shared memory",
        tries="to fill /dev/shm with 96 MiB",
        code="open('/dev/shm/big', 'wb').write(bytes(96 * 1024 * 1024))",
        effect=lambda scene: _size(scene, "/dev/shm") > 64 * MIB,  # noqa: S108
        seen="during",
        stopped_by=(P.SHARED_MEMORY, P.FILE_SIZE),
    ),
    Attempt(
        name="bomb: one large file",
        tries="to write a file larger than all outputs together may be",
        code="open('/out/big', 'wb').write(bytes(12 * 1024 * 1024))",
        effect=lambda scene: _size(scene, "/out") > 8 * MIB,
        seen="during",
        stopped_by=(P.FILE_SIZE, P.OUTPUTS_SIZE),
    ),
    Attempt(
        name="bomb: an endless sparse file",
        tries="to make a file that claims to be huge",
        code="open('/out/big', 'wb').truncate(1 << 40)",
        effect=lambda scene: any(path.stat().st_size > 8 * MIB for path in scene.inside("/out").iterdir()),
        seen="during",
        stopped_by=(P.FILE_SIZE,),
    ),
    Attempt(
        name="bomb: the output volume",
        tries="to fill the outputs with many files",
        code=_in("/out", _MANY_FILES),
        effect=lambda scene: _size(scene, "/out") > 8 * MIB,
        seen="during",
        stopped_by=(P.OUTPUTS_SIZE,),
    ),
    Attempt(
        name="bomb: scratch",
        tries="to fill the scratch folder with many files",
        code=_in("/tmp", _MANY_FILES),  # noqa: S108 - the sandbox's
        effect=lambda scene: _size(scene, "/tmp") > 8 * MIB,  # noqa: S108
        seen="during",
        stopped_by=(P.SCRATCH_SIZE,),
    ),
    Attempt(
        name="bomb: inodes of the outputs",
        tries="to make 200 empty files among the outputs",
        code=_in("/out", _MANY_INODES),
        effect=lambda scene: _count(scene, "/out") > 100,
        seen="during",
        stopped_by=(P.OUTPUTS_INODES,),
    ),
    Attempt(
        name="bomb: inodes of scratch",
        tries="to make 200 empty files in the scratch folder",
        code=_in("/tmp", _MANY_INODES),  # noqa: S108
        effect=lambda scene: _count(scene, "/tmp") > 100,  # noqa: S108
        seen="during",
        stopped_by=(P.SCRATCH_INODES,),
    ),
    Attempt(
        name="bomb: open files",
        tries="to hold 1,000 files open",
        code="kept = [open('/dev/null') for _ in range(1000)]",
        effect=lambda scene: any(process.open_files > 500 for process in scene.processes()),
        seen="during",
        stopped_by=(P.OPEN_FILES,),
    ),
    Attempt(
        name="bomb: core files",
        tries="to be allowed to leave core files",
        code="resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))",
        effect=lambda scene: any(
            line.split()[4:6] == ["1048576", "1048576"]
            for process in scene.processes()
            for line in process.text("limits").splitlines()
            if line.startswith("Max core file size")
        ),
        seen="during",
        stopped_by=(P.CORE_SIZE,),
    ),
    Attempt(
        name="bomb: printed text",
        tries="to print 4 MiB where 10,000 bytes are allowed",
        code="for _ in range(64): sys.stdout.write('x' * 65536)",
        effect=lambda scene: scene.outcome is not None and len(scene.outcome.stdout) > 10_000,
        stopped_by=(P.PRINTED_SIZE,),
        limits={"output_bytes": 10_000},
        harmless=True,
    ),
    Attempt(
        name="bomb: the engine's log",
        tries="to fill the host's disk through the engine's log",
        code="print('x' * 20000, flush=True)",
        effect=lambda scene: scene.engine["log size"]() > 20_000,
        seen="during",
        stopped_by=(P.NO_LOG,),
    ),
    Attempt(
        name="bomb: more than its CPUs",
        tries="to use a whole core where 0.2 are allowed",
        code="until = time.monotonic() + 1.5\nwhile time.monotonic() < until: pass",
        effect=lambda scene: (
            scene.outcome is not None
            and (scene.outcome.execution.usage.cpu_seconds or 0.0) > 0.4 * scene.outcome.execution.usage.wall_seconds
        ),
        stopped_by=(P.CPUS,),
        limits={"cpus": 0.2},
    ),
    Attempt(
        name="bomb: CPU time",
        tries="to compute for three seconds where one is allowed, in children of its own",
        code="""
if os.fork() == 0:
    while time.process_time() < 3: pass
    os._exit(0)
os.wait()
""",
        effect=lambda scene: scene.outcome is not None and (scene.outcome.execution.usage.cpu_seconds or 0.0) > 2,
        stopped_by=(P.CPU_TIME,),
        limits={"cpu_seconds": 1.0},
        harmless=True,
    ),
]

_DAEMON = """
if os.fork() == 0:
    {detach}
    if os.fork() == 0:
        for number in (0, 1, 2):
            os.close(number)
        os.execvp("python3", ["python3", "-c", "import time; time.sleep(20)", told["token"]])
    os._exit(0)
os.wait()
time.sleep(0.3)
os._exit(0)
"""

LASTING = [
    Attempt(
        name="lasting: a daemon in a session of its own",
        tries="to go on running after its trial",
        code=_DAEMON.format(detach="os.setsid()"),
        effect=lambda scene: scene.still_running(),
        stopped_by=(P.KILLED_AS_A_WHOLE, P.OWN_PROCESSES),
        harmless=True,
    ),
    Attempt(
        name="lasting: a child that outlives its parent",
        tries="to go on running as an orphan",
        code=_DAEMON.format(detach="os.setpgid(0, 0)"),
        effect=lambda scene: scene.still_running(),
        stopped_by=(P.KILLED_AS_A_WHOLE, P.OWN_PROCESSES),
        harmless=True,
    ),
    Attempt(
        name="lasting: every signal ignored",
        tries="to go on running when it is told to end",
        code="""
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
os.execvp("python3", ["python3", "-c", "import time; time.sleep(20)", told["token"]])
""",
        effect=lambda scene: scene.still_running(),
        stopped_by=(P.KILLED_OUTRIGHT,),
        limits={"wall_seconds": 1.0},
        harmless=True,
    ),
    Attempt(
        name="lasting: past the wall time",
        tries="to sleep for three seconds where one is allowed",
        code="time.sleep(3)",
        effect=lambda scene: scene.outcome is not None and scene.outcome.execution.usage.wall_seconds > 2.5,
        stopped_by=(P.WALL_TIME,),
        limits={"wall_seconds": 1.0},
        harmless=True,
    ),
    Attempt(
        name="lasting: stopped clocks",
        tries="to hide its wall time by lying to itself about the clock and stopping its own process",
        code="""
time.time = time.monotonic = time.perf_counter = lambda: 0.0
threading.Timer(0.1, lambda: None).start()
waker = os.fork()
if waker == 0:
    time.sleep(3)
    os.kill(os.getppid(), signal.SIGCONT)
    os._exit(0)
os.kill(os.getpid(), signal.SIGSTOP)
""",
        effect=lambda scene: scene.outcome is not None and scene.outcome.execution.usage.wall_seconds > 2.5,
        stopped_by=(P.WALL_TIME,),
        limits={"wall_seconds": 1.0},
        harmless=True,
    ),
]

ATTEMPTS = (*BOMBS, *LASTING)
