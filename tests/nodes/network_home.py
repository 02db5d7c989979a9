"""A node and its clients over HTTP: what they spawn and send, and how units check a schedule."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from itertools import pairwise

from local_home import Local

from aoshell.nodes.local.processes.aliases import BUILT_IN
from aoshell.protocol.ans104 import DataItem

AOS = next(iter(BUILT_IN))
PUBLIC = "fcoN_xJeisVsPXA-trzVAuIiqO3ydLQxM-L4XbrQKzY"  # the authority that aos names
ECHO = """
Seen = {}
Handlers.add("Ping", "Ping", function(msg)
  Seen[#Seen + 1] = msg.Owner
  if msg["Reply-To-Me"] then Send({Target = ao.id, Action = "Ping"}) end
end)
"""


def network(local: Local):
    found = local.node.network
    assert found is not None
    return found


async def spawned(local: Local, rule: str = "auto", module: str = AOS, **values: str) -> str:
    """A process that a client has spawned; its id."""
    values.setdefault("Authority", PUBLIC)
    item = local.definition(module, **values)
    receipt = await network(local).submit(item, authority=rule, client="http")
    assert (await local.node.result(receipt.process, 0)).ok
    return receipt.process


async def posted(local: Local, process: str, data: str = "", **values: str):
    return await network(local).submit(local.item(process, data, **values), client="http")


def text_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def bytes_of(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=")


def tag_of(item: DataItem, name: str) -> str:
    return next(tag.value for tag in item.tags if tag.name == name)


def as_a_cu_checks_it(items: Sequence[DataItem]) -> bool:
    """`isHashChainValid` of permaweb/ao's CU over a schedule, in Python."""
    for before, item in pairwise(items):
        whole = bytes_of(before.id) + bytes_of(tag_of(before, "Hash-Chain"))
        if tag_of(item, "Hash-Chain") != text_of(hashlib.sha256(whole).digest()):
            return False
    return True
