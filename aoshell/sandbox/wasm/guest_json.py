"""JSON that a guest has written, read under a bound: text becomes up to thirty times larger.

What is JSON here decides what a message came to, so it stays as it is for old logs to replay alike;
`aoshell.bounded.jsontext` is stricter.
"""

from __future__ import annotations

import json
import re
from typing import Any

from aoshell.sandbox.wasm.budget import Budget

# Values in one text, of 80 bytes or so each once they are read. A result of the most fields that
# there may be (`messages.MAX_FIELDS`) has half a million.
MAX_VALUES = 2_000_000
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SEPARATORS = (b",", b":", b"[", b"{")


def read(text: bytes, budget: Budget, *, encoding: str, errors: str, strict: bool = True) -> Any:
    """The value of a text, which is decoded as `bytes.decode` does it.

    Raises:
        ValueError, RecursionError: it is no JSON.
        OutOfMemoryError: it has more values than there may be.
    """
    if _separators(text) > MAX_VALUES and _separators(_STRING.sub(b"", text)) > MAX_VALUES:
        budget.fail()
    return json.loads(text.decode(encoding, errors), strict=strict)


def _separators(text: bytes) -> int:
    return sum(map(text.count, _SEPARATORS))
