"""Chatroom, staking and voting, message by message."""

from __future__ import annotations

import json

import pytest

A, B, C = (letter * 43 for letter in "ABC")
OWNER = "OWNER-ADDRESS-of-43-characters-0123456789ab"
DAY = 24 * 60 * 60 * 1000


# Chatroom -----------------------------------------------------------------------------------------


def test_who_is_in_hears_what_is_said(room):
    chat = room("chatroom")
    assert chat.only("A", "Register", Nickname="ann")["Action"] == "Registered"
    assert chat.only("B", "Register")["Nickname"] == "BBBBBBBB"
    assert json.loads(chat.only("C", "Members")["Data"]) == {A: "ann", B: "BBBBBBBB"}
    heard = sorted(chat.ask("A", "Broadcast", "hello"), key=lambda message: message["Target"])
    assert [message["Target"] for message in heard] == [A, B]
    for message in heard:
        said = [message[name] for name in ("Action", "Broadcaster", "Nickname", "Data")]
        assert said == ["Broadcasted", A, "ann", "hello"]
    assert chat.only("A", "Unregister")["Action"] == "Unregistered"
    assert [message["Target"] for message in chat.ask("B", "Broadcast", "gone")] == [B]


def test_what_a_room_refuses(room):
    chat = room("chatroom")
    assert chat.only("C", "Members")["Data"] == "{}"
    assert chat.only("A", "Broadcast", "hi")["Error"] == "Register first"
    assert chat.only("A", "Unregister")["Error"] == "Not a member"
    for nickname in ("", "n" * 65):
        answer = chat.only("A", "Register", Nickname=nickname)
        assert (answer["Action"], answer["Target"]) == ("Register-Error", A)
    chat.process.run("MaxMembers = 1")
    chat.ask("A", "Register")
    assert chat.only("B", "Register")["Error"] == "The room is full"
    assert chat.only("A", "Register", Nickname="new")["Nickname"] == "new"
    chat.load("chatroom")
    assert chat.value("Members") == {A: "new"}


# Staking ------------------------------------------------------------------------------------------


@pytest.fixture
def stakes(room):
    made = room("token", "staking")
    made.ask(OWNER, "Mint", Quantity="100", Recipient=A)
    return made


def test_a_stake_goes_and_comes_back(stakes):
    staked = stakes.only("A", "Stake", Quantity="60")
    assert (staked["Action"], staked["Quantity"], staked["Stake"]) == ("Staked", "60", "60")
    assert stakes.only("A", "Balance")["Data"] == "40"
    assert json.loads(stakes.only("B", "Stakes")["Data"]) == {A: "60"}
    ended = stakes.only("A", "Unstake", Quantity="50")
    assert ended["Action"] == "Unstaking"
    assert int(ended["Due"]) == 1_700_000_000_000 + DAY
    assert stakes.only("A", "Withdraw", time=DAY - 1)["Error"] == "Nothing is due yet"
    stakes.ask("A", "Unstake", Quantity="10", time=10)
    assert stakes.only("A", "Withdraw", time=DAY)["Quantity"] == "50"
    assert stakes.only("A", "Balance")["Data"] == "90"
    assert stakes.only("A", "Withdraw", time=DAY + 10)["Quantity"] == "10"
    assert stakes.value("Balances") == {A: "100"}
    assert stakes.value("next(Stakers)") is None and stakes.value("next(Unstaking)") is None
    assert stakes.only("A", "Stakes")["Data"] == "{}"


@pytest.mark.parametrize(
    ("action", "quantity", "reason"),
    [
        ("Stake", "101", "Insufficient Balance!"),
        ("Stake", "0", "Quantity must be above 0"),
        ("Stake", "-1", "Quantity must be digits"),
        ("Stake", "9" * 61, "Quantity is too large"),
        ("Unstake", "1", "Insufficient stake"),
        ("Unstake", "x", "Quantity must be digits"),
    ],
)
def test_stakes_that_are_refused(stakes, action, quantity, reason):
    answer = stakes.only("A", action, Quantity=quantity)
    assert (answer["Action"], answer["Error"]) == (f"{action}-Error", reason)
    assert stakes.value("Balances") == {A: "100"}


def test_staking_needs_a_token(room):
    with pytest.raises(AssertionError, match="load the blueprint token first"):
        room("staking")


# Voting -------------------------------------------------------------------------------------------


def test_votes_of_equal_weight(room):
    votes = room("voting")
    proposed = votes.only("A", "Propose", Title="Paint it", Duration="1000")
    assert (proposed["Action"], proposed["Proposal"]) == ("Proposed", "1")
    assert int(proposed["Ends"]) == 1_700_000_001_000
    voted = votes.only("A", "Vote", Proposal="1", Side="nay")
    assert (voted["Action"], voted["Side"], voted["Weight"]) == ("Voted", "nay", "1")
    votes.ask("A", "Vote", Proposal="1", Side="yay")  # the last one counts
    votes.ask("B", "Vote", Proposal="1", Side="yay")
    votes.ask("C", "Vote", Proposal="1", Side="nay", time=999)
    tally = votes.only("C", "Tally", Proposal="1")
    assert (tally["Yay"], tally["Nay"], tally["Status"]) == ("2", "1", "open")
    late = votes.only("C", "Vote", Proposal="1", Side="nay", time=1000)
    assert late["Error"] == "The vote has ended"
    assert votes.only("C", "Tally", Proposal="1", time=1000)["Status"] == "passed"
    votes.ask("A", "Propose", Title="Second")
    listed = json.loads(votes.only("A", "Proposals", time=1000)["Data"])
    assert [(one["number"], one["status"]) for one in listed] == [(1, "passed"), (2, "open")]


def test_votes_weigh_what_is_staked(stakes):
    stakes.load("voting")
    assert stakes.only("A", "Propose", Title="x")["Error"] == "Only stakers propose"
    stakes.ask("A", "Transfer", Quantity="40", Recipient=B)
    stakes.ask("A", "Stake", Quantity="60")
    stakes.ask("B", "Stake", Quantity="30")
    stakes.ask("A", "Propose", Title="x", Duration="10")
    assert stakes.only("C", "Vote", Proposal="1", Side="yay")["Error"] == "Only stakers vote"
    stakes.ask("A", "Vote", Proposal="1", Side="nay")
    stakes.ask("B", "Vote", Proposal="1", Side="yay")
    tally = stakes.only("A", "Tally", Proposal="1", time=10)
    assert (tally["Yay"], tally["Nay"], tally["Status"]) == ("30", "60", "failed")


@pytest.mark.parametrize(
    ("action", "tags", "reason"),
    [
        ("Propose", {}, "Title must have 1 to 200 bytes"),
        ("Propose", {"Title": "t" * 201}, "Title must have 1 to 200 bytes"),
        ("Propose", {"Title": "t", "Duration": "0"}, "Duration must be milliseconds above 0"),
        ("Propose", {"Title": "t", "Duration": "1.5"}, "Duration must be milliseconds above 0"),
        ("Propose", {"Title": "t", "Duration": "soon"}, "Duration must be milliseconds above 0"),
        ("Vote", {"Side": "yay"}, "There is no such Proposal"),
        ("Vote", {"Proposal": "2", "Side": "yay"}, "There is no such Proposal"),
        ("Vote", {"Proposal": "1", "Side": "maybe"}, "Side must be yay or nay"),
        ("Tally", {"Proposal": "0.5"}, "There is no such Proposal"),
    ],
)
def test_votes_that_are_refused(room, action, tags, reason):
    votes = room("voting")
    votes.ask("A", "Propose", Title="first")
    answer = votes.only("A", action, **tags)
    assert (answer["Action"], answer["Error"]) == (f"{action}-Error", reason)
