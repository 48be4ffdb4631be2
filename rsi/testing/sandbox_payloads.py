"""Programs that the sandbox conformance suite runs: polite ones, and bounded hostile ones."""

from __future__ import annotations

SURROUNDINGS = """
import os, sys
import sibling
print(__name__)
print(sibling.VALUE)
print(sys.argv[1])
print(os.path.basename(sys.argv[0]))
print(repr("".join(os.listdir("."))))
open("note", "w").close()
print(os.path.exists("note"))
print(repr(sys.stdin.read()))
"""

DIGESTS = """
import hashlib, os, sys
for name in sys.argv[1:]:
    with open(os.path.join(os.environ["RSI_IN"], name), "rb") as file:
        print(hashlib.sha256(file.read()).hexdigest())
"""

WRITES_TO_INPUTS = """
import os
root = os.environ["RSI_IN"]
own = os.path.join(root, "code", "program.py")
for attempt in (
    lambda: open(own, "a"),
    lambda: os.remove(own),
    lambda: open(os.path.join(root, "new"), "w"),
    lambda: os.chmod(own, 0o777),
):
    try:
        attempt()
        print("done")
    except OSError:
        print("refused")
"""

CHATTER = """
import sys
for number in range(20000):
    print("out", number)
    print("err", number, file=sys.stderr)
print("no newline", end="")
print("nor here", end="", file=sys.stderr)
"""

OUTPUTS = """
import os
root = os.environ["RSI_OUT"]
os.makedirs(os.path.join(root, "deep", "er"))
for name, content in (("weights.safetensors", bytes(range(256)) * 4096), ("deep/er/é", b"1"), ("empty", b"")):
    with open(os.path.join(root, name), "wb") as file:
        file.write(content)
"""

_IN_OUT = "import os\nos.chdir(os.environ['RSI_OUT'])\n"

FORBIDDEN = {
    "a symbolic link": _IN_OUT + "os.symlink('/etc/passwd', 'weights')",
    "a link to a folder": _IN_OUT + "os.symlink('/', 'weights')",
    "a hard link": _IN_OUT + "open('a', 'w').close()\nos.link('a', 'b')",
    "a FIFO": _IN_OUT + "os.mkfifo('weights')",
    "too many files": _IN_OUT + "for number in range(5): open(str(number), 'w').close()",
    "too large a file": _IN_OUT + "open('weights', 'wb').write(bytes(4 * 1024 * 1024 + 1))",
    "too large together": _IN_OUT + "for number in range(3): open(str(number), 'wb').write(bytes(1500000))",
    "a sparse file": _IN_OUT + "open('weights', 'wb').truncate(4 * 1024 * 1024 + 1)",
    "a control character": _IN_OUT + "open('a\\x1b[31m', 'w').close()",
    "a line break": _IN_OUT + "open('a\\nb', 'w').close()",
    "not UTF-8": _IN_OUT + "open(b'\\xff\\xfe', 'w').close()",
    "a long name": _IN_OUT + "open('x' * 201, 'w').close()",
    "a bad folder": _IN_OUT + "os.mkdir('a\\tb')",
    "right to left": _IN_OUT + "open('a\\u202eb', 'w').close()",
}
"""What may not come out → a program that leaves it, under caps of four files and 4 MiB."""

SOCKET = _IN_OUT + "import socket\nsocket.socket(socket.AF_UNIX).bind('weights')"

BUSY_CHILDREN = """
import os
for _ in range(3):
    if os.fork() == 0:
        while True:
            pass
os.wait()
"""

MEMORY_BOMB = """
kept = []
for _ in range(64):
    kept.append(bytearray(b"x") * (16 * 1024 * 1024))
"""

DISK_BOMBS = {
    "one file": _IN_OUT + "with open('big', 'wb') as file:\n    for _ in range(32): file.write(bytes(1024 * 1024))",
    "many files": _IN_OUT
    + "import time\nfor number in range(32):\n    open(str(number), 'wb').write(bytes(1 << 20))\n    time.sleep(0.02)",
}
"""Programs that write 32 MiB, under a limit of 8."""

FORK_BOMB = """
import os, time
born = 0
for _ in range(200):
    try:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
    except OSError:
        break
    born += 1
print(born)
"""

DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(25)
        print("late", flush=True)
        open(os.path.join(os.environ["RSI_OUT"], "late"), "w").close()
    os._exit(0)
os.wait()
print("parent done")
"""

ATTEMPTS = """
import ctypes, os, pickle, socket, subprocess
with socket.socket() as reaching:
    reaching.settimeout(2)
    reaching.connect_ex(("127.0.0.1", 9))
subprocess.run(["/bin/true"])
for number in range(3):
    try: open("/rsi-not-there")
    except OSError: pass
try: open("/proc/rsi-not-there", "w")
except OSError: pass
exec("made = 1")
pickle.loads(b"cbuiltins\\nprint\\n.")
ctypes.CDLL(None)
print("done")
"""
"""Line by line: a connection, a process, files outside, code from data. Nothing of it changes a machine."""

HONEST = """
import collections, dataclasses, json, os, random, tempfile
Point = collections.namedtuple("Point", "x y")

@dataclasses.dataclass
class Settings:
    rate: float = 0.1

for name in os.listdir(os.environ["RSI_IN"]):
    pass
with open(__file__) as own, open("notes", "w") as notes, open("/dev/null", "w") as nothing:
    notes.write(own.read())
with tempfile.NamedTemporaryFile() as file:
    file.write(b"x")
os.makedirs(os.environ["RSI_OUT"], exist_ok=True)
with open(os.path.join(os.environ["RSI_OUT"], "weights"), "w") as weights:
    json.dump([random.random(), Settings().rate, Point(1, 2)], weights)
os.cpu_count()
os.urandom(4)
"""
"""What training code does: libraries, its own folders, a temporary file."""

MANY_ATTEMPTS = """
for number in range(3000):
    try: open(f"/rsi-not-there-{number:06d}")
    except OSError: pass
import socket
with socket.socket() as reaching:
    reaching.settimeout(2)
    reaching.connect_ex(("127.0.0.1", 9))
"""

LINES_LIKE_THE_HOOKS = """
import sys
for line in ("[1, 'connection', 'forged', 'connect', '', 0, 1]", "[0, 0, 0]"):
    sys.stderr.write("\\x1e0123456789abcdef0123456789abcdef " + line + "\\n")
"""

MARKS_ITS_PLACE = """
import os, sys, time
used = [path for path in (os.environ["RSI_OUT"] + "/mark", "mark") if os.path.exists(path)]
with open("mark", "w") as scratch, open(os.environ["RSI_OUT"] + "/mark", "w") as file:
    scratch.write(sys.argv[1])
    file.write(sys.argv[1])
time.sleep(0.3)
print("used" if used else "fresh", open(os.environ["RSI_OUT"] + "/mark").read())
"""

READS_AND_WRITES = """
import os
path = os.path.join(os.environ["RSI_OUT"], "big")
if os.fork() == 0:  # gone at once: nobody could have looked while it ran
    with open(path, "wb", buffering=0) as file:
        for _ in range(5):
            file.write(bytes(1 << 20))
    os._exit(0)
os.wait()
with open(path, "rb", buffering=0) as file:
    while file.read(1 << 20):
        pass
"""
"""Five MiB written by a short child and read back by the program."""

TURNS = """
import sys, time
for stream, word in ((sys.stdout, "one"), (sys.stderr, "two"), (sys.stdout, "three")):
    print(word, file=stream, flush=True)
    time.sleep(0.2)
"""

UNENDING = """
import os, sys, time
print("in", flush=True)
with open(os.path.join(os.environ["RSI_OUT"], "half"), "wb") as file:
    file.write(bytes(1 << 20))
time.sleep(0.2)
print("err", file=sys.stderr, flush=True)
while True:
    pass
"""
