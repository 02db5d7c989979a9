"""Reads and checks the messages of a foreign log, as its scheduler gives them.

A scheduler unit and HyperBEAM's schedule answer with the same edges: a message, and the assignment
that put it into its slot. A signature must be right. Messages without one are counted: only the
source vouches for them. The slots and the links of the hash chain must be consecutive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.local.delivery.push import FORGED
from aoshell.nodes.local.log.assigning import next_link
from aoshell.nodes.remote.arweave import verified
from aoshell.nodes.remote.arweave.transactions import NotVerifiedError
from aoshell.nodes.remote.results import words
from aoshell.nodes.remote.schedules import member, no_schedule
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url, brief, has_id_form, unb64url
from aoshell.protocol.message import Message, Tag, by_lower_name, raw, text

LONGEST_NUMBER = 15  # digits of a slot, a time, a height
MOST_TAGS = 10_000  # of one message; they take half a second
CHECKED_SINCE = 1_440_000  # the block height from which on the network's chains are right


@dataclass(frozen=True, slots=True)
class Assigned:
    """The assignment of a message to a slot of a foreign log.

    Attributes:
        id: of the assignment.
        message: id of the message.
        timestamp: milliseconds since the Unix epoch.
        exclude: names of fields that the process was not given.
    """

    id: str
    process: str
    message: str
    slot: int
    timestamp: int
    height: int
    chain: str
    epoch: int
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForeignMessage:
    """A message of a foreign log.

    Attributes:
        message: None if only its id was assigned: the gateway has its text.
        item: as it was signed; None if it is unsigned or signed in another form.
        signed: whether a signature of it was checked, in any form.
        scheduler: address of the checked signer of its assignment; "" if it was not checked.
        several: whether it has several signers: its link then names them all.
        as_node: its assignment as a HyperBEAM node gives it (`sandbox.luerl.pack`), b"" for none.
    """

    assigned: Assigned
    message: Message | None
    item: DataItem | None
    signed: bool = False
    scheduler: str = ""
    several: bool = False
    as_node: bytes = b""


def read_edge(edge: Any, where: str) -> ForeignMessage:
    """A message of a page, its signature verified.

    Raises:
        AoError: stage "schedule", it is not a message; stage "verify", its signature is wrong.
    """
    try:
        node = edge["node"]
        assigned = _assigned(node["assignment"], where)
        scheduler = _scheduler(node["assignment"])
        given = node.get("message")
        if given is not None and not isinstance(given, Mapping):
            raise TypeError("a message is no map")
        tags = _tags(member(given, "tags"), where) if given is not None else ()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise no_schedule(where, error) from None
    if given is None:
        return ForeignMessage(assigned, None, None, scheduler=scheduler)
    message, item = _message(given, tags, assigned, where)
    return ForeignMessage(assigned, message, item, item is not None, scheduler)


def _assigned(given: Mapping[str, Any], where: str) -> Assigned:
    tags = _tags(member(given, "tags"), where)
    named = by_lower_name(tags)
    exclude = tuple(
        name for tag in tags if tag.name.lower() == "exclude" for name in tag.value.split(",")
    )
    return Assigned(
        words(member(given, "id")),
        named["process"],
        named.get("message", ""),
        _count(named.get("nonce", named.get("slot", ""))),
        _count(named["timestamp"]),
        _count(named.get("block-height") or "0"),
        named.get("hash-chain", ""),
        _count(named.get("epoch") or "0"),
        exclude,
    )


def _scheduler(given: Mapping[str, Any]) -> str:
    """Address of an assignment's signer; "" if it is unsigned, or does not contain what was signed:
    the oldest ones are bundles, whose data no schedule has."""
    owner, signature = member(given, "owner"), words(member(given, "signature"))
    if not signature or not isinstance(owner, Mapping):
        return ""
    identity, tags = words(member(given, "id")), member(given, "tags")
    node = {"signature": signature, "owner": owner, "tags": tags, "anchor": "", "recipient": ""}
    try:
        return verified.verify_item(identity, node, b"").owner
    except (NotVerifiedError, AoError):
        return ""


def _count(digits: str) -> int:
    """A number of at least 0 that a home can store. Raises ValueError."""
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= LONGEST_NUMBER):
        raise ValueError(f"{brief(digits)} is not a number")
    return int(digits)


def _message(
    given: Mapping[str, Any], tags: tuple[Tag, ...], assigned: Assigned, where: str
) -> tuple[Message, DataItem | None]:
    identity, data = words(member(given, "id")), member(given, "data")
    at = f"slot {assigned.slot} of {assigned.process}"
    if data is not None and not isinstance(data, str):
        raise AoError(f"{where} gives no text as the data of {at}", stage="schedule")
    owner, signature = member(given, "owner"), words(member(given, "signature"))
    key = words(owner.get("key")) if isinstance(owner, Mapping) else ""
    address = words(owner.get("address")) if isinstance(owner, Mapping) else words(owner)
    octets = raw(words(data))
    target, anchor = words(member(given, "target")), words(member(given, "anchor"))
    item = None
    if signature or key:
        node = {
            "signature": signature,
            "owner": {"key": key},
            "tags": member(given, "tags"),
            "anchor": anchor,
            # A definition is signed without a target: its id comes from the signature. Some
            # schedulers name the process that it makes. No other message can be for itself.
            "recipient": "" if assigned.slot == 0 and target == identity else target,
        }
        try:
            item = verified.rebuild_item(identity, node, octets)
        except (NotVerifiedError, AoError) as error:
            raise AoError(
                f"message {identity} at {at}, as {where} has it, is refused: {error}",
                stage="verify",
                hint="nothing was forked; is there another scheduler that has the log?",
            ) from None
        address = item.owner_address
    return message_of(identity, address, tags, octets, anchor, assigned), item


def message_of(
    identity: str, owner: str, tags: Sequence[Tag], data: bytes, anchor: str, assigned: Assigned
) -> Message:
    """A message as its process got it. Its sender comes from the node, not from a tag."""
    named = by_lower_name(tags)
    kept = () if "Tags" in assigned.exclude else tags
    return Message(
        identity,
        owner,
        named.get("from-process") or owner,
        assigned.process,
        tuple(tag for tag in kept if tag.name not in FORGED),
        b"" if "Data" in assigned.exclude else data,
        "" if "Anchor" in assigned.exclude else anchor,
        named.get("pushed-for", ""),
    )


def message_from_gateway(code: verified.VerifiedCode, assigned: Assigned) -> ForeignMessage:
    """A message that was assigned by its id: fetched from the gateway, verified.

    Raises:
        AoError: it has too many tags.
    """
    check_number(len(code.tags), "the gateway")
    item = None if code.packed.startswith(b"{") else DataItem.parse(code.packed)
    owner = item.owner_address if item else code.owner
    anchor = text(item.anchor) if item else ""
    message = message_of(code.id, owner, code.tags, code.data, anchor, assigned)
    return ForeignMessage(assigned, message, item, signed=True)


def _tags(listed: Any, where: str) -> tuple[Tag, ...]:
    if isinstance(listed, list):
        check_number(len(listed), where)
    return tuple(Tag(words(tag["name"]), words(tag["value"])) for tag in listed or ())


def check_number(tags: int, where: str) -> None:
    """Raise AoError if a message has too many tags."""
    if tags > MOST_TAGS:
        raise AoError(
            f"{where} gives a message with {tags:,} tags, and {MOST_TAGS:,} are read at most",
            stage="schedule",
            hint="nothing was forked; the network's units take 128",
        )


class Following:
    """Checks that messages are consecutive: slots, process and hash chain.

    Args:
        hyperbeam: whether links have the form of HyperBEAM's scheduler.
        begin: the first slot.
        unlinked: the last slot whose link is not checked: `where` got it from another source.

    Attributes:
        chained: whether the links are checked; some forms cannot be checked.
    """

    def __init__(
        self,
        process: str,
        where: str,
        *,
        hyperbeam: bool = False,
        begin: int = 0,
        unlinked: int = -1,
    ) -> None:
        self._begin = begin
        self._process = process
        self._where = where
        self._hyperbeam = hyperbeam
        self._unlinked = unlinked
        self._last: Assigned | None = None
        self._links = 0
        self.chained = True

    def follow(self, found: ForeignMessage) -> None:
        """Take the next message. Raises AoError, stage "schedule", if it is not the expected
        one."""
        assigned, last = found.assigned, self._last
        due = last.slot + 1 if last else self._begin
        if assigned.process != self._process:
            raise self._refused(
                f"gives a message of {assigned.process[:43]} in the log of {self._process}"
            )
        if assigned.slot != due:
            what = "repeats" if assigned.slot < due else "skips"
            raise self._refused(
                f"{what} slots: slot {due} is expected, and it gives {assigned.slot}"
            )
        if last is not None and assigned.timestamp < last.timestamp:
            raise self._refused(f"goes back in time at slot {assigned.slot}")
        if last is not None and self._breaks(last, found):
            raise self._refused(f"has a hash chain that breaks at slot {assigned.slot}")
        if not has_id_form(found.message.id if found.message else assigned.message):
            raise self._refused(f"gives a message without an id at slot {assigned.slot}")
        self._last = assigned

    def _breaks(self, last: Assigned, found: ForeignMessage) -> bool:
        if found.assigned.slot <= self._unlinked:
            return False
        message = found.message.id if found.message else found.assigned.message
        chain = found.assigned.chain
        if not self._hyperbeam:
            return last.height >= CHECKED_SINCE and chain not in _links(last, message)
        if not self.chained or found.several:
            return False
        fits = chain in _hyperbeam_links(last.chain, message)
        if not fits and not self._links:  # the first link shows the form of all
            self.chained = False
            return False
        self._links += 1
        return not fits

    def _refused(self, what: str) -> AoError:
        return AoError(
            f"{self._where} {what}",
            stage="schedule",
            hint="nothing was forked; is there another scheduler that has the log?",
        )


def _links(last: Assigned, message: str) -> tuple[str, ...]:
    """The next link in the forms of the network, and of aoshell's own processes
    (`log.scheduler`)."""
    own = b64url(hashlib.sha256((last.chain + message).encode()).digest())
    try:
        return next_link(last.id, last.chain), own
    except ValueError:
        return (own,)


def _hyperbeam_links(link: str, message: str) -> tuple[str, ...]:
    """The next link as HyperBEAM's scheduler makes it: from the bytes of the last one, or from its
    text, as in June 2025 and after a restart of a node.

    Source: `next_hashchain` in dev_scheduler_server.erl, and nodes of June and September 2025.
    """
    try:
        before = unb64url(link)
    except ValueError:
        return ()
    ways = (before + message.encode(), (link + message).encode())
    return tuple(b64url(hashlib.sha256(way).digest()) for way in ways)
