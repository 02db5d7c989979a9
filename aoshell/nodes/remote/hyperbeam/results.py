"""Results of a HyperBEAM process: the forms in which nodes give them, and what they mean.

Versions differ in the path and in the shape: nodes of 2025 answer `compute&slot=N/results`, what
aoconnect asks for is `compute/results=N`, and before that `compute=N`. Source: HyperBEAM
`dev_process`, aoconnect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aoshell.errors import AoError
from aoshell.nodes.remote.results import from_json, words
from aoshell.protocol.message import Outgoing, Result, Tag

# Keys of an outbox message that are no tags.
_OWN = frozenset(
    ("target", "data", "anchor", "tags", "commitments", "ao-types", "ao-data-key", "ao-body-key")
)


@dataclass(frozen=True, slots=True)
class Form:
    """A path to a result.

    Attributes:
        name: what the book remembers.
        path: behind the process, with {slot}.
    """

    name: str
    path: str


_JSON = "require-codec=application/json&accept-bundle=true"
FORMS = (
    Form("compute&slot", "/compute&slot={slot}/results"),
    Form("compute/results=", "/compute/results={slot}?" + _JSON),
    Form("compute=", "/compute={slot}?" + _JSON),
)


def to_result(process: str, slot: int, said: Mapping[str, object], where: str) -> Result:
    """A result in any of the shapes.

    Raises:
        AoError: stage "compute", it is none of them.
    """
    inner = said.get("results")
    whole = inner if isinstance(inner, Mapping) else said
    legacy = said.get("raw", whole.get("raw", whole))
    if isinstance(legacy, Mapping) and legacy.keys() & {"Output", "Error", "Messages"}:
        return from_json(process, slot, legacy, 0.0, where)
    if not whole.keys() & {"output", "outbox", "data", "error"}:
        raise AoError(
            f"{where} answers for slot {slot} with {', '.join(sorted(whole)) or 'nothing'}",
            stage="compute",
            hint="that is no result as HyperBEAM processes give it",
        )
    output, prompt = _output(whole)
    error = words(whole.get("error", ""))
    return Result(
        process,
        slot,
        0,
        "error" if error else "ok",
        "" if error else output,
        prompt,
        error,
        tuple(map(_outgoing, _listed(whole.get("outbox")))),
        (),
        False,
        (),
        0.0,
        0,
    )


def _output(whole: Mapping[str, object]) -> tuple[str, str]:
    """What it printed or answered, and its prompt."""
    output = whole.get("output", whole.get("data", ""))
    if not isinstance(output, Mapping):
        return words(output), words(whole.get("prompt", ""))
    data = output.get("data", output.get("body", ""))
    if isinstance(data, Mapping):  # as older aos wraps it
        return words(data.get("output", "")), words(data.get("prompt", ""))
    return words(data), words(output.get("prompt", ""))


def _listed(value: object) -> list[Mapping[str, object]]:
    """Members of an outbox: a list, or a map from "1", "2"… or other keys."""
    if isinstance(value, Mapping):
        numbered = {key: item for key, item in value.items() if key not in ("commitments",)}
        keys = sorted(numbered, key=lambda key: (not key.isdecimal(), len(key), key))
        value = [numbered[key] for key in keys]
    members = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    return [item for item in members if isinstance(item, Mapping)]


def _outgoing(message: Mapping[str, object]) -> Outgoing:
    listed = message.get("tags")
    pairs = listed if isinstance(listed, Sequence) and not isinstance(listed, str) else ()
    tags = [
        Tag(words(pair.get("name", "")), words(pair.get("value", "")))
        for pair in pairs
        if isinstance(pair, Mapping)
    ]
    if not tags:
        tags = [Tag(key, words(value)) for key, value in message.items() if key not in _OWN]
    data = words(message.get("data", message.get("body", "")))
    return Outgoing(
        words(message.get("target", "")),
        tuple(tags),
        data.encode("utf-8", "surrogateescape"),
        words(message.get("anchor", "")),
        any(tag.name.lower() == "type" and tag.value == "Process" for tag in tags),
    )
