"""The command `aoshell fork`: its flags and its output.

Exit codes: 0, 1 if one or all failed, 2 misuse, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn, Protocol

from aoshell import interrupts
from aoshell.forks.network import take_network
from aoshell.home.folders import Settings
from aoshell.nodes.base import Node
from aoshell.nodes.values import Limits
from aoshell.protocol.wallet import Wallet
from aoshell.shell.commands.forks import network_value, read_places
from aoshell.shell.flags.parser import CommandParser
from aoshell.shell.flags.values import named
from aoshell.shell.ports.forking import ForkedNetwork, network_text
from aoshell.shell.view.streams import writer
from aoshell.shell.view.text import clean

FAILED, MISUSED = 1, 2


class NodeSource(Protocol):
    """Opens the built-in node of a home (`backends.LocalBackend`)."""

    def warm(self) -> None:
        """Start slow work that needs no event loop."""

    async def open(
        self,
        settings: Settings,
        limits: Limits,
        key: Callable[[], Awaitable[Wallet]],
        tell: Callable[[str], None],
    ) -> Node:
        """Open the node; `tell` shows what a long wait is for."""


class ForkParser(CommandParser):
    """A parser whose errors say how to attach a process that is named like the command."""

    def error(self, message: str) -> NoReturn:
        name = self.prog.rpartition(" ")[2]
        super().error(f"{message} (a process of that name: aoshell -- {name})")


def main(arguments: Sequence[str], source: Callable[[Settings, bool], NodeSource]) -> int:
    """Fork a live process into this home; returns the exit code.

    Args:
        source: makes the node of a home; its second argument: whether the node fetches modules.

    Raises:
        AoError: the fork failed, and the home has nothing of it.
    """
    parser = make_parser()
    try:
        given = parser.parse(arguments)
        if given.word != "as":
            parser.error("it reads aoshell fork URL|PROFILE PROCESS[@SLOT] as NAME")
    except SystemExit as leaving:  # argparse has printed the reason
        return leaving.code if isinstance(leaving.code, int) else MISUSED
    interrupts.heed()
    settings = Settings.find()
    settings.make_folders()
    opening = source(settings, False)
    opening.warm()
    places = read_places(given.process, given.others)
    network = interrupts.run(_take(opening, settings, given, places))
    tell(network_text(network))
    lines = [f"{one.process.id} {one.process.name}" for one in network.taken]
    if given.json:
        lines = [json.dumps(network_value(network, places))]
    writer(sys.stdout, needed=True)("\n".join(lines) + "\n")
    return FAILED if network.failed else 0


async def _take(
    source: NodeSource, settings: Settings, given: argparse.Namespace, places: Sequence[str]
) -> ForkedNetwork:
    node = await source.open(settings, Limits(), _no_key, tell)
    try:
        return await take_network(
            node,
            settings,
            given.source,
            places,
            given.name,
            tell,
            given.gateway or "",
            replay=given.replay,
        )
    finally:
        await node.close()


async def _no_key() -> Wallet:
    raise AssertionError("a fork signs nothing")


def tell(text: object) -> None:
    """Show a line that is not part of the answer."""
    writer(sys.stderr, needed=False)(clean(str(text), colour=False) + "\n")


def add_live_process(parser: ForkParser) -> None:
    """Add the arguments that name a live process."""
    parser.add_argument("source", type=named, metavar="URL|PROFILE", help="where it lives")
    parser.add_argument("process", type=named, metavar="PROCESS[@SLOT]", help="its id")


def add_gateway(parser: ForkParser) -> None:
    gateway = "where modules are fetched from (that of the config file, or arweave.net)"
    parser.add_argument("--gateway-url", dest="gateway", metavar="URL", help=gateway)


def make_parser() -> ForkParser:
    """The parser of its flags."""
    parser = ForkParser(
        "aoshell fork",
        usage="aoshell fork URL|PROFILE PROCESS[@SLOT] as NAME [flags]",
        description="Bring a live process home: its log is read, checked and computed here, up to"
        " SLOT or to its end. It keeps its id; nothing that is sent to it here is signed.",
        epilog="URL is a HyperBEAM node, a scheduler unit, or aoshell serve; a profile of the"
        " config file names the units of a network, legacy the public one.",
        allow_abbrev=False,
    )
    add_live_process(parser)
    parser.add_argument("word", metavar="as", help=argparse.SUPPRESS)
    parser.add_argument("name", type=named, metavar="NAME", help="its name here")
    others = "more processes of its network, by names or ids: here they send messages to each other"
    parser.add_argument("--with", dest="others", type=named, metavar="P2,P3[@SLOT]", help=others)
    add_gateway(parser)
    replay = "compute all slots here, even if its network has a memory to begin with"
    parser.add_argument("--replay", action="store_true", help=replay)
    parser.add_argument("--json", action="store_true", help="one object (docs/json.md)")
    return parser
