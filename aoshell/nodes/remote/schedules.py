"""Schedules in JSON: HyperBEAM's `application/aos-2`, and the pages of the legacy SU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aoshell.errors import AoError
from aoshell.protocol.message import Assignment, Message, Tag, by_lower_name


def messages(page: Any, where: str) -> list[Message]:
    """The messages of a page, sorted by slot.

    Args:
        page: decoded JSON.
        where: the host that gave it, for errors.

    Raises:
        AoError: stage "schedule", it is not such a page.
    """
    try:
        found = [
            _message(edge["node"]["message"], edge["node"]["assignment"]) for edge in page["edges"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise no_schedule(where, error) from error
    return sorted(found, key=lambda one: one.assignment.slot if one.assignment else -1)


def _message(message: Mapping[str, Any] | None, placed: Mapping[str, Any]) -> Message:
    place = by_lower_name(_tags(member(placed, "tags")))
    # Without a message, an Arweave transaction was assigned: only its id is here.
    message = message or {"id": place.get("message", "")}
    tags = _tags(member(message, "tags"))
    named = by_lower_name(tags)
    owner = member(message, "owner")
    owner = owner.get("address", "") if isinstance(owner, Mapping) else owner
    assignment = Assignment(
        place["process"],
        int(place.get("slot", place.get("nonce", -1))),
        0,
        int(place.get("timestamp", 0)),
        int(place.get("block-height", 0)),
        place.get("hash-chain", ""),
    )
    return Message(
        str(member(message, "id") or ""),
        str(owner or ""),
        named.get("from-process") or str(owner or ""),
        str(member(message, "target") or ""),
        tags,
        str(member(message, "data") or "").encode("utf-8", "surrogateescape"),
        str(member(message, "anchor") or ""),
        named.get("pushed-for", ""),
        assignment,
    )


def no_schedule(where: str, error: Exception) -> AoError:
    """The error for an answer that is not a page of a schedule."""
    return AoError(
        f"{where} answers with something that is no schedule ({error})",
        stage="schedule",
        hint="is it a node of another kind?",
    )


def member(value: Mapping[str, Any], name: str) -> Any:
    """A member of a map; nodes write its name in lower case or capitalised."""
    return value.get(name, value.get(name.capitalize()))


def _tags(listed: Iterable[Mapping[str, Any]] | None) -> tuple[Tag, ...]:
    return tuple(Tag(str(tag["name"]), str(tag["value"])) for tag in listed or ())
