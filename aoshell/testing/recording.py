"""A session, written down as a Lua test that does the same and expects the same answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aoshell.nodes.base import Entry
from aoshell.protocol.message import Message, Outgoing, Result, raw, text
from aoshell.shell.bundle import literal, quote
from aoshell.shell.errors_view import plain, split_error
from aoshell.testing.answers import ENVELOPE

# What differs from run to run: ids, and the time in milliseconds.
_VOLATILE = re.compile(r"(?<![\w-])[\w-]{43}(?![\w-])|(?<!\d)1\d{12}(?!\d)")
_ADDRESS = re.compile(r"(?<![\w-])[\w-]{43}(?![\w-])")
_PUNCTUATION, _ESCAPED = re.compile(r"[^\w\s]", re.ASCII), r"%\g<0>"  # of Lua's patterns
# A name that stands for itself as a key; the words are Lua's own.
_NAME = re.compile(
    r"""(?!(?:and|break|do|else|elseif|end|false|for|function|goto|if|in|local|nil|not|or|repeat
        |return|then|true|until|while)\Z) [A-Za-z_][A-Za-z0-9_]*\Z""",
    re.VERBOSE,
)
_OWN = ENVELOPE | {"SDK"}
_LONG = 60  # characters of Lua that still go into a line


def record(
    entries: Iterable[Entry],
    *,
    name: str = "a recorded session",
    sources: Mapping[str, str] | None = None,
) -> str:
    """A Lua test that sends what was sent from outside, and expects what came of it.

    What processes sent to each other follows from that and is not repeated. Text that holds ids or
    times is not compared where the test cannot know them.

    Args:
        entries: of one or more processes; messages without a result are left out.
        name: of the test.
        sources: process id → file that it is made of; the others have aos alone.
    """
    writer = _Writer(dict(sources or {}))
    entries = sorted((entry for entry in entries if _is_root(entry)), key=_order)
    writer.people(entries)
    for entry in entries:
        writer.add(entry)
    body = "\n".join(f"  {line}" if line else "" for line in writer.lines)
    return f"test({_text(name)}, function(t)\n{body}\nend)\n"


@dataclass(slots=True)
class _Writer:
    sources: dict[str, str]
    lines: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)  # address → the Lua expression for it
    processes: dict[str, str] = field(default_factory=dict)
    results: int = 0

    def people(self, entries: Sequence[Entry]) -> None:
        """Those who send: the first owner of a process is the test's, the others have numbers."""
        found = dict.fromkeys(entry.message.owner for entry in entries)
        definitions = (entry.message.owner for entry in entries if _slot(entry) == 0)
        owner = next(definitions, next(iter(found), ""))
        self.names[owner] = "t.owner.address"
        found.pop(owner, None)
        for number, address in enumerate(found, 1):
            self.names[address] = f"someone{number}.address"
            self.lines.append(f'local someone{number} = t:as("someone {number}")')

    def add(self, entry: Entry) -> None:
        """One slot."""
        message, result, where = entry.message, entry.result, entry.message.assignment
        assert result is not None and where is not None
        if where.slot == 0:
            self._spawn(where.process, message)
        elif message.tag("Action") == "Eval" and message.owner == self._owner(where.process):
            self._eval(self._process(where.process, message), message, result)
        else:
            self._send(self._process(where.process, message), message, result)

    # Who ------------------------------------------------------------------------------------------

    def _owner(self, process: str) -> str:
        return self.processes.get(process, "")

    def _spawn(self, process: str, message: Message) -> None:
        self.processes[process] = message.owner
        variable = f"p{len(self.processes)}"
        fields = [f"file = {_text(self.sources[process])}"] if process in self.sources else []
        if message.tag("Name"):
            fields.append(f"name = {_text(message.tag('Name'))}")
        maker = self._by(message.owner) or "t"
        self.lines.append(f"local {variable} = {maker}:spawn {{ {', '.join(fields)} }}")
        self.names[process] = f"{variable}.id"

    def _process(self, process: str, message: Message) -> str:
        """The variable that holds a process."""
        if process not in self.names:  # its beginning is not among the entries
            self._spawn(process, message)
        return self.names[process].removesuffix(".id")

    def _by(self, address: str) -> str:
        """The identity that stands for a wallet, "" for the owner of processes."""
        name = self.names[address].removesuffix(".address")
        return "" if name == "t.owner" else name

    # What -----------------------------------------------------------------------------------------

    def _eval(self, process: str, message: Message, result: Result) -> None:
        code = self._code(text(message.data))
        if not result.ok:
            call = f'{process}:send {{ Action = "Eval", Data = {code} }}'
            self.lines.append(f"t:fails({call}{self._reason(result)})")
            return
        output = self._known(plain(result.output))
        # Tables are printed in the order of their keys, and other people have other addresses.
        if len(set(_ADDRESS.findall(plain(result.output))) & self.names.keys()) > 1:
            output = ""
        if not output or result.suspended:
            self.lines.append(f"{process}:eval({code})")
        else:
            self.lines.append(f"t:equal({process}:eval({code}), {output})")

    def _send(self, process: str, message: Message, result: Result) -> None:
        by = self._by(message.owner)
        tags = [(tag.name, tag.value) for tag in message.tags if tag.name not in _OWN]
        data = [("Data", text(message.data))] if message.data else []
        sent = self._table([*tags, *data], any_value=True)
        call = f"{by}:send({process}, {sent})" if by else f"{process}:send {sent}"
        if not result.ok:
            self.lines.append(f"t:fails({call}{self._reason(result)})")
            return
        mails = [mail for mail in result.messages if not mail.spawn]
        if not mails:
            self.lines.append(f"t:ok({call})")
            return
        self.results += 1
        local = f"r{self.results}"
        self.lines.append(f"local {local} = t:ok({call})")
        self.lines += [f"t:sent({local}, {self._mail(mail)})" for mail in mails]

    def _mail(self, mail: Outgoing) -> str:
        tags = [(tag.name, tag.value) for tag in mail.tags if tag.name not in _OWN]
        stable = [(name, value) for name, value in tags if name not in ("X-Reference",)]
        data = [("Data", text(mail.data))] if mail.data else []
        return self._table([("Target", mail.target), *stable, *data], any_value=False)

    def _reason(self, result: Result) -> str:
        """The pattern of a failure's reason, behind its place."""
        reason = split_error(result.error)[1].partition("\n")[0]
        reason = re.sub(r"^.*?:\d+: ", "", reason)
        if not reason or _VOLATILE.search(reason) or result.outcome != "error":
            return ""
        return f", {_text(_PUNCTUATION.sub(_ESCAPED, reason))}"

    # How it is written ----------------------------------------------------------------------------

    def _table(self, fields: Sequence[tuple[str, str]], *, any_value: bool) -> str:
        written = []
        for name, value in fields:
            expression = self._expression(value) if any_value else self._known(value)
            if expression:
                key = name if _NAME.match(name) else f"[{_text(name)}]"
                written.append(f"{key} = {expression}")
        return f"{{ {', '.join(written)} }}" if written else "{}"

    def _known(self, value: str) -> str:
        """Text as Lua, "" where it differs from run to run."""
        rest = _ADDRESS.sub(lambda found: "" if found[0] in self.names else found[0], value)
        return "" if _VOLATILE.search(rest) else self._expression(value)

    def _code(self, source: str) -> str:
        """Lua text as Lua; code of several lines as it was written."""
        if ("\n" not in source and len(source) < _LONG) or _ADDRESS.search(source):
            return self._expression(source)
        return text(quote(raw(source)))

    def _expression(self, value: str) -> str:
        """Text as Lua, in which known addresses are those of the test."""
        parts, at = [], 0
        for found in _ADDRESS.finditer(value):
            if found[0] in self.names:
                parts += [_text(value[at : found.start()]), self.names[found[0]]]
                at = found.end()
        parts.append(_text(value[at:]))
        return " .. ".join(part for part in parts if part != '""') or '""'


_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"})


def _text(value: str) -> str:
    """Text as a Lua string, as people write it where that is possible."""
    if value.replace("\n", "").replace("\t", "").isprintable():
        return f'"{value.translate(_ESCAPES)}"'
    return text(literal(value))


def _is_root(entry: Entry) -> bool:
    """Whether somebody outside has sent it, and it was computed."""
    message, where = entry.message, entry.message.assignment
    computed = where is not None and not where.tick and entry.result is not None
    return computed and message.from_ == message.owner


def _order(entry: Entry) -> int:
    return entry.message.assignment.order if entry.message.assignment else 0


def _slot(entry: Entry) -> int:
    return entry.message.assignment.slot if entry.message.assignment else -1
