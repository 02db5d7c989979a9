"""Results of a HyperBEAM process, in the several shapes in which nodes give them.

Results are requested at `compute&slot=N/results`, which computes slot N. The path of aoconnect
(`compute/results=N`) answers with the newest state for every N, so it is not used. Source:
HyperBEAM `dev_process:target_slot`, measured on nodes of September and November 2025.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from aoshell.errors import AoError
from aoshell.nodes.remote.results import from_json
from aoshell.nodes.remote.results import words as json_words
from aoshell.protocol.message import Outgoing, Result, Tag

# Keys of an outbox message that are not tags.
_OWN = frozenset(
    (
        *("target", "data", "anchor", "tags"),
        *("commitments", "ao-types", "ao-data-key", "ao-body-key"),
    )
)


def to_result(process: str, slot: int, fields: Mapping[str, object], where: str) -> Result:
    """A result in any of the shapes.

    Raises:
        AoError: stage "compute", it has none of these shapes.
    """
    fields = unwrapped(fields)
    inner = fields.get("results")
    whole = inner if isinstance(inner, Mapping) else fields
    legacy = fields.get("raw", whole.get("raw", whole))
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
    own = printed.get("error") if isinstance(printed, Mapping) else None  # the other has one line
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
    """A value as text, as `results.words`; but bytes that are not UTF-8 stay (surrogateescape), as
    header fields and parts of a body can hold them."""
    if isinstance(value, str):
        with suppress(UnicodeEncodeError):  # half a surrogate pair, which no byte stands for
            value.encode("utf-8", "surrogateescape")
            return value
    return json_words(value)


def unwrapped(fields: Mapping[str, object]) -> Mapping[str, object]:
    """The message under the key that an answer's `ao-result` names, else the answer."""
    inner = fields.get(str(fields.get("ao-result", "")))
    return inner if isinstance(inner, Mapping) else fields


def _output(whole: Mapping[str, object]) -> tuple[str, str]:
    """What it printed or answered, and its prompt."""
    output = whole.get("output", whole.get("data", ""))
    if not isinstance(output, Mapping):
        return words(output), words(whole.get("prompt", ""))
    data = output.get("data", output.get("body", ""))
    if isinstance(data, Mapping):  # older aos nests it so
        return words(data.get("output", "")), words(data.get("prompt", ""))
    return words(data), words(output.get("prompt", ""))


def keyed(value: object) -> dict[str, Mapping[str, object]]:
    """Members of an outbox by their keys, in order. It is a list, or a map from "1", "2"… or other
    keys."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = {str(number): item for number, item in enumerate(value, 1)}
    members = value if isinstance(value, Mapping) else {}
    keys = sorted(members, key=lambda key: (not key.isdecimal(), len(key), key))
    found = ((key, members[key]) for key in keys if key != "commitments")
    return {key: item for key, item in found if isinstance(item, Mapping)}


def to_outgoing(message: Mapping[str, object]) -> Outgoing:
    """A message of an outbox. Nodes of 2025 keep the case of keys, those of 2026 use lower case."""
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
