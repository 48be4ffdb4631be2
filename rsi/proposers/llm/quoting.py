"""Text that came out of the run, made fit to stand in a prompt: clearly data, and unable to end its own quotation."""

from __future__ import annotations

import ast
import json
import re

from rsi.sanitize import for_terminal

BYTES_A_TOKEN = 3.5
"""Of code and English, about; for planning only. Budgets count bytes."""


_MARK = re.compile(
    r"<(?=[|\uff5c])|[|\uff5c](?=>)"
    r"|<(?=/?(?:s|bos|eos|unk|pad|start_of_turn|end_of_turn)>|</?SYS>>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])",
    re.IGNORECASE,
)
"""The first character of what a chat template takes for a mark; a space behind it makes it none."""


def tokens(text: str) -> int:
    """About how many tokens a text has."""
    return -int(-len(text.encode()) // BYTES_A_TOKEN)


def clean(text: str) -> str:
    """No control characters, nothing invisible, and none of the marks by which chat templates tell who speaks."""
    return _MARK.sub(lambda match: match[0] + " ", for_terminal(text))


def in_a_line(text: str, longest: int) -> str:
    """A JSON string on one line."""
    line = " ".join(clean(text).split())
    return json.dumps(line if len(line) <= longest else line[: longest - 1] + "…", ensure_ascii=False)


def fenced(text: str, language: str = "") -> str:
    """The text between fences longer than any run of backticks in it, so that it cannot close them."""
    cleaned = clean(text)
    longest = max((len(run) for run in re.findall(r"`+", cleaned)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{cleaned}{'' if cleaned.endswith(chr(10)) else chr(10)}{fence}"


def interface(path: str, text: str) -> str:
    """What code may rely on in a protected file: signatures and docstrings of a Python file, else its beginning.

    Protected files are the human's, so they are parsed here and not in a child.
    """
    if not path.endswith(".py"):
        return text[:1000]
    tree = ast.parse(text)
    lines = [f'"""{ast.get_docstring(tree)}"""'] if ast.get_docstring(tree) else []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            lines.append(_signature(node, ""))
        elif isinstance(node, ast.Assign) and all(isinstance(t, ast.Name) and t.id.isupper() for t in node.targets):
            lines.append(ast.unparse(node)[:200])
    return "\n".join(lines)


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, indent: str) -> str:
    doc = ast.get_docstring(node)
    inner = indent + "    "
    told = f'{inner}"""{doc}"""' if doc else f"{inner}..."
    if isinstance(node, ast.ClassDef):
        methods = [m for m in node.body if isinstance(m, ast.FunctionDef) and not m.name.startswith("_")]
        return "\n".join([f"{indent}class {node.name}:", told, *(_signature(m, inner) for m in methods)])
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{indent}def {node.name}({ast.unparse(node.args)}){returns}:\n{told}"
