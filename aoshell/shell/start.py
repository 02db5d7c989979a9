"""From a command line to a session: the wallet, the node, and the process to attach."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aoshell.errors import AoError, UsageError
from aoshell.nodes.base import Limits, Node, ProcessInfo
from aoshell.protocol.message import Tag, tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.settings import Settings, ensure_wallet, load_wallet
from aoshell.shell.errors_view import split_error
from aoshell.shell.render import failure_text
from aoshell.shell.session import Front, Patience, Session

OpenNode = Callable[[Settings, Limits], Awaitable[Node]]

DEFAULT_NAME = "default"
DEFAULT_MODULE = "aos"

_ID = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_SHORTEST_ID = 6
_CRON = re.compile(r"\d+-(second|minute|hour|day|week|month|year)s?\Z")


@dataclass(frozen=True, slots=True)
class Start:
    """What a command line asks for.

    Attributes:
        reference: name, id or beginning of an id of the process.
        module: id or published name, or a file; "" for the built-in environment.
        data: a file whose bytes become the Data of a new process, or "".
        tags: tags of a new process, besides AO's own.
        cron: "N-unit" for a new process, or "".
        wallet: a wallet's file, or "" for the home's own.
        limits: what processes may use.
    """

    reference: str = DEFAULT_NAME
    module: str = ""
    data: str = ""
    tags: tuple[Tag, ...] = ()
    cron: str = ""
    wallet: str = ""
    limits: Limits = field(default_factory=Limits)

    @property
    def only_new(self) -> str:
        """The first flag given that counts for a new process only, or ""."""
        flags = {
            "--module": self.module,
            "--data": self.data,
            "--tag-name": self.tags,
            "--cron": self.cron,
        }
        return next((flag for flag, value in flags.items() if value), "")


async def open_session(
    start: Start, settings: Settings, open_node: OpenNode, front: Front, patience: Patience
) -> Session:
    """A session with a process attached; `close_session()` ends it.

    Raises:
        AoError: a stage on the way failed; nothing is left open.
    """
    settings.make_folders()
    wallet_file = Path(start.wallet).expanduser() if start.wallet else settings.wallet
    new = not start.wallet and not wallet_file.exists()
    # A thread: making a key takes a second, in which the prompt is there and answers keys.
    wallet = asyncio.get_running_loop().run_in_executor(
        None, _ready_wallet, wallet_file, not start.wallet
    )
    wallet.add_done_callback(lambda done: done.cancelled() or done.exception())
    node = await open_node(settings, start.limits)
    try:
        session = Session(node, wallet, front, patience)
        if new:
            session.wallet_note = (
                f"Making your wallet, once: {wallet_file}. The first answer waits for it."
            )
        # The subscription begins with the first step of its task.
        await asyncio.sleep(0)
        await session.attach(await _find_or_spawn(session, start))
    except BaseException:
        await node.close()
        raise
    return session


def _ready_wallet(path: Path, make: bool) -> Wallet:
    """The wallet, its key prepared: the first signature takes ten times as long as the next."""
    wallet = ensure_wallet(path) if make else load_wallet(path)
    wallet.sign(b"")
    return wallet


async def close_session(session: Session) -> None:
    """Put everything away."""
    await session.close()
    await session.node.close()


async def _find_or_spawn(session: Session, start: Start) -> ProcessInfo:
    found = await _find(session.node, start.reference)
    if found is None:
        return await _spawn(session, start)
    if start.only_new:
        raise UsageError(
            f"{start.reference} exists already, and {start.only_new} is for a new process",
            hint="choose a new name",
        )
    return found


async def _find(node: Node, reference: str) -> ProcessInfo | None:
    """The process, or None where the reference is a name that is free."""
    try:
        return await node.find(reference)
    except AoError:
        if _ID.match(reference):
            raise
        # Not free, but ambiguous: a failed look-up must never make a new process of that name.
        for info in await node.processes():
            begins = len(reference) >= _SHORTEST_ID and info.id.startswith(reference)
            if begins or info.name == reference:
                raise
        return None


async def _spawn(session: Session, start: Start) -> ProcessInfo:
    if start.cron and not _CRON.match(start.cron):
        raise UsageError(f"--cron {start.cron} is no interval", hint="--cron 5-minutes")
    node = session.node
    tags = [("Module", await _module(node, start.module)), ("Name", start.reference)]
    if start.cron:
        tags += [("Cron-Interval", start.cron), ("Cron-Tag-Action", "Cron")]
    data = _file(start.data) if start.data else b""
    item = await session.sign("", (*tags_of(tags), *start.tags), data)
    receipt = await node.spawn(item, start.reference)
    made = await node.result(receipt.process, receipt.place)
    if not made.ok:
        raise AoError(
            f"{start.reference} ({receipt.process}) was made, but its first message failed: "
            f"{split_error(failure_text(made, {}))[1]}",
            stage="spawn",
            hint=f"choose another NAME; .delete {receipt.process[:12]} forgets this one",
        )
    info = await node.find(receipt.process)
    session.front.feed(f"New process {start.reference}: {info.id}")
    return info


async def _module(node: Node, reference: str) -> str:
    if reference and Path(reference).expanduser().is_file():
        return (await node.upload(_program(Path(reference).expanduser()), "")).id
    return (await node.fetch(reference or DEFAULT_MODULE)).id


def _program(path: Path) -> bytes:
    """A module's bytes: WASM as it is, Lua with what it requires."""
    from aoshell.shell.bundle import bundle, read, refuse_bad_syntax

    data = read(path)
    if data.startswith(b"\0asm"):
        return data
    program = bundle(path)
    refuse_bad_syntax(program)
    return program.source


def _file(name: str) -> bytes:
    from aoshell.shell.bundle import read

    return read(Path(name).expanduser())
