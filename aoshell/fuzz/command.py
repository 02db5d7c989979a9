"""`aoshell fuzz`: its flags, and the steps of a run.

Exit codes: 0 nothing found, 1 a fault, 2 misuse or a target that cannot be fuzzed, 130 after Ctrl-C
if nothing was found.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from aoshell import durable, interrupts
from aoshell.bounded.files import is_file, is_folder, is_there, shown
from aoshell.errors import AoError, UsageError
from aoshell.fuzz.base import Base, Target
from aoshell.fuzz.exporting import exported
from aoshell.fuzz.given_module import Fetch, given_module
from aoshell.fuzz.installing import require_hypothesis
from aoshell.fuzz.opening import open_base
from aoshell.fuzz.report import FuzzReport
from aoshell.fuzz.search import MOST_FAULTS, Fault, Search
from aoshell.fuzz.writing import TestText, doubt_of
from aoshell.fuzz.writing_python import PythonTestText, doubt_of_python
from aoshell.home.folders import Settings
from aoshell.protocol.aos_modules import AOS_MODULES
from aoshell.shell.code.files import read_file
from aoshell.shell.flags.parser import CommandParser
from aoshell.shell.view.streams import writer
from aoshell.shell.view.text import clean
from aoshell.testing.testbed.clock import parse_span
from aoshell.testing.testbed.node import EXPORT

FOUND, MISUSED = 1, 2
_CODE = (".lua", ".wasm")
_LONGEST = 7 * 24 * 3600.0  # seconds of a run
_Run = Callable[[Coroutine[Any, Any, Any]], Any]  # runs a coroutine to its end
_PLAIN = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")  # seconds without a unit
_TESTS = 1000  # most tests of one file with numbered names


def main(arguments: Sequence[str], fetch: Fetch | None = None) -> int:
    """Fuzz what a command line names; returns the exit code.

    Args:
        fetch: fetches modules that this home does not have; None without a network.
    """
    try:
        given = make_parser().parse(arguments)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else MISUSED
    try:
        require_hypothesis()
        with interrupts.ended_alike():
            return _run(given, fetch)
    except KeyboardInterrupt:  # before there was anything to report
        return interrupts.INTERRUPTED
    except AoError as error:  # 1 would mean that a fault was found
        writer(sys.stderr, needed=False)(clean(str(error), colour=False) + "\n")
        return MISUSED


def _run(given: argparse.Namespace, fetch: Fetch | None) -> int:
    settings = Settings.find()
    with (
        interrupts.kept(),
        exported(settings, given.what) as file,
        asyncio.Runner() as runner,
    ):
        run = partial(interrupts.run_on, runner)
        target = _target(given, file)
        with given_module(settings, given.module, run, fetch) as module:
            return _fuzz(replace(target, module=module), given, run)


def _target(given: argparse.Namespace, file: Path | None) -> Target:
    """What is fuzzed, but for its module. Looked at before a module is fetched."""
    path = file or Path(given.what)
    invariants = Path(given.invariants) if given.invariants else _beside(path)
    if invariants is not None and not is_file(invariants):
        raise UsageError(
            f"there is no file {shown(invariants)}", hint="--invariants FILE names one"
        )
    if (given.tag or given.module) and file is not None:
        raise UsageError(
            "--tag and --module are for a file", hint="a process has a definition with both"
        )
    if given.module and path.suffix == ".wasm":
        raise UsageError(
            f"{path} is a module itself, and --module is for Lua", hint="leave --module out"
        )
    more = tuple(given.load), tuple(given.tag)
    target = Target(given.what, path, file is not None, invariants, *more)
    _refuse_unwritable(_place(given, target.is_python, is_first=True))
    return target


def _beside(path: Path) -> Path | None:
    """`token.invariants.lua`, or `.py`, beside `token.lua`."""
    names = (path.with_suffix(f".invariants{suffix}") for suffix in (".lua", ".py"))
    return next((name for name in names if is_file(name)), None)


def _fuzz(target: Target, given: argparse.Namespace, run: _Run) -> int:
    opening = open_base(target)
    base = run(opening.__aenter__())
    try:
        report = FuzzReport(base, given.seed, as_json=given.json)
        tests: list[Path] = []

        def name(fault: Fault) -> None:
            tests.append(_write(base, fault, given, tests))
            try:
                doubt = _doubt(base, fault, tests[-1], run)
            except KeyboardInterrupt:
                report.found(fault, tests[-1], "it was stopped")
                raise
            report.found(fault, tests[-1], doubt)

        most = 1 if given.first else MOST_FAULTS
        search = Search(base, run, given.seconds, most, report.progress, name)
        search.look(given.seed)
        report.end(search.done)
    finally:
        with interrupts.ignored():
            run(opening.__aexit__(None, None, None))
    if search.done.faults:
        return FOUND
    return interrupts.INTERRUPTED if search.done.stopped else 0


def _doubt(base: Base, fault: Fault, test: Path, run: _Run) -> str:
    """Why a written test does not fail; "" if it fails."""
    if base.target.is_python:
        return doubt_of_python(test)
    compiles = bool(base.rehearsal.wasm)
    doubt: str = run(doubt_of(test, fault.failed.verdict, compiles=compiles))
    return doubt


def _write(base: Base, fault: Fault, given: argparse.Namespace, before: list[Path]) -> Path:
    """Write the test of a fault; returns its file.

    Args:
        before: tests that this run has written.
    """
    target = base.target
    place = _place(given, target.is_python, is_first=not before)
    first = before[0] if before else place
    export = f"{first.stem}.process" if target.is_export else ""
    if export and not before:
        _put(place.parent / export, read_file(target.file, EXPORT))
    copy = target.module.copy_for(place.parent) if target.module else ""
    if target.module and copy and not before:
        _put(place.parent / copy, target.module.data)
    given_to = (base, fault.failed, place.parent, given.seed, export)
    written = PythonTestText(*given_to).python() if target.is_python else TestText(*given_to).lua()
    _put(place, written.encode("utf-8", "surrogateescape"))
    return place


def _refuse_unwritable(path: Path) -> None:
    """Refuse, at the start, a place that could not be written at the end of the run."""
    if is_folder(path):
        raise _unwritable(path, "it is a folder")
    if not is_there(path.parent):
        raise _unwritable(path, f"there is no folder {shown(path.parent)}")
    if why := durable.refusal(path):
        raise _unwritable(path, why)


def _put(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error


def _unwritable(path: Path, why: str) -> AoError:
    what, hint = f"{shown(path)} cannot be written: {why}", "--out FILE names another place"
    return AoError(what, stage="fuzz", hint=hint)


def _place(given: argparse.Namespace, is_python: bool, *, is_first: bool) -> Path:
    """The file for a test: `--out`, or one with a new name."""
    if given.out and is_first:
        return Path(given.out)
    what = Path(given.out or given.what)
    stem = what.stem.removesuffix("_test").removeprefix("test_")
    stem = re.sub(r"\W", "_", stem) or "process"
    # Next to a file of code, or in the current folder.
    folder = what.parent if given.out or what.suffix in _CODE else Path()
    word = "" if given.out else "_fuzz"
    form = "test_{}{}{}.py" if is_python else "{}{}{}_test.lua"
    names = [form.format(stem, word, number or "") for number in range(_TESTS)]
    free = (folder / name for name in names if not is_there(folder / name))
    return next(free, folder / names[0])


def make_parser() -> CommandParser:
    """The parser of `aoshell fuzz`."""
    parser = CommandParser(
        "aoshell fuzz",
        description="Look for messages that make a process fail or break its invariants"
        " (docs/fuzz.md). The process does not change, and nothing is sent; the network is asked"
        " only for a module that is not here.",
        epilog="Each fault is written as a test, which fails until the fault is fixed."
        " NAME.invariants.lua (or .py) next to NAME.lua is read automatically.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "what",
        metavar="FILE|PROCESS",
        help="a Lua or WebAssembly file, or a process of this home",
    )
    parser.add_argument(
        "--for",
        dest="seconds",
        type=_seconds,
        default=60.0,
        metavar="SPAN",
        help="how long to search, as 90s or 10m (60s)",
    )
    parser.add_argument("-x", "--first", action="store_true", help="stop at the first fault")
    parser.add_argument(
        "--invariants", metavar="FILE", help="Lua or Python that declares what must always be true"
    )
    parser.add_argument(
        "--load",
        action="append",
        default=[],
        metavar="FILE",
        help="load a file or a blueprint into it first (may be repeated)",
    )
    parser.add_argument(
        "--tag",
        type=_tag,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a tag of the process that is made from a file, as Cron-Interval=5-minutes (may be"
        " repeated)",
    )
    parser.add_argument(
        "--module",
        default="",
        metavar="ID|FILE",
        help=f"the module that the Lua file is loaded into: a file, the id or the name of one, or"
        f" {', '.join(AOS_MODULES)}",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="the same N draws the same messages (0)"
    )
    parser.add_argument("--out", metavar="FILE", help="where the test is written")
    parser.add_argument("--json", action="store_true", help="one object (docs/json.md)")
    return parser


def _tag(text: str) -> tuple[str, str]:
    name, is_there, value = text.partition("=")
    if not name or not is_there:
        raise argparse.ArgumentTypeError("write it as NAME=VALUE")
    return name, value


def _seconds(text: str) -> float:
    try:
        value = parse_span(float(text) if _PLAIN.fullmatch(text) else text) / 1000
    except UsageError as error:
        raise argparse.ArgumentTypeError(error.what) from error
    if not 0.1 <= value <= _LONGEST:
        raise argparse.ArgumentTypeError("0.1 seconds to 7 days")
    return value
