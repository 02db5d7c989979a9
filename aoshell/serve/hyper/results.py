"""Results in the forms of HyperBEAM's processes.

Lua processes there (`lua@5.3a`) have `outbox` and `output`; `raw` is the JSON of a compute unit, as
in `genesis-wasm@1.0`. aoconnect reads `raw`, curl users and explorers read the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aoshell.nodes.values import LogEntry
from aoshell.protocol.message import Outgoing, Result, Tag, printable
from aoshell.protocol.tabm import COMMITMENTS, LINK, TYPES, normal_key
from aoshell.serve.units.results import to_cu

# Keys that belong to codecs. They are dropped, so that a process cannot forge them.
_CODEC = frozenset((COMMITMENTS, TYPES, "priv", "ao-body-key", "ao-data-key"))


def results_of(entry: LogEntry) -> dict[str, Any]:
    """The result of a computed message."""
    assert entry.result is not None
    return to_results(entry.result)


def to_results(result: Result) -> dict[str, Any]:
    """As `results_of`, for a result that is in no log."""
    raw = to_cu(result)
    fields: dict[str, Any] = {"outbox": to_outbox(result.messages), "raw": raw}
    if not result.ok:
        return fields | {"error": raw["Error"], "output": {"data": ""}, "data": ""}
    return fields | {"output": raw["Output"], "data": raw["Output"]["data"]}


def to_outbox(messages: Iterable[Outgoing]) -> dict[str, dict[str, str]]:
    """An outbox: messages by their numbers, from 1."""
    return {str(number): _sent(one) for number, one in enumerate(messages, 1)}


def _sent(sent: Outgoing) -> dict[str, str]:
    fields = to_keys(sent.tags)
    fields |= {"target": printable(sent.target)} if sent.target else {}
    fields |= {"anchor": printable(sent.anchor)} if sent.anchor else {}
    return fields | {"data": sent.data.decode("utf-8", "replace")}


def to_keys(tags: Iterable[Tag]) -> dict[str, str]:
    """Tags as keys of a message, in lower case; the last of equal names counts."""
    keys = {normal_key(printable(tag.name)): printable(tag.value) for tag in tags}
    return {key: value for key, value in keys.items() if is_plain(key)}


def is_plain(key: str) -> bool:
    """Whether a key belongs to a process, so that no codec reads it as its own."""
    return bool(key) and key not in _CODEC and not key.endswith(LINK)
