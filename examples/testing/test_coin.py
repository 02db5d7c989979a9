"""Tests of coin.lua in Python. Run them where aoshell is installed: `pytest examples/testing`.

The fixtures come with aoshell: `ao_process` makes a process, `identity` makes somebody who sends
messages, `clock` is the node's time, and `ao_node` is the node. No network is used.
"""

import pytest


@pytest.fixture
def coin(ao_process):
    """A new coin that pays interest."""
    return ao_process("coin.lua", Cron_Interval="1-hour", Cron_Tag_Action="Interest")


def test_the_owner_mints_and_nobody_else(coin, identity):
    alice = identity("alice")
    assert coin.send("Mint", Recipient=alice, Quantity=5).ok
    refused = coin.send("Mint", Quantity=5, as_=alice)
    assert "only the owner mints" in refused.error
    assert coin.value("Balances") == {alice.address: 5}
    assert coin.prints() == ["minted 5"]


def test_a_transfer_tells_both_sides(coin, identity, ao_node):
    alice, bob = identity("alice"), identity("bob")
    coin.send("Mint", Recipient=alice, Quantity=5)
    paid = coin.send("Transfer", Recipient=bob, Quantity=3, as_=alice)
    assert paid.reply.action == "Debit-Notice"
    assert paid.sent("Credit-Notice", target=bob, Sender=alice, Quantity=3)
    assert [mail.action for mail in ao_node.inbox(bob)] == ["Credit-Notice"]
    assert coin.value("Balances") == {alice.address: 2, bob.address: 3}


@pytest.mark.parametrize("quantity", ["many", "-1", "0.5", ""])
def test_amounts_are_whole_numbers(coin, quantity):
    answer = coin.send("Mint", Quantity=quantity)
    assert not answer.ok
    assert answer.error == "coin.lua:13: Quantity is a whole number above 0"


def test_what_a_balance_is_worth_the_oracle_says(coin, ao_node):
    oracle = ao_node.mock(coin.value("Oracle"), "oracle.lua")
    coin.send("Mint", Quantity=6)
    assert coin.send("Worth").reply["Worth"] == "42"
    assert oracle.outbox()[0].get("Price") == "7"


def test_an_oracle_that_is_late_is_waited_for(coin, ao_node):
    oracle = ao_node.mock(coin.value("Oracle"), "oracle.lua")
    oracle.pause()
    assert coin.send("Worth").suspended
    assert [mail.action for mail in oracle.queued()] == ["Price"]
    oracle.step()
    assert ao_node.inbox(ao_node.owner)[-1]["Worth"] == "0"


def test_each_hour_pays_interest(coin, clock, ao_node):
    coin.send("Mint", Quantity=1000)
    clock.advance("2h")
    assert coin.value("Balances")[ao_node.owner.address] == 1020
