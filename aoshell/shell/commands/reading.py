"""Commands that only read: they can run beside a line that is waited for."""

from __future__ import annotations

_ALWAYS = frozenset(
    (
        *("at", "check", "doctor", "dryrun", "handlers", "help", "history", "inbox", "inspect"),
        *(
            "json",
            "log",
            "messages",
            "node",
            "now",
            "ps",
            "queue",
            "result",
            "signature",
            "trace",
            "verify-log",
        ),
        *("wasm", "why"),
    )
)
# Without an argument they show what there is; with one they change it.
_BARE = frozenset(("as", "limits", "load-blueprint", "set", "snapshot", "trust", "verify", "waits"))


def only_reads(line: str) -> bool:
    """Whether a line is a dot command that changes nothing, neither here nor in a process."""
    name, _, rest = line.strip().partition(" ")
    if not name.startswith("."):
        return False
    return name[1:] in _ALWAYS or (name[1:] in _BARE and not rest.strip())
