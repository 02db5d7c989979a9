"""Makes a session from a command line: the wallet, the node, and the process to attach."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aoshell.bounded.files import path_of
from aoshell.errors import AoError, UsageError
from aoshell.home.folders import Settings
from aoshell.home.wallets import ensure_wallet, load_wallet
from aoshell.interrupts import in_background
from aoshell.nodes.base import Node, RemoteVerbs
from aoshell.nodes.values import Limits, NameTakenError, NotFoundError, ProcessInfo
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.message import Tag, tags_of
from aoshell.protocol.tag_names import AS_SENT
from aoshell.protocol.wallet import Wallet
from aoshell.shell.attached.session import Recorder, Session
from aoshell.shell.code.spawning import SpawnRequest, birth_notice, spawn
from aoshell.shell.flags.subcommands import command_like
from aoshell.shell.help.hints import next_hint
from aoshell.shell.names.naming import SHORTEST
from aoshell.shell.ports.front import Front, Patience
from aoshell.shell.ports.serving import ServeNode

if TYPE_CHECKING:
    from aoshell.shell.ports.forking import Forking

Key = Callable[[], Awaitable[Wallet]]
OpenNode = Callable[[Settings, Limits, Key, Callable[[str], None]], Awaitable[Node]]

DEFAULT_NAME = "default"

HURRIED = 0.5  # seconds that a remote node may take to close after Ctrl-C
_SILENT = 1.0  # seconds at the end before a person sees what the shell waits for
_OURS = ("wallet", "home", "store")  # stages whose errors no node has caused
_CRON = re.compile(r"\d+-(second|minute|hour|day|week|month|year)s?\Z")


def _nowhere(_: str) -> None:
    return None


class Start(NamedTuple):
    """What a command line asks for.

    Attributes:
        reference: name, id or beginning of an id of the process.
        module: id, published name or file; "" for the default.
        data: a file whose bytes become the Data of a new process, or "".
        tags: tags of a new process, besides AO's own.
        cron: "N-unit" for a new process, or "".
        wallet: a wallet's file, or "" for the home's own.
        limits: what processes may use.
        network: tags of every new process on a remote node: its scheduler, its authority.
        place: a line for the user: the remote node, what chose it, and a warning where the
            connection is not encrypted; "" shows nothing.
        startup: whether start-up files may send messages.
        named: the user has named the process.
        sure: the name is meant, even if it looks like a command.
        existing: never make a process.
        record: makes the test that `.record` writes; None if unsupported.
        serve: serves the node (`.serve`); None if unsupported.
        forking: reads live processes (`.fork`, `.compare`); None if unsupported.
        elsewhere: returns the remote node on which a name or id is known, and the flags that open
            it; None if none is known.
    """

    reference: str = DEFAULT_NAME
    module: str = ""
    data: str = ""
    tags: tuple[Tag, ...] = ()
    cron: str = ""
    wallet: str = ""
    limits: Limits = Limits()
    network: tuple[Tag, ...] = ()
    place: str = ""
    startup: bool = True
    named: bool = False
    sure: bool = False
    existing: bool = False
    record: Recorder | None = None
    serve: ServeNode | None = None
    forking: Forking | None = None
    elsewhere: Callable[[str], tuple[str, str] | None] = _nowhere

    @property
    def only_new(self) -> str:
        """The first given flag that is for new processes only, or ""."""
        flags = {
            "--module": self.module,
            "--data": self.data,
            "--tags": AS_SENT in self.tags,
            "--tag-name": self.tags,
            "--cron": self.cron,
        }
        return next((flag for flag, value in flags.items() if value), "")


async def open_session(
    start: Start, settings: Settings, open_node: OpenNode, front: Front, patience: Patience
) -> Session:
    """A session with a process attached; `close_session()` ends it.

    If a remote node cannot be reached, the session opens without a process: commands that help find
    the reason still work.

    Raises:
        AoError: a step failed; nothing is left open.
    """
    settings.make_folders()
    wallet_file = path_of(start.wallet) if start.wallet else settings.wallet
    new = not start.wallet and not wallet_file.exists()
    # In a thread: making a key takes a second, and the prompt must answer keys meanwhile.
    wallet = in_background(partial(_ready_wallet, wallet_file, not start.wallet))
    wallet.add_done_callback(lambda done: done.cancelled() or done.exception())
    node = await open_node(settings, start.limits, lambda: asyncio.shield(wallet), front.note)
    try:
        front.opened(node)
        session = Session(
            node,
            wallet,
            front,
            patience,
            start.network,
            settings.identities,
            start.record,
            start.serve,
            start.forking,
        )
        if new:
            session.wallet_note = (
                f"Making your wallet, once: {wallet_file}. The first answer waits for it."
            )
        # The subscription begins with the first step of its task.
        await asyncio.sleep(0)
        if start.place:
            session.front.note(start.place)
        await (_attach_there if session.remote else _attach)(session, start)
        if front.asks and (hint := next_hint(settings, local=not session.remote)):
            front.note(hint)
    except BaseException:
        await node.close()
        raise
    return session


async def _attach(session: Session, start: Start) -> None:
    await session.attach(await _find_or_spawn(session, start))


async def _attach_there(session: Session, start: Start) -> None:
    session.lacking = session.try_again = None
    try:
        await _attach(session, start)
    except AoError as error:
        if start.existing or isinstance(error, UsageError) or error.stage in _OURS:
            raise
        session.lacking = error
        session.try_again = partial(_attach_there, session, start)
        if session.front.asks:
            session.front.note(str(error))


def _ready_wallet(path: Path, make: bool) -> Wallet:
    """The wallet, after a first signature, which takes ten times as long as later ones."""
    wallet = ensure_wallet(path) if make else load_wallet(path)
    wallet.sign(b"")
    return wallet


async def close_session(session: Session, *, hurried: bool = False) -> None:
    """Close a session and its node, once what was sent is delivered.

    Args:
        hurried: after Ctrl-C: do not wait for a remote node. The built-in one is waited for,
            because its log must be on disk.
    """
    if session.node.remote and not hurried:
        await _finish(session, session.node.remote)
    await session.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(HURRIED if hurried and session.remote else None):
            await session.node.close()


async def _finish(session: Session, node: RemoteVerbs) -> None:
    finishing = asyncio.ensure_future(node.finish())
    await asyncio.wait({finishing}, timeout=_SILENT)
    if not finishing.done() and session.front.asks:  # a pipe shows the stage
        session.front.note("waiting a moment until what was sent is delivered")
    if left := await finishing:
        session.front.note(left)


async def _find_or_spawn(session: Session, start: Start) -> ProcessInfo:
    try:
        found = await _find(session.node, start.reference)
    except AoError:
        _refuse_elsewhere(session, start)
        raise
    if found is not None and await _is_meant_by_others(session, start, found):
        found = None
    if found is None:
        _refuse_elsewhere(session, start)
        await _refuse_command(session, start)
        try:
            return await _spawn(session, start)
        except NameTakenError:  # by another shell of this home, after the look-up
            found = await session.node.find(start.reference)
    if start.only_new:
        raise UsageError(
            f"{start.reference} exists already, and {start.only_new} is for new processes",
            hint="choose a new name",
        )
    return found


async def _is_meant_by_others(session: Session, start: Start, found: ProcessInfo) -> bool:
    """Whether another client made this process under the name that the shell uses by default."""
    if start.named or not found.network:
        return False
    return found.owner != (await session.wallet()).address


async def _find(node: Node, reference: str) -> ProcessInfo | None:
    """The process, or None if the reference is a free name."""
    try:
        return await node.find(reference)
    except NotFoundError:
        if has_id_form(reference):
            raise
        return None
    except AoError:
        if node.remote or has_id_form(reference):
            raise
        # Several have this name, and one of them may be meant. A failed look-up never makes a
        # process.
        for info in await node.processes():
            begins = len(reference) >= SHORTEST and info.id.startswith(reference)
            if begins or info.name == reference:
                raise
        return None


def _refuse_elsewhere(session: Session, start: Start) -> None:
    """Raises AoError if the process that is not here is known to live on another node."""
    known = None if session.remote else start.elsewhere(start.reference)
    if known:
        where, flags = known
        raise AoError(
            f"{start.reference} lives on {where}",
            stage="find",
            hint=f"aoshell {start.reference} {flags} (--node local: look here only)",
        )


async def _refuse_command(session: Session, start: Start) -> None:
    """Ask before making a process whose name looks like a command of `aoshell`.

    Raises:
        UsageError: nobody can be asked, or the answer is no.
    """
    meant = "" if start.sure or start.existing or not start.named else command_like(start.reference)
    if not meant:
        return
    question = f"{meant}. Make a process of the name {start.reference}? [y/N] "
    if session.front.asks and await session.front.confirm(question):
        return
    raise UsageError(
        f"there is no process {start.reference}, and none was made: it looks like a command",
        hint=f"{meant}; aoshell -- {start.reference} makes a process of that name",
    )


async def _spawn(session: Session, start: Start) -> ProcessInfo:
    if start.existing:
        raise AoError(
            f"there is no process {start.reference} to follow",
            stage="find",
            hint="check the spelling, or give its id; --list shows those known",
        )
    if start.cron and not _CRON.match(start.cron):
        raise UsageError(f"--cron {start.cron} is no interval", hint="--cron 5-minutes")
    if session.remote and not start.named and not session.front.asks:
        raise AoError(
            f"there is no process {start.reference}, and a script must name what it makes",
            stage="find",
            hint="aoshell NAME --node URL --run …",
        )
    tags = start.tags
    if start.cron:
        cron = [("Cron-Interval", start.cron), ("Cron-Tag-Action", "Cron")]
        tags = (*tags_of(cron), *tags)
    data = _file(start.data) if start.data else b""
    info = await spawn(session, SpawnRequest(start.reference, start.module, data, tags))
    session.front.note(birth_notice(info))
    if start.cron and session.remote:
        session.front.note("it ticks once the network runs it: .monitor")
    return info


def _file(name: str) -> bytes:
    from aoshell.shell.code.files import read_file

    return read_file(path_of(name))
