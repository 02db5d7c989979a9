"""Rules about messages that a script sends: their tags, limits, and what a Spawn needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aoshell.check.facts import SENDS, SPAWNS, SourceFacts, is_reply, without_parentheses
from aoshell.check.finding import Finding
from aoshell.check.names import World
from aoshell.lua import syntax as tree
from aoshell.protocol.message import MAX_TAG_NAME, MAX_TAG_VALUE, MAX_TAGS

# Fields of a message that are no tags.
_FIELDS = frozenset(("Target", "Data", "Anchor", "Tags", "From"))
# Tags that only the network sets; it removes them from messages of processes.
_REMOVED = frozenset(
    (
        "Data-Protocol",
        "Variant",
        "Type",
        "From",
        "From-Process",
        "From-Module",
        "Owner",
        "Pushed-For",
    )
)
_ASSIGNS = "Assignments"  # a list of processes; the network removes it and assigns to them
_ADDED = 7  # Data-Protocol, Variant, Type, Reference, From-Process, From-Module, Pushed-For


@dataclass(frozen=True, slots=True)
class TagExpression:
    name: str
    value: tree.Expression
    at: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A message whose fields are written out in the source.

    Attributes:
        tags: those with constant names.
        is_whole: whether these are all tags.
        fields: its other fields by name.
    """

    at: int
    is_spawn: bool
    tags: tuple[TagExpression, ...]
    is_whole: bool
    fields: dict[str, tree.Expression]

    def text(self, name: str) -> str:
        """A tag or field that is a constant string, else ""."""
        found = [tag.value for tag in self.tags if tag.name == name]
        value = constant_value(found[0] if found else self.fields.get(name))
        return value if isinstance(value, str) else ""


def sent_messages(facts: SourceFacts) -> Iterator[Sent]:
    """The messages that a source sends or spawns with."""
    for path, call in facts.calls:
        is_spawn = path in SPAWNS
        if not (path in SENDS or is_spawn or is_reply(call)) or not call.arguments:
            continue
        table = _written_out(call.arguments[-1], call.at, facts)
        if table and (not is_spawn or len(call.arguments) <= 2):
            yield _message(call.at, is_spawn, table, facts)


def _written_out(
    given: tree.Expression, at: int, facts: SourceFacts
) -> tree.TableConstructor | None:
    """A table with its certain content at a place, None for anything else.

    A variable counts only if it is filled and sent: any other use may change it.
    """
    given = without_parentheses(given)
    if isinstance(given, tree.TableConstructor):
        return given
    if not isinstance(given, tree.Name) or given.local not in facts.values:
        return None
    table = without_parentheses(facts.values[given.local])
    filled = facts.filled.get(given.local, [])
    if not isinstance(table, tree.TableConstructor) or facts.shared(given.local):
        return None
    more = tuple(field for field in filled if field.at < at)
    return tree.TableConstructor(table.at, table.fields + more)


def _message(at: int, is_spawn: bool, table: tree.TableConstructor, facts: SourceFacts) -> Sent:
    fields: dict[str, tree.Expression] = {}
    tags, is_whole = _pairs(table)
    own = [tag for tag in tags if tag.name not in _FIELDS]
    fields.update({tag.name: tag.value for tag in tags if tag.name in _FIELDS})
    more = _written_out(fields["Tags"], at, facts) if "Tags" in fields else None
    if more:
        is_list = bool(more.fields) and all(field.key is None for field in more.fields)
        listed, is_known = _listed(more) if is_list else _pairs(more)
        own += listed
        is_whole = is_whole and is_known
    elif "Tags" in fields:
        is_whole = False
    return Sent(at, is_spawn, tuple(own), is_whole, fields)


def _pairs(table: tree.TableConstructor) -> tuple[list[TagExpression], bool]:
    """The tags of a map, and whether all names are constant."""
    found = [
        TagExpression(name, field.value, field.at)
        for field in table.fields
        if field.key and isinstance(name := constant_value(field.key), str)
    ]
    return found, len(found) == len(table.fields)


def _listed(table: tree.TableConstructor) -> tuple[list[TagExpression], bool]:
    """The tags of a list of {name=, value=}, and whether all names are constant."""
    found = []
    for item in table.fields:
        entry = without_parentheses(item.value)
        if not isinstance(entry, tree.TableConstructor):
            continue
        parts = {tag.name: tag.value for tag in _pairs(entry)[0]}
        name = constant_value(parts.get("name"))
        if isinstance(name, str) and "value" in parts:
            found.append(TagExpression(name, parts["value"], item.at))
    return found, len(found) == len(table.fields)


def constant_value(expression: tree.Expression | None) -> object:
    """The value of a constant expression; None if it is not one, or nil."""
    match expression and without_parentheses(expression):
        case tree.Constant(value=value):
            return value
        case tree.Binary(operator="..", left=left, right=right):
            parts = constant_value(left), constant_value(right)
            if all(isinstance(part, str) for part in parts):
                return "".join(map(str, parts))
    return None


def check_messages(facts: SourceFacts, world: World) -> Iterator[Finding]:
    """Messages that the legacy network drops, changes or does not understand."""
    if not world.is_legacy:
        return
    has_patch = False
    for message in sent_messages(facts):
        if message.text("device") == "patch@1.0" or message.text("method") == "PATCH":
            if not has_patch:
                yield _patch(message, facts)
            has_patch = True
            continue
        yield from _asked_of_aos(message, facts)
        yield from _authority(message, facts)
        yield from _limits(message, facts)
        for tag in message.tags:
            if tag.name != _ASSIGNS:
                yield from _tag(tag, facts)


def _patch(message: Sent, facts: SourceFacts) -> Finding:
    return facts.text.finding(
        "patch", "note", message.at,
        "the legacy network has no patch device: patches are sent like any message, to nobody",
        "answer a dry run instead, or run the process on HyperBEAM",
    )  # fmt: skip


def _asked_of_aos(message: Sent, facts: SourceFacts) -> Iterator[Finding]:
    if message.text("Target") == "AOS" and message.text("Action") == "Spawn":
        yield facts.text.finding(
            "only-here", "error", message.at,
            "only this shell's environment spawns for a message to 'AOS'",
            "use Spawn(module, tags)",
        )  # fmt: skip


def _authority(message: Sent, facts: SourceFacts) -> Iterator[Finding]:
    if (
        message.is_spawn
        and message.is_whole
        and not any(t.name == "Authority" for t in message.tags)
    ):
        yield facts.text.finding(
            "authority", "warning", message.at,
            "the new process gets no Authority: it refuses what processes send it, this one's "
            "messages too",
            "add Authority = ao.authorities[1]",
        )  # fmt: skip


def _limits(message: Sent, facts: SourceFacts) -> Iterator[Finding]:
    count = sum(tag.name not in _REMOVED for tag in message.tags)
    if count + _ADDED > MAX_TAGS:
        yield facts.text.finding(
            "tag-limit", "error", message.at,
            f"{count} tags and the {_ADDED} that aos and the network add are more than {MAX_TAGS}",
            "put the values into Data, as JSON",
        )  # fmt: skip
    for tag in message.tags:
        value = constant_value(tag.value)
        for what, text, limit in (
            ("name", tag.name, MAX_TAG_NAME),
            ("value", value if isinstance(value, str) else "", MAX_TAG_VALUE),
        ):
            if len(text) > limit:
                yield facts.text.finding(
                    "tag-limit", "error", tag.at,
                    f"the {what} of a tag is {len(text)} bytes long, the limit is {limit}",
                    "put it into Data",
                )  # fmt: skip


def _tag(tag: TagExpression, facts: SourceFacts) -> Iterator[Finding]:
    if tag.name in _REMOVED:
        yield facts.text.finding(
            "tag-reserved", "warning", tag.at,
            f"the network removes the tag '{tag.name}' that a process writes",
            "give it another name",
        )  # fmt: skip
        return
    kind = kind_of(tag.value)
    if kind in ("number", "boolean"):
        yield facts.text.finding(
            "tag-value", "error", tag.at,
            f"the tag '{tag.name}' is a {kind}: the legacy network takes strings only and drops "
            "the message",
            "wrap it in tostring()",
        )  # fmt: skip
    elif kind in ("table", "function"):
        yield facts.text.finding(
            "tag-value", "error", tag.at,
            f"the tag '{tag.name}' is a {kind}, which no tag can be",
            "put it into Data, as JSON" if kind == "table" else "leave it out",
        )  # fmt: skip


_COMPARE = frozenset(("==", "~=", "<", ">", "<=", ">="))


def kind_of(expression: tree.Expression | None) -> str:
    """The Lua type that an expression is sure to have, else ""."""
    match expression and without_parentheses(expression):
        case tree.Constant(value=value):
            if value is None:
                return "nil"
            if isinstance(value, bool):
                return "boolean"
            return "string" if isinstance(value, str) else "number"
        case tree.TableConstructor():
            return "table"
        case tree.Function():
            return "function"
        case tree.Unary(operator="not"):
            return "boolean"
        case tree.Unary(operator="#"):
            return "number"
        case tree.Binary(operator=operator) if operator in _COMPARE:
            return "boolean"
    return ""
