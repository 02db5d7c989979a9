"""Reads what became of a slot's messages from the answer to a push.

The answer has an entry for each key of the outbox: the message's slot in the log of its target and
the result there, or an error. An error with status 404 means that the node does not know the
target; any other error may come from the target's slot, after the message arrived. In results,
nodes of November 2025 give only output and outbox. Source: HyperBEAM `dev_push:do_push`, measured
on nodes of September and November 2025.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from aoshell.nodes.remote.http.pages import is_number
from aoshell.nodes.remote.hyperbeam.refusal import refusal_in
from aoshell.nodes.remote.hyperbeam.results import keyed, to_outgoing
from aoshell.nodes.remote.results import words
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.message import Message, Outgoing, by_lower_name

NO_PROCESS = "no process with this id is on this node, and no wallet known here has it"
NO_ADDRESS = "the target is no address (43 characters of base64url)"

# Tags that a node adds to each delivered message; it replaces those of the process.
_ADDED = frozenset(("data-protocol", "variant", "type"))


class FateState(Enum):
    """Where a message is."""

    ARRIVED = auto()  # in the log of its target
    NOWHERE = auto()  # the node has no such process
    LOST = auto()  # the log of its target does not have it
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one message.

    Attributes:
        slot: where it arrived; -1 if it did not.
        reason: why it did not arrive, or why that is not known; "" without a reason.
        then: its result, as the node gives it; None if it does not.
    """

    sent: Outgoing
    state: FateState
    slot: int = -1
    reason: str = ""
    then: Mapping[str, object] | None = None


def fates(fields: Mapping[str, object]) -> list[Fate]:
    """The fates in an answer, for messages of an outbox with a target."""
    members = {key.lower(): value for key, value in keyed(fields.get("outbox")).items()}
    entries = {
        key.lower(): value
        for key, value in fields.items()
        if isinstance(value, Mapping) and value.keys() & {"resulted-in", "response"}
    }
    found = (_fate(members.get(key, {}), entries.get(key)) for key in {**members, **entries})
    return [one for one in found if one.sent.target]


def _fate(member: Mapping[str, object], entry: Mapping[str, object] | None) -> Fate:
    entry = entry or {}
    sent = to_outgoing({"target": entry.get("target", ""), **member})
    slot = str(entry.get("slot", ""))
    if is_number(slot):
        then = entry.get("resulted-in")
        then = then if isinstance(then, Mapping) else None
        return Fate(sent, FateState.ARRIVED, int(slot), then=then)
    if str(entry.get("status", "")) == "404":
        return nowhere(sent)
    return Fate(sent, FateState.UNKNOWN, reason=_reason(entry.get("reason", "")))


def nowhere(sent: Outgoing) -> Fate:
    """The fate of a message whose target the node does not know."""
    why = NO_PROCESS if has_id_form(sent.target) else NO_ADDRESS
    return Fate(sent, FateState.NOWHERE, reason=why)


def _reason(value: object) -> str:
    fields = value if isinstance(value, Mapping) else {"reason": words(value)}
    return refusal_in(fields).words


def title(sent: Outgoing) -> str:
    """The action and the target of a message, for users."""
    action = by_lower_name(sent.tags).get("action", "") or "a message"
    return f"{action} to {short(sent.target)}"


def short(target: str) -> str:
    """The beginning of an id."""
    return target if len(target) <= 12 else f"{target[:8]}…"


def has_mark(sent: Outgoing) -> bool:
    """Whether a message has a reference of its own, as messages of aos have."""
    return bool(sent.anchor or by_lower_name(sent.tags).get("reference"))


def is_same(sent: Outgoing, placed: Message, process: str) -> bool:
    """Whether a message of a log is the one that a process sent.

    Nodes of November 2025 list a message without its data if that is not UTF-8.
    """
    there = by_lower_name(placed.tags)
    own = by_lower_name(sent.tags)
    return (
        placed.from_ == process
        and (placed.data == sent.data or not (placed.data or _is_text(sent.data)))
        and placed.anchor == sent.anchor
        and all(there.get(name) == value for name, value in own.items() if name not in _ADDED)
    )


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
