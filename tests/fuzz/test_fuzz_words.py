"""What is read of a script: its handlers, their tags, and what these are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aoshell.blueprints import SHIPPED
from aoshell.fuzz.sequences import SIZE, Person, Sequences, Step, spread
from aoshell.fuzz.words.listing import read_vocabulary
from aoshell.fuzz.words.recorded import recorded_messages
from aoshell.fuzz.words.vocabulary import MessageForm, ValueKind, Vocabulary

WRAPPED = """
local utils = require(".utils")
local Market = {}
local function whole(text) return math.tointeger(tonumber(text or "")) end
local function guarded(handle)
  return function(m) assert(m.From ~= "x") return handle(m) end
end
function Market.buy(m)
  local offer = whole(m.Offer)
  if m.Tags.Side == "yay" or m.Tags.Side == "nay" then m.reply({ Data = tostring(offer) }) end
end
Handlers.add("Buy", Handlers.utils.hasMatchingTag("Action", "Buy"), guarded(Market.buy))
Handlers.add("Set", function(msg) return msg.Action == "Set" end, function(msg)
  local data = require("json").decode(msg.Data)
  Price = data.price
  Send({ Target = msg.From, Data = "ok" })
end)
"""


def words(source: str, *listed: tuple[str, Any], past: Any = ()) -> Vocabulary:
    handlers = [{"name": name, "pattern": pattern} for name, pattern in listed]
    return read_vocabulary({"a.lua": source.encode()}, handlers, past)


def form_of(found: Vocabulary, handler: str) -> MessageForm:
    (form,) = (one for one in found.forms if one.handler == handler)
    return form


def test_handlers_are_read_through_functions() -> None:
    found = words(WRAPPED, ("Buy", False), ("Set", False))
    buy, set_ = form_of(found, "Buy"), form_of(found, "Set")
    assert buy.fixed == (("Action", "Buy"),)
    kinds = {word.name: (word.kind, word.choices) for word in buy.words}
    assert kinds["Offer"] == (ValueKind.NUMBER, ())
    assert kinds["Side"] == (ValueKind.CHOICE, ("nay", "yay"))
    assert (set_.fixed, set_.data, set_.keys) == ((("Action", "Set"),), "json", ("price",))
    assert found.meant == ["Set"]  # Buy answers only for a side


def test_code_that_a_message_loaded_is_read() -> None:
    loaded = f"return load([==[{WRAPPED}]==])()"
    assert {word.name for word in form_of(words(loaded, ("Buy", False)), "Buy").words} >= {"Offer"}


@pytest.mark.parametrize(
    ("pattern", "fixed"),
    [
        ("Go", {("Action", "Go")}),
        ({"Action": "Go", "Kind": ["a", "b"]}, {("Action", "Go"), ("Kind", "a"), ("Kind", "b")}),
        ({"Action": "Go", "Kind": "_"}, {("Action", "Go")}),
        ({"Action": "Go", "From": "me"}, {("Action", "Go")}),
    ],
)
def test_patterns_that_are_data(pattern: Any, fixed: set[tuple[str, str]]) -> None:
    found = words("local a = 1", ("x", pattern))
    assert {pair for form in found.forms for pair in form.fixed} == fixed


def test_a_message_that_was_there_gives_values() -> None:
    (word,) = form_of(
        words(WRAPPED, ("Buy", "Buy"), past=[[("Action", "Buy"), ("Offer", "o-77")]]), "Buy"
    ).words[:1]
    assert (word.name, word.seen) == ("Offer", ("o-77",))


def test_tests_beside_a_file_give_messages(tmp_path: Path) -> None:
    (tmp_path / "a_test.lua").write_text(
        'test("x", function(t) local p = t:spawn("a.lua")\n'
        '  p:send({ Action = "Buy", Offer = "o-9", Quantity = 5, Recipient = bob }) end)'
    )
    (tmp_path / "b_test.lua").write_text('p:send({ Action = "Other" }) -- of b.lua')
    (tmp_path / "c_test.lua").write_text("a.lua (")
    found = recorded_messages(tmp_path / "a.lua")
    assert found == [[("Action", "Buy"), ("Offer", "o-9"), ("Quantity", "5")]]


def made(words: Vocabulary, data: bytes) -> list[Step]:
    people = (Person("owner", "O" * 43), Person("alice", "A" * 43), Person("p", "P" * 43, True))
    return Sequences(words, people, "S" * 43).decode(data)


def test_any_bytes_are_a_sequence() -> None:
    source = (SHIPPED / "token.lua").read_text()
    found = words(source, ("Transfer", "Transfer"), ("Mint", "Mint"), ("Info", "Info"))
    for data in (b"", b"\0" * SIZE, b"\xff" * SIZE, bytes(range(256)) * 2):
        steps = made(found, data)
        assert steps == made(found, data)
        assert all(step.handler for step in steps)
        assert sum(step.times for step in steps) == len(spread(steps))


def test_well_formed_messages_have_all_their_tags() -> None:
    source = (SHIPPED / "token.lua").read_text()
    found = words(source, ("Transfer", "Transfer"))
    (form,) = found.forms
    for seed in range(256):
        for step in made(found, bytes((seed * at) % 251 for at in range(SIZE))):
            if step.formed:
                tags = dict(step.tags)
                assert {word.name for word in form.words} < tags.keys()
                assert tags["Quantity"].isdecimal()
                assert len(tags["Recipient"]) == 43


def test_the_owner_sends_no_eval() -> None:
    found = words("local a = 1", ("x", {"Action": "Eval"}))
    for seed in range(256):
        for step in made(found, bytes((seed * at) % 251 for at in range(SIZE))):
            assert step.sender.name != "owner" or ("Action", "Eval") not in step.tags
