"""The grammar of arguments: reads typed arguments by a usage, as help writes it.

It also says what may follow (for completion), and what is wrong.

usage   one part after another
part    [part …]       may be left out
        a|b            one of these
        word, --word   as it stands
        [--flag KIND]  a flag, which may stand anywhere; in front of Lua only, where there is Lua
        KIND           one word of that kind (`KINDS`); some kinds go on to the end of the line
        KIND…          one or more of it
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from aoshell.attest.kinds import KIND_NAMES
from aoshell.lua.compiling import check_line
from aoshell.lua.lexer import KEYWORDS
from aoshell.lua.references import masked
from aoshell.protocol.encoding import brief, has_id_form
from aoshell.shell.flags.limits import RANGES

_TOKEN = re.compile(r"\[@SLOT\]|\[|\]|[^\s\[\]]+(?:\[@SLOT\])?")
_EMPTY = ('""', "''")  # an empty value in quotes
_WORD = re.compile(r"""(?:"[^"]*+"|'[^']*+'|\S)++""")  # quotes keep blanks together
_DIGITS = re.compile(r"[0-9]{1,15}\Z")  # no number of ours is larger
_PLACE = re.compile(r"\S+(?:@[0-9]+|…)\Z|[\w-]{43}\Z", re.ASCII)  # can be no Lua before Lua
# How flags look, even mistyped ones; ids may begin with two hyphens, too.
_FLAG = re.compile(r"--([A-Za-z][a-z]*(-[a-z]+)*)?\Z")
_COMMENTED = re.compile(r"(?=.*--)-?\w[\w-]{2,41}\Z", re.ASCII)  # of an id; or a comment
_TAG = re.compile(r"""["']?[A-Za-z][\w.-]*=""", re.ASCII)


@dataclass(frozen=True, slots=True)
class ArgumentKind:
    """A kind of argument.

    Attributes:
        noun: what it is, for messages.
        long: it may have blanks in it.
        form: what one word of it looks like; None for any word.
        lua: it is Lua.
        bare: quotes around it are not part of it.
        words: all that it can be, if these are always the same.
    """

    noun: str
    long: bool = False
    form: re.Pattern[str] | None = None
    lua: bool = False
    bare: bool = False
    words: tuple[str, ...] = ()


KINDS: Mapping[str, ArgumentKind] = {
    "AMOUNT": ArgumentKind("a number, or on or off", words=("on", "off")),
    "BLUEPRINT": ArgumentKind("the name of a blueprint", bare=True),
    "CHOICE": ArgumentKind("a value", long=True),
    "CODE": ArgumentKind("Lua", long=True, lua=True),
    "COMMAND": ArgumentKind("a command"),
    "DATA": ArgumentKind("text", long=True),
    "DURATION": ArgumentKind("a time like 90s, 1h30m or 2d", long=True),
    "FILE": ArgumentKind("a file", long=True, bare=True),
    "FUNCTION": ArgumentKind("a function of a process"),
    "ID": ArgumentKind("an id"),
    "IDENTITY": ArgumentKind("the name of an identity"),
    "KEY": ArgumentKind("a key, or a path of keys"),
    "KIND": ArgumentKind("a kind of evidence", words=KIND_NAMES),
    "LIMIT": ArgumentKind("the name of a limit", words=(*RANGES, "network")),
    "MEASUREMENT": ArgumentKind("96 hexadecimal digits"),
    "MESSAGE": ArgumentKind("the id of a message, or its beginning"),
    "MODULE": ArgumentKind("a module: its name or id, or a file", bare=True),
    "N": ArgumentKind("a number", form=_DIGITS),
    "NAME": ArgumentKind("a name", bare=True),
    "NAME=VALUE": ArgumentKind("a tag", long=True, form=_TAG),
    "NODE": ArgumentKind("the URL of a node"),
    "PORT": ArgumentKind("the number of a port", form=_DIGITS),
    "PROCESS": ArgumentKind("a process: its name, or the beginning of its id"),
    "PROCESS[@SLOT]": ArgumentKind("a process, with a slot or without: token, token@7"),
    "PROCESSES": ArgumentKind("processes with commas between them, as in bank,token@7"),
    "RANGE": ArgumentKind(
        "slots, as in 7 or 7..20", form=re.compile(r"[0-9]{1,15}(\.\.[0-9]{1,15})?\Z")
    ),
    "SETTING": ArgumentKind("the name of a setting"),
    "SLOT": ArgumentKind("the number of a slot", form=_DIGITS),
    "SOURCE": ArgumentKind("where a live process is: a URL, a profile, or legacy"),
    "SNAPSHOT": ArgumentKind("the name of a snapshot", bare=True),
    "URL": ArgumentKind("a URL"),
    "WORD": ArgumentKind("a word"),
    "VALUE": ArgumentKind("a Lua expression", long=True, lua=True),
}


class Given(Mapping[str, str]):
    """Arguments as they were typed, by their parts of the usage; "" for what was left out.

    Attributes:
        text: all of them as they were typed.
        plain: the same without flags.
    """

    def __init__(self, values: Mapping[str, str], text: str, plain: str) -> None:
        self._values = dict(values)
        self.text, self.plain = text, plain

    def __getitem__(self, part: str) -> str:
        return self._values.get(part, "")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def has(self, part: str) -> bool:
        """Whether a flag, or a word of the usage, was given."""
        return part in self._values

    def number(self, part: str, otherwise: int) -> int:
        """The number of a part that is made of digits; `otherwise` if it was left out."""
        return int(self[part]) if self[part] else otherwise


class MisfitError(Exception):
    """What is typed does not follow the usage; the text says where."""


class Expected(NamedTuple):
    """Something that may stand at the end of a text.

    Attributes:
        what: a kind, a flag, or a literal word.
        start: offset at which it begins.
    """

    what: str
    start: int


@dataclass(frozen=True, slots=True)
class _Part:
    """One of some alternatives, or `inner`, which may be left out."""

    key: str = ""
    options: tuple[str, ...] = ()
    many: bool = False
    inner: tuple[_Part, ...] = ()

    @property
    def kind(self) -> ArgumentKind:
        """The first alternative that is a kind."""
        return next((KINDS[one] for one in self.options if one in KINDS), ArgumentKind(""))

    @property
    def long(self) -> bool:
        return self.many or any(one in KINDS and KINDS[one].long for one in self.options)

    def bared(self, value: str) -> str:
        """A value of this without quotes around it, where these are no part of it."""
        return value if self.many else _bared(self.options, value)

    def accepts(self, word: str) -> bool:
        """Whether a word can be this part, or begin it."""
        return any(_accepts(one, word) for one in self.options)

    @property
    def first(self) -> _Part:
        return self.inner[0].first if self.inner else self

    @property
    def special(self) -> bool:
        """Whether only certain words fit this part."""
        return all(one not in KINDS or KINDS[one].form for one in self.options)


def _bared(options: tuple[str, ...], value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    bare = quoted and any(one in KINDS and KINDS[one].bare for one in options)
    return value[1:-1] if bare else value


def _accepts(option: str, word: str) -> bool:
    if option not in KINDS:
        return word == option
    form = KINDS[option].form
    return form.match(word) is not None if form else True


class Grammar:
    """The arguments of one command.

    Args:
        usage: as the module describes.
    """

    def __init__(self, usage: str) -> None:
        self.usage = usage
        self._flags: dict[str, tuple[str, ...]] = {}
        self._parts = self._read(_TOKEN.findall(usage))
        # After the beginning of Lua, what looks like a flag is a comment.
        self._leads = any(part.kind.lua for part in self._parts)

    def _read(self, tokens: list[str]) -> tuple[_Part, ...]:
        """The parts that tokens make, up to the bracket that closes them; they are used up."""
        found: list[_Part] = []
        while tokens and (token := tokens.pop(0)) != "]":
            if token != "[":
                found.append(_part(token))
                continue
            inner = self._read(tokens)
            head, *values = inner
            is_flag = head.key.startswith("--") and not any(one.many for one in values)
            if is_flag:
                self._flags[head.key] = values[0].options if values else ()
            else:
                found.append(_Part(inner=inner))
        return tuple(found)

    def read(self, text: str) -> Given:
        """The arguments of a text.

        Raises:
            MisfitError: it does not follow the usage.
        """
        words, flags = self._split(text, whole=True)
        reading = _UsageReading(text, words, whole=True)
        values = reading.match(self._parts, 0, {})
        if values is None:
            raise MisfitError(reading.misfit())
        begin = words[0].start() if words else len(text)
        plain = text[begin:] if self._leads else " ".join(one[0] for one in words)
        return Given({**flags, **values}, text, plain)

    def expected(self, text: str) -> list[Expected]:
        """What may stand at the end of a text, as the next word or the rest of a begun one."""
        begun = len(text) if not text or text[-1].isspace() else _last_word(text)
        words, flags = self._split(text[:begun], whole=False)
        for name, values in self._flags.items():
            if values and flags.get(name) == "":
                return [Expected(one, begun) for one in values]
        reading = _UsageReading(text[:begun], words, whole=False)
        reading.match(self._parts, 0, {})
        found = [Expected(what, begun if at < 0 else at) for what, at in reading.due]
        return found + [Expected(name, begun) for name in self._flags if name not in flags]

    def _split(self, text: str, *, whole: bool) -> tuple[list[re.Match[str]], dict[str, str]]:
        """The words that are not flags, and the flags by name; "" is a value not typed yet.

        Raises:
            MisfitError: there is no such flag, or it lacks its value.
        """
        words, flags = list(_WORD.finditer(text)), dict[str, str]()
        if not self._flags:
            return words, flags
        left: list[re.Match[str]] = []
        while words:
            word = words.pop(0)
            name, equals, value = word[0].partition("=")
            if name == "--" and not equals and not left:
                return left + words, flags
            values = self._flags.get(name)
            if values is None:
                is_flag = _FLAG.match(name) and not self._leads
                if whole and is_flag and not self._is_word(word[0]):
                    raise MisfitError(f"there is no flag {brief(name)}")
                left.append(word)
                if self._leads:
                    return left + words, flags
            elif whole and name in flags:
                raise MisfitError(f"{name} is given twice")
            elif not values:
                flags[name] = name
            elif equals or words:
                flags[name] = _bared(values, value if equals else words.pop(0)[0])
                if whole and not any(_accepts(one, flags[name]) for one in values):
                    raise MisfitError(f"{name} takes {_listed(values)}, not {brief(flags[name])}")
            elif whole:
                raise MisfitError(f"{name} needs {_listed(values)}")
            else:
                flags[name] = ""
        return left, flags

    def _is_word(self, word: str) -> bool:
        """Whether a word with dashes is not a flag, but an id or a word of the usage."""
        return has_id_form(word) or word in re.split(r"[\s|\[\]]+", self.usage)


@dataclass(slots=True)
class _UsageReading:
    """One text against one usage."""

    text: str
    words: list[re.Match[str]]
    whole: bool
    furthest: int = 0
    due: list[tuple[str, int]] = field(default_factory=list)  # at the furthest place

    def match(
        self, parts: tuple[_Part, ...], at: int, found: Mapping[str, str]
    ) -> dict[str, str] | None:
        """The values of the parts from a word on, None if they do not fit."""
        if not parts:
            if at < len(self.words):
                self._note(at, ())
            return dict(found) if at == len(self.words) and self.whole else None
        first, rest = parts[0], parts[1:]
        if first.inner:
            ways = [(*first.inner, *rest), rest]
            if self._is_for_next(rest, at) or self._is_lua(first, rest, at):
                ways.reverse()
            results = (self.match(way, at, found) for way in ways)
            return next((one for one in results if one is not None), None)
        for after in self._ends(first, at, rest):
            value = first.bared(self.text[self.words[at].start() : self.words[after - 1].end()])
            if not value:
                self._note(at, first.options)
                continue
            result = self.match(rest, after, {**found, first.key: value})
            if result is not None:
                return result
        return None

    def _ends(self, part: _Part, at: int, rest: tuple[_Part, ...]) -> Iterator[int]:
        """The places where a part that begins at a word may end."""
        if at == len(self.words) or not part.accepts(self.words[at][0]):
            self._note(at, part.options)
            return
        if not part.long:
            yield at + 1
            return
        if part.many and part.special:
            yield from self._like(part, at)
            return
        if not self.whole:
            start = self.words[at].start() if not part.many else -1
            self._note(len(self.words), part.options, start)
            if not rest:
                return
        if self.whole and not rest:
            yield len(self.words)
            return
        yield from range(at + 1, len(self.words))
        *_, before, last = ("", *(word[0] for word in self.words))
        if rest and rest[0].inner and before == rest[0].first.key and last in _EMPTY:
            return  # `x.lua as ""`: an empty name, and no part of the file's
        if not rest or rest[0].first.key != last:
            yield len(self.words)
        elif rest[0].inner:  # `x.lua as` lacks a name
            self._note(len(self.words), rest[0].inner[1].options)

    def _like(self, part: _Part, at: int) -> Iterator[int]:
        """The places after one or more words that all look like a part; the longest run first."""
        end = at
        while end < len(self.words) and part.accepts(self.words[end][0]):
            end += 1
        self._note(end, part.options)
        yield from range(end, at, -1)

    def _is_for_next(self, rest: tuple[_Part, ...], at: int) -> bool:
        """Whether a word fits the next part, and not every word would."""
        follows = rest[0].first if rest else None
        here = self.words[at][0] if at < len(self.words) else ""
        return bool(follows and here and follows.special and follows.accepts(here))

    def _is_lua(self, first: _Part, rest: tuple[_Part, ...], at: int) -> bool:
        """Whether all text from here on is Lua, without a process before it."""
        if not rest or not rest[0].kind.lua or at >= len(self.words) or first.first.kind.lua:
            return False
        return not leads_lua(self.text[self.words[at].start() :])

    def _note(self, at: int, options: tuple[str, ...], start: int = -1) -> None:
        """Remember what was expected at the furthest place that was reached."""
        if at > self.furthest:
            self.furthest, self.due = at, []
        if at == self.furthest:
            self.due += [(one, start) for one in options if (one, start) not in self.due]

    def misfit(self) -> str:
        options = tuple(dict.fromkeys(one for one, _ in self.due))
        if self.furthest >= len(self.words):
            return f"{_listed(options)} is missing"
        word = brief(self.words[self.furthest][0])
        values = tuple(one for one in options if one in KINDS)
        if values and self.words[self.furthest][0] in _EMPTY:
            return f"{_listed(values)} may not be empty"
        if not options:
            return f"{word} is not expected here"
        # A word of the usage that is missing before what was typed.
        if len(options) == 1 and options[0] not in KINDS and self.furthest == len(self.words) - 1:
            return f"`{options[0]}` is expected before {word}"
        return f"{_listed(options)} is expected, not {word}"


def leads_lua(text: str) -> bool:
    """Whether the first word of a text is a process or slot, and Lua follows it.

    It is a process or slot if Lua follows and the whole is not Lua: `token Balances`, `7 Balances`.
    A text that compiles is Lua, except `ab--cd Balances`: the beginning of an id, not a comment.
    """
    head, _, rest = text.partition(" ")
    if not rest.strip() or head in KEYWORDS:
        return False
    if _PLACE.match(head):
        return True
    # Nobody writes a comment that has no blank before it and Lua in it.
    if _COMMENTED.match(head) and head.partition("--")[0] not in KEYWORDS:
        return not check_line(masked(rest)).error
    if not check_line(masked(text)).error:
        return False
    return head.startswith("@") or not check_line(masked(rest)).error


def _part(token: str) -> _Part:
    many = "…" in token
    options = tuple(one.removesuffix("…") for one in token.split("|"))
    return _Part(token, options, many)


def _last_word(text: str) -> int:
    return max(text.rfind(blank) for blank in " \t\n") + 1


def _listed(options: tuple[str, ...]) -> str:
    return " or ".join(options) or "nothing"


@cache
def grammar(usage: str) -> Grammar:
    """The grammar of a usage; made on first use."""
    return Grammar(usage)
