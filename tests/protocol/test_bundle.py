from __future__ import annotations

import base64
import dataclasses
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signers import Ed25519, Ethereum, Solana

from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.bundle import TAGS, Bundle, holds_bundle
from aoshell.protocol.encoding import ProtocolError, b64url, unb64url
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet

SIGNERS = (Ed25519(), Ethereum(), Solana())
ITEMS = tuple(
    DataItem.sign(signer, tags=tags_of([("n", str(n))]), data=b"data" * n)
    for n, signer in enumerate(SIGNERS * 2)
)
TWO = Bundle.of(ITEMS[:2]).raw
SIZES = [len(item.raw) for item in ITEMS[:2]]
FIRST = 32 + 2 * 64

bundles = st.lists(st.sampled_from(ITEMS), max_size=5).map(Bundle.of)


def number(value: int) -> bytes:
    return value.to_bytes(32, "little")


def framed(*items: bytes, count: int | None = None) -> bytes:
    """A bundle of anything, under ids of zeros."""
    index = b"".join(number(len(item)) + bytes(32) for item in items)
    return number(len(items) if count is None else count) + index + b"".join(items)


@given(bundles)
def test_round_trip(bundle: Bundle) -> None:
    again = Bundle.parse(bundle.raw)
    assert again == bundle
    assert again.raw == bundle.raw
    assert again.verify()
    for entry in again.entries:
        assert bundle.raw[entry.at :].startswith(entry.item.raw)


def test_the_bytes_of_a_bundle() -> None:
    raws = [item.raw for item in ITEMS[:2]]
    index = [number(len(item.raw)) + unb64url(item.id) for item in ITEMS[:2]]
    assert b"".join([number(2), *index, *raws]) == TWO
    assert Bundle.of(()).raw == bytes(32)
    assert Bundle.parse(bytes(32)).order == "little"


def test_each_entry_is_verified_by_itself() -> None:
    good, changed = ITEMS[:2]
    entries = Bundle.of([good, dataclasses.replace(changed, data=b"changed")])
    assert [entry.verify() for entry in entries.entries] == [True, False]
    assert not Bundle.parse(entries.raw).verify()


def test_an_entry_under_a_foreign_id_does_not_verify() -> None:
    raw = bytearray(TWO)
    raw[32 + 32] ^= 1
    bundle = Bundle.parse(bytes(raw))
    assert [entry.verify() for entry in bundle.entries] == [False, True]
    assert bundle.items[0].verify()
    assert bundle.raw == raw


def test_bundles_within_items(wallet: Wallet) -> None:
    inner = Bundle.of(ITEMS)
    item = DataItem.sign(wallet, tags=(*TAGS, *tags_of([("Name", "box")])), data=inner.raw)
    outer = DataItem.sign(wallet, tags=TAGS, data=Bundle.of([ITEMS[0], item]).raw)
    found = Bundle.within(DataItem.parse(outer.raw))
    assert found is not None
    assert found.verify()
    nested = found.entries[1].bundle()
    assert nested is not None
    assert nested.items == ITEMS
    assert found.entries[0].bundle() is None
    for entry in (*found.entries, *nested.entries):
        assert outer.raw[entry.at :].startswith(entry.item.raw)


@pytest.mark.parametrize(
    ("tags", "held"),
    [
        (TAGS, True),
        (TAGS[::-1], True),
        (tags_of([("bundle-format", "binary"), ("bundle-version", "2.0.0")]), True),
        (tags_of([("Bundle-Format", "Binary"), ("Bundle-Version", "2.0.0")]), True),
        (TAGS[:1], False),
        (TAGS[1:], False),
        (tags_of([("Bundle-Format", "json"), ("Bundle-Version", "1.0.0")]), False),
        ((), False),
    ],
)
def test_the_tags_say_whether_there_is_a_bundle(tags: object, held: bool) -> None:
    assert holds_bundle(dataclasses.replace(ITEMS[0], tags=tags)) is held


def test_an_error_in_a_nested_bundle_has_its_place_in_the_whole_input() -> None:
    broken = bytearray(TWO)
    broken[FIRST] = 9
    item = DataItem.sign(Ed25519(), tags=TAGS, data=bytes(broken))
    outer = Bundle.of([ITEMS[0], item])
    with pytest.raises(ProtocolError, match="signature type 9 is not supported") as caught:
        Bundle.parse(outer.raw).entries[1].bundle()
    at = caught.value.position
    assert at == outer.raw.index(bytes(broken)) + FIRST
    assert outer.raw[at] == 9


@pytest.mark.parametrize(
    ("raw", "what", "position"),
    [
        (b"", "number of items: 32 bytes expected, 0 left", 0),
        (bytes(31), "number of items: 32 bytes expected, 31 left", 0),
        (number(1), "1 items announced in 0 bytes", 0),
        (number(2**200 + 1), "items announced in 0 bytes", 0),
        (framed(b"", count=2), "2 items announced in 64 bytes", 0),
        (framed(b""), "signature type: 2 bytes expected, 0 left", 96),
        (framed(ITEMS[0].raw)[:-1], "bytes announced, .* left", 32),
        (framed(ITEMS[0].raw) + b"x", "1 bytes after the last item", 96 + SIZES[0]),
        (framed(ITEMS[0].raw, b"\5\0"), r"type 5 \(Aptos\)", FIRST + SIZES[0]),
        (framed(ITEMS[0].raw, b"\2\0abc"), "signature: 64 bytes", FIRST + SIZES[0] + 2),
        (number(1) + number(2**256 - 1) + bytes(96), "an item of .* announced, 64 left", 32),
    ],
)
def test_damage_is_named_with_its_place(raw: bytes, what: str, position: int) -> None:
    for base in (0, 1000):
        with pytest.raises(ProtocolError, match=what) as caught:
            Bundle.parse(raw, base)
        assert caught.value.position == base + position


@pytest.mark.parametrize("count", [10**6, 2**40, 2**64, 2**127, 2**255, 2**256 - 1])
def test_a_hostile_count_takes_no_memory(count: int) -> None:
    raw = number(count) + bytes(640)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="announced in 640 bytes"):
            Bundle.parse(raw)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def parse_or_protocol_error(raw: bytes) -> None:
    try:
        bundle = Bundle.parse(raw)
    except ProtocolError as error:
        assert 0 <= error.position <= len(raw)
    else:
        assert bundle.raw == raw
        bundle.verify()


def test_every_truncation_is_an_error() -> None:
    for length in range(len(TWO)):
        with pytest.raises(ProtocolError) as caught:
            Bundle.parse(TWO[:length])
        assert 0 <= caught.value.position <= length


@settings(deadline=None)
@given(st.data())
def test_a_mutated_bundle_parses_or_raises_one_error(data: st.DataObject) -> None:
    raw = bytearray(TWO)
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=5)):
        raw[at] = data.draw(st.integers(0, 255))
    parse_or_protocol_error(bytes(raw) + data.draw(st.binary(max_size=3)))


@given(st.binary(max_size=200), st.integers(0, 3))
def test_any_bytes_parse_or_raise_one_error(raw: bytes, count: int) -> None:
    parse_or_protocol_error(raw)
    parse_or_protocol_error(number(count) + raw)


def test_a_bundle_of_hyperbeam(shared: Path) -> None:
    vector = json.loads((shared / "vectors/messages/big-header.json").read_text())
    item = DataItem.parse(base64.b64decode(vector["ans104"]["item_b64"]))
    bundle = Bundle.within(item)
    assert bundle is not None
    assert bundle.order == "big"
    assert bundle.raw == item.data
    # Its parts are unsigned: only the item around them has a signature.
    assert item.verify()
    assert [entry.verify() for entry in bundle.entries] == [False, False]
    manifest = json.loads(bundle.items[0].data)
    assert b64url(unb64url(bundle.entries[1].id)) in manifest.values()
    assert bundle.entries[0].id == next(t.value for t in item.tags if t.name == "bundle-map")
