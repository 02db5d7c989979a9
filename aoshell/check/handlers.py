"""Rules about handlers: how they are added, and which keys of a message they read."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass

from aoshell.check.facts import SourceFacts, without_parentheses
from aoshell.check.finding import Finding
from aoshell.check.messages import constant_value, kind_of
from aoshell.check.names import World
from aoshell.check.program import PlacedNode, Program
from aoshell.lua import syntax as tree
from aoshell.protocol.tag_names import lower_case, title_case

_VERBS = frozenset(("add", "append", "prepend", "once"))
_BUILT_IN = frozenset(("_eval", "_default", "_boot"))  # of aos itself
_HOLDS = {
    "name": ("string",),
    "pattern": ("string", "table", "function"),
    "handle": ("table", "function"),
}
# Keys as they are on HyperBEAM.
_SMALL_KEYS = frozenset(("action", "body", "data", "from", "id", "owner", "tags", "target"))
# Keys of a message that do not come from tags.
_OWN_KEYS = frozenset(("TagArray", "reply", "forward"))
_TAG_PATTERNS = frozenset(
    (("Handlers", "utils", "hasMatchingTag"), ("Handlers", "utils", "hasMatchingTagOf"))
)


@dataclass(frozen=True, slots=True)
class Handler:
    """A call that adds a handler; arguments that are missing or unknown are None.

    Attributes:
        replaces: whether it replaces a handler of the same name.
        is_whole: whether all arguments are known: `f(...)` at the end may give more.
    """

    call: tree.Call
    name: tree.Expression | None
    pattern: tree.Expression | None
    handle: tree.Expression | None
    replaces: bool
    is_whole: bool


def handler_of(call: tree.Expression, facts: SourceFacts) -> Handler | None:
    """The handler that a call adds, None for other calls."""
    if not isinstance(call, tree.Call):
        return None
    path = facts.path(call.function)
    is_beside = _is_beside(call, facts)
    if not is_beside and not (path and path[0] == "Handlers" and path[1:2] and path[1] in _VERBS):
        return None
    if not is_beside and path and len(path) != 2:
        return None
    given = call.arguments
    is_whole = not given or not isinstance(given[-1], tree.Call | tree.MethodCall | tree.Vararg)
    if len(given) == 2 and not is_beside and is_whole:
        first = None if path and path[1] == "once" else given[0]
        return Handler(call, first, given[0], given[1], first is not None, True)
    name, pattern, handle = (*given[:3], None, None, None)[:3]
    return Handler(call, name, pattern, handle, not is_beside, is_whole)


def _is_beside(call: tree.Call, facts: SourceFacts) -> bool:
    """Whether it is `Handlers.before(…).add(…)`, or after."""
    match call.function:
        case tree.Index(object=tree.Call(function=function), key=tree.Constant(value="add")):
            return facts.path(function) in (("Handlers", "before"), ("Handlers", "after"))
    return False


def all_handlers(facts: SourceFacts) -> Iterator[Handler]:
    for _, call in facts.calls:
        handler = handler_of(call, facts)
        if handler:
            yield handler


def check_handlers(facts: SourceFacts, world: World) -> Iterator[Finding]:
    """Handlers that cannot be added, that fail, or that no message reaches."""
    for handler in all_handlers(facts):
        wrong = list(_arguments(handler, facts))
        yield from wrong
        if wrong:
            continue
        name = constant_value(handler.name)
        # Since 2.0.3, aos adds _boot for the first message only, before any script can.
        is_lost = name in _BUILT_IN and (name != "_boot" or world.keeps_tags)
        if is_lost and handler.replaces:
            yield facts.text.finding(
                "handler-reserved", "warning", handler.call.at,
                f"{world.aos} replaces the handler '{name}' by its own with each message",
                "give it another name",
            )  # fmt: skip
        yield from _pattern_answers(handler, facts)
        yield from _pattern_keys(handler.pattern, facts, world)
    for path, call in facts.calls:
        if path in (("Receive",), ("Handlers", "receive")) and call.arguments and world.is_legacy:
            yield from _pattern_keys(call.arguments[0], facts, world)
        if path in _TAG_PATTERNS and call.arguments and world.is_legacy and not world.keeps_tags:
            name = constant_value(call.arguments[0])
            if isinstance(name, str) and title_case(name) != name:
                yield _never(name, call.arguments[0].at, facts)


def _arguments(handler: Handler, facts: SourceFacts) -> Iterator[Finding]:
    parts = {"name": handler.name, "pattern": handler.pattern, "handle": handler.handle}
    if handler.name is None and handler.pattern is not None:
        del parts["name"]
    for what, part in parts.items():
        kind = kind_of(part) if part else ("" if not handler.is_whole else "nothing")
        if kind and kind not in _HOLDS[what]:
            allowed = " or a ".join(_HOLDS[what])
            yield facts.text.finding(
                "handler-arguments", "error", (part or handler.call).at,
                f"the {what} of a handler is {_a(kind)}, it has to be a {allowed}",
                "write Handlers.add(name, pattern, function(msg) … end)",
            )  # fmt: skip
            return


def _a(kind: str) -> str:
    return kind if kind in ("nil", "nothing") else f"a {kind}"


def _pattern_answers(handler: Handler, facts: SourceFacts) -> Iterator[Finding]:
    function = handler.pattern and facts.function(handler.pattern)
    if not function or handler.pattern is handler.name:
        return
    returns = [node for node in own_nodes(function) if isinstance(node, tree.Return)]
    if any(node.values and kind_of(node.values[0]) != "nil" for node in returns):
        return
    if any(_always_raises(statement) for statement in function.body.statements):
        return
    yield facts.text.finding(
        "pattern-result", "error", function.at,
        "the pattern returns nothing: each message that it is asked about fails",
        'return true, false, "continue" or "break"',
    )  # fmt: skip


def _always_raises(statement: tree.Statement) -> bool:
    match statement:
        case tree.CallStatement(call=tree.Call(function=tree.Name(name="error"))):
            return True
    return False


def own_nodes(function: tree.Function) -> Iterator[tree.SyntaxNode]:
    """The nodes of a function without those of functions inside it, in no order."""
    pending: list[tree.SyntaxNode] = [function.body]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(n for n in tree.children(node) if not isinstance(n, tree.Function))


def _pattern_keys(
    pattern: tree.Expression | None, facts: SourceFacts, world: World
) -> Iterator[Finding]:
    table = facts.origin(pattern) if pattern else None
    if not isinstance(table, tree.TableConstructor):
        return
    for part in table.fields:
        key = constant_value(part.key)
        if not isinstance(key, str) or key in _OWN_KEYS:
            continue
        if world.is_legacy and not world.keeps_tags and title_case(key) != key:
            yield _never(key, part.at, facts)
        elif not world.is_legacy and lower_case(key) != key:
            yield facts.text.finding(
                "message-key", "error", part.at,
                f"no message has '{key}': on HyperBEAM keys are in lower case",
                f"match {lower_case(key)}",
            )  # fmt: skip


def _never(name: str, at: int, facts: SourceFacts) -> Finding:
    return facts.text.finding(
        "tag-case", "warning", at,
        f"no message has '{name}': aos writes the names of tags as '{title_case(name)}'",
        f'use "{title_case(name)}"',
    )  # fmt: skip


def reads_of(
    function: tree.Function, name_of: Callable[[tree.SyntaxNode, tree.Local], str]
) -> Iterator[tuple[str, int]]:
    """The keys that a handler reads from its message and does not set, with their first places.

    `name_of`: returns the name that a node reads from a message in a variable, or "".
    """
    message, set_here, found = function.parameters[0], set[str](), dict[str, int]()
    if is_set(message, function):
        return
    for node in tree.walk(function.body):
        if isinstance(node, tree.Assign):
            set_here.update(name_of(target, message) for target in node.targets)
        elif name := name_of(node, message):
            found.setdefault(name, node.at)
    yield from ((name, at) for name, at in found.items() if name not in set_here)


def is_set(local: tree.Local, function: tree.Function) -> bool:
    """Whether a function assigns to a variable."""
    return any(
        is_local(target, local)
        for node in tree.walk(function.body)
        if isinstance(node, tree.Assign)
        for target in node.targets
    )


def is_local(node: tree.Expression, local: tree.Local) -> bool:
    """Whether an expression is a variable."""
    node = without_parentheses(node)
    return isinstance(node, tree.Name) and node.local is local


def key_of(node: tree.SyntaxNode, message: tree.Local) -> str:
    """X of `msg.X`, else ""."""
    match node:
        case tree.Index(object=tree.Name(local=local), key=tree.Constant(value=str(key))):
            return key if local is message else ""
    return ""


def tag_of(node: tree.SyntaxNode, message: tree.Local) -> str:
    """X of `msg.Tags.X`, else ""."""
    match node:
        case tree.Index(object=inner, key=tree.Constant(value=str(name))):
            return name if key_of(inner, message) == "Tags" else ""
    return ""


def check_reads(
    function: tree.Function, facts: SourceFacts, world: World, written: Container[str]
) -> Iterator[Finding]:
    """Keys of a message that a handler reads, but neither aos nor the program (`written`) sets."""
    for name, at in reads_of(function, tag_of):
        if title_case(name) != name and name not in written and not world.keeps_tags:
            yield _never(name, at, facts)
    for key, at in reads_of(function, key_of):
        if key in _SMALL_KEYS and key not in written and not (key == "action" and world.keeps_tags):
            name = function.parameters[0].name
            yield facts.text.finding(
                "message-key", "warning", at,
                f"{name}.{key} is nil: aos writes the keys of messages in Title-Case",
                f"read {name}.{'X for the tag X' if key == 'body' else title_case(key)}",
            )  # fmt: skip


def check_replaced(program: Program) -> Iterator[Finding]:
    """Handlers that another of the same name replaces, in the order in which the files run."""
    seen: dict[str, tuple[SourceFacts, int]] = {}
    for facts in program.sources:
        removes = any(path == ("Handlers", "remove") for path, _ in facts.calls)
        for statement in facts.main.body.statements:
            call = statement.call if isinstance(statement, tree.CallStatement) else None
            if not isinstance(call, tree.Call) or removes:
                continue
            for name in _names_added(call, facts, program):
                if name in seen and name not in _BUILT_IN:
                    other, at = seen[name]
                    line = other.text.place(at)[0]
                    where = f"line {line}" if other is facts else f"{other.text.name}, line {line}"
                    yield facts.text.finding(
                        "handler-replaced", "warning", call.at,
                        f"this replaces the handler '{name}' of {where}",
                        "give one of them another name",
                    )  # fmt: skip
                seen[name] = (facts, call.at)


def _names_added(call: tree.Call, facts: SourceFacts, program: Program) -> Iterator[str]:
    """The names of handlers that a call is sure to add, itself or by functions of the program."""
    handler = handler_of(call, facts)
    if handler:
        name = constant_value(handler.name)
        if handler.replaces and isinstance(name, str):
            yield name
        return
    function = program.function(call.function, facts)
    if function is None:
        return
    given = dict(zip(function.node.parameters, call.arguments, strict=False))
    for statement in function.node.body.statements:
        inner = statement.call if isinstance(statement, tree.CallStatement) else None
        handler = handler_of(inner, function.facts) if inner else None
        if handler and handler.replaces:
            name = handler.name and without_parentheses(handler.name)
            if isinstance(name, tree.Name) and name.local in given:
                value = constant_value(program.value(PlacedNode(given[name.local], facts)).node)
            else:
                value = constant_value(name)
            if isinstance(value, str):
                yield value
