"""What goes to an identity of this home is delivered, and nothing says otherwise."""

from __future__ import annotations

from shell_typing import Typing, Use

from aoshell.shell.outcome import Reply

PAYS = 'Handlers.add("Pay", "Pay", function(msg) Send({ Target = msg.To, Action = "Paid" }) end)'


def test_a_message_to_an_identity_is_delivered(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await typed(PAYS)
        await typed(".as alice")
        await typed(".as me")
        sent = await typed(".send desk Action=Pay To=@alice")
        assert isinstance(sent, Reply) and "→ to alice" in sent.text
        address = (await typed.session.identities.named("alice")).address
        await typed(f'Send({{ Target = "{address}", Action = "Paid" }})')
        assert not [said for said in typed.front.said if "not delivered" in said]
        assert await typed.session.node.undelivered() == []  # type: ignore[attr-defined]

    typing(body)


def test_what_goes_to_nobody_is_not(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await typed(f'Send({{ Target = "{"z" * 43}", Action = "Paid" }})')
        assert "Paid to zzzzzzzz…: not delivered" in await typed.heard("not delivered")
        await typed('Send({ Target = "token", Action = "Paid" })')
        assert "Paid to token: not delivered" in await typed.heard("not delivered")

    typing(body)
