"""The node over HTTP: .serve."""

from __future__ import annotations

from aoshell.errors import UnsupportedError
from aoshell.shell.commands import command, usage_error
from aoshell.shell.commands.grammar import Given
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.session import Session

DEFAULT_PORT = 4000
MOST = 65535


@command("serve")
async def serve(session: Session, given: Given) -> CommandOutput:
    """Serve this node over HTTP: to aos, aoconnect, browsers, curl.

    On this machine only, until the shell ends or .serve off. It shows what to paste; without PORT
    it is 4000, or what is served already is shown again. aoshell serve does the same without a
    prompt, and has flags.
    """
    port = given["PORT|off"]
    if port == "off":
        return await _off(session)
    if int(port[:6] or 0) > MOST:
        raise usage_error("serve", f"a port is a number up to {MOST}")
    if session.served is None:
        if session.serve is None:
            raise UnsupportedError(
                "this session cannot serve its node", hint="start it with aoshell NAME"
            )
        session.served = await session.serve(
            session.node,
            int(port or DEFAULT_PORT),
            lambda error: session.front.note(str(error)),
            session.identities.named,
            session.front.note,
        )
        note = ""
    else:
        note = "it is served already; .serve off ends that" if port else ""
    facts = session.served.facts
    return CommandOutput(facts.as_json(), text=facts.as_text(), note=note)


async def _off(session: Session) -> CommandOutput:
    served, session.served = session.served, None
    if served is None:
        return CommandOutput(None, text="this node is not served")
    await served.close()
    return CommandOutput(None, text="this node is not served any more")
