"""Tab: dot commands and their arguments, files, Lua, and the names of the attached process.

Only known words are offered; nothing here waits. `unknown_path` and `wanted_kinds` say what is
worth reading.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from aoshell.lua.lexer import KEYWORDS
from aoshell.shell import reference
from aoshell.shell.commands import Command, registry
from aoshell.shell.lines.multiline import is_command
from aoshell.shell.prompt.names import ProcessNames, join_path
from aoshell.shell.prompt.structure import LOOKED_AT, Context, is_name, read_context

ASKED = frozenset(
    {"PROCESS", "TARGET", "SNAPSHOT", "IDENTITY", "SETTING", "CHOICE"}
)  # kinds of words that the node knows
MOST = 300  # completions that are offered at once

_KINDS = {
    "t": "table",
    "f": "function",
    "s": "string",
    "n": "number",
    "b": "boolean",
    "v": "set here",
}
_VALUED = re.compile(r"\[(--[\w-]+) ([^\]]+)\]")  # a flag that takes a value, in a usage
_TARGETS = frozenset({"Target", "Process"})  # fields whose texts are ids of processes
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


@dataclass(slots=True)
class Lists:
    """Words for commands as they were last read, by the kind that usages name."""

    known: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def of(self, kind: str) -> list[tuple[str, str]]:
        """Words and their descriptions."""
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
            yield from self._lua(before)

    # --- commands

    def _command(self, line: str, event: CompleteEvent) -> Iterator[Completion]:
        name, space, rest = line.partition(" ")
        if not space:
            found = {known.name: known for known in registry().values()}
            for word in match_words(name[1:], found):
                ending = " " if found[word].usage else ""
                summary = found[word].help.split("\n", 1)[0]
                yield Completion(f".{word}{ending}", -len(name), f".{word}", summary)
            return
        known = registry().get(name[1:])
        if known:
            yield from self._argument(known, rest.lstrip(), event)

    def _argument(self, known: Command, rest: str, event: CompleteEvent) -> Iterator[Completion]:
        words = rest.split(" ")
        if (known.complete or known.usage) == "FILE":
            words = [rest]  # its name may have spaces
        offered: dict[str, str] = {}
        for kind in _kinds(known, words):
            if kind in ("FILE", "FILE…"):
                yield from self._paths.get_completions(Document(words[-1]), event)
            elif kind in ("CODE", "VALUE"):
                yield from self._lua(rest)
                return
            elif kind == "COMMAND":
                offered |= {one.name: one.help.split("\n", 1)[0] for one in registry().values()}
            elif kind == "FUNCTION":
                offered |= {name: one.summary for name, one in reference.entries().items()}
            elif kind.isupper():
                offered |= dict(self._lists.of(kind))
            else:
                offered[kind] = ""
        for word in match_words(words[-1], offered):
            yield Completion(word, -len(words[-1]), word, offered[word])

    # --- Lua

    def _lua(self, before: str) -> Iterator[Completion]:
        where = read_context(before[-LOOKED_AT:])
        if where.comment:
            return
        names = self._names()
        if where.quote:
            yield from self._quoted(where, names)
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

    def _quoted(self, where: Context, names: ProcessNames) -> Iterator[Completion]:
        call = where.call
        key = call.key if call else ""
        offered: dict[str, str] = {}
        if key == "Action" or (call and call.name.startswith("Handlers.") and not key):
            offered = dict.fromkeys(sorted(names.actions), "Action")
        elif key in _TARGETS:
            offered = dict(self._lists.of("TARGET"))
        end = where.quote if len(where.quote) == 1 else ""
        found = match_words(where.word, offered)
        if key in _TARGETS:  # by name, which says more than an id; those without one stand last
            found.sort(key=lambda id: (not offered[id], _order(offered[id])))
        for word in found:
            yield Completion(word + end, -len(where.word), word, offered[word])


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


def is_message(path: tuple[str, ...], names: ProcessNames) -> bool:
    """Whether a path leads to a message, or to its tags."""
    root = path[:-1] if path[-1] == "Tags" else path
    return root == ("Inbox", "[]") or (
        len(root) == 1 and root[0] in _MESSAGES and root[0] not in names.at(())
    )


def unknown_path(before: str, names: ProcessNames) -> tuple[str, ...]:
    """The path whose fields are needed and not known yet, () where there is none."""
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
        return ["TARGET"] if call and call.key in _TARGETS else []
    name, space, rest = line.partition(" ")
    known = registry().get(name[1:]) if space else None
    kinds = _kinds(known, rest.lstrip().split(" ")) if known else []
    return [kind for kind in kinds if kind in ASKED]


def _kinds(known: Command, words: list[str]) -> list[str]:
    return expected_kinds(known.complete or known.usage, [word for word in words[:-1] if word])


def expected_kinds(usage: str, before: Sequence[str]) -> list[str]:
    """The kinds of words that may follow some arguments of a command, by its usage.

    Of `[drop ID]` it is ["drop"] at first, and ["ID"] then; flags may stand anywhere.
    """
    valued: dict[str, str] = dict(_VALUED.findall(usage))
    if before and before[-1] in valued:
        return valued[before[-1]].split("|")
    parts = _VALUED.sub("", usage).replace("[@SLOT]", "").split()
    words = [part.strip("[]") for part in parts if "--" not in part]
    flags = [*valued, *(part.strip("[]") for part in parts if "--" in part)]
    given = [
        word
        for at, word in enumerate(before)
        if not word.startswith("--") and (not at or before[at - 1] not in valued)
    ]
    place = len(given)
    if words and place >= len(words) and words[-1].endswith("…"):
        place = len(words) - 1
    here = words[place].split("|") if place < len(words) else []
    # What is written in brackets may be left out: then the word behind it may stand here.
    left_out = place + 1 < len(words) and f"[{words[place]}" in usage
    if left_out and f"[{words[place]} " not in usage and words[place + 1].islower():
        here.append(words[place + 1])
    return here + flags


def match_words(word: str, offered: Iterable[str]) -> list[str]:
    """The names that begin with a word; else in any case; else those with its letters in order."""
    offered = list(offered)
    found = [name for name in offered if name.startswith(word)]
    if not found:
        lower = word.lower()
        found = [name for name in offered if name.lower().startswith(lower)]
        found = found or [name for name in offered if _in_order(lower, name.lower())]
    return sorted(found, key=_order)[:MOST]


def _in_order(letters: str, name: str) -> bool:
    rest = iter(name)
    return len(letters) > 1 and all(letter in rest for letter in letters)


def _order(name: str) -> tuple[bool, str, str]:
    """Names that begin with an underscore are private, and stand last."""
    return name.startswith("_"), name.lower(), name


def _meta(name: str, kind: str, names: ProcessNames) -> str:
    if name in names.calls:
        return names.calls[name]
    entry = reference.find(name)
    if entry:
        return entry.call or entry.summary
    return _KINDS.get(kind, "")
