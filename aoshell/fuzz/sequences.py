"""Makes sequences of messages from drawn bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from aoshell.fuzz.words.vocabulary import MessageForm, ValueKind, Vocabulary, Word

MOST = 32  # messages of a sequence
BLOCK = 14  # most bytes that make a message
HEARD = 30  # values of one tag that are kept from messages of the process
SIZE = 1 + MOST * BLOCK  # bytes that a sequence is made of
_TIMES = (2, 3, 20, 120)  # how often a repeated message is sent
_HOUR = 3_600_000
_LATER = (1000, _HOUR, 24 * _HOUR, 30 * 24 * _HOUR)  # milliseconds that pass before a message

_SMALL = tuple(str(number) for number in range(1, 11))
_EDGES = (
    "0", "100", "1000", "1000000", "1000000000000", "9007199254740992", "9007199254740993",
    "9223372036854775807", "9223372036854775808", "18446744073709551616", "1" + "0" * 30,
    "115792089237316195423570985008687907853269984665640564039457584007913129639935",
)  # fmt: skip
_I32 = (*_SMALL, "0", "-1", "-2", "100", "1000", "65536", "2147483647", "-2147483648")
_I64 = (*_I32, "2147483648", "9223372036854775807", "-9223372036854775808")
_FLOATS = (*_I32, "0.5", "-0.1", "1e30", "1e-30")
_OF_TYPE = {"i32": _I32, "i64": _I64, "f32": _FLOATS, "f64": _FLOATS}
_NO_NUMBERS = (
    "-1", "-5", "1.5", "0.1", "1e3", "1e400", "0x10", "5.0", "05", " 5", "", "abc", "nan", "-nan",
    "inf", "-0", "1,000", "٣",
)  # fmt: skip
_NO_ADDRESSES = ("", "x", "0", "nil", " ", "a" * 42)
_TEXTS = ("hello", "a", "one two", "x" * 70, "ü", "1", "2", "3", "true")
_NO_DATA = ("", "[", "{}", "null", "5", "x" * 2000)
_NO_LISTS = ("", "[", "[]", "[-1]", "[1.5]", "[1e400]", '["a"]', "{}", "null")
_NO_TEXTS = ("", " ", "\n", "x" * 2000, "%s", '"', "{}")


@dataclass(frozen=True, slots=True)
class Person:
    """A sender.

    Attributes:
        is_process: whether it is a process, whose messages the node delivers.
    """

    name: str
    address: str
    is_process: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A message of a sequence.

    Attributes:
        later: milliseconds that pass before it.
        times: how often it is sent unchanged.
        formed: whether it has all tags that its handler reads, with values of the right kinds.
        handler: the handler that it is for.
        replayed: whether it is the newest earlier message with the same content, again under its
            id.
        is_tick: whether it is a cron message.
    """

    sender: Person
    tags: tuple[tuple[str, str], ...]
    data: str = ""
    later: int = 0
    times: int = 1
    formed: bool = True
    handler: str = ""
    replayed: bool = False
    is_tick: bool = False

    @property
    def content(self) -> tuple[Person, tuple[tuple[str, str], ...], str]:
        """The content; a message and its replay have the same."""
        return self.sender, self.tags, self.data

    @property
    def kind(self) -> tuple[str, bool]:
        """The key that groups similar messages."""
        return self.handler, self.formed


class Dice:
    """Makes choices from bytes; once they are used up, always the first choice."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def seek(self, at: int) -> None:
        self._at = at

    def below(self, count: int) -> int:
        """A number from 0 to count - 1."""
        at = self._at
        self._at = at + (1 if count <= 256 else 2)
        return int.from_bytes(self._data[at : self._at], "big") % count

    def of(self, choices: Sequence[str]) -> str:
        return choices[self.below(len(choices))]


class Sequences:
    """Makes sequences for one process.

    Args:
        people: the senders; the first is the owner.
        process: its own address.
        cron: for each schedule, milliseconds between its messages, and their tags.

    Attributes:
        names: the tags that its handlers read.
    """

    def __init__(
        self,
        words: Vocabulary,
        people: Sequence[Person],
        process: str,
        cron: Sequence[tuple[int, tuple[tuple[str, str], ...]]] = (),
    ) -> None:
        self._forms = words.forms
        self._ticks = [self._tick(interval, tags, people[0]) for interval, tags in cron]
        self._people = people
        # Outsiders are rare, so that the others interact.
        users = [one for one in people if not one.is_process]
        self._senders = [*users[:3] * 3, *users, *[one for one in people if one.is_process] * 2]
        self._addresses = [one.address for one in users[:3]] * 3
        self._addresses += [*(one.address for one in people), process, *words.addresses]
        near = {str(int(number) + by) for number in words.numbers for by in (-1, 0, 1)}
        positive = sorted(number for number in near if not number.startswith("-"))
        self._numbers = [*_SMALL * 4, *_EDGES, *positive]
        self._texts = [*_TEXTS, *words.texts]
        self.names = frozenset(word.name for form in words.forms for word in form.words)
        self._heard: dict[str, list[str]] = {name: [] for name in self.names}

    def hear(self, name: str, value: str) -> None:
        """Reuse a value that the process put into a tag, such as the number of an order."""
        known = self._heard[name]
        if len(known) < HEARD and value not in known:
            known.append(value)

    def decode(self, data: bytes) -> list[Step]:
        """The sequence for some bytes; any bytes give one."""
        dice = Dice(data)
        count = 1 + dice.below(MOST)
        found: list[Step] = []
        for index in range(count):
            dice.seek(1 + index * BLOCK)
            found.append(self._step(dice, found))
        return found

    def _step(self, dice: Dice, before: list[Step]) -> Step:
        way = dice.below(64)
        if way >= 58 and before:  # replay an earlier message
            again = before[-1 - dice.below(len(before))]
            is_replay = way % 2 == 0 and not again.is_tick
            return replace(again, replayed=True, times=1, later=0) if is_replay else again
        if self._ticks and way < 8:
            tick = self._ticks[dice.below(len(self._ticks))]
            return replace(tick, times=_TIMES[dice.below(len(_TIMES))] if way == 0 else 1)
        form = self._forms[dice.below(len(self._forms))]
        sender = self._senders[dice.below(len(self._senders))]
        formed = way < 48
        if ("Action", "Eval") in form.fixed and sender == self._people[0]:
            sender = self._people[1]  # an Eval of the owner reaches no handler
        tags = [*form.fixed, *self._tags(dice, form)]
        data = self._data(dice, form)
        if not formed:
            tags, data = self._spoiled(dice, form, tags, data)
        # Where there is cron, time passes with its messages.
        is_later = way % 8 == 7 and not self._ticks
        later = _LATER[dice.below(len(_LATER))] if is_later else 0
        times = _TIMES[dice.below(len(_TIMES))] if way % 24 == 13 else 1
        return Step(sender, tuple(tags), data, later, times, formed, form.handler)

    def _tick(self, interval: int, tags: tuple[tuple[str, str], ...], owner: Person) -> Step:
        fitting = (form.handler for form in self._forms if set(form.fixed) <= set(tags))
        return Step(owner, tags, later=interval, handler=next(fitting, ""), is_tick=True)

    def _tags(self, dice: Dice, form: MessageForm) -> list[tuple[str, str]]:
        return [(word.name, self._value(dice, word)) for word in form.words]

    def _value(self, dice: Dice, word: Word) -> str:
        """A value of the kind that a tag has."""
        if word.kind is ValueKind.PARAMETERS:
            return f"[{', '.join(dice.of(_OF_TYPE.get(one, _SMALL)) for one in word.choices)}]"
        choices = {
            ValueKind.NUMBER: self._numbers,
            ValueKind.ADDRESS: self._addresses,
            ValueKind.CHOICE: word.choices,
            ValueKind.TEXT: self._texts,
        }[word.kind]
        known = [*word.seen, *self._heard[word.name]]
        return dice.of(known if known and dice.below(4) == 0 else choices)

    def _data(self, dice: Dice, form: MessageForm) -> str:
        if form.data == "json":
            values = [*_SMALL, *self._texts, *self._addresses]
            if not form.keys:  # a list: the code iterates over it
                return json.dumps({dice.of(self._addresses): dice.of(_SMALL) for _ in range(2)})
            return json.dumps({key: dice.of(values) for key in form.keys})
        return dice.of(self._texts) if form.data else ""

    def _spoiled(
        self, dice: Dice, form: MessageForm, tags: list[tuple[str, str]], data: str
    ) -> tuple[list[tuple[str, str]], str]:
        """A message with one thing wrong."""
        place = dice.below(len(tags) + 1)
        if place == len(tags):
            return tags, dice.of(_NO_DATA) if form.data else data
        name = tags[place][0]
        if dice.below(3) == 0:
            del tags[place]
        else:
            of = place - len(form.fixed)
            kind = form.words[of].kind if of >= 0 else ValueKind.TEXT
            tags[place] = (name, dice.of(_WRONG[kind]))
        return tags, data


_WRONG = {
    ValueKind.NUMBER: _NO_NUMBERS,
    ValueKind.ADDRESS: _NO_ADDRESSES,
    ValueKind.CHOICE: _NO_TEXTS,
    ValueKind.TEXT: _NO_TEXTS,
    ValueKind.PARAMETERS: _NO_LISTS,
}


def steps_back(steps: Sequence[Step]) -> list[int]:
    """For each step, how many messages ago the replayed one was sent; 0 for no replay.

    Cron messages have no id, and do not count.
    """
    newest: dict[object, int] = {}
    found, place = [], 0
    for step in steps:
        before = newest.get(step.content) if step.replayed else None
        found.append(0 if before is None else place + 1 - before)
        if not step.is_tick:
            place += step.times
            newest[step.content] = place
    return found


def spread(steps: Sequence[Step]) -> list[tuple[int, Step]]:
    """Each single message to send, with the index of its step."""
    found: list[tuple[int, Step]] = []
    for index, step in enumerate(steps):
        found.append((index, step))
        again = replace(step, later=0) if step.times > 1 and not step.is_tick else step
        found += [(index, again)] * (step.times - 1)
    return found
