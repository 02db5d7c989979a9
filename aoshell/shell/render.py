"""The only room that prints. What processes say is untrusted: SGR colours pass, nothing else does.

On a terminal everything goes to the screen. Without one, answers alone go to stdout and whatever
else there is to say goes to stderr. With `--json` stdout has one object a line (docs/json.md).
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import IO

from aoshell.errors import AoError
from aoshell.nodes.base import ProcessInfo
from aoshell.protocol.message import Outgoing, Result, text
from aoshell.shell.errors_view import split_error, view
from aoshell.shell.outcome import Answer, Failure, Interrupted, Outcome, Reply, Table

Write = Callable[[str], None]

_SGR = re.compile(r"\x1b\[[0-9;]*m")
_RESET = "\x1b[0m"
# Controls (C0, DEL, C1), bytes that are no UTF-8, and marks that turn the direction of text or
# break lines unseen (Unicode UAX #9; U+2028, U+2029).
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
UNEVALUATED = (
    "this process did not evaluate the line: its Owner is not who made it any more, or its Eval"
    " handler did not take it"
)
NOT_OWNER = (
    "{} is not the owner, so the line arrived as a message like any other"
    " (.send sends other messages; .as me: the own wallet)"
)
_LONGEST_PROMPT = 200
_GAP = 2  # columns between two cells of a table


def clean(untrusted: str, *, colour: bool) -> str:
    """Text that a terminal may see: SGR colours (or none), \\n and \\t; the rest is escaped."""
    parts = _SGR.split(untrusted)
    safe = [_UNSAFE.sub(_escaped, part) for part in parts]
    if not colour or len(parts) == 1:
        return "".join(safe)
    codes = _SGR.findall(untrusted)
    mixed = "".join(part + code for part, code in zip(safe, [*codes, ""], strict=True))
    # A colour that nobody ends would run into the prompt.
    return mixed if codes[-1] in (_RESET, "\x1b[m") else mixed + _RESET


def prompt_text(untrusted: str, *, colour: bool) -> str:
    """A process's prompt as one line of bounded length."""
    line = clean(untrusted, colour=colour).replace("\n", " ").replace("\t", " ")
    return line if len(line) <= _LONGEST_PROMPT else "aos> "


def cell(untrusted: str) -> str:
    """Text on one line, without colours."""
    return clean(untrusted, colour=False).replace("\n", "\\n").replace("\t", "\\t")


def table_lines(table: Table, columns: int = 0) -> list[str]:
    """A table as aligned text, its header first.

    Args:
        columns: of the screen; what does not fit is cut from the widest columns. 0 cuts nothing.
    """
    rows = [table.columns, *(tuple(cell(value) for value in row) for row in table.rows)]
    widths = [max(width_of(row[i]) for row in rows) for i in range(len(table.columns))]
    excess = sum(widths) + _GAP * (len(widths) - 1) - columns if columns else 0
    for _ in range(max(0, excess)):
        widest = widths.index(max(widths))
        widths[widest] -= 1
    right = [name in table.right for name in table.columns]
    return [_aligned(row, widths, right) for row in rows]


def width_of(line: str) -> int:
    """Columns that a terminal gives a line."""
    if line.isascii():
        return len(line)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in line)
    return len(line) + wide - sum(unicodedata.combining(c) != 0 for c in line)


def process_table(processes: Iterable[ProcessInfo]) -> Table:
    """`.ps` and `--list`."""
    columns = ("NAME", "ID", "SLOTS", "TAIL", "STATE", "MEMORY", "DISK", "WAITING")
    rows = tuple(
        (
            info.name or "-",
            info.id,
            str(info.slots),
            str(info.slots - 1 - (info.checkpoint if info.checkpoint is not None else -1)),
            "live" if info.live else "idle" if info.computed == info.slots else "behind",
            size(info.memory),
            size(info.disk),
            str(info.waiting or "-"),
        )
        for info in processes
    )
    return Table(columns, rows, frozenset({"SLOTS", "TAIL", "MEMORY", "DISK", "WAITING"}))


def remote_table(processes: Iterable[ProcessInfo]) -> Table:
    """`.ps` and `--list` of a node somewhere else, which tells less."""
    rows = tuple(
        (info.name or "-", info.id, info.module or "-", moment(info.created)) for info in processes
    )
    return Table(("NAME", "ID", "MODULE", "MADE"), rows)


def moment(milliseconds: int) -> str:
    """A point in time in the user's zone, "-" where it is not known."""
    if milliseconds <= 0:
        return "-"
    import time

    with suppress(ValueError, OverflowError, OSError):
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(milliseconds / 1000))
    return "-"


def process_value(info: ProcessInfo) -> dict[str, object]:
    """One process for `--json`."""
    from dataclasses import asdict

    return asdict(info)


def size(count: int) -> str:
    """A number of bytes for a person, "-" for none."""
    if not count:
        return "-"
    value, units = float(count), iter(("B", "kB", "MB", "GB"))
    unit = next(units)
    while value >= 1024 and unit != "GB":
        value, unit = value / 1024, next(units)
    return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"


class Renderer:
    """Shows outcomes.

    Args:
        out, err: where answers and everything else go; on a terminal the same.
        colour: whether colours may pass.
        as_json: one object a line on `out`, for every line of input.
        columns: how wide the screen is now, 0 where there is none.
    """

    def __init__(
        self,
        out: Write,
        err: Write,
        *,
        colour: bool,
        as_json: bool = False,
        columns: Callable[[], int] = int,
    ) -> None:
        self._out, self._err = out, err
        self._columns = columns
        self.colour = colour
        self._json = as_json

    def outcome(self, line: str, outcome: Outcome) -> None:
        """What a line came to. The part of it that `partial()` showed is not shown again."""
        if self._json:
            self._object({"input": line} | outcome_value(outcome))
            return
        match outcome:
            case Answer():
                self._answer(outcome)
            case Reply():
                self._reply(outcome)
            case Failure(error):
                self.error(error)
            case Interrupted():
                self.note(interrupted(outcome))

    def partial(self, result: Result) -> None:
        """What a line printed that now waits for another message."""
        if not self._json:
            self._untrusted(self._out, result.output)

    def feed(self, said: str) -> None:
        """What arrived besides."""
        self._untrusted(self._err, said)

    def followed(self, said: str) -> None:
        """What arrived, where it is all that was asked for."""
        self._untrusted(self._out, said)

    def note(self, said: str) -> None:
        """A sentence of the shell's own."""
        self._untrusted(self._err, said)

    def error(self, error: AoError) -> None:
        self._untrusted(self._err, str(error))

    def processes(self, processes: Iterable[ProcessInfo], *, remote: bool = False) -> None:
        """`--list`."""
        if not self._json:
            self._table((remote_table if remote else process_table)(processes))
            return
        for info in processes:
            self._object(process_value(info))

    def _answer(self, answer: Answer) -> None:
        if answer.later or not answer.own.suspended:
            self._untrusted(self._out, answer.last.output)
        if not answer.last.ok:
            self._untrusted(self._err, failure_text(answer.last, answer.sources))
            if answer.hint:
                self.note(f"  → {answer.hint}")
        if not answer.evaluated:
            self.note(NOT_OWNER.format(answer.author) if answer.author else UNEVALUATED)
        if answer.waiting:
            self.note(
                f"slot {answer.own.slot} still waits for a message, and none is on its way"
                " (.waits lists what waits)"
            )

    def _reply(self, reply: Reply) -> None:
        if reply.note:
            self.note(reply.note)
        if reply.answer:
            self._answer(reply.answer)
        if reply.text:
            self._untrusted(self._out, reply.text)
        elif reply.table:
            self._table(reply.table)

    def _table(self, table: Table) -> None:
        self._out("\n".join(table_lines(table, self._columns())) + "\n")

    def _object(self, value: object) -> None:
        import json

        # ASCII only: every control, and bytes that are no UTF-8, come out as \\u escapes.
        self._out(json.dumps(value) + "\n")

    def _untrusted(self, write: Write, said: str) -> None:
        if said:
            shown = clean(said, colour=self.colour)
            write(shown if shown.endswith("\n") else shown + "\n")


def failure_text(result: Result, sources: Mapping[str, str]) -> str:
    """Why a message failed, with the source line where it is known."""
    said = result.error.strip("\n") or {
        "time": "the message took longer than its limit (.limits)",
        "memory": "the process ran out of memory (.limits)",
        "crash": "the worker died",
    }.get(result.outcome, "the message failed")
    seen = view(result.error, sources)
    return f"{said}\n{seen}" if seen else said


def outcome_value(outcome: Outcome) -> dict[str, object]:
    """An outcome for `--json`, as docs/json.md says."""
    match outcome:
        case Answer():
            return _answer_value(outcome)
        case Reply(answer=Answer() as answer):
            return _answer_value(answer) | {"ok": outcome.ok, "value": outcome.value}
        case Reply():
            return {"ok": outcome.ok, "value": outcome.value}
        case Failure(error):
            return {"ok": False, "error": error.what, "stage": error.stage, "hint": error.hint}
        case Interrupted(receipt):
            slot = receipt.slot if receipt else None
            return {"ok": False, "slot": slot, "error": "interrupted", "stage": "wait", "hint": ""}


def _answer_value(answer: Answer) -> dict[str, object]:
    results = (answer.own, answer.later) if answer.later else (answer.own,)
    return {
        "ok": answer.ok,
        "outcome": _outcome_word(answer),
        "process": answer.own.process,
        "slot": answer.own.slot if answer.receipt and answer.own.slot >= 0 else None,
        "resumed": answer.later.slot if answer.later else None,
        "output": "\n".join(said for result in results if (said := _said(result))),
        "error": split_error(answer.last.error)[1] if answer.evaluated else UNEVALUATED,
        "messages": [_message_value(message) for r in results for message in r.messages],
        "ms": round(sum(result.milliseconds for result in results), 3),
        "gas": sum(result.gas for result in results),
    }


def _outcome_word(answer: Answer) -> str:
    if not answer.evaluated:
        return "unevaluated"
    return "waiting" if answer.waiting else answer.last.outcome


def _said(result: Result) -> str:
    """All that a message printed; of one that failed it stands above the reason."""
    return result.output or split_error(result.error)[0]


def _message_value(message: Outgoing) -> dict[str, object]:
    return {
        "target": message.target,
        "spawn": message.spawn,
        "tags": [[tag.name, tag.value] for tag in message.tags],
        "data": text(message.data),
        "anchor": message.anchor,
    }


def not_run(lines: int) -> str:
    """What is said of lines that were typed ahead, or stand in a script, when nobody runs them."""
    return "1 line was not run" if lines == 1 else f"{lines} lines were not run"


def interrupted(given_up: Interrupted) -> str:
    """How what was given up is picked up again."""
    receipt = given_up.receipt
    if receipt is None:
        if given_up.sending:
            return (
                "Given up while it was sent: whether it arrived is not known."
                f" .result {given_up.sending} shows what became of it, if it did."
            )
        return "Given up; nothing of it was sent."
    if receipt.slot is None:
        return f"No longer waiting; it goes on. .result {receipt.id} shows what became of it."
    again = ", .waits what waits; Ctrl-C again stops it" if given_up.stops else ""
    return (
        f"No longer waiting for slot {receipt.slot}; it goes on. .result {receipt.slot} shows its"
        f" result{again}."
    )


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _aligned(row: tuple[str, ...], widths: list[int], right: list[bool]) -> str:
    cells = []
    for value, width, to_right in zip(row, widths, right, strict=True):
        shown = _cut(value, width)
        fill = " " * (width - width_of(shown))
        cells.append(fill + shown if to_right else shown + fill)
    return (" " * _GAP).join(cells).rstrip()


def _cut(value: str, width: int) -> str:
    if width_of(value) <= width:
        return value
    while width_of(value) >= max(width, 1):
        value = value[:-1]
    return value + "…"


def colours(*streams: IO[str]) -> bool:
    """Whether these may be coloured: terminals that can show it, and no NO_COLOR that forbids."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and all(stream.isatty() for stream in streams)


def writer(stream: IO[str], *, needed: bool) -> Write:
    """Writing to a stream at once, so that a reader at the other end sees each answer.

    Args:
        needed: whether it is a failure that the stream takes no more: BrokenPipeError where nobody
            reads, else AoError, stage "output". What is beside the answers may be lost.
    """

    def write(said: str) -> None:
        try:
            stream.write(said)
            stream.flush()
        except OSError as error:
            to_nowhere(stream)
            if needed:
                raise broken(error) from None

    return write


def broken(error: OSError) -> Exception:
    """What a failure to write an answer is told as."""
    if isinstance(error, BrokenPipeError):
        return error
    return AoError(f"answers cannot be written: {error.strerror or error}", stage="output")


def to_nowhere(stream: IO[str]) -> None:
    """What Python still has in a stream's buffers must not fail at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
