"""Names of tags: the form in which aos gives them to handlers, and the tag that keeps them."""

from __future__ import annotations

from aoshell.protocol.message import Tag

AS_SENT = Tag("Tag-Names", "as-sent")
"""If its definition has this tag, a process also gets tags under the names as they were sent.

aos did so up to 2.0.4-32. The tag belongs to this shell's environment, not to AO.
"""

_LOWER = {ord(upper): ord(upper.lower()) for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def lower_case(name: str) -> str:
    """Lower case as in C: only ASCII letters change."""
    return name.translate(_LOWER)


def title_case(name: str) -> str:
    """A tag's name as aos gives it to handlers: `my_tag` is `My-Tag` (aos `Utils.normalize`)."""
    parts = lower_case(name.replace("_", "-")).split("-")
    return "-".join(part[:1].upper() + part[1:] if part[:1].isascii() else part for part in parts)
