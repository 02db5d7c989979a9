"""Who signs, and messages to any process: .as and .send."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from aoshell.errors import AoError, UsageError
from aoshell.protocol.message import Outgoing, Tag, raw, text
from aoshell.shell.commands import command, find_process, usage_error
from aoshell.shell.feed import short_id
from aoshell.shell.identities import OWN
from aoshell.shell.outcome import CommandOutput, LineAnswer, Table
from aoshell.shell.session import Session

_TAG = re.compile(
    r"""(?P<name>[A-Za-z][\w.-]*)=(?P<value>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s"']\S*|)(?=\s|\Z)""",
    re.ASCII,
)
# What says who sent a message and how, not what it is about.
_ENVELOPE = frozenset(
    ["Data-Protocol", "Variant", "Type", "Reference", "From-Process", "From-Module", "Pushed-For"]
)


@command("as", "[NAME]", complete="IDENTITY")
async def as_(session: Session, rest: str) -> CommandOutput:
    """Sign the lines and messages that follow as another identity, or list all.

    A new NAME makes a wallet, which is kept in this home; `me` is the wallet that the shell was
    started with. The prompt shows who signs. A process evaluates lines of its owner only: .send
    sends other messages, .spawn makes a process that NAME owns.
    """
    who = session.identities
    if not rest:
        names = who.names()
        found = [(name, (await who.named(name)).address) for name in names]
        rows = tuple((">" * (name == who.current), name, address) for name, address in found)
        value = [{"name": n, "address": a, "current": n == who.current} for n, a in found]
        return CommandOutput(value, table=Table(("", "NAME", "ADDRESS"), rows))
    if len(rest.split()) > 1:
        raise usage_error("as")
    known = who.is_known(rest)
    wallet = await who.named(rest)
    who.current = rest
    _introduce(session, [wallet.address])
    value_of_one = {"name": rest, "address": wallet.address, "new": not known}
    made = "new, " if not known else ""
    back = "" if rest == OWN else f"; .as {OWN} comes back"
    return CommandOutput(value_of_one, text=f"signing as {rest} ({made}{wallet.address}){back}")


@command("send", "TARGET [NAME=VALUE …] [DATA]", complete="PROCESS Action=")
async def send(session: Session, rest: str) -> CommandOutput:
    """Send a signed message to a process, and show what it printed and sent.

    TARGET is a name, also as @NAME, or an id. Words like Action=Transfer or Note="two words" become
    tags; the first other word begins the data. In a value, @NAME stands for the address of an
    identity or of a process: .send token Action=Transfer Recipient=@alice Quantity=5
    """
    target, _, given = rest.partition(" ")
    if not target or "=" in target:
        raise usage_error("send")
    process = await find_process(session, target.removeprefix("@"))
    pairs, data = split_message(given)
    tags = [Tag(name, await _address(session, value)) for name, value in pairs]
    names = await session.identities.addresses()
    _introduce(session, names)
    answer = await session.post(process.id, tuple(tags), raw(data))
    shown = [line for sent in answer.last.messages for line in _sent_lines(sent, names)]
    if not shown and answer.ok and not answer.last.output.strip():
        shown = [
            f"{process.name or short_id(process.id)} took it, printed nothing and sent nothing"
        ]
    value = {"process": process.id, "as": session.identities.current}
    return CommandOutput(value, text="\n".join(shown), answer=answer, ok=_taken(answer))


def _introduce(session: Session, addresses: Iterable[str]) -> None:
    """Tell the node of identities: else it reports messages to them as undelivered."""
    session.node.knows(addresses)


def _taken(answer: LineAnswer) -> bool:
    """Whether it succeeded; a message that no handler took, and is in the Inbox, counts as well."""
    return answer.last.ok and not answer.waiting


def split_message(given: str) -> tuple[list[tuple[str, str]], str]:
    """The tags and the data of a message as `.send` takes them.

    Raises:
        UsageError: a quote is left open.
    """
    tags: list[tuple[str, str]] = []
    rest = given.lstrip()
    while found := _TAG.match(rest):
        tags.append((found["name"], _unquoted(found["value"])))
        rest = rest[found.end() :].lstrip()
    if opened := re.match(r"[A-Za-z][\w.-]*=[\"']", rest):
        raise UsageError(f"the quote of {opened[0][:-2]} is not closed", hint=".help send")
    return tags, rest


def _unquoted(value: str) -> str:
    if value[:1] not in ('"', "'"):
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)


async def _address(session: Session, value: str) -> str:
    """A value, or the address that its @NAME stands for."""
    name = value.removeprefix("@")
    if name == value or not name:
        return value
    if name in session.identities.names():
        return (await session.identities.named(name)).address
    try:
        return (await session.node.find(name)).id
    except AoError:
        raise UsageError(
            f"{value} is neither an identity nor a process",
            hint=f".as {name} makes an identity; .as and .ps list those there are",
        ) from None


def _sent_lines(sent: Outgoing, names: dict[str, str]) -> Iterator[str]:
    """A message that the process sent, for people."""
    tags = [tag for tag in sent.tags if tag.name not in _ENVELOPE]
    if sent.spawn:
        yield "→ spawns a process"
    else:
        yield f"→ to {names.get(sent.target) or sent.target or 'nobody'}"
    width = max((len(tag.name) for tag in tags), default=0)
    for tag in tags:
        known = names.get(tag.value)
        yield f"  {tag.name:{width}}  {tag.value}{f' ({known})' if known else ''}"
    if sent.data:
        yield from (f"  │ {line}" for line in text(sent.data).split("\n"))
