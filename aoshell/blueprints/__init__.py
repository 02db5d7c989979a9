"""Blueprints: ready-made handlers to load into a process, and a record of those loaded before.

A name stands for the file NAME.lua in the user's own folder, or else for one that comes with
aoshell. The hash is recorded when it is loaded, so that the user is asked before another program
is loaded under the same name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from aoshell import durable
from aoshell.bounded import files, jsontext
from aoshell.errors import AoError
from aoshell.protocol.encoding import b64url

LARGEST_RECORD = 16 << 20  # bytes of the file in which they are remembered
SHIPPED = Path(__file__).parent
NAME = re.compile(r"[A-Za-z0-9_-]+")
_ADDED = re.compile(
    rb"""\bHandlers\s*\.\s*(?:add|append|prepend|once)\s*\(\s*(["'])((?:(?!\1)[^\\\n])+)\1"""
)


@dataclass(frozen=True, slots=True)
class BlueprintFacts:
    """What is recorded of a blueprint.

    Attributes:
        hash: base64url SHA-256 of what is evaluated, 43 characters.
        size: bytes of that.
        handlers: names of the handlers that its text adds, in order.
    """

    hash: str
    size: int
    handlers: tuple[str, ...]

    @classmethod
    def of(cls, source: bytes) -> BlueprintFacts:
        found = (name.decode("utf-8", "replace") for _quote, name in _ADDED.findall(source))
        digest = b64url(hashlib.sha256(source).digest())
        return cls(digest, len(source), tuple(dict.fromkeys(found)))


def blueprint_path(name: str, folder: Path) -> Path:
    """The file of a blueprint; the user's own comes first.

    Raises:
        AoError: stage "blueprint": there is none.
    """
    if NAME.fullmatch(name):
        for place in (folder, SHIPPED):
            path = place / f"{name}.lua"
            if files.is_file(path):
                return path
    known = ", ".join(sorted(blueprint_names(folder)))
    raise AoError(
        f"there is no blueprint {files.shown(name)}",
        stage="blueprint",
        hint=f"there are {known}; put your own into {folder}",
    )


def blueprint_names(folder: Path) -> set[str]:
    """The names of all blueprints."""
    return {name for place in (folder, SHIPPED) for name in _named(place)}


def _named(folder: Path) -> Iterator[str]:
    for path in folder.glob("*.lua"):
        if NAME.fullmatch(path.stem):
            yield path.stem


def describe_changes(before: BlueprintFacts, now: BlueprintFacts) -> list[str]:
    """How a blueprint has changed, a line for each difference."""
    lines = [f"before  {before.hash}, {before.size} bytes", f"now     {now.hash}, {now.size} bytes"]
    for heading, these, others in (
        ("new handlers", now.handlers, before.handlers),
        ("handlers that are gone", before.handlers, now.handlers),
    ):
        missing = [name for name in these if name not in others]
        lines += [f"{heading}: {', '.join(missing)}"] if missing else []
    return lines


class BlueprintPins:
    """Records in a file which blueprint each name stood for when it was loaded last."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, name: str) -> BlueprintFacts | None:
        """The facts recorded for a name; None if it was never loaded. Raises AoError."""
        found = self._read().get(name)
        if found is None:
            return None
        match found:
            case {"hash": str(digest), "size": int(size), "handlers": list(added)}:
                return BlueprintFacts(digest, size, tuple(str(name) for name in added))
        raise self._damaged()

    def put(self, name: str, facts: BlueprintFacts) -> None:
        """Record the facts of a name. Raises AoError."""
        content = json.dumps({**self._read(), name: asdict(facts)}, indent=1)
        try:
            durable.write(self._path, [content.encode("ascii")])
        except OSError as error:
            what = f"{self._path} cannot be written: {error.strerror or error}"
            raise AoError(what, stage="blueprint") from error

    def _read(self) -> Mapping[str, Mapping[str, object]]:
        try:
            found = jsontext.parse(files.read(self._path, LARGEST_RECORD))
        except FileNotFoundError:
            return {}
        except OSError as error:
            what = f"{self._path} cannot be read: {error.strerror or error}"
            raise AoError(what, stage="blueprint") from error
        except ValueError as error:
            raise self._damaged() from error
        if not isinstance(found, dict):
            raise self._damaged()
        return found

    def _damaged(self) -> AoError:
        return AoError(
            f"{self._path} is damaged: it does not list the blueprints that were loaded",
            stage="blueprint",
            hint="move it away; then every blueprint counts as new",
        )
