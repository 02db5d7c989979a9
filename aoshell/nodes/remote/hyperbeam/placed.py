"""Reads a message of a log from header fields and parts of a body.

JSON holds only text. So a node fails to list a page of a log as JSON if a message has bytes that
are not UTF-8, and anybody can send such a message. The path of a single slot gives the message in
this other form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aoshell.errors import AoError
from aoshell.nodes.remote.http.pages import is_number
from aoshell.nodes.remote.hyperbeam.results import to_outgoing
from aoshell.nodes.remote.results import words
from aoshell.protocol.commitment import Commitment
from aoshell.protocol.message import Assignment, Message, Tag, by_lower_name


def to_message(fields: Mapping[str, object], signed: Iterable[Commitment], where: str) -> Message:
    """The message of an assignment.

    Args:
        fields: the assignment, with its message under `body`.
        signed: the checked commitments of the message.
        where: the host that gave it, for errors.

    Raises:
        AoError: stage "schedule", it is not an assignment of this form.
    """
    body, slot = fields.get("body"), str(fields.get("slot", ""))
    if not isinstance(body, Mapping) or not is_number(slot):
        raise AoError(
            f"{where} answers with something that is no assignment",
            stage="schedule",
            hint=".doctor looks at the node",
        )
    sent = to_outgoing(body)
    named = by_lower_name(sent.tags)
    by = min((one for one in signed if one.committer), key=lambda one: one.id, default=None)
    owner = by.committer if by else ""
    return Message(
        by.id if by else "",
        owner,
        named.get("from-process") or owner,
        sent.target,
        tuple(Tag(_title(tag.name), tag.value) for tag in sent.tags),
        sent.data,
        sent.anchor,
        named.get("pushed-for", ""),
        Assignment(
            words(fields.get("process", "")),
            int(slot),
            0,
            _number(fields.get("timestamp")),
            _number(fields.get("block-height")),
            words(fields.get("hash-chain", "")),
        ),
    )


def _number(value: object) -> int:
    return int(str(value)) if is_number(str(value)) else 0


def _title(name: str) -> str:
    """A name in the form that nodes use in JSON, so that a log has one form."""
    return "-".join(part[:1].upper() + part[1:] for part in name.split("-"))
