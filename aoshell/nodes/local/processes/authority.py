"""Decides who owns messages pushed to a process: the node, or the process's authority.

aos names the messenger of the public network as authority in each process that it spawns; this
cannot be configured. A process trusts only messages that its authority owns, so it would not trust
messages that this node owned. The owner is fixed when a process of the network's form is made.
"""

from __future__ import annotations

from aoshell.protocol.encoding import has_id_form

AUTO = "auto"
_TAG = "Authority"


def fixed_authority(rule: str, node: str, tags: list[str], parent: str = "") -> str:
    """The owner of messages pushed to a process, "" for the node.

    Args:
        rule: an address, "" for the node, or "auto": the first authority that has the form of an
            address, unless the process names the node among them.
        node: address of the node.
        tags: tags of the process's definition: name, value, …
        parent: the owner for a process that names no authority.
    """
    if rule != AUTO:
        return "" if rule == node else rule
    named = [
        name
        for at in range(0, len(tags), 2)
        if tags[at] == _TAG
        for name in tags[at + 1].split(",")
        if has_id_form(name)
    ]
    if not named:
        return parent
    return "" if node in named else named[0]
