"""Turns a checked httpsig message into the form for processes, as `json-iface@1.0` does.

Handlers compare `Action` and the like, but keys of httpsig messages are in lower case. So tags get
names in header case, in the order of the keys, as in HyperBEAM's `dev_json_iface` and
`dev_codec_json_iface`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aoshell.errors import AoError
from aoshell.nodes.values import HttpMessage
from aoshell.protocol.message import Tag, raw
from aoshell.protocol.tabm import COMMITMENTS, header_case, in_order, normal_key

if TYPE_CHECKING:
    from aoshell.protocol.httpsig import Checked

# Keys that do not become tags.
_FIELDS = frozenset(["id", "anchor", "owner", "data", "target", "signature", COMMITMENTS])


@dataclass(frozen=True, slots=True)
class HttpItem:
    """An httpsig message whose signature has been checked; the attributes of a `DataItem`.

    Attributes:
        id: id of its signer's commitment, 43 characters base64url.
        owner_address: address of the signer.
        target: the address it is for, "" for a definition.
        anchor: bytes.
        tags: its signed keys, names in header case; maps are left out.
        data: its body.
        sent: headers and body as received.
    """

    id: str
    owner_address: str
    target: str
    anchor: bytes
    tags: tuple[Tag, ...]
    data: bytes = field(repr=False)
    sent: HttpMessage = field(repr=False)


def http_item(sent: HttpMessage, checked: Checked) -> HttpItem:
    """The signed part of a checked message, or of a map in one, as an item.

    Raises:
        AoError: stage "message", it is not signed, or has several signatures: if these cover
            different keys, nobody has signed all of it.
    """
    from aoshell.protocol.httpsig import SignatureStatus  # a shell starts without it

    signed = [one for one in checked.commitments if one.committer]
    if checked.outcome is not SignatureStatus.VERIFIED or not signed:
        raise AoError("nobody has signed the message", stage="message")
    if len(signed) > 1:
        raise AoError(
            f"the message has {len(signed)} signatures, so its sender is not known",
            stage="message",
            hint="send it with one",
        )
    texts = {key: value for key, value in checked.covered.items() if isinstance(value, str)}
    return HttpItem(
        id=signed[0].id,
        owner_address=signed[0].committer,
        target=texts.get("target", ""),
        anchor=raw(texts.get("anchor", "")),
        tags=tuple(
            Tag(header_case(key), texts[key])
            for key in in_order(texts)
            if normal_key(key) not in _FIELDS
        ),
        data=raw(texts.get("data", "")),
        sent=sent,
    )
