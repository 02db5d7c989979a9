"""What a test reads: messages, and the answers to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from aoshell.errors import AoError
from aoshell.protocol.message import Message, Outgoing, Result, Tag, text
from aoshell.shell.view.errors_view import split_error
from aoshell.shell.view.text import without_colours

# Tags about the delivery of a message, not its content.
ENVELOPE = frozenset(
    ["Data-Protocol", "Variant", "Type", "Reference", "From-Process", "From-Module", "Pushed-For"]
)

# The coloured heading that aos puts between the prints of a failed message and the reason.
_SGR = r"(?:\x1b\[[0-9;]*m)+"
_HEADING = re.compile(rf"(?:^|\n){_SGR}Error{_SGR} handling message")


class EvalFailed(AoError):  # noqa: N818 - a public name since the first version
    """Lua that a test evaluated in a process raised an error there, or exceeded a limit."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what, stage="eval", hint=hint)


@dataclass(frozen=True, slots=True, repr=False)
class Mail:
    """A message as a test reads it: `mail["Quantity"]`, `mail.data`.

    Attributes:
        sender: address of the process or identity that sent it.
        target: address that it is sent to, "" for a spawn.
        tags: name → value, the last of each name.
        data: the body as text (UTF-8 with surrogateescape).
        spawn: whether it asks for a new process.
        id: 43 characters, "" while it is in an outbox.
    """

    sender: str
    target: str
    tags: Mapping[str, str]
    data: str
    spawn: bool = False
    id: str = ""

    @classmethod
    def received(cls, message: Message) -> Mail:
        """From a message in a log."""
        tags, data = _tags(message.tags), text(message.data)
        return cls(message.from_, message.target, tags, data, id=message.id)

    @classmethod
    def posted(cls, sender: str, message: Outgoing) -> Mail:
        """From a message in an outbox."""
        return cls(sender, message.target, _tags(message.tags), text(message.data), message.spawn)

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in self.tags.items() if name not in ENVELOPE]
        return f"Mail({', '.join([f'to {self.target or None}', *shown, f'data={self.data!r}'])})"

    @property
    def action(self) -> str:
        """The tag Action, or ""."""
        return self.tags.get("Action", "")

    def __getitem__(self, name: str) -> str:
        return self.tags[name]

    def get(self, name: str, default: str = "") -> str:
        """The value of a tag, `default` if there is none."""
        return self.tags.get(name, default)

    def fits(self, action: str | None = None, **fields: object) -> bool:
        """Whether all of these match: `target`, `data`, `sender`, and tags by name, `_` for `-`."""
        wanted = tags_from(fields) | ({} if action is None else {"Action": action})
        own = {"target": self.target, "data": self.data, "sender": self.sender}
        return all({**self.tags, **own}.get(name) == value for name, value in wanted.items())


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a message.

    Attributes:
        id: of the message, "" for a dry run.
        sender: address that sent it.
        result: the node's result (`protocol.message.Result`); if the handler waited for another
            message, the result that ended it.
        messages: what the handler sent, in order, spawns included.
        assignments: the messages that it asked to assign: (id, ids of the processes).
        sources: texts of files that error messages may name.
    """

    id: str
    sender: str
    result: Result
    messages: tuple[Mail, ...]
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)
    assignments: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it was handled without an error and within its limits."""
        return self.result.ok

    @property
    def steps(self) -> int:
        """Instructions that its own message took, or fuel of WebAssembly; 0 if not counted."""
        return self.result.gas

    @property
    def outcome(self) -> str:
        """ "ok", "error", "time", "memory", "gas" or "crash"."""
        return self.result.outcome

    @property
    def output(self) -> str:
        """What was printed and returned, without colours; also the prints of a failed message."""
        if self.ok or self.result.output:
            return without_colours(self.result.output)
        printed, *more = _HEADING.split(self.result.error)
        return without_colours(printed).strip("\n") if more else split_error(self.result.error)[0]

    @property
    def error(self) -> str:
        """Why it failed, without colours, "" if it did not."""
        return split_error(self.result.error)[1]

    @property
    def suspended(self) -> bool:
        """Whether its handler still waits for another message."""
        return self.result.suspended

    @property
    def reply(self) -> Mail:
        """The first message back to the sender.

        Raises:
            AssertionError: there is none; the text lists the messages that were sent.
        """
        found = next((mail for mail in self.messages if mail.target == self.sender), None)
        if found is None:
            sent = ", ".join(f"{mail.action or '?'} to {mail.target}" for mail in self.messages)
            raise AssertionError(f"no reply: {self.error or sent or 'nothing was sent'}")
        return found

    def sent(self, action: str | None = None, **fields: object) -> list[Mail]:
        """The `messages` that match these fields; see `Mail.fits`."""
        return [mail for mail in self.messages if mail.fits(action, **fields)]


def make_answer(
    message_id: str, sender: str, own: Result, later: Result | None, sources: Mapping[str, str]
) -> Answer:
    """The answer to a message.

    Args:
        own: the result of its slot.
        later: the result of the slot that ended its handler, if its own did not.
    """
    results = [own] if later is None else [own, later]
    messages = [Mail.posted(result.process, item) for result in results for item in result.messages]
    whole = results[-1]
    if later is not None and later.ok and own.output:
        whole = replace(later, output=f"{own.output}\n{later.output}".strip("\n"))
    assigned = tuple(pair for result in results for pair in result.assignments)
    return Answer(message_id, sender, whole, tuple(messages), sources, assigned)


def tags_from(fields: Mapping[str, object]) -> dict[str, str]:
    """Tags from Python keywords: `_` for `-`, numbers and booleans as Lua writes them."""
    return {name.replace("_", "-"): tag_text(value) for name, value in fields.items()}


def tag_text(value: object) -> str:
    """A tag's value: `True` is "true", an identity or a process is its address."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tags(tags: Iterable[Tag]) -> dict[str, str]:
    return {tag.name: tag.value for tag in tags}
