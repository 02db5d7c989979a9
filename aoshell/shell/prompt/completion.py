"""Tab: dot commands and their arguments, files, Lua, and the names of the attached process.

Only known words are offered; nothing here waits. `unknown_path` and `wanted_kinds` say what to read
first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from aoshell.lua.lexer import KEYWORDS
from aoshell.lua.references import reference_to
from aoshell.shell.commands import Command, registry
from aoshell.shell.commands.grammar import KINDS
from aoshell.shell.commands.table import STATE
from aoshell.shell.help import reference
from aoshell.shell.lines.multiline import is_command
from aoshell.shell.prompt import config
from aoshell.shell.prompt.names import ProcessNames, join_path
from aoshell.shell.prompt.structure import LOOKED_AT, Context, is_name, read_context

# Words that the node and the prompt know.
ASKED = frozenset({"PROCESS", "TARGET", "SNAPSHOT", "IDENTITY"})
_LISTS = {STATE: "PROCESS"}  # kinds that begin like another kind
MOST = 300  # completions that are offered at once

_KINDS = {
    "t": "table",
    "f": "function",
    "s": "string",
    "n": "number",
    "b": "boolean",
    "v": "set here",
}
_TARGETS = frozenset({"Target", "Process", "Recipient"})  # fields whose texts are ids
_REFERENCE = re.compile(r"""@(?:\w+(?:-\w+)*-?)?\Z|@"[^"\r\n]*\Z|@'[^'\r\n]*\Z""", re.ASCII)
_SENDING = frozenset({"send", "reply", "forward"})  # functions whose argument is a message
_ENDING = frozenset(")}];=")  # after these a menu has nothing to offer
_FIELDS = ("Target", "Action", "Data", "Tags")
# The fields that a message has in a handler, besides its tags.
MESSAGE = {
    **dict.fromkeys(
        ("Id", "From", "Owner", "Target", "Data", "Action", "Module", "Reference"), "s"
    ),
    **dict.fromkeys(("Timestamp", "Block-Height", "Nonce", "Epoch"), "n"),
    **dict.fromkeys(("Hash-Chain", "From-Process", "From-Module", "Pushed-For", "Reply-To"), "s"),
    **dict.fromkeys(("X-Reference", "X-Origin", "Forwarded-By", "Cron", "Type", "Variant"), "s"),
    **dict.fromkeys(("Tags", "TagArray"), "t"),
    **dict.fromkeys(("reply", "forward"), "f"),
}
_MESSAGES = frozenset({"msg", "m", "message"})  # the usual names of a handler's argument


class Named(NamedTuple):
    """Something that has a name, or only an id.

    Attributes:
        name: "" for none.
        about: text for the menu.
        id: of a process or identity.
    """

    name: str
    about: str = ""
    id: str = ""


@dataclass(slots=True)
class Lists:
    """The known names of the node and the home, as last read, by kind of argument."""

    known: dict[str, list[Named]] = field(default_factory=dict)

    def of(self, kind: str) -> list[Named]:
        """All of a kind."""
        return self.known.get(kind, [])


class LineCompleter(Completer):
    """Completes the text before the cursor.

    Args:
        names: of the attached process.
        lists: words for commands.
    """

    def __init__(
        self, names: Callable[[], ProcessNames] = ProcessNames, lists: Lists | None = None
    ) -> None:
        self._names = names
        self._lists = lists or Lists()
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        before = document.text_before_cursor
        line = before.lstrip()
        if line == "." or is_command(line):
            yield from self._command(line, event)
        else:
            yield from self._lua(before, document.text_after_cursor)

    # --- commands

    def _command(self, line: str, event: CompleteEvent) -> Iterator[Completion]:
        name, space, rest = line.partition(" ")
        if not space:
            found = {known.name: known for known in registry().values()}
            for word in match_words(name[1:], found):
                ending = " " if found[word].row.usage else ""
                summary = found[word].help.split("\n", 1)[0]
                yield Completion(f".{word}{ending}", -len(name), f".{word}", summary)
            return
        known = registry().get(name[1:])
        if known:
            yield from self._argument(known, rest.lstrip(), event)

    def _argument(self, known: Command, rest: str, event: CompleteEvent) -> Iterator[Completion]:
        offered: dict[str, str] = {}
        word = rest[rest.rfind(" ") + 1 :]
        expected = known.grammar.expected(rest)
        for kind, start in expected:
            if kind in ("FILE", "MODULE"):
                yield from self._paths.get_completions(Document(rest[start:]), event)
            elif kind in ("CODE", "VALUE"):
                # Lua may follow the name of a process, but not begin before it.
                if start == min(at for one, at in expected if one == kind):
                    yield from self._lua(rest[start:])
            elif kind == "COMMAND":
                offered |= {one.name: one.help.split("\n", 1)[0] for one in registry().values()}
            elif kind == "SETTING":
                offered |= {name: " or ".join(config.words(name)) for name in config.names()}
            elif kind == "CHOICE":
                offered |= dict.fromkeys(config.words(rest.partition(" ")[0]), "")
            elif kind == "FUNCTION":
                offered |= {name: one.summary for name, one in reference.entries().items()}
            elif kind == "NAME=VALUE":
                yield from self._tag(word)
            elif kind in KINDS:
                offered |= dict.fromkeys(KINDS[kind].words, "")
                yield from self._named(word, self._lists.of(_LISTS.get(kind, kind)))
            else:
                offered[kind] = ""
        for found in match_words(word, offered):
            yield Completion(found, -len(word), found, offered[found])

    def _named(self, word: str, known: list[Named]) -> Iterator[Completion]:
        """Names, also after an `@`. Without a name, the beginning of the id is offered."""
        typed = word.removeprefix("@").lstrip("\"'")
        for one in match_named(typed, known):
            name = one.name or one.id[:12]
            written = reference_to(name) if word != typed or " " in name else name
            yield Completion(written, -len(word), name, one.about)

    def _tag(self, word: str) -> Iterator[Completion]:
        """A tag of a message: its name, a known action, or `@` and a name."""
        name, equals, value = word.partition("=")
        names = self._names()
        if not equals:
            for tag in match_words(name, sorted(names.tags | {"Action"})):
                yield Completion(f"{tag}=", -len(word), f"{tag}=", "tag")
        elif name == "Action":
            for action in match_words(value, sorted(names.actions)):
                yield Completion(action, -len(value), action, "Action")
        elif value.startswith("@"):
            yield from self._named(value, self._lists.of("TARGET"))

    # --- Lua

    def _lua(self, before: str, after: str = "") -> Iterator[Completion]:
        if begun := begun_reference(before):
            yield from self._named(begun, self._lists.of("TARGET"))
            return
        where = read_context(before[-LOOKED_AT:])
        if where.comment:
            return
        names = self._names()
        if where.quote:
            yield from self._quoted(where, names, after)
        elif where.separator:
            yield from self._fields(where, names)
        else:
            yield from self._free(where, names)

    def _fields(self, where: Context, names: ProcessNames) -> Iterator[Completion]:
        found = known_fields(where, names)
        begin = join_path(where.path)
        for word in match_words(where.word, found):
            kind = found[word]
            if where.separator == ":" and kind not in "fv":
                continue
            meta = _meta(f"{begin}.{word}", kind, names)
            if is_name(word):
                yield Completion(word, -len(where.word), word, meta)
            elif where.separator == ".":
                yield Completion(f'["{word}"]', -len(where.word) - 1, f'["{word}"]', meta)

    def _free(self, where: Context, names: ProcessNames) -> Iterator[Completion]:
        if not where.word and not where.call:
            return
        offered: dict[str, str] = {}
        call = where.call
        if call and call.opener == "{" and call is where.frames[-1] and not call.key:
            offered |= dict.fromkeys(
                (*_FIELDS, *(t for t in sorted(names.tags) if is_name(t))), "="
            )
        if where.word or not offered:
            offered |= dict.fromkeys(KEYWORDS, "") if where.word else {}
            offered |= dict.fromkeys(reference.below(""), "")
            offered |= names.at(())
        for word in match_words(where.word, offered):
            kind = offered[word]
            text = f"{word} = " if kind == "=" else word
            meta = "field of the message" if kind == "=" else _meta(word, kind, names)
            yield Completion(text, -len(where.word), word, meta)

    def _quoted(self, where: Context, names: ProcessNames, after: str) -> Iterator[Completion]:
        call = where.call
        key = call.key if call else ""
        offered: dict[str, str] = {}
        if key == "Action" or (call and call.name.startswith("Handlers.") and not key):
            offered = dict.fromkeys(sorted(names.actions), "Action")
        closed = len(where.quote) > 1 or after.startswith(where.quote)
        end = "" if closed else where.quote
        if key in _TARGETS:
            yield from self._targets(where.word, end)
        for word in match_words(where.word, offered):
            yield Completion(word + end, -len(where.word), word, offered[word])

    def _targets(self, word: str, end: str) -> Iterator[Completion]:
        """Names instead of the string of an id: `@name` replaces the string.

        Args:
            end: the quote that would close the string; "" if it is closed already.
        """
        known = self._lists.of("TARGET")
        count = Counter(one.name for one in known)
        for one in match_named(word, known):
            if end and one.name and count[one.name] == 1:
                text, start = reference_to(one.name), len(word) + len(end)
            else:
                text, start = one.id + end, len(word)
            yield Completion(text, -start, one.name or one.id[:12], one.about)


def known_fields(where: Context, names: ProcessNames) -> dict[str, str]:
    """The known fields of the value before the dot, by kind."""
    path = where.path
    found = dict(names.at(path))
    known = path[0] and (path[0] != "msg" or is_message(path, names))
    for name in reference.below(join_path(path)) if known else ():
        entry = reference.find(f"{join_path(path)}.{name}")
        found.setdefault(name, "f" if entry and entry.call else "v")
    if is_message(path, names):
        tags = dict.fromkeys(names.tags, "s")
        found = tags | found if path[-1] == "Tags" else tags | MESSAGE | found
    if where.separator == ":" and not found:
        found = dict.fromkeys(reference.below("string"), "f")
    return found


def opens_by_itself(before: str) -> bool:
    """Whether the menu may open by itself here: after the dot or colon of a name, and at the
    fields, Target and Action of a message."""
    if is_command(before) or before[-1:] in _ENDING:
        return False
    where = read_context(before[-LOOKED_AT:])
    if where.comment:
        return False
    if where.separator:
        return not where.quote and bool(where.path[0])
    call = where.call
    if not call or call is not where.frames[-1] or call.opener != "{":
        return False
    sends = call.name.rpartition(".")[2].lower() in _SENDING
    if where.quote:
        return sends and (call.key == "Action" or call.key in _TARGETS)
    return sends and not call.key


def is_message(path: tuple[str, ...], names: ProcessNames) -> bool:
    """Whether a path leads to a message, or to its tags."""
    root = path[:-1] if path[-1] == "Tags" else path
    return root == ("Inbox", "[]") or (
        len(root) == 1 and root[0] in _MESSAGES and root[0] not in names.at(())
    )


def begun_reference(before: str) -> str:
    """The `@` and the beginning of a name at the end of Lua, "" for none."""
    found = _REFERENCE.search(before[-LOOKED_AT:])
    if not found:
        return ""
    where = read_context(before[-LOOKED_AT:][: found.start()])
    return "" if where.quote or where.comment else found[0]


def unknown_path(before: str, names: ProcessNames) -> tuple[str, ...]:
    """The path whose fields are needed and not known yet, () for none."""
    if is_command(before):
        return ()
    where = read_context(before[-LOOKED_AT:])
    live = where.separator and where.path[0] and not is_message(where.path, names)
    return where.path if live and join_path(where.path) not in names.fields else ()


def wanted_kinds(before: str) -> list[str]:
    """The kinds of words that a line needs and the node knows."""
    line = before.lstrip()
    if not is_command(line):
        call = read_context(before[-LOOKED_AT:]).call
        wanted = begun_reference(before) or (call and call.key in _TARGETS)
        return ["TARGET"] if wanted else []
    name, space, rest = line.partition(" ")
    known = registry().get(name[1:]) if space else None
    expected = known.grammar.expected(rest.lstrip()) if known else []
    kinds = dict.fromkeys(_LISTS.get(kind, kind) for kind, _ in expected)
    if "@" in rest.rpartition(" ")[2]:
        kinds["TARGET"] = None
    return [kind for kind in kinds if kind in ASKED]


def match_words(word: str, offered: Iterable[str]) -> list[str]:
    """The names that begin with a word; else, ignoring case; else those with its letters in
    order."""
    offered = list(offered)
    found = [name for name in offered if name.startswith(word)]
    if not found:
        lower = word.lower()
        found = [name for name in offered if name.lower().startswith(lower)]
        found = found or [name for name in offered if _in_order(lower, name.lower())]
    return sorted(found, key=_order)[:MOST]


def match_named(word: str, known: Iterable[Named]) -> list[Named]:
    """Those whose names match a word, as in `match_words`; then those whose ids begin with it.

    Letters within an id are not compared: ids are random.
    """
    by_name: dict[str, list[Named]] = {}
    for one in known:
        by_name.setdefault(one.name, []).append(one)
    found = [one for name in match_words(word, filter(None, by_name)) for one in by_name[name]]
    others = (one for name in by_name for one in by_name[name] if one.id.startswith(word))
    return [*found, *(one for one in others if one not in found)][:MOST]


def _in_order(letters: str, name: str) -> bool:
    rest = iter(name)
    return len(letters) > 1 and all(letter in rest for letter in letters)


def _order(name: str) -> tuple[bool, str, str]:
    """The key to sort by; private names, which begin with an underscore, come last."""
    return name.startswith("_"), name.lower(), name


def _meta(name: str, kind: str, names: ProcessNames) -> str:
    if name in names.calls:
        return names.calls[name]
    entry = reference.find(name)
    if entry:
        return entry.call or entry.summary
    return _KINDS.get(kind, "")
