"""Rules about how handlers use a message: numbers in tags, floods; `late` has one more."""

from __future__ import annotations

from collections.abc import Iterator

from aoshell.check.facts import EMITS, SourceFacts, is_reply, without_parentheses
from aoshell.check.finding import Finding
from aoshell.check.handled import handled
from aoshell.check.handlers import check_reads, is_set, key_of, own_nodes, tag_of
from aoshell.check.hyper import check_request
from aoshell.check.known import Path
from aoshell.check.late import check_late
from aoshell.check.messages import constant_value, kind_of
from aoshell.check.names import World
from aoshell.check.program import PlacedNode, Program
from aoshell.lua import syntax as tree

# Fields of a message that are not tags; some are numbers.
_NO_TAGS = frozenset(
    (
        "Anchor", "Block-Height", "Cron", "Cu", "Data", "Epoch", "From", "Hash-Chain", "Id",
        "Module", "Nonce", "Owner", "Reference", "Signature", "TagArray", "Tags", "Target",
        "Timestamp",
    )
)  # fmt: skip
_ORDERS = frozenset(("<", ">", "<=", ">="))
_EQUALS = frozenset(("==", "~="))
_ARITHMETIC = frozenset(("+", "-", "*", "/", "//", "%", "^"))
_NUMBERS = frozenset((("tonumber",), ("math", "floor"), ("math", "tointeger"), ("os", "time")))
_LISTS = frozenset((("pairs",), ("ipairs",), ("next",)))


def check_requests(program: Program, world: World) -> Iterator[Finding]:
    """Check the handlers of a program, in all of its files."""
    written = _Written(program)
    for function in handled(program):
        if world.is_legacy:
            yield from check_reads(function.node, function.facts, world, written)
            yield from _numbers(function, written)
            yield from check_late(function, program)
        else:
            yield from check_request(function.node, function.facts, written)
        yield from _floods(function, world)


class _Written:
    """Keys that the program writes into messages: their values are not those that were sent.

    Attributes:
        all_names: any name may be among them.
        all_values: the value of any tag may be changed.
    """

    def __init__(self, program: Program) -> None:
        self._names: set[str] = set()
        self.all_names = self.all_values = False
        for facts in program.sources:
            for node in facts.nodes:
                if isinstance(node, tree.Assign):
                    for target in node.targets:
                        self._note(target, program)

    def _note(self, target: tree.Expression, program: Program) -> None:
        if not isinstance(target, tree.Index):
            return
        inner = without_parentheses(target.object)
        of_tags = isinstance(inner, tree.Index) and constant_value(inner.key) == "Tags"
        if not of_tags and program.parameter(inner) is None:
            return
        name = constant_value(target.key)
        if isinstance(name, str):
            self._names.add(name)
            self.all_values |= name == "Tags"
        else:
            self.all_names |= of_tags
            self.all_values = True

    def __contains__(self, name: object) -> bool:
        return self.all_names or name in self._names


# Numbers in tags ----------------------------------------------------------------------------------


def _numbers(function: PlacedNode[tree.Function], written: _Written) -> Iterator[Finding]:
    """Tags, which are texts, used as numbers."""
    facts, message = function.facts, function.node.parameters[0]
    if written.all_values or is_set(message, function.node):
        return

    def tag(node: tree.Expression) -> str:
        node = facts.origin(node)
        name = tag_of(node, message)
        key = "" if name else key_of(node, message)
        name = name or (key if key not in _NO_TAGS and key[:1].isupper() else "")
        return "" if name in written else name

    def number(node: tree.Expression) -> bool:
        node = facts.origin(node)
        if isinstance(node, tree.Call):
            return facts.path(node.function) in _NUMBERS
        is_sum = isinstance(node, tree.Binary) and node.operator in _ARITHMETIC
        return is_sum or kind_of(node) == "number"

    for node in tree.walk(function.node.body):
        match node:
            case tree.Binary(operator=operator, left=left, right=right):
                names = [name for side in (left, right) if (name := tag(side))]
                if names:
                    has_number = number(left) or number(right)
                    yield from _operation(operator, names, has_number, node.at, facts)
            case tree.NumericFor(bounds=bounds):
                for bound in bounds:
                    if name := tag(bound):
                        yield _raises(f"the tag '{name}' is a text, which `for` refuses", bound.at,
                                      name, facts)  # fmt: skip


def _operation(
    operator: str, names: list[str], has_number: bool, at: int, facts: SourceFacts
) -> Iterator[Finding]:
    name = names[0]
    if operator in _ORDERS and has_number:
        message = f"the tag '{name}' is a text: to compare it with a number raises an error"
        yield _raises(message, at, name, facts)
    elif operator in _ORDERS and len(names) == 2:
        yield facts.text.finding(
            "tag-number", "warning", at,
            f"the tags '{name}' and '{names[1]}' are texts: '10' comes before '9'",
            "compare tonumber() of both, if these are numbers",
        )  # fmt: skip
    elif operator in _EQUALS and has_number:
        yield facts.text.finding(
            "tag-number", "warning", at,
            f"the tag '{name}' is a text: it never equals a number",
            f"use tonumber() of '{name}'",
        )  # fmt: skip
    elif operator in _ARITHMETIC:
        yield facts.text.finding(
            "tag-number", "warning", at,
            f"the tag '{name}' is a text: Lua calculates with '0x10' and '1e3', too, and raises an "
            "error for others",
            f"use tonumber() of '{name}', and refuse what gives nil or no whole number",
        )  # fmt: skip


def _raises(message: str, at: int, name: str, facts: SourceFacts) -> Finding:
    # Only a warning: a handler outside these files may have changed tags to numbers before.
    return facts.text.finding("tag-number", "warning", at, message, f"use tonumber() of '{name}'")


# Floods -------------------------------------------------------------------------------------------


def _floods(function: PlacedNode[tree.Function], world: World) -> Iterator[Finding]:
    """A message for each entry of a table of the process."""
    facts = function.facts
    for node in own_nodes(function.node):
        if not isinstance(node, tree.GenericFor):
            continue
        path = _listed(node.values[0], facts)
        if path and path[0] not in world.globals and _sends(node.body, facts):
            yield facts.text.finding(
                "send-loop", "note", node.at,
                f"this sends a message for each entry of '{'.'.join(path)}', however many there "
                "are: a result has a limit, and each is pushed and paid for by itself",
                "send a part at a time, or have others ask",
            )  # fmt: skip


def _listed(value: tree.Expression, facts: SourceFacts) -> Path | None:
    """The global over whose entries a loop runs."""
    match without_parentheses(value):
        case tree.Call(function=called, arguments=(table, *_)) if facts.path(called) in _LISTS:
            return facts.path(table)
    return None


def _sends(body: tree.Block, facts: SourceFacts) -> bool:
    return any(
        isinstance(node, tree.Call) and (facts.path(node.function) in EMITS or is_reply(node))
        for node in tree.walk(body)
    )
