"""Makes a new process: finds its module, announces it on a remote node, checks its first result."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from aoshell.bounded.files import is_file, path_of
from aoshell.errors import AoError, UsageError
from aoshell.nodes.values import NodeInfo, ProcessInfo
from aoshell.protocol.aos_modules import module_id
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.message import Tag, by_lower_name, tags_of
from aoshell.protocol.url import is_loopback
from aoshell.shell.attached.feed import short_id
from aoshell.shell.attached.questions import global_hint
from aoshell.shell.attached.session import Session
from aoshell.shell.code.publishing import publish_environment, takes_environment
from aoshell.shell.view.errors_view import failure_text, split_error
from aoshell.shell.view.text import format_size

DEFAULT_MODULE = "aos"  # on the built-in node


class SpawnRequest(NamedTuple):
    """A process to make.

    Attributes:
        name: "" for none.
        module: id, published name, or a file; "" for the default.
        tags: besides AO's own.
        sure: do not ask.
    """

    name: str
    module: str
    data: bytes = b""
    tags: tuple[Tag, ...] = ()
    sure: bool = False


async def spawn(session: Session, wanted: SpawnRequest) -> ProcessInfo:
    """Make a process with a name that is free. On a remote node, announces it and asks.

    Raises:
        AoError: it was not made, or its first message failed.
    """
    if session.remote:
        return await _spawn_there(session, wanted)
    node = session.node
    module = await _module(session, wanted.module or DEFAULT_MODULE)
    item = await session.sign("", _tags(wanted, module), wanted.data)
    receipt = await node.spawn(item, wanted.name, unique=True)
    made = await node.result(receipt.process, receipt.place)
    if not made.ok:
        raise AoError(
            f"{wanted.name or 'a process'} ({receipt.process}) was made, but its first message "
            f"failed: {split_error(failure_text(made, {}))[1]}",
            stage="spawn",
            hint=f"choose another NAME; .delete {receipt.process[:12]} forgets this one",
        )
    return await node.find(receipt.process)


async def _spawn_there(session: Session, wanted: SpawnRequest) -> ProcessInfo:
    node = session.node
    module, about = await _module_there(session, wanted.module)
    tags = (*session.network, *_tags(wanted, module))
    session.front.note(_announcement(await node.info(), wanted.name, f"{module} {about}", tags))
    if not wanted.sure and session.front.asks:
        named = f" {wanted.name}" if wanted.name else ""
        if not await session.front.confirm(f"Make the process{named} there? [y/N] "):
            raise AoError(
                "no process was made", stage="spawn", hint=".attach ID opens one that there is"
            )
    item = await session.sign("", tags, wanted.data)
    receipt = await node.spawn(item, wanted.name)
    # Not awaited: its first message may take long, and the first line waits for it anyway.
    owner = (await session.wallet()).address
    now = time.time_ns() // 1_000_000
    return ProcessInfo(
        receipt.process, wanted.name, owner, module, 1, 0, False, None, 0, 0, 0, "", now
    )


def _announcement(info: NodeInfo, name: str, module: str, tags: tuple[Tag, ...]) -> str:
    """What is about to become public, for people."""
    given = by_lower_name(tags)
    own = info.details.get("scheduler", info.address)
    scheduler = given.get("scheduler") or own
    if not scheduler:
        raise UsageError(
            "no scheduler is set for a new process there",
            hint="--scheduler ADDRESS, SCHEDULER, or scheduler = … in the profile",
        )
    lasts = "" if info.endpoint and is_loopback(info.endpoint) else ", public and permanent"
    return (
        f"A new process{f' {name}' if name else ''} on {info.endpoint or info.kind}{lasts}:\n"
        f"  module     {module}\n"
        f"  scheduler  {scheduler}"
    )


def _tags(wanted: SpawnRequest, module: str) -> tuple[Tag, ...]:
    own = [("Module", module), *([("Name", wanted.name)] if wanted.name else [])]
    return (*tags_of(own), *wanted.tags)


async def _module(session: Session, reference: str) -> str:
    """The id of a module on the built-in node; a file is stored as one."""
    file = path_of(reference)
    if is_file(file):
        module = await session.node.upload(_program(session, file), "")
        session.journal.files[module.id] = file.absolute()
        return module.id
    try:
        return (await session.node.fetch(module_id(reference))).id
    except AoError as error:
        if hint := await global_hint(session, reference, ".publish FILE as {}"):
            raise AoError(error.what, stage=error.stage, hint=hint) from error
        raise


async def _default_module_there(session: Session) -> str:
    """The default module of a remote node. A node of this machine may get one published first.

    Raises:
        UsageError: there is none.
    """
    node = session.node.remote
    assert node is not None
    known = await node.default_module()
    if known:
        return known
    if not takes_environment(session.node):
        raise UsageError(
            "no module is set for a new process there",
            hint="--module ID, AOS_MODULE, or module = … in the profile",
        )
    if not session.front.asks:
        raise UsageError(
            f"{node.endpoint} has no module yet that a new process could be made of",
            hint=f"aoshell --node {node.endpoint} --run '.publish --environment --yes' gives it "
            "aoshell's; --module ID names another",
        )
    return (await publish_environment(session, sure=False)).id


async def _module_there(session: Session, reference: str) -> tuple[str, str]:
    """The id of a module on a remote node, and a note: kind, size, name."""
    if not reference:
        reference = await _default_module_there(session)
    if is_file(path_of(reference)):
        raise UsageError(
            f"{reference} is a file, and a remote node takes code by its id",
            hint=f".publish {reference} shows what that costs, and gives the id",
        )
    reference = module_id(reference)
    try:
        module = await session.node.fetch(reference)
    except AoError as error:
        if not has_id_form(reference) or error.stage == "verify":
            raise
        return reference, f"(not looked at: {error.what})"
    shown = format_size(len(module.data)) if module.data else "kept by the node"
    about = ", ".join(filter(None, (module.kind, shown, module.name)))
    return module.id, f"({about})"


def _program(session: Session, path: Path) -> bytes:
    """The bytes of a module: WASM as it is, Lua with the files that it requires."""
    from aoshell.shell.code.bundle import bundle, refuse_unloadable
    from aoshell.shell.code.files import read_file

    data = read_file(path)
    if data.startswith(b"\0asm"):
        return data
    program = bundle(path)
    refuse_unloadable(program)
    for note in program.program.notes:
        session.front.note(note)
    return program.source


def birth_notice(info: ProcessInfo) -> str:
    """The note on a process that was just made."""
    return f"New process {info.name or short_id(info.id)}: {info.id}"
