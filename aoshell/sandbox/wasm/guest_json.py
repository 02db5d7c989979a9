"""Reads JSON of a guest under a bound, as parsed values take up to thirty times more memory.

`aoshell.bounded.jsontext` cannot be used, as it is stricter: what counts as JSON here decides the
result of a message, and old logs must replay to the same results.
"""

from __future__ import annotations

import json
import re
from typing import Any

from aoshell.sandbox.wasm.budget import Budget

# Values in one text; each takes some 80 bytes once it is read. A result with the most fields
# (`messages.MAX_FIELDS`) has half a million.
MAX_VALUES = 2_000_000
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SEPARATORS = (b",", b":", b"[", b"{")


def read(text: bytes, budget: Budget, *, encoding: str, errors: str, strict: bool = True) -> Any:
    """The value of a text; `encoding` and `errors` are those of `bytes.decode`.

    Raises:
        ValueError, RecursionError: it is no JSON.
        OutOfMemoryError: it has more than MAX_VALUES values.
    """
    if _separators(text) > MAX_VALUES and _separators(_STRING.sub(b"", text)) > MAX_VALUES:
        budget.fail()
    return json.loads(text.decode(encoding, errors), strict=strict)


def _separators(text: bytes) -> int:
    return sum(map(text.count, _SEPARATORS))
