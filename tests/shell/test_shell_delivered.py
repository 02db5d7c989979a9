"""What goes to an identity of this home is delivered, and nothing says otherwise."""

from __future__ import annotations

from shell_typing import Typing, Use

from aoshell.errors import AoError
from aoshell.shell.lines.batch import Lines, run_lines
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.view.render import Renderer

PAYS = 'Handlers.add("Pay", "Pay", function(msg) Send({ Target = msg.To, Action = "Paid" }) end)'


def test_a_message_to_an_identity_is_delivered(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await typed(PAYS)
        await typed(".as alice")
        await typed(".as me")
        sent = await typed(".send desk Action=Pay To=@alice")
        assert isinstance(sent, CommandOutput) and "→ to alice" in sent.text
        address = (await typed.session.identities.named("alice")).address
        await typed(f'Send({{ Target = "{address}", Action = "Paid" }})')
        assert not [said for said in typed.front.said if "not delivered" in said]
        assert await typed.session.node.undelivered() == []  # type: ignore[attr-defined]

    typing(body)


def run_with(typing: Use, reason: AoError, *script: str) -> tuple[object, str, str]:
    """The exit code, or the error, of a script whose lines cause what fails; what it showed."""
    out, err, ended = list[str](), list[str](), list[object]()

    async def body(typed: Typing) -> None:
        async def settled(_: str) -> None:
            raise reason

        typed.session.node.settled = settled
        renderer = Renderer(out.append, err.append, colour=False)
        try:
            ended.append(await run_lines(typed.session, aiter(Lines(script, None)), renderer))
        except AoError as error:
            ended.append(error)

    typing(body)
    return ended[0], "".join(out), "".join(err)


def test_a_script_goes_on_where_what_a_line_caused_cannot_be_computed(typing: Use) -> None:
    reason = AoError("process bad: its code does not load", stage="compute")
    code, out, err = run_with(typing, reason, "1", "2")
    assert (code, out) == (1, "1\n2\n")
    assert err.count("its code does not load") == 2


def test_a_full_disk_ends_it(typing: Use) -> None:
    reason = AoError("the disk is full", stage="store")
    assert run_with(typing, reason, "1", "2") == (reason, "1\n", "")


def test_what_goes_to_nobody_is_not(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await typed(f'Send({{ Target = "{"z" * 43}", Action = "Paid" }})')
        assert "Paid to zzzzzzzz…: not delivered" in await typed.heard("not delivered")
        await typed('Send({ Target = "token", Action = "Paid" })')
        assert "Paid to token: not delivered" in await typed.heard("not delivered")

    typing(body)
