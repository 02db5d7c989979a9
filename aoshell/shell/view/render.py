"""Prints outcomes. Text of processes is untrusted: SGR colours pass, other controls are escaped.

On a terminal everything goes to the screen. Without one, only answers go to stdout, and all else to
stderr. With `--json` stdout has one object a line (docs/json.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aoshell.errors import AoError
from aoshell.nodes.values import ProcessInfo
from aoshell.protocol.message import Result
from aoshell.shell.outcome import CommandOutput, Interrupted, LineAnswer, LineFailure, Outcome
from aoshell.shell.table import Table
from aoshell.shell.view.errors_view import failure_text
from aoshell.shell.view.streams import Write
from aoshell.shell.view.tables import process_table, remote_table, table_lines
from aoshell.shell.view.text import (
    clean,
    fitted_excerpts,
    wrapped,
    wrapped_feed,
    wrapped_rows,
    wrapped_sentences,
)
from aoshell.shell.view.values import outcome_value, process_value, unevaluated

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


class Renderer:
    """Shows outcomes.

    Args:
        out, err: where answers and everything else go; on a terminal the same.
        colour: whether colours pass.
        as_json: one object a line on `out`, for every line of input.
        columns: the current width of the screen, 0 where there is none.
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
        """Show the outcome of a line, without the part that `partial()` has shown."""
        if self._json:
            self._object({"input": line} | outcome_value(outcome))
            return
        match outcome:
            case LineAnswer():
                self._answer(outcome)
            case CommandOutput():
                self._reply(outcome)
            case LineFailure(error):
                self.error(error)
            case Interrupted():
                self.note(interrupted(outcome))

    def partial(self, result: Result) -> None:
        """Show what a line has printed before it began to wait for another message."""
        if not self._json:
            self._untrusted(self._out, result.output)

    def feed(self, text: str) -> None:
        """Show what arrived, apart from answers."""
        self._arrived(self._err, text)

    def followed(self, text: str) -> None:
        """Show what arrived, as the answer (`--watch`)."""
        self._arrived(self._out, text)

    def note(self, text: str) -> None:
        """Show sentences of the shell."""
        columns = self._columns()
        self._untrusted(self._err, wrapped_sentences(text, columns) if columns else text)

    def error(self, error: AoError) -> None:
        self.note(str(error))

    def processes(self, processes: Iterable[ProcessInfo], *, remote: bool = False) -> None:
        """Show the processes for `--list`."""
        if not self._json:
            self._table((remote_table if remote else process_table)(processes))
            return
        for info in processes:
            self._object(process_value(info))

    def _answer(self, answer: LineAnswer) -> None:
        if answer.later or not answer.own.suspended:
            self._untrusted(self._out, answer.last.output)
        if not answer.last.ok:
            self._untrusted(self._err, failure_text(answer.last, answer.sources))
        elif self._columns() and (returned := answer.last.returned):
            # Only for people: answers in a pipe are exactly what the process printed.
            self._untrusted(self._out, f"{_DIM}{returned}{_PLAIN}")
        if answer.hint and (self._columns() or not answer.last.ok):
            self.note(f"  → {answer.hint}")
        if not answer.evaluated:
            self.note(unevaluated(answer))
        if answer.waiting:
            self.note(
                f"slot {answer.own.slot} still waits for a message, and none is on its way"
                " (.waits lists what waits)"
            )

    def _reply(self, reply: CommandOutput) -> None:
        if reply.note:
            self.note(reply.note)
        if reply.answer:
            self._answer(reply.answer)
        if reply.text:
            self._untrusted(self._out, self._fitted(reply))
        elif reply.table:
            self._table(reply.table)

    def _fitted(self, reply: CommandOutput) -> str:
        columns = 0 if reply.verbatim else self._columns()
        if not columns:
            return reply.text
        return (wrapped if reply.prose else wrapped_rows)(reply.text, columns)

    def _table(self, table: Table) -> None:
        self._out("\n".join(table_lines(table, self._columns())) + "\n")

    def _object(self, value: object) -> None:
        import json

        # ASCII only: every control, and bytes that are not UTF-8, become \\u escapes.
        self._out(json.dumps(value) + "\n")

    def _arrived(self, write: Write, text: str) -> None:
        columns = self._columns()
        self._untrusted(write, wrapped_feed(text, columns) if columns else text)

    def _untrusted(self, write: Write, text: str) -> None:
        if text:
            shown = clean(text, colour=self.colour)
            if columns := self._columns():
                shown = fitted_excerpts(shown, columns)
            write(shown if shown.endswith("\n") else shown + "\n")


def not_run(lines: int) -> str:
    """The sentence for lines that will not run: typed ahead, or the rest of a script."""
    return "1 line was not run" if lines == 1 else f"{lines} lines were not run"


def interrupted(given_up: Interrupted) -> str:
    """The sentence for a line that was given up, with how to get its result later."""
    receipt = given_up.receipt
    if receipt is None:
        if given_up.sending:
            return (
                "Given up while it was sent: whether it arrived is not known."
                f" .result {given_up.sending} shows what became of it, if it did."
            )
        if given_up.command:
            return "Given up. What it has asked for, sent or changed by now is not taken back."
        return "Given up; nothing of it was sent."
    if given_up.settling:
        return (
            f"No longer waiting for what slot {receipt.slot} caused. The node stops delivering when"
            f" nobody waits, so some of it may not arrive: .deliver {receipt.slot} finds out, and"
            " has the node deliver it."
        )
    if receipt.slot is None:
        return f"No longer waiting; it goes on. .result {receipt.id} shows what became of it."
    if given_up.ends:
        return (
            f"No longer waiting for slot {receipt.slot}. .result {receipt.slot} shows its result."
            f" What it sends may not arrive: .deliver {receipt.slot} finds out, and has the node"
            " deliver it."
        )
    if given_up.suspended and given_up.stops:
        return (
            f"No longer waiting for slot {receipt.slot}; it waits on for a message. .waits shows"
            f" for which, .waits drop {receipt.id[:12]} ends that."
        )
    again = "; Ctrl-C again stops it" if given_up.stops and not given_up.lines else ""
    return (
        f"No longer waiting for slot {receipt.slot}; it goes on. .result {receipt.slot} shows its"
        f" result{again}."
    )
