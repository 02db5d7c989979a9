"""Reads messages from the tests next to a file: recorded sessions, and written tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aoshell.check.facts import Text, read_facts
from aoshell.check.messages import constant_value
from aoshell.errors import AoError
from aoshell.lua import syntax as tree
from aoshell.lua.strict import LuaSyntaxError
from aoshell.shell.code.files import read_file

FILES = 50  # tests that are read
LARGEST = 1 << 20  # bytes of one


def recorded_messages(file: Path) -> list[list[tuple[str, str]]]:
    """The constant tags of messages that tests next to a file send to it."""
    found = []
    for test in sorted(file.parent.glob("*_test.lua"))[:FILES]:
        try:
            source = read_file(test, LARGEST)
            if file.name.encode() in source:
                found += list(_messages(source, test.name))
        except (AoError, LuaSyntaxError, RecursionError):
            continue
    return found


def _messages(source: bytes, name: str) -> Iterator[list[tuple[str, str]]]:
    for node in read_facts(Text(name, source)).nodes:
        if not isinstance(node, tree.TableConstructor):
            continue
        tags = []
        for one in node.fields:
            key, value = constant_value(one.key), constant_value(one.value)
            if isinstance(key, str) and isinstance(value, str | int | float):
                tags.append((key, str(value)))
        if any(key == "Action" for key, _ in tags):
            yield tags
