from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signers import Ed25519, Ethereum, Solana

from aoshell.errors import AoError
from aoshell.protocol import stream
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.deephash import deep_hash, hash_blob
from aoshell.protocol.encoding import ProtocolError, b64url
from aoshell.protocol.keys import Signer
from aoshell.protocol.message import Tag, tags_of
from aoshell.protocol.wallet import Wallet

TARGET = b64url(bytes(range(32)))
TAGS = tags_of([("Action", "Eval"), ("Empty", "")])
SIGNERS: tuple[Signer, ...] = (Ed25519(), Ethereum(), Solana())
ITEM = DataItem.sign(SIGNERS[0], TARGET, TAGS, b"\0data\xff", b"a" * 32)


class Dribble:
    """A file that gives one byte at a time."""

    def __init__(self, raw: bytes) -> None:
        self.file = io.BytesIO(raw)

    def read(self, size: int, /) -> bytes:
        return self.file.read(min(size, 1))


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    for size in sizes:
        yield data[:size]
        data = data[size:]
    yield data


@settings(deadline=None)
@given(
    st.sampled_from(SIGNERS),
    st.lists(st.builds(Tag, st.text("ab"), st.text("ab")), max_size=3),
    st.binary(max_size=200),
    st.lists(st.integers(0, 50), max_size=4),
    st.sampled_from(["", TARGET]),
    st.sampled_from([b"", b"a" * 32]),
)
def test_a_streamed_item_is_an_item(
    signer: Signer, tags: list[Tag], data: bytes, sizes: list[int], target: str, anchor: bytes
) -> None:
    header = stream.sign(signer, cut(data, sizes), target, tags, anchor)
    item = DataItem.parse(header.head + data)
    assert item.verify()
    assert (item.id, item.tags, item.target, item.anchor) == (
        header.id,
        *(tuple(tags), target, anchor),
    )
    file = io.BytesIO(item.raw)
    assert stream.read(file) == header
    assert file.read() == data
    assert stream.verify(header, cut(data, sizes))
    assert not stream.verify(header, [data, b"more"])


def test_a_file_may_give_less_than_it_is_asked_for() -> None:
    file = Dribble(b"before" + ITEM.raw)
    assert b"".join(file.read(1) for _ in range(6)) == b"before"
    header = stream.read(file)
    assert header.head + ITEM.data == ITEM.raw
    assert stream.verify(header, stream.chunks(file))


def test_changed_data_is_noticed(wallet: Wallet) -> None:
    header = stream.sign(wallet, [b"da", b"ta"], tags=TAGS)
    assert stream.verify(header, [b"data"])
    for chunks in ([b"Data"], [b"dat"], [b"data", b"\0"], []):
        assert not stream.verify(header, chunks)


def test_signing_raises_as_in_memory() -> None:
    for arguments in ({"target": "x"}, {"anchor": b"x"}, {"tags": tags_of([("n", "v")] * 129)}):
        with pytest.raises(AoError) as caught:
            stream.sign(SIGNERS[0], [b""], **arguments)
        assert caught.value.stage == "message"
    assert stream.sign(SIGNERS[0], [b""], tags=tags_of([("n", "v")] * 129), limits=False)


@pytest.mark.parametrize("length", range(len(ITEM.head)))
def test_every_truncation_of_the_header_is_an_error_at_the_same_place(length: int) -> None:
    raw = ITEM.raw[:length]
    with pytest.raises(ProtocolError) as in_memory:
        DataItem.parse(raw)
    with pytest.raises(ProtocolError) as streamed:
        stream.read(io.BytesIO(raw))
    assert str(streamed.value) == str(in_memory.value)
    assert streamed.value.position == in_memory.value.position


@given(st.data())
def test_a_mutated_header_is_read_as_in_memory(data: st.DataObject) -> None:
    raw = bytearray(ITEM.raw)
    for at in data.draw(st.lists(st.integers(98, len(raw) - 1), max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    try:
        item = DataItem.parse(bytes(raw))
    except ProtocolError as error:
        with pytest.raises(ProtocolError) as caught:
            stream.read(io.BytesIO(raw))
        assert caught.value.position == error.position
    else:
        assert stream.read(io.BytesIO(raw)).head + item.data == raw


def test_a_hostile_length_of_tags_is_not_read() -> None:
    class Endless:
        def __init__(self) -> None:
            self.file = io.BytesIO(ITEM.raw[:98] + b"\0\0" + bytes(8) + b"\xff" * 7 + b"\x7f")

        def read(self, size: int, /) -> bytes:
            assert size <= stream.LARGEST_FIELD
            return self.file.read(size) or bytes(size)

    with pytest.raises(
        ProtocolError, match=r"tags: .* bytes announced, at most 1,048,576"
    ) as caught:
        stream.read(Endless())
    assert caught.value.position == 98 + 2 + 16


def test_a_field_of_a_stream_has_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = max(len(part) for part in (ITEM.signature, ITEM.owner, ITEM.encoded_tags))
    monkeypatch.setattr(stream, "LARGEST_FIELD", longest)
    assert stream.read(io.BytesIO(ITEM.raw)).id == ITEM.id
    monkeypatch.setattr(stream, "LARGEST_FIELD", longest - 1)
    with pytest.raises(ProtocolError, match=f"{longest} bytes announced, at most {longest - 1}"):
        stream.read(io.BytesIO(ITEM.raw))


def test_ten_megabytes_are_never_held(wallet: Wallet) -> None:
    megabyte = bytes(range(256)) * 4096

    def data() -> Iterator[bytes]:
        yield from (megabyte for _ in range(10))

    class File:
        """The item, its data made as it is read."""

        def __init__(self, head: bytes) -> None:
            self.head, self.left = io.BytesIO(head), 10 * len(megabyte)

        def read(self, size: int, /) -> bytes:
            if piece := self.head.read(size):
                return piece
            length = min(size, self.left)
            self.left -= length
            return megabyte[:length]

    wallet.sign(b"")  # imports what it needs
    tracemalloc.start()
    try:
        header = stream.sign(wallet, data(), tags=TAGS)
        file = File(header.head)
        assert stream.verify(stream.read(file), stream.chunks(file))
        assert tracemalloc.get_traced_memory()[1] < 2 * len(megabyte)
    finally:
        tracemalloc.stop()


def test_in_memory_the_data_is_copied_once(wallet: Wallet) -> None:
    data = bytes(10_000_000)
    wallet.sign(b"")
    tracemalloc.start()
    try:
        raw = DataItem.sign(wallet, tags=TAGS, data=data).raw
        assert tracemalloc.get_traced_memory()[1] < 1.1 * len(data)
        tracemalloc.reset_peak()
        assert DataItem.parse(raw).verify()
        assert tracemalloc.get_traced_memory()[1] < 2.1 * len(data)  # raw and the item's data
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=100), st.lists(st.integers(0, 30), max_size=5))
def test_a_blob_hashes_alike_in_one_piece_and_in_many(data: bytes, sizes: list[int]) -> None:
    assert hash_blob(cut(data, sizes)) == deep_hash(data)
