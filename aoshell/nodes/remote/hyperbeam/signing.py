"""Messages to HyperBEAM processes, signed as the device that runs each of them wants it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from aoshell.nodes.remote.arweave.bundler import check_code, kind_of
from aoshell.nodes.values import HttpMessage, Signed, envelope
from aoshell.protocol import signing
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.commitment import Profile
from aoshell.protocol.message import Tag, by_lower_name, tags_of, text
from aoshell.protocol.structured import Value
from aoshell.protocol.wallet import Wallet

VARIANT = "ao.N.1"
SPAWN = "/~scheduler@1.0/schedule"  # path that takes a new process's definition
LUA, LEGACY = "lua@5.3a", "genesis-wasm@1.0"
# A process that several devices execute in turn, which stand in a list; and the one of them that
# takes what is sent to it out of the outbox and makes it state, to be read by key.
STACK, PATCH = "stack@1.0", "patch@1.0"
STACKED = "device-stack"  # the list; as a tag its names are parted by commas
# As aos 2.0.16 has them, in milliseconds since the Unix epoch. Without one a text that is sent
# twice is one message to a node, which then has two signatures and lists one id in both slots; and
# two equal definitions are one process. Measured on nodes of September 2025.
SENT_AT, MADE_AT = "message-timestamp", "process-timestamp"
TAKES_ITEMS = (
    ("content-type", "application/ans104"),
    ("codec-device", "ans104@1.0"),
    ("accept-bundle", "true"),
)

# What a node needs to know of a new process besides its module and where that is executed.
_DEVICES = {
    "device": "process@1.0",
    "scheduler-device": "scheduler@1.0",
    "push-device": "push@1.0",
}
# What aos 2.0.16 says of itself in the processes that it makes, which run its module
# (src/register.js, src/services/mainnet.js): `AOS_MODULE` in `node` is of the same version.
_OF_AOS = {"App-Name": "aos", "aos-version": "2.0.16"}


def executed_by(given: Mapping[str, str]) -> str:
    """Which device decides how messages to a process are signed; "" where nothing says it.

    Args:
        given: tags of its definition, their names in lower case.
    """
    device = given.get("execution-device", "")
    # Items are for legacy compute, which makes a stack of its own and is in none.
    return LUA if STACKED in given or device == STACK else device


def definition(tags: tuple[Tag, ...], device: str, node: str) -> tuple[Tag, ...]:
    """Tags of a new process: what they lack is what a node's own process has.

    Args:
        node: address of the node, which schedules it and whose pushes it trusts.
    """
    named = {tag.name.lower() for tag in tags}
    wanted = _DEVICES | {"execution-device": device, "Scheduler": node, "Authority": node}
    if device == LUA:
        wanted["scheduler-location"] = node
    elif device == LEGACY:
        wanted |= _OF_AOS
    stacked = next((tag.value for tag in tags if tag.name.lower() == STACKED), "")
    if stacked:
        wanted["execution-device"] = STACK
    if PATCH in _names(stacked):
        wanted["patch-from"] = "/results/outbox"
    added = (Tag(name, value) for name, value in wanted.items() if name.lower() not in named)
    return (*added, *tags)


def message(
    wallet: Wallet,
    device: str,
    target: str,
    tags: Iterable[Tag],
    data: bytes,
    profile: Profile,
) -> Signed:
    """A message, or with no target a definition.

    Args:
        profile: of the node, for messages that are httpsig.
    """
    whole = (*envelope("Message" if target else "Process", VARIANT), *tags)
    whole = _at_this_time(whole, SENT_AT if target else MADE_AT)
    if device == LUA:
        path = f"/{target}~process@1.0/schedule" if target else SPAWN
        return as_httpsig(wallet, path, target, whole, data, profile)
    own = [Tag("signing-format", "ans104"), Tag("accept-bundle", "true")]
    # As aoconnect 0.0.98 has it.
    codec = ("require-codec", "application/json") if target else ("accept-codec", "httpsig@1.0")
    own.append(Tag(*codec))
    return DataItem.sign(wallet, target, (*whole, *own), data)


def module(wallet: Wallet, data: bytes, name: str, node: str, profile: Profile) -> HttpMessage:
    """Code for a node to keep. A node keeps what it schedules, and a new process is all that it
    schedules without a process: so the code goes along as the data of one, which is never asked
    for anything.

    Args:
        node: its address.

    Raises:
        AoError: stage "publish", the code is neither WASM nor text.
    """
    check_code(data)
    kept = _DEVICES | {
        "scheduler": node,
        "scheduler-location": node,
        "module-format": kind_of(data),
    }
    tags = (*envelope("Process", VARIANT), *tags_of(kept.items()))
    named = (Tag("name", name),) if name else ()
    whole = _at_this_time((*tags, *named), MADE_AT)
    return as_httpsig(wallet, SPAWN, "", whole, data, profile)


def _at_this_time(tags: tuple[Tag, ...], name: str) -> tuple[Tag, ...]:
    if any(tag.name.lower() == name for tag in tags):
        return tags
    return (*tags, Tag(name, str(time.time_ns() // 1_000_000)))


def as_httpsig(
    wallet: Wallet, path: str, target: str, tags: Iterable[Tag], data: bytes, profile: Profile
) -> HttpMessage:
    """A signed message within a signed request to `path`."""
    keys: dict[str, Value] = {**by_lower_name(tags)}
    if STACKED in keys:
        keys[STACKED] = _names(str(keys[STACKED]))
    keys |= {"target": target} if target else {}
    keys |= {"data": text(data)} if data else {}
    made = signing.request(wallet, path, keys, profile=profile)
    return HttpMessage(made.id, tuple(made.headers), made.body)


def _names(listed: str) -> list[Value]:
    return [name.strip() for name in listed.split(",") if name.strip()]
