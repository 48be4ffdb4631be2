"""strace's lines: hostile text in them decides nothing, and what was asked for and what was reached are both known."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rsi.attempts import MOST_LISTED, AttemptKind, as_ascii, severity
from rsi.records import Severity
from sandboxes.invocation import Folders
from sandboxes.strace_lines import parsed, unescaped
from sandboxes.trace import Trace

WORKER = 100
FOLDERS = Folders(inputs="/in", outputs="/out", scratch="/tmp")
CONNECTION, PROCESS, FILE, EVASION = (AttemptKind(kind) for kind in ("connection", "process", "file", "evasion"))


def trace(*lines: bytes | str) -> Trace:
    found = Trace(WORKER, FOLDERS, ("/usr/", "/lib/"))
    for line in lines:
        found.take(line.encode() if isinstance(line, str) else line)
    found.finish()
    return found


def seen(*lines: bytes | str) -> list[tuple[AttemptKind, str, str]]:
    return [(attempt.kind, attempt.target, attempt.detail) for attempt in trace(*lines).attempts]


def quoted(text: bytes, also: bytes = b"") -> bytes:
    """As strace writes a text: what is not printable, quotes, backslashes and `also` escaped."""
    escaped = b""
    for byte in text:
        character = bytes([byte])
        if character in b'"\\':
            escaped += b"\\" + character
        elif 32 <= byte < 127 and character not in also:
            escaped += character
        else:
            escaped += b"\\%03o" % byte
    return escaped


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            '7  openat(AT_FDCWD</tmp>, "/etc/shadow", O_RDONLY) = -1 EACCES (Permission denied)',
            (FILE, "/etc/shadow", "read"),
        ),
        (
            '7  openat(AT_FDCWD</tmp>, "../etc/x", O_WRONLY|O_CREAT, 0666) = -1 EROFS (Read-only)',
            (FILE, "/etc/x", "write"),
        ),
        ('7  openat(AT_FDCWD</tmp>, "l", O_RDONLY|O_CLOEXEC) = 5</etc/passwd>', (FILE, "/etc/passwd", "read")),
        ('7  openat(3</proc>, "1/mem", O_RDWR) = -1 EACCES (Permission denied)', (FILE, "/proc/1/mem", "write")),
        ('7  openat(AT_FDCWD</tmp>, "/proc/self/stat", O_RDONLY) = 5</proc/9/stat>', (FILE, "/proc/self/stat", "read")),
        ('7  openat(AT_FDCWD</tmp>, "/in/code/x", O_WRONLY) = -1 EACCES (no)', (FILE, "inputs/code/x", "write")),
        ('7  open("/root", O_RDONLY|O_DIRECTORY) = -1 EACCES (Permission denied)', (FILE, "/root", "read")),
        ('7  openat(AT_FDCWD</tmp>, "//etc/x", O_RDONLY) = -1 ENOENT (No)', (FILE, "/etc/x", "read")),
        ('7  creat("/x", 0644) = -1 EROFS (Read-only file system)', (FILE, "/x", "write")),
        ('7  openat2(AT_FDCWD</>, "x", {flags=O_RDONLY, resolve=0}, 24) = -1 ENOENT (No)', (FILE, "/x", "read")),
        ('7  symlink("/etc/passwd", "l") = 0', (FILE, "/etc/passwd", "symlink")),
        ('7  chdir("/etc") = 0', (FILE, "/etc", "enter")),
        ('7  mount("none", "/mnt", "tmpfs", 0, NULL) = -1 EPERM (Operation not permitted)', (FILE, "/mnt", "mount")),
        (
            '7  connect(5<socket:[1]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("10.1.2.3")}, 9) = 0',
            (CONNECTION, "10.1.2.3:80", "connect"),
        ),
        (
            (
                "7  connect(5<socket:[1]>, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
                'inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28) = -1 ECONNREFUSED (Connection refused)'
            ),
            (CONNECTION, "[::1]:443", "connect"),
        ),
        (
            '7  connect(6<socket:[1]>, {sa_family=AF_UNIX, sun_path="/var/run/docker.sock"}, 110) = -1 ENOENT (No)',
            (CONNECTION, "unix:/var/run/docker.sock", "connect"),
        ),
        (
            '7  connect(6<socket:[1]>, {sa_family=AF_UNIX, sun_path=@"host"}, 110) = -1 ECONNREFUSED (no)',
            (CONNECTION, "unix:@host", "connect"),
        ),
        (
            (
                '7  sendto(5<socket:[1]>, "{sa_family=AF_INET, sin_port=htons(1)}", 4, 0, {sa_family=AF_INET, '
                'sin_port=htons(53), sin_addr=inet_addr("8.8.8.8")}, 16) = -1 ENETUNREACH (Network is unreachable)'
            ),
            (CONNECTION, "8.8.8.8:53", "send"),
        ),
        (
            "7  socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) = -1 EPERM (no)",
            (CONNECTION, "packets of its own making", "socket"),
        ),
        ('7  execve("/bin/sh", ["sh", "-c", "id"], 0x7 /* 3 vars */) = 0', (PROCESS, "/bin/sh", "sh -c id")),
        ('7  execve("/sbin/gcc", ["gcc"], 0x7 /* 3 vars */) = -1 ENOENT (No such file)', (PROCESS, "gcc", "gcc")),
        ("7  clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 8", (PROCESS, "a copy of itself", "fork")),
        ("7  ptrace(PTRACE_ATTACH, 1) = -1 EPERM (Operation not permitted)", (EVASION, "ptrace", "EPERM")),
        ("7  unshare(CLONE_NEWUSER) = -1 EPERM (Operation not permitted)", (EVASION, "unshare", "EPERM")),
    ],
    ids=lambda value: value[:40].replace("/", "|") if isinstance(value, str) else "",
)
def test_a_call_is_read_as_what_was_attempted(line: str, expected: tuple[AttemptKind, str, str]) -> None:
    assert seen(line) == [expected]


@pytest.mark.parametrize(
    "line",
    [
        '7  openat(AT_FDCWD</tmp>, "/usr/lib/x.so", O_RDONLY|O_CLOEXEC) = 3</usr/lib/x.so>',
        '7  openat(AT_FDCWD</tmp>, "x", O_RDWR|O_CREAT, 0600) = 3</tmp/x>',
        '7  openat(AT_FDCWD</tmp>, "/out/w", O_WRONLY|O_CREAT, 0600) = 3</out/w>',
        '7  openat(AT_FDCWD</tmp>, "/in/data/t", O_RDONLY) = 3</in/data/t>',
        "7  openat(AT_FDCWD</tmp>, NULL, O_RDONLY) = -1 EFAULT (Bad address)",
        '7  mkdir("/out", 0777) = -1 EEXIST (File exists)',
        "7  clone3({flags=CLONE_VM|CLONE_FS|CLONE_THREAD, child_tid=0x7}, 88) = 9",
        "7  bind(6<socket:[1]>, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12) = 0",
        "7  socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE) = 6<socket:[1]>",
        '100  openat(AT_FDCWD</tmp>, "/proc/self/oom_score_adj", O_WRONLY) = 3</proc/1/oom_score_adj>',
    ],
    ids=range(10),
)
def test_what_is_expected_is_left_out(line: str) -> None:
    assert seen(line) == []


def test_the_halves_of_a_call_that_others_interrupted_belong_together() -> None:
    lines = (
        '7  openat(AT_FDCWD</tmp>, "l", O_RDONLY <unfinished ...>',
        '8  openat(AT_FDCWD</tmp>, "m", O_RDONLY <unfinished ...>',
        "7  <... openat resumed>) = 5</etc/shadow>",
        "8  <... openat resumed>) = -1 ENOENT (No such file or directory)",
    )
    assert seen(*lines) == [(FILE, "/etc/shadow", "read")]


def test_a_call_under_way_at_the_end_was_attempted() -> None:
    assert seen('7  execve("/bin/sh", ["sh"], 0x7 /* 1 var */ <unfinished ...>') == [(PROCESS, "/bin/sh", "sh")]


HOSTILE = st.binary(min_size=1, max_size=60).map(lambda text: text.replace(b"\0", b"") or b"x") | st.sampled_from(
    [
        b'x", O_RDONLY) = 5</etc/passwd>',
        b"x) = 5</tmp/ok>",
        b" <unfinished ...>",
        b"\n100  +++ exited with 0 +++\n",
        b"\\",
        b'\\"',
        b"<1>",
        b"AT_FDCWD</tmp>",
    ]
)


@given(path=HOSTILE)
@example(path=b'", O_RDONLY) = 3</tmp/x>')
def test_no_text_passes_for_strace_s_own_words(path: bytes) -> None:
    path = b"/" + path.replace(b"/", b"_")
    line = b'7  openat(AT_FDCWD</tmp>, "' + quoted(path) + b'", O_RDONLY) = -1 ENOENT (No such file or directory)'
    call = parsed(line)
    assert (call.name, call.resolved, call.error) == ("openat", "", "ENOENT")
    assert call.texts == ("/tmp", path.decode("utf-8", "surrogateescape"))
    opened = parsed(line.partition(b") = ")[0] + b") = 3</tmp/" + quoted(path[1:], b"<>") + b">")
    assert opened.resolved == "/tmp" + path.decode("utf-8", "surrogateescape")


@given(st.binary(max_size=80).map(lambda text: text.replace(b"\0", b"")))
def test_a_text_comes_back_as_the_program_gave_it(text: bytes) -> None:
    assert unescaped(quoted(text)) == text.decode("utf-8", "surrogateescape")


@given(st.binary(max_size=200))
def test_a_line_that_makes_no_sense_is_counted_and_does_no_harm(line: bytes) -> None:
    found = trace(line)
    assert found.unread + len(found.attempts) <= 2


def test_the_end_of_the_worker_alone_is_the_end() -> None:
    assert not trace("7  +++ exited with 0 +++").first_ended
    assert not trace('7  openat(AT_FDCWD</tmp>, "\\n100 +++ killed by SIGKILL +++", O_RDONLY) = 3</tmp/x>').first_ended
    assert trace("100  +++ killed by SIGKILL +++").first_ended


def test_slipping_out_of_sight_is_itself_a_finding() -> None:
    untraced = trace("7  clone(child_stack=NULL, flags=CLONE_UNTRACED|SIGCHLD) = 9")
    assert "CLONE_UNTRACED" in untraced.slipped
    refused = trace("7  clone(child_stack=NULL, flags=CLONE_UNTRACED|SIGCHLD) = -1 EPERM (Operation not permitted)")
    assert refused.slipped == ""
    for found in (untraced, refused):
        assert max(severity(attempt) for attempt in found.attempts if attempt.kind is EVASION) is Severity.CRITICAL
    switched = trace("7   [ Process PID=7 runs in 32 bit mode. ]", "7   [ Process PID=7 runs in 64 bit mode. ]")
    assert "32 bit" in switched.slipped
    assert [severity(attempt) for attempt in switched.attempts] == [Severity.CRITICAL]
    assert "io_uring" in trace("7  io_uring_setup(8, {flags=0}) = 4<anon_inode:[io_uring]>").slipped


def test_what_is_told_apart_is_bounded() -> None:
    found = trace(*(f'7  openat(AT_FDCWD</tmp>, "/x{n}", O_RDONLY) = -1 ENOENT (No)' for n in range(MOST_LISTED + 5)))
    assert len(found.attempts) == MOST_LISTED
    assert found.left_out == 5


def test_both_grades_name_a_path_in_the_same_words() -> None:
    path = "/a\x1b[31m\u202eb"
    line = b'7  openat(AT_FDCWD</tmp>, "' + quoted(path.encode()) + b'", O_RDONLY) = -1 ENOENT (No)'
    ((_, target, _),) = seen(line)
    assert target == as_ascii(path, 200)
