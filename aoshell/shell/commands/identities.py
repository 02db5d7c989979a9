"""Identities that sign, and messages to any process: .as and .send."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from aoshell.errors import UsageError
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.message import Outgoing, Tag, raw, text
from aoshell.shell.attached.feed import named_id
from aoshell.shell.attached.session import Session
from aoshell.shell.commands import command, usage_error
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.places import find_process
from aoshell.shell.names.identities import OWN
from aoshell.shell.outcome import CommandOutput, LineAnswer
from aoshell.shell.table import Table

_TAG = re.compile(
    r"""(?P<name>[A-Za-z][\w.-]*)=
    (?P<value> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | @"[^"]*" | @'[^']*' | [^\s"']\S* | )
    (?=\s|\Z)""",
    re.ASCII | re.VERBOSE,
)
# Tags about who sent a message and how, not about its content.
_ENVELOPE = frozenset(
    ["Data-Protocol", "Variant", "Type", "Reference", "From-Process", "From-Module", "Pushed-For"]
)


@command("as")
async def as_(session: Session, given: Given) -> CommandOutput:
    """Sign the lines and messages that follow as another identity, or list all.

    A new NAME makes a wallet, kept in this home; `me` is the wallet that the shell was started
    with. The prompt shows who signs. A process evaluates lines of its owner only: .send sends other
    messages, .spawn makes a process that NAME owns. An address of 43 characters is the owner of a
    fork or a stand-in: these take unsigned messages with any owner.
    """
    who, wanted = session.identities, given["IDENTITY"]
    if not wanted:
        names = who.names()
        names += [who.current] if who.current not in names else []
        found = [(name, (await who.named(name)).address) for name in names]
        rows = tuple((">" * (name == who.current), name, address) for name, address in found)
        value = [{"name": n, "address": a, "current": n == who.current} for n, a in found]
        return CommandOutput(value, table=Table(("", "NAME", "ADDRESS"), rows))
    known = who.is_known(wanted)
    wallet = await who.named(wanted)
    who.current = wanted
    _introduce(session, [wallet.address])
    value_of_one = {"name": wanted, "address": wallet.address, "new": not known}
    if has_id_form(wanted):
        text = f"speaking as {wanted}, unsigned: to forks and stand-ins only; .as {OWN} comes back"
        return CommandOutput(value_of_one, text=text)
    made = "new, " if not known else ""
    back = "" if wanted == OWN else f"; .as {OWN} comes back"
    text = f"signing as {wanted} ({made}{wallet.address}){back}"
    return CommandOutput(value_of_one, text=text)


@command("send")
async def send(session: Session, given: Given) -> CommandOutput:
    """Send a signed message to a process, and show what it printed and sent.

    Words like Action=Transfer or Note="two words" become tags; the first other word begins the
    data. A value @NAME stands for the id of a process or the address of an identity; in quotes it
    is plain text.
    """
    target = given["PROCESS"]
    if "=" in target:
        raise usage_error("send", f"PROCESS is expected, not {target}")
    process = await find_process(session, target)
    pairs, data = split_message(given.text.removeprefix(target))
    tags = [Tag(name, await _value(session, typed)) for name, typed in pairs]
    _introduce(session, await session.identities.addresses())
    answer = await session.post(process.id, tuple(tags), raw(data))
    mails = answer.last.messages
    names = await session.naming.of(id for sent in mails for id in _ids_in(sent))
    shown = [line for sent in mails for line in _sent_lines(sent, names)]
    name = named_id(process.id, process.name)
    if not shown and answer.ok and not answer.last.output.strip():
        shown = [f"{name} took it, printed nothing and sent nothing"]
    value = {"process": process.id, "as": session.identities.current}
    note = f"{name} slot {answer.own.slot}" if answer.own.slot >= 0 else name
    text = "\n".join(shown)
    return CommandOutput(
        value, text=text, verbatim=True, note=note, answer=answer, ok=_taken(answer)
    )


def _introduce(session: Session, addresses: Iterable[str]) -> None:
    """Tell the node about identities; otherwise it reports messages to them as undelivered."""
    session.node.knows(addresses)


def _taken(answer: LineAnswer) -> bool:
    """Whether it succeeded, or no handler took it and it is in the Inbox."""
    return answer.last.ok and not answer.waiting


def split_message(given: str) -> tuple[list[tuple[str, str]], str]:
    """The tags, with their values as typed, and the data of a message for `.send`.

    Raises:
        UsageError: a quote is left open.
    """
    tags: list[tuple[str, str]] = []
    rest = given.lstrip()
    while found := _TAG.match(rest):
        tags.append((found["name"], found["value"]))
        rest = rest[found.end() :].lstrip()
    if opened := re.match(r"[A-Za-z][\w.-]*=[\"']", rest):
        raise UsageError(f"the quote of {opened[0][:-2]} is not closed", hint=".help send")
    return tags, rest


async def _value(session: Session, typed: str) -> str:
    """The value of a tag: text in quotes as it is, otherwise with ids for @NAME."""
    if typed[:1] in ('"', "'"):
        return re.sub(r"\\(.)", r"\1", typed[1:-1], flags=re.DOTALL)
    return await session.naming.in_word(typed)


def _ids_in(sent: Outgoing) -> Iterator[str]:
    """The ids in a message that a process sent."""
    yield sent.target
    yield from (tag.value for tag in sent.tags if has_id_form(tag.value))


def _sent_lines(sent: Outgoing, names: dict[str, str]) -> Iterator[str]:
    """A message that the process sent, for people."""
    tags = [tag for tag in sent.tags if tag.name not in _ENVELOPE]
    if sent.spawn:
        yield "→ spawns a process"
    else:
        yield f"→ to {named_id(sent.target, names.get(sent.target, '')) or 'nobody'}"
    width = max((len(tag.name) for tag in tags), default=0)
    for tag in tags:
        known = names.get(tag.value)
        yield f"  {tag.name:{width}}  {named_id(tag.value, known) if known else tag.value}"
    if sent.data:
        yield from (f"  │ {line}" for line in text(sent.data).split("\n"))
