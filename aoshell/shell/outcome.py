"""Outcomes of lines, as values; `shell.view.render` shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aoshell.errors import AoError

if TYPE_CHECKING:
    from aoshell.nodes.values import Receipt
    from aoshell.protocol.message import Result
    from aoshell.shell.table import Table

# aos prints this, in colours, for a message that no handler took, such as an Eval that is not from
# its Owner. Nothing else in the result shows that.
_SGR = r"(?:\x1b\[[0-9;]*m)+"
_ARRIVED = re.compile(
    rf"(?:^|\n){_SGR}New Message From {_SGR}\S+{_SGR}: (?:{_SGR})?Action = {_SGR}Eval{_SGR}\s*\Z"
)
# The built-in environment has this, published ones do not.
_SPAWN = re.compile(r"attempt to call a nil value \(global 'spawn'\)")
_NO_SPAWN = "this process has no spawn: use Spawn(…), or .spawn MODULE [as NAME]"


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """What a process answered to a line of Lua.

    Attributes:
        receipt: of the Eval; None for a dry run.
        own: result of the Eval's own slot.
        later: result of the slot that ended the handling, if it was suspended.
        waiting: it is still suspended, and no message is on its way that could end it.
        sources: texts that error messages may name, by chunk name.
        author: the identity that sent it, "" for the wallet that the shell was started with.
        advice: what the line may have meant, if it failed or was nil.
    """

    receipt: Receipt | None
    own: Result
    later: Result | None = None
    waiting: bool = False
    sources: Mapping[str, str] = field(default_factory=dict)
    author: str = ""
    advice: str = ""

    @property
    def last(self) -> Result:
        return self.later or self.own

    @property
    def results(self) -> tuple[Result, ...]:
        """The results of all slots of the handling."""
        return (self.own, self.later) if self.later else (self.own,)

    @property
    def milliseconds(self) -> float:
        """Computing time of all slots, 0.0 if the node does not report it."""
        return sum(result.milliseconds for result in self.results)

    @property
    def gas(self) -> int:
        return sum(result.gas for result in self.results)

    @property
    def evaluated(self) -> bool:
        """Whether the process evaluated the line, and did not treat it as an ordinary message."""
        return not _ARRIVED.search(self.own.output)

    @property
    def hint(self) -> str:
        """What to use instead of what this process lacks, or ""."""
        return _NO_SPAWN if _SPAWN.search(self.last.error) else self.advice

    @property
    def ok(self) -> bool:
        return self.last.ok and self.evaluated and not self.waiting


@dataclass(frozen=True, slots=True)
class CommandOutput:
    """What a dot command returns.

    Attributes:
        value: the answer for JSON.
        text: the answer for people; if it is "", `table` is shown. On a narrow screen its lines are
            broken between words.
        prose: whether the text is paragraphs, to be filled anew.
        verbatim: whether the text is code or data, to be shown as it is.
        note: shown above the answer on a screen, on stderr in a pipe.
        answer: the answer to the message that the command sent; shown above the text.
        ok: False makes the exit code 1.
        leave: end the shell.
        source: a file of lines to run next; `lines.run` reads it into `then`.
        then: lines to run next, before all that wait.
    """

    value: object = None
    text: str = ""
    prose: bool = False
    verbatim: bool = False
    table: Table | None = None
    note: str = ""
    answer: LineAnswer | None = None
    ok: bool = True
    leave: bool = False
    source: Path | None = None
    then: tuple[str, ...] = ()


class LineFailure(NamedTuple):
    """A line that failed before a process could answer."""

    error: AoError
    ok: bool = False


class Interrupted(NamedTuple):
    """A line that was given up with Ctrl-C.

    Attributes:
        receipt: None where the node has not confirmed the message.
        sending: id of the message if it is unknown whether a remote node accepted it, or "".
        stops: whether the node can stop computing it.
        settling: its own result is known; the shell waited for what it caused.
        command: it is a dot command, which may have sent more than is known here.
        ends: the session ends, so a remote node delivers nothing more.
        suspended: its own slot is computed, and waits for another message.
        lines: other lines wait after it; Ctrl-C drops these before it stops anything.
    """

    receipt: Receipt | None
    sending: str = ""
    stops: bool = True
    settling: bool = False
    command: bool = False
    ends: bool = False
    suspended: bool = False
    lines: bool = False
    ok: bool = False


Outcome = LineAnswer | CommandOutput | LineFailure | Interrupted
