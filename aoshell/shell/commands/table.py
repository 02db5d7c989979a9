"""The table of all dot commands: their groups, arguments and examples.

Help, completion and the errors of wrong arguments come from here. The docstring of the coroutine
that runs a command is its help.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PLACE = "SLOT|MESSAGE|PROCESS[@SLOT]"
"""A message: a slot of the attached process, an id or its beginning, or the slot of a process."""
STATE = "PROCESS[@SLOT]"
"""A process, as it is or as it was after a slot."""

GROUPS = ("Processes", "Messages", "Code", "Trying", "Network", "Trust", "Shell")


ANY, NONE = ".*", ""  # of `Row.reads`: with any arguments; without an argument only
_NO_DROP = r"(?!(.* )?drop\b).*"


@dataclass(frozen=True, slots=True)
class Row:
    """One command of the table.

    Attributes:
        group: one of `GROUPS`.
        usage: its arguments (`shell.commands.grammar`).
        example: a line to type.
        reads: the arguments with which it only reads, as a regular expression: then it runs at once
            while a line runs. None if it may always change something.
        quiet: the same for arguments with which it sends no message: start-up files may use it on
            any node.
    """

    group: str
    usage: str
    example: str
    reads: str | None = None
    quiet: str | None = None


TABLE: Mapping[str, Row] = {
    "as": Row("Messages", "[IDENTITY]", ".as alice", NONE, quiet=ANY),
    "at": Row("Trying", f"{STATE} CODE", ".at 7 Balances", ANY),
    "attach": Row("Processes", "PROCESS", ".attach token", quiet=ANY),
    "attest": Row(
        "Trust",
        "[NODE|FILE] [--save FILE] [--kind KIND] [--offline]",
        ".attest https://node.example",
    ),
    "bench": Row("Trying", "[--keep] CODE [N]", ".bench Balances.total() 500"),
    "check": Row(
        "Code",
        "[--target legacy|2.0.1|2.0.6|hyperbeam] FILE|PROCESS",
        ".check --target legacy token.lua",
        ANY,
    ),
    "compare": Row(
        "Trying",
        "[RANGE] [--module FILE] [--load FILE] [at SOURCE]",
        ".compare 100..200 --load fix.lua@99",
    ),
    "delete": Row("Processes", "PROCESS [--yes]", ".delete token"),
    "deliver": Row("Network", "SLOT [--again]", ".deliver 7"),
    "doctor": Row("Network", "", ".doctor", ANY),
    "dryrun": Row("Code", f"[{STATE}] CODE", ".dryrun Balances", ANY),
    "editor": Row("Code", "", ".editor"),
    "exit": Row("Shell", "", ".exit"),
    "export": Row("Processes", "FILE", ".export desk.process"),
    "fork": Row(
        "Trying",
        f"[SOURCE] [{STATE}] as NAME [--with PROCESSES] [--replay]",
        ".fork token@7 as twin",
    ),
    "handlers": Row("Code", f"[{STATE}]", ".handlers token", ANY, quiet=ANY),
    "help": Row("Shell", "[COMMAND|FUNCTION]", ".help send", ANY, quiet=ANY),
    "history": Row("Shell", "[WORD…]", ".history Transfer", ANY, quiet=ANY),
    "import": Row("Processes", "FILE [as NAME]", ".import desk.process as desk2"),
    "inbox": Row("Messages", f"[{STATE}] [N]", ".inbox 20", ANY, quiet=ANY),
    "inspect": Row("Code", f"[{STATE}] VALUE [depth N]", ".inspect Handlers.list depth 3", ANY),
    "json": Row("Code", f"[{STATE}] VALUE", ".json token Balances", ANY),
    "limits": Row("Processes", "[LIMIT AMOUNT]", ".limits seconds 30", NONE),
    "live": Row("Messages", "[--where NAME=VALUE…]", ".live --where Action=*-Notice", quiet=ANY),
    "load": Row("Code", "FILE", ".load token.lua"),
    "load-blueprint": Row(
        "Code", "[BLUEPRINT|FILE] [--show] [--yes]", ".load-blueprint token", NONE
    ),
    "log": Row("Messages", f"[{PLACE}]", ".log token@7", ANY),
    "messages": Row(
        "Messages", f"[{STATE}] [--last N]", ".messages token --last 50", ANY, quiet=ANY
    ),
    "mock": Row("Trying", "ID FILE [as NAME]", ".mock 0syT… oracle.lua"),
    "monitor": Row("Network", "[PROCESS]", ".monitor token"),
    "more": Row("Shell", "", ".more"),
    "names": Row("Shell", "", ".names"),
    "node": Row("Network", "", ".node", ANY, quiet=ANY),
    "nodes": Row("Trust", "--tee URL…", ".nodes --tee https://node.example"),
    "now": Row("Network", "[KEY]", ".now balances", ANY, quiet=ANY),
    "pad": Row("Code", "", ".pad"),
    "pause": Row("Messages", "", ".pause", quiet=ANY),
    "ps": Row("Processes", "", ".ps", ANY, quiet=ANY),
    "publish": Row("Code", "FILE|--environment [as NAME] [--yes]", ".publish token.lua as coin"),
    "queue": Row("Trying", "[on|off]", ".queue on", NONE),
    "record": Row("Trying", "FILE", ".record my_test.lua"),
    "rename": Row("Processes", "[PROCESS] as NAME", ".rename token as coin"),
    "restore": Row("Trying", "SNAPSHOT", ".restore good"),
    "result": Row("Messages", f"[{PLACE}]", ".result 7", ANY),
    "send": Row(
        "Messages",
        "PROCESS [NAME=VALUE…] [DATA]",
        ".send token Action=Transfer Recipient=@alice Quantity=5",
    ),
    "serve": Row("Network", "[PORT|show|off]", ".serve 4000"),
    "set": Row("Shell", "[SETTING CHOICE]", ".set theme light", NONE, quiet=ANY),
    "signature": Row("Trust", "", ".signature", ANY),
    "snapshot": Row("Trying", "[NAME]", ".snapshot good", NONE),
    "source": Row("Shell", "FILE", ".source setup.aos"),
    "spawn": Row(
        "Processes", "MODULE [as NAME] [--tags as-sent] [--yes]", ".spawn token.lua as token"
    ),
    "step": Row("Trying", "[N]", ".step 2"),
    "tick": Row("Trying", "[PROCESS]", ".tick"),
    "time": Row("Trying", "[--keep] CODE", ".time #Inbox"),
    "trace": Row("Messages", f"[{PLACE}]", ".trace", ANY),
    "trust": Row("Trust", "[--covers-os] [NAME… [MEASUREMENT]]", ".trust release-3", NONE),
    "undo": Row("Trying", "[SLOT]", ".undo"),
    "unmonitor": Row("Network", "[PROCESS]", ".unmonitor token"),
    "update": Row("Code", "", ".update"),
    "verify": Row("Trust", "[on|off|attested] [--new-key]", ".verify on", NONE, quiet=ANY),
    "verify-log": Row("Processes", "[PROCESS|--all]", ".verify-log token", ANY),
    "waits": Row("Messages", "[PROCESS] [drop ID]", ".waits drop 3f", _NO_DROP, quiet=_NO_DROP),
    "warp": Row("Trying", "DURATION", ".warp 1h30m"),
    "wasm": Row("Code", "FILE|ID", ".wasm examples/wasm/counter.wasm", ANY),
    "watch": Row("Code", "FILE…|off", ".watch token.lua"),
    "why": Row("Messages", f"[{PLACE}]", ".why", ANY),
}
