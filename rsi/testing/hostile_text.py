"""Texts that try to act where they are shown, and a run in which they stand wherever a sandbox or a model can write.

Whatever shows a run is tested with these: nothing of them may run, style, load, steer a terminal, hide or reorder
text. A browser's payloads all set `window.__pwned`, so that one test tells.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rsi.blobs import Blobs
from rsi.redaction import Redactor
from rsi.review import notes
from rsi.testing.altering import load, store

SCRIPTS = (
    "<script>window.__pwned=1;alert(1)</script>",
    "</script><script>window.__pwned=2</script>",
    "<!--<script>window.__pwned=3",
    "--><script>window.__pwned=4</script>",
    '<img src=x onerror="window.__pwned=5">',
    "'\"><svg onload=window.__pwned=6>",
    '<svg><script>window.__pwned=7</script><a xlink:href="javascript:window.__pwned=8"><text>x</text></a></svg>',
    "<math><mtext></mtext><mglyph><style><img src=x onerror=window.__pwned=9></style></mglyph></math>",
    '<iframe srcdoc="<script>parent.__pwned=10</script>"></iframe>',
    '<iframe src="javascript:parent.__pwned=11"></iframe>',
    "<details open ontoggle=window.__pwned=12>",
    "<body onload=window.__pwned=13>",
    "<input autofocus onfocus=window.__pwned=14>",
    '<object data="data:text/html,<script>parent.__pwned=15</script>"></object>',
    "<template shadowrootmode=open><img src=x onerror=window.__pwned=16></template>",
    "</title></style></textarea></noscript></template><script>window.__pwned=17</script>",
    '"];window.__pwned=18;//',
    "\\u003cscript\\u003ewindow.__pwned=19\\u003c/script\\u003e",
    "&lt;script&gt;window.__pwned=20&lt;/script&gt;",
    "\u2028window.__pwned=21\u2029",
)
STYLES = (
    "<style>body{display:none}</style>",
    "</style><link rel=stylesheet href=//127.0.0.1:9/x.css>",
    '" style="position:fixed;inset:0;background:url(https://127.0.0.1:9/pixel)',
    "<base href=https://127.0.0.1:9/>",
    '<meta http-equiv=refresh content="0;url=https://127.0.0.1:9/">',
    "<form action=https://127.0.0.1:9/><button>send</button></form>",
)
ADDRESSES = (
    "javascript:window.__pwned=30",
    "java\tscript:window.__pwned=31",
    "data:text/html,<script>window.__pwned=32</script>",
    "https://127.0.0.1:9/?leak",
    "//127.0.0.1:9/x",
    "file:///etc/passwd",
    "[click](javascript:window.__pwned=33)",
)
TEMPLATES = (
    "{{ 7 * 191 }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "${7*191}",
    "<%= 7*191 %>",
)
UNSEEN = (
    "\u202egnp.exe\u202c",
    "\u2066isolated\u2069 \u200bzero\u200dwidth\ufeff \u00adsoft",
    "Z\u0335\u0321\u0322\u0323\u0324\u0325\u0326\u0327\u0328\u0329\u032a\u032b\u032c\u032d\u032e\u032f\u0330algo",
    "tags \U000e0041\U000e0042 end",
)
TERMINAL = (
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b0m",
    "\x1b]8;;https://127.0.0.1:9/\x1b\\link\x1b]8;;\x1b\\",
    "over\rwritten\x08\x08 \x00nul",
    "[bold red]loud[/] :skull:",
)
TEXTS = (*TERMINAL, *UNSEEN, *SCRIPTS, *STYLES, *ADDRESSES, *TEMPLATES)
"""Every one of them."""
ALL = " ¶ ".join(TEXTS)
"""All in one line."""
GIGANTIC = "A" * 5_000_000
"""A line that a page cannot show whole."""
METRIC = "loss'\"><img src=x onerror=window.__pwned=40>"
CHALLENGE = "points'\"></details><script>window.__pwned=41</script>"
FILE = "train'\"><svg onload=window.__pwned=42>\u202eyp.py"


def plant(folder: Path, *, metric: str, challenge: str) -> None:
    """Put them into every text of a run that does not come from this program, and hash its chain again.

    Args:
        folder: Of a run that may be changed.
        metric: The run's objective, which is renamed everywhere.
        challenge: A challenge of its verifier, which is renamed everywhere.
    """
    blobs = Blobs(folder / "blobs", Redactor.none())
    lines = "\n".join([*TEXTS, GIGANTIC])
    printed = blobs.put(lines.encode("utf-8", "surrogatepass"))
    printed_raw = blobs.put(b"\xff\xfe\x80 not UTF-8\n" + lines.encode())
    diff = blobs.put(_diff().encode())
    spoken = blobs.put(ALL.encode())
    events = load(folder)
    for event in events:
        body = event["body"] = _renamed(event["body"], {metric: METRIC, challenge: CHALLENGE})
        _planted(event["kind"], body, diff, spoken)
        if "stdout" in body:
            body["stdout"], body["stderr"], body["course"] = printed, printed_raw, None
    store(folder, events)
    for mark in ("suspicious", "fine"):
        note = notes.Note(
            experiment=1, text=ALL[:4000], mark=mark, author=SCRIPTS[0], head=events[-1]["hash"], events=len(events)
        )
        notes.write(folder, note)


def _planted(kind: str, body: dict[str, Any], diff: str, spoken: str) -> None:
    finding = {"severity": "critical", "code": SCRIPTS[0], "message": ALL, "pointer": ALL}
    pointing = [
        {"severity": "warning", "code": "c", "message": ALL, "pointer": f"diff:5 ({FILE}:1)"},
        {"severity": "warning", "code": "c", "message": ALL, "pointer": "stdout:3"},
    ]
    if kind == "run.started":
        body["sandbox"]["name"] = body["configuration"]["task"] = body["configuration"]["proposer"]["name"] = ALL
        body["sandbox"]["engine"] = body["sandbox"]["image_digest"] = ALL
        body["versions"] = {ALL: ALL}
    elif kind == "data.prepared":
        body["facts"] = {ALL: [ALL]}
    elif kind == "experiment.proposed":
        body["rationale"] = ALL + GIGANTIC[:100_000]
        body["kind"], body["detail"], body["problem"] = ALL, {ALL: ALL}, ALL
        body["provenance"] |= {"proposer": ALL, "model": ALL, "prompt": spoken, "answer": spoken}
    elif kind == "experiment.committed":
        body["changed"] = [FILE, ALL]
        body["diff"] = diff if body["diff"] is not None else None
    elif kind == "trial.trained":
        body["findings"] = [finding, *pointing]
        attempt = {"grade": "observed", "kind": "connection", "target": ALL, "file": FILE, "line": 3, "detail": ALL}
        covered = {"grade": "traced", "complete": False, "detail": ALL, "disputed": True}
        body["execution"] |= {"attempts": [attempt], "coverage": [covered], "detail": ALL}
        body["execution"]["fault"] = {"error": ALL, "file": FILE, "line": 1}
    elif kind == "trial.judged":
        body["verdict"]["findings"] = [finding]
    elif kind == "policy.decided":
        body["decision"]["reason"] = body["decision"]["rule"] = ALL
    if "reason" in body:
        body["reason"] = ALL


def _diff() -> str:
    added = "".join(f"+{line}\n" for text in TEXTS for line in text.splitlines())
    return f"--- a/{FILE}\n+++ b/{FILE}\n@@ -1,1 +1,{len(TEXTS)} @@\n-VALUE = 1.0\n{added}+{GIGANTIC}\n"


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, dict):
        return {names.get(key, key): _renamed(item, names) for key, item in value.items()}
    return [_renamed(item, names) for item in value] if isinstance(value, list) else value
