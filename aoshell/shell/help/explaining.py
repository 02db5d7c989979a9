"""Explains the outcome of a message from what the environment reports (`.why`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from aoshell.bounded import jsontext
from aoshell.errors import AoError
from aoshell.protocol.message import Message, Result, Tag
from aoshell.protocol.tag_names import title_case
from aoshell.shell.table import Table
from aoshell.shell.view.errors_view import NAMED_FIELD, failure_text, split_error
from aoshell.shell.view.tables import table_lines

ASKED = "Asked-Why"  # see aos/why.lua
_STOPPED = ("time", "memory", "gas")  # outcomes of messages that exceeded a limit


def ask_why(message: Message) -> Message:
    """The message with the tag that asks why; for a dry run in the state before it."""
    placed = message.assignment
    assert placed is not None
    at = Tag(ASKED, f"{placed.timestamp} {placed.block_height} {placed.slot}")
    return replace(message, tags=(*message.tags, at))


def refuse_stopped(recorded: Result, place: str) -> None:
    """Raise AoError for a message that was stopped: handled again, it may take as long.

    Args:
        place: of the message, as `.log` takes it.
    """
    if recorded.outcome in _STOPPED:
        raise _unknown(
            f"{split_error(failure_text(recorded, {}))[1]} ({recorded.outcome}): "
            "which handlers the message asked is not known",
            place,
        )


def never_ran(recorded: Result) -> bool:
    """Whether a message was stopped while it waited, so that no handler saw anything of it."""
    return recorded.outcome == "time" and not recorded.milliseconds


def facts_without_run(message: Message, recorded: Result) -> dict[str, Any]:
    """What is known of a message that never ran, as `read_facts` gives it of others."""
    return {"from": message.from_, "asked": [], "ran": False, "error": recorded.error}


def read_facts(found: Result, place: str) -> dict[str, Any]:
    """What the environment reports of a message that was handled once more.

    Args:
        place: of the message, as `.log` takes it.

    Raises:
        AoError: stage "why", nothing is reported.
    """
    with suppress(ValueError):
        facts = jsontext.parse(found.output, strict=False)
        if found.ok and isinstance(facts, dict) and "asked" in facts:
            return facts
    if found.outcome in _STOPPED:
        what = (
            f"asked again, the message was stopped ({found.outcome}): which handlers it asked is "
            "not known"
        )
        raise _unknown(what, place)
    failed = "" if found.ok else f" ({found.outcome})"
    raise _unknown(
        f"the environment of this process does not report which handlers were asked{failed}", place
    )


def _unknown(what: str, place: str) -> AoError:
    process = place.rpartition("@")[0]
    handlers = f".handlers {process}".rstrip()
    hint = f".log {place} shows the message, {handlers} lists the handlers"
    return AoError(what, stage="why", hint=hint)


def explanation(facts: Mapping[str, Any], recorded: Result) -> list[str]:
    """What happened to a message, as lines; `recorded`: its result in the log."""
    lines: list[str] = []
    if facts.get("ran") is False:
        return [f"it never ran: {recorded.error} while it waited"]
    if facts.get("refused"):
        return lines + _refusal(facts)
    asked = facts.get("asked") or []
    if asked:
        rows = tuple((one["name"], one["pattern"], _answer(one)) for one in asked)
        lines += table_lines(Table(("HANDLER", "PATTERN", "ANSWER"), rows))
    lines += _end(asked, facts)
    if not recorded.ok and not facts.get("error"):
        lines.append(f"on record: {recorded.outcome}, {split_error(recorded.error)[1]}")
    return lines


def _refusal(facts: Mapping[str, Any]) -> list[str]:
    sender, owner, own = facts["from"], facts["owner"], facts.get("authorities") or []
    if facts["refused"] == "assignment":
        return [
            f"refused: it is for {facts['target'] or 'nobody'}, was assigned to this process,"
            " and no pattern of ao.assignables takes it",
            '  → ao.addAssignable("NAME", function(msg) return … end)',
        ]
    known = ", ".join(own) or "it has none"
    return [
        "refused: it is not trusted, so no handler was asked",
        f"  From   {sender}",
        f"  Owner  {owner}: who signed it is not who it is from",
        f"  neither is among ao.authorities: {known}",
        f'  → table.insert(ao.authorities, "{owner}"), if what it signs is to be trusted',
    ]


def _answer(one: Mapping[str, Any]) -> str:
    """What a pattern answered, and the consequence."""
    verdict, answer = one.get("verdict"), str(one.get("answer", ""))
    if verdict is None:
        return f"{answer}: a pattern may not answer that" if answer else "it raised an error"
    if verdict:
        shown = "" if answer in ("", "true") else f"{answer}: "
        return f"{shown}ran" + ("" if verdict < 0 else ", and others after it")
    misfit = one.get("misfit")
    if not misfit:
        return answer
    found = misfit.get("found")
    is_what = "is missing" if found is None else f"is {found}"
    return f"{answer}: {misfit['key']} {is_what}, not {misfit['wanted']}"


def other_names(facts: Mapping[str, Any], message: Message) -> Iterator[str]:
    """Tags that handlers looked for under a name that aos has changed."""
    misfits = [one.get("misfit") or {} for one in facts.get("asked") or []]
    missing = {misfit.get("key") for misfit in misfits if misfit.get("found") is None}
    missing.update(NAMED_FIELD.findall(facts.get("error") or ""))
    for name in dict.fromkeys(tag.name for tag in message.tags):
        if name in missing and title_case(name) != name:
            yield (
                f"  → the tag {name} came, and handlers find it as {title_case(name)}; in a "
                "process made with --tags as-sent they find it as it came"
            )


def _end(asked: list[Mapping[str, Any]], facts: Mapping[str, Any]) -> list[str]:
    last = asked[-1] if asked else {}
    lines = []
    if facts.get("evaluate"):
        lines.append("the script replaced Handlers.evaluate: only what that asked is known")
    if facts.get("error"):
        who = "the pattern of " if "verdict" not in last else ""
        raised = f"{who}{last['name']} failed" if last else "it failed"
        lines.append(f"{raised}: {split_error(facts['error'])[1]}")
    elif facts.get("suspended"):
        lines.append(f"{last.get('name', 'its handling')} waits for another message")
    elif facts.get("inbox"):
        lines.append("no handler stopped it: it is in the Inbox")
    elif last.get("verdict", 0) == 0:
        lines.append("no handler took it")
    if facts.get("sent"):
        lines.append(f"messages sent: {facts['sent']}")
    return lines
