"""Dumps of an earlier format, and damaged, too large or hostile ones."""

from __future__ import annotations

import copy
import random
from contextlib import closing

import pytest
from dumped import dump, load, nothing, pieces, records, rewritten, rows
from test_local_dumps import of, small
from test_old_homes import HOMES, unpacked

from aoshell.errors import AoError
from aoshell.nodes.local.history import loading, parts
from aoshell.nodes.local.log.store import Store

__all__ = ["small"]  # fixtures


# Files of others ------------------------------------------------------------------------------


def test_a_dump_of_format_1_can_be_loaded(folder, small):
    """A new format adds a sample, and this one stays."""
    assert small.startswith(b"aoshell state 1\n") and parts.VERSION == 1
    loaded = load(folder, small, piece=1000)
    assert (loaded.processes, loaded.uploads) == (len(rows(folder, "processes")["processes"]), 1)
    assert dump(folder)[:16] == small[:16]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is no dump of a node"),
        (b"aoshell state 1", "is no dump of a node"),
        (b"aoshell process 1\n", "is no dump of a node"),
        (b"SQLite format 3\0" + bytes(100), "is no dump of a node"),
        (b"aoshell state " + b"9" * 100, "is no dump of a node"),
        (b"aoshell state 2\n", "has format 2, and this aoshell reads format 1"),
        (b"aoshell state 0\n", "has format 0, and this aoshell reads format 1"),
    ],
)
def test_another_file_is_no_dump(folder, data, why):
    with pytest.raises(AoError, match=why) as raised:
        load(folder, data)
    assert raised.value.stage == "state"


def test_a_damaged_file_is_refused_wherever_it_is_damaged(folder, small):
    load(folder, small)  # then all ids collide, too: damage must not be taken for that
    empty = folder.with_name("empty")
    with closing(Store(empty)) as store:
        chance = random.Random(7)
        places = {*range(0, 70), *range(len(small) - 45, len(small))}
        places |= {chance.randrange(len(small)) for _ in range(60)}
        for at in sorted(places):
            flipped = bytearray(small)
            flipped[at] ^= 1 << chance.randrange(8)
            for bad in (bytes(flipped), small[:at], small[:at] + small[at + 1 :]):
                with pytest.raises(AoError) as raised:
                    loading.load_node(store, pieces(bad, 4096), nothing)
                assert raised.value.stage == "state", (at, raised.value)
    assert not any(rows(empty, "processes", "log", "results", "kept", "uploads").values())
    assert not rows(empty, "meta")["meta"]


@pytest.mark.parametrize(
    ("tail", "why"),
    [
        (b"p" + b"\xff\xff\xff\xff" + bytes(32), "says that it has 4294967295 bytes"),
        (b"p" + b"\x0b\xff\xff\xff" + bytes(32) + b"x", "it ends too early"),
        (b"p" + bytes(4) + bytes(32), "says that it has 0 MB"),
        (b"q" + b"\0\0\0\1" + bytes(33), "of an unknown kind"),
        (b"e" + bytes(36), "its bytes have changed"),
    ],
)
def test_a_length_is_only_a_claim(folder, tail, why):
    with pytest.raises(AoError, match=why):
        load(folder, parts.MAGIC % 1 + tail)


def test_a_dump_that_goes_on_is_damaged(folder, small):
    with pytest.raises(AoError, match="goes on after its end"):
        load(folder, small + b"\0")


def test_a_little_file_unpacks_to_a_bounded_size(folder, small, monkeypatch):
    bomb = [records(small)[0], {"name": ["x" * 3_000_000, ""]}]
    data = rewritten(bomb)
    monkeypatch.setattr("aoshell.nodes.local.history.records.LITTLE", 1 << 20)
    with pytest.raises(AoError, match="unpacks to more than a file of its size may"):
        load(folder, data)
    # What is written under the same bound can be read under it.
    assert records(rewritten(bomb)) == bomb


@pytest.mark.parametrize("bound", ["LONGEST"])
def test_what_could_not_be_loaded_is_not_dumped(tmp_path, monkeypatch, bound):
    home = unpacked(HOMES[-1], tmp_path / "old")
    monkeypatch.setattr(parts, bound, 1 << 10)
    with pytest.raises(AoError, match="more than can be loaded") as raised:
        dump(home)
    assert raised.value.stage == "dump"


def swap(found):
    at = [number for number, one in enumerate(found) if "message" in one]
    found[at[0]], found[at[1]] = found[at[1]], found[at[0]]


def sent_and_kept(found):
    kept = of("kept", found)[0]
    later = next(
        one["message"]
        for one in found
        if "message" in one and one["message"]["seq"] > kept["cause"]
    )
    later |= {"cause": kept["cause"], "idx": kept["idx"], "root": 1}


HOSTILE = {
    "no header": (lambda f: f.pop(0), "out of order"),
    "two headers": (lambda f: f.insert(1, f[0]), "out of order"),
    "a header of more": (lambda f: f[0]["state"].update(key="x"), "other members"),
    "a clock far ahead": (lambda f: f[0]["state"].update(ahead=1 << 50), "too far ahead"),
    "a time that is none": (lambda f: f[0]["state"].update(time=-1), "a number of its header"),
    "a node without address": (lambda f: f[0]["state"].update(node="../x"), "no address"),
    "paths for wallets": (lambda f: f[0]["state"].update(wallets=["../x"]), "not an address"),
    "a queue of nobody": (lambda f: f[0]["state"].update(paused=["a" * 43]), "has no process"),
    "fewer messages": (lambda f: f[0]["state"].update(messages=1), "not have as many records"),
    "an unknown record": (lambda f: f.insert(3, {"key": 1}), "damaged"),
    "a list": (lambda f: f.insert(3, [1]), "not an object"),
    "another module": (lambda f: of("module", f)[0].__setitem__(0, "a" * 43), "not match its id"),
    "a module of a wrong kind": (lambda f: of("module", f)[0].__setitem__(1, "wasm"), "another"),
    "a process twice": (
        lambda f: f.insert(
            [*map(list, f)].index(["process"]), copy.deepcopy({"process": of("process", f)[-1]})
        ),
        "out of order",
    ),
    "a process that is a path": (lambda f: of("process", f)[0].update(id="../../x"), "id of the"),
    "a process with an unknown key": (lambda f: of("process", f)[0].update(x=1), "damaged"),
    "a process of no module": (lambda f: of("process", f)[0].update(module="b" * 43), "missing"),
    "a process numbered high": (
        lambda f: of("process", f)[-1].update(number=1 << 60),
        "processes are out of order",
    ),
    "messages in another order": (swap, "damaged"),
    "a message numbered high": (lambda f: of("message", f)[-1].update(seq=1 << 60), "out of order"),
    "a message of nobody": (lambda f: of("message", f)[-1].update(process=999), "damaged"),
    "a slot is missing": (lambda f: of("message", f)[-1].update(slot=999), "is missing"),
    "a later cause": (lambda f: of("message", f)[0].update(cause=9, idx=0), "cause"),
    "a root of others": (lambda f: of("message", f)[-1].update(root=1), "has no cause"),
    "no root": (lambda f: of("message", f)[0].update(root=0), "a root is invalid"),
    "a chain that is none": (lambda f: of("message", f)[0].update(chain="%"), "a link of a chain"),
    "a text for a number": (lambda f: of("message", f)[0].update(slot="0"), "damaged"),
    "a message that is none": (lambda f: of("message", f)[0].update(body="{}"), "damaged"),
    "a kept one without a cause": (lambda f: of("kept", f)[0].update(cause=1 << 40), "no cause"),
    "a kept one of another kind": (lambda f: of("kept", f)[0].update(held=9), "has no state"),
    "a kept one that was sent": (sent_and_kept, "damaged"),
    "an upload of another id": (lambda f: of("upload", f)[0].update(id="c" * 43), "another id"),
    "an upload that is none": (lambda f: of("upload", f)[0].update(signed="AAAA"), "damaged"),
    "lone surrogates": (lambda f: of("kept", f)[0].update(reason="\ud800"), "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_records_that_no_dump_has_are_refused(folder, small, kind):
    change, why = HOSTILE[kind]
    found = records(small)
    change(found)
    data = rewritten(found)
    with pytest.raises(AoError, match=why) as raised:
        load(folder, data)
    assert raised.value.stage == "state"
    assert not any(rows(folder).values())
    load(folder, small)  # and the home is as it was
