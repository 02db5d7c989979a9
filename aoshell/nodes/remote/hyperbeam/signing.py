"""Signs messages to HyperBEAM processes, in the form for the device that executes the process."""

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
# The device of a process that a list of devices executes in turn; and the device in that list that
# takes its messages out of the outbox and writes them into the state, where keys can be read.
STACK, PATCH = "stack@1.0", "patch@1.0"
STACKED = "device-stack"  # the list; as a tag, its names are separated by commas
# As in aos 2.0.16, in milliseconds since the Unix epoch. Without a time, a node regards a text that
# is sent twice as one message with two signatures, and lists one id in both slots; and two equal
# definitions as one process. Measured on nodes of September 2025.
SENT_AT, MADE_AT = "message-timestamp", "process-timestamp"
TAKES_ITEMS = (
    ("content-type", "application/ans104"),
    ("codec-device", "ans104@1.0"),
    ("accept-bundle", "true"),
)

# Tags that a definition needs, besides its module and execution device.
_DEVICES = {
    "device": "process@1.0",
    "scheduler-device": "scheduler@1.0",
    "push-device": "push@1.0",
}
# Tags of aos 2.0.16 in the processes that it makes, which run its module (src/register.js,
# src/services/mainnet.js). `publishing.AOS_MODULE` is of the same version.
_OF_AOS = {"App-Name": "aos", "aos-version": "2.0.16"}


def executed_by(given: Mapping[str, str]) -> str:
    """The device that decides how to sign messages to a process; "" if no tag names one.

    Args:
        given: tags of its definition, their names in lower case.
    """
    device = given.get("execution-device", "")
    # Only legacy compute takes items; it is never in a stack, so stacks take httpsig.
    return LUA if STACKED in given or device == STACK else device


def definition(tags: tuple[Tag, ...], device: str, node: str) -> tuple[Tag, ...]:
    """Tags of a new process; missing ones get the values that a node's own process has.

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
    """A signed message, or, without a target, a definition.

    Args:
        profile: the node's profile, for httpsig messages.
    """
    whole = (*envelope("Message" if target else "Process", VARIANT), *tags)
    whole = _at_this_time(whole, SENT_AT if target else MADE_AT)
    if device == LUA:
        path = f"/{target}~process@1.0/schedule" if target else SPAWN
        return as_httpsig(wallet, path, target, whole, data, profile)
    own = [Tag("signing-format", "ans104"), Tag("accept-bundle", "true")]
    # As in aoconnect 0.0.98.
    codec = ("require-codec", "application/json") if target else ("accept-codec", "httpsig@1.0")
    own.append(Tag(*codec))
    return DataItem.sign(wallet, target, (*whole, *own), data)


def module(wallet: Wallet, data: bytes, name: str, node: str, profile: Profile) -> HttpMessage:
    """Code for a node to store. A node stores what it schedules, and without a process it schedules
    only definitions. So the code is the data of the definition of a process that is never used.

    Args:
        node: address of the node.

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
