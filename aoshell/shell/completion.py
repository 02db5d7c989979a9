"""Tab: dot commands, and names of files behind the commands that take one."""

from __future__ import annotations

from collections.abc import Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from aoshell.shell.commands import registry
from aoshell.shell.multiline import is_command


class LineCompleter(Completer):
    """Completes the line before the cursor."""

    def __init__(self) -> None:
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        line = document.text_before_cursor.lstrip()
        if line != "." and not is_command(line):
            return
        name, space, rest = line.partition(" ")
        if space:
            known = registry().get(name[1:])
            if known and known.file:
                yield from self._paths.get_completions(Document(rest.lstrip()), event)
            return
        for known in registry().values():
            if known.name.startswith(name[1:]):
                ending = " " if known.usage else ""
                yield Completion(f".{known.name}{ending}", -len(name), f".{known.name}")
