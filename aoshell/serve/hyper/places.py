"""Reads slots in paths, and waits for their messages to be computed."""

from __future__ import annotations

from typing import Any

from aoshell.nodes.values import LogEntry
from aoshell.protocol.encoding import has_id_form
from aoshell.serve.asgi.http import RequestError
from aoshell.serve.hyper.call import Call
from aoshell.serve.hyper.found import AnswerError, error_answer

RESULT_SECONDS = 60.0  # that a request waits for a slot to be computed
LONGEST_SLOT = 15  # digits

_EARLY = "Requested slot not yet available in schedule."


async def computed_entry(process: str, place: int | str, call: Call) -> LogEntry:
    """A message with its result; waits until it is computed.

    Raises:
        AnswerError: it is not in the log, or takes too long.
    """
    entry = await call.network.computed(process, place, RESULT_SECONDS)
    if entry is not None:
        return entry
    if await call.network.entry(process, place) is not None:
        raise error_answer(504, f"slot {place} is not computed after {RESULT_SECONDS:g} s")
    early: dict[str, Any] = {"phase": "get-schedule", "reason": _EARLY}
    if isinstance(place, int):
        early["attempted-slot"] = place
    raise AnswerError(404, early)


def place_of(text: str) -> int | str:
    """The slot or message id in a text. Raises RequestError if it is neither."""
    if text.isascii() and text.isdecimal() and len(text) <= LONGEST_SLOT:
        return int(text)
    if has_id_form(text):
        return text
    raise RequestError(400, f"{text[:100]!r} is no slot, and no id of a message")
