"""Rules for HyperBEAM only: hyper-aos drops some actions of a process, and runs on Luerl."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator

from aoshell.check.facts import EMITS, SourceFacts, Text
from aoshell.check.finding import Finding, Severity
from aoshell.check.handlers import key_of, reads_of
from aoshell.check.known import Path
from aoshell.check.messages import constant_value
from aoshell.check.names import World
from aoshell.lua import syntax as tree
from aoshell.lua.strict import StrictLexer
from aoshell.protocol.tag_names import lower_case

_DROPPED: dict[Path, str] = {("Spawn",): "Spawn", ("ao", "spawn"): "ao.spawn"}
_TAG_PATTERNS = frozenset(("hasMatchingTag", "hasMatchingTagOf", "hasMatchingData"))
_IN_BODY = frozenset(("action", "data", "from", "owner", "tags", "target"))
_MAX_QUANTIFIERS = 5


def check_hyper(facts: SourceFacts, world: World) -> Iterator[Finding]:
    """What hyper-aos and its Lua do not support."""
    if world.is_legacy:
        return
    yield from _syntax(facts)
    yield from _calls(facts, world)
    yield from _once_a_file(facts, world)


def _syntax(facts: SourceFacts) -> Iterator[Finding]:
    """What Luerl cannot compile."""
    yield from refused_by_luerl(facts.text, facts.main, facts.lexer)
    for at, level, is_comment in facts.lexer.long_brackets:
        if is_comment and level > 0:
            what = f"a comment in --[{'=' * level}["
            yield _refused(facts.text, at, what, "use --[[ or -- on each line")


def refused_by_luerl(text: Text, main: tree.Function, lexer: StrictLexer) -> Iterator[Finding]:
    """What Luerl refuses everywhere. Jumps break its compiler."""
    for node in tree.walk(main):
        if isinstance(node, tree.Goto | tree.Label):
            advice = "use if, or a function with return"
            yield _refused(text, node.at, "goto and labels", advice)
    for at, level, is_comment in lexer.long_brackets:
        if level > 3 and not is_comment:
            advice = "use three equals signs at most"
            yield _refused(text, at, f"a string in [{'=' * level}[", advice)
    for at, char in lexer.escapes:
        if char == "u":
            yield _refused(text, at, "\\u{…}", "write the character itself")
        elif char in "\r\n":
            yield _refused(text, at, "a backslash at the end of a line", "use \\n\\z, or [[…]]")


def _refused(text: Text, at: int, what: str, advice: str) -> Finding:
    message = f"the Lua of HyperBEAM cannot compile {what}"
    return text.finding("luerl-syntax", "error", at, message, advice)


def _calls(facts: SourceFacts, world: World) -> Iterator[Finding]:
    for path, call in facts.calls:
        if path in world.writes:
            continue
        if path in _DROPPED:
            yield facts.text.finding(
                "dropped", "error", call.at,
                f"hyper-aos drops what {_DROPPED[path]} asks for: there will be no process",
                "spawn from outside, and tell the process the new id",
            )  # fmt: skip
        elif path == ("Handlers", "receive") and path not in facts.tested:
            yield _waits(call, facts)
        elif path and path[:2] == ("Handlers", "utils") and path[2:] and path[2] in _TAG_PATTERNS:
            yield facts.text.finding(
                "message-key", "error", call.at,
                f"Handlers.utils.{path[2]} looks for tags and data where hyper-aos has none",
                'match a table instead: { action = "…" }',
            )  # fmt: skip
        elif path == ("load",) and _loads_more(call, facts):
            yield facts.text.finding(
                "luerl-load", "error", call.at,
                "load in HyperBEAM's Lua takes text only, without an environment",
                "give values as arguments of the function that load returns",
            )  # fmt: skip
        elif _is_receive(call, facts):
            yield _waits(call, facts)
        elif path == ("string", "gmatch") and len(call.arguments) > 1:
            yield from _gmatch(call, facts)


def _waits(call: tree.Call, facts: SourceFacts) -> Finding:
    return facts.text.finding(
        "no-coroutines", "error", call.at,
        "nothing can wait for a message: the Lua of HyperBEAM has no coroutines",
        "use onReply or Handlers.once with a function for the answer",
    )  # fmt: skip


def _is_receive(call: tree.Call, facts: SourceFacts) -> bool:
    """Whether it is `Send(…).receive()`, also on a reply or a variable that holds the result."""
    match call.function:
        case tree.Index(object=inner, key=tree.Constant(value="receive")):
            sent = facts.origin(inner)
            if not isinstance(sent, tree.Call):
                return False
            if facts.path(sent.function) in EMITS:
                return True
            match sent.function:
                case tree.Index(object=tree.Name(local=tree.Local()), key=key):
                    return constant_value(key) == "reply"
    return False


def _loads_more(call: tree.Call, facts: SourceFacts) -> bool:
    """Whether load is given a function to read from, or an environment other than _G."""
    is_reader = bool(call.arguments) and facts.function(call.arguments[0]) is not None
    return is_reader or (len(call.arguments) > 3 and facts.path(call.arguments[3]) != ("_G",))


def _gmatch(call: tree.Call, facts: SourceFacts) -> Iterator[Finding]:
    pattern = constant_value(call.arguments[1])
    if not isinstance(pattern, str):
        return
    count = len(re.findall(r"[*+?]", pattern))
    if count > _MAX_QUANTIFIERS or ".*.*" in pattern or ".+.+" in pattern:
        yield facts.text.finding(
            "gmatch-limit", "error", call.at,
            f"string.gmatch of hyper-aos refuses this pattern: it takes {_MAX_QUANTIFIERS} of "
            "* + ? at most, and no .*.* or .+.+",
            "use string.find in a loop",
        )  # fmt: skip


_ONCE: dict[Path, tuple[str, Severity, str, str]] = {
    ("math", "random"): (
        "unseeded-random", "warning",
        "math.random is not seeded by messages on HyperBEAM: nodes get different states",
        'use require(".chance") with a seed from the message',
    ),
    ("os", "time"): (
        "block-time", "note",
        "os.time() is the time of the block there, not the message's timestamp in milliseconds",
        "read req.timestamp where milliseconds count",
    ),
    ("error",): (
        "unseen-errors", "note",
        "an error in a handler shows in its output only: there is no Error, and its changes stay",
        "check first, change the state last, and reply with the reason",
    ),
}  # fmt: skip


def _once_a_file(facts: SourceFacts, world: World) -> Iterator[Finding]:
    """Findings that are reported once a file, however often they apply."""
    reported: set[Path] = set()
    for path, call in facts.calls:
        if path in _ONCE and path not in reported and path not in world.writes:
            reported.add(path)
            rule, severity, message, advice = _ONCE[path]
            yield facts.text.finding(rule, severity, call.at, message, advice)


def check_request(
    function: tree.Function, facts: SourceFacts, written: Container[str]
) -> Iterator[Finding]:
    """Keys that a handler reads in aos's form: hyper-aos gives it a request with a body."""
    name = function.parameters[0].name
    for key, at in reads_of(function, key_of):
        if key in written:
            continue
        if key == "forward":
            what, advice = f"{name}.forward is not there", "use Send with the fields of req.body"
        elif lower_case(key) != key or key in _IN_BODY:
            small = "<name>" if key in ("Tags", "TagArray", "tags") else lower_case(key)
            what = f"{name}.{key} is nil: a handler gets a request, with keys in lower case"
            advice = f"read {name}.body{_access(small)}"
        else:
            continue
        yield facts.text.finding("message-key", "error", at, what, advice)


def _access(key: str) -> str:
    return f".{key}" if re.fullmatch(r"[a-z_][a-z0-9_]*|<name>", key) else f'["{key}"]'
