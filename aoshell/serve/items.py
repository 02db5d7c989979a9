"""Incoming ANS-104 items: parses and verifies them outside the event loop.

The same loop may draw a prompt, so nothing slow may run in it: parsing, the deep hash of up to
16 MB, the check of a signature.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from aoshell.errors import AoError
from aoshell.protocol.ans104 import DataItem, check_limits, check_relayed
from aoshell.protocol.encoding import ProtocolError, has_id_form
from aoshell.serve.asgi.http import RequestError

if TYPE_CHECKING:
    from aoshell.nodes.network_verbs import NetworkVerbs
    from aoshell.nodes.transaction import Transaction

_THREADS = 2  # that check signatures; `load.Bounds` bounds the work that waits for them
REFUSED = ("message", "module", "usage")  # stages of errors that the sender can correct
_T = TypeVar("_T")


class Checker:
    """Threads for work that would block the loop. Must be closed.

    Args:
        bounded: whether the network's limits on tags hold (`.limits network`).
    """

    def __init__(self, bounded: Callable[[], bool] = lambda: True) -> None:
        self._bounded = bounded
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="serve")

    async def run(self, call: Callable[[], _T]) -> _T:
        """Call a function in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def item(self, body: bytes, *, relayed: bool = True) -> DataItem:
        """The item in a body, its signature verified.

        Args:
            relayed: refuse more bytes of tags than messenger units and bundlers accept. HyperBEAM
                has no such limit.

        Raises:
            RequestError: 400, it is no item, its owner did not sign it, or its tags exceed a limit.
        """
        bounded = self._bounded()
        return await self.run(lambda: _verified(body, bounded, relayed and bounded))

    def close(self) -> None:
        """End the threads, without waiting for their work."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _verified(body: bytes, bounded: bool, relayed: bool) -> DataItem:
    if not body:
        raise RequestError(400, "the body is empty: a signed data item (ANS-104) is expected")
    item = read_item(body)
    try:
        if bounded:
            check_limits(item.tags)
        if relayed:
            check_relayed(item)
    except AoError as error:
        raise RequestError(400, error.what) from None
    return item


def read_item(body: bytes) -> DataItem:
    """The item in a body, its signature verified. Takes long.

    Raises:
        RequestError: 400, it is no item, or its owner did not sign it.
    """
    try:
        item = DataItem.parse(body)
    except ProtocolError as error:
        raise RequestError(400, f"the body is no data item (ANS-104): {error.what}") from None
    if not item.verify():
        raise RequestError(400, f"the signature of data item {item.id} is not that of its owner")
    return item


async def keep(network: NetworkVerbs, given: DataItem | Transaction, client: str) -> None:
    """Store an upload in the node.

    Args:
        client: see `NetworkVerbs.submit`.

    Raises:
        RequestError: 400, the node refuses it.
    """
    try:
        await network.keep(given, client=client)
    except AoError as error:
        if error.stage in REFUSED:
            raise RequestError(400, error.what) from None
        raise


def absent(process: str) -> RequestError:
    """The error for a process that is not here. aos shows only this text, after 24 s."""
    if not has_id_form(process):
        return RequestError(400, f"{process[:100]!r} is no id of a process (43 characters)")
    return RequestError(
        404,
        f"process {process} is not on this node (aoshell serve). It was made on another node or in"
        " another home, or it was deleted; aoshell --list shows those that are here. aos keeps the"
        " ids of names in ~/.aos-process-cache.json, also those of a node that is gone: remove the"
        " file, or choose a new name",
    )
