"""The line below the prompt: node, process and cost of the last line, or a signature."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aoshell.nodes.values import NodeInfo, ProcessInfo
from aoshell.shell.attached.feed import named_id, short_id
from aoshell.shell.help import reference
from aoshell.shell.lines.multiline import is_command
from aoshell.shell.outcome import CommandOutput, Interrupted, LineAnswer, Outcome
from aoshell.shell.prompt.names import ProcessNames
from aoshell.shell.prompt.structure import LOOKED_AT, read_context
from aoshell.shell.view.text import clean, clean_line, width_of

_INBOX = re.compile(r"\[Inbox:(\d+)\]")
_DOT = " · "


@dataclass(slots=True)
class ToolbarFacts:
    """What the toolbar shows; "" and None are unknown, and left out.

    Attributes:
        id: of the process.
        slot: of the last line since the process was attached.
        wallet: its address.
        identity: the name of the wallet in `.as`.
        milliseconds, gas: of the last line.
        attestation: of a remote node ("attested 12:03", "FAIL").
    """

    node: NodeInfo | None = None
    process: str = ""
    wallet: str = ""
    identity: str = ""
    slot: int | None = None
    milliseconds: float | None = None
    gas: int = 0
    attestation: str = ""
    id: str = ""
    _attached: ProcessInfo | None = None

    def attach(self, process: ProcessInfo) -> None:
        """Note the process that lines go to, as `Session.attach` got it."""
        if process.id != self.id:
            self.slot = None
        # `.undo` attaches the process anew; only then does `slots` count all lines.
        elif process is not self._attached and self.slot is not None and self.slot >= process.slots:
            self.slot, self.milliseconds, self.gas = None, None, 0
        self._attached = process
        self.id, self.process = process.id, named_id(process.id, process.name)

    def learn(self, outcome: Outcome) -> None:
        """Learn from the outcome of a line; only the slots of the attached process count."""
        if isinstance(outcome, Interrupted):
            self._learn_of_given_up(outcome)
            return
        answer = outcome.answer if isinstance(outcome, CommandOutput) else outcome
        if not isinstance(answer, LineAnswer):
            return
        self.milliseconds, self.gas = answer.milliseconds, answer.gas
        if answer.receipt and answer.last.process == self.id and answer.last.slot >= 0:
            self.slot = answer.last.slot

    def _learn_of_given_up(self, line: Interrupted) -> None:
        """It has a slot, whose cost is not known here."""
        sent = line.receipt
        if sent and sent.process == self.id and sent.slot is not None and not line.command:
            self.slot, self.milliseconds, self.gas = sent.slot, None, 0


def line(facts: ToolbarFacts, prompt: str, columns: int, mode: str = "") -> str:
    """The toolbar's text, as wide as the screen at most.

    Args:
        prompt: of the process; a count of its Inbox is read from it.
        mode: of vi's keys, "" where there is none.
    """
    words = [mode, _node(facts.node), facts.attestation, facts.process]
    if facts.wallet:
        own = f"wallet {short_id(facts.wallet)}"
        words.append(named_id(facts.wallet, facts.identity) if facts.identity else own)
    if facts.slot is not None:
        words.append(f"slot {facts.slot}")
    if inbox := _INBOX.search(clean(prompt, colour=False)):
        words.append(f"inbox {inbox[1]}")
    if facts.milliseconds is not None:
        words.append(f"{facts.milliseconds:.1f} ms")
    if facts.gas:
        words.append(f"{facts.gas} gas")
    shown = ""
    for word in filter(None, map(clean_line, words)):
        more = f"{shown}{_DOT}{word}" if shown else word
        if shown and width_of(more) > columns - 1:
            break  # no part is shown in half
        shown = more
    return cut(shown, columns - 1)


def cut(text: str, columns: int) -> str:
    """A line that is no wider than the screen."""
    text = text[: max(columns, 0)]  # only combining characters are narrower than a column
    while width_of(text) > columns:
        text = text[:-1]
    return text


def _node(node: NodeInfo | None) -> str:
    if node is None:
        return ""
    return node.kind if node.kind == "local" else f"{node.kind} {node.endpoint}"


def signature(before: str, names: ProcessNames, columns: int) -> str:
    """The signature of the call that is being typed, "" outside of known calls."""
    if is_command(before):
        return ""
    where = read_context(before[-LOOKED_AT:])
    call = where.call
    if call is None or where.comment:
        return ""
    entry = reference.find(call.name)
    if entry is None and call.name.split(".")[0] in ("m", "message"):
        entry = reference.find("msg." + call.name.partition(".")[2])
    if call.name in names.calls:
        text = call.name + names.calls[call.name]
    elif entry and entry.call:
        text = f"{entry.signature}  {entry.summary}"
    else:
        return ""
    return cut(clean_line(text), columns - 1)
