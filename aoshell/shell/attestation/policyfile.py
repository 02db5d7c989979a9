"""Adds software to a policy file. Users write that file, so what is in it stays as it is."""

from __future__ import annotations

from pathlib import Path

from aoshell import durable
from aoshell.attest.policy import LARGEST, Image, Policy, load_policy
from aoshell.bounded import files
from aoshell.errors import AoError, UsageError
from aoshell.shell.attestation.files import unreadable_error


class PolicyFile:
    """A policy file, which need not exist yet.

    Args:
        path: of the file. A link is followed, not replaced.

    Raises:
        UsageError: the path is not one of a file.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.path = files.real(path)
        except ValueError as error:
            raise unreadable_error(str(path), error) from None

    def refuse_taken(self, name: str) -> None:
        """Raises UsageError: the file has the name already, or cannot be read; or AoError, stage
        "policy": it is not a policy."""
        _refuse_taken(self.path, load_policy(self._content(), str(self.path)), name)

    def add(self, image: Image) -> None:
        """Adds an image at the end of the file.

        Raises:
            UsageError: as `refuse_taken`; or an entry cannot be added or written.
            AoError: stage "policy": the file is not a policy, or no policy can hold the image.
        """
        before = self._content()
        policy = load_policy(before, str(self.path))
        _refuse_taken(self.path, policy, image.name)
        content = before + _addition(before, image.as_toml())
        load_policy(image.as_toml().encode())
        try:
            written = load_policy(content, str(self.path)).trusted
        except AoError:
            written = ()
        if written != (*policy.trusted, image):
            what = "nothing can be added: write each of its entries as [[trusted]], or make room"
            raise UsageError(f"{self.path}: {what}", hint="or name another file: --policy FILE")
        try:
            durable.make_folder(self.path.parent)
            durable.write(self.path, [content], mode=self._mode())
        except OSError as error:
            what = f"{files.shown(self.path)} cannot be written: {files.reason_of(error)}"
            raise UsageError(what, hint="name another file: --policy FILE") from None

    def _content(self) -> bytes:
        try:
            return files.read(self.path, LARGEST)
        except (FileNotFoundError, NotADirectoryError):
            return b""
        except (OSError, ValueError) as error:
            raise unreadable_error(str(self.path), error) from None

    def _mode(self) -> int:
        return self.path.stat().st_mode & 0o777 if self.path.exists() else durable.USERS_FILE


def _refuse_taken(path: Path, policy: Policy, name: str) -> None:
    if any(one.name == name for one in policy.trusted):
        raise UsageError(f"{path} has the name {name} already", hint="choose another")


def _addition(before: bytes, entry: str) -> bytes:
    """What to append: a blank line and the entry, with the line ends of the file."""
    gap = "" if not before else "\n" if before.endswith(b"\n") else "\n\n"
    text = gap + entry
    return text.replace("\n", "\r\n" if b"\r\n" in before else "\n").encode()
