"""What a signer signed, rebuilt: links cannot replace maps, and nothing else is taken for signed."""

from __future__ import annotations

import pytest

from aoshell.protocol import wire
from aoshell.protocol.commitment import write_commitments
from aoshell.protocol.encoding import ProtocolError
from aoshell.protocol.httpsig import SignatureStatus, check, commit, unsigned_id
from aoshell.protocol.rebuild import Rebuilder
from aoshell.protocol.tabm import DEEPEST, Tabm
from aoshell.protocol.wallet import Wallet


@pytest.mark.parametrize("link_first", [False, True])
def test_a_signed_link_does_not_vouch_for_another_map_beside_it(
    wallet: Wallet, link_first: bool
) -> None:
    """The signature covers the id of "m", and "x+link" alone would give "m" that id."""
    signatures = write_commitments(commit(wallet, {"m": {"x": {"b": "2"}}}))
    inner: Tabm = {"x": {"b": "3"}}
    link: Tabm = {"x+link": unsigned_id({"b": "2"})}
    forged: Tabm = {"m": link | inner if link_first else inner | link}
    fields, body = wire.encode(forged)
    checked = check(fields | signatures, body or b"")
    assert checked.outcome is SignatureStatus.BAD
    assert "is there and linked to" in str(checked.failure)
    fields, body = wire.encode({"m": link})  # a link instead of its map is as good
    assert check(fields | signatures, body or b"").verified == {"m": link}


def test_empty_commitments_change_no_id() -> None:
    assert Rebuilder().link({"a": "1", "commitments": {}}) == ({"a": "1"}, {"a": "1"})
    assert Rebuilder().seal({"a": "1", "commitments": {}})[0] == unsigned_id({"a": "1"})


def test_nesting_is_bounded() -> None:
    deep: Tabm = {"a": "1"}
    for _ in range(DEEPEST + 3):
        deep = {"m": deep}
    with pytest.raises(ProtocolError, match="nested too deep"):
        Rebuilder().link(deep)


def test_a_field_that_http_uses_is_kept_where_it_is_signed(wallet: Wallet) -> None:
    """RFC 9421 section 2.1: a signer may cover `date`. Unsigned, it is no part of the message."""
    message: Tabm = {"a": "1", "date": "Mon, 01 Jan 2024 00:00:00 GMT"}
    checked = check(message | write_commitments(commit(wallet, message)), b"")
    assert checked.verified == checked.message == message
    checked = check(message | write_commitments(commit(wallet, {"a": "1"})), b"")
    assert checked.verified == checked.message == {"a": "1"}
