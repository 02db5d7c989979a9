"""The vocabulary of a process: the messages that its handlers take, with tags and values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class ValueKind(StrEnum):
    """The kind of a tag's value, as far as the code shows it."""

    NUMBER = "number"
    ADDRESS = "address"
    CHOICE = "choice"  # one of the texts that it is compared with
    TEXT = "text"
    PARAMETERS = "parameters"  # a JSON list of numbers; `choices` are their types


@dataclass(frozen=True, slots=True)
class Word:
    """A tag that a handler reads.

    Attributes:
        choices: the texts that it is compared with.
        seen: values in past messages.
    """

    name: str
    kind: ValueKind = ValueKind.TEXT
    choices: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageForm:
    """Messages that a handler takes.

    Attributes:
        handler: its name.
        fixed: tags with the values that its pattern requires.
        words: the other tags that it reads.
        data: whether it reads Data: "" no, "text" or "json".
        keys: what it reads from JSON in Data.
        meant: whether its code answers each message.
    """

    handler: str
    fixed: tuple[tuple[str, str], ...] = ()
    words: tuple[Word, ...] = ()
    data: str = ""
    keys: tuple[str, ...] = ()
    meant: bool = False


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All forms of a process, and the constants of its code.

    Attributes:
        numbers, texts, addresses: constants, as texts.
    """

    forms: tuple[MessageForm, ...] = ()
    numbers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = field(default=())

    @property
    def meant(self) -> list[str]:
        """The handlers that must answer."""
        return sorted({form.handler for form in self.forms if form.meant})
