"""Names of tags: the form in which aos gives them to handlers, and the tag that keeps them."""

from __future__ import annotations

from aoshell.protocol.message import Tag

AS_SENT = Tag("Tag-Names", "as-sent")
"""A process whose definition has this tag gets tags under the names that they were sent with, too.

aos gave them so up to 2.0.4-32. Of this shell's environment, not of AO.
"""

_LOWER = {ord(upper): ord(upper.lower()) for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def lower_case(name: str) -> str:
    """In lower case as C has it: what is beyond ASCII stays."""
    return name.translate(_LOWER)


def title_case(name: str) -> str:
    """A tag's name as aos gives it to handlers: `my_tag` is `My-Tag` (aos `Utils.normalize`)."""
    parts = lower_case(name.replace("_", "-")).split("-")
    return "-".join(part[:1].upper() + part[1:] if part[:1].isascii() else part for part in parts)
