"""What every family of rules is given: the module, its names, and what follows from what."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from evals.reading.dotted import Called
from evals.reading.module import FUNCTIONS, Module
from evals.reading.names import Names
from rsi.attempts import as_ascii
from rsi.records import Severity

QUOTE = 80
MOST_FOLLOWED = 4000

INFO, NOTICE, WARNING = Severity.INFO, Severity.NOTICE, Severity.WARNING


@dataclass(frozen=True)
class Seen:
    """One thing that a rule saw.

    Rule, severity and subject tell it from others; where it stands and how it is written do not, so that code that was
    moved or spelt otherwise is the same.
    """

    rule: str
    severity: Severity
    subject: str
    message: str
    line: int
    quote: str


class Reader:
    """One file as the rules see it."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.module = Module(path, text)
        self.names = Names(self.module)
        self.fold = self.names.folder

    def seen(self, rule: str, severity: Severity, subject: str, node: ast.AST, message: str) -> Seen:
        """An observation at a node."""
        line = getattr(node, "lineno", 1)
        return Seen(f"reading.{rule}", severity, as_ascii(subject, 200), message, line, self.quote(line))

    def quote(self, line: int) -> str:
        """The line as it is written, bounded and printable."""
        text = self.module.lines[line - 1].strip() if 0 < line <= len(self.module.lines) else ""
        return as_ascii(text, QUOTE)

    # --- what there is ------------------------------------------------------------------------------------------

    @cached_property
    def calls(self) -> list[Called]:
        """Every call, as it takes effect."""
        return [
            called for node in self.module.nodes if isinstance(node, ast.Call) for called in self.names.called(node)
        ]

    @cached_property
    def mentions(self) -> list[tuple[str, ast.AST]]:
        """Every dotted name that the file does not define itself, with the place where it is mentioned."""
        found: list[tuple[str, ast.AST]] = []
        for node in self.module.nodes:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                continue
            if isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)) or (
                isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
            ):
                found += [(name, node) for name in self.names.of(node) if not name.startswith(".")]
        return found

    @cached_property
    def imports(self) -> list[tuple[str, ast.AST]]:
        """(module or member, statement) of every import."""
        found: list[tuple[str, ast.AST]] = []
        for node in self.module.nodes:
            if isinstance(node, ast.Import):
                found += [(alias.name, node) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = "." * node.level + (node.module or "")
                found += [(base, node)] + [(f"{base}.{alias.name}", node) for alias in node.names if alias.name != "*"]
        return found

    @cached_property
    def imported(self) -> frozenset[str]:
        """First parts of all that is imported."""
        return frozenset(name.split(".")[0] for name, _ in self.imports)

    # --- where --------------------------------------------------------------------------------------------------

    def guarded(self, node: ast.AST) -> bool:
        """Whether it runs only when the file is run as a script."""
        inner = node
        for outer in self.module.above(node):
            if isinstance(outer, ast.If) and inner in outer.body and _names_main(outer.test):
                return True
            inner = outer
        return False

    def at_import(self, node: ast.AST) -> bool:
        """Whether it runs when the file is imported."""
        return self.module.function_around(node) is None and not self.guarded(node)

    @cached_property
    def predicting(self) -> frozenset[ast.AST]:
        """The functions that `predict` reaches, itself included."""
        wanted = [node for path, node in self.names.own.items() if path == ".predict"]
        for binding in self.module.scope.bindings.get("predict", []):
            wanted += [self.names.own[name] for name in self.names.of(binding.node) if name in self.names.own]
        return self._reached(wanted)

    @cached_property
    def answering(self) -> list[ast.AST]:
        """Those of them that do not train, in the order of the file."""
        functions = [function for function in self.predicting if function not in self.training]
        return sorted(functions, key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0)))

    def is_predict(self, function: ast.AST) -> bool:
        """Whether it is `predict` itself."""
        return self.names.path(function) == ".predict"

    @cached_property
    def training(self) -> frozenset[ast.AST]:
        """The functions that take a gradient step, and all that call them."""
        steps = {
            function
            for node in self.module.nodes
            if isinstance(node, ast.Call) and self.takes_step(node)
            for function in self.module.functions_around(node)
        }
        grown = True
        while grown:
            callers = {
                function
                for node in self.module.nodes
                if isinstance(node, ast.Call)
                and any(self.names.own.get(name) in steps for name in self.names.of(node.func))
                for function in self.module.functions_around(node)
            }
            grown = not callers <= steps
            steps |= callers
        return frozenset(steps)

    def takes_step(self, node: ast.Call) -> bool:
        """Whether this call computes gradients or applies them, by its name."""
        written = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if written in ("backward", "step"):
            return True
        return bool(self.names.of(node.func) & {"torch.autograd.grad", "torch.autograd.backward", "torch.func.grad"})

    def trains(self, node: ast.AST) -> bool:
        """Whether gradient steps are taken somewhere inside, called functions included."""
        for part in ast.walk(node):
            if isinstance(part, ast.Call) and (
                self.takes_step(part) or any(self.names.own.get(n) in self.training for n in self.names.of(part.func))
            ):
                return True
        return False

    def _reached(self, start: Sequence[ast.AST]) -> frozenset[ast.AST]:
        wanted = list(start)
        reached: set[ast.AST] = set()
        while wanted:
            at = wanted.pop()
            if at in reached:
                continue
            reached.add(at)
            if isinstance(at, ast.ClassDef):
                methods = [part for part in at.body if isinstance(part, FUNCTIONS)]
                wanted += [m for m in methods if getattr(m, "name", "") != "__init__"]
                wanted += self._mentioned([m for m in methods if getattr(m, "name", "") == "__init__"], classes=True)
            else:
                wanted += self._mentioned([at])
        return frozenset(node for node in reached if isinstance(node, FUNCTIONS))

    def _mentioned(self, parts: Sequence[ast.AST], *, classes: bool = False) -> list[ast.AST]:
        own = [
            self.names.own.get(name.removesuffix("()"))
            for part in parts
            for node in ast.walk(part)
            if isinstance(node, (ast.Name, ast.Attribute, ast.Lambda))
            for name in self.names.of(node)
        ]
        return [node for node in own if node is not None and (not classes or isinstance(node, ast.ClassDef))]

    # --- what follows from what ---------------------------------------------------------------------------------

    def sources(self, node: ast.AST | None) -> Iterator[ast.AST]:
        """The node, its parts, and whatever the names in it are bound to, in turn; bounded."""
        open_nodes: list[ast.AST] = [node] if node is not None else []
        met: set[ast.AST] = set()
        while open_nodes and len(met) < MOST_FOLLOWED:
            at = open_nodes.pop()
            if at in met:
                continue
            met.add(at)
            yield at
            open_nodes += ast.iter_child_nodes(at) if not isinstance(at, (*FUNCTIONS, ast.ClassDef)) else []
            if isinstance(at, ast.Name):
                bound = self.module.lookup(at.id, self.module.scope_of.get(at, self.module.scope))
                for binding in bound:
                    if binding.kind == "parameter":
                        open_nodes += self.names.given(binding)
                    elif binding.kind in ("value", "item", "part"):
                        open_nodes.append(binding.node)
            elif isinstance(at, ast.Attribute):
                open_nodes += self.module.stored.get(at.attr, [])[:8]
            elif isinstance(at, ast.Call):
                for name in self.names.of(at.func):
                    definition = self.names.own.get(name)
                    if isinstance(definition, FUNCTIONS):
                        open_nodes += self.names.returned(definition)

    def follows(self, node: ast.AST | None, test: Callable[[ast.AST], bool]) -> bool:
        """Whether something of that kind is among what a value follows from."""
        return any(test(source) for source in self.sources(node))

    def stands_for(self, node: ast.AST, names: frozenset[str]) -> bool:
        """Whether an expression may be one of these dotted names, or a call of one."""
        found = self.names.of(node)
        return bool(found & names) or any(name.removesuffix("()") in names for name in found)

    def is_setting(self, node: ast.AST, setting: str) -> bool:
        """Whether it reads that name from the environment."""
        if isinstance(node, ast.Call) and node.args and self.names.of(node.func) & {"os.environ.get", "os.getenv"}:
            return setting in self.fold.strings(node.args[0])
        if (
            isinstance(node, ast.Call)
            and node.args
            and self.names.of(node.func) & {"os.environ.pop", "os.environ.setdefault"}
        ):
            return setting in self.fold.strings(node.args[0])
        if isinstance(node, ast.Subscript) and "os.environ" in self.names.of(node.value):
            return setting in self.fold.strings(node.slice)
        return False


def _names_main(test: ast.AST) -> bool:
    match test:
        case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]):
            return True
        case ast.Compare(left=ast.Constant(value="__main__"), ops=[ast.Eq()], comparators=[ast.Name(id="__name__")]):
            return True
        case _:
            return False
