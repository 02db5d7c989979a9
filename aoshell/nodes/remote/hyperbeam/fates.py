"""What became of the messages that a slot sent, as the answer to a push tells it.

The answer has an entry for each key of the outbox: the slot that the message got in the log of its
target and what that resulted in, or an error. An error with status 404 means that the node does not
know the target; any other may come from the target's own slot, when the message has arrived. Nodes
of November 2025 tell of what a message resulted in its output and its outbox only. Source:
HyperBEAM `dev_push:do_push`, measured on nodes of September and November 2025.
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

# What a node adds to each message that it delivers, whatever the process wrote there.
_ADDED = frozenset(("data-protocol", "variant", "type"))


class State(Enum):
    """Where a message is."""

    ARRIVED = auto()  # in the log of its target
    NOWHERE = auto()  # the node has no such process
    LOST = auto()  # the log of its target does not have it
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one message.

    Attributes:
        slot: where it arrived; -1 where it did not.
        reason: why it did not arrive, or why that is not known; "" where nobody says.
        then: what it resulted in, as the node tells it; None where it does not.
    """

    sent: Outgoing
    state: State
    slot: int = -1
    reason: str = ""
    then: Mapping[str, object] | None = None


def fates(said: Mapping[str, object]) -> list[Fate]:
    """What an answer tells of the messages of an outbox, those without a target left out."""
    members = {key.lower(): value for key, value in keyed(said.get("outbox")).items()}
    entries = {
        key.lower(): value
        for key, value in said.items()
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
        return Fate(sent, State.ARRIVED, int(slot), then=then)
    if str(entry.get("status", "")) == "404":
        return nowhere(sent)
    return Fate(sent, State.UNKNOWN, reason=_reason(entry.get("reason", "")))


def nowhere(sent: Outgoing) -> Fate:
    """The fate of a message whose target the node does not know."""
    why = NO_PROCESS if has_id_form(sent.target) else NO_ADDRESS
    return Fate(sent, State.NOWHERE, reason=why)


def _reason(value: object) -> str:
    said = value if isinstance(value, Mapping) else {"reason": words(value)}
    return refusal_in(said).words


def title(sent: Outgoing) -> str:
    """What a message is and whom it is for, for a person."""
    action = by_lower_name(sent.tags).get("action", "") or "a message"
    return f"{action} to {short(sent.target)}"


def short(target: str) -> str:
    """The beginning of an id."""
    return target if len(target) <= 12 else f"{target[:8]}…"


def has_mark(sent: Outgoing) -> bool:
    """Whether a message has what tells it from others of its process, as those of aos have."""
    return bool(sent.anchor or by_lower_name(sent.tags).get("reference"))


def is_same(sent: Outgoing, placed: Message, process: str) -> bool:
    """Whether a message of a log is the one that a process sent.

    Nodes of November 2025 list a message without its data where that is no UTF-8.
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
