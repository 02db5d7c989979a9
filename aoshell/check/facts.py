"""Collects facts about a source for the rules: names read and written, calls, places."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from aoshell.check.finding import Finding, Severity
from aoshell.check.known import Path
from aoshell.lua import syntax as tree
from aoshell.lua.lexer import BREAK
from aoshell.lua.parser import parse
from aoshell.lua.strict import StrictLexer

_BYTES = re.compile(r"[\x80-\xff]+")
_SKIPPED = re.compile(r"(?:\xef\xbb\xbf)?(#[^\r\n]*|)")
# The global that holds a module of aos.
_MODULES: dict[str, Path] = {
    "ao": ("ao",), ".ao": ("ao",), ".handlers": ("Handlers",), ".utils": ("Utils",),
    ".handlers-utils": ("Handlers", "utils"), ".process": ("require .process",),
}  # fmt: skip
SENDS: frozenset[Path | None] = frozenset((("Send",), ("ao", "send")))
SPAWNS: frozenset[Path | None] = frozenset((("Spawn",), ("ao", "spawn")))
EMITS = SENDS | SPAWNS
# Functions whose arguments may be nil.
_CAREFUL = frozenset(("assert", "rawequal", "tostring", "type"))


class Text:
    """A source as the parser takes it: latin-1, with spaces for a byte order mark and `#` line."""

    def __init__(self, name: str, source: bytes) -> None:
        self.name = name
        text = source.decode("latin-1")
        text = _SKIPPED.sub(lambda found: " " * len(found[0]), text, count=1)
        self.source = text
        self._lines = [0, *(found.end() for found in BREAK.finditer(text))]

    def place(self, at: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1; columns count characters."""
        line = bisect_right(self._lines, at)
        before = self.source[self._lines[line - 1] : at].encode("latin-1")
        return line, len(before.decode("utf-8", "surrogateescape")) + 1

    def finding(self, rule: str, severity: Severity, at: int, message: str, advice: str) -> Finding:
        line, column = self.place(at)
        return Finding(
            rule, self.name, line, column, severity, as_characters(message), as_characters(advice)
        )


def as_characters(text: str) -> str:
    """A message with the bytes of names and strings from the source decoded as UTF-8."""
    return _BYTES.sub(
        lambda found: found.group().encode("latin-1").decode("utf-8", "replace"), text
    )


@dataclass(slots=True)
class SourceFacts:
    """What a source reads, writes and calls.

    Attributes:
        nodes: all of its tree, in the order of the text.
        reads: (path, node) of each global that is read; the path ends before a key that is not
            constant: `ao.env.Process` is ("ao", "env", "Process"). `_G.x` is ("x",).
        writes: paths that are assigned.
        tested: paths that are compared with nil or used as a condition: the script knows that they
            may be missing.
        values: the expression that a local is set to, if it is set only once.
        calls: (path, call); path is None if the function is not a global or an alias of one.
        is_dynamic: globals may come from anywhere (`_G[name] = …`, a metatable of `_G`, `_ENV`).
        filled: `[key] = value` of each assignment to a key of a local.
        uses: how often each local is named, and how many of these fill or send it.
        own: modules that are files next to the source; they hide aos's modules of these names.
    """

    text: Text
    main: tree.Function
    lexer: StrictLexer
    own: Collection[str] = ()
    nodes: list[tree.SyntaxNode] = field(default_factory=list)
    reads: list[tuple[Path, tree.SyntaxNode]] = field(default_factory=list)
    writes: set[Path] = field(default_factory=set)
    tested: set[Path] = field(default_factory=set)
    values: dict[tree.Local, tree.Expression] = field(default_factory=dict)
    calls: list[tuple[Path | None, tree.Call]] = field(default_factory=list)
    filled: dict[tree.Local, list[tree.Field]] = field(default_factory=dict)
    uses: Counter[tuple[tree.Local, bool]] = field(default_factory=Counter)
    is_dynamic: bool = False

    def shared(self, local: tree.Local) -> bool:
        """Whether a table is used for anything but being filled and sent as a message or its
        tags."""
        return self.uses[local, False] > self.uses[local, True]

    def path(self, expression: tree.Expression) -> Path | None:
        """The path of the global that an expression names, directly or through a local."""
        keys: list[str] = []
        while True:
            match without_parentheses(expression):
                case tree.Name(local=None, name=name):
                    return _rooted(name, keys)
                case tree.Name(local=local) if local in self.values:
                    expression = self.values[local]
                case tree.Index(object=inner, key=tree.Constant(value=str(key))):
                    keys.append(key)
                    expression = inner
                case found:
                    module = self._required_as(found)
                    return module and (*module, *reversed(keys))

    def _required_as(self, expression: tree.Expression) -> Path | None:
        """The global that holds the required module of aos, None for other modules."""
        match expression:
            case tree.Call(
                function=tree.Name(name="require", local=None),
                arguments=(tree.Constant(value=str(name)),),
            ):
                return None if name in self.own else _MODULES.get(name)
        return None

    def function(self, expression: tree.Expression) -> tree.Function | None:
        """The function that an expression is or names, None if that is not certain."""
        found = without_parentheses(expression)
        if isinstance(found, tree.Name) and found.local in self.values:
            found = self.values[found.local]
        return found if isinstance(found, tree.Function) else None

    def origin(self, expression: tree.Expression) -> tree.Expression:
        """An expression, or what the local that it names is set to."""
        found = without_parentheses(expression)
        if isinstance(found, tree.Name) and found.local in self.values:
            return without_parentheses(self.values[found.local])
        return found

    def required(self) -> Iterator[tuple[str, tree.Call]]:
        """Modules that are required by a literal name."""
        for path, call in self.calls:
            name = _text(call.arguments[0]) if call.arguments else None
            if path == ("require",) and name is not None:
                yield name, call

    def required_late(self) -> Iterator[tree.Call]:
        """Calls that require a module whose name the text does not say."""
        for path, call in self.calls:
            arguments = call.arguments
            if path == ("pcall",) and arguments and self.path(arguments[0]) == ("require",):
                path, arguments = ("require",), arguments[1:]
            if path == ("require",) and arguments and _text(arguments[0]) is None:
                yield call


def _text(expression: tree.Expression) -> str | None:
    """The value of a string constant, else None."""
    found = without_parentheses(expression)
    return (
        found.value if isinstance(found, tree.Constant) and isinstance(found.value, str) else None
    )


def read_facts(text: Text, own: Collection[str] = ()) -> SourceFacts:
    """Collect the facts about a source.

    Args:
        own: modules that are files next to it.

    Raises:
        LuaSyntaxError: it is not Lua 5.3.
    """
    main, lexer = parse(text.source)
    found = SourceFacts(text, main, lexer, own, list(tree.walk(main)))
    _locals(found)
    inner: set[int] = set()  # parts of paths that are recorded as a whole
    for node in found.nodes:
        _note(found, node, inner)
    return found


def without_parentheses(expression: tree.Expression) -> tree.Expression:
    """An expression without the parentheses around it."""
    while isinstance(expression, tree.Parenthesis):
        expression = expression.inner
    return expression


def global_path(expression: tree.SyntaxNode) -> Path | None:
    """The path of the global that an expression names directly."""
    keys: list[str] = []
    while isinstance(expression, tree.Index):
        if not isinstance(expression.key, tree.Constant) or not isinstance(
            key := expression.key.value, str
        ):
            return None
        keys.append(key)
        expression = expression.object
    if isinstance(expression, tree.Name) and expression.local is None:
        return _rooted(expression.name, keys)
    return None


def _rooted(name: str, keys: list[str]) -> Path:
    """A path from a global's name and its keys, which are given last first."""
    path = (name, *reversed(keys))
    return path[1:] if keys and name in ("_G", "_ENV") else path


def _locals(found: SourceFacts) -> None:
    changed: set[tree.Local] = set()
    for node in found.nodes:
        match node:
            case tree.LocalAssign(locals=locals_, values=values):
                found.values.update(zip(locals_, values, strict=False))
                found.is_dynamic |= any(local.name == "_ENV" for local in locals_)
            case tree.LocalFunction(local=local, function=function):
                found.values[local] = function
            case tree.Assign(targets=targets):
                for target in targets:
                    if isinstance(target, tree.Name) and target.local:
                        changed.add(target.local)
    for local in changed:
        found.values.pop(local, None)


def _note(found: SourceFacts, node: tree.SyntaxNode, inner: set[int]) -> None:
    match node:
        case tree.Assign(targets=targets, values=values):
            for target in targets:
                _written(found, target)
                inner.add(id(target))
            _filled(found, targets, values)
        case tree.Name(local=tree.Local() as local):
            found.uses[local, False] += 1
        case tree.Name() | tree.Index() if id(node) not in inner:
            path = global_path(node)
            if path:
                found.reads.append((path, node))
                while isinstance(node, tree.Index):
                    node = node.object
                    inner.add(id(node))
        case tree.Call():
            path = found.path(node.function)
            found.calls.append((path, node))
            _sent(found, path, node)
            _called(found, path, node)
        case tree.Binary(operator="and" | "or", left=left, right=right):
            _tested(found, left, right)
        case tree.Binary(operator="==" | "~=", left=left, right=right):
            if any(
                isinstance(side, tree.Constant) and side.value is None for side in (left, right)
            ):
                _tested(found, left, right)
        case tree.Unary(operator="not", operand=operand):
            _tested(found, operand)
        case tree.While(condition=condition) | tree.Repeat(condition=condition):
            _tested(found, condition)
        case tree.Branch(condition=condition) if condition:
            _tested(found, condition)


def _tested(found: SourceFacts, *expressions: tree.Expression) -> None:
    for expression in expressions:
        path = found.path(expression)
        if path:
            found.tested.add(path)


def _written(found: SourceFacts, target: tree.Expression) -> None:
    path = global_path(target)
    if path:
        found.writes.add(path)
        found.is_dynamic |= path == ("_ENV",)
    elif isinstance(target, tree.Index) and global_path(target.object) in (("_G",), ("_ENV",)):
        found.is_dynamic = True


def _filled(
    found: SourceFacts, targets: tuple[tree.Expression, ...], values: tuple[tree.Expression, ...]
) -> None:
    for target, value in zip(targets, values, strict=False):
        match target:
            case tree.Index(object=tree.Name(local=tree.Local() as local), key=key):
                found.filled.setdefault(local, []).append(tree.Field(target.at, key, value))
                found.uses[local, True] += 1


def _sent(found: SourceFacts, path: Path | None, call: tree.Call) -> None:
    if path not in EMITS and not is_reply(call):
        return
    for argument in call.arguments[-1:]:
        table = found.origin(argument)
        parts = [argument]
        if isinstance(table, tree.TableConstructor):
            parts += [
                field.value
                for field in table.fields
                if isinstance(field.key, tree.Constant) and field.key.value == "Tags"
            ]
        for part in map(without_parentheses, parts):
            if isinstance(part, tree.Name) and part.local:
                found.uses[part.local, True] += 1


def is_reply(call: tree.Call) -> bool:
    """Whether a call is `msg.reply(…)`, with the message in a variable."""
    match call.function:
        case tree.Index(object=tree.Name(local=tree.Local()), key=tree.Constant(value="reply")):
            return True
    return False


def _called(found: SourceFacts, path: Path | None, call: tree.Call) -> None:
    if path is None:
        return
    if path[0] in _CAREFUL:
        _tested(found, *call.arguments)
    first = call.arguments[0] if call.arguments else None
    if path in (("setmetatable",), ("rawset",)) and first and global_path(first) == ("_G",):
        match call.arguments:
            case (_, tree.Constant(value=str(key)), _) if path == ("rawset",):
                found.writes.add((key,))
            case _:
                found.is_dynamic = True
