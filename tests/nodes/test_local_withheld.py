"""Items for a process that others run are found in whatever data holds them."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from signers import Ed25519

from aoshell.nodes.local.forked.withheld import Elsewhere, Holding, holding
from aoshell.nodes.local.log import elsewhere as rows
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.rows import Batch, Computed, Logged, Origin, ProcessRow
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.values import HttpMessage
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import tags_of

FORK, OTHER = (b64url(hashlib.sha256(name).digest()) for name in (b"fork", b"other"))
KEY = Ed25519()
KNOWN = Elsewhere([FORK])
SMALLEST = 148  # bytes: type, signature of 64, key of 32, target, no anchor, no tags


def signed(target: str = "", **named: str) -> DataItem:
    return DataItem.sign(KEY, target, tags_of(named.items()), b"one")


def logged(item: DataItem, slot: int, tick: int = 0) -> Logged:
    return Logged(9, 1, slot, tick, item.id, None, None, 9, 0, 0, 0, "chain", item.raw, b"")


@pytest.mark.parametrize("name", ["Process", "process", "Target", "TARGET"])
def test_a_tag_names_a_process_in_any_case(name: str) -> None:
    assert KNOWN.within(signed(**{name: FORK}).raw) == FORK
    assert KNOWN.within(signed(**{name: OTHER}).raw) == ""


def test_a_tag_is_found_behind_what_only_mentions_the_process() -> None:
    item = signed(Note=FORK, Process=FORK)
    assert KNOWN.within(item.raw) == FORK
    assert KNOWN.within(signed(Note=FORK).raw) == ""
    assert KNOWN.within(FORK.encode() * 9) == ""


def test_the_smallest_item_is_found() -> None:
    item = DataItem.sign(KEY, FORK)
    assert KNOWN.within(item.raw) == FORK and len(item.raw) == SMALLEST


@pytest.mark.parametrize("item", [signed(FORK), signed(Process=FORK)], ids=["target", "tag"])
@pytest.mark.parametrize("before", range(4))
def test_an_item_is_found_in_text_wherever_it_begins(item: DataItem, before: int) -> None:
    data = bytes(before) + item.raw
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert KNOWN.within(b"{'item': '" + encode(data) + b"'}") == FORK
    assert KNOWN.within(data) == KNOWN.within(data.hex().encode()) == FORK
    assert KNOWN.within(data.hex().upper().encode()) == FORK


def test_both_alphabets_of_base64_are_looked_for() -> None:
    """Of an id whose forms differ in each of them."""
    number = 0
    while True:
        id = b64url(hashlib.sha256(b"%d" % number).digest())
        raw = signed(id).raw
        target = raw[98:131]  # behind type, signature and owner: a one, and the id
        plain, url = (
            [encode(bytes(n) + target)[4:40] for n in range(3)]
            for encode in (base64.b64encode, base64.urlsafe_b64encode)
        )
        if all(one != other for one, other in zip(plain, url, strict=True)):
            break
        number += 1
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            assert Elsewhere([id]).within(encode(bytes(before) + raw)) == id


def test_whom_a_message_is_for() -> None:
    assert KNOWN.addressee(signed(FORK)) == FORK
    for name in ("Target", "process"):
        assert KNOWN.addressee(signed(OTHER, **{name: FORK})) == FORK
    for name in ("target", "Process"):
        headers = (("action", "Eval"), (name, FORK))
        assert KNOWN.addressee(HttpMessage("i" * 43, headers, b"")) == FORK
    assert KNOWN.addressee(signed(OTHER, Note=FORK)) == ""


def test_which_messages_keep_their_signature_in_a_file() -> None:
    own, others = signed(FORK), signed(OTHER)
    for item, slot, fork_point, is_kept in (
        (own, 3, None, False),  # of another process, to which it was assigned
        (others, 3, None, True),
        (own, 3, 3, True),  # it is in the public log
        (own, 4, 3, False),
        (others, 4, 3, False),  # whatever is put behind a fork point here
    ):
        given = KNOWN.stripped(logged(item, slot), fork_point)
        assert (given.signed is not None) == is_kept, (slot, fork_point)
    assert KNOWN.stripped(logged(own, 3, 1), 3).signed is None  # behind it, before the next slot
    assert Elsewhere([]).stripped(logged(own, 4), 3).signed == own.raw


def test_those_that_come_later_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a stand-in of which a fork was here before."""
    reader: Any = SimpleNamespace()
    for name, found in (("forks", []), ("gone", [FORK]), ("stand_ins", [FORK])):
        monkeypatch.setattr(rows, name, lambda *_, found=found: found)
    assert KNOWN.grown(reader, 1).stand_ins == {FORK}
    monkeypatch.setattr(rows, "stand_ins", lambda *_: [])
    assert KNOWN.grown(reader, 1) is KNOWN
    monkeypatch.setattr(rows, "forks", lambda *_: [OTHER])
    assert OTHER in KNOWN.grown(reader, 1) and FORK in KNOWN.grown(reader, 1)


def test_what_has_such_an_item_is_named_but_for_what_is_public(tmp_path: Path) -> None:
    item = signed(FORK).raw.decode("latin-1")
    processes = [
        ProcessRow(number, id, "", "owner", "module", "environment", 0, "[]", 1 << 29)
        for number, id in ((1, FORK), (2, OTHER))
    ]
    messages = [  # process, slot, data, and the output of its result
        (1, 0, item, item),
        (1, 1, item, item),  # the fork point
        (1, 2, "none", "none"),
        (2, 0, item, "none"),
        (2, 1, "none", item),
        (2, 2, "none", "none"),
    ]
    batch = Batch(processes=processes, origins=[Origin(1, "source", 1, 0, 0, "", 0, 0)])
    for seq, (process, slot, data, output) in enumerate(messages, 1):
        body = form.dump_wire(["id", "from", "owner", "target", data, "", ""])
        place = Logged(seq, process, slot, 0, "", None, None, seq, 0, 0, 0, "", None, body)
        result = form.dump_result(form.FlatResult(False, output, "", False, 0, [0, 0]))
        batch.log.append(place)
        batch.results.append(Computed(seq, "ok", 0.0, 0, 0, 0, result))
    store = Store(tmp_path)
    try:
        store.commit(batch, sync=False)
        assert list(holding(store)) == [Holding(2, 0, FORK), Holding(2, 1, FORK)]
        assert list(holding(store, 1)) == []
    finally:
        store.close()
