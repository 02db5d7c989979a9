"""The table of all dot commands: their groups, arguments and examples.

Help, completion and the errors of wrong arguments come from here. What a command does is said by
the docstring of the coroutine that runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PLACE = "SLOT|MESSAGE|PROCESS[@SLOT]"
"""A message: a slot of the attached process, an id or its beginning, or the slot of a process."""
STATE = "PROCESS[@SLOT]"
"""A process, as it is or as it was after a slot."""

GROUPS = ("Processes", "Messages", "Code", "Trying", "Network", "Trust", "Shell")


@dataclass(frozen=True, slots=True)
class Row:
    """One command of the table.

    Attributes:
        group: one of `GROUPS`.
        usage: its arguments (`shell.commands.grammar`).
        example: a line that somebody could type.
    """

    group: str
    usage: str
    example: str


TABLE: Mapping[str, Row] = {
    "as": Row("Messages", "[IDENTITY]", ".as alice"),
    "at": Row("Trying", f"{STATE} CODE", ".at 7 Balances"),
    "attach": Row("Processes", "PROCESS", ".attach token"),
    "attest": Row(
        "Trust",
        "[NODE|FILE] [--save FILE] [--kind KIND] [--offline]",
        ".attest https://node.example",
    ),
    "bench": Row("Trying", "[--keep] CODE [N]", ".bench Balances.total() 500"),
    "check": Row(
        "Code", "[--target legacy|hyperbeam] FILE|PROCESS", ".check --target legacy token.lua"
    ),
    "delete": Row("Processes", "PROCESS [--yes]", ".delete token"),
    "deliver": Row("Network", "SLOT [--again]", ".deliver 7"),
    "doctor": Row("Network", "", ".doctor"),
    "dryrun": Row("Code", f"[{STATE}] CODE", ".dryrun Balances"),
    "editor": Row("Code", "", ".editor"),
    "exit": Row("Shell", "", ".exit"),
    "export": Row("Processes", "FILE", ".export desk.process"),
    "fork": Row("Trying", f"[{STATE}] as NAME", ".fork token@7 as twin"),
    "handlers": Row("Code", f"[{STATE}]", ".handlers token"),
    "help": Row("Shell", "[COMMAND|FUNCTION]", ".help send"),
    "history": Row("Shell", "[WORD…]", ".history Transfer"),
    "import": Row("Processes", "FILE [as NAME]", ".import desk.process as desk2"),
    "inbox": Row("Messages", f"[{STATE}] [N]", ".inbox 20"),
    "inspect": Row("Code", f"[{STATE}] VALUE [depth N]", ".inspect Handlers.list depth 3"),
    "json": Row("Code", f"[{STATE}] VALUE", ".json token Balances"),
    "limits": Row("Processes", "[LIMIT AMOUNT]", ".limits seconds 30"),
    "live": Row("Messages", "[--where NAME=VALUE…]", ".live --where Action=*-Notice"),
    "load": Row("Code", "FILE", ".load token.lua"),
    "load-blueprint": Row("Code", "[BLUEPRINT|FILE] [--show] [--yes]", ".load-blueprint token"),
    "log": Row("Messages", f"[{PLACE}]", ".log token@7"),
    "messages": Row("Messages", f"[{STATE}] [--last N]", ".messages token --last 50"),
    "mock": Row("Trying", "ID FILE [as NAME]", ".mock 0syT… oracle.lua"),
    "monitor": Row("Network", "[PROCESS]", ".monitor token"),
    "more": Row("Shell", "", ".more"),
    "names": Row("Shell", "", ".names"),
    "node": Row("Network", "", ".node"),
    "nodes": Row("Trust", "--tee URL…", ".nodes --tee https://node.example"),
    "now": Row("Network", "[KEY]", ".now balances"),
    "pad": Row("Code", "", ".pad"),
    "pause": Row("Messages", "", ".pause"),
    "ps": Row("Processes", "", ".ps"),
    "publish": Row("Code", "FILE|--environment [as NAME] [--yes]", ".publish token.lua as coin"),
    "queue": Row("Trying", "[on|off]", ".queue on"),
    "record": Row("Trying", "FILE", ".record my_test.lua"),
    "rename": Row("Processes", "[PROCESS] as NAME", ".rename token as coin"),
    "restore": Row("Trying", "SNAPSHOT", ".restore good"),
    "result": Row("Messages", f"[{PLACE}]", ".result 7"),
    "send": Row(
        "Messages",
        "PROCESS [NAME=VALUE…] [DATA]",
        ".send token Action=Transfer Recipient=@alice Quantity=5",
    ),
    "serve": Row("Network", "[PORT|show|off]", ".serve 4000"),
    "set": Row("Shell", "[SETTING CHOICE]", ".set theme light"),
    "signature": Row("Trust", "", ".signature"),
    "snapshot": Row("Trying", "[NAME]", ".snapshot good"),
    "source": Row("Shell", "FILE", ".source setup.aos"),
    "spawn": Row("Processes", "MODULE [as NAME] [--yes]", ".spawn token.lua as token"),
    "step": Row("Trying", "[N]", ".step 2"),
    "tick": Row("Trying", "[PROCESS]", ".tick"),
    "time": Row("Trying", "[--keep] CODE", ".time #Inbox"),
    "trace": Row("Messages", f"[{PLACE}]", ".trace"),
    "trust": Row("Trust", "[--covers-os] [NAME… [MEASUREMENT]]", ".trust release-3"),
    "undo": Row("Trying", "[SLOT]", ".undo"),
    "unmonitor": Row("Network", "[PROCESS]", ".unmonitor token"),
    "update": Row("Code", "", ".update"),
    "verify": Row("Trust", "[on|off|attested] [--new-key]", ".verify on"),
    "verify-log": Row("Processes", "[PROCESS]", ".verify-log token"),
    "waits": Row("Messages", "[PROCESS] [drop ID]", ".waits drop 3f"),
    "warp": Row("Trying", "DURATION", ".warp 1h30m"),
    "wasm": Row("Code", "FILE|ID", ".wasm examples/wasm/counter.wasm"),
    "watch": Row("Code", "FILE…|off", ".watch token.lua"),
    "why": Row("Messages", f"[{PLACE}]", ".why"),
}
