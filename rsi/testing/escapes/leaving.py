"""Attempts by what is left behind: links, FIFOs, sizes, names and archives among the artifacts, terminal escapes."""

from __future__ import annotations

from collections.abc import Callable

from rsi.execution import MIB
from rsi.testing.escapes.attempt import Attempt
from rsi.testing.escapes.attempt import Protection as P  # noqa: N817 - named forty times in these tables
from rsi.testing.escapes.scene import Scene

_IN_OUT = "os.chdir(os.environ['RSI_OUT'])\n"


def _something_came_out(scene: Scene) -> bool:
    return scene.outcome is not None and bool(scene.outcome.outputs)


def _host_content(scene: Scene) -> bool:
    outputs = scene.outcome.outputs.values() if scene.outcome is not None else ()
    return any(scene.secret.encode() in content for content in outputs)


def _leaves(
    name: str, tries: str, code: str, protection: P, effect: Callable[[Scene], bool] = _something_came_out
) -> Attempt:
    return Attempt(
        name=f"artifacts: {name}",
        tries=tries,
        code=_IN_OUT + code,
        effect=effect,
        stopped_by=(protection,),
        harmless=True,
    )


_ARCHIVE = """
import io, tarfile
with tarfile.open("weights.tar", "w") as archive:
    for name, kind in (("../../" + told["token"], tarfile.REGTYPE), ("link", tarfile.SYMTYPE)):
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.size = kind, told["host"], 0
        archive.addfile(entry, io.BytesIO())
"""

_HEADER = """
import tarfile
member = tarfile.TarInfo("smuggled")
member.type, member.linkname = tarfile.SYMTYPE, told["host"] + "/open/secret"
for padding in (0, 1, 511):
    open(f"weights{padding}", "wb").write(bytes(padding) + member.tobuf(tarfile.PAX_FORMAT) + bytes(1024))
"""

ARTIFACTS = [
    _leaves(
        "a symbolic link to a file",
        "to have the host read one of its own files in the artifact's place",
        "os.symlink(told['host'] + '/open/secret', 'weights')",
        P.NEVER_EXTRACTED,
        _host_content,
    ),
    _leaves(
        "a symbolic link to a folder",
        "to have the host read a folder of its own",
        "os.symlink(told['host'] + '/open', 'weights')",
        P.NEVER_EXTRACTED,
        _host_content,
    ),
    _leaves(
        "a hard link",
        "to have one content come out under two names",
        "open('a', 'w').close()\nos.link('a', 'b')",
        P.NEVER_EXTRACTED,
    ),
    _leaves("a FIFO", "to have the host wait for a pipe for ever", "os.mkfifo('weights')", P.NEVER_EXTRACTED),
    _leaves(
        "an archive that climbs",
        "to have a file written outside by whoever unpacks it",
        _ARCHIVE,
        P.NEVER_EXTRACTED,
        lambda scene: bool(scene.engine["climbed"]()),
    ),
    _leaves(
        "content that looks like an archive's header",
        "to have a link smuggled in by a reader that miscounts a file's size",
        _HEADER,
        P.NEVER_EXTRACTED,
        lambda scene: scene.came_out("smuggled") or _host_content(scene),
    ),
    _leaves(
        "a sparse file",
        "to fill the host's memory with a file that takes no room",
        f"open('weights', 'wb').truncate({5 * MIB})",
        P.ARTIFACT_SIZE,
    ),
    _leaves(
        "a huge file",
        "to have more bytes come out than may",
        f"open('weights', 'wb').write(b'x' * {5 * MIB})",
        P.ARTIFACT_SIZE,
    ),
    _leaves(
        "large together",
        "to have more bytes come out than may, in files that are small enough",
        f"for number in range(3): open(str(number), 'wb').write(bytes({2 * MIB}))",
        P.ARTIFACT_SIZE,
    ),
    _leaves(
        "too many files",
        "to have more files come out than may",
        "for number in range(6): open(str(number), 'w').close()",
        P.ARTIFACT_COUNT,
    ),
    _leaves(
        "a deeply nested file",
        "to have the host walk down 50 folders",
        "os.makedirs('deeper/' * 50)\nopen('deeper/' * 50 + 'weights', 'w').close()",
        P.NAME_RULES,
    ),
    _leaves(
        "a name with an escape",
        "to steer the terminal of whoever lists it",
        "open('a\\x1b]0;owned\\x07', 'w').close()",
        P.NAME_RULES,
    ),
    _leaves(
        "a name with a line break",
        "to add a header of its own to the archive that it is read from",
        "open('a\\n25 path=smuggled\\n', 'w').close()",
        P.NAME_RULES,
    ),
    _leaves(
        "a name that is not UTF-8",
        "to break the record",
        "open(b'\\xff\\xfe', 'w').close()",
        P.NAME_RULES,
        lambda scene: scene.broke or _something_came_out(scene),
    ),
    _leaves(
        "a name that runs backwards",
        "to look like another file",
        "open('weights\\u202etxt', 'w').close()",
        P.NAME_RULES,
    ),
    _leaves("a long name", "to break what shows it", "open('x' * 220, 'w').close()", P.NAME_RULES),
]

PRINTED = [
    Attempt(
        name="printed: terminal escapes",
        tries="to steer the terminal of whoever reads what it printed",
        code="print('\\x1b[2J\\x1b]0;' + told['token'] + '\\x07\\x9b31m', told['token'])",
        effect=lambda scene: any(sign in scene.shown() for sign in ("\x1b", "\x07", "\x9b")),
        stopped_by=(P.SANITISED,),
        harmless=True,
    ),
    Attempt(
        name="printed: text that runs backwards",
        tries="to show a reader another text than it printed",
        code="print('\\u202e' + told['token'] + '\\u2066\\u200b')",
        effect=lambda scene: any(sign in scene.shown() for sign in "\u202e\u2066\u200b"),
        stopped_by=(P.SANITISED,),
        harmless=True,
    ),
]

ATTEMPTS = (*ARTIFACTS, *PRINTED)
