"""The errors that reach a user: what failed, at which stage, and what to do next.

docs/errors.md lists them all; `scripts/errors_page.py` writes it.
"""

from __future__ import annotations

# Each stage, and what failed there. JSON has these words, so their meaning never changes.
STAGES = {
    "answer": "An endpoint answered, but not as such a service does (`.doctor`).",
    "attest": "Evidence or a firmware image was refused, or a pin could not be used or written.",
    "blueprint": "A blueprint could not be found, fetched or used.",
    "bundler": "The bundler answered, but not as a bundler does (`.doctor`).",
    "clock": "The clock of an endpoint and that of this machine are far apart (`.doctor`).",
    "compare": "A fork could not be compared with its network (`.compare`, `aoshell compare`).",
    "compute": "A result could not be computed, or the node did not give it.",
    "config": "The config file cannot be read, or has a value that cannot be used.",
    "connect": "No connection to an endpoint could be made.",
    "copy": "Shown while it lasts: the messages of a process are copied (`.fork`, `.undo`).",
    "delete": "A process was not deleted.",
    "dryrun": "A node did not evaluate a message read-only.",
    "dump": "A node could not be written to a file (`aoshell dump`).",
    "editor": "The program that `EDITOR` or `PAGER` names could not be run.",
    "environment": "A variable of the environment (`AO_URL` …) has a value that cannot be used.",
    "eval": "Lua that a test evaluates failed, or gave a value that a test cannot read.",
    "evidence": "A node gave no evidence.",
    "export": "A process could not be written to a file.",
    "fetch": "Data of Arweave could not be fetched.",
    "find": "A process, or what `@name` stands for, could not be found, or more than one fits.",
    "fork": "A live process could not be forked (`.fork URL`, `aoshell fork`).",
    "fuzz": "A process could not be fuzzed, or its invariants do not load (`aoshell fuzz`).",
    "home": "A folder or file of the home cannot be made, read or written.",
    "import": "A file is not an exported process, or cannot be imported here.",
    "info": "A HyperBEAM node did not say its address.",
    "input": "Standard input or the terminal gave a line that cannot be run whole.",
    "join": "The aoshell that carries the node of a home does not answer, or cannot be joined.",
    "load": "A file of code could not be read, or cannot be loaded.",
    "lookup": "A gateway did not find a process or module, or did not answer as a gateway does.",
    "machine": "The machine, or a limit of the shell, has too little memory, disk or processes.",
    "message": "A message cannot be encoded, signed or sent as it is.",
    "module": "A module is damaged, missing, or not of a kind that is run here.",
    "monitor": "The MU did not begin or end cron for a process.",
    "node": "The node cannot do this, has no such process or message, or is closed.",
    "now": "The state of a process could not be read (`.now`).",
    "output": "Answers cannot be written to standard output.",
    "parse": "Bytes do not have the expected form; the message says where.",
    "policy": "A policy of attestation has a key or value that cannot be used.",
    "price": "The bundler or the gateway did not say what publishing costs.",
    "profile": "The profile of a run could not be written (`--time-profile`).",
    "publish": "A module was not published: it cannot be, or nobody agreed.",
    "push": "A HyperBEAM node did not take a message.",
    "query": "A process could not be asked for a value, or its code failed.",
    "record": "A session could not be written as a test.",
    "resolve": "The name of a host has no address.",
    "sandbox": "No worker could be started, or it ended at once.",
    "schedule": "A scheduler did not take a message, or did not give its log.",
    "serve": "A port could not be opened, or this node cannot be served (`aoshell serve`).",
    "session": "This wallet does not own the process that a line goes to.",
    "shell": "A defect of the shell itself; please report it.",
    "slot": "A HyperBEAM node did not say the newest slot of a process.",
    "spawn": "A process was not made.",
    "state": "A file is not a dump, or cannot be loaded here (`aoshell load`, `--state`).",
    "store": "The database of the node is damaged, in use or full, or lacks a record.",
    "TLS": "A host does not speak TLS, or its certificate does not prove who it is.",
    "trace": "The message that a trace begins with is not on this node.",
    "undo": "A slot cannot be taken back.",
    "upload": "The bundler did not take what was published.",
    "usage": "The command line or the dot command cannot be understood.",
    "verify": "An answer or an item is not signed as it must be.",
    "wait": "A line was interrupted while its result was waited for.",
    "waits": "Nothing, or more than one thing, waits under the id that was given (`.waits drop`).",
    "wallet": "A wallet cannot be read, made or used to sign.",
    "why": "A process does not report which handlers were asked.",
    "write": "Shown while it lasts: the messages of an imported process are written.",
}


class AoError(Exception):
    """Something failed that a person can understand; shown without a traceback.

    Args:
        what: what failed, one sentence without a full stop at its end.
        stage: where it failed, a key of `STAGES`.
        hint: what to do next, or "" if there is nothing to do.
    """

    def __init__(self, what: str, *, stage: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.stage = stage
        self.hint = hint

    def __str__(self) -> str:
        # Only the form of a command follows "usage:".
        text = self.what if self.stage == "usage" else f"{self.stage}: {self.what}"
        return f"{text}\n  → {self.hint}" if self.hint else text


class UsageError(AoError):
    """A command line or a dot command cannot be understood."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what, stage="usage", hint=hint)


class UnsupportedError(AoError):
    """This node cannot do what was asked; the hint names what to use instead."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what, stage="node", hint=hint)
