"""A HyperBEAM node that lies, to a shell that verifies its answers (`--verify on`).

It is the node of the tests, with HTTP and real signatures. It is honest until a process is made
on it, and lies from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from aoshell.protocol.wallet import Wallet
from attacks.attack import Attack, Bound
from attacks.place import Place, Ran

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "nodes"))
from hyper_server import HyperServer, Reply, Request, serving

Lie = Callable[[HyperServer], None]
PROCESS = ("lied-to", "--module", "L" * 43)
SECONDS = 5  # that the node may take to start, and to end
UNSIGNED = "take-this-for-true"  # must not be shown


@contextlib.contextmanager
def _up(server: HyperServer) -> Iterator[str]:
    """Run the node in a thread of its own; gives its URL."""
    ready, ended = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with serving(server):
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    if not ready.wait(SECONDS):
        raise RuntimeError("the node of this attack does not start")
    try:
        yield server.url
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(SECONDS)


@functools.cache
def _keys() -> tuple[Wallet, Wallet]:
    """The node's key and a stranger's. Each takes a second to make."""
    return Wallet.generate(), Wallet.generate()


def _lied_to(lie: Lie, honest_first: str, place: Place) -> Ran:
    """Run two lines at a node that lies.

    Args:
        honest_first: what may be shown, as it comes before the first lie.
    """
    server = HyperServer(_keys()[0], sign_all=True)
    with _up(server) as url:
        flags = ("--node", url, "--gateway-url", url, "--verify", "on")
        honest = place.shell(["1+1"], *PROCESS[1:], *flags, name=PROCESS[0])
        lie(server)
        ran = place.shell(["20+2", "30+3"], *flags, name=PROCESS[0])
    if "2" not in honest.out.split():
        ran.problems.append(f"there was no process to begin with: {honest.err[-120:]!r}")
    if UNSIGNED in ran.out + ran.err:
        ran.problems.append("shows what nobody has signed")
    if ran.out != honest_first:
        ran.problems.append(f"answers {ran.out!r}")
    return ran


def _two_keys(server: HyperServer) -> None:
    server.signer = _keys()[1]


def _replay(server: HyperServer) -> None:
    kept: list[Reply] = []

    def again(_request: Request, reply: Reply) -> Reply:
        kept.append(reply)
        return kept[0]

    server.faults["compute"] = again


def _unsigned(status: int) -> Lie:
    def lie(server: HyperServer) -> None:
        reply = status, [("content-type", "text/plain")], UNSIGNED.encode()
        server.faults["."] = lambda _request, _reply: reply

    return lie


ATTACKS = [
    Attack(
        f"liar: {name}",
        Bound(90, says=says, answers=False),
        functools.partial(_lied_to, lie, honest_first),
    )
    for name, lie, says, honest_first in (
        ("results signed by another key", _two_keys, "signed by", ""),
        ("an answer of before", _replay, "it came before, as the answer to another", "22\n"),
        ("a 500 that nobody signed", _unsigned(500), "is not signed, so it is not shown", ""),
        ("a 200 that nobody signed", _unsigned(200), "does not prove its address|not signed", ""),
    )
]
