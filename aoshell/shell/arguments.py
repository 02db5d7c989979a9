"""The flags. Imported only where there are any: argparse costs ten milliseconds."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from aoshell import __version__
from aoshell.errors import UsageError
from aoshell.shell.limits import RANGES
from aoshell.shell.options import Options

_EPILOGUE = """\
Without a terminal, or with --run or --json, each line waits until all that it caused is done:
answers go to stdout, everything else to stderr, and the exit code is 1 if any line failed."""


class _Script(argparse.Action):
    """--run and --load, in the order in which they are given."""

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


def parse(arguments: Sequence[str]) -> Options:
    """The options of a command line. --help and --version print and leave.

    Raises:
        UsageError: flags that contradict each other. (argparse itself leaves with code 2.)
    """
    given = _parser().parse_args(arguments)
    names, values = given.tag_name or [], given.tag_value or []
    if len(names) != len(values):
        raise UsageError(
            f"{len(names)} --tag-name and {len(values)} --tag-value",
            hint="they come in pairs: --tag-name N --tag-value V",
        )
    reference = given.process or ""
    if given.list and reference:
        raise UsageError(f"--list takes no name, but got {reference}", hint="aoshell --list")
    if any("\ud800" <= character <= "\udfff" for character in reference):
        raise UsageError("the name of a process is UTF-8 text, and this one is not")
    script = given.script or []
    return Options(
        reference=reference,
        script=[f".load {text}" if flag == "--load" else text for flag, text in script],
        runs=any(flag == "--run" for flag, _ in script),
        module=given.module or "",
        data=given.data or "",
        pairs=list(zip(names, values, strict=True)),
        cron=given.cron or "",
        wallet=given.wallet or "",
        seconds=given.timeout,
        megabytes=given.memory,
        list=given.list,
        json=given.json,
        no_wait=given.no_wait,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "aoshell",
        description="An interactive shell for AO processes, with a node built in.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    flag = parser.add_argument
    flag("process", nargs="?", metavar="NAME|ID", help="the process; a new name makes one")
    flag("--run", action=_Script, dest="script", metavar="CODE", help="evaluate and leave")
    flag("--load", action=_Script, dest="script", metavar="FILE", help="as .load, first")
    flag("--module", metavar="ID|FILE", help="what a new process is made of")
    flag("--data", metavar="FILE", help="data of a new process")
    flag("--tag-name", action="append", metavar="NAME", help="tag of a new process")
    flag("--tag-value", action="append", metavar="VALUE", help="its value")
    flag("--cron", metavar="N-UNIT", help="let a new process tick, e.g. 5-minutes")
    flag("--wallet", metavar="FILE", help="an Arweave key (JWK) instead of the home's own")
    flag(
        "--timeout", type=_within("seconds"), metavar="S", help="seconds that a message may compute"
    )
    flag("--memory", type=_within("memory"), metavar="MB", help="heap of a process")
    flag("--list", action="store_true", help="list the processes and leave")
    flag("--json", action="store_true", help="one object a line (docs/json.md)")
    flag("--no-wait", action="store_true", help="wait for a line's own result only")
    flag("--version", action="version", version=f"aoshell {__version__}")
    return parser


def _within(name: str) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            return RANGES[name].number(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(f"{error.what}: {error.hint}") from None

    return number
