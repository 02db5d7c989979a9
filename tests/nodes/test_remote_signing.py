"""What makes two equal messages to a HyperBEAM node distinct."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aoshell.nodes.remote.hyperbeam import signing
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.commitment import CURRENT
from aoshell.protocol.message import Tag, tags_of
from aoshell.protocol.wallet import Wallet

TIMES = (1_700_000_000_000, 1_700_000_000_001)


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> None:
    left = iter(time * 1_000_000 for time in TIMES)
    monkeypatch.setattr(signing.time, "time_ns", lambda: next(left))


@pytest.mark.usefixtures("times")
@pytest.mark.parametrize(("target", "name"), [("", signing.MADE_AT), ("t" * 43, signing.SENT_AT)])
def test_equal_messages_differ_by_their_time(wallet: Wallet, target: str, name: str) -> None:
    made = [
        signing.message(wallet, signing.LUA, target, (Tag("Name", "n"),), b"x", CURRENT)
        for _ in TIMES
    ]
    found = [_inside(one.body, name) for one in made]
    assert found == [str(time) for time in TIMES]


@pytest.mark.usefixtures("times")
def test_equal_code_is_published_as_two_messages(wallet: Wallet) -> None:
    made = [signing.module(wallet, b"return 1", "n", "a" * 43, CURRENT) for _ in TIMES]
    found = [_inside(one.body, signing.MADE_AT) for one in made]
    assert found == [str(time) for time in TIMES]


def test_a_time_that_is_given_is_kept(wallet: Wallet) -> None:
    given = (Tag("Process-Timestamp", "5"),)
    made = signing.message(wallet, signing.LUA, "", given, b"", CURRENT)
    assert _inside(made.body, signing.MADE_AT) == "5"


# What aos 2.0.16 signed when it made the process `m1` on a node, but for the names of addresses.
AOS_DEFINITION = {
    "device": "process@1.0",
    "scheduler-device": "scheduler@1.0",
    "push-device": "push@1.0",
    "execution-device": "genesis-wasm@1.0",
    "Module": "ISShJH1ij-hPPt9St5UFFr_8Ys3Kj5cyg7zrMGt7H9s",
    "App-Name": "aos",
    "Name": "m1",
    "aos-version": "2.0.16",
    "process-timestamp": "1795330058488",
    "signing-format": "ans104",
    "accept-bundle": "true",
    "accept-codec": "httpsig@1.0",
    "Data-Protocol": "ao",
    "Type": "Process",
    "Variant": "ao.N.1",
}


def test_a_process_of_wasm_is_made_as_aos_makes_it(wallet: Wallet) -> None:
    made = _of_wasm(wallet, ("Name", "m1"), ("process-timestamp", "1795330058488"))
    due = AOS_DEFINITION | {"Authority": "a" * 43, "Scheduler": "a" * 43, "SDK": "aoshell"}
    assert len(made.tags) == len(due)
    assert set(made.tags) == set(tags_of(due.items()))
    assert (made.target, made.anchor, made.data) == ("", b"", b"")


def test_that_definition_is_the_recorded_one(shared: Path) -> None:
    recorded = json.loads((shared / "vectors/clients/mainnet-dumb.json").read_text())
    (item,) = (one["reqBody"]["ans104"] for one in recorded if one["path"] == "/push")
    pairs = {tag["name"]: tag["value"] for tag in item["tags"]}
    assert (pairs.keys() - AOS_DEFINITION.keys(), item["data"]) == ({"Authority", "Scheduler"}, "")
    assert {name: pairs[name] for name in AOS_DEFINITION} == AOS_DEFINITION


def test_what_is_given_outranks_what_aos_says_of_itself(wallet: Wallet) -> None:
    made = _of_wasm(wallet, ("app-name", "mine"), ("Aos-Version", "1"))
    named = [tag for tag in made.tags if tag.name.lower() in ("app-name", "aos-version")]
    assert named == [Tag("app-name", "mine"), Tag("Aos-Version", "1")]


def test_a_process_of_lua_says_nothing_of_aos() -> None:
    tags = signing.definition((), signing.LUA, "a" * 43)
    assert not {tag.name for tag in tags} & {"App-Name", "aos-version"}


def _of_wasm(wallet: Wallet, *given: tuple[str, str]) -> DataItem:
    """The definition of a process that runs aos's module, on the node `a…`."""
    tags = tags_of([("Module", AOS_DEFINITION["Module"]), *given])
    whole = signing.definition(tags, signing.LEGACY, "a" * 43)
    made = signing.message(wallet, signing.LEGACY, "", whole, b"", CURRENT)
    assert isinstance(made, DataItem)
    return made


def _inside(body: bytes, name: str) -> str:
    _, found, rest = body.partition(f"{name}: ".encode())
    assert found
    return rest.partition(b"\r\n")[0].decode()
