"""What messages to HyperBEAM nodes bear so that two equal ones stay two."""

from __future__ import annotations

import pytest

from aoshell.nodes.remote.hyperbeam import signing
from aoshell.protocol.commitment import CURRENT
from aoshell.protocol.message import Tag
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


def _inside(body: bytes, name: str) -> str:
    _, found, rest = body.partition(f"{name}: ".encode())
    assert found
    return rest.partition(b"\r\n")[0].decode()
