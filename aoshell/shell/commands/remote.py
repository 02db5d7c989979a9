"""Remote nodes: .verify, .signature, .monitor, .unmonitor, .deliver, .now."""

from __future__ import annotations

import json

from aoshell.errors import UnsupportedError
from aoshell.nodes.base import RemoteVerbs
from aoshell.nodes.values import Verify
from aoshell.shell.attached.feed import named_id
from aoshell.shell.attached.session import Session
from aoshell.shell.attestation.holding import use_pin
from aoshell.shell.commands import command
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.places import process_or_attached
from aoshell.shell.outcome import CommandOutput


def remote_verbs(session: Session, hint: str = "aoshell NAME --node URL opens one") -> RemoteVerbs:
    """The verbs of a node somewhere else.

    Args:
        hint: what to do instead on the built-in node.

    Raises:
        UnsupportedError: this is the built-in node.
    """
    if session.node.remote is None:
        raise UnsupportedError("only a remote node does that", hint=hint)
    return session.node.remote


NEW_KEY = "--new-key"
_TAKEN = {
    Verify.OFF: "answers without a signature are accepted, and marked",
    Verify.ON: "answers that the node's own key has not signed are refused",
    Verify.ATTESTED: "answers of any other key than the attested one are refused",
}


@command("verify")
async def verify(session: Session, given: Given) -> CommandOutput:
    """Refuse answers that the node does not sign, or accept them again.

    A bad signature is always refused. With on, each answer must be signed by the node's own key;
    with attested, by the key that .attest found in a report. What the signature does not cover is
    not shown then. The node's key is remembered; another key is refused until --new-key.
    """
    node = remote_verbs(session, ".verify-log checks a log of this one")
    level, renew = given["on|off|attested"], given.has(NEW_KEY)
    taken = f"; its key is {await node.new_key()} from now on" if renew else ""
    if level == Verify.ATTESTED.value:
        use_pin(session, node)
    if level:
        node.verify = Verify(level)
    # An answer that was refused when the shell opened may be accepted now.
    lacks = session.process is None and session.lacking and session.lacking.stage == "verify"
    if (level or renew) and lacks and session.try_again:
        await session.try_again()
    return CommandOutput({"verify": node.verify.value}, text=_TAKEN[node.verify] + taken)


@command("signature")
async def signature(session: Session, _: Given) -> CommandOutput:
    """Show what the last bad signature should have covered, as rebuilt here."""
    base = remote_verbs(session).last_failure
    return CommandOutput({"base": base}, text=base or "no answer had a bad signature so far")


@command("monitor")
async def monitor(session: Session, given: Given) -> CommandOutput:
    """Let the network run the cron messages of a process."""
    return await _monitor(session, given["PROCESS"], True)


@command("unmonitor")
async def unmonitor(session: Session, given: Given) -> CommandOutput:
    """Let the network stop the cron messages of a process."""
    return await _monitor(session, given["PROCESS"], False)


async def _monitor(session: Session, reference: str, on: bool) -> CommandOutput:
    cron = session.node.cron
    if cron is None:
        raise UnsupportedError(
            "this node runs cron messages by itself",
            hint="--cron 5-minutes makes a process that ticks; aoshell --legacy has monitors",
        )
    process = await process_or_attached(session, reference)
    await cron.monitor(await session.wallet(), process.id, on)
    state = "is monitored" if on else "is not monitored any more"
    value = {"process": process.id, "monitored": on}
    return CommandOutput(value, text=f"{named_id(process.id, process.name)} {state}")


@command("deliver")
async def deliver(session: Session, given: Given) -> CommandOutput:
    """Let a HyperBEAM node finish delivering what a slot sends.

    A message that has arrived, or may have, is not sent twice, except with --again."""
    node = remote_verbs(session, "this node delivers by itself")
    process, slot, again = session.attached.id, int(given["SLOT"]), given.has("--again")
    for message in await session.node.schedule(process, slot, slot):
        session.feed.concern(message.id)
    sent = await node.deliver(process, slot, again=again)
    fate = "the node has delivered what can be delivered"
    text = f"slot {slot} sends {sent} message{'s' if sent > 1 else ''}; {fate}"
    return CommandOutput(
        {"slot": slot, "messages": sent}, text=text if sent else f"slot {slot} sends nothing"
    )


@command("now")
async def now(session: Session, given: Given) -> CommandOutput:
    """Read the state of the attached process, or one key of it; nothing changes.

    KEY may be a path: balances/ADDRESS, balances/@alice."""
    state = session.node.state
    if state is None:
        raise UnsupportedError(
            "this node does not show the state of a process", hint=".dryrun CODE reads it by Lua"
        )
    parts = [await session.naming.in_word(part) for part in given["KEY"].split("/")]
    key = "/".join(parts)
    found = await state.now(session.attached.id, key)
    if isinstance(found, str):
        note = "" if found else f"there is nothing at {key or 'the top'}; .now shows all keys"
        return CommandOutput(found, text=found, verbatim=True, note=note)
    shown = json.dumps(found, indent=2, default=str, ensure_ascii=False)
    return CommandOutput(json.loads(shown), text=shown, verbatim=True)
