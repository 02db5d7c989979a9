"""The table of commands and flags, read from the parsers that take them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aoshell.commandline.completion_parser import make_parser as completion_parser
from aoshell.forks.command import make_parser as fork_parser
from aoshell.forks.compare_command import make_parser as compare_parser
from aoshell.fuzz.command import make_parser as fuzz_parser
from aoshell.serve.command import make_parser as serve_parser
from aoshell.shell.attestation.command import make_parser as attest_parser
from aoshell.shell.attestation.measure import make_parser as measure_parser
from aoshell.shell.flags.arguments import make_parser as shell_parser
from aoshell.states.command import make_dump_parser, make_load_parser
from aoshell.testing.command import make_parser as test_parser

# Words of a metavar that name files, and those that name processes.
_FILES = frozenset({"FILE", "FOLDER"})
_PROCESSES = frozenset({"NAME|ID", "FILE|PROCESS"})


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a flag or of a positional argument.

    Attributes:
        name: as help writes it.
        words: all possible values, if they are few; () otherwise.
        file: whether it may name a file.
        process: whether it names a process.
        optional, many: whether it may be left out; whether it may be repeated.
        help: a phrase about it.
    """

    name: str
    words: tuple[str, ...] = ()
    file: bool = False
    process: bool = False
    optional: bool = False
    many: bool = False
    help: str = ""


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag.

    Attributes:
        names: all its forms, such as --help and -h.
        value: None if it takes none.
        group: its heading in help.
    """

    names: tuple[str, ...]
    value: Value | None
    help: str
    group: str


@dataclass(frozen=True, slots=True)
class Form:
    """A command.

    Attributes:
        words: the words after `aoshell` that choose it; () for the shell itself.
        places: its positional arguments.
        about, more: what it does; further notes.
    """

    words: tuple[str, ...]
    places: tuple[Value, ...]
    flags: tuple[Flag, ...]
    about: str
    more: str

    @property
    def name(self) -> str:
        return " ".join(("aoshell", *self.words))

    @property
    def key(self) -> str:
        """The words; "aoshell" for the shell itself."""
        return " ".join(self.words) or "aoshell"


_PARSERS: dict[tuple[str, ...], Callable[[], argparse.ArgumentParser]] = {
    (): shell_parser,
    ("test",): test_parser,
    ("fuzz",): fuzz_parser,
    ("serve",): serve_parser,
    ("fork",): fork_parser,
    ("compare",): compare_parser,
    ("dump",): make_dump_parser,
    ("load",): make_load_parser,
    ("attest",): attest_parser,
    ("attest", "measure"): measure_parser,
    ("completion",): completion_parser,
}


def forms() -> tuple[Form, ...]:
    """All commands; the first is the shell itself."""
    return tuple(_form(words, make()) for words, make in _PARSERS.items())


def _form(words: tuple[str, ...], parser: argparse.ArgumentParser) -> Form:
    places, flags = [], []
    for group in parser._action_groups:
        for action in group._group_actions:
            if not action.option_strings:
                places.append(_value(action))
            elif action.help is not argparse.SUPPRESS:
                flags.append(_flag(action, group.title or ""))
    return Form(words, tuple(places), tuple(flags), parser.description or "", parser.epilog or "")


def _flag(action: argparse.Action, group: str) -> Flag:
    value = None if action.nargs == 0 else _value(action)
    return Flag(tuple(action.option_strings), value, action.help or "", group)


def _value(action: argparse.Action) -> Value:
    named = action.metavar
    words = tuple(map(str, action.choices or ()))
    name = named if isinstance(named, str) else "|".join(named or words) or action.dest.upper()
    if isinstance(named, tuple):
        name = " ".join(named)
    parts = set(name.split("|"))
    return Value(
        name,
        words or tuple(part for part in name.split("|") if part.islower()),
        file=bool(parts & _FILES),
        process=name in _PROCESSES,
        optional=action.nargs in ("?", "*"),
        many=action.nargs in ("*", "+"),
        help="" if action.help is argparse.SUPPRESS else action.help or "",
    )


def commands(table: Sequence[Form]) -> list[tuple[str, str]]:
    """The subcommands of `aoshell`, each with one sentence about it."""
    return [(form.words[0], first(form.about)) for form in table if len(form.words) == 1]


def below(table: Sequence[Form], form: Form) -> list[Form]:
    """The subcommands of a command."""
    return [one for one in table if len(one.words) > 1 and one.words[:-1] == form.words]


def longer(table: Sequence[Form]) -> list[str]:
    """The names of the commands that have two words."""
    return [form.key for form in table if len(form.words) == 2]


def first(text: str) -> str:
    """The first sentence, without brackets at its end."""
    sentence = text.partition(". ")[0].rstrip(".")
    return sentence.partition(" (docs/")[0]
