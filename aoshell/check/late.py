"""A rule about handlers that change state before they check who asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from aoshell.check.facts import SourceFacts, global_path, without_parentheses
from aoshell.check.finding import Finding
from aoshell.check.handlers import is_local, key_of
from aoshell.check.messages import kind_of
from aoshell.check.program import PlacedNode, Program
from aoshell.lua import syntax as tree

_DEPTH = 4  # nested calls that are followed
_CHANGES = frozenset((("table", "insert"), ("table", "remove"), ("table", "sort")))
_RAISES = frozenset((("error",), ("assert",)))
_SENDER = frozenset(("From", "Owner"))


@dataclass(frozen=True, slots=True)
class _Event:
    """An event at a place: the global `name` changes or, if it is "", the sender is checked.

    Attributes:
        by: the called function that does it, "" if the statement does it itself.
    """

    at: int
    name: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class _Scope:
    """A function whose statements are checked.

    Attributes:
        message: the variable that holds the message, None if it gets none.
        senders: variables that hold the sender.
        ends: whether its `return` ends the handler.
        open: the calls that led to it.
    """

    facts: SourceFacts
    message: tree.Local | None
    senders: frozenset[tree.Local] = field(default=frozenset())
    ends: bool = True
    open: tuple[tree.Function, ...] = ()

    def has_message(self, node: tree.Expression) -> bool:
        """Whether an expression is the message."""
        return self.message is not None and is_local(self.facts.origin(node), self.message)

    def has_sender(self, node: tree.Expression) -> bool:
        """Whether an expression is the sender of the message."""
        node = self.facts.origin(node)
        if isinstance(node, tree.Name):
            return node.local in self.senders
        return self.message is not None and key_of(node, self.message) in _SENDER

    def compares_sender(self, node: tree.SyntaxNode) -> bool:
        """Whether a part of the text itself compares the sender of the message."""
        match node:
            case tree.Binary(operator="==" | "~=", left=left, right=right):
                return self.has_sender(left) or self.has_sender(right)
        return False


def check_late(function: PlacedNode[tree.Function], program: Program) -> Iterator[Finding]:
    """A handler that changes state before it checks the sender: a refusal does not undo that."""
    facts = function.facts
    scope = _Scope(facts, function.node.parameters[0], open=(function.node,))
    change: _Event | None = None
    for event in _events(function.node.body, scope, program):
        if event.name:
            change = change or event
            continue
        if change:
            line = facts.text.place(event.at)[0]
            by = f" by {change.by}" if change.by else ""
            yield facts.text.finding(
                "late-check", "warning", change.at,
                f"'{change.name}' is changed{by} before line {line} checks the sender: a refused"
                " message changes it all the same",
                "check first",
            )  # fmt: skip
        return


def _events(body: tree.Block, scope: _Scope, program: Program) -> Iterator[_Event]:
    """What the statements of a block are sure to do, in order."""
    for statement in body.statements:
        if isinstance(statement, tree.Do):
            yield from _events(statement.body, scope, program)
        elif _checks(statement, scope, program):
            yield _Event(statement.at)
        else:
            yield from _called(statement, scope, program)
            yield from _changed(statement, scope.facts)


def _called(statement: tree.Statement, scope: _Scope, program: Program) -> Iterator[_Event]:
    """The events in the functions that a statement is sure to call."""
    match statement:
        case tree.CallStatement(call=tree.Call() as call):
            calls: list[tree.Expression] = [call]
        case tree.LocalAssign(values=values) | tree.Assign(values=values):
            calls = [without_parentheses(value) for value in values]
        case _:
            return
    for called in calls:
        inner = _inside(called, scope, program)
        if inner is not None and isinstance(called, tree.Call):
            function, within = inner
            for event in _events(function.body, within, program):
                by = _name(called.function) if event.name else ""
                yield replace(event, at=called.at, by=by)


def _inside(
    call: tree.Expression, scope: _Scope, program: Program
) -> tuple[tree.Function, _Scope] | None:
    """The function of the program that a call runs, and the scope with its arguments."""
    if not isinstance(call, tree.Call) or len(scope.open) > _DEPTH:
        return None
    found = program.function(call.function, scope.facts)
    if found is None or any(found.node is one for one in scope.open):
        return None
    given = list(zip(found.node.parameters, call.arguments, strict=False))
    message = next((local for local, value in given if scope.has_message(value)), None)
    senders = frozenset(local for local, value in given if scope.has_sender(value))
    return found.node, _Scope(found.facts, message, senders, False, (*scope.open, found.node))


def _name(function: tree.Expression) -> str:
    match without_parentheses(function):
        case tree.Name(name=name) | tree.Index(key=tree.Constant(value=str(name))):
            return name
    return "a function"


# Changes ------------------------------------------------------------------------------------------


def _changed(statement: tree.Statement, facts: SourceFacts) -> Iterator[_Event]:
    """The global that a statement is sure to change, except counters."""
    match statement:
        case tree.Assign(targets=(target, *_), values=(value, *_)):
            root: tree.Expression = target
            while isinstance(root, tree.Index):
                root = without_parentheses(root.object)
            is_global = isinstance(root, tree.Name) and root.local is None
            if is_global and not isinstance(value, tree.Function) and not _counts(value, facts):
                yield _Event(target.at, root.name if isinstance(root, tree.Name) else "")
        case tree.CallStatement(call=tree.Call(function=called, arguments=(first, *_))):
            path = global_path(first)
            if path and facts.path(called) in _CHANGES:
                yield _Event(first.at, ".".join(path))


def _counts(value: tree.Expression, facts: SourceFacts) -> bool:
    """Whether a value is a name plus a constant, or a name or a constant."""
    match without_parentheses(value):
        case tree.Binary(operator="+" | "or", left=left, right=right):
            return global_path(left) is not None and kind_of(facts.origin(right)) != ""
    return False


# Checks -------------------------------------------------------------------------------------------


def _checks(statement: tree.Statement, scope: _Scope, program: Program) -> bool:
    """Whether a statement ends the handler depending on the sender."""
    match statement:
        case tree.CallStatement(call=tree.Call(function=called, arguments=(condition, *_))):
            is_end = scope.facts.path(called) == ("assert",)
            return is_end and _asks_who(condition, scope, program)
        case tree.If(branches=(tree.Branch(condition=tree.SyntaxNode() as condition, body=body),)):
            is_end = bool(body.statements) and _ends(body.statements[-1], scope)
            return is_end and _asks_who(condition, scope, program)
    return False


def _asks_who(condition: tree.Expression, scope: _Scope, program: Program) -> bool:
    """Whether a condition compares the sender, itself or in a function that it calls."""
    for node in tree.walk(condition):
        if scope.compares_sender(node):
            return True
        if isinstance(node, tree.Call) and (inner := _inside(node, scope, program)):
            function, within = inner
            if any(map(within.compares_sender, tree.walk(function.body))):
                return True
    return False


def _ends(statement: tree.Statement, scope: _Scope) -> bool:
    match statement:
        case tree.Return():
            return scope.ends
        case tree.CallStatement(call=tree.Call(function=called)):
            return scope.facts.path(called) in _RAISES
    return False
