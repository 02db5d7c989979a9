"""The editor and the pager: programs that take over the terminal for a while.

While one runs, the prompt writes nothing, and Ctrl-C is that program's alone.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prompt_toolkit.application.run_in_terminal import in_terminal

from aoshell.errors import AoError
from aoshell.protocol.message import raw, text
from aoshell.shell.code.files import read_file
from aoshell.texts import strip_mark


async def edit_text(content: str) -> str:
    """Edit a text in $VISUAL, $EDITOR or vi. Returns the edited text.

    Raises:
        AoError: stage "editor": it cannot be run, or failed.
    """
    command = _words(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    # A file that only the user can read: it may contain keys.
    handle, name = tempfile.mkstemp(prefix="aoshell-", suffix=".lua")
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw(content))
        code = await _run([*command, name])
        if code:
            raise AoError(
                f"{command[0]} " + (f"failed with {code}" if code > 0 else "was interrupted"),
                stage="editor",
                hint="nothing was evaluated; $EDITOR names another one",
            )
        return text(strip_mark(read_file(path), "what was saved", "editor"))
    finally:
        path.unlink(missing_ok=True)


async def page_text(content: str) -> bool:
    """Show a text in $PAGER, or less. Returns whether it could be run."""
    try:
        await _run(_words(os.environ.get("PAGER") or "less -R"), content)
    except AoError:
        return False
    return True


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise _cannot(command, str(error)) from None


def _cannot(name: str, why: str) -> AoError:
    return AoError(
        f"{name} cannot be run: {why}",
        stage="editor",
        hint="set EDITOR to the name of your editor",
    )


async def _run(command: list[str], fed: str | None = None) -> int:
    async with in_terminal():
        with _our_signals_off():
            try:
                program = await asyncio.create_subprocess_exec(
                    *command, stdin=None if fed is None else asyncio.subprocess.PIPE
                )
            except OSError as error:
                raise _cannot(command[0], error.strerror or str(error)) from None
            await program.communicate(None if fed is None else raw(fed))
            return program.returncode or 0


@contextmanager
def _our_signals_off() -> Iterator[None]:
    """Ignore Ctrl-C, which reaches all programs of a terminal. Children do not inherit a handler,
    but would inherit SIG_IGN."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
