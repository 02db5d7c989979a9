"""The command `aoshell`: flags and arguments, each to one function.

Exit codes: 0; 1 when a line failed; 2 for a command line that cannot be understood; 130 after
Ctrl-C without a terminal.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Protocol

from aoshell.errors import AoError, UsageError
from aoshell.shell.options import Options

if TYPE_CHECKING:
    from aoshell.nodes.base import Limits, Node, ProcessInfo
    from aoshell.sandbox.supervisor import Supervisor
    from aoshell.settings import Settings
    from aoshell.shell.render import Renderer
    from aoshell.shell.start import Start

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
FIRST_PROMPT = "aos> "


class Backend(Protocol):
    """The node behind the shell; what is read only works while another shell holds it."""

    def warm(self) -> None:
        """Begin what takes time and needs neither settings nor an event loop."""

    async def open(self, settings: Settings, limits: Limits) -> Node:
        """Open the node."""

    def processes(self, settings: Settings) -> Sequence[ProcessInfo]:
        """All processes, newest first."""

    def last_prompt(self, settings: Settings, name: str) -> str:
        """The prompt that a process gave last, "" where there is none."""


class LocalBackend:
    """The built-in node."""

    def __init__(self) -> None:
        self._supervisor: Supervisor | None = None

    def warm(self) -> None:
        from aoshell.sandbox.supervisor import Supervisor

        self._supervisor = Supervisor()
        self._supervisor.start()

    async def open(self, settings: Settings, limits: Limits) -> Node:
        from aoshell.nodes.local.node import LocalNode

        return await LocalNode.open(settings.state, limits, self._supervisor)

    def processes(self, settings: Settings) -> Sequence[ProcessInfo]:
        from aoshell.nodes.local.peek import processes

        return processes(settings.node_db)

    def last_prompt(self, settings: Settings, name: str) -> str:
        from aoshell.nodes.local.peek import last_prompt

        return last_prompt(settings.node_db, name)


def main(argv: Sequence[str] | None = None, backend: Backend | None = None) -> int:
    """Entry point. Returns the exit code."""
    _open_streams()
    try:
        return _run(list(sys.argv[1:] if argv is None else argv), backend)
    except AoError as error:
        return _failed(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED  # nobody reads any more
    except Exception as error:
        what = f"a defect of the shell itself: {type(error).__name__}: {error}"
        hint = "what was acknowledged is on disk; please report this line"
        return _failed(AoError(what, stage="shell", hint=hint))


def _open_streams() -> None:
    """Open what the parent process closed, before a file of ours takes its number.

    Nothing is to be read, notes are lost, and answers fail as the closed stream would have.
    """
    streams = (
        ("stdin", os.O_RDONLY, "r"),
        ("stdout", os.O_RDONLY, "w"),
        ("stderr", os.O_WRONLY, "w"),
    )
    for number, (name, flags, mode) in enumerate(streams):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, flags)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def _run(arguments: list[str], backend: Backend | None) -> int:
    if arguments == ["--version"]:
        from aoshell import __version__

        return _told(f"aoshell {__version__}\n")
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            options = _parsed(arguments)
    except SystemExit as leaving:  # argparse, which has said what there is to say
        _told(said.getvalue())
        return leaving.code if isinstance(leaving.code, int) else MISUSED
    return _start(options, backend or LocalBackend())


def _told(said: str) -> int:
    from aoshell.shell.render import writer

    writer(sys.stdout, needed=True)(said)
    return 0


def _start(options: Options, backend: Backend) -> int:
    from aoshell.settings import Settings

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What the terminal's encoding lacks is shown escaped.
            stream.reconfigure(errors="backslashreplace")
    settings = Settings.find()
    if options.list:
        _renderer(options).processes(backend.processes(settings))
        return 0
    interactive = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if interactive and not options.runs and not options.json:
        return _prompt(options, settings, backend)
    return _batch(options, settings, backend)


def _prompt(options: Options, settings: Settings, backend: Backend) -> int:
    """The prompt is on the screen first, and keys count from then on; the rest comes behind it."""
    from aoshell.shell.render import prompt_text
    from aoshell.shell.terminal import Terminal

    known = backend.last_prompt(settings, options.reference or "default")
    prompt = prompt_text(known or FIRST_PROMPT, colour=_colour(sys.stdout.isatty()))
    with Terminal(prompt):
        backend.warm()
        import asyncio

        from aoshell.shell.interactive import interact

        return asyncio.run(
            interact(
                _start_of(options),
                settings,
                backend.open,
                prompt,
                first=tuple(options.script),
                colour=_colour(True),
            )
        )


def _batch(options: Options, settings: Settings, backend: Backend) -> int:
    backend.warm()
    import asyncio

    from aoshell.shell.batch import run_batch
    from aoshell.shell.session import Patience

    return asyncio.run(
        run_batch(
            _start_of(options),
            settings,
            backend.open,
            _renderer(options),
            options.script,
            read_stdin=not options.runs,
            patience=Patience.OWN if options.no_wait else Patience.SETTLED,
        )
    )


def _renderer(options: Options) -> Renderer:
    from aoshell.shell.render import Renderer, writer

    colour = _colour(sys.stdout.isatty() and sys.stderr.isatty())
    out, err = writer(sys.stdout, needed=True), writer(sys.stderr, needed=False)
    return Renderer(out, err, colour=colour, as_json=options.json, columns=_columns)


def _columns() -> int:
    """Width of the terminal that answers go to, 0 where they go elsewhere."""
    return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else 0


def _colour(terminal: bool) -> bool:
    return terminal and not os.environ.get("NO_COLOR")


def _start_of(options: Options) -> Start:
    from dataclasses import replace

    from aoshell.nodes.base import Limits
    from aoshell.protocol.message import tags_of
    from aoshell.shell.start import DEFAULT_NAME, Start

    limits = Limits()
    if options.seconds is not None:
        limits = replace(limits, seconds=options.seconds)
    if options.megabytes is not None:
        limits = replace(limits, memory=int(options.megabytes * 1024 * 1024))
    return Start(
        options.reference or DEFAULT_NAME,
        options.module,
        options.data,
        tags_of(options.pairs),
        options.cron,
        options.wallet,
        limits,
    )


def _parsed(arguments: list[str]) -> Options:
    if not arguments:
        return Options()
    from aoshell.shell.arguments import parse

    return parse(arguments)


def _failed(error: AoError) -> int:
    from aoshell.shell.render import clean, writer

    writer(sys.stderr, needed=False)(clean(str(error), colour=False) + "\n")
    return MISUSED if isinstance(error, UsageError) else FAILED


if __name__ == "__main__":
    sys.exit(main())
