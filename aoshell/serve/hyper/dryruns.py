"""Dry runs: `as=execution/compute` evaluates a message and changes nothing.

Clients sign the message in different ways: aoconnect puts the tags into the path, and signs an item
without them; for processes in Lua, aoshell signs the whole message. If the request has no message,
the tags of the path are the message, and it has no owner.
"""

from __future__ import annotations

from aoshell.errors import AoError
from aoshell.protocol.message import Message, Result, Tag, by_lower_name, text
from aoshell.serve.asgi.http import RequestError
from aoshell.serve.hyper.call import Call
from aoshell.serve.hyper.found import Found, Plain, missing
from aoshell.serve.hyper.path import Segment
from aoshell.serve.hyper.results import to_results

# Tags about the transport of a message, which are no part of it.
_TRAVEL = frozenset(
    ("signing-format", "accept-bundle", "accept-codec", "require-codec", "codec-device")
)


class Execution:
    """A process under `as=execution`: only `compute`, as a dry run."""

    mark = None

    def __init__(self, process: str) -> None:
        self._process = process

    async def step(self, segment: Segment, call: Call) -> Found:
        if segment.name != "compute":
            raise missing()
        message = await _message(self._process, segment, call)
        try:
            async with call.services.dry_runs:
                result = await call.services.node.dryrun(self._process, message)
        except AoError as error:
            if error.stage in ("message", "usage"):
                raise RequestError(400, error.what) from None
            raise
        return Evaluated(result)

    async def value(self, call: Call) -> object:
        del call
        raise missing()


class Evaluated:
    """The result of a dry run."""

    mark = None

    def __init__(self, result: Result) -> None:
        self._results = {"process": result.process, **to_results(result)}

    async def step(self, segment: Segment, call: Call) -> Found:
        whole = Plain(self._results)
        return whole if segment.name == "results" else await whole.step(segment, call)

    async def value(self, call: Call) -> object:
        del call
        return self._results


async def _message(process: str, segment: Segment, call: Call) -> Message:
    """The message of a dry run: the signed message with the tags of the path."""
    item = await call.message()
    given = tuple(Tag(name, value) for name, value in segment.parameters)
    named = by_lower_name(given)
    signed = item.tags if item else ()
    kept = (tag for tag in signed if tag.name.lower() not in _TRAVEL | named.keys())
    tags = (*kept, *given)
    owner = item.owner_address if item else ""
    return Message(
        "",
        owner,
        by_lower_name(tags).get("from-process") or owner,
        process,
        tags,
        item.data if item else b"",
        text(item.anchor) if item else "",
    )
