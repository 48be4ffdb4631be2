"""Attempts to gain rights: writing outside, mounts, tracing, setuid files, devices, `/proc` and `/sys`, the clock."""

from __future__ import annotations

import stat
from collections.abc import Callable

from rsi.testing.escapes.attempt import Attempt
from rsi.testing.escapes.attempt import Protection as P  # noqa: N817 - named forty times in these tables
from rsi.testing.escapes.scene import Process, Scene

ROOT_WITH_CAPABILITIES = (P.NO_CAPABILITIES, P.UNPRIVILEGED_USER)


def _any(test: Callable[[Process], bool]) -> Callable[[Scene], bool]:
    return lambda scene: any(test(process) for process in scene.processes())


def _wrote(folder: str) -> Callable[[Scene], bool]:
    return lambda scene: scene.inside(f"{folder}/{scene.token}").exists()


def _writes(name: str, folder: str, *stopped_by: P) -> Attempt:
    return Attempt(
        name=f"writing: {name}",
        tries=f"to leave a file in {folder}",
        code=f"open('{folder}/' + told['token'], 'w').close()",
        effect=_wrote(folder),
        seen="during",
        stopped_by=stopped_by,
    )


def _outside_namespace(scene: Scene, kind: str) -> bool:
    first, *others = scene.processes()
    return any(process.namespace(kind) not in ("", first.namespace(kind)) for process in others)


def _is_setuid_root(scene: Scene) -> bool:
    path = scene.inside(f"/out/{scene.token}")
    return path.exists() and path.stat().st_uid == 0 and bool(path.stat().st_mode & stat.S_ISUID)


def _has_keys(scene: Scene) -> bool:
    users = {process.status("Uid")[0] for process in scene.processes() if process.status("Uid")}
    with open("/proc/key-users", encoding="ascii") as file:  # noqa: PTH123 - a file of the kernel's
        return any(line.split(":")[0].strip() in users for line in file)


def _nice(process: Process) -> int:
    fields = process.text("stat").rpartition(")")[2].split()
    return int(fields[16]) if fields else 0


WRITING = [
    _writes("a folder open to all", "/var/tmp", P.READ_ONLY_ROOT),  # noqa: S108 - the sandbox's
    _writes("the root folder", "/", P.READ_ONLY_ROOT, P.UNPRIVILEGED_USER),
    _writes("/etc", "/etc", P.READ_ONLY_ROOT, P.UNPRIVILEGED_USER),
    _writes("site-packages", "/opt/rsi/site-packages", P.READ_ONLY_ROOT, P.UNPRIVILEGED_USER),
    _writes("the worker's own code", "/opt/rsi/guest", P.READ_ONLY_ROOT, P.UNPRIVILEGED_USER),
    _writes("the inputs", "/in", P.READ_ONLY_INPUTS, P.UNPRIVILEGED_USER),
    Attempt(
        name="writing: its own program",
        tries="to change the code that it is measured with",
        code="""
path = os.path.join(os.environ["RSI_IN"], "code", "program.py")
os.chmod(path, 0o644)
open(path, "a").write("# " + told["token"])
""",
        effect=lambda scene: scene.token in scene.inside("/in/code/program.py").read_text("utf-8"),
        seen="during",
        stopped_by=(P.READ_ONLY_INPUTS, P.UNPRIVILEGED_USER),
    ),
]


def _executes(name: str, variable: str, protection: P) -> Attempt:
    return Attempt(
        name=f"running: a program from {name}",
        tries=f"to run a binary of its own that it wrote into {name}",
        code=f"""
import shutil
path = os.path.join({variable}, told["token"])
shutil.copyfile("/bin/sleep", path)
os.chmod(path, 0o755)
subprocess.Popen([path, "9"])
time.sleep(0.2)
""",
        effect=lambda scene: any(process.executable.endswith(scene.token) for process in scene.processes()),
        seen="during",
        stopped_by=(protection,),
    )


RUNNING = [
    _executes("the outputs", "os.environ['RSI_OUT']", P.NOEXEC_OUTPUTS),
    _executes("scratch", "'/tmp'", P.NOEXEC_SCRATCH),
    Attempt(
        name="running: setuid files",
        tries="to become root through any setuid file of the image",
        code="""
found = subprocess.run(["find", "/", "-xdev", "-perm", "-4000", "-type", "f"], capture_output=True, text=True)
for path in found.stdout.split():
    subprocess.Popen([path, "9"], stdin=subprocess.PIPE)
time.sleep(0.2)
""",
        effect=_any(lambda process: process.status("Uid")[1:2] == ["0"]),
        seen="during",
        stopped_by=(P.NO_NEW_PRIVILEGES, P.NO_SETUID_FILES),
    ),
    Attempt(
        name="running: a setuid file of its own",
        tries="to make a root-owned setuid program among its outputs",
        code="""
import shutil
path = os.path.join(os.environ["RSI_OUT"], told["token"])
shutil.copyfile("/bin/sleep", path)
os.chown(path, 0, 0)
os.chmod(path, 0o4755)
""",
        effect=_is_setuid_root,
        seen="during",
        stopped_by=(P.UNPRIVILEGED_USER,),
    ),
]


_USER_NAMESPACE = "need(libc.unshare(0x10000000 | {flags:#x}))"

KERNEL = [
    Attempt(
        name="kernel: a user namespace",
        tries="to become root in a user namespace of its own, the way to most kernel holes",
        code=_USER_NAMESPACE.format(flags=0),
        effect=lambda scene: _outside_namespace(scene, "user"),
        seen="during",
        stopped_by=(P.SECCOMP,),
    ),
    Attempt(
        name="kernel: a mount in a user namespace",
        tries="to mount a file system in namespaces of its own",
        code=_USER_NAMESPACE.format(flags=0x00020000)
        + "\nneed(libc.mount(told['token'].encode(), b'/tmp', b'tmpfs', 0, None))",
        effect=lambda scene: any(scene.token in process.text("mountinfo") for process in scene.processes()),
        seen="during",
        stopped_by=(P.SECCOMP,),
    ),
    Attempt(
        name="kernel: a mount",
        tries="to mount a file system over its scratch folder",
        code="need(libc.mount(told['token'].encode(), b'/tmp', b'tmpfs', 0, None))",
        effect=lambda scene: any(scene.token in process.text("mountinfo") for process in scene.processes()),
        seen="during",
        stopped_by=ROOT_WITH_CAPABILITIES,
    ),
    Attempt(
        name="kernel: the root mounted anew",
        tries="to make the root writable again",
        code="need(libc.mount(b'none', b'/', None, 0x20 | 0x1000, None))\nopen('/' + told['token'], 'w').close()",
        effect=_wrote(""),
        seen="during",
        stopped_by=ROOT_WITH_CAPABILITIES,
    ),
    Attempt(
        name="kernel: a time namespace",
        tries="to set the monotonic clock of its children",
        code=_USER_NAMESPACE.format(flags=0x80),
        effect=lambda scene: _outside_namespace(scene, "time_for_children"),
        seen="during",
        stopped_by=(P.SECCOMP,),
    ),
    Attempt(
        name="kernel: a key in the keyring",
        tries="to store a key where other containers of its user id find it",
        code="need(libc.syscall(248, b'user', token, b'x', 1, -4))",
        effect=_has_keys,
        seen="during",
        stopped_by=(P.SECCOMP,),
    ),
    Attempt(
        name="kernel: address randomisation",
        tries="to switch off a defence of its children's",
        code="need(libc.personality(0x0040000))",
        effect=_any(lambda process: process.text("personality").strip() == "00040000"),
        seen="during",
        stopped_by=(P.SECCOMP,),
    ),
    Attempt(
        name="kernel: ptrace of process 1",
        tries="to trace the worker that reports about it",
        code="need(libc.ptrace(0x4206, 1, None, None))",  # PTRACE_SEIZE
        effect=_any(lambda process: process.status("TracerPid")[:1] not in ([], ["0"])),
        seen="during",
        stopped_by=ROOT_WITH_CAPABILITIES,
    ),
    Attempt(
        name="kernel: a device node",
        tries="to make a device of its own",
        code="os.mknod(os.environ['RSI_OUT'] + '/' + told['token'], 0o20666, os.makedev(1, 3))",
        effect=lambda scene: scene.inside(f"/out/{scene.token}").is_char_device(),
        seen="during",
        stopped_by=ROOT_WITH_CAPABILITIES,
    ),
    Attempt(
        name="kernel: the clock",
        tries="to set the machine's clock (to what it shows)",
        code="time.clock_settime(time.CLOCK_REALTIME, time.time())",
        effect=lambda scene: bool(scene.engine["clock was set"]()),
        stopped_by=ROOT_WITH_CAPABILITIES,
    ),
    Attempt(
        name="kernel: priority",
        tries="to run before everything else on the machine",
        code="os.nice(-10)",
        effect=_any(lambda process: _nice(process) < 0),
        seen="during",
        stopped_by=ROOT_WITH_CAPABILITIES,
    ),
    Attempt(
        name="kernel: /proc/sys",
        tries="to set the host name through /proc/sys",
        code="open('/proc/sys/kernel/hostname', 'w').write(told['token'])",
        effect=lambda scene: scene.token in scene.engine["host name"](),
        seen="during",
        stopped_by=(P.READ_ONLY_PROC, P.UNPRIVILEGED_USER),
    ),
    Attempt(
        name="kernel: /sys",
        tries="to make its control group writable and raise its own limit of processes there",
        code="""
for folder in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup"):
    if os.path.exists(folder + "/pids.max"):
        need(libc.mount(b"none", folder.encode(), None, 0x20 | 0x1000, None))
        open(folder + "/pids.max", "w").write("321")
""",
        effect=lambda scene: "321" in scene.engine["process limit"](),
        seen="during",
        stopped_by=ROOT_WITH_CAPABILITIES,
    ),
]


ATTEMPTS = (*WRITING, *RUNNING, *KERNEL)
