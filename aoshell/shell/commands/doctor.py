"""What is wrong with the node: .doctor."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from aoshell.errors import AoError
from aoshell.nodes.base import LocalVerbs
from aoshell.nodes.values import EndpointFinding
from aoshell.shell.attached.feed import short_id
from aoshell.shell.attached.owners import way_in
from aoshell.shell.attached.questions import dryrun
from aoshell.shell.attached.session import Session
from aoshell.shell.commands import command
from aoshell.shell.commands.grammar import Given
from aoshell.shell.names.naming import typed_name
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.table import Table
from aoshell.shell.view.tables import table_lines


@command("doctor")
async def doctor(session: Session, _: Given) -> CommandOutput:
    """Say what is wrong with this node and what to do about it.

    For the built-in node: its folder, disk and database, whether the attached process answers, and
    what waits or was not delivered. For a remote node: each endpoint. Nothing changes.
    """
    local = session.node.local
    if local:
        found = [one async for one in _examined(session, local)]
    else:
        found = list(await _remote(session))
    rows = [(one.name, "ok" if one.ok else "bad", one.endpoint, one.detail) for one in found]
    # Text and not a table: a narrow screen would cut the reasons off. On one, they go below the
    # third column, so the short ones come first.
    columns = ("WHAT", "STATE", "WHERE" if local else "ENDPOINT", "FOUND")
    heading, *lines = table_lines(Table(columns, tuple(rows)))
    shown = [heading]
    for one, line in zip(found, lines, strict=True):
        shown += [line, f"  → {one.hint}"] if one.hint else [line]
    value = [one._asdict() for one in found]
    return CommandOutput(value, text="\n".join(shown), ok=all(one.ok for one in found))


async def _remote(session: Session) -> list[EndpointFinding]:
    remote = session.node.remote
    return list(await remote.doctor()) if remote else []


async def _examined(session: Session, node: LocalVerbs) -> AsyncIterator[EndpointFinding]:
    for found in await node.examine():
        yield found
    info = await session.node.info()
    carrier = info.details.get("carried by", "this shell")
    yield EndpointFinding("node", info.address, True, f"carried by {carrier}")
    yield await _wallet(session)
    yield await _process(session)
    waiting = [one for one in await session.node.processes() if one.computed < one.slots]
    for one in waiting:
        name, left = one.name or short_id(one.id), one.slots - one.computed
        many = f"{left} messages are" if left > 1 else "1 message is"
        hint = f".messages {typed_name(name)} lists them; .limits says what one may use"
        yield EndpointFinding("waiting", name, True, f"{many} not computed yet", hint)
    if kept := len(await node.undelivered()):
        many = f"{kept} messages were" if kept > 1 else "1 message was"
        hint = ".messages PROCESS says of each why"
        yield EndpointFinding("delivery", info.address, True, f"{many} not delivered", hint)


async def _wallet(session: Session) -> EndpointFinding:
    try:
        address = (await session.wallet()).address
    except AoError as error:
        return EndpointFinding("wallet", "", False, error.what, error.hint)
    process = session.process
    if process is None or process.owner == address:
        return EndpointFinding("wallet", address, True, "signs lines")
    found = f"{process.name or short_id(process.id)} belongs to {short_id(process.owner)}"
    return EndpointFinding(
        "wallet", address, True, found, await way_in(session.node, session.identities, process)
    )


async def _process(session: Session) -> EndpointFinding:
    """Whether the attached process answers."""
    process = session.process
    if process is None:
        lacking = session.lacking
        hint = (lacking.hint if lacking else "") or ".ps, then .attach NAME"
        return EndpointFinding("process", "", False, "none is attached", hint)
    name, begin = process.name or short_id(process.id), time.perf_counter()
    try:
        result = (await dryrun(session, "return 1")).own
    except AoError as error:
        return EndpointFinding("process", name, False, error.what, error.hint)
    if not result.ok:
        found = f"it does not evaluate: {result.error or result.outcome}"
        return EndpointFinding("process", name, False, found, ".verify-log checks its log")
    took = (time.perf_counter() - begin) * 1000
    return EndpointFinding("process", name, True, f"answers a dry run in {took:.0f} ms")
