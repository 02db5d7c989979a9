"""Finds what the handlers of a script read from messages."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from aoshell.check.facts import SourceFacts, Text, read_facts, without_parentheses
from aoshell.check.handlers import Handler, all_handlers
from aoshell.check.messages import constant_value
from aoshell.fuzz.words.vocabulary import ValueKind, Word
from aoshell.lua import syntax as tree
from aoshell.lua.strict import LuaSyntaxError

# Fields of a message that are not tags, or that the network sets.
OWN_FIELDS = frozenset(
    ("Id", "From", "Owner", "Target", "Data", "Anchor", "Tags", "TagArray", "Timestamp", "Module",
     "Block-Height", "Nonce", "Epoch", "Cron", "Hash-Chain", "Forwarded-By", "Type", "Variant",
     "Data-Protocol", "Read-Only", "reply", "forward", "Signature", "From-Process", "From-Module",
     "Pushed-For", "Reference")
)  # fmt: skip
_MESSAGES = frozenset(("msg", "message", "m", "Msg"))  # names of variables that hold messages
_NUMBERS = frozenset(("tonumber", "tointeger", "bint", "tobint", "floor", "parse", "frombase"))
_ARITHMETIC = frozenset(["+", "-", "*", "/", "//", "%", "^", "<", ">", "<=", ">="])
_CODE, _DEEPEST = 40, 3  # least characters of a text that may be code; depth of texts in texts
_NUMBER = re.compile(
    r"(?i)quantity|amount|price|limit|count|duration|supply|number|index|page|size|fee|stake"
    r"|deadline|height|rate|max|min(?!t)|proposal"
)
_ADDRESS = re.compile(
    r"(?i)recipient|target|address|account|owner|sender|process|token|member|user|spender|delegate"
    r"|wallet|receiver"
)


@dataclass(slots=True)
class Reads:
    """What some code reads from messages.

    Attributes:
        names: tags.
        numbers: tags that it computes with.
        choices: tag → texts that it is compared with.
        data: how it reads Data: "" not at all, "text", or "json" if it decodes it.
        keys: what it reads from decoded Data.
    """

    names: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    choices: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    data: str = ""
    keys: set[str] = field(default_factory=set)

    def word(self, name: str) -> Word:
        """A tag with its kind."""
        choices = tuple(sorted(self.choices.get(name, ())))
        if name in self.numbers or _NUMBER.search(name):
            return Word(name, ValueKind.NUMBER, choices)
        if choices:
            return Word(name, ValueKind.CHOICE, choices)
        return Word(name, ValueKind.ADDRESS if _ADDRESS.search(name) else ValueKind.TEXT)


@dataclass(slots=True)
class Script:
    """A file of Lua.

    Attributes:
        handlers: name → the last call that adds it.
    """

    facts: SourceFacts
    handlers: dict[str, Handler]
    functions: dict[str, tree.Function]


def read_scripts(sources: dict[str, bytes]) -> list[Script]:
    """The files that are Lua; others are left out."""
    found = []
    pending = [(name, source, 0) for name, source in reversed(sources.items())]
    while pending:
        name, source, depth = pending.pop()
        try:
            facts = read_facts(Text(name, source))
        except (LuaSyntaxError, RecursionError):
            continue
        if depth < _DEEPEST:
            pending += [(name, inner, depth + 1) for inner in _loaded(facts)]
        handlers = {
            value: handler
            for handler in all_handlers(facts)
            if isinstance(value := constant_value(handler.name), str)
        }
        found.append(Script(facts, handlers, dict(_functions(facts))))
    return found


def _loaded(facts: SourceFacts) -> list[bytes]:
    """Texts in a file that are code, for example if one message loads several files."""
    return [
        node.value.encode("latin-1")
        for node in facts.nodes
        if isinstance(node, tree.Constant)
        and isinstance(node.value, str)
        and ("Handlers" in node.value or "function" in node.value)
        and len(node.value) > _CODE
    ]


def _functions(facts: SourceFacts) -> Iterator[tuple[str, tree.Function]]:
    """Functions by their names, local or global."""
    for local, value in facts.values.items():
        if isinstance(value, tree.Function):
            yield local.name, value
    for node in facts.nodes:
        if isinstance(node, tree.Assign):
            for target, value in zip(node.targets, node.values, strict=False):
                if isinstance(value, tree.Function) and (name := _last_name(target)):
                    yield name, value


def _last_name(expression: tree.SyntaxNode) -> str:
    match expression:
        case tree.Name(name=name) | tree.Index(key=tree.Constant(value=str(name))):
            return name
    return ""


class Reader:
    """Reads the scripts of one process."""

    def __init__(self, scripts: list[Script]) -> None:
        self._scripts = scripts
        self._functions: dict[str, tree.Function] = {}
        for script in scripts:
            self._functions |= script.functions
        # Functions of the script that convert an argument to a number, with its index.
        self._counting = {
            name: places for name, one in self._functions.items() if (places := _counted(one))
        }
        self._variables = set(_MESSAGES)
        for script in scripts:
            for handler in script.handlers.values():
                for node in self._parts(handler):
                    if isinstance(node, tree.Function) and node.parameters:
                        self._variables.add(node.parameters[0].name)

    def handler(self, name: str) -> tuple[Script, Handler] | None:
        """The last call that adds the handler of a name."""
        for script in reversed(self._scripts):
            if name in script.handlers:
                return script, script.handlers[name]
        return None

    def reads_of(self, handler: Handler) -> Reads:
        """What a handler reads, also in functions that it calls."""
        return self._reads(self._parts(handler))

    def all_reads(self) -> Reads:
        """What the whole code reads."""
        return self._reads([node for script in self._scripts for node in script.facts.nodes])

    def constants(self) -> tuple[set[str], set[str]]:
        """Numbers, and texts without blanks, in the whole code."""
        numbers, texts = set[str](), set[str]()
        for script in self._scripts:
            for node in script.facts.nodes:
                if not isinstance(node, tree.Constant) or isinstance(node.value, bool):
                    continue
                if isinstance(node.value, int):
                    numbers.add(str(node.value))
                elif isinstance(node.value, str) and re.fullmatch(r"[!-~]{1,60}", node.value):
                    texts.add(node.value)
        return numbers, texts

    def wanted(self, handler: Handler) -> dict[str, set[str]]:
        """Tag → values that a pattern function compares it with."""
        found: dict[str, set[str]] = defaultdict(set)
        if handler.pattern is None:
            return found
        nodes = list(self._reached([handler.pattern]))
        for node in nodes:
            match node:
                case tree.Call(arguments=(name, value, *_)) if _last_name(node.function).startswith(
                    "hasMatching"
                ):
                    tag, wanted = constant_value(name), constant_value(value)
                    if isinstance(tag, str) and isinstance(wanted, str):
                        found[tag].add(wanted)
        for tag, choices in self._reads(nodes).choices.items():
            found[tag] |= choices
        return found

    def always_answers(self, script: Script, handler: Handler) -> bool:
        """Whether a handler's own code answers on every path that does not raise."""
        function = script.facts.function(handler.handle) if handler.handle else None
        if function is None or not function.parameters:
            return False
        own = list(_own(function))
        if any(isinstance(node, tree.Return | tree.Goto) for node in own):
            return False
        message = function.parameters[0]
        return any(_is_answer(one, message, script.facts) for one in function.body.statements)

    # ------------------------------------------------------------------------------------------

    def _parts(self, handler: Handler) -> list[tree.SyntaxNode]:
        """The function of a handler, even if it is wrapped or named."""
        handle = handler.handle or handler.pattern
        return [] if handle is None else list(self._reached([handle]))

    def _reached(self, begin: list[tree.Expression]) -> Iterator[tree.SyntaxNode]:
        """Nodes of expressions and of the functions that they name, each once."""
        pending: list[tree.SyntaxNode] = list(begin)
        seen = set[int]()
        while pending:
            for node in tree.walk(pending.pop()):
                if id(node) in seen:
                    continue
                seen.add(id(node))
                yield node
                named = self._functions.get(self._named(node))
                if named is not None and id(named) not in seen:
                    pending.append(named)

    def _named(self, node: tree.SyntaxNode) -> str:
        """The name of the function that a node calls, or may pass on."""
        match node:
            case tree.Call(function=function):
                return _last_name(function)
            case tree.Index(object=tree.Name(name=name), key=tree.Constant(value=str(key))):
                return "" if name in self._variables else key
            case tree.Name(name=name):
                return name
        return ""

    def _reads(self, nodes: list[tree.SyntaxNode]) -> Reads:
        found = Reads()
        for node in nodes:
            if name := self._tag(node):
                found.names.add(name)
            elif self._is_data(node):
                found.data = found.data or "text"
            match node:
                case tree.Call(function=function, arguments=arguments):
                    self._called(found, _last_name(function), arguments)
                case tree.Binary(operator="==" | "~=", left=left, right=right):
                    self._compared(found, left, right)
                    self._compared(found, right, left)
                case tree.Binary(operator=operator, left=left, right=right):
                    if operator in _ARITHMETIC:
                        found.numbers |= {self._tag(left), self._tag(right)} - {""}
                case tree.LocalAssign(locals=locals_, values=values):
                    for local, value in zip(locals_, values, strict=False):
                        if self._decodes(value):
                            found.keys |= _keys_of(local, nodes)
        return found

    def _called(self, found: Reads, name: str, arguments: tuple[tree.Expression, ...]) -> None:
        if name in _NUMBERS:
            found.numbers |= {self._tag(one) for one in arguments} - {""}
        if name in self._counting:
            places = self._counting[name]
            found.numbers |= {self._tag(one) for at, one in enumerate(arguments) if at in places}
            found.numbers.discard("")
        if name == "decode" and any(self._is_data(one) for one in arguments):
            found.data = "json"

    def _compared(self, found: Reads, tag: tree.Expression, other: tree.Expression) -> None:
        value = constant_value(other)
        if isinstance(value, str) and (name := self._tag(tag)):
            found.choices[name].add(value)

    def _decodes(self, value: tree.Expression) -> bool:
        match without_parentheses(value):
            case tree.Call(function=function, arguments=(first, *_)):
                return _last_name(function) == "decode" and self._is_data(first)
        return False

    def _tag(self, node: tree.SyntaxNode) -> str:
        """The tag that an expression reads from a message, "" for none."""
        match node:
            case tree.Parenthesis(inner=inner):
                return self._tag(inner)
            case tree.Binary(operator="or", left=left):
                return self._tag(left)
            case tree.Index(object=inner, key=tree.Constant(value=str(key))):
                if _last_name(inner) == "Tags" and isinstance(inner, tree.Index):
                    return key
                is_message = isinstance(inner, tree.Name) and inner.name in self._variables
                return key if is_message and key[:1].isupper() and key not in OWN_FIELDS else ""
        return ""

    def _is_data(self, node: tree.SyntaxNode) -> bool:
        match node:
            case tree.Index(object=tree.Name(name=name), key=tree.Constant(value="Data")):
                return name in self._variables
            case tree.Binary(operator="or", left=left):
                return self._is_data(left)
        return False


def _keys_of(local: tree.Local, nodes: list[tree.SyntaxNode]) -> set[str]:
    """The keys that are read from a variable."""
    found = set[str]()
    for node in nodes:
        match node:
            case tree.Index(object=tree.Name(local=known), key=tree.Constant(value=str(key))):
                if known is local:
                    found.add(key)
    return found


def _own(function: tree.Function) -> Iterator[tree.SyntaxNode]:
    """The nodes of a function without those of functions inside it."""
    pending: list[tree.SyntaxNode] = [function.body]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(one for one in tree.children(node) if not isinstance(one, tree.Function))


def _counted(function: tree.Function) -> set[int]:
    """The parameters that a function converts to numbers, by index."""
    found = set[int]()
    for node in tree.walk(function.body):
        match node:
            case tree.Call(function=called, arguments=(first, *_)) if (
                _last_name(called) in _NUMBERS
            ):
                if isinstance(first, tree.Binary) and first.operator == "or":
                    first = first.left
                named = first.local if isinstance(first, tree.Name) else None
                places = enumerate(function.parameters)
                found |= {at for at, local in places if local is named}
    return found


def _is_answer(statement: tree.Statement, message: tree.Local, facts: SourceFacts) -> bool:
    """Whether it is `msg.reply(…)`, or sends a message whose Target is `msg.From`."""
    if not isinstance(statement, tree.CallStatement) or not isinstance(statement.call, tree.Call):
        return False
    table = without_parentheses(statement.call.arguments[0]) if statement.call.arguments else None
    if not isinstance(table, tree.TableConstructor):
        return False
    targets = [one.value for one in table.fields if constant_value(one.key) == "Target"]
    match statement.call.function:
        case tree.Index(object=tree.Name(local=local), key=tree.Constant(value="reply")):
            return local is message and not targets
    sends = facts.path(statement.call.function) in (("Send",), ("ao", "send"))
    return sends and any(_is_sender(one, message) for one in targets)


def _is_sender(value: tree.Expression, message: tree.Local) -> bool:
    match value:
        case tree.Index(object=tree.Name(local=local), key=tree.Constant(value="From")):
            return local is message
    return False
