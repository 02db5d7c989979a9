"""The token: nothing is made or lost but by Mint, whatever is sent."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

A, B, C = (letter * 43 for letter in "ABC")
OWNER = "OWNER-ADDRESS-of-43-characters-0123456789ab"
BIG = "123456789012345678901234567890"


@pytest.fixture
def token(room):
    made = room("token")
    made.ask(OWNER, "Mint", Quantity=BIG, Recipient=A)
    return made


def test_the_owner_has_a_supply_at_first(room):
    whole = str(10_000 * 10**12)
    made = room("token", supply="")
    assert json.loads(made.only("A", "Balances")["Data"]) == {OWNER: whole}
    assert made.only("A", "Total-Supply")["Data"] == whole
    made.ask(OWNER, "Transfer", Quantity="7", Recipient=A)
    made.load("token")  # again: it keeps what it holds
    assert made.only("A", "Balance")["Data"] == "7"
    assert made.only("A", "Total-Supply")["Data"] == whole


@pytest.mark.parametrize(("supply", "has"), [("0", None), ("000", None), ("007", "7"), (BIG, BIG)])
def test_how_much_that_is_can_be_said(room, supply, has):
    made = room("token", supply=supply)
    assert json.loads(made.only("A", "Balances")["Data"]) == ({OWNER: has} if has else {})
    assert made.only("A", "Total-Supply")["Data"] == (has or "0")


@pytest.mark.parametrize("supply", ["1.5", "-1", "ten", "9" * 61])
def test_a_supply_that_is_none_is_refused(room, supply):
    with pytest.raises(AssertionError, match="InitialSupply must be a text of up to 60 digits"):
        room("token", supply=supply)


def test_what_it_is(token):
    info = token.only("B", "Info")
    assert (info["Name"], info["Ticker"], info["Denomination"]) == ("Thomas", "TOKEN", "12")
    assert info["Target"] == B and "Action" not in info
    assert token.only("B", "Total-Supply")["Data"] == BIG


def test_balances(token):
    assert token.only("A", "Balance")["Data"] == BIG
    assert token.only("B", "Balance", Recipient=A)["Balance"] == BIG
    assert token.only("B", "Balance")["Data"] == "0"
    assert json.loads(token.only("C", "Balances")["Data"]) == {A: BIG}
    assert token.only("C", "Balance")["Ticker"] == "TOKEN"


def test_without_balances_it_is_an_object(room):
    assert room("token").only("A", "Balances")["Data"] == "{}"


def test_a_transfer_and_its_notices(token):
    debit, credit = token.ask("A", "Transfer", Quantity="7", Recipient=B, X_Memo="rent")
    assert (debit["Target"], debit["Action"], debit["Recipient"]) == (A, "Debit-Notice", B)
    assert (credit["Target"], credit["Action"], credit["Sender"]) == (B, "Credit-Notice", A)
    for notice in (debit, credit):
        assert (notice["Quantity"], notice["X-Memo"]) == ("7", "rent")
    assert token.only("B", "Balance")["Data"] == "7"
    assert token.only("A", "Balance")["Data"] == str(int(BIG) - 7)


def test_cast_is_silent(token):
    assert token.ask("A", "Transfer", Quantity="7", Recipient=B, Cast="true") == []
    assert token.only("B", "Balance")["Data"] == "7"


def test_to_oneself_and_to_the_last_unit(token):
    token.ask("A", "Transfer", Quantity=BIG, Recipient=A)
    assert token.only("A", "Balance")["Data"] == BIG
    token.ask("A", "Transfer", Quantity=BIG, Recipient=B)
    assert json.loads(token.only("A", "Balances")["Data"]) == {B: BIG}


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Quantity": "1"}, "Recipient is missing"),
        ({"Quantity": "1", "Recipient": ""}, "Recipient is missing"),
        ({"Recipient": B}, "Quantity must be digits"),
        ({"Recipient": B, "Quantity": "0"}, "Quantity must be above 0"),
        ({"Recipient": B, "Quantity": "000"}, "Quantity must be above 0"),
        ({"Recipient": B, "Quantity": "-1"}, "Quantity must be digits"),
        ({"Recipient": B, "Quantity": "1.5"}, "Quantity must be digits"),
        ({"Recipient": B, "Quantity": "1e3"}, "Quantity must be digits"),
        ({"Recipient": B, "Quantity": "0x10"}, "Quantity must be digits"),
        ({"Recipient": B, "Quantity": " 1"}, "Quantity must be digits"),
        ({"Recipient": B, "Quantity": "9" * 61}, "Quantity is too large"),
        ({"Recipient": B, "Quantity": "9" * 60}, "Insufficient Balance!"),
        ({"Recipient": B, "Quantity": str(int(BIG) + 1)}, "Insufficient Balance!"),
    ],
)
def test_transfers_that_are_refused(token, tags, reason):
    answer = token.only("A", "Transfer", **tags)
    assert (answer["Target"], answer["Action"], answer["Error"]) == (A, "Transfer-Error", reason)
    assert token.value("Balances") == {A: BIG}


def test_who_may_mint(token):
    assert token.only("A", "Mint", Quantity="1")["Error"] == "Only the owner may mint"
    notice = token.only(OWNER, "Mint", Quantity="5", Recipient=B)
    assert (notice["Action"], notice["Quantity"], notice["Recipient"]) == ("Mint-Notice", "5", B)
    assert token.only("B", "Total-Supply")["Data"] == str(int(BIG) + 5)
    assert token.only(OWNER, "Mint", Quantity="5")["Recipient"] == OWNER
    nobody = token.only(OWNER, "Mint", Quantity="5", Recipient="")
    assert nobody["Error"] == "Recipient is missing"


def test_a_supply_that_would_not_fit(token):
    answer = token.only(OWNER, "Mint", Quantity="9" * 60)
    assert answer["Error"] == "Quantity is too large"
    assert token.only("A", "Total-Supply")["Data"] == BIG


def test_what_it_answers_is_no_question(token):
    """A token whose own answer reaches it does not answer it again."""
    for action in ("Info", "Balance", "Balances", "Total-Supply"):
        answer = token.only("A", action)
        assert token.ask("A", answer.get("Action", "")) == []


def test_loading_it_again_keeps_what_it_holds(token):
    token.ask("A", "Transfer", Quantity="7", Recipient=B)
    token.load("token")
    assert token.only("B", "Balance")["Data"] == "7"
    assert token.value("#Handlers.list") == 8  # six, _eval and _default


STEPS = st.lists(
    st.tuples(
        st.sampled_from("ABC"),
        st.sampled_from([A, B, C]),
        st.one_of(st.integers(0, 2000).map(str), st.sampled_from(["", "x", "-5", "9" * 70])),
    ),
    max_size=30,
)


@settings(max_examples=15, deadline=None)
@given(steps=STEPS)
def test_transfers_against_a_ledger(room, steps):
    token, ledger = room("token"), {A: 1000, B: 500, C: 0}
    for address, balance in ledger.items():
        token.ask(OWNER, "Mint", Quantity=str(balance), Recipient=address)
    for sender, recipient, quantity in steps:
        answers = token.ask(sender, "Transfer", Quantity=quantity, Recipient=recipient)
        amount = int(quantity) if quantity.isdecimal() else 0
        goes = 0 < amount <= ledger[sender * 43]
        assert len(answers) == (2 if goes else 1)
        if goes:
            ledger[sender * 43] -= amount
            ledger[recipient] += amount
    held = {address: str(balance) for address, balance in ledger.items() if balance}
    assert token.value("Balances") == held
    assert token.value("TotalSupply") == "1500"
