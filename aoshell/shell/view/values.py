"""Outcomes and processes as values of JSON."""

from __future__ import annotations

from aoshell.nodes.values import ProcessInfo
from aoshell.protocol.message import Outgoing, Result, text
from aoshell.shell.outcome import CommandOutput, Interrupted, LineAnswer, LineFailure, Outcome
from aoshell.shell.view.errors_view import split_error

_UNEVALUATED = (
    "this process did not evaluate the line: its Owner is not who signed it, or its Eval handler"
    " did not take it"
)
_NOT_OWNER = (
    "{} is not the owner, so the line arrived as an ordinary message"
    " (.send sends other messages; .as me: the own wallet)"
)


def unevaluated(answer: LineAnswer) -> str:
    """Why a line was not evaluated."""
    return _NOT_OWNER.format(answer.author) if answer.author else _UNEVALUATED


def process_value(info: ProcessInfo) -> dict[str, object]:
    """One process for `--json`."""
    from dataclasses import asdict

    return asdict(info)


def outcome_value(outcome: Outcome) -> dict[str, object]:
    """An outcome for `--json`, as docs/json.md says."""
    match outcome:
        case LineAnswer():
            return _answer_value(outcome)
        case CommandOutput(answer=LineAnswer() as answer):
            return _answer_value(answer) | {"ok": outcome.ok, "value": outcome.value}
        case CommandOutput():
            return {"ok": outcome.ok, "value": outcome.value}
        case LineFailure(error):
            return {"ok": False, "error": error.what, "stage": error.stage, "hint": error.hint}
        case Interrupted(receipt):
            slot = receipt.slot if receipt else None
            return {"ok": False, "slot": slot, "error": "interrupted", "stage": "wait", "hint": ""}


def _answer_value(answer: LineAnswer) -> dict[str, object]:
    return {
        "ok": answer.ok,
        "outcome": _outcome_word(answer),
        "process": answer.own.process,
        "slot": answer.own.slot if answer.receipt and answer.own.slot >= 0 else None,
        "resumed": answer.later.slot if answer.later else None,
        "output": "\n".join(text for result in answer.results if (text := _printed(result))),
        "returned": answer.last.returned or None,
        "error": split_error(answer.last.error)[1] if answer.evaluated else unevaluated(answer),
        "hint": answer.hint,
        "messages": [_message_value(message) for r in answer.results for message in r.messages],
        "assignments": [one for result in answer.results for one in assignment_values(result)],
        "ms": round(answer.milliseconds, 3),
        "gas": answer.gas,
    }


def assignment_values(result: Result) -> list[dict[str, object]]:
    """The messages that the process asked to assign to processes."""
    return [{"message": id, "processes": list(to)} for id, to in result.assignments]


def _outcome_word(answer: LineAnswer) -> str:
    if not answer.evaluated:
        return "unevaluated"
    return "waiting" if answer.waiting else answer.last.outcome


def _printed(result: Result) -> str:
    """All that a message printed; if it failed, the part above the reason."""
    return result.output or split_error(result.error)[0]


def _message_value(message: Outgoing) -> dict[str, object]:
    return {
        "target": message.target,
        "spawn": message.spawn,
        "tags": [[tag.name, tag.value] for tag in message.tags],
        "data": text(message.data),
        "anchor": message.anchor,
    }
