"""Text files in UTF-8, with or without the byte order mark that some editors write."""

from __future__ import annotations

import codecs

from aoshell.errors import AoError

# UTF-32 in little-endian order begins like UTF-16, so it is tried first.
_OTHERS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def strip_mark(data: bytes, what: object, stage: str) -> bytes:
    """The text without its byte order mark.

    Args:
        what: names the text in the error.

    Raises:
        AoError: of that stage; the mark is that of another encoding.
    """
    for mark, name in _OTHERS:
        if data.startswith(mark):
            raise AoError(f"{what} is {name} text", stage=stage, hint="save it as UTF-8")
    return data.removeprefix(codecs.BOM_UTF8)
