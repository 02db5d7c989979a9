"""The node over HTTP: .serve."""

from __future__ import annotations

from aoshell.errors import UnsupportedError
from aoshell.shell.attached.session import Session
from aoshell.shell.commands import command, usage_error
from aoshell.shell.commands.grammar import Given
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.ports.serving import Served

DEFAULT_PORT = 4000
MOST = 65535
_NOT_SERVED = "this node is not served"


@command("serve")
async def serve(session: Session, given: Given) -> CommandOutput:
    """Serve this node over HTTP, for aos, aoconnect, browsers and curl.

    On this machine only, until the shell ends or .serve off. It shows what to paste, as .serve show
    does later. PORT is 4000 by default. aoshell serve does the same without a prompt, with flags.
    """
    port = given["PORT|show|off"]
    if port == "off":
        return await _off(session)
    known = session.served is not None
    if port == "show" and not known:
        return CommandOutput(None, text=_NOT_SERVED)
    if port not in ("", "show"):
        _check_port(port)
    served = session.served = session.served or await _served(session, port)
    facts = served.facts
    if known and port != "show":
        text = f"this node is served already, on {facts.url}"
        return CommandOutput(facts.as_json(), text=text, note=".serve show, .serve off")
    return CommandOutput(facts.as_json(), text=facts.as_text(), verbatim=True)


def _check_port(text: str) -> None:
    if int(text) > MOST:
        raise usage_error("serve", f"a port is a number up to {MOST}")


async def _served(session: Session, port: str) -> Served:
    if session.serve is None:
        raise UnsupportedError(
            "this session cannot serve its node", hint="start it with aoshell NAME"
        )
    return await session.serve(
        session.node,
        int(port or DEFAULT_PORT),
        lambda error: session.front.note(str(error)),
        session.identities.named,
        session.front.note,
    )


async def _off(session: Session) -> CommandOutput:
    served, session.served = session.served, None
    if served is None:
        return CommandOutput(None, text=_NOT_SERVED)
    await served.close()
    return CommandOutput(None, text="this node is not served any more")
