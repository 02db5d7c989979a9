"""Results of a HyperBEAM process: the shapes in which nodes give them, and what they mean.

All are asked for at `compute&slot=N/results`, which computes slot N by its definition. The path
that aoconnect has (`compute/results=N`) answers with the newest state whatever N is, so it is not
used. Source: HyperBEAM `dev_process:target_slot`, measured on nodes of September and November 2025.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from aoshell.errors import AoError
from aoshell.nodes.remote.results import from_json
from aoshell.nodes.remote.results import words as json_words
from aoshell.protocol.message import Outgoing, Result, Tag

# Keys of an outbox message that are no tags.
_OWN = frozenset(
    (
        *("target", "data", "anchor", "tags"),
        *("commitments", "ao-types", "ao-data-key", "ao-body-key"),
    )
)


def to_result(process: str, slot: int, said: Mapping[str, object], where: str) -> Result:
    """A result in any of the shapes.

    Raises:
        AoError: stage "compute", it is none of them.
    """
    said = unwrapped(said)
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
    printed = whole.get("output")
    own = printed.get("error") if isinstance(printed, Mapping) else None  # the other is one line
    error = words(own or whole.get("error", ""))
    return Result(
        process,
        slot,
        0,
        "error" if error else "ok",
        "" if error else output,
        prompt,
        error,
        tuple(map(to_outgoing, keyed(whole.get("outbox")).values())),
        (),
        False,
        (),
        0.0,
        0,
    )


def words(value: object) -> str:
    """A value as text, as `results.words` has it; bytes of a text that are no UTF-8 stay what they
    are, as header fields and parts of a body hold them (surrogateescape)."""
    if isinstance(value, str):
        with suppress(UnicodeEncodeError):  # half a surrogate pair, which no byte stands for
            value.encode("utf-8", "surrogateescape")
            return value
    return json_words(value)


def unwrapped(said: Mapping[str, object]) -> Mapping[str, object]:
    """A message that an answer holds under the key that its `ao-result` names, else the answer."""
    inner = said.get(str(said.get("ao-result", "")))
    return inner if isinstance(inner, Mapping) else said


def _output(whole: Mapping[str, object]) -> tuple[str, str]:
    """What it printed or answered, and its prompt."""
    output = whole.get("output", whole.get("data", ""))
    if not isinstance(output, Mapping):
        return words(output), words(whole.get("prompt", ""))
    data = output.get("data", output.get("body", ""))
    if isinstance(data, Mapping):  # as older aos wraps it
        return words(data.get("output", "")), words(data.get("prompt", ""))
    return words(data), words(output.get("prompt", ""))


def keyed(value: object) -> dict[str, Mapping[str, object]]:
    """Members of an outbox by their keys, in order: a list, or a map from "1", "2"… or others."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = {str(number): item for number, item in enumerate(value, 1)}
    members = value if isinstance(value, Mapping) else {}
    keys = sorted(members, key=lambda key: (not key.isdecimal(), len(key), key))
    found = ((key, members[key]) for key in keys if key != "commitments")
    return {key: item for key, item in found if isinstance(item, Mapping)}


def to_outgoing(message: Mapping[str, object]) -> Outgoing:
    """A message of an outbox. Nodes of 2025 keep the case of its keys, those of 2026 lower it."""
    message = {key.lower() if key.lower() in _OWN else key: value for key, value in message.items()}
    listed = message.get("tags")
    pairs = listed if isinstance(listed, Sequence) and not isinstance(listed, str) else ()
    tags = [
        Tag(words(pair.get("name", "")), words(pair.get("value", "")))
        for pair in pairs
        if isinstance(pair, Mapping)
    ]
    if not tags:
        own = _OWN if "data" in message else _OWN | {"body"}
        tags = [Tag(key, words(value)) for key, value in message.items() if key not in own]
    data = words(message.get("data", message.get("body", "")))
    return Outgoing(
        words(message.get("target", "")),
        tuple(tags),
        data.encode("utf-8", "surrogateescape"),
        words(message.get("anchor", "")),
        any(tag.name.lower() == "type" and tag.value == "Process" for tag in tags),
    )
