from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aoshell.errors import AoError
from aoshell.protocol.ans104 import (
    DataItem,
    _encode_tags,
    deep_hash,
)
from aoshell.protocol.encoding import ProtocolError, b64url
from aoshell.protocol.message import Tag, tags_of, text
from aoshell.protocol.wallet import Wallet

VECTORS = (
    *("ao-message", "big-header", "body", "bool-atom", "content-type", "data-newlines", "flat"),
    *("int", "list-maps", "list-mixed", "list-strings", "map-deep", "map-types", "map", "no-data"),
    *("odd-bytes-data", "upper-keys"),
)
TARGET = b64url(bytes(range(32)))
TAGS = tags_of([("Action", "Eval"), ("Empty", ""), ("Action", "twice"), (text(b"\xff"), "ü")])
strings = st.binary(max_size=80).map(text)
tag_lists = st.lists(st.builds(Tag, strings, strings), max_size=70).map(tuple)


def frame(
    tags: bytes, count: int, *, kind: int = 1, flags: bytes = b"\0\0", length: int | None = None
) -> bytes:
    """An unsigned item around encoded tags."""
    sizes = (count, len(tags) if length is None else length)
    numbers = b"".join(n.to_bytes(8, "little") for n in sizes)
    return kind.to_bytes(2, "little") + bytes(1024) + flags + numbers + tags + b"data"


@pytest.fixture(scope="module")
def item(wallet: Wallet) -> DataItem:
    return DataItem.sign(wallet, TARGET, TAGS, b"\0data\xff", b"a" * 32)


@pytest.mark.parametrize("name", VECTORS)
def test_items_of_hyperbeam(shared: Path, name: str) -> None:
    vector: dict[str, Any] = json.loads((shared / "vectors/messages" / f"{name}.json").read_text())
    raw = base64.b64decode(vector["ans104"]["item_b64"])
    item = DataItem.parse(raw)
    assert item.verify()
    assert item.id == vector["ans104"]["ids"]["signed"]
    assert item.owner_address == vector["committer"]
    assert item.raw == raw
    assert _encode_tags(item.tags) == item.encoded_tags


def test_an_item_of_aoconnect(shared: Path) -> None:
    path = shared / "vectors/hyperbeam/aoconnect-spawn-ans104.json"
    raw = base64.b64decode(json.loads(path.read_text())["request"]["body_b64"])
    item = DataItem.parse(raw)
    assert item.verify()
    assert item.raw == raw
    assert Tag("Type", "Process") in item.tags


def test_signed_item_round_trip(item: DataItem, wallet: Wallet) -> None:
    again = DataItem.parse(item.raw)
    assert again == item
    assert again.verify()
    assert (again.target, again.anchor, again.data) == (TARGET, b"a" * 32, b"\0data\xff")
    assert again.tags == TAGS
    assert again.owner_address == wallet.address
    assert again.id == b64url(hashlib.sha256(item.signature).digest())


def test_the_empty_item(wallet: Wallet) -> None:
    item = DataItem.sign(wallet)
    assert len(item.raw) == 2 + 512 + 512 + 1 + 1 + 8 + 8
    assert DataItem.parse(item.raw).verify()


def test_each_item_has_an_id_of_its_own(item: DataItem, wallet: Wallet) -> None:
    assert DataItem.sign(wallet, TARGET, TAGS, item.data, item.anchor).id != item.id


@pytest.mark.parametrize(
    ("field", "at"),
    [
        *(("signature", 2), ("owner", 600), ("target", 1030), ("anchor", 1060)),
        *(("tag name", 1110), ("tag value", 1120), ("data", -1)),
    ],
)
def test_any_changed_byte_is_noticed(item: DataItem, field: str, at: int) -> None:
    raw = bytearray(item.raw)
    raw[at] ^= 1
    assert not DataItem.parse(bytes(raw)).verify(), field


@given(tag_lists)
def test_tags_round_trip(tags: tuple[Tag, ...]) -> None:
    raw = frame(_encode_tags(tags), len(tags))
    item = DataItem.parse(raw)
    assert item.tags == tags
    assert item.raw == raw


@pytest.mark.parametrize(
    ("encoded", "count"),
    [
        (b"\x02\x02a\x02b\x02\x02c\x02d\0", 2),  # two blocks
        (b"\x03\x10\x02a\x02b\x02c\x02d\0", 2),  # a block with its size
        (b"\x01\x08\x02a\x02b\x02\x02c\x02d\0", 2),  # one of each
        (b"\0", 0),
    ],
)
def test_other_encodings_are_kept_as_they_were_signed(encoded: bytes, count: int) -> None:
    raw = frame(encoded, count)
    item = DataItem.parse(raw)
    assert item.tags == tags_of([("a", "b"), ("c", "d")])[:count]
    assert item.raw == raw


@pytest.mark.parametrize(
    ("raw", "what", "position"),
    [
        (b"", "signature type: 2 bytes expected", 0),
        (b"\x01\0abc", "signature: 512 bytes expected, 3 left", 2),
        (frame(b"", 0, kind=2), r"type 2 \(ed25519\) is not supported", 0),
        (frame(b"", 0, kind=999), "type 999 is not supported", 0),
        (frame(b"", 0, flags=b"\2\0"), "target: presence byte 2", 1026),
        (frame(b"", 0, flags=b"\0\xff"), "anchor: presence byte 255", 1027),
        (frame(b"", 1), "1 tags announced, 0 found", 1028),
        (frame(b"\x02\x02a\x02b\0", 2), "2 tags announced, 1 found", 1028),
        (frame(b"\x02\x02a\x02b\0", 1, length=2**64 - 1), "tags: .* bytes expected", 1044),
        (frame(b"\x02\x02a\x02b\0\0", 1), "1 bytes behind the tags", 1050),
        (frame(b"\x02\x02a\x02b", 1), "a number breaks off", 1049),
        (frame(b"\x02\x02a\x01b\0", 1), "tag value: negative length -1", 1047),
        (frame(b"\x02\x02a\x40b\0", 1), "tag value: 32 bytes expected, 2 left", 1048),
        (frame(b"\x01\x0a\x02a\x02b\0", 1), "a block of 4 bytes says 5", 1045),
        (frame(b"\x80" * 11, 1), "a number exceeds 64 bits", 1044),
        (frame(b"\xff" * 9 + b"\x7f", 1), "a number exceeds 64 bits", 1044),
    ],
)
def test_damage_is_named_with_its_place(raw: bytes, what: str, position: int) -> None:
    with pytest.raises(ProtocolError, match=what) as caught:
        DataItem.parse(raw)
    assert caught.value.position == position
    assert f"byte {position}" in str(caught.value)


def parse_or_protocol_error(raw: bytes) -> None:
    try:
        item = DataItem.parse(raw)
    except ProtocolError as error:
        assert 0 <= error.position <= len(raw)
    else:
        assert item.raw == raw


@given(st.binary(max_size=60), st.integers(0, 3), st.sampled_from([b"\0\0", b"\1\0", b"\1\1"]))
@example(b"\x01", 0, b"\0\0")
def test_any_bytes_parse_or_raise_one_error(tags: bytes, count: int, flags: bytes) -> None:
    parse_or_protocol_error(frame(tags, count, flags=flags))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_mutated_item_parses_or_raises_one_error(item: DataItem, data: st.DataObject) -> None:
    raw = bytearray(item.raw)
    # Signature and owner are opaque: change what has structure.
    places = st.integers(1026, len(raw) - 1) | st.integers(0, 1)
    for at in data.draw(st.lists(places, max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.none() | st.integers(0, len(raw)))
    parse_or_protocol_error(bytes(raw[:cut]))


def test_every_truncation_of_the_header_is_an_error(item: DataItem) -> None:
    for length in range(len(item.raw) - len(item.data)):
        with pytest.raises(ProtocolError):
            DataItem.parse(item.raw[:length])


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ([("n", "v")] * 129, "the message has 129 tags, the network's limit is 128"),
        ([("n" * 1025, "v")], "has a name of 1,025 bytes, the network's limit is 1,024"),
        ([("Name", "ü" * 1537)], "tag 'Name' has a value of 3,074 bytes"),
    ],
)
def test_limits(wallet: Wallet, tags: list[tuple[str, str]], what: str) -> None:
    with pytest.raises(AoError, match=what) as caught:
        DataItem.sign(wallet, tags=tags_of(tags))
    assert caught.value.hint
    item = DataItem.sign(wallet, tags=tags_of(tags), limits=False)
    assert DataItem.parse(item.raw).tags == tags_of(tags)


def test_what_the_limits_allow(wallet: Wallet) -> None:
    tags = tags_of([("n" * 1024, "v" * 3072)] * 128)
    assert DataItem.parse(DataItem.sign(wallet, tags=tags).raw).verify()


@pytest.mark.parametrize("target", ["x", "A" * 42, "A" * 44, "A" * 42 + "B", "a b", "é" * 43, "é"])
def test_a_target_that_is_no_address(wallet: Wallet, target: str) -> None:
    with pytest.raises(AoError, match="is no address"):
        DataItem.sign(wallet, target)


def test_what_cannot_be_carried(wallet: Wallet) -> None:
    with pytest.raises(AoError, match="an anchor has 32 bytes, this one 31"):
        DataItem.sign(wallet, anchor=b"a" * 31)
    for limits in (True, False):
        with pytest.raises(AoError, match="half a surrogate pair"):
            DataItem.sign(wallet, tags=[Tag("n", "\ud800")], limits=limits)


def test_a_smaller_wallet_cannot_sign_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aoshell.protocol.wallet.GENERATED_BITS", 2048)
    with pytest.raises(AoError, match="RSA-4096 only"):
        DataItem.sign(Wallet.generate())


def test_deep_hash() -> None:
    def digest(value: bytes) -> bytes:
        return hashlib.sha384(value).digest()

    blob = digest(digest(b"blob3") + digest(b"abc"))
    empty = digest(b"list0")
    assert deep_hash(b"abc") == blob
    assert deep_hash([]) == empty
    assert deep_hash([b"abc", []]) == digest(digest(digest(b"list2") + blob) + empty)
