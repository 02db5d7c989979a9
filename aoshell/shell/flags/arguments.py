"""The flags. Imported only if there are any: argparse costs ten milliseconds."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

from aoshell import __version__
from aoshell.errors import UsageError
from aoshell.shell.flags import aos
from aoshell.shell.flags.limits import RANGES
from aoshell.shell.flags.options import Options
from aoshell.shell.flags.parser import CommandParser, Hidden
from aoshell.shell.flags.subcommands import command_like
from aoshell.shell.flags.values import file, named, state_file, within

_EPILOGUE = """\
Without a terminal, or with --run or --json, each line waits until all that it caused is done
(on the legacy network: for its own result). Answers go to stdout, everything else to stderr, and
the exit code is 1 if any line failed.
A new NAME makes a process. man aoshell has more flags: --mu-url, --cu-url, --su-url, --gateway-url
and those of aos. aoshell completion bash|zsh|fish prints what completes all of them.
aoshell serve opens the built-in node to aos, aoconnect and browsers; serve --help has its flags.
aoshell dump FILE writes the whole node to a file, aoshell load FILE takes it into a home.
aoshell attest NODE|FILE checks the hardware evidence of a node; attest --help has its flags.
aoshell attest measure computes the measurement of a guest from its files."""


# Flags that name the node: `--NAME`, or `--NAME-url`.
_NETWORK = ("node", "profile", "mu", "cu", "su", "gateway", "scheduler", "authority")

_TOO_MANY = "unrecognized arguments: "  # argparse's words
_LIKE_A_FLAG = re.compile(rf"{_TOO_MANY}(-[^- ][^ ]*)$")


class _Parser(CommandParser):
    """A parser whose errors say how to give a NAME that begins like a flag, and name the command
    that a first word may have meant."""

    _first = ""

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        self._first = arguments[0] if arguments else ""
        return super().parse(arguments)

    def error(self, message: str) -> NoReturn:
        found = _LIKE_A_FLAG.search(message)
        how = f" (if it is a NAME, give it last: -- {found[1]})" if found else ""
        if message.startswith(_TOO_MANY) and (meant := command_like(self._first)):
            how = f" ({meant})"
        super().error(message + how)


class _Script(argparse.Action):
    """Collects --run and --load in their order."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        del parser
        script: list[tuple[str, str]] = list(namespace.script or ())
        script.append((str(option_string), str(values)))
        namespace.script = script


def parse_arguments(arguments: Sequence[str]) -> Options:
    """The options of a command line. --help and --version print and leave.

    Raises:
        UsageError: flags that contradict each other. (argparse itself leaves with code 2.)
    """
    given = make_parser().parse(arguments)
    names, values = given.tag_name or [], given.tag_value or []
    if len(names) != len(values):
        raise UsageError(
            f"{len(names)} --tag-name and {len(values)} --tag-value",
            hint="give them in pairs: --tag-name N --tag-value V",
        )
    reference = given.process or ""
    _refuse_contradictions(given, reference)
    script = given.script or []
    return Options(
        reference=reference,
        sure="--" in arguments,
        script=aos.script_of(given),
        runs=any(flag == "--run" for flag, _ in script),
        module=aos.module_of(given),
        data=given.data or "",
        pairs=list(zip(names, values, strict=True)),
        tags_as_sent=given.tags is not None,
        cron=given.cron or "",
        wallet=given.wallet or "",
        seconds=given.timeout,
        megabytes=given.memory,
        network=_network(given),
        verify=given.verify or "",
        state=given.state or "",
        time_profile=given.time_profile or "",
        watch=given.watch or "",
        list=given.list,
        json=given.json,
        no_wait=given.no_wait,
        no_startup=given.no_startup,
    )


def _refuse_contradictions(given: argparse.Namespace, reference: str) -> None:
    if given.list and reference:
        raise UsageError(f"--list takes no name, but got {reference}", hint="aoshell --list")
    if given.list and given.script:
        raise UsageError("--list only lists, and --run or --load does not go with it")
    if given.state:
        _refuse_with_state(given)
    if given.watch is None:
        return
    besides = {reference: reference, "--list": given.list, "--json": given.json}
    besides |= {"--run or --load": given.script, "--monitor": given.monitor}
    for flag, value in besides.items():
        if value:
            raise UsageError(f"--watch only follows, and {flag} does not go with it")


def _refuse_with_state(given: argparse.Namespace) -> None:
    if named := [key for key in (*_NETWORK, "legacy") if getattr(given, key)]:
        raise UsageError(
            f"--state opens the built-in node, and --{named[0]} names another",
            hint="leave one of them out",
        )
    runs = any(flag == "--run" for flag, _ in given.script or ())
    if given.state == "-" and not (runs or given.list):
        raise UsageError(
            "lines and the dump cannot both come from standard input",
            hint="--run CODE gives the lines, or name a file: --state FILE",
        )


def _network(given: argparse.Namespace) -> dict[str, str]:
    """The flags that name the node, by the keys of profiles."""
    named = {key: value for key in _NETWORK if (value := getattr(given, key)) is not None}
    return named | ({"legacy": "--legacy"} if given.legacy else {})


def make_parser() -> CommandParser:
    """The parser of `aoshell [NAME|ID] [flags]`."""
    parser = _Parser(
        "aoshell",
        usage="aoshell [NAME|ID] [flags]",
        description="An interactive shell for AO processes, with a node built in.",
        epilog=_EPILOGUE,
        formatter_class=_Formatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("process", nargs="?", metavar="NAME|ID", help=argparse.SUPPRESS)
    _what_to_do(parser.add_argument_group("what to do").add_argument)
    _new_process(parser.add_argument_group("a new process").add_argument)
    _which_node(parser.add_argument_group("another node than the built-in one").add_argument)
    aos.add_flags(parser.add_argument_group("flags of aos").add_argument, named)
    return parser


def _what_to_do(flag: Callable[..., object]) -> None:
    flag("--run", action=_Script, dest="script", metavar="CODE", help="evaluate and leave")
    load = "as .load, first"
    flag("--load", action=_Script, dest="script", type=file, metavar="FILE", help=load)
    flag(
        "--watch",
        type=named,
        metavar="NAME|ID",
        help="only show what a process does; Ctrl-C leaves",
    )
    flag("--list", action="store_true", help="list the processes and leave")
    state = "begin with what aoshell dump wrote, in a temporary home"
    flag("--state", type=state_file, metavar="FILE", help=state)
    flag("--json", action="store_true", help="one object a line (docs/json.md)")
    flag("--no-wait", action="store_true", help="wait for a line's own result only")
    flag("--no-startup", action="store_true", help="a prompt without the lines of startup.aos")
    wallet = "an Arweave key (JWK) instead of the home's own"
    flag("--wallet", type=file, metavar="FILE", help=wallet)
    seconds = "seconds that a message may compute"
    flag("--timeout", type=within(RANGES["seconds"]), metavar="S", help=seconds)
    flag("--memory", type=within(RANGES["memory"]), metavar="MB", help="heap of a process")
    times = Hidden("write where the time goes to a file for speedscope")
    flag("--time-profile", type=named, metavar="FILE", help=times)
    flag("--help", "-h", action="help", help="show this")
    flag("--version", action="version", version=f"aoshell {__version__}", help="show it")


def _new_process(flag: Callable[..., object]) -> None:
    flag("--module", metavar="ID|FILE", help="what it is made of")
    flag("--data", type=file, metavar="FILE", help="its data")
    flag("--tag-name", action="append", metavar="NAME", help="a tag…")
    flag("--tag-value", action="append", metavar="VALUE", help="…and its value")
    tags = "as-sent: handlers also get tags under their original names"
    flag("--tags", choices=("as-sent",), help=tags)
    flag("--cron", metavar="N-UNIT", help="send it cron messages, e.g. 5-minutes")


def _which_node(flag: Callable[..., object]) -> None:
    flag("--node", type=named, metavar="URL|PROFILE", help="a HyperBEAM node, or as --profile")
    flag("--profile", type=named, metavar="NAME", help="of the config file (docs/remote.md)")
    flag("--legacy", action="store_true", help="the legacy network: MU, SU and CU")
    for key in ("mu", "cu", "su"):
        unit = Hidden(f"the {key.upper()} of another legacy network")
        flag(f"--{key}-url", type=named, dest=key, metavar="URL", help=unit)
    fetched = Hidden("where code and names are looked up")
    flag("--gateway-url", type=named, dest="gateway", metavar="URL", help=fetched)
    for key in ("scheduler", "authority"):
        flag(f"--{key}", type=named, metavar="ADDRESS", help=f"{key} of a new process there")
    levels = ("off", "on", "attested")
    flag("--verify", choices=levels, help="refuse answers that the (attested) node does not sign")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=100)

    def add_argument(self, action: argparse.Action) -> None:
        if not isinstance(action.help, Hidden):
            super().add_argument(action)
