from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aoshell.errors import AoError
from aoshell.protocol.ans104 import RELAYED_TAGS, DataItem, check_relayed, deep_hash
from aoshell.protocol.avro import AvroReader, decode_tags, encode_tags
from aoshell.protocol.encoding import ProtocolError, b64url
from aoshell.protocol.keys import KINDS, Signer
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
    assert encode_tags(item.tags) == item.encoded_tags


def strings_in(value: object) -> Iterator[str]:
    """Each string in a decoded JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from strings_in(member)


def items_in(path: Path) -> Iterator[bytes]:
    """Each whole Arweave item that a recording holds in base64."""
    for string in strings_in(json.loads(path.read_text())):
        try:
            raw = base64.b64decode(string, validate=True)
        except (binascii.Error, ValueError):
            continue
        if raw[:2] == b"\1\0" and len(raw) >= 2 + 512 + 512 + 2 + 16:
            yield raw


def test_items_of_real_clients(shared: Path) -> None:
    folders = (shared / "vectors/clients", shared / "vectors/hyperbeam")
    raws = [raw for f in folders for path in sorted(f.glob("*.json")) for raw in items_in(path)]
    assert raws
    for raw in raws:
        item = DataItem.parse(raw)
        assert item.verify()
        assert item.raw == raw
        assert Tag("Data-Protocol", "ao") in item.tags


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_round_trip_of_every_kind(signers: dict[int, Signer], data: st.DataObject) -> None:
    signer = signers[data.draw(st.sampled_from(sorted(KINDS)))]
    target = data.draw(st.just("") | st.binary(min_size=32, max_size=32).map(b64url))
    anchor = data.draw(st.just(b"") | st.binary(min_size=32, max_size=32))
    tags, body = data.draw(tag_lists), data.draw(st.binary(max_size=200))
    item = DataItem.sign(signer, target, tags, body, anchor)
    again = DataItem.parse(item.raw)
    assert again == item
    assert again.verify()
    assert (again.type, again.owner, again.target) == (signer.type, signer.owner, target)
    assert (again.anchor, again.tags, again.data) == (anchor, tags, body)
    at = data.draw(st.integers(2, len(item.raw) - 1))
    changed = bytearray(item.raw)
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert not DataItem.parse(bytes(changed)).verify()
    except ProtocolError as error:
        assert 0 <= error.position <= len(changed)


@pytest.mark.parametrize("type", KINDS)
def test_the_type_is_signed(signers: dict[int, Signer], type: int) -> None:
    raw = DataItem.sign(signers[type]).raw
    same = [n for n, k in KINDS.items() if n != type and k.owner == KINDS[type].owner]
    for other in same:
        assert not DataItem.parse(other.to_bytes(2, "little") + raw[2:]).verify()


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
    raw = frame(encode_tags(tags), len(tags))
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
        (frame(b"", 0, kind=5), r"type 5 \(Aptos\) is not supported", 0),
        (frame(b"", 0, kind=6), r"type 6 \(Aptos multi-signature\) is not supported", 0),
        (frame(b"", 0, kind=7), r"type 7 \(typed Ethereum\) is not supported", 0),
        (frame(b"", 0, kind=101), r"type 101 \(Kyve\) is not supported", 0),
        (frame(b"", 0, kind=0), "type 0 is not supported", 0),
        (frame(b"", 0, kind=999), r"type 999 is not supported, only 1 \(Arweave\), 2 \(ed", 0),
        (b"\2\0" + bytes(63), "signature: 64 bytes expected, 63 left", 2),
        (b"\3\0" + bytes(65 + 64), "owner: 65 bytes expected, 64 left", 67),
        (b"\4\0" + bytes(64 + 32) + b"\7", "target: presence byte 7", 98),
        (frame(b"", 0, flags=b"\2\0"), "target: presence byte 2", 1026),
        (frame(b"", 0, flags=b"\0\xff"), "anchor: presence byte 255", 1027),
        (frame(b"", 1), "1 tags announced, 0 found", 1028),
        (frame(b"\x02\x02a\x02b\0", 2), "2 tags announced, 1 found", 1028),
        (frame(b"\x02\x02a\x02b\0", 0), "0 tags announced, 1 found", 1028),
        (frame(b"\x02\x02a\x02b\0", 1, length=2**64 - 1), "tags: .* bytes expected", 1044),
        (frame(b"\x02\x02a\x02b\0\0", 1), "1 bytes after the tags", 1050),
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
def test_a_mutated_item_parses_or_raises_one_error(
    signers: dict[int, Signer], data: st.DataObject
) -> None:
    type = data.draw(st.sampled_from(sorted(KINDS)))
    raw = bytearray(DataItem.sign(signers[type], TARGET, TAGS, b"data").raw)
    # Signature and owner are opaque: change what has structure.
    opaque = 2 + KINDS[type].signature + KINDS[type].owner
    places = st.integers(opaque, len(raw) - 1) | st.integers(0, 1)
    for at in data.draw(st.lists(places, max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.none() | st.integers(0, len(raw)))
    parse_or_protocol_error(bytes(raw[:cut]))


@given(st.binary(max_size=300), st.integers(0, 2**16 - 1) | st.integers(0, 8))
def test_random_bytes_parse_or_raise_one_error(raw: bytes, type: int) -> None:
    parse_or_protocol_error(raw)
    parse_or_protocol_error(type.to_bytes(2, "little") + raw)


@pytest.mark.parametrize(
    ("encoded", "number"),
    [
        (b"\x80" * 9 + b"\x00", 0),
        (b"\xff" * 9 + b"\x01", -(1 << 63)),
        (b"\xfe" + b"\xff" * 8 + b"\x01", (1 << 63) - 1),
        (b"\xff" * 9 + b"\x02", None),  # the 65th bit
        (b"\x80" * 10 + b"\x00", None),  # no bits, but an eleventh byte
    ],
)
def test_a_long_has_64_bits_in_ten_bytes(encoded: bytes, number: int | None) -> None:
    reader = AvroReader(encoded)
    if number is not None:
        assert (reader.long("it"), reader.left) == (number, 0)
        return
    with pytest.raises(ProtocolError, match="it: a number exceeds 64 bits"):
        reader.long("it")


@given(st.binary(max_size=80), st.integers(0, 1000))
def test_random_avro_decodes_or_raises_one_error(encoded: bytes, base: int) -> None:
    try:
        tags = decode_tags(encoded, base)
    except ProtocolError as error:
        assert base <= error.position <= base + len(encoded)
    else:
        assert decode_tags(encode_tags(tags)) == tags


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


def test_what_relays_take(wallet: Wallet) -> None:
    fits = DataItem.sign(wallet, tags=tags_of([("n" * 1000, "v" * 3000), ("n", "v" * 86)]))
    assert len(fits.encoded_tags) == RELAYED_TAGS
    check_relayed(fits)
    above = DataItem.sign(wallet, tags=tags_of([("n" * 1000, "v" * 3000), ("n", "v" * 87)]))
    with pytest.raises(AoError, match=r"4,097 bytes of tags in all, .* limit is 4,096") as caught:
        check_relayed(above)
    assert caught.value.hint


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
